/* search.c - one search request over some shards of this worker: cut into pieces for the pool, merged, answered.
 *
 * The snapshots of all shards are pinned once, when the request is taken, so that all its queries see the same items. A piece is a chunk
 * of queries against a group of shards. Chunks are large where there are many queries (an exact scan then reads a shard's rows once for up
 * to CHUNK_MAX queries); the shards are cut into groups only where the chunks alone would leave threads idle, so that a single query over
 * several shards uses several threads. A group's shards share one topk per query; groups are joined at the end. None of this can change
 * an answer: topk keeps the k best by (raw, id), whoever offers them in whatever order.
 *
 * Memory: queries x groups x k hits; groups <= threads and queries x k <= QUERY_HITS_MAX. */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/cursor.h"
#include "worker/task.h"

enum { CHUNK_MAX = 64, BRIEF_COMPONENTS = 1000000 /* of rows scored: 0.1 ms or less */ };

/* One of the shards asked. */
struct target {
	struct held *held; /* NULL: not searched, `status` tells why */
	struct snapshot *snapshot;
	uint32_t shards; /* of its index */
	uint32_t number;
	_Atomic int status;
};

struct search {
	struct pool_job job; /* first */
	struct task task;
	uint64_t begun_us;
	enum metric metric;
	size_t stride;
	uint32_t nq, k, chunks, per_chunk, groups, target_count;
	struct target *targets;
	struct hit *hits;     /* [groups x nq x k] */
	struct topk *tops;    /* [groups x nq] */
	uint64_t *candidates; /* [groups x nq] */
	uint8_t *answers;     /* [nq x target_count] */
};

static void search_free(struct search **search)
{
	struct search *s = *search;

	for (uint32_t i = 0; s->targets && i < s->target_count; i++) {
		if (!s->targets[i].held) continue;
		snapshot_release(&s->targets[i].snapshot);
		shard_table_done(s->task.parts->table, s->targets[i].held);
	}
	task_release(&s->task);
	free(s->targets);
	free(s->hits);
	free(s->tops);
	free(s->candidates);
	free(s->answers);
	free(s);
	*search = NULL;
}

/* ---- taking it ---- */

/* Pin one shard, if it is there, serves, and has rows of the kind that was sent. */
static enum status pin(struct search *s, struct target *target, struct uuid uuid, struct report *report)
{
	const struct cluster_search *ask = &s->task.request.search;
	struct shard_table *table = s->task.parts->table;
	struct held *held;
	enum status status = shard_table_use(table, uuid, &held, report);

	if (status != STATUS_OK) return status;
	const struct shard_identity *identity = shard_identity(held->shard);
	if (identity->dim != ask->dim || (identity->metric == METRIC_HAMMING) != (ask->dtype == DTYPE_BITS))
		status = report_set(report, STATUS_BAD_REQUEST, "the queries have %u dimensions (type %d), the index %u (%s)", ask->dim, (int)ask->dtype,
			identity->dim, metric_name(identity->metric));
	if (status == STATUS_OK) status = snapshot_pin(held->shard, &target->snapshot, report);
	if (status != STATUS_OK) {
		shard_table_done(table, held);
		return status;
	}
	target->held = held;
	target->number = identity->number;
	target->shards = identity->shards;
	s->metric = identity->metric;
	return STATUS_OK;
}

/* A single query so small that waking a thread for it would cost more than the search: the loop may do it itself. An exact search that was asked for
 * is none: what it costs is for the threads. */
static bool is_brief(const struct search *s)
{
	const struct cluster_search *ask = &s->task.request.search;
	uint64_t components = 0;

	if (s->nq > 1 || ask->spec.mode == SEARCH_EXACT) return false;
	for (uint32_t t = 0; t < s->target_count && components <= BRIEF_COMPONENTS; t++)
		if (s->targets[t].held) components += snapshot_rows_scored(s->targets[t].snapshot, &ask->spec) * ask->dim;
	return components <= BRIEF_COMPONENTS;
}

