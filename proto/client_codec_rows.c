/* client_codec_rows.c - see client_codec_rows.h. One function reads a row of any kind; what differs is in a table. */
#include "proto/client_codec_rows.h"

#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "proto/client_codec_fields.h"

enum { WORKER_COLUMNS = 9, INDEX_COLUMNS = 13, SHARD_COLUMNS = 14, SHARD_STATES = SHARD_MISSING + 1, WORKER_STATES = WORKER_DEAD + 1 };

/* ---- writing ---- */

static int write_bytes(void *data, const char *bytes, size_t size)
{
	frames_append(data, bytes, size);
	return 0; /* the frames remember a failure */
}

static msgpack_packer rows_begin(struct frames *f, uint32_t n)
{
	msgpack_packer p;

	frames_begin(f);
	msgpack_packer_init(&p, f, write_bytes);
	msgpack_pack_array(&p, n);
	return p;
}

static void put_text(msgpack_packer *p, const char *text) { msgpack_pack_str_with_body(p, text, strlen(text)); }

static void put_uuid(msgpack_packer *p, const struct uuid *u) { msgpack_pack_bin_with_body(p, u->bytes, sizeof(u->bytes)); }

void rows_put_workers(struct frames *f, const struct worker_info *rows, uint32_t n)
{
	msgpack_packer p = rows_begin(f, n);

	for (const struct worker_info *w = rows; n && w < rows + n; w++) {
		msgpack_pack_array(&p, WORKER_COLUMNS);
		put_uuid(&p, &w->id);
		put_text(&p, worker_state_name(w->state));
		msgpack_pack_int64(&p, w->pid);
		put_text(&p, w->endpoint);
		msgpack_pack_uint64(&p, w->items);
		msgpack_pack_uint64(&p, w->memory_bytes);
		msgpack_pack_uint64(&p, w->age_ms);
		msgpack_pack_uint64(&p, w->shards);
		msgpack_pack_uint64(&p, w->threads);
	}
}

void rows_put_indexes(struct frames *f, const struct index_info *rows, uint32_t n)
{
	msgpack_packer p = rows_begin(f, n);

	for (const struct index_info *i = rows; n && i < rows + n; i++) {
		msgpack_pack_array(&p, INDEX_COLUMNS);
		msgpack_pack_uint64(&p, i->spec.id);
		put_text(&p, i->spec.name);
		put_text(&p, metric_name(i->spec.metric));
		msgpack_pack_uint64(&p, i->spec.dim);
		msgpack_pack_uint64(&p, i->spec.shards);
		msgpack_pack_uint64(&p, i->spec.replicas);
		msgpack_pack_uint64(&p, i->spec.trees);
		msgpack_pack_uint64(&p, i->spec.seed);
		msgpack_pack_uint64(&p, i->items);
		msgpack_pack_uint64(&p, i->shards_serving);
		msgpack_pack_uint64(&p, i->shards_building);
		msgpack_pack_uint64(&p, i->progress_permille);
		if (i->complete) msgpack_pack_true(&p);
		else msgpack_pack_false(&p);
	}
}

void rows_put_shards(struct frames *f, const struct shard_info *rows, uint32_t n)
{
	msgpack_packer p = rows_begin(f, n);

	for (const struct shard_info *s = rows; n && s < rows + n; s++) {
		const struct shard_report *r = &s->report;
		msgpack_pack_array(&p, SHARD_COLUMNS);
		put_uuid(&p, &s->worker);
		put_uuid(&p, &r->shard);
		msgpack_pack_uint64(&p, r->index_id);
		msgpack_pack_uint64(&p, r->number);
		put_text(&p, shard_state_name(r->state));
		put_text(&p, status_name(r->status));
		msgpack_pack_uint64(&p, r->epoch);
		msgpack_pack_uint64(&p, r->sequence);
		msgpack_pack_uint64(&p, r->items);
		msgpack_pack_uint64(&p, r->memory_bytes);
		msgpack_pack_uint64(&p, r->disk_bytes);
		msgpack_pack_uint64(&p, r->segments);
		msgpack_pack_uint64(&p, r->progress_permille);
		msgpack_pack_uint64(&p, r->trees);
	}
}

