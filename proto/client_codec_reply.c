/* client_codec_reply.c - replies: struct to bytes, and bytes to struct, checked.
 *
 * A reply that is not ok has no body, but for two: a search that is INCOMPLETE carries its partial hits, and a write that
 * was tried carries the result of each item. Coordinators are checked as strangers are: a client must not be brought down by
 * what answers on a port. */
#include "proto/client_codec.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "proto/client_codec_fields.h"
#include "proto/client_codec_rows.h"

static bool is_write(enum client_op op) { return op == CLIENT_UPSERT || op == CLIENT_DELETE; }
/* One index with its shards, or all: struct client_reply's `status`. */
static bool is_status(enum client_op op) { return op == CLIENT_STATUS || op == CLIENT_DESCRIBE; }
static bool is_list(enum client_op op) { return op == CLIENT_LIST || op == CLIENT_CREATE || op == CLIENT_BUILD; }

static bool has_body(const struct client_reply *r)
{
	if (r->error.status == STATUS_OK) return true;
	if (is_write(r->op)) return r->write.n > 0;
	return r->op == CLIENT_SEARCH && r->error.status == STATUS_INCOMPLETE && r->search.nq > 0;
}

/* ---- encoding ---- */

static void put_items_fields(struct fields_out *out, const struct items *items)
{
	fields_put_u64(out, FIELD_N, items->n);
	fields_put_u64(out, FIELD_DIM, items->dim);
	fields_put_choice(out, FIELD_DTYPE, dtype_names, 3, (int)items->dtype);
	fields_put_bool(out, FIELD_PAYLOADS, items->payloads.count > 0);
	fields_put_bool(out, FIELD_KEYS, items->keys.count > 0);
}

static void put_scan_frames(struct frames *f, const struct client_reply *r)
{
	const struct items *items = &r->scan.items;
	uint8_t cursor[CURSOR_BYTES];

	cursor_store(&r->scan.next, cursor);
	frames_put(f, items->ids, items->n, 8);
	frames_put(f, items->vectors, items->n, dtype_row_bytes(items->dtype, items->dim));
	frames_put_blobs(f, &items->payloads, items->n);
	frames_put_blobs(f, &items->keys, items->n);
	frames_put(f, cursor, !r->scan.end, CURSOR_BYTES);
}

static void put_body_fields(struct fields_out *out, const struct client_reply *r)
{
	if (r->op == CLIENT_HELLO) {
		fields_put_u64(out, FIELD_VERSION, r->hello.version);
		fields_put_text(out, FIELD_SERVER, r->hello.server, strnlen(r->hello.server, sizeof(r->hello.server)));
		if (r->hello.bundles) fields_put_bool(out, FIELD_BUNDLES, true);
	} else if (is_write(r->op)) {
		fields_put_u64(out, FIELD_N, r->write.n);
		fields_put_u64(out, FIELD_TOKENS, r->write.token_count);
	} else if (r->op == CLIENT_GET) {
		put_items_fields(out, &r->get.items);
	} else if (r->op == CLIENT_SCAN) {
		put_items_fields(out, &r->scan.items);
		fields_put_bool(out, FIELD_CURSOR, !r->scan.end);
	} else if (r->op == CLIENT_SEARCH) {
		fields_put_u64(out, FIELD_NQ, r->search.nq);
		fields_put_u64(out, FIELD_TOTAL, r->search.total);
		fields_put_u64(out, FIELD_MISSING, r->search.missing_count);
		fields_put_bool(out, FIELD_PAYLOADS, r->search.payloads.count > 0);
		if (r->search.predicted != 0) fields_put_float(out, FIELD_PREDICTED, r->search.predicted);
	}
}

