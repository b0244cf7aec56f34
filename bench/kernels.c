/* kernels.c - nanoseconds of CPU time for each row that a kernel over codes scores (common/codes.h), beside each other.
 *
 *   ninja -C build bench/kernels && build/bench/kernels [SET...]      sets as GROVE_KERNELS names them; all that this processor has
 *
 * Rows of 64, 128 and 832 bytes: in a row from L1 and from L2; gathered 32 at a time from L2, from 512 MB, and from 512 MB where
 * the caller has prefetched the next 32, as a search does. Bits: rows of 8, 16, 32 and 64 bytes in a row, and 100 bytes rounded up to 104.
 *   build/bench/kernels scan                                   exact search (exact.h) by the kernels of the process: ns for each row and
 *                                                              query, ten nearest, 64 bits and 128 floats in L2 and from 512 MB
 * Sets take turns inside a round, so that what else the machine does meets them all; the median of the rounds is shown. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/codes.h"
#include "common/prng.h"
#include "worker/engine/exact.h"
#include "worker/engine/sliced.h"

enum { ROUNDS = 21, TURN_US = 2000, LIST = 32, LISTS = 1 << 12, SETS_MAX = 8 };
enum { L1_BYTES = 16 << 10, L2_BYTES = 256 << 10, NEAR_BYTES = 8 << 20, FAR_BYTES = 512 << 20 };

enum kernel { L2, L1, DOT, BITS };
static const char *const kernel_names[] = {"l2", "l1", "dot", "bits"};

/* What is scored, and from where. */
struct place { const char *name; size_t bytes; bool gathered, prefetched; };

struct work {
	enum kernel kernel;
	size_t stride, rows;
	struct place place;
	const uint8_t *query, *base;
	uint32_t *lists, *answers;
};

static void score(const struct work *w, const struct code_kernels *set, const uint32_t *which, size_t n)
{
	switch (w->kernel) {
	case L2: set->l2(w->query, w->base, w->stride, which, n, w->answers); break;
	case L1: set->l1(w->query, w->base, w->stride, which, n, w->answers); break;
	case DOT: set->dot((const int8_t *)w->query, w->base, w->stride, which, n, (int32_t *)w->answers); break;
	case BITS: set->bits(w->query, w->base, w->stride, n, w->answers); break;
	}
}

/* About 8,000 rows or 1 MB, so that a look at the clock costs nothing beside them; how many rows it scored. */
static size_t pass(const struct work *w, const struct code_kernels *set, size_t *list)
{
	size_t scored = 0, calls = w->place.gathered ? 256 : 1 + (1 << 20) / w->place.bytes;

	for (size_t i = 0; i < calls; i++) {
		if (!w->place.gathered) {
			score(w, set, NULL, w->rows);
			scored += w->rows;
			continue;
		}
		const uint32_t *now = w->lists + *list * LIST;
		*list = (*list + 1) % LISTS;
		for (size_t k = 0; k < LIST && w->place.prefetched; k++)
			for (size_t at = 0; at < w->stride; at += 64) __builtin_prefetch(w->base + w->lists[*list * LIST + k] * w->stride + at);
		score(w, set, now, LIST);
		scored += LIST;
	}
	return scored;
}

static double turn_ns(const struct work *w, const struct code_kernels *set, size_t *list)
{
	uint64_t from = clock_thread_cpu_us(), now = from;
	size_t rows = 0;

	while (now - from < TURN_US) {
		rows += pass(w, set, list);
		now = clock_thread_cpu_us();
	}
	return (double)(now - from) * 1e3 / (double)rows;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void measure(struct work *w, const struct code_kernels *const *sets, size_t set_count, struct prng *p)
{
	double ns[SETS_MAX][ROUNDS];
	size_t list = 0;

	w->rows = w->place.bytes / w->stride;
	for (size_t i = 0; i < (size_t)LISTS * LIST && w->place.gathered; i++) w->lists[i] = prng_below(p, (uint32_t)w->rows);
	for (size_t s = 0; s < set_count; s++) pass(w, sets[s], &list);
	for (int round = 0; round < ROUNDS; round++)
		for (size_t s = 0; s < set_count; s++) ns[s][round] = turn_ns(w, sets[s], &list);
	printf("%-5s %4zu  %-24s", kernel_names[w->kernel], w->stride, w->place.name);
	for (size_t s = 0; s < set_count; s++) {
		qsort(ns[s], ROUNDS, sizeof(double), by_value);
		printf(" %9.3f", ns[s][ROUNDS / 2]);
	}
	printf("\n");
	fflush(stdout);
}

enum { SCAN_K = 10, SCAN_QUERIES = 64 };

/* Rows of `base` as bits or floats; the queries are rows too. */
static void measure_scan(const uint8_t *base, enum metric metric, uint32_t dim, struct place place, size_t nq, struct prng *p)
{
	size_t stride = rows_stride(metric, dim);
	struct rows rows = {.metric = metric, .dim = dim, .n = (uint32_t)(place.bytes / stride), .stride = stride, .base = base};
	struct sliced *sliced;
	uint64_t *ids = calloc(rows.n, sizeof(*ids));
	struct query queries[SCAN_QUERIES];
	struct search_work works[SCAN_QUERIES] = {{0}};
	struct hit hits[SCAN_QUERIES][SCAN_K];
	struct topk tops[SCAN_QUERIES];
	double ns[ROUNDS];

	require(ids != NULL && sliced_make(&rows, &sliced) == STATUS_OK);
	rows.ids = ids;
	rows.sliced = sliced;
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t from = clock_thread_cpu_us(), now = from;
		double scored = 0;
		for (; now - from < TURN_US; now = clock_thread_cpu_us()) {
			for (size_t q = 0; q < nq; q++) {
				queries[q] = (struct query){rows_row(&rows, prng_below(p, rows.n)), 0};
				topk_init(&tops[q], hits[q], SCAN_K);
			}
			exact_search(&rows, queries, nq, NULL, tops, works);
			scored += (double)rows.n * (double)nq;
		}
		ns[round] = (double)(now - from) * 1e3 / scored;
	}
	qsort(ns, ROUNDS, sizeof(double), by_value);
	printf("%-20s %2zu queries at once %9.3f\n", place.name, nq, ns[ROUNDS / 2]);
	fflush(stdout);
	free(ids);
	sliced_free(&sliced);
}

