/* verbs.c - the requests that are no searches: get, write, build, open, drop. Each is a task with what its bearer needs around it. */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/cursor.h"
#include "worker/background.h"
#include "worker/task.h"

static void refuse(struct task *take, enum status status, const char *text)
{
	struct report why;

	report_set(&why, status, "%s", text);
	task_refuse(take, &why);
	task_release(take);
}

/* The task moved into new memory of `size` bytes, at `offset`; NULL: refused for want of memory. */
static void *carry(struct task *take, size_t size, size_t offset)
{
	char *memory = calloc(1, size);

	if (!memory) {
		refuse(take, STATUS_NO_MEMORY, "the worker has no memory for the request");
		return NULL;
	}
	memcpy(memory + offset, take, sizeof(*take));
	*take = (struct task){0};
	return memory;
}

/* ---- get ---- */

struct get { struct pool_job job; struct task task; struct held *held; }; /* job first */

struct got { uint8_t *vectors, *found; struct buf payload_lengths, payloads, key_lengths, keys; };

static enum status append_blob(struct buf *lengths, struct buf *bytes, struct blob blob)
{
	uint8_t size[4];

	store_u32(size, blob.size);
	enum status status = buf_append(lengths, size, sizeof(size));
	return status == STATUS_OK ? buf_append(bytes, blob.bytes, blob.size) : status;
}

static bool same_key(struct blob asked, struct blob stored)
{
	return asked.size == 0 || (asked.size == stored.size && !memcmp(asked.bytes, stored.bytes, asked.size));
}

/* Look every id up. An item whose key is another than the one asked for is another item. */
static enum status gather(const struct cluster_get *ask, const struct snapshot *snapshot, size_t row, struct got *got, struct pool_thread *thread)
{
	struct blob_cursor cursor = {0};
	enum status status = STATUS_OK;

	for (uint32_t i = 0; i < ask->n && status == STATUS_OK; i++) {
		struct item_view view = {0};
		struct blob asked = blobs_next(&ask->keys, &cursor);
		bool found = snapshot_get(snapshot, load_u64(ask->ids + 8 * (size_t)i), &view) && same_key(asked, view.key);
		if (!found) view = (struct item_view){0};
		got->found[i] = found;
		if (found) memcpy(got->vectors + i * row, view.vector, row);
		status = append_blob(&got->payload_lengths, &got->payloads, view.payload);
		if (status == STATUS_OK) status = append_blob(&got->key_lengths, &got->keys, view.key);
		atomic_fetch_add_explicit(thread->progress, 1, memory_order_relaxed);
	}
	return status;
}

static enum status get_answer(struct get *g, struct got *got, struct pool_thread *thread, struct report *report)
{
	const struct cluster_get *ask = &g->task.request.get;
	const struct shard_identity *identity = shard_identity(g->held->shard);
	enum dtype dtype = metric_dtype(identity->metric);
	size_t row = dtype_row_bytes(dtype, identity->dim);
	struct snapshot *snapshot = NULL;

	if (ask->n * row > PEER_FRAME_MAX)
		return report_set(report, STATUS_LIMIT, "%u items of %zu bytes are more than the %d that an answer may have: ask for fewer at once", ask->n, row, PEER_FRAME_MAX);
	enum status status = snapshot_pin(g->held->shard, &snapshot, report);
	if (status != STATUS_OK) return status;
	buf_init(&got->payloads, PEER_FRAME_MAX);
	got->vectors = calloc(ask->n, row);
	got->found = calloc(ask->n, 1);
	status = got->vectors && got->found ? gather(ask, snapshot, row, got, thread) : STATUS_NO_MEMORY;
	if (status == STATUS_OK) {
		struct cluster_reply answer = {
			.get = {
				.items = {
					.n = ask->n, .dtype = dtype, .dim = identity->dim, .ids = ask->ids, .vectors = got->vectors,
					.payloads = {.count = ask->n, .lengths = got->payload_lengths.bytes, .bytes = got->payloads.bytes, .bytes_size = got->payloads.size},
					.keys = {.count = ask->n, .lengths = got->key_lengths.bytes, .bytes = got->keys.bytes, .bytes_size = got->keys.size},
				},
				.found = got->found,
			},
		};
		task_answer(&g->task, &answer);
	} else {
		report_set(report, status, "the worker has no memory for %u items and their payloads: ask for fewer at once", ask->n);
	}
	snapshot_release(&snapshot);
	return status;
}