static void put_body_frames(struct frames *f, const struct client_reply *r)
{
	if (is_write(r->op)) {
		frames_put(f, r->write.results, r->write.n, 1);
		frames_put(f, r->write.tokens, r->write.token_count, TOKEN_BYTES);
	} else if (r->op == CLIENT_GET) {
		const struct items *items = &r->get.items;
		frames_put(f, items->ids, items->n, 8);
		frames_put(f, items->vectors, items->n, dtype_row_bytes(items->dtype, items->dim));
		frames_put(f, r->get.found, items->n, 1);
		frames_put_blobs(f, &items->payloads, items->n);
		frames_put_blobs(f, &items->keys, items->n);
	} else if (r->op == CLIENT_SCAN) {
		put_scan_frames(f, r);
	} else if (r->op == CLIENT_SEARCH) {
		const struct client_hits *h = &r->search;
		frames_put(f, h->counts, h->nq, 4);
		frames_put(f, h->ids, h->total, 8);
		frames_put(f, h->distances, h->total, 4);
		frames_put(f, h->coverage, h->nq, COVERAGE_BYTES);
		frames_put(f, h->missing, h->missing_count, MISSING_BYTES);
		frames_put_blobs(f, &h->payloads, (uint32_t)h->total);
	} else if (is_list(r->op)) {
		rows_put_workers(f, NULL, 0);
		rows_put_indexes(f, r->list.indexes, r->list.count);
		rows_put_shards(f, NULL, 0);
	} else if (is_status(r->op)) {
		rows_put_workers(f, r->status.workers, r->status.worker_count);
		rows_put_indexes(f, r->status.indexes, r->status.index_count);
		rows_put_shards(f, r->status.shards, r->status.shard_count);
	}
}

enum status client_reply_encode(const struct client_reply *r, struct encoded *ret)
{
	struct fields_out out;
	struct frames frames;

	frames_init(&frames, CLIENT_FRAME_MAX);
	fields_begin(&out, &frames);
	fields_put_u64(&out, FIELD_V, CLIENT_PROTOCOL_VERSION);
	fields_put_u64(&out, FIELD_ID, r->id);
	/* A request whose operation could not be read is answered without one. */
	if (r->op != CLIENT_OP_COUNT) fields_put_choice(&out, FIELD_OP, op_names, CLIENT_OP_COUNT, (int)r->op);
	fields_put_bool(&out, FIELD_OK, r->error.status == STATUS_OK);
	if (r->error.status != STATUS_OK) {
		const char *text = report_text(&r->error), *name = status_name(r->error.status);
		fields_put_text(&out, FIELD_ERROR, name, strlen(name));
		fields_put_text(&out, FIELD_MESSAGE, text, strlen(text));
	}
	if (has_body(r)) put_body_fields(&out, r);
	fields_end(&out);
	if (has_body(r) && frames.status == STATUS_OK) put_body_frames(&frames, r);
	return frames_finish(&frames, ret);
}

/* ---- decoding ---- */

struct decoding {
	const struct net_frame *frames;
	size_t count;
	struct fields fields;
	struct client_reply r;
	struct report *report;
};

static struct net_frame bulk(const struct decoding *d, size_t i) { return frame_at(d->frames, d->count, i); }

static enum status need_u32(struct decoding *d, enum field f, uint32_t max, uint32_t *ret)
{
	enum status status = fields_require(&d->fields, f, "the reply", d->report);
	return status == STATUS_OK ? fields_u32(&d->fields, f, 0, max, ret, d->report) : status;
}

static enum status malformed(struct decoding *d, const char *what) { return report_set(d->report, STATUS_BAD_REQUEST, "the reply is malformed: %s", what); }

static enum status take_frame(struct decoding *d, size_t i, const char *what, uint64_t n, size_t record, const uint8_t **ret)
{
	struct net_frame frame = bulk(d, i);
	size_t want;

	if (!size_mul((size_t)n, record, &want) || frame.size != want)
		return report_set(d->report, STATUS_BAD_REQUEST, "the reply's frame %zu (%s) has %zu bytes, not %" PRIu64 " x %zu", i, what, frame.size, n, record);
	*ret = n ? frame.bytes : NULL;
	return STATUS_OK;
}

static enum status take_blobs(struct decoding *d, size_t i, enum field f, const char *what, uint32_t n, uint32_t max, bool maps, struct blobs *ret)
{
	struct net_frame frame = bulk(d, i);
	struct blob_cursor c = {0};
	bool sent = false;
	enum status status = fields_bool(&d->fields, f, &sent, d->report);

	if (status != STATUS_OK) return status;
	if (sent != (frame.size > 0) || !blobs_parse(frame.bytes, frame.size, n, max, ret)) return malformed(d, what);
	for (uint32_t at = 0; maps && at < ret->count; at++) {
		struct blob one = blobs_next(ret, &c);
		if (one.size && !msgpack_scan(one.bytes, one.size, true)) return malformed(d, what);
	}
	return STATUS_OK;
}

static bool bytes_at_most(const uint8_t *bytes, size_t n, uint8_t max)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] > max) return false;
	return true;
}

