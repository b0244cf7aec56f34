/* calibration.c - what a wanted recall is worth: for one set, cut into 1, 2 and 4 shards as the coordinator cuts it, the effort that each shard
 * chooses, what it predicts, what held-out queries find, and the least effort that would have found as much.
 *
 *   ninja -C build bench/calibration && build/bench/calibration SET FOLDER [QUERIES [K]]
 *
 * SET: a folder of bench/data. FOLDER: the segments' own; built where they are not there, on one thread, and measured anew each time (tune.h), so
 * that a change of the measuring alone needs no build. "least" is the smallest ef, the same for every shard, of a ladder whose steps are 4 %. "x least" compares
 * the codes scored. "by chance" is the standard error of predicted less found: TUNE_ROWS rows told the one, QUERIES the other (of several shards each has its own
 * rows, but smaller parts of a query to find: as much in all). Its last line has the processor seconds that measuring took, all shards, and the greatest misprediction. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/peers/grove_segment.h"
#include "bench/peers/set.h"
#include "common/clock.h"
#include "coordinator/route.h"
#include "proto/message.h"
#include "worker/engine/ann.h"
#include "worker/engine/exact.h"

enum { SHARDS_MOST = 4, TREES = 10, LADDER_MAX = 400, WANTED = 5, QUERIES = 1000, K = 10 };
static const float wanted[WANTED] = {0.8f, 0.9f, 0.95f, 0.99f, 0.999f};

void peer_die(const char *sentence)
{
	fprintf(stderr, "calibration: %s\n", sentence);
	exit(EXIT_FAILURE);
}

char *peer_path(const char *folder, const char *name)
{
	char *path = NULL;

	if (asprintf(&path, "%s/%s", folder, name) < 0) peer_die("not enough memory");
	return path;
}

static void *memory(size_t size)
{
	void *bytes = aligned_alloc(64, (size + 64) & ~(size_t)63);

	if (!bytes) peer_die("not enough memory");
	memset(bytes, 0, size);
	return bytes;
}

struct shard {
	uint32_t n;
	struct graph_space space;
	struct tune_effort efforts[TUNE_EFFORTS_MAX];
	struct tune_view tune;
};

struct calibration {
	struct peer_set base;
	uint32_t nq, k, shard_count;
	struct query *queries;
	float *truth; /* [nq] raw distance of the k-th nearest */
	struct shard shards[SHARDS_MOST];
	struct graph_scratch *scratch;
	struct hit *hits;
	double tune_seconds;
};

/* What a search with these efforts finds, how much that differs among queries (the standard deviation), and the codes scored by a query. */
struct outcome { double recall, spread, scored; };

static struct outcome search(const struct calibration *c, const struct graph_effort *efforts)
{
	uint64_t scored = 0;
	double sum = 0, squares = 0;

	for (uint32_t q = 0; q < c->nq; q++) {
		struct search_work work = {0};
		double right = 0;
		struct topk top;
		topk_init(&top, c->hits, c->k);
		for (uint32_t s = 0; s < c->shard_count; s++)
			if (graph_search(&c->shards[s].space, &c->queries[q], &efforts[s], NULL, NULL, c->scratch, &top, &work) != STATUS_OK)
				peer_die("not enough memory");
		for (size_t i = 0; i < top.count; i++) right += c->hits[i].raw <= c->truth[q];
		right /= c->k;
		sum += right;
		squares += right * right;
		scored += work.candidates;
	}
	double mean = sum / c->nq;
	return (struct outcome){mean, sqrt(fmax(squares / c->nq - mean * mean, 0)), (double)scored / c->nq};
}

/* ---- what is searched ---- */

