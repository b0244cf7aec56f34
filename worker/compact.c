/* compact.c - a build: everything that is live at one sequence becomes one segment with a new forest.
 *
 * 1 freeze (writer): a new log file and a new active memtable; what came before stands still.
 * 2 gather (runner): the live rows at that sequence, by ascending id, so that the same items give the same bytes wherever they were.
 * 3 forest, codes and graph (runner): the order of tree 0 becomes the order of the rows, which are gathered once more.
 * 4 efforts (runner) and, beside them, the segment: written, and then synced, renamed, opened again and verified.
 * 5 install (writer): deaths since then are carried over; the manifest is replaced, which is the commit; then old files go.
 * A failure before 5 leaves the shard as it was, with one more frozen memtable; a crash anywhere leaves the old or the new.
 *
 * Memory: one copy of the live rows, and what ann.h needs, until the segment is written. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "worker/shard_internal.h"

enum { COPY_ROWS = 512 };

struct source { uint64_t id; uint32_t part, row; }; /* part: segments first, then memtables */

struct build {
	struct shard *shard;
	uint32_t trees;
	uint64_t seed;
	struct runner *runner;
	void (*done)(void *arg, const struct report *report, uint64_t items);
	void *arg;

	struct snapshot *snap;
	struct source *sources; /* by id */
	uint32_t n;
	uint8_t *vectors;       /* rows in the order of `sources` */
	float *norm2;
	uint64_t *ids, *sequences; /* first by id, then in the new order */
	uint32_t *new_of_old, *old_of_new;
	struct segment_tombstone *tombstones;
	uint64_t tombstone_count;
	bool any_payload, any_key;
};

static bool cancelled(void *arg)
{
	struct shard *s = arg;

	return atomic_load_explicit(&s->build_cancelled, memory_order_relaxed);
}

/* Forgets what was gathered; the order stands. */
static void build_release(struct build *b)
{
	struct build empty = {.shard = b->shard, .trees = b->trees, .seed = b->seed, .runner = b->runner, .done = b->done, .arg = b->arg};

	snapshot_release(&b->snap);
	free(b->sources);
	free(b->vectors);
	free(b->norm2);
	free(b->ids);
	free(b->sequences);
	free(b->new_of_old);
	free(b->old_of_new);
	free(b->tombstones);
	*b = empty;
}

/* ---- gathering ---- */

static struct segment_bytes source_payload(const struct build *b, const struct source *s)
{
	const struct view *v = b->snap->view;

	if (s->part < v->segment_count) return segment_payload(v->segments[s->part]->segment, s->row);
	return memtable_payload(v->memtables[s->part - v->segment_count]->table, s->row);
}

static struct segment_bytes source_key(const struct build *b, const struct source *s)
{
	const struct view *v = b->snap->view;

	if (s->part < v->segment_count) return segment_key(v->segments[s->part]->segment, s->row);
	return memtable_key(v->memtables[s->part - v->segment_count]->table, s->row);
}

static const void *source_vector(const struct build *b, const struct source *s)
{
	const struct view *v = b->snap->view;

	if (s->part >= v->segment_count) return memtable_vector(v->memtables[s->part - v->segment_count]->table, s->row);
	struct rows rows = segment_rows(v->segments[s->part]->segment);
	return rows_row(&rows, s->row);
}

static uint64_t source_sequence(const struct build *b, const struct source *s)
{
	const struct view *v = b->snap->view;

	if (s->part >= v->segment_count) return memtable_sequence(v->memtables[s->part - v->segment_count]->table, s->row);
	return segment_sequence(v->segments[s->part]->segment, s->row);
}

static int by_id(const void *a, const void *b)
{
	uint64_t x = ((const struct source *)a)->id, y = ((const struct source *)b)->id;
	return x < y ? -1 : x > y;
}

/* Rows of all parts but the active memtable that live at the snapshot. */
static enum status list_sources(struct build *b)
{
	const struct view *v = b->snap->view;
	uint64_t room = 0, at = b->snap->sequence;