/* How many chunks of queries and groups of shards: few, but enough for every thread that would else be idle. */
static void cut(struct search *s, uint32_t live)
{
	struct pool *pool = s->task.parts->pool;
	size_t wanted = s->job.brief || pool_depth(pool) > 0 ? 1 : pool_threads(pool);
	uint32_t chunks = (s->nq + CHUNK_MAX - 1) / CHUNK_MAX, groups;

	if (chunks * (size_t)live < wanted) chunks = (uint32_t)((wanted + live - 1) / live);
	if (chunks > s->nq) chunks = s->nq;
	groups = (uint32_t)((wanted + chunks - 1) / chunks);
	if (groups > live) groups = live;
	if (groups == 0) groups = 1;
	s->per_chunk = (s->nq + chunks - 1) / chunks;
	s->chunks = (s->nq + s->per_chunk - 1) / s->per_chunk;
	s->groups = groups;
}

static enum status allocate(struct search *s)
{
	size_t tops = (size_t)s->groups * s->nq;

	s->hits = malloc(tops * s->k * sizeof(*s->hits)); /* k >= 1 */
	s->tops = calloc(tops, sizeof(*s->tops));
	s->candidates = calloc(tops, sizeof(*s->candidates));
	s->answers = malloc((size_t)s->nq * s->target_count);
	if (!s->hits || !s->tops || !s->candidates || !s->answers) return STATUS_NO_MEMORY;
	for (size_t i = 0; i < tops; i++) topk_init(&s->tops[i], s->hits + i * s->k, s->k);
	memset(s->answers, ANSWER_NONE, (size_t)s->nq * s->target_count);
	return STATUS_OK;
}

static void search_run(struct pool_job *job, size_t piece, struct pool_thread *thread);
static void search_finish(struct pool_job *job, struct pool_thread *thread);

void search_start(struct task *take)
{
	struct report why = {0};
	struct search *s = calloc(1, sizeof(*s));

	if (!s) {
		report_set(&why, STATUS_NO_MEMORY, "the worker has no memory for the search");
		task_refuse(take, &why);
		task_release(take);
		return;
	}
	s->task = *take;
	*take = (struct task){0};
	const struct cluster_search *ask = &s->task.request.search;
	s->begun_us = clock_us();
	s->nq = ask->nq;
	s->k = ask->spec.k;
	s->target_count = ask->shard_count;
	s->targets = calloc(s->target_count, sizeof(*s->targets));
	enum status status = s->targets ? STATUS_OK : STATUS_NO_MEMORY;
	uint32_t live = 0;
	for (uint32_t i = 0; status == STATUS_OK && i < s->target_count; i++) {
		struct report unused;
		atomic_init(&s->targets[i].status, pin(s, &s->targets[i], ask->shards[i], &unused));
		live += s->targets[i].held != NULL;
	}
	if (status == STATUS_OK) {
		s->stride = rows_stride(s->metric, ask->dim);
		s->job.brief = is_brief(s);
		cut(s, live > 0 ? live : 1);
		status = allocate(s);
	}
	s->job = (struct pool_job){.run = search_run, .finish = search_finish, .pieces = (size_t)s->chunks * s->groups, .brief = s->job.brief};
	if (status == STATUS_OK) status = pool_submit(s->task.parts->pool, &s->job);
	if (status == STATUS_OK) return;
	if (status == STATUS_BUSY)
		report_set(&why, status, "the worker has %d searches in queue: try again a little later", POOL_JOBS_MAX);
	else
		report_set(&why, status, "the worker has no memory for %u queries of %u hits", s->nq, s->k);
	task_refuse(&s->task, &why);
	search_free(&s);
}

/* ---- a piece ---- */

/* What a piece needs: its queries as stored rows, and what was done for each. */
struct piece { uint8_t *rows; struct query *queries; struct search_work *works; };