static void shard_open_or_build(struct calibration *c, uint32_t number, const char *folder)
{
	struct peer_set part = c->base;
	struct shard *shard = &c->shards[number];
	struct stat there;
	char name[32];
	uint8_t *rows = memory((size_t)c->base.n * c->base.row_bytes);

	part.n = 0;
	for (uint32_t r = 0; r < c->base.n; r++)
		if (shard_of_id(r, c->shard_count) == number) memcpy(rows + part.n++ * part.row_bytes, peer_row(&c->base, r), part.row_bytes);
	part.rows = rows;
	snprintf(name, sizeof(name), "%" PRIu32 "-of-%" PRIu32, number, c->shard_count);
	char *path = peer_path(folder, name), *entry = peer_path(path, "entry");
	(void)mkdir(folder, 0777);
	(void)mkdir(path, 0777);
	if (stat(entry, &there)) grove_segment_build(&part, TREES, true, path);
	struct segment *segment = grove_segment_open(&part, TREES, path);
	free(path);
	free(entry);
	free(rows);
	struct ann_view view = segment_ann(segment);
	struct rows all = segment_rows(segment);
	if (!view.graph.n) peer_die("too few rows for a graph");
	shard->n = part.n;
	shard->space = ann_space(&view, &all, 0);
	uint64_t start = clock_thread_cpu_us();
	uint32_t count;
	if (tune_measure(&shard->space, 1, runner_inline(), NULL, shard->efforts, &count) != STATUS_OK) peer_die("not enough memory");
	c->tune_seconds += (double)(clock_thread_cpu_us() - start) * 1e-6;
	shard->tune = (struct tune_view){count, shard->efforts};
}

static void queries_load(struct calibration *c, const char *folder)
{
	struct peer_set queries = set_map(folder, "queries");
	size_t stride = rows_stride(queries.metric, queries.dim);

	if (c->nq > queries.n) c->nq = queries.n;
	uint8_t *rows = memory(c->nq * stride);
	c->queries = memory(c->nq * sizeof(*c->queries));
	for (uint32_t q = 0; q < c->nq; q++) {
		memcpy(rows + q * stride, peer_row(&queries, q), queries.row_bytes);
		c->queries[q] = (struct query){rows + q * stride, vec_norm2(queries.metric, rows + q * stride, queries.dim)};
	}
}

static void truth_find(struct calibration *c)
{
	struct rows rows = grove_rows(&c->base);
	struct hit *hits = memory((size_t)c->nq * c->k * sizeof(*hits));
	struct topk *tops = memory(c->nq * sizeof(*tops));
	struct search_work *works = memory(c->nq * sizeof(*works));

	c->truth = memory(c->nq * sizeof(*c->truth));
	for (uint32_t q = 0; q < c->nq; q++) topk_init(&tops[q], hits + (size_t)q * c->k, c->k);
	exact_search(&rows, c->queries, c->nq, NULL, tops, works);
	for (uint32_t q = 0; q < c->nq; q++) {
		topk_sort(&tops[q]);
		c->truth[q] = tops[q].hits[tops[q].count - 1].raw;
	}
	free(hits);
	free(tops);
	free(works);
	free((void *)rows.base);
	free((void *)rows.norm2);
	free((void *)rows.ids);
}

/* ---- the table ---- */

static struct outcome with_ef(const struct calibration *c, uint32_t ef)
{
	struct graph_effort efforts[SHARDS_MOST];

	for (uint32_t s = 0; s < c->shard_count; s++) efforts[s] = (struct graph_effort){.ef = ef};
	return search(c, efforts);
}

/* What is searched with the same ef in every shard: rungs, ascending, each measured when it is asked for. */
struct ladder { uint32_t count, ef[LADDER_MAX]; bool known[LADDER_MAX]; struct outcome outcome[LADDER_MAX]; };

static void ladder_init(struct ladder *l)
{
	*l = (struct ladder){0};
	for (uint32_t ef = 1; l->count < LADDER_MAX && ef < 3000; ef = ef + 1 > (uint32_t)(ef * 1.04) ? ef + 1 : (uint32_t)(ef * 1.04)) l->ef[l->count++] = ef;
}

static const struct outcome *ladder_at(struct ladder *l, const struct calibration *c, uint32_t i)
{
	if (!l->known[i]) l->outcome[i] = with_ef(c, l->ef[i]);
	l->known[i] = true;
	return &l->outcome[i];
}

