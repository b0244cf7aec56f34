/* engine.c - what the engine alone does on Fashion-MNIST: build time, then recall@10 and queries per second of one thread
 * for a row of budgets, against exact search. CPU time but for the build. In one process, without sockets or files of ours,
 * so that the cost of the cluster can be told apart.
 *
 * bench_engine [TREES [QUERIES [THREADS [METRIC]]]]      defaults 10 1000 2 euclidean */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/clock.h"
#include "worker/engine/exact.h"
#include "worker/engine/forest.h"

enum { K = 10, PIXELS = 784, TRAIN = 60000, TEST = 10000, THREADS_MAX = 64, IDX_HEADER = 16 };

static const char folder[] = "/usr/share/datasets/fashion-mnist";

struct images { struct rows rows; uint8_t *base; float *norm2; uint64_t *ids; };

static void die(const char *sentence)
{
	fprintf(stderr, "bench_engine: %s\n", sentence);
	exit(EXIT_FAILURE);
}

static void images_read(const char *name, enum metric metric, uint32_t n, struct images *ret)
{
	uint8_t bytes[PIXELS > IDX_HEADER ? PIXELS : IDX_HEADER], bits[PIXELS / 8];
	size_t stride = rows_stride(metric, PIXELS);
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	gzFile file = gzopen(path, "rb");
	if (!file) die("no data: install the Debian package dataset-fashion-mnist");
	*ret = (struct images){.base = aligned_alloc(64, stride * n), .norm2 = calloc(n, sizeof(float)), .ids = calloc(n, sizeof(uint64_t))};
	if (!ret->base || !ret->norm2 || !ret->ids) die("not enough memory");
	memset(ret->base, 0, stride * n);
	if (gzread(file, bytes, IDX_HEADER) != IDX_HEADER) die("the data is truncated");
	for (uint32_t r = 0; r < n; r++) {
		uint8_t *row = ret->base + stride * r;
		if (gzread(file, bytes, PIXELS) != PIXELS) die("the data is truncated");
		memset(bits, 0, sizeof(bits));
		for (int i = 0; i < PIXELS; i++) bits[i / 8] |= (uint8_t)((bytes[i] > 127) << i % 8);
		if (metric == METRIC_HAMMING)
			vec_store(DTYPE_BITS, bits, PIXELS, row);
		else
			vec_store(DTYPE_U8, bytes, PIXELS, row);
		ret->norm2[r] = vec_norm2(metric, row, PIXELS);
		ret->ids[r] = r;
	}
	gzclose(file);
	ret->rows = (struct rows){.metric = metric, .dim = PIXELS, .n = n, .stride = stride, .base = ret->base, .norm2 = ret->norm2, .ids = ret->ids};
}

static void images_free(struct images *i)
{
	free(i->base);
	free(i->norm2);
	free(i->ids);
}

/* ---- threads ---- */

struct call { void (*work)(void *arg, size_t i); void *arg; size_t n; _Atomic size_t next; };

static void *take_pieces(void *arg)
{
	struct call *c = arg;

	for (size_t i; (i = atomic_fetch_add(&c->next, 1)) < c->n;) c->work(c->arg, i);
	return NULL;
}

static void run_threads(struct runner *r, size_t n, void (*work)(void *arg, size_t i), void *arg)
{
	struct call call = {.work = work, .arg = arg, .n = n};
	pthread_t threads[THREADS_MAX];

	for (size_t t = 1; t < r->threads; t++)
		if (pthread_create(&threads[t], NULL, take_pieces, &call)) die("no thread could be started");
	take_pieces(&call);
	for (size_t t = 1; t < r->threads; t++) pthread_join(threads[t], NULL);
}

/* ---- the table ---- */