	for (uint32_t i = 0; i < v->segment_count; i++) room += segment_info(v->segments[i]->segment)->n;
	for (uint32_t i = 0; i + 1 < v->memtable_count; i++) room += v->frozen_rows[i];
	b->sources = malloc((room + 1) * sizeof(*b->sources));
	if (!b->sources) return STATUS_NO_MEMORY;
	for (uint32_t i = 0; i < v->segment_count; i++) {
		struct rows rows = segment_rows(v->segments[i]->segment);
		for (uint32_t r = 0; r < rows.n; r++) {
			uint64_t dead = livemap_dead_at(&v->segments[i]->live, r);
			if (dead == 0 || dead > at) b->sources[b->n++] = (struct source){rows.ids[r], i, r};
		}
	}
	for (uint32_t i = 0; i + 1 < v->memtable_count; i++)
		for (uint32_t r = 0; r < v->frozen_rows[i]; r++) {
			const struct memtable *m = v->memtables[i]->table;
			uint64_t dead = memtable_dead_at(m, r);
			if (dead == 0 || dead > at) b->sources[b->n++] = (struct source){memtable_id(m, r), v->segment_count + i, r};
		}
	/* Items that came with ascending ids are in order. */
	for (uint32_t i = 1; i < b->n; i++)
		if (b->sources[i - 1].id > b->sources[i].id) {
			qsort(b->sources, b->n, sizeof(*b->sources), by_id);
			break;
		}
	return STATUS_OK;
}

