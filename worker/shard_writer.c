/* shard_writer.c - the one thread that changes a shard.
 *
 * It takes everything that is queued, logs it, syncs once, applies it, publishes one new sequence, and only then tells anyone. Memory for the
 * group is reserved before the log is written, so that nothing can fail between the sync and the answer.
 *
 * A key may stand for one id only. Whether an item's key clashes is asked of what is applied; so a keyed item whose id is already in the
 * group, put or deleted, ends the group first. */
#include "worker/shard_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cursor.h"

enum { GROUP_BYTES_MAX = 64 << 20, DISK_RESERVE_PARTS = 20 /* 5 % */ };

struct pending { struct shard_write *write; uint32_t item; };

/* What has been appended to the log and not yet synced. */
struct group {
	struct pending *items;
	struct wal_record *records; /* they borrow from the writes, and from `widened` */
	uint32_t count, room;
	uint64_t *ids; /* of its items, a small open hash; 0 is free, so id 0 is kept as a flag */
	uint32_t ids_mask;
	bool id_zero;
	float **widened; /* rows that came as u8 */
	uint32_t widened_count;
};

static void group_release(struct group *g)
{
	for (uint32_t i = 0; i < g->widened_count; i++) free(g->widened[i]);
	free(g->items);
	free(g->records);
	free(g->ids);
	free(g->widened);
	*g = (struct group){0};
}

static enum status group_init(struct group *g, uint32_t items, uint32_t writes)
{
	uint32_t slots = 64;

	while (slots < 2 * items) slots *= 2;
	*g = (struct group){.room = items, .ids_mask = slots - 1};
	g->items = malloc((items + 1) * sizeof(*g->items));
	g->records = malloc((items + 1) * sizeof(*g->records));
	g->ids = calloc(slots, sizeof(*g->ids));
	g->widened = calloc(writes + 1, sizeof(*g->widened));
	if (g->items && g->records && g->ids && g->widened) return STATUS_OK;
	group_release(g);
	return STATUS_NO_MEMORY;
}

/* The id's slot, or the free one where it belongs. */
static uint64_t *group_slot(const struct group *g, uint64_t id)
{
	/* Ids are anybody's numbers: Knuth's multiplicative hashing, after the high half is folded in. */
	uint32_t i = (uint32_t)((id ^ id >> 32) * 0x9e3779b97f4a7c15u >> 32) & g->ids_mask;

	while (g->ids[i] && g->ids[i] != id) i = (i + 1) & g->ids_mask;
	return &g->ids[i];
}

static bool group_has(const struct group *g, uint64_t id) { return id ? *group_slot(g, id) == id : g->id_zero; }

static void group_add(struct group *g, struct pending item, const struct wal_record *r)
{
	g->items[g->count] = item;
	g->records[g->count++] = *r;
	if (r->id)
		*group_slot(g, r->id) = r->id;
	else
		g->id_zero = true;
}

static void group_empty(struct group *g)
{
	g->count = 0;
	memset(g->ids, 0, ((size_t)g->ids_mask + 1) * sizeof(*g->ids));
	g->id_zero = false;
}

/* The worst result wins the write's report; items keep their own. */
static void refuse(struct shard_write *w, uint32_t item, enum item_result result, enum status status, const char *text)
{
	w->results[item] = (uint8_t)result;
	if (w->report.status == STATUS_OK || result == ITEM_UNKNOWN) report_set(&w->report, status, "%s", text);
}

static void refuse_all(struct shard_write *w, enum status status, const char *text)
{
	for (uint32_t i = 0; i < w->items.n; i++) refuse(w, i, ITEM_REJECTED, status, text);
	report_set(&w->report, status, "%s", text);
}

/* ---- commit and apply ---- */

