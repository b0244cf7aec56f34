/* shard.c - a shard's life: made, opened, reported on, closed; its views and parts. */
#include "worker/shard_internal.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/log.h"

/* ---- parts and views ---- */

struct live_segment *live_segment_new(struct segment **take)
{
	struct live_segment *s = calloc(1, sizeof(*s));

	if (!s || livemap_init(&s->live, segment_info(*take)->n) != STATUS_OK) {
		free(s);
		return NULL;
	}
	atomic_init(&s->refs, 1);
	pthread_mutex_init(&s->memo_lock, NULL);
	s->segment = *take;
	s->number = segment_info(*take)->number;
	*take = NULL;
	return s;
}

void live_segment_release(struct live_segment **segment)
{
	struct live_segment *s = *segment;

	*segment = NULL;
	if (!s || atomic_fetch_sub(&s->refs, 1) > 1) return;
	segment_close(&s->segment);
	livemap_release(&s->live);
	pthread_mutex_destroy(&s->memo_lock);
	free(s);
}

enum status live_memtable_new(const struct shard_identity *id, struct live_memtable **ret)
{
	struct live_memtable *m = calloc(1, sizeof(*m));
	enum status status = m ? memtable_new(id->metric, id->dim, &m->table) : STATUS_NO_MEMORY;

	if (status != STATUS_OK) {
		free(m);
		return status;
	}
	atomic_init(&m->refs, 1);
	*ret = m;
	return STATUS_OK;
}

void live_memtable_release(struct live_memtable **memtable)
{
	struct live_memtable *m = *memtable;

	*memtable = NULL;
	if (!m || atomic_fetch_sub(&m->refs, 1) > 1) return;
	memtable_free(&m->table);
	free(m);
}

struct view *view_copy(const struct view *from)
{
	struct view *v = calloc(1, sizeof(*v));

	if (!v) return NULL;
	/* All but the count of references, which others are changing. */
	if (from) memcpy(&v->segment_count, &from->segment_count, sizeof(*v) - offsetof(struct view, segment_count));
	atomic_init(&v->refs, 1);
	for (uint32_t i = 0; i < v->segment_count; i++) atomic_fetch_add(&v->segments[i]->refs, 1);
	for (uint32_t i = 0; i < v->memtable_count; i++) atomic_fetch_add(&v->memtables[i]->refs, 1);
	return v;
}

void view_release(struct view **view)
{
	struct view *v = *view;

	*view = NULL;
	if (!v || atomic_fetch_sub(&v->refs, 1) > 1) return;
	for (uint32_t i = 0; i < v->segment_count; i++) live_segment_release(&v->segments[i]);
	for (uint32_t i = 0; i < v->memtable_count; i++) live_memtable_release(&v->memtables[i]);
	free(v);
}

/* ---- applying ---- */

struct place shard_locate(const struct view *v, uint64_t id)
{
	for (uint32_t i = v->memtable_count; i-- > 0;) {
		struct memtable *m = v->memtables[i]->table;
		int64_t row = memtable_find(m, id, UINT32_MAX);
		if (row >= 0 && !memtable_dead_at(m, (uint32_t)row)) return (struct place){.memtable = v->memtables[i], .row = (uint32_t)row, .found = true};
	}
	for (uint32_t i = v->segment_count; i-- > 0;) {
		int64_t row = segment_find(v->segments[i]->segment, id);
		if (row >= 0 && !livemap_dead_at(&v->segments[i]->live, (uint32_t)row))
			return (struct place){.segment = v->segments[i], .row = (uint32_t)row, .found = true};
	}
	return (struct place){0};
}

struct segment_bytes place_key(const struct place *p)
{
	return p->memtable ? memtable_key(p->memtable->table, p->row) : segment_key(p->segment->segment, p->row);
}

/* A delete by key leaves an item alone that another key, or none, put under the same id: that is another item, as it is to a get. */
static bool another_item(const struct wal_record *r, const struct place *p)
{
	if (r->kind != WAL_DELETE || !r->key_size || !p->found) return false;
	struct segment_bytes key = place_key(p);
	return key.size != r->key_size || memcmp(key.bytes, r->key, key.size) != 0;
}

int shard_apply(struct view *v, const struct wal_record *r)
{
	struct memtable *active = v->memtables[v->memtable_count - 1]->table;
	struct place old = shard_locate(v, r->id);

	if (another_item(r, &old)) return 0;
	if (r->kind == WAL_UPSERT)
		memtable_append(active, r->id, r->sequence, r->vector, (struct segment_bytes){r->key, r->key_size}, (struct segment_bytes){r->payload, r->payload_size});
	else if (old.found)
		memtable_bury(active, r->id, r->sequence);
	if (old.memtable) memtable_kill(old.memtable->table, old.row, r->sequence);
	if (old.segment) livemap_kill(&old.segment->live, old.row, r->sequence);
	return (r->kind == WAL_UPSERT) - old.found;
}