static bool piece_prepare(const struct search *s, uint32_t begin, uint32_t n, struct piece *ret)
{
	const struct cluster_search *ask = &s->task.request.search;
	size_t sent = dtype_row_bytes(ask->dtype, ask->dim), stored = dtype_row_bytes(metric_dtype(s->metric), ask->dim);

	ret->rows = aligned_alloc(64, (n * s->stride + 63) & ~(size_t)63);
	ret->queries = malloc(n * sizeof(*ret->queries));
	ret->works = malloc(n * sizeof(*ret->works));
	if (!ret->rows || !ret->queries || !ret->works) return false;
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *row = ret->rows + i * s->stride;
		vec_store(ask->dtype, ask->vectors + (begin + i) * sent, ask->dim, row);
		memset(row + stored, 0, s->stride - stored);
		ret->queries[i] = (struct query){.row = row, .norm2 = vec_norm2(s->metric, row, ask->dim)};
	}
	return true;
}

static void piece_release(struct piece *p)
{
	free(p->rows);
	free(p->queries);
	free(p->works);
}

static void search_one_shard(struct search *s, uint32_t t, uint32_t group, uint32_t begin, uint32_t n, struct piece *p, struct pool_thread *thread)
{
	struct target *target = &s->targets[t];
	size_t first = (size_t)group * s->nq + begin;
	struct search_pulse pulse;

	search_pulse_init(&pulse, s->task.deadline_us, &target->held->closing, thread->progress);
	if (pulse_stop(&pulse.pulse)) return; /* ANSWER_NONE stands */
	memset(p->works, 0, n * sizeof(*p->works));
	enum status status = snapshot_search(target->snapshot, &s->task.request.search.spec, p->queries, n, &pulse.pulse, thread->scratch,
		s->tops + first, p->works);
	if (status != STATUS_OK) {
		atomic_store(&target->status, status);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		s->candidates[first + i] += p->works[i].candidates;
		s->answers[(size_t)(begin + i) * s->target_count + t] = p->works[i].truncated ? ANSWER_TRUNCATED : ANSWER_DONE;
	}
}

static void search_run(struct pool_job *job, size_t number, struct pool_thread *thread)
{
	struct search *s = (struct search *)job;
	uint32_t group = (uint32_t)(number % s->groups), begin = (uint32_t)(number / s->groups) * s->per_chunk;
	uint32_t n = s->nq - begin < s->per_chunk ? s->nq - begin : s->per_chunk;
	struct piece p = {0};

	if (clock_us() >= s->task.deadline_us) return;
	bool ready = piece_prepare(s, begin, n, &p);
	for (uint32_t t = 0, live = 0; t < s->target_count; t++) {
		if (!s->targets[t].held || live++ % s->groups != group) continue;
		if (ready)
			search_one_shard(s, t, group, begin, n, &p, thread);
		else
			atomic_store(&s->targets[t].status, STATUS_NO_MEMORY);
	}
	piece_release(&p);
}

/* ---- the answer ---- */

static void search_count(const struct search *s)
{
	struct worker_metrics *m = s->task.parts->metrics;
	uint64_t candidates = 0;

	for (uint32_t q = 0; q < s->nq; q++) candidates += s->candidates[q];
	counter_add(&m->queries, s->nq);
	counter_add(&m->candidates, candidates);
	histogram_observe(&m->search_seconds, clock_us() - s->begun_us);
}

/* The arrays of an answer, freed once it is encoded. */
struct arrays { struct shard_outcome *outcomes; uint8_t *candidates, *counts, *ids, *raws; struct buf lengths, payloads; };

static void arrays_release(struct arrays *a)
{
	free(a->outcomes);
	free(a->candidates);
	free(a->counts);
	free(a->ids);
	free(a->raws);
	buf_release(&a->lengths);
	buf_release(&a->payloads);
}

/* Join the groups' lists of each query into that of group 0, sorted. Returns the number of hits. */
static uint64_t join(struct search *s)
{
	uint64_t total = 0;

	for (uint32_t q = 0; q < s->nq; q++) {
		struct topk *top = &s->tops[q];
		for (uint32_t g = 1; g < s->groups; g++) {
			const struct topk *other = &s->tops[(size_t)g * s->nq + q];
			for (size_t i = 0; i < other->count; i++) topk_push(top, other->hits[i]);
			s->candidates[q] += s->candidates[(size_t)g * s->nq + q];
		}
		topk_sort(top);
		total += top->count;
	}
	return total;
}