static void line(const struct forest_view *f, const struct images *base, const struct query *queries, size_t nq, uint64_t budget,
	const struct hit *truth, struct forest_scratch *scratch)
{
	struct search_work work = {0};
	size_t right = 0;
	uint64_t start = clock_thread_cpu_us();
	struct hit *found = malloc(nq * K * sizeof(*found));
	size_t *counts = malloc(nq * sizeof(*counts));

	if (!found || !counts) die("not enough memory");
	for (size_t q = 0; q < nq; q++) {
		struct topk top;
		topk_init(&top, found + q * K, K);
		if (forest_search(f, &base->rows, &queries[q], budget, NULL, scratch, &top, &work) != STATUS_OK) die("not enough memory");
		topk_sort(&top);
		counts[q] = top.count;
	}
	double spent = 1e-6 * (double)(clock_thread_cpu_us() - start);
	for (size_t q = 0; q < nq; q++)
		for (size_t i = 0; i < counts[q]; i++) right += hit_cmp(&found[q * K + i], &truth[q * K + K - 1]) <= 0;
	printf("%10" PRIu64 " %12.0f %10.4f %12.0f\n", budget, (double)work.candidates / (double)nq, (double)right / (double)(nq * K),
		(double)nq / spent);
	free(found);
	free(counts);
}

int main(int argc, char **argv)
{
	static const uint64_t budgets[] = {100, 200, 500, 1000, 2000, 5000, 10000, 20000};
	uint32_t trees = argc > 1 ? (uint32_t)atoi(argv[1]) : 10;
	size_t nq = argc > 2 ? (size_t)atoi(argv[2]) : 1000;
	struct runner runner = {run_threads, argc > 3 ? (size_t)atoi(argv[3]) : 2};
	enum metric metric = METRIC_EUCLIDEAN;
	struct images base, test;
	struct forest *forest;
	struct forest_scratch *scratch;

	if (argc > 4 && !metric_by_name(argv[4], &metric)) die("unknown metric: angular, euclidean, manhattan, hamming or dot");
	if (!trees || !nq || nq > TEST || !runner.threads || runner.threads > THREADS_MAX) die("usage: bench_engine [TREES [QUERIES [THREADS [METRIC]]]]");
	images_read("train-images-idx3-ubyte.gz", metric, TRAIN, &base);
	images_read("t10k-images-idx3-ubyte.gz", metric, (uint32_t)nq, &test);
	struct query *queries = calloc(nq, sizeof(*queries));
	struct topk *tops = calloc(nq, sizeof(*tops));
	struct search_work *works = calloc(nq, sizeof(*works));
	struct hit *truth = calloc(nq * K, sizeof(*truth));
	if (!queries || !tops || !works || !truth || forest_scratch_new(&scratch) != STATUS_OK) die("not enough memory");
	for (size_t q = 0; q < nq; q++) {
		queries[q] = (struct query){rows_row(&test.rows, (uint32_t)q), test.norm2[q]};
		topk_init(&tops[q], truth + q * K, K);
	}
	uint64_t start = clock_thread_cpu_us();
	exact_search(&base.rows, queries, nq, NULL, tops, works);
	double spent = 1e-6 * (double)(clock_thread_cpu_us() - start);
	printf("kernels %s, %s, exact: %.1f ns a pair, %.0f queries/s\n", vec_kernels()->name, metric_name(metric),
		1e9 * spent / ((double)nq * TRAIN), (double)nq / spent);
	for (size_t q = 0; q < nq; q++) topk_sort(&tops[q]);

	struct forest_params params = {trees, 1};
	start = clock_us();
	if (forest_build(&base.rows, &params, &runner, NULL, NULL, &forest) != STATUS_OK) die("not enough memory");
	struct forest_view view = forest_as_view(forest);
	printf("build: %u trees on %zu threads: %.2f s, %u nodes, %u directions\n", trees, runner.threads, 1e-6 * (double)(clock_us() - start),
		view.nodes, view.dirs);
	printf("%10s %12s %10s %12s\n", "budget", "candidates", "recall@10", "queries/s");
	for (size_t i = 0; i < sizeof(budgets) / sizeof(budgets[0]); i++) line(&view, &base, queries, nq, budgets[i], truth, scratch);

	forest_free(&forest);
	forest_scratch_free(&scratch);
	free(queries);
	free(tops);
	free(works);
	free(truth);
	images_free(&base);
	images_free(&test);
	return EXIT_SUCCESS;
}