void shard_publish(struct shard *s, int64_t item_change)
{
	struct view *v = s->view;

	pthread_mutex_lock(&s->lock);
	s->sequence = wal_next(s->wal) - 1;
	s->durable = wal_durable(s->wal);
	s->log_bytes = wal_bytes(s->wal);
	s->items = (uint64_t)((int64_t)s->items + item_change);
	s->active_rows = memtable_count(v->memtables[v->memtable_count - 1]->table);
	pthread_mutex_unlock(&s->lock);
}

bool shard_stopped(struct shard *s)
{
	pthread_mutex_lock(&s->lock);
	bool is = s->state == SHARD_STOPPED;
	pthread_mutex_unlock(&s->lock);
	return is;
}

static void group_apply(struct shard *s, struct group *g)
{
	int64_t change = 0;

	for (uint32_t i = 0; i < g->count; i++) {
		struct shard_write *w = g->items[i].write;
		change += shard_apply(s->view, &g->records[i]);
		w->results[g->items[i].item] = ITEM_OK;
		w->out_epoch = g->records[i].epoch;
		w->out_sequence = g->records[i].sequence;
		atomic_fetch_add_explicit(&s->pulse, 1, memory_order_relaxed);
	}
	shard_publish(s, change);
}

#ifdef GROVE_PLANT_EARLY_ACK
/* A plant for the tests: applies and acknowledges before the log is synced, and never syncs. */
static enum status commit(struct shard *s, struct report *why)
{
	(void)s;
	(void)why;
	return STATUS_OK;
}
#else
static enum status commit(struct shard *s, struct report *why) { return wal_commit(s->wal, why); }
#endif

static void group_commit(struct shard *s, struct group *g)
{
	struct report why = {0};
	enum status status;

	if (!g->count) return;
	status = commit(s, &why);
	if (status == STATUS_OK) {
		group_apply(s, g);
	} else {
		bool certain = status == STATUS_DISK_FULL;
		for (uint32_t i = 0; i < g->count; i++)
			refuse(g->items[i].write, g->items[i].item, certain ? ITEM_REJECTED : ITEM_UNKNOWN, certain ? status : STATUS_UNKNOWN, report_text(&why));
		if (!certain) shard_stop(s, &why);
	}
	group_empty(g);
}

/* ---- taking in ---- */

/* Free space after so many bytes more: enough for this kind of write? */
static enum status check_disk(struct shard *s, enum write_kind kind, size_t bytes)
{
	uint64_t free_now, total, reserve;

	if (s->io->ops->free_bytes(s->io, &free_now, &total) != STATUS_OK) return STATUS_OK; /* the write itself will tell */
	reserve = total / DISK_RESERVE_PARTS < DISK_RESERVE_BYTES ? total / DISK_RESERVE_PARTS : DISK_RESERVE_BYTES;
	if (kind == WRITE_DELETE) reserve /= 2;
	return free_now >= reserve && free_now - reserve >= bytes ? STATUS_OK : STATUS_DISK_FULL;
}

static size_t write_bytes(const struct shard_write *w)
{
	size_t row = w->kind == WRITE_UPSERT ? 4 * (size_t)w->items.dim : 0;

	return w->items.n * (row + 96) + w->items.keys.bytes_size + w->items.payloads.bytes_size;
}

static enum status check_write(struct shard *s, const struct shard_write *w)
{
	if (w->epoch != s->identity.epoch) return STATUS_STALE;
	if (w->kind == WRITE_UPSERT) {
		bool bits = s->identity.metric == METRIC_HAMMING;
		if (w->items.dim != s->identity.dim || bits != (w->items.dtype == DTYPE_BITS)) return STATUS_BAD_REQUEST;
	}
	return check_disk(s, w->kind, write_bytes(w));
}

/* The write's rows as they are stored: in place, or widened from u8 into memory of the group. */
static enum status stored_rows(struct group *g, const struct shard_write *w, const uint8_t **ret_rows, size_t *ret_row_bytes)
{
	uint32_t dim = w->items.dim;