static enum status decode_hello(struct decoding *d)
{
	const char *server = NULL;
	uint32_t size = 0;
	enum status status = need_u32(d, FIELD_VERSION, UINT32_MAX, &d->r.hello.version);
	if (status == STATUS_OK) status = fields_require(&d->fields, FIELD_SERVER, "the reply", d->report);
	if (status == STATUS_OK) status = fields_text(&d->fields, FIELD_SERVER, &server, &size, d->report);
	if (status == STATUS_OK) status = fields_bool(&d->fields, FIELD_BUNDLES, &d->r.hello.bundles, d->report);
	if (status != STATUS_OK) return status;
	if (size >= sizeof(d->r.hello.server) || memchr(server, 0, size)) return malformed(d, "the server's name");
	memcpy(d->r.hello.server, server, size);
	return STATUS_OK;
}

static enum status decode_write(struct decoding *d)
{
	enum status status = need_u32(d, FIELD_N, BATCH_ITEMS_MAX, &d->r.write.n);
	if (status == STATUS_OK && d->r.write.n == 0) status = malformed(d, "a write of no items");
	if (status == STATUS_OK) status = need_u32(d, FIELD_TOKENS, SHARDS_MAX, &d->r.write.token_count);
	if (status == STATUS_OK) status = take_frame(d, 1, "results", d->r.write.n, 1, &d->r.write.results);
	if (status == STATUS_OK) status = take_frame(d, 2, "tokens", d->r.write.token_count, TOKEN_BYTES, &d->r.write.tokens);
	if (status == STATUS_OK && !bytes_at_most(d->r.write.results, d->r.write.n, ITEM_UNKNOWN)) status = malformed(d, "a result of an item");
	return status;
}

/* What a get and a scan share: ids in frame 1, vectors in frame 2, payloads and keys from frame `blobs` on. */
static enum status decode_items(struct decoding *d, size_t blobs, struct items *items)
{
	int dtype = DTYPE_F32;
	enum status status = need_u32(d, FIELD_N, BATCH_ITEMS_MAX, &items->n);
	if (status == STATUS_OK) status = need_u32(d, FIELD_DIM, DIM_MAX, &items->dim);
	if (status == STATUS_OK) status = fields_choice(&d->fields, FIELD_DTYPE, dtype_names, 3, &dtype, d->report);
	items->dtype = (enum dtype)dtype;
	if (status == STATUS_OK) status = take_frame(d, 1, "ids", items->n, 8, &items->ids);
	if (status == STATUS_OK) status = take_frame(d, 2, "vectors", items->n, dtype_row_bytes(items->dtype, items->dim), &items->vectors);
	if (status == STATUS_OK) status = take_blobs(d, blobs, FIELD_PAYLOADS, "payloads", items->n, PAYLOAD_MAX, true, &items->payloads);
	if (status == STATUS_OK) status = take_blobs(d, blobs + 1, FIELD_KEYS, "keys", items->n, KEY_MAX, false, &items->keys);
	if (status == STATUS_OK && items->dtype == DTYPE_F32 && !floats_finite(items->vectors, (size_t)items->n * items->dim))
		status = malformed(d, "a vector that is not finite");
	return status;
}

static enum status decode_get(struct decoding *d)
{
	enum status status = decode_items(d, 4, &d->r.get.items);
	if (status == STATUS_OK) status = take_frame(d, 3, "found", d->r.get.items.n, 1, &d->r.get.found);
	if (status == STATUS_OK && !bytes_at_most(d->r.get.found, d->r.get.items.n, 1)) status = malformed(d, "a flag of an item");
	return status;
}

static enum status decode_scan(struct decoding *d)
{
	struct items *items = &d->r.scan.items;
	const uint8_t *cursor = NULL;
	bool more = false;
	enum status status = decode_items(d, 3, items);

	if (status == STATUS_OK) status = fields_bool(&d->fields, FIELD_CURSOR, &more, d->report);
	if (status == STATUS_OK) status = take_frame(d, 5, "cursor", more, CURSOR_BYTES, &cursor);
	if (status != STATUS_OK) return status;
	d->r.scan.end = !more;
	if (!ids_ascend(items->ids, items->n)) return malformed(d, "items that are not in the order of their ids");
	if (!cursor) return STATUS_OK;
	cursor_load(cursor, &d->r.scan.next);
	return d->r.scan.next.shard < SHARDS_MAX ? STATUS_OK : malformed(d, "the cursor of a scan");
}

static enum status check_hits(struct decoding *d)
{
	const struct client_hits *h = &d->r.search;
	uint64_t sum = 0;