static int scans(void)
{
	static const struct { enum metric metric; uint32_t dim; struct place place; } scanned[] = {
		{METRIC_HAMMING, 64, {"64 bits, L2", L2_BYTES, false, false}}, {METRIC_HAMMING, 64, {"64 bits, 8 MB", NEAR_BYTES, false, false}},
		{METRIC_HAMMING, 64, {"64 bits, 512 MB", FAR_BYTES, false, false}}, {METRIC_HAMMING, 256, {"256 bits, 8 MB", NEAR_BYTES, false, false}},
		{METRIC_EUCLIDEAN, 128, {"128 floats, L2", L2_BYTES, false, false}}, {METRIC_EUCLIDEAN, 128, {"128 floats, 512 MB", FAR_BYTES, false, false}}};
	uint64_t *base = aligned_alloc(2 << 20, FAR_BYTES);
	struct prng p;

	require(base != NULL);
	prng_seed(&p, 1);
	for (size_t i = 0; i < FAR_BYTES / 8; i++) base[i] = prng_u64(&p);
	printf("%s, ns a row and query\n", code_kernels()->name);
	for (size_t at = 0; at < sizeof(scanned) / sizeof(scanned[0]); at++) {
		if (scanned[at].metric == METRIC_EUCLIDEAN)
			for (size_t i = 0; i < FAR_BYTES / 4; i++) ((float *)(void *)base)[i] = (float)prng_unit(&p);
		for (size_t nq = 1; nq <= (scanned[at].place.bytes == FAR_BYTES ? 8 : SCAN_QUERIES); nq *= 8)
			measure_scan((const uint8_t *)base, scanned[at].metric, scanned[at].dim, scanned[at].place, nq, &p);
	}
	free(base);
	return 0;
}

static size_t sets_named(int n, char **names, const struct code_kernels **ret)
{
	static const char *all[] = {"scalar", "avx2", "avx512", "vnni", "vpopcnt", "neon"};
	size_t count = 0;

	for (int i = 0; n == 0 && i < 6; i++) {
		const struct code_kernels *set = code_kernels_by_name(all[i]);
		if (set) ret[count++] = set;
	}
	for (int i = 0; i < n; i++) {
		const struct code_kernels *set = code_kernels_by_name(names[i]);
		if (!set || count == SETS_MAX) {
			fprintf(stderr, "kernels: this processor cannot run '%s', or there are more than %d sets\n", names[i], (int)SETS_MAX);
			exit(2);
		}
		ret[count++] = set;
	}
	return count;
}

int main(int argc, char **argv)
{
	static const struct place places[] = {{"in a row, L1", L1_BYTES, false, false}, {"in a row, L2", L2_BYTES, false, false},
		{"gathered, L2", L2_BYTES, true, false}, {"gathered, 512 MB", FAR_BYTES, true, false}, {"the same, prefetched", FAR_BYTES, true, true}};
	static const size_t strides[] = {64, 128, 832}, bit_strides[] = {8, 16, 32, 64, 104};
	const struct code_kernels *sets[SETS_MAX];
	if (argc == 2 && !strcmp(argv[1], "scan")) return scans();
	size_t set_count = sets_named(argc - 1, argv + 1, sets);
	uint8_t *base = aligned_alloc(2 << 20, FAR_BYTES), *query = aligned_alloc(CODE_ALIGN, 1024);
	uint32_t *lists = calloc((size_t)LISTS * LIST, sizeof(*lists)), *answers = calloc(L2_BYTES / 8, sizeof(*answers));
	struct prng p;

	require(base && query && lists && answers);
	prng_seed(&p, 1);
	for (size_t i = 0; i < 1024; i++) query[i] = (uint8_t)prng_below(&p, CODE_MAX + 1);
	for (size_t i = 0; i < FAR_BYTES; i++) base[i] = (uint8_t)(i * 37 % (CODE_MAX + 1));
	printf("ns a row                            ");
	for (size_t s = 0; s < set_count; s++) printf(" %9s", sets[s]->name);
	printf("\n");
	struct work w = {.query = query, .base = base, .lists = lists, .answers = answers};
	for (w.kernel = L2; w.kernel <= DOT; w.kernel++)
		for (size_t i = 0; i < sizeof(strides) / sizeof(strides[0]); i++)
			for (size_t at = 0; at < sizeof(places) / sizeof(places[0]); at++) {
				w.stride = strides[i];
				w.place = places[at];
				measure(&w, sets, set_count, &p);
			}
	for (size_t i = 0; i < sizeof(bit_strides) / sizeof(bit_strides[0]); i++)
		for (size_t at = 0; at < 2; at++) {
			w.stride = bit_strides[i];
			w.place = places[at];
			measure(&w, sets, set_count, &p);
		}
	free(base);
	free(query);
	free(lists);
	free(answers);
	return 0;
}