/* ---- reading: a row's cursor remembers its first wrong value ---- */

struct row { struct reader r; bool wrong; };

static struct mp_value row_next(struct row *row, enum mp_kind kind)
{
	struct mp_value v = {0};

	if (row->wrong || !mp_next(&row->r, &v) || v.kind != kind) {
		row->wrong = true;
		v = (struct mp_value){0};
	}
	return v;
}

static uint64_t row_u64(struct row *row, uint64_t max)
{
	uint64_t v = row_next(row, MP_UINT).uint;

	if (v > max) row->wrong = true;
	return row->wrong ? 0 : v;
}

static uint32_t row_u32(struct row *row, uint32_t max) { return (uint32_t)row_u64(row, max); }

static int64_t row_i64(struct row *row)
{
	struct mp_value v = {0};

	if (row->wrong || !mp_next(&row->r, &v) || (v.kind == MP_UINT ? v.uint > INT64_MAX : v.kind != MP_NEGATIVE)) {
		row->wrong = true;
		return 0;
	}
	return v.negative; /* the same bits as v.uint */
}

static void row_uuid(struct row *row, struct uuid *ret)
{
	struct mp_value v = row_next(row, MP_BIN);

	if (v.size != sizeof(ret->bytes)) row->wrong = true;
	if (!row->wrong) memcpy(ret->bytes, v.bytes, sizeof(ret->bytes));
}

/* A text of fewer than `size` bytes with no NUL inside. */
static void row_text(struct row *row, char *out, size_t size)
{
	struct mp_value v = row_next(row, MP_STR);

	if (v.size >= size || (v.size && memchr(v.bytes, 0, v.size))) row->wrong = true;
	if (row->wrong) return;
	if (v.size) memcpy(out, v.bytes, v.size);
	out[v.size] = 0;
}

static int row_name(struct row *row, const char *(*name_of)(int), int count)
{
	struct mp_value v = row_next(row, MP_STR);

	for (int i = 0; !row->wrong && i < count; i++)
		if (v.size == strlen(name_of(i)) && !memcmp(v.bytes, name_of(i), v.size)) return i;
	row->wrong = true;
	return 0;
}

static const char *worker_state_at(int i) { return worker_state_name((enum worker_state)i); }
static const char *shard_state_at(int i) { return shard_state_name((enum shard_state)i); }
static const char *metric_at(int i) { return metric_name((enum metric)i); }

static void get_worker(struct row *row, void *ret)
{
	struct worker_info *w = ret;

	row_uuid(row, &w->id);
	w->state = (enum worker_state)row_name(row, worker_state_at, WORKER_STATES);
	w->pid = row_i64(row);
	row_text(row, w->endpoint, sizeof(w->endpoint));
	w->items = row_u64(row, UINT64_MAX);
	w->memory_bytes = row_u64(row, UINT64_MAX);
	w->age_ms = row_u64(row, UINT64_MAX);
	w->shards = row_u32(row, UINT32_MAX);
	w->threads = row_u32(row, UINT32_MAX);
}

static void get_index(struct row *row, void *ret)
{
	struct index_info *i = ret;

	i->spec.id = row_u64(row, UINT64_MAX);
	row_text(row, i->spec.name, sizeof(i->spec.name));
	if (!index_name_valid(i->spec.name, strlen(i->spec.name))) row->wrong = true;
	i->spec.metric = (enum metric)row_name(row, metric_at, METRIC_COUNT);
	i->spec.dim = row_u32(row, DIM_MAX);
	i->spec.shards = row_u32(row, SHARDS_MAX);
	i->spec.replicas = row_u32(row, REPLICAS_MAX);
	i->spec.trees = row_u32(row, TREES_MAX);
	i->spec.seed = row_u64(row, UINT64_MAX);
	i->items = row_u64(row, UINT64_MAX);
	i->shards_serving = row_u32(row, SHARDS_MAX);
	i->shards_building = row_u32(row, SHARDS_MAX);
	i->progress_permille = row_u32(row, 1000);
	i->complete = row_next(row, MP_BOOL).boolean;
}