	if (w->kind == WRITE_DELETE) {
		*ret_rows = NULL;
		*ret_row_bytes = 0;
		return STATUS_OK;
	}
	if (w->items.dtype != DTYPE_U8) {
		*ret_rows = w->items.vectors;
		*ret_row_bytes = dtype_row_bytes(w->items.dtype, dim);
		return STATUS_OK;
	}
	float *rows = malloc(w->items.n * (size_t)dim * sizeof(float) + 1);
	if (!rows) return STATUS_NO_MEMORY;
	g->widened[g->widened_count++] = rows;
	for (uint32_t i = 0; i < w->items.n; i++) vec_store(DTYPE_U8, w->items.vectors + (size_t)i * dim, dim, rows + (size_t)i * dim);
	*ret_rows = (const uint8_t *)rows;
	*ret_row_bytes = 4 * (size_t)dim;
	return STATUS_OK;
}

static bool key_clashes(struct shard *s, uint64_t id, struct blob key)
{
	struct place p = shard_locate(s->view, id);
	struct segment_bytes old = p.found ? place_key(&p) : (struct segment_bytes){0};

	return old.size && (old.size != key.size || memcmp(old.bytes, key.bytes, key.size));
}

static void take_item(struct shard *s, struct group *g, struct shard_write *w, uint32_t i, const uint8_t *row, size_t row_bytes, struct blob key, struct blob payload)
{
	uint64_t id = load_u64(w->items.ids + 8 * (size_t)i);
	enum status status;

	if (key.size && w->kind == WRITE_UPSERT) {
		if (group_has(g, id)) {
			group_commit(s, g);
			if (shard_stopped(s)) {
				refuse(w, i, ITEM_REJECTED, STATUS_STOPPED, status_text(STATUS_STOPPED));
				return;
			}
		}
		if (key_clashes(s, id, key)) {
			refuse(w, i, ITEM_REJECTED, STATUS_CONFLICT, "the item's id belongs to another key: choose another key, or address that item by its own");
			return;
		}
	}
	struct wal_record r = {.epoch = w->epoch, .sequence = wal_next(s->wal), .client = w->client, .request = w->request,
		.kind = w->kind == WRITE_UPSERT ? WAL_UPSERT : WAL_DELETE, .id = id, .dtype = metric_dtype(s->identity.metric),
		.dim = w->kind == WRITE_UPSERT ? w->items.dim : 0, .vector = row ? row + i * row_bytes : NULL, .key = key.bytes, .key_size = (uint16_t)key.size,
		.payload = payload.bytes, .payload_size = payload.size};
	status = wal_append(s->wal, &r);
	if (status == STATUS_LIMIT) {
		group_commit(s, g);
		r.sequence = wal_next(s->wal);
		status = shard_stopped(s) ? STATUS_STOPPED : wal_append(s->wal, &r);
	}
	if (status != STATUS_OK) {
		refuse(w, i, ITEM_REJECTED, status, status_text(status));
		return;
	}
	group_add(g, (struct pending){w, i}, &r);
}

static void take_write(struct shard *s, struct group *g, struct shard_write *w)
{
	struct blob_cursor keys = {0}, payloads = {0};
	const uint8_t *rows = NULL;
	size_t row_bytes = 0;
	enum status status = check_write(s, w);

	if (status == STATUS_OK) status = stored_rows(g, w, &rows, &row_bytes);
	if (status != STATUS_OK) {
		refuse_all(w, status, status_text(status));
		return;
	}
	for (uint32_t i = 0; i < w->items.n; i++) {
		struct blob key = blobs_next(&w->items.keys, &keys), payload = blobs_next(&w->items.payloads, &payloads);
		if (w->kind == WRITE_DELETE) payload = (struct blob){0};
		take_item(s, g, w, i, rows, row_bytes, key, payload);
	}
}