	for (uint32_t q = 0; q < h->nq; q++) {
		struct coverage c;
		sum += load_u32(h->counts + (size_t)q * 4);
		coverage_load(h->coverage + (size_t)q * COVERAGE_BYTES, &c);
		if ((uint64_t)c.answered + c.failed + c.late != c.shards || c.shards > SHARDS_MAX || c.items_searched > c.items_total)
			return malformed(d, "a coverage that does not add up");
	}
	if (sum != h->total) return malformed(d, "hits that do not add up");
	for (uint64_t i = 0; i < h->total; i++)
		if (isnan(load_f32(h->distances + i * 4))) return malformed(d, "a distance that is no number");
	for (uint32_t i = 0; i < h->missing_count; i++) {
		struct missing m;
		missing_load(h->missing + (size_t)i * MISSING_BYTES, &m);
		if (m.shard >= SHARDS_MAX || m.status >= 0) return malformed(d, "a missing shard");
	}
	return STATUS_OK;
}

static enum status decode_search(struct decoding *d)
{
	struct client_hits *h = &d->r.search;
	uint32_t total = 0;
	enum status status = need_u32(d, FIELD_NQ, BATCH_QUERIES_MAX, &h->nq);
	if (status == STATUS_OK) status = need_u32(d, FIELD_TOTAL, QUERY_HITS_MAX, &total);
	if (status == STATUS_OK) status = need_u32(d, FIELD_MISSING, SHARDS_MAX, &h->missing_count);
	h->total = total;
	if (status == STATUS_OK) status = fields_share(&d->fields, FIELD_PREDICTED, &h->predicted, d->report);
	if (status == STATUS_OK && h->nq == 0) status = malformed(d, "an answer to no query");
	if (status == STATUS_OK) status = take_frame(d, 1, "counts", h->nq, 4, &h->counts);
	if (status == STATUS_OK) status = take_frame(d, 2, "ids", h->total, 8, &h->ids);
	if (status == STATUS_OK) status = take_frame(d, 3, "distances", h->total, 4, &h->distances);
	if (status == STATUS_OK) status = take_frame(d, 4, "coverage", h->nq, COVERAGE_BYTES, &h->coverage);
	if (status == STATUS_OK) status = take_frame(d, 5, "missing", h->missing_count, MISSING_BYTES, &h->missing);
	if (status == STATUS_OK) status = take_blobs(d, 6, FIELD_PAYLOADS, "payloads", total, PAYLOAD_MAX, true, &h->payloads);
	return status == STATUS_OK ? check_hits(d) : status;
}

/* Three arrays, in one owned block of pointers. */
struct owned_rows { struct worker_info *workers; struct index_info *indexes; struct shard_info *shards; };

static void owned_free(struct owned_rows *o)
{
	if (!o) return;
	free(o->workers);
	free(o->indexes);
	free(o->shards);
	free(o);
}

static enum status decode_rows(struct decoding *d)
{
	struct owned_rows *o = calloc(1, sizeof(*o));
	uint32_t workers, indexes, shards;
	enum status status;