/* The payload of a hit, from the shard that its id belongs to. */
static struct blob payload_of(const struct search *s, uint64_t id)
{
	struct item_view view;

	for (uint32_t t = 0; t < s->target_count; t++) {
		const struct target *target = &s->targets[t];
		if (target->held && shard_of_id(id, target->shards) == target->number && snapshot_get(target->snapshot, id, &view)) return view.payload;
	}
	return (struct blob){0};
}

static enum status append_payload(struct arrays *a, struct blob payload)
{
	uint8_t size[4];

	store_u32(size, payload.size);
	enum status status = buf_append(&a->lengths, size, sizeof(size));
	return status == STATUS_OK ? buf_append(&a->payloads, payload.bytes, payload.size) : status;
}

static enum status fill(struct search *s, struct arrays *a, uint64_t total, struct pool_thread *thread)
{
	bool with_payload = s->task.request.search.spec.with_payload;
	enum status status = STATUS_OK;
	uint64_t at = 0;

	a->outcomes = calloc(s->target_count, sizeof(*a->outcomes));
	a->candidates = malloc(8 * (size_t)s->nq);
	a->counts = malloc(4 * (size_t)s->nq);
	a->ids = malloc(8 * total + 1);
	a->raws = malloc(4 * total + 1);
	buf_init(&a->lengths, 0);
	buf_init(&a->payloads, PEER_FRAME_MAX);
	if (!a->outcomes || !a->candidates || !a->counts || !a->ids || !a->raws) return STATUS_NO_MEMORY;
	for (uint32_t t = 0; t < s->target_count; t++) {
		const struct target *target = &s->targets[t];
		a->outcomes[t].status = (enum status)atomic_load(&target->status);
		if (!target->held) continue;
		a->outcomes[t].items = snapshot_items(target->snapshot);
		a->outcomes[t].predicted = snapshot_predict(target->snapshot, &s->task.request.search.spec);
		a->outcomes[t].sequence = snapshot_sequence(target->snapshot);
		a->outcomes[t].epoch = shard_identity(target->held->shard)->epoch;
	}
	for (uint32_t q = 0; q < s->nq && status == STATUS_OK; q++) {
		const struct topk *top = &s->tops[q];
		store_u32(a->counts + 4 * (size_t)q, (uint32_t)top->count);
		store_u64(a->candidates + 8 * (size_t)q, s->candidates[q]);
		for (size_t i = 0; i < top->count && status == STATUS_OK; i++, at++) {
			store_u64(a->ids + 8 * at, top->hits[i].id);
			store_f32(a->raws + 4 * at, top->hits[i].raw);
			if (with_payload) status = append_payload(a, payload_of(s, top->hits[i].id));
		}
		atomic_fetch_add_explicit(thread->progress, 1, memory_order_relaxed);
	}
	return status;
}

static void search_finish(struct pool_job *job, struct pool_thread *thread)
{
	struct search *s = (struct search *)job;
	struct arrays a = {0};
	struct report why = {0};
	uint64_t total = join(s);
	enum status status = fill(s, &a, total, thread);

	if (status == STATUS_OK) {
		struct cluster_reply answer = {
			.search = {
				.nq = s->nq,
				.shard_count = s->target_count,
				.shards = a.outcomes,
				.answers = s->answers,
				.candidates = a.candidates,
				.counts = a.counts,
				.total = total,
				.ids = a.ids,
				.raws = a.raws,
			},
		};
		if (s->task.request.search.spec.with_payload)
			answer.search.payloads = (struct blobs){
				.count = (uint32_t)total, .lengths = a.lengths.bytes, .bytes = a.payloads.bytes, .bytes_size = a.payloads.size};
		search_count(s);
		task_answer(&s->task, &answer);
	} else {
		report_set(&why, status, "the worker has no memory for an answer of %llu hits%s", (unsigned long long)total,
			s->task.request.search.spec.with_payload ? " with their payloads" : "");
		task_refuse(&s->task, &why);
	}
	arrays_release(&a);
	search_free(&s);
}