/* ---- making and opening ---- */

enum status shard_create(struct io *io, const char *dir, const struct shard_identity *identity, struct report *report)
{
	struct manifest m = {.identity = *identity, .next_segment = 1};
	char parent[SHARD_DIR_MAX];
	const char *slash = strrchr(dir, '/');
	enum status status = io->ops->make_dir(io, dir);

	snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - dir) : 0, dir);
	if (status == STATUS_OK) status = io->ops->sync_dir(io, parent);
	if (status != STATUS_OK) return report_set(report, status, "cannot make the shard's folder %s: %s", dir, io_last_error());
	status = wal_create(io, dir, identity->shard, report); /* before the manifest: a shard without a log has lost it */
	if (status != STATUS_OK) return status;
	return manifest_store(io, dir, &m, report);
}

/* Replay: the same path as a live write. */
struct replay { const struct shard_identity *identity; struct view *view; uint64_t items; };

static enum status replay_one(void *arg, const struct wal_record *r)
{
	struct replay *replay = arg;
	struct view *v = replay->view;
	enum status status;

	/* Whole by its checksum, but not of this index: a log from elsewhere. */
	if (r->kind == WAL_UPSERT && (r->dim != replay->identity->dim || r->dtype != metric_dtype(replay->identity->metric))) return STATUS_CORRUPT;
	status = memtable_reserve(v->memtables[v->memtable_count - 1]->table, 1, (size_t)r->key_size + r->payload_size, 1);

	if (status == STATUS_OK) replay->items = (uint64_t)((int64_t)replay->items + shard_apply(v, r));
	return status;
}

static enum status open_segments(struct shard *s, struct view *v, struct report *report)
{
	enum status status = segment_sweep(s->io, s->dir, &s->manifest);

	if (status != STATUS_OK) return report_set(report, status, "cannot clear %s of what a crash left: %s", s->dir, io_last_error());
	for (uint32_t i = 0; i < s->manifest.segment_count; i++) {
		struct segment *segment = NULL;
		status = segment_open(s->io, s->dir, &s->identity, &s->manifest.segments[i], runner_inline(), &segment, report);
		if (status != STATUS_OK) return status;
		struct live_segment *live = live_segment_new(&segment);
		if (!live) {
			segment_close(&segment);
			return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
		}
		v->segments[v->segment_count++] = live;
		s->items += segment_info(live->segment)->n;
	}
	return STATUS_OK;
}

/* Everything below the manifest; what fails here stops the shard but lets it be seen. */
static enum status open_contents(struct shard *s, struct report *report)
{
	struct view *v = view_copy(NULL);
	struct replay replay = {.identity = &s->identity, .view = v};
	uint64_t next = 0;
	enum status status = v ? live_memtable_new(&s->identity, &v->memtables[0]) : STATUS_NO_MEMORY;

	if (status != STATUS_OK) {
		view_release(&v);
		return report_set(report, status, "%s", status_text(status));
	}
	v->memtable_count = 1;
	v->frozen_sequence = s->manifest.sequence;
	status = open_segments(s, v, report);
	replay.items = s->items;
	if (status == STATUS_OK)
		status = wal_open(s->io, s->dir, s->identity.shard, s->manifest.sequence, s->manifest.durable, replay_one, &replay, &s->wal, &next, report);
	if (status != STATUS_OK) {
		/* What the manifest says: the best that can be told of what is missing. */
		s->items = 0;
		for (uint32_t i = 0; i < s->manifest.segment_count; i++) s->items += s->manifest.segments[i].rows;
		view_release(&v);
		return status;
	}
	s->view = v;
	s->items = replay.items;
	s->active_rows = memtable_count(v->memtables[0]->table);
	s->sequence = next - 1;
	s->durable = wal_durable(s->wal);
	s->log_bytes = wal_bytes(s->wal);
	return STATUS_OK;
}

enum status shard_open(struct io *io, const char *dir, struct shard **ret, struct report *report)
{
	struct shard *s = NULL;
	struct manifest manifest;
	struct report why = {0};
	enum status status = manifest_load(io, dir, &manifest, report);

	if (status != STATUS_OK) return status;
	s = calloc(1, sizeof(*s));
	if (!s) return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	s->io = io;
	snprintf(s->dir, sizeof(s->dir), "%s", dir);
	s->manifest = manifest;
	s->identity = manifest.identity;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, NULL);
	pthread_cond_init(&s->answered, NULL);
	pthread_cond_init(&s->ordered, NULL);
	status = open_contents(s, &why);
	if (status == STATUS_OK) {
		s->state = SHARD_SERVING;
		s->writer_runs = pthread_create(&s->writer, NULL, shard_writer_main, s) == 0;
		if (!s->writer_runs) report_set(&why, STATUS_NO_MEMORY, "cannot start the shard's writer thread");
	}
	if (status == STATUS_NO_MEMORY || (status == STATUS_OK && !s->writer_runs)) {
		shard_close(&s, false);
		return report_set(report, STATUS_NO_MEMORY, "%s", report_text(&why));
	}
	if (status != STATUS_OK) {
		why.status = status;
		shard_stop(s, &why);
	}
	*ret = s;
	return STATUS_OK;
}