/* The first rung that finds so much, by halving; count: none does. */
static uint32_t ladder_least(struct ladder *l, const struct calibration *c, double recall)
{
	uint32_t low = 0, high = 1;

	while (high < l->count && ladder_at(l, c, high - 1)->recall < recall) { /* from below: the upper rungs are the dear ones */
		low = high;
		high *= 2;
	}
	if (high > l->count) high = l->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (ladder_at(l, c, middle)->recall < recall)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void row_print(const struct calibration *c, float recall, struct ladder *ladder, double *most)
{
	struct search_spec spec = {.k = c->k, .mode = SEARCH_GRAPH, .recall = recall};
	struct graph_effort efforts[SHARDS_MOST];
	double predicted = 0, ef = 0, share = tune_share(spec.k, 1.0 / c->shard_count);

	spec = route_effort(&spec, TREES, c->shard_count); /* as the coordinator asks its workers */
	for (uint32_t s = 0; s < c->shard_count; s++) {
		const struct shard *shard = &c->shards[s];
		if (!tune_choose(&shard->tune, share, spec.recall, &efforts[s])) {
			printf("| %" PRIu32 " | %g | scan | | | | | | | |\n", c->shard_count, (double)recall);
			return;
		}
		ef += efforts[s].ef / (double)c->shard_count;
		predicted += shard->n / (double)c->base.n * tune_predict(&shard->tune, share, efforts[s].ef);
	}
	struct outcome got = search(c, efforts);
	printf("| %" PRIu32 " | %g | %.0f | %.0f | %.4f | %.4f | %+.4f | %.4f |", c->shard_count, (double)recall, ef, got.scored, predicted, got.recall,
		predicted - got.recall, got.spread * sqrt(1.0 / TUNE_ROWS + 1.0 / c->nq));
	if (fabs(predicted - got.recall) > *most) *most = fabs(predicted - got.recall);
	uint32_t least = ladder_least(ladder, c, (double)recall);
	if (least == ladder->count) {
		printf(" - | - | - |\n");
		return;
	}
	printf(" %" PRIu32 " | %.0f | %.2f |\n", ladder->ef[least], ladder_at(ladder, c, least)->scored, got.scored / ladder_at(ladder, c, least)->scored);
}

int main(int argc, char **argv)
{
	struct calibration c = {.nq = QUERIES, .k = K};
	struct ladder ladder;

	if (argc < 3) peer_die("usage: SET FOLDER [QUERIES [K]]");
	if (argc > 3) c.nq = (uint32_t)strtoul(argv[3], NULL, 10);
	if (argc > 4) c.k = (uint32_t)strtoul(argv[4], NULL, 10);
	c.base = set_map(argv[1], "base");
	if (!c.nq || !c.k || c.k > c.base.n) peer_die("QUERIES and K are numbers from 1, K at most the rows of the set");
	if (graph_scratch_new(&c.scratch) != STATUS_OK) peer_die("not enough memory");
	c.hits = memory(c.k * sizeof(*c.hits));
	queries_load(&c, argv[1]);
	truth_find(&c);
	printf("%s: %" PRIu32 " rows, %" PRIu32 " queries, recall@%" PRIu32 "\n\n", argv[1], c.base.n, c.nq, c.k);
	printf("| shards | wanted | ef | codes scored | predicted | found | apart | by chance | least ef | its codes | x least |\n"
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
	for (c.shard_count = 1; c.shard_count <= SHARDS_MOST; c.shard_count *= 2) {
		double most = 0;
		c.tune_seconds = 0;
		for (uint32_t s = 0; s < c.shard_count; s++) shard_open_or_build(&c, s, argv[2]);
		ladder_init(&ladder);
		for (int i = 0; i < WANTED; i++) row_print(&c, wanted[i], &ladder, &most);
		fprintf(stderr, "%" PRIu32 " shards: measured in %.2f s, at most %.4f apart\n", c.shard_count, c.tune_seconds, most);
		fflush(stdout);
	}
	return EXIT_SUCCESS;
}
