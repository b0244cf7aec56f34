/* load_engine.c - Grove's engine without anything around it, on the segments that a worker has built and serves at the same time: what the whole
 * path is measured against. One thread for each shard, as many as workers of one thread would use; each searches all queries of a request. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/load.h"
#include "common/io.h"
#include "coordinator/route.h"
#include "worker/engine/ann.h"
#include "worker/store/segment.h"

enum { FOLDERS_MAX = 64 };

struct shard {
	struct driver *of;
	uint32_t segment_count;
	struct graph_space spaces[MANIFEST_SEGMENTS_MAX];
	struct tune_view tunes[MANIFEST_SEGMENTS_MAX];
	struct graph_effort efforts[MANIFEST_SEGMENTS_MAX];
	struct graph_scratch *scratch;
	struct hit *hits;  /* [LOAD_BATCH_MAX x k] */
	struct topk *tops; /* [LOAD_BATCH_MAX] */
};

struct driver {
	size_t k;
	uint8_t *stored; /* all queries, as the engine wants them */
	struct query *queries;
	uint32_t first, count, shard_count;
	struct hit *merged[2];
	struct shard shards[FOLDERS_MAX];
};

static void must(enum status status, const struct report *report)
{
	if (status != STATUS_OK) peer_die(report->text[0] ? report->text : status_text(status));
}

static void *memory(size_t size)
{
	void *bytes = aligned_alloc(64, (size + 63) & ~(size_t)63);

	if (!bytes) peer_die("not enough memory");
	memset(bytes, 0, (size + 63) & ~(size_t)63);
	return bytes;
}

static void shard_open_files(struct shard *s, const char *folder)
{
	struct report report = {0};
	struct manifest manifest;
	struct io *io;

	must(io_posix_open(folder, &io, &report), &report);
	must(manifest_load(io, "", &manifest, &report), &report);
	s->segment_count = manifest.segment_count;
	for (uint32_t i = 0; i < s->segment_count; i++) {
		struct segment *segment;
		must(segment_open(io, "", &manifest.identity, &manifest.segments[i], runner_inline(), &segment, &report), &report);
		struct rows rows = segment_rows(segment);
		struct ann_view ann = segment_ann(segment);
		if (!ann.graph.n) peer_die("a segment has no graph: the set is too small, or not built");
		s->spaces[i] = ann_space(&ann, &rows, 0);
		s->tunes[i] = ann.tune;
	}
	must(graph_scratch_new(&s->scratch), &report);
	s->hits = memory(LOAD_BATCH_MAX * s->of->k * sizeof(*s->hits));
	s->tops = memory(LOAD_BATCH_MAX * sizeof(*s->tops));
}

static void *open_engine(char **folders, int count, const struct peer_set *queries, size_t k)
{
	struct driver *it = memory(sizeof(*it));
	size_t stride = rows_stride(queries->metric, queries->dim);

	if (count > FOLDERS_MAX) peer_die("at most 64 shards");
	it->k = k;
	it->stored = memory(stride * queries->n);
	it->queries = memory(queries->n * sizeof(*it->queries));
	for (uint32_t q = 0; q < queries->n; q++) {
		uint8_t *row = it->stored + q * stride;
		memcpy(row, peer_row(queries, q), queries->row_bytes);
		it->queries[q] = (struct query){row, vec_norm2(queries->metric, row, queries->dim)};
	}
	for (int i = 0; i < 2; i++) it->merged[i] = memory(k * sizeof(struct hit));
	it->shard_count = (uint32_t)count;
	for (uint32_t s = 0; s < it->shard_count; s++) {
		it->shards[s].of = it;
		shard_open_files(&it->shards[s], folders[s]);
	}
	return it;
}

static void effort(void *driver, const char *text)
{
	struct driver *it = driver;
	struct search_spec spec = {.k = (uint32_t)it->k, .mode = SEARCH_GRAPH, .recall = (float)peer_number(text, "recall", 0)};

	spec = route_effort(&spec, 1, it->shard_count); /* as the coordinator asks its workers */
	for (uint32_t s = 0; s < it->shard_count; s++)
		for (uint32_t i = 0; i < it->shards[s].segment_count; i++)
			if (!tune_choose(&it->shards[s].tunes[i], tune_share(spec.k, 1.0 / it->shard_count), spec.recall, &it->shards[s].efforts[i]))
				peer_die("no effort of the graph finds so much");
}

static void *shard_run(void *from)
{
	struct shard *s = from;
	const struct driver *it = s->of;

	for (uint32_t q = 0; q < it->count; q++) {
		struct search_work work = {0};
		topk_init(&s->tops[q], s->hits + q * it->k, it->k);
		for (uint32_t i = 0; i < s->segment_count; i++)
			if (graph_search(&s->spaces[i], &it->queries[it->first + q], &s->efforts[i], NULL, NULL, s->scratch, &s->tops[q], &work) != STATUS_OK)
				peer_die("not enough memory");
		topk_sort(&s->tops[q]);
	}
	return NULL;
}

static uint64_t submit(void *driver, uint32_t first, uint32_t count)
{
	struct driver *it = driver;

	if (it->count) peer_die("one request at a time: it is answered by this thread");
	it->first = first;
	it->count = count;
	return 1;
}

static void merge(struct driver *it, uint32_t q, int64_t *ret_rows)
{
	const struct topk *top = &it->shards[0].tops[q];
	const struct hit *best = top->hits;
	size_t found = top->count;

	for (uint32_t s = 1; s < it->shard_count; s++) {
		struct hit *into = it->merged[s % 2];
		top = &it->shards[s].tops[q];
		found = hits_merge(best, found, top->hits, top->count, into, it->k);
		best = into;
	}
	for (size_t i = 0; i < it->k; i++) ret_rows[i] = i < found ? (int64_t)best[i].id : -1;
}

static uint64_t next(void *driver, int64_t *ret_rows, enum load_outcome *ret)
{
	struct driver *it = driver;
	pthread_t threads[FOLDERS_MAX];

	for (uint32_t s = 1; s < it->shard_count; s++)
		if (pthread_create(&threads[s], NULL, shard_run, &it->shards[s])) peer_die("no thread could be made");
	shard_run(&it->shards[0]);
	for (uint32_t s = 1; s < it->shard_count; s++) pthread_join(threads[s], NULL);
	for (uint32_t q = 0; q < it->count; q++) merge(it, q, ret_rows + q * it->k);
	it->count = 0;
	*ret = LOAD_ANSWERED;
	return 1;
}

const struct load_driver load_driver = {"engine", open_engine, effort, submit, next};