static void get_run(struct pool_job *job, size_t piece, struct pool_thread *thread)
{
	struct get *g = (struct get *)job;
	struct got got = {0};
	struct report why = {0};
	enum status status = STATUS_OK;

	if (clock_us() >= g->task.deadline_us)
		status = report_set(&why, STATUS_TIMEOUT, "the deadline passed before the items were looked up");
	else
		status = get_answer(g, &got, thread, &why);
	why.status = status;
	if (status != STATUS_OK) task_refuse(&g->task, &why);
	free(got.vectors);
	free(got.found);
	buf_release(&got.payload_lengths);
	buf_release(&got.payloads);
	buf_release(&got.key_lengths);
	buf_release(&got.keys);
}

static void get_finish(struct pool_job *job, struct pool_thread *thread)
{
	struct get *g = (struct get *)job;

	shard_table_done(g->task.parts->table, g->held);
	task_release(&g->task);
	free(g);
}

void get_start(struct task *take)
{
	struct report why = {0};
	struct get *g = carry(take, sizeof(*g), offsetof(struct get, task));

	if (!g) return;
	g->job = (struct pool_job){.pieces = 1, .run = get_run, .finish = get_finish};
	enum status status = shard_table_use(g->task.parts->table, g->task.request.get.shard, &g->held, &why);
	if (status == STATUS_OK) {
		status = pool_submit(g->task.parts->pool, &g->job);
		if (status == STATUS_OK) return;
		report_set(&why, status, "the worker has %d searches in queue: try again a little later", POOL_JOBS_MAX);
		shard_table_done(g->task.parts->table, g->held);
	}
	task_refuse(&g->task, &why);
	task_release(&g->task);
	free(g);
}

/* ---- write ---- */

struct write { struct shard_write write; struct task task; struct held *held; }; /* write first */

/* Before the answer: who has it finds it counted. */
static void count_acknowledged(const struct write *w)
{
	struct worker_metrics *m = w->task.parts->metrics;
	uint64_t ok = 0;

	for (uint32_t i = 0; i < w->write.items.n; i++) ok += w->write.results[i] == ITEM_OK;
	counter_add(w->write.kind == WRITE_DELETE ? &m->deletes : &m->upserts, ok);
}

static void write_done(struct shard_write *shard_write)
{
	struct write *w = (struct write *)shard_write;
	struct cluster_reply answer = {
		.error = w->write.report,
		.write = {.n = w->write.items.n, .results = w->write.results, .epoch = w->write.out_epoch, .sequence = w->write.out_sequence},
	};

	count_acknowledged(w);
	task_answer(&w->task, &answer);
	shard_table_done(w->task.parts->table, w->held);
	task_release(&w->task);
	free(w->write.results);
	free(w);
}

void write_start(struct task *take)
{
	struct report why = {0};
	struct write *w = carry(take, sizeof(*w), offsetof(struct write, task));

	if (!w) return;
	const struct cluster_write *ask = &w->task.request.write;
	w->write = (struct shard_write){
		.kind = ask->kind, .epoch = ask->epoch, .client = ask->client, .request = ask->client_request, .items = ask->items, .done = write_done};
	enum status status = shard_table_use(w->task.parts->table, ask->shard, &w->held, &why);
	if (status == STATUS_OK) {
		w->write.results = malloc(ask->items.n + 1);
		if (w->write.results) {
			memset(w->write.results, ITEM_REJECTED, ask->items.n);
			shard_submit(w->held->shard, &w->write);
			return;
		}
		report_set(&why, STATUS_NO_MEMORY, "the worker has no memory for a write of %u items", ask->items.n);
		shard_table_done(w->task.parts->table, w->held);
	}
	task_refuse(&w->task, &why);
	task_release(&w->task);
	free(w);
}