static int by_tombstone(const void *a, const void *b)
{
	const struct segment_tombstone *x = a, *y = b;
	if (x->id != y->id) return x->id < y->id ? -1 : 1;
	return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

/* The deletions since the last segment outlive their log by one segment: the newest for each id. */
static enum status gather_tombstones(struct build *b)
{
	const struct view *v = b->snap->view;
	uint64_t room = 0, count, kept = 0;

	for (uint32_t i = 0; i + 1 < v->memtable_count; i++) {
		memtable_tombstones(v->memtables[i]->table, &count);
		room += count;
	}
	b->tombstones = malloc((room + 1) * sizeof(*b->tombstones));
	if (!b->tombstones) return STATUS_NO_MEMORY;
	for (uint32_t i = 0; i + 1 < v->memtable_count; i++) {
		const struct segment_tombstone *from = memtable_tombstones(v->memtables[i]->table, &count);
		if (count) memcpy(b->tombstones + b->tombstone_count, from, count * sizeof(*from));
		b->tombstone_count += count;
	}
	qsort(b->tombstones, b->tombstone_count, sizeof(*b->tombstones), by_tombstone);
	for (uint64_t i = 0; i < b->tombstone_count; i++)
		if (i + 1 == b->tombstone_count || b->tombstones[i + 1].id != b->tombstones[i].id) b->tombstones[kept++] = b->tombstones[i];
	b->tombstone_count = kept;
	return STATUS_OK;
}

/* Runs of rows are copied by all threads. */
struct copying {
	struct build *build;
	_Atomic bool payload, key;
};

static void copy_row(struct build *b, uint32_t source, uint32_t to)
{
	const struct shard_identity *id = &b->shard->identity;
	size_t stride = rows_stride(id->metric, id->dim);
	const struct source *s = &b->sources[source];

	memcpy(b->vectors + to * stride, source_vector(b, s), stride);
	b->norm2[to] = vec_norm2(id->metric, b->vectors + to * stride, id->dim);
	b->ids[to] = s->id;
}

static uint32_t copy_end(const struct build *b, size_t piece)
{
	uint32_t first = (uint32_t)piece * COPY_ROWS;

	if (cancelled(b->shard)) return first;
	return b->n - first < COPY_ROWS ? b->n : first + COPY_ROWS;
}

static void gather_piece(void *arg, size_t piece)
{
	struct copying *c = arg;
	struct build *b = c->build;
	bool payload = false, key = false;

	for (uint32_t i = (uint32_t)piece * COPY_ROWS, end = copy_end(b, piece); i < end; i++) {
		copy_row(b, i, i);
		payload |= source_payload(b, &b->sources[i]).size > 0;
		key |= source_key(b, &b->sources[i]).size > 0;
	}
	if (payload) atomic_store_explicit(&c->payload, true, memory_order_relaxed);
	if (key) atomic_store_explicit(&c->key, true, memory_order_relaxed);
}

/* From where they were, rather than from the first copy: no row is in memory twice, and none waits for another to leave its place. */
static void reorder_piece(void *arg, size_t piece)
{
	struct copying *c = arg;
	struct build *b = c->build;

	for (uint32_t i = (uint32_t)piece * COPY_ROWS, end = copy_end(b, piece); i < end; i++) {
		copy_row(b, b->old_of_new[i], i);
		b->sequences[i] = source_sequence(b, &b->sources[b->old_of_new[i]]);
	}
}

static enum status copy(struct copying *c, void (*piece)(void *arg, size_t i))
{
	struct build *b = c->build;

	b->runner->run(b->runner, ((size_t)b->n + COPY_ROWS - 1) / COPY_ROWS, piece, c);
	return cancelled(b->shard) ? STATUS_CANCELLED : STATUS_OK;
}

static enum status gather(struct build *b)
{
	const struct shard_identity *id = &b->shard->identity;
	size_t stride = rows_stride(id->metric, id->dim), n;
	struct copying copying = {.build = b};
	enum status status = list_sources(b);

	if (status == STATUS_OK) status = gather_tombstones(b);
	if (status != STATUS_OK) return status;
	n = b->n ? b->n : 1;
	b->vectors = aligned_alloc(64, (n * stride + 63) & ~(size_t)63);
	b->norm2 = malloc(n * sizeof(*b->norm2));
	b->ids = malloc(n * sizeof(*b->ids));
	b->sequences = malloc(n * sizeof(*b->sequences));
	b->new_of_old = malloc(n * sizeof(*b->new_of_old));
	b->old_of_new = malloc(n * sizeof(*b->old_of_new));
	if (!b->vectors || !b->norm2 || !b->ids || !b->sequences || !b->new_of_old || !b->old_of_new) return STATUS_NO_MEMORY;
	status = copy(&copying, gather_piece);
	b->any_payload = atomic_load(&copying.payload);
	b->any_key = atomic_load(&copying.key);
	return status;
}

/* ---- the segment ---- */

static const void *content_row(void *arg, uint32_t i)
{
	const struct build *b = arg;
	return b->vectors + i * rows_stride(b->shard->identity.metric, b->shard->identity.dim);
}

static struct segment_bytes content_payload(void *arg, uint32_t i)
{
	const struct build *b = arg;
	return source_payload(b, &b->sources[b->old_of_new[i]]);
}

static struct segment_bytes content_key(void *arg, uint32_t i)
{
	const struct build *b = arg;
	return source_key(b, &b->sources[b->old_of_new[i]]);
}

/* A segment that no manifest knows. */
static void remove_unused(struct shard *s, uint64_t number)
{
	char name[SEGMENT_NAME_SIZE], path[SHARD_DIR_MAX + SEGMENT_NAME_SIZE + 2];

	segment_file_name(number, name);
	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	enum status ignored = s->io->ops->remove(s->io, path); /* swept at the next open if it stays */
	(void)ignored;
}

/* Everything into the order that the forest found. */
static enum status reorder(struct build *b)
{
	struct copying copying = {.build = b};

	for (uint32_t i = 0; i < b->n; i++) b->old_of_new[b->new_of_old[i]] = i;
	return copy(&copying, reorder_piece);
}

/* The file is written while the efforts are measured: neither takes all threads all the time. */
static enum status tune_and_write(struct build *b, struct ann *ann, const struct rows *rows, struct manifest_segment *ret, struct report *report)
{
	struct shard *s = b->shard;
	struct pulse pulse = {cancelled, s};
	struct segment_content content = {.number = s->manifest.next_segment, .epoch = s->identity.epoch, .seed = b->seed, .modulus = s->identity.shards,
		.remainder = s->identity.number, .n = b->n, .ids = b->ids, .by_id = b->new_of_old, .sequences = b->sequences, .ann = ann_as_view(ann),
		.tombstones = b->tombstones, .tombstone_count = b->tombstone_count, .row = content_row, .payload = b->any_payload ? content_payload : NULL,
		.key = b->any_key ? content_key : NULL, .arg = b, .runner = b->runner, .pulse = &pulse};
	struct segment_writer *writer = NULL;
	struct runner_beside beside;

	content.ann.tune.count = content.ann.graph.n > 0; /* a graph has efforts */
	enum status status = segment_writer_new(s->io, s->dir, &s->identity, &content, &writer, report);
	if (status != STATUS_OK) return status;
	runner_beside_init(&beside, b->runner, segment_writer_step, writer);
	status = ann_tune(ann, rows, b->seed, &beside.runner, &pulse);
	if (status == STATUS_OK) {
		struct ann_view view = ann_as_view(ann);
		status = segment_writer_finish(&writer, &view.tune, ret, report);
	} else {
		report_set(report, status, "%s", status_text(status));
	}
	segment_writer_free(&writer);
	return status;
}

static enum status write_segment(struct build *b, struct ann *ann, const struct rows *rows, struct installation *in, struct report *report)
{
	struct shard *s = b->shard;
	struct segment *segment = NULL;
	uint64_t number = s->manifest.next_segment;
	enum status status = tune_and_write(b, ann, rows, &in->entry, report);

	if (status == STATUS_OK) status = segment_open(s->io, s->dir, &s->identity, &in->entry, b->runner, &segment, report);
	if (status == STATUS_OK) in->segment = live_segment_new(&segment);
	if (status == STATUS_OK && !in->segment) status = report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	segment_close(&segment);
	if (status != STATUS_OK) remove_unused(s, number); /* where it was written, but could not be opened */
	return status;
}

static enum status build_ann(struct build *b, const struct rows *rows, struct ann **ret)
{
	struct shard *s = b->shard;
	struct pulse pulse = {cancelled, s};
	struct forest_params params = {b->trees, b->seed};

	atomic_store(&s->build_progress, 0);
	atomic_store(&s->build_total, ann_build_steps(rows->metric, b->n, b->trees) * 8 / 7 + 1); /* the last eighth is the measuring and the writing */
	for (uint32_t i = 0; i < b->n; i++) b->new_of_old[i] = i; /* a forest without trees has no order of its own */
	enum status status = ann_build(rows, &params, b->runner, &s->build_progress, &pulse, b->new_of_old, ret);
	return status == STATUS_OK ? reorder(b) : status;
}

static enum status build_segment(struct build *b, struct installation *in, struct report *report)
{
	const struct shard_identity *id = &b->shard->identity;
	struct ann *ann = NULL;
	enum status status = gather(b);
	struct rows rows = {.metric = id->metric, .dim = id->dim, .n = b->n, .stride = rows_stride(id->metric, id->dim), .base = b->vectors,
		.norm2 = b->norm2, .ids = b->ids};

	if (status == STATUS_OK) status = build_ann(b, &rows, &ann);
	if (status != STATUS_OK)
		report_set(report, status, "%s", status_text(status));
	else
		status = write_segment(b, ann, &rows, in, report);
	ann_free(&ann);
	return status;
}

/* From the freeze to the installed segment. */
static enum status build_once(struct build *b, struct report *report, bool *ret_partial)
{
	struct shard *s = b->shard;
	struct installation in = {0};
	enum status status = shard_control(s, CONTROL_FREEZE, &in, report);

	if (status == STATUS_OK) status = snapshot_pin(s, &b->snap, report);
	if (status != STATUS_OK) return status;
	/* The active memtable may have rows already: the segment ends where the frozen ones do. */
	b->snap->sequence = in.sequence;
	status = build_segment(b, &in, report);
	if (status == STATUS_OK && cancelled(s)) status = report_set(report, STATUS_CANCELLED, "%s", status_text(STATUS_CANCELLED));
	if (status == STATUS_OK) status = shard_control(s, CONTROL_INSTALL, &in, report);
	if (in.segment) { /* not installed; after other failures the manifest may know it */
		live_segment_release(&in.segment);
		if (status == STATUS_DISK_FULL || status == STATUS_NO_MEMORY || status == STATUS_CANCELLED) remove_unused(s, in.entry.number);
	}
	if (status == STATUS_OK) *ret_partial = in.partial;
	return status;
}

static enum status build_run(struct build *b, struct report *report, uint64_t *ret_items)
{
	enum status status;
	bool partial = false;

	do {
		build_release(b);
		status = build_once(b, report, &partial);
	} while (status == STATUS_OK && partial); /* once more at most: now there is room to freeze */
	if (status == STATUS_OK) *ret_items = b->n;
	return status;
}

/* ---- the thread ---- */

/* From here on another build may be ordered: by `done` itself, too. */
static void build_free_place(struct shard *s)
{
	pthread_mutex_lock(&s->lock);
	if (s->state == SHARD_BUILDING) s->state = SHARD_SERVING;
	s->build = NULL;
	pthread_mutex_unlock(&s->lock);
}

static void build_carry_out(struct build *b)
{
	struct shard *s = b->shard;
	struct report report = {0};
	uint64_t items = 0;

	report.status = build_run(b, &report, &items);
	/* Storage that fails stops the shard (P13); want of space, memory or patience does not. */
	if (report.status == STATUS_IO || report.status == STATUS_CORRUPT) shard_stop(s, &report);
	if (report.status != STATUS_OK && report.status != STATUS_CANCELLED)
		log_warn("build of shard %u of index '%s' failed: %s", s->identity.number, s->identity.name, report_text(&report));
	build_release(b);
	build_free_place(s);
	b->done(b->arg, &report, items);
	free(b);
}

/* Lives from the first build to shard_close(). What was ordered is told of, also when the shard is closing: cancelled then. */
static void *builder_main(void *shard)
{
	struct shard *s = shard;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		while (!s->build && !s->closing) pthread_cond_wait(&s->ordered, &s->lock);
		struct build *b = s->build;
		if (!b) break;
		pthread_mutex_unlock(&s->lock);
		build_carry_out(b);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* With the lock. */
static enum status build_order(struct shard *s, struct build *b)
{
	if (s->state == SHARD_STOPPED || s->closing) return STATUS_STOPPED;
	if (s->build) return STATUS_BUSY;
	if (!s->builder_runs) s->builder_runs = pthread_create(&s->builder, NULL, builder_main, s) == 0;
	if (!s->builder_runs) return STATUS_NO_MEMORY;
	atomic_store(&s->build_cancelled, false);
	atomic_store(&s->build_progress, 0);
	atomic_store(&s->build_total, 0);
	s->state = SHARD_BUILDING;
	s->build = b;
	pthread_cond_signal(&s->ordered);
	return STATUS_OK;
}

enum status shard_build(struct shard *s, uint32_t trees, uint64_t seed, struct runner *runner,
	void (*done)(void *arg, const struct report *report, uint64_t items), void *arg)
{
	struct build *b = calloc(1, sizeof(*b));

	if (!b) return STATUS_NO_MEMORY;
	*b = (struct build){.shard = s, .trees = trees ? trees : s->identity.trees, .seed = seed, .runner = runner, .done = done, .arg = arg};
	pthread_mutex_lock(&s->lock);
	enum status status = build_order(s, b);
	pthread_mutex_unlock(&s->lock);
	if (status != STATUS_OK) free(b);
	return status;
}

void shard_build_cancel(struct shard *s) { atomic_store(&s->build_cancelled, true); }