static void get_shard(struct row *row, void *ret)
{
	struct shard_info *s = ret;
	struct shard_report *r = &s->report;
	char status[64] = "";

	row_uuid(row, &s->worker);
	row_uuid(row, &r->shard);
	r->index_id = row_u64(row, UINT64_MAX);
	r->number = row_u32(row, SHARDS_MAX - 1);
	r->state = (enum shard_state)row_name(row, shard_state_at, SHARD_STATES);
	row_text(row, status, sizeof(status));
	r->status = status_by_name(status);
	r->epoch = row_u64(row, UINT64_MAX);
	r->sequence = row_u64(row, UINT64_MAX);
	r->items = row_u64(row, UINT64_MAX);
	r->memory_bytes = row_u64(row, UINT64_MAX);
	r->disk_bytes = row_u64(row, UINT64_MAX);
	r->segments = row_u32(row, UINT32_MAX);
	r->progress_permille = row_u32(row, 1000);
	r->trees = row_u32(row, TREES_MAX);
}

/* Rows of `columns` or more values, each read by `get` into `size` bytes. Two passes: nothing is allocated before every row
 * was seen to be an array of at least that many values, so memory stays in proportion to the bytes that came. */
static enum status get_rows(struct net_frame frame, const char *what, uint32_t columns, size_t size, void (*get)(struct row *, void *),
	void **ret, uint32_t *ret_n, struct report *report)
{
	struct mp_value head = {0}, all = {0};
	struct reader r, scan;
	uint8_t *rows = NULL;
	bool good = msgpack_scan(frame.bytes, frame.size, false);

	reader_init(&r, frame.bytes, frame.size);
	good = good && mp_next(&r, &all) && all.kind == MP_ARRAY;
	scan = r;
	for (uint32_t i = 0; good && i < all.size; i++) {
		struct reader row = scan;
		good = mp_next(&row, &head) && head.kind == MP_ARRAY && head.size >= columns && mp_skip(&scan, MSGPACK_DEPTH_MAX);
	}
	if (!good) return report_set(report, STATUS_BAD_REQUEST, "the frame of %s is not an array of rows", what);
	if (all.size) {
		rows = calloc(all.size, size);
		if (!rows) return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	}
	for (uint32_t i = 0; i < all.size; i++) {
		struct row row = {.r = r};
		good = mp_next(&row.r, &head);
		get(&row, rows + i * size);
		if (!row.wrong && mp_skip(&r, MSGPACK_DEPTH_MAX)) continue;
		free(rows);
		return report_set(report, STATUS_BAD_REQUEST, "row %u of %s has a value of the wrong kind or out of its range", (unsigned)i, what);
	}
	*ret = rows;
	*ret_n = all.size;
	return STATUS_OK;
}

enum status rows_get_workers(struct net_frame frame, struct worker_info **ret, uint32_t *ret_n, struct report *report)
{
	return get_rows(frame, "workers", WORKER_COLUMNS, sizeof(**ret), get_worker, (void **)ret, ret_n, report);
}

enum status rows_get_indexes(struct net_frame frame, struct index_info **ret, uint32_t *ret_n, struct report *report)
{
	return get_rows(frame, "indexes", INDEX_COLUMNS, sizeof(**ret), get_index, (void **)ret, ret_n, report);
}

enum status rows_get_shards(struct net_frame frame, struct shard_info **ret, uint32_t *ret_n, struct report *report)
{
	return get_rows(frame, "shards", SHARD_COLUMNS, sizeof(**ret), get_shard, (void **)ret, ret_n, report);
}