/* ---- build ---- */

struct build { struct task task; struct held *held; uint64_t begun_us; };

static void build_done(void *arg, const struct report *report, uint64_t items)
{
	struct build *b = arg;
	struct worker_metrics *m = b->task.parts->metrics;
	struct shard_report state = {0};
	struct cluster_reply answer = {.error = *report};

	counter_add(report->status == STATUS_OK ? &m->builds : &m->failed_builds, 1);
	if (report->status == STATUS_OK) histogram_observe(&m->build_seconds, clock_us() - b->begun_us);
	shard_report(b->held->shard, &state);
	answer.build.items = items;
	answer.build.trees = state.trees;
	task_answer(&b->task, &answer);
	shard_table_done(b->task.parts->table, b->held);
	task_release(&b->task);
	free(b);
}

void build_start(struct task *take)
{
	struct report why = {0};
	struct build *b = carry(take, sizeof(*b), offsetof(struct build, task));

	if (!b) return;
	b->begun_us = clock_us();
	const struct cluster_build *ask = &b->task.request.build;
	enum status status = shard_table_use(b->task.parts->table, ask->shard, &b->held, &why);
	if (status == STATUS_OK) {
		/* Once this is OK, b is the build's. */
		status = shard_build(b->held->shard, ask->trees, ask->seed, pool_runner(b->task.parts->pool), build_done, b);
		if (status == STATUS_OK) return;
		if (status == STATUS_BUSY)
			report_set(&why, status, "the shard is being built already: `grove status` shows how far it is");
		else
			report_set(&why, status, "the build could not begin: %s", status_text(status));
		shard_table_done(b->task.parts->table, b->held);
	}
	task_refuse(&b->task, &why);
	task_release(&b->task);
	free(b);
}

/* ---- open, drop ---- */

struct change { struct background_job job; struct task task; struct uuid cluster; }; /* job first */

static void change_end(struct change *c, enum status status, struct report *why)
{
	why->status = status;
	task_refuse(&c->task, why); /* OK is an answer too */
	task_release(&c->task);
	free(c);
}

static void open_run(struct background_job *job)
{
	struct change *c = (struct change *)job;
	const struct cluster_open *ask = &c->task.request.open;
	struct report why = {0};
	struct shard_identity identity = {
		.shard = ask->shard, .cluster = c->cluster, .epoch = ask->epoch, .index_id = ask->index.id, .number = ask->number, .shards = ask->index.shards,
		.metric = ask->index.metric, .dim = ask->index.dim, .trees = ask->index.trees, .replicas = ask->index.replicas, .seed = ask->index.seed,
	};

	memcpy(identity.name, ask->index.name, sizeof(identity.name));
	change_end(c, shard_table_open(c->task.parts->table, &identity, ask->create, &why), &why);
}

static void drop_run(struct background_job *job)
{
	struct change *c = (struct change *)job;
	struct report why = {0};

	change_end(c, shard_table_drop(c->task.parts->table, c->task.request.drop.shard, &why), &why);
}

static void change_start(struct task *take, struct uuid cluster, void (*run)(struct background_job *job))
{
	struct report why;
	struct change *c = carry(take, sizeof(*c), offsetof(struct change, task));

	if (!c) return;
	c->cluster = cluster;
	c->job.run = run;
	if (background_submit(c->task.parts->background, &c->job) == STATUS_OK) return;
	report_set(&why, STATUS_BUSY, "the worker has %d shards to open or drop: try again a little later", BACKGROUND_JOBS_MAX);
	change_end(c, STATUS_BUSY, &why);
}

void open_start(struct task *take, struct uuid cluster) { change_start(take, cluster, open_run); }
void drop_start(struct task *take) { change_start(take, (struct uuid){0}, drop_run); }