static void run_group(struct shard *s, struct shard_write **writes, uint32_t count)
{
	struct group g = {0};
	uint32_t items = 0;
	size_t blobs = 0;

	for (uint32_t i = 0; i < count; i++) {
		items += writes[i]->items.n;
		blobs += writes[i]->items.keys.bytes_size + writes[i]->items.payloads.bytes_size;
	}
	enum status status = shard_stopped(s) ? STATUS_STOPPED : group_init(&g, items, count);
	if (status == STATUS_OK) status = memtable_reserve(s->view->memtables[s->view->memtable_count - 1]->table, items, blobs, items);
	for (uint32_t i = 0; i < count; i++) {
		if (status == STATUS_OK && shard_stopped(s)) status = STATUS_STOPPED;
		if (status == STATUS_OK)
			take_write(s, &g, writes[i]);
		else
			refuse_all(writes[i], status, status_text(status));
	}
	group_commit(s, &g); /* also where a build stopped the shard meanwhile: what was taken has no answer yet */
	group_release(&g);
	for (uint32_t i = 0; i < count; i++) writes[i]->done(writes[i]);
}

/* ---- the thread ---- */

/* Move a group's worth out of the queue; called with the lock. */
static uint32_t take_queue(struct shard *s, struct shard_write **out)
{
	uint32_t n = 0;
	size_t bytes = 0;

	while (s->queue_count > 0 && (n == 0 || bytes + write_bytes(s->queue[s->queue_first]) <= GROUP_BYTES_MAX)) {
		out[n] = s->queue[s->queue_first];
		bytes += write_bytes(out[n++]);
		s->queue_first = (s->queue_first + 1) % SHARD_WRITES_PENDING_MAX;
		s->queue_count--;
	}
	s->queue_bytes -= bytes;
	return n;
}

void *shard_writer_main(void *shard)
{
	struct shard *s = shard;
	struct shard_write *writes[SHARD_WRITES_PENDING_MAX];

	pthread_mutex_lock(&s->lock);
	for (;;) {
		while (!s->queue_count && s->control == CONTROL_NONE && (!s->closing || s->builder_runs)) pthread_cond_wait(&s->wake, &s->lock);
		enum control control = s->control;
		struct installation *in = s->installation;
		uint32_t n = take_queue(s, writes);
		if (!n && control == CONTROL_NONE) break; /* closing, and nothing left */
		pthread_mutex_unlock(&s->lock);
		atomic_store_explicit(&s->writer_busy, true, memory_order_relaxed);
		if (n) run_group(s, writes, n);
		if (control != CONTROL_NONE) shard_run_control(s, control, in);
		atomic_store_explicit(&s->writer_busy, false, memory_order_relaxed);
		atomic_fetch_add_explicit(&s->pulse, 1, memory_order_relaxed);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

void shard_submit(struct shard *s, struct shard_write *w)
{
	enum status refusal = STATUS_OK;
	struct report why = {0};

	w->report = (struct report){0};
	w->out_epoch = w->out_sequence = 0;
	memset(w->results, ITEM_REJECTED, w->items.n);
	pthread_mutex_lock(&s->lock);
	if (s->state == SHARD_STOPPED) {
		refusal = STATUS_STOPPED;
		why = s->reason;
	} else if (s->closing) {
		refusal = STATUS_STOPPED;
	} else if (s->queue_count == SHARD_WRITES_PENDING_MAX || s->queue_bytes + write_bytes(w) > SHARD_WRITE_BYTES_PENDING_MAX) {
		refusal = STATUS_BUSY;
	} else {
		s->queue[(s->queue_first + s->queue_count++) % SHARD_WRITES_PENDING_MAX] = w;
		s->queue_bytes += write_bytes(w);
		pthread_cond_signal(&s->wake);
	}
	pthread_mutex_unlock(&s->lock);
	if (refusal == STATUS_OK) return;
	refuse_all(w, refusal, why.text[0] ? why.text : status_text(refusal));
	w->done(w);
}