	if (!o) return report_set(d->report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	status = rows_get_workers(bulk(d, 1), &o->workers, &workers, d->report);
	if (status == STATUS_OK) status = rows_get_indexes(bulk(d, 2), &o->indexes, &indexes, d->report);
	if (status == STATUS_OK) status = rows_get_shards(bulk(d, 3), &o->shards, &shards, d->report);
	if (status != STATUS_OK) {
		owned_free(o);
		return status;
	}
	if (is_list(d->r.op)) {
		d->r.list.indexes = o->indexes;
		d->r.list.count = indexes;
	} else {
		d->r.status.workers = o->workers;
		d->r.status.worker_count = workers;
		d->r.status.indexes = o->indexes;
		d->r.status.index_count = indexes;
		d->r.status.shards = o->shards;
		d->r.status.shard_count = shards;
	}
	d->r.owned = o;
	return STATUS_OK;
}

static size_t bulk_frames_of(enum client_op op)
{
	switch (op) {
	case CLIENT_UPSERT: case CLIENT_DELETE: return 2;
	case CLIENT_GET: case CLIENT_SCAN: return 5;
	case CLIENT_SEARCH: return 6;
	case CLIENT_CREATE: case CLIENT_LIST: case CLIENT_DESCRIBE: case CLIENT_BUILD: case CLIENT_STATUS: return 3;
	case CLIENT_HELLO: case CLIENT_DROP: case CLIENT_OP_COUNT: break;
	}
	return 0;
}

static enum status decode_body(struct decoding *d)
{
	if (d->r.op == CLIENT_HELLO) return decode_hello(d);
	if (is_write(d->r.op)) return decode_write(d);
	if (d->r.op == CLIENT_GET) return decode_get(d);
	if (d->r.op == CLIENT_SEARCH) return decode_search(d);
	if (d->r.op == CLIENT_SCAN) return decode_scan(d);
	if (is_list(d->r.op) || is_status(d->r.op)) return decode_rows(d);
	return STATUS_OK;
}

/* The sentence and its code; a code that this version does not know becomes UNSUPPORTED, its sentence stays. */
static enum status decode_error(struct decoding *d)
{
	const char *name = NULL, *text = "";
	uint32_t size = 0, text_size = 0;
	char copy[64] = "";
	enum status status = fields_require(&d->fields, FIELD_ERROR, "the reply", d->report);
	if (status == STATUS_OK) status = fields_text(&d->fields, FIELD_ERROR, &name, &size, d->report);
	if (status == STATUS_OK) status = fields_text(&d->fields, FIELD_MESSAGE, &text, &text_size, d->report);
	if (status != STATUS_OK) return status;
	if (size < sizeof(copy)) memcpy(copy, name, size);
	enum status said = status_by_name(copy);
	if (said == STATUS_OK) return malformed(d, "an error that says ok");
	report_set(&d->r.error, said, "%.*s", (int)text_size, text);
	if (!d->r.error.text[0]) report_set(&d->r.error, said, "%s", status_text(said));
	return STATUS_OK;
}

static enum status decode_head(struct decoding *d, bool *ret_ok)
{
	uint64_t version = 0;
	int op = CLIENT_OP_COUNT;
	enum status status = fields_require(&d->fields, FIELD_V, "the reply", d->report);
	if (status == STATUS_OK) status = fields_u64(&d->fields, FIELD_V, &version, d->report);
	if (status == STATUS_OK) status = fields_require(&d->fields, FIELD_ID, "the reply", d->report);
	if (status == STATUS_OK) status = fields_u64(&d->fields, FIELD_ID, &d->r.id, d->report);
	if (status == STATUS_OK) status = fields_choice(&d->fields, FIELD_OP, op_names, CLIENT_OP_COUNT, &op, d->report);
	if (status == STATUS_OK) status = fields_require(&d->fields, FIELD_OK, "the reply", d->report);
	if (status == STATUS_OK) status = fields_bool(&d->fields, FIELD_OK, ret_ok, d->report);
	d->r.op = (enum client_op)op;
	if (status == STATUS_OK && version != CLIENT_PROTOCOL_VERSION)
		status = report_set(d->report, STATUS_UNSUPPORTED, "the reply is of protocol version %" PRIu64 ", this client speaks %d", version, CLIENT_PROTOCOL_VERSION);
	if (status == STATUS_OK && *ret_ok) status = fields_require(&d->fields, FIELD_OP, "the reply", d->report);
	return status;
}

enum status client_reply_decode(const struct net_frame *frames, size_t count, struct client_reply *ret, struct report *report)
{
	struct decoding d = {.frames = frames, .count = count, .report = report};
	bool ok = false, body;
	enum status status;

	if (count < 1 || count > FRAMES_MAX) return report_set(report, STATUS_BAD_REQUEST, "a reply has 1 to %d frames, not %zu", FRAMES_MAX, count);
	status = fields_parse(frames[0], &d.fields, report);
	if (status == STATUS_OK) status = decode_head(&d, &ok);
	if (status == STATUS_OK && !ok) status = decode_error(&d);
	if (status != STATUS_OK) return status;
	body = ok || (is_write(d.r.op) && d.fields.has[FIELD_N]) ||
	       (d.r.op == CLIENT_SEARCH && d.r.error.status == STATUS_INCOMPLETE && d.fields.has[FIELD_NQ]);
	if (count - 1 > (body ? bulk_frames_of(d.r.op) : 0)) return malformed(&d, "frames that do not belong to it");
	if (frames_bulk(frames, count) > CLIENT_FRAME_MAX)
		return report_set(report, STATUS_LIMIT, "the reply has more than %d bytes after its header", CLIENT_FRAME_MAX);
	if (body) status = decode_body(&d);
	if (status == STATUS_OK) *ret = d.r;
	return status;
}

void client_reply_release(struct client_reply *r)
{
	owned_free(r->owned);
	*r = (struct client_reply){0};
}