void shard_stop(struct shard *s, const struct report *why)
{
	pthread_mutex_lock(&s->lock);
	if (s->state != SHARD_STOPPED) {
		s->state = SHARD_STOPPED;
		s->reason = *why;
		log_error("shard %u of index '%s' (%s) stopped: %s", s->identity.number, s->identity.name, s->dir, report_text(why));
	}
	pthread_mutex_unlock(&s->lock);
}

void shard_close(struct shard **shard, bool clean)
{
	struct shard *s = *shard;

	if (!s) return;
	pthread_mutex_lock(&s->lock);
	s->closing = true; /* before the cancel: no build comes after it */
	shard_build_cancel(s);
	bool builder = s->builder_runs;
	pthread_cond_signal(&s->ordered);
	pthread_mutex_unlock(&s->lock);
	if (builder) pthread_join(s->builder, NULL);
	pthread_mutex_lock(&s->lock);
	s->builder_runs = false;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	if (s->writer_runs) pthread_join(s->writer, NULL);
	if (s->wal) wal_close(&s->wal, clean && s->state != SHARD_STOPPED);
	if (s->view) require(atomic_load(&s->view->refs) == 1); /* a snapshot is still pinned */
	view_release(&s->view);
	pthread_cond_destroy(&s->ordered);
	pthread_cond_destroy(&s->answered);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
	*shard = NULL;
}

enum status shard_destroy(struct io *io, const char *dir)
{
	char **names = NULL, path[SHARD_DIR_MAX + 300];
	size_t count = 0;
	enum status status;

	/* The manifest first: a folder without one is no shard, so that a crash leaves nothing half-alive. */
	snprintf(path, sizeof(path), "%s/manifest", dir);
	status = io->ops->remove(io, path);
	if (status == STATUS_OK || status == STATUS_NOT_FOUND) status = io->ops->sync_dir(io, dir);
	if (status == STATUS_OK) status = io->ops->list(io, dir, &names, &count);
	for (size_t i = 0; status == STATUS_OK && i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		status = io->ops->remove(io, path);
	}
	io_names_free(&names, count);
	return status == STATUS_OK ? io->ops->remove_dir(io, dir) : status;
}

/* ---- what it says of itself ---- */

const struct shard_identity *shard_identity(const struct shard *s) { return &s->identity; }

/* The two counters are not read at one instant, and those of two rounds of a build may meet: a beat with more than the whole would be refused. */
static uint32_t build_permille(struct shard *s)
{
	uint64_t progress = atomic_load(&s->build_progress), total = atomic_load(&s->build_total);

	if (!total) return 0;
	return progress < total ? (uint32_t)(progress * 1000 / total) : 1000;
}

void shard_report(struct shard *s, struct shard_report *ret)
{
	struct shard_report r = {.shard = s->identity.shard, .index_id = s->identity.index_id, .number = s->identity.number, .epoch = s->identity.epoch};

	pthread_mutex_lock(&s->lock);
	r.state = s->state;
	r.status = s->state == SHARD_STOPPED ? s->reason.status : STATUS_OK;
	r.sequence = s->durable;
	r.items = s->items;
	r.disk_bytes = s->log_bytes;
	if (s->state == SHARD_BUILDING) r.progress_permille = build_permille(s);
	for (uint32_t i = 0; s->view && i < s->view->memtable_count; i++) r.memory_bytes += memtable_bytes(s->view->memtables[i]->table);
	for (uint32_t i = 0; s->view && i < s->view->segment_count; i++) {
		const struct segment_info *info = segment_info(s->view->segments[i]->segment);
		r.segments++;
		r.memory_bytes += info->file_size;
		r.disk_bytes += info->file_size;
		r.trees = info->trees;
	}
	pthread_mutex_unlock(&s->lock);
	*ret = r;
}

/* Under the lock, which the writer takes before each group. */
void shard_watch_syncs(struct shard *s, struct histogram *seconds)
{
	pthread_mutex_lock(&s->lock);
	if (s->wal) wal_watch_syncs(s->wal, seconds);
	pthread_mutex_unlock(&s->lock);
}

uint64_t shard_memtable_rows(struct shard *s)
{
	pthread_mutex_lock(&s->lock);
	uint64_t rows = s->active_rows;
	for (uint32_t i = 0; s->view && i + 1 < s->view->memtable_count; i++) rows += s->view->frozen_rows[i];
	pthread_mutex_unlock(&s->lock);
	return rows;
}

uint64_t shard_pulse(const struct shard *s, bool *ret_busy)
{
	*ret_busy = atomic_load_explicit(&s->writer_busy, memory_order_relaxed);
	return atomic_load_explicit(&s->pulse, memory_order_relaxed);
}
