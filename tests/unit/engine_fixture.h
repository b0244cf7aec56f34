/* engine_fixture.h - what the tests of worker/engine share: a block of rows that owns its memory, data of several kinds, a
 * runner with real threads, and recall against exact search. */
#ifndef TESTS_ENGINE_FIXTURE_H
#define TESTS_ENGINE_FIXTURE_H

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/prng.h"
#include "worker/engine/exact.h"
#include "worker/engine/forest.h"

/* ---- blocks ---- */

struct block { struct rows rows; uint8_t *base; float *norm2; uint64_t *ids; _Atomic uint64_t *dead; };

static inline void block_init(struct block *b, enum metric m, uint32_t dim, uint32_t n)
{
	size_t stride = rows_stride(m, dim);

	b->base = aligned_alloc(64, (stride * n + 127) & ~(size_t)63);
	b->norm2 = calloc((size_t)n + 1, sizeof(float));
	b->ids = calloc((size_t)n + 1, sizeof(uint64_t));
	b->dead = calloc((size_t)n + 1, sizeof(uint64_t));
	assert_true(b->base && b->norm2 && b->ids && b->dead);
	memset(b->base, 0, stride * n + 64);
	b->rows = (struct rows){.metric = m, .dim = dim, .n = n, .stride = stride, .base = b->base, .norm2 = b->norm2, .ids = b->ids,
		.dead_at = b->dead, .at = 1};
}

/* When the rows are filled in. */
static inline void block_finish(struct block *b)
{
	for (uint32_t i = 0; i < b->rows.n; i++) {
		b->norm2[i] = vec_norm2(b->rows.metric, rows_row(&b->rows, i), b->rows.dim);
		b->ids[i] = (uint64_t)i * 3 + 7;
	}
}

static inline void block_free(struct block *b)
{
	free(b->base);
	free(b->norm2);
	free(b->ids);
	free((void *)b->dead);
	*b = (struct block){0};
}

/* Row i becomes row new_of_old[i]. */
static inline void block_reorder(struct block *b, const uint32_t *new_of_old, struct runner *runner)
{
	struct block placed;

	block_init(&placed, b->rows.metric, b->rows.dim, b->rows.n);
	rows_place(b->base, b->rows.stride, b->rows.n, new_of_old, runner, placed.base);
	rows_place(b->norm2, sizeof(*b->norm2), b->rows.n, new_of_old, runner, placed.norm2);
	rows_place(b->ids, sizeof(*b->ids), b->rows.n, new_of_old, runner, placed.ids);
	block_free(b);
	*b = placed;
}

static inline float *block_row(struct block *b, uint32_t i) { return (float *)(void *)(b->base + (size_t)i * b->rows.stride); }
static inline struct query block_query(const struct block *b, uint32_t i)
{
	return (struct query){rows_row(&b->rows, i), b->norm2[i]};
}

static inline float normal(struct prng *p)
{
	return (float)(sqrt(-2 * log(1 - prng_unit(p))) * cos(6.283185307179586 * prng_unit(p)));
}

/* Rows around `clusters` centres, which follow from the seed alone: two blocks with one seed and another `stream` are drawn
 * alike. Bits: the signs. */
static inline void fill_clusters(struct block *b, uint32_t clusters, uint64_t seed, uint64_t stream)
{
	uint32_t dim = b->rows.dim;
	float *centres = calloc((size_t)clusters * dim, sizeof(float));
	struct prng p;

	assert_non_null(centres);
	prng_seed(&p, seed);
	for (size_t i = 0; i < (size_t)clusters * dim; i++) centres[i] = normal(&p) * 2;
	prng_seed3(&p, seed, 1, stream);
	for (uint32_t r = 0; r < b->rows.n; r++) {
		const float *c = centres + (size_t)prng_below(&p, clusters) * dim;
		uint8_t *row = b->base + (size_t)r * b->rows.stride;
		for (uint32_t i = 0; i < dim; i++) {
			float v = c[i] + normal(&p) * 1.5f;
			if (b->rows.metric == METRIC_HAMMING)
				row[i / 8] |= (uint8_t)((v > 0) << i % 8);
			else
				((float *)(void *)row)[i] = v;
		}
	}
	free(centres);
	block_finish(b);
}

static inline struct block block_of_clusters(enum metric m, uint32_t dim, uint32_t n, uint32_t clusters, uint64_t seed, uint64_t stream)
{
	struct block b;

	block_init(&b, m, dim, n);
	fill_clusters(&b, clusters, seed, stream);
	return b;
}

/* ---- threads ---- */

struct thread_piece { void (*work)(void *arg, size_t i); void *arg; size_t first, n, step; };

static inline void *run_thread_piece(void *arg)
{
	struct thread_piece *p = arg;
	for (size_t i = p->first; i < p->n; i += p->step) p->work(p->arg, i);
	return NULL;
}

enum { RUNNER_THREADS_MAX = 16 };

static inline void run_threads(struct runner *r, size_t n, void (*work)(void *arg, size_t i), void *arg)
{
	pthread_t threads[RUNNER_THREADS_MAX];
	struct thread_piece pieces[RUNNER_THREADS_MAX];

	for (size_t t = 0; t < r->threads; t++) {
		pieces[t] = (struct thread_piece){work, arg, t, n, r->threads};
		assert_int_equal(pthread_create(&threads[t], NULL, run_thread_piece, &pieces[t]), 0);
	}
	for (size_t t = 0; t < r->threads; t++) pthread_join(threads[t], NULL);
}

/* ---- forests ---- */

/* The codes of a block; free codes.base. */
static inline struct codes codes_of(const struct block *b, struct quant *ret_quant)
{
	struct codes codes = {b->rows.metric, quant_stride(b->rows.metric, b->rows.dim), NULL};
	uint8_t *base = codes.stride ? aligned_alloc(CODE_ALIGN, ((size_t)b->rows.n + 1) * codes.stride) : NULL;

	assert_int_equal(quant_fit(&b->rows, ret_quant), STATUS_OK);
	if (base) quant_encode_rows(ret_quant, &b->rows, runner_inline(), base);
	codes.base = base;
	return codes;
}

/* Codes and forest; what the build says. */
static inline enum status forest_try(const struct block *b, const struct forest_params *params, struct runner *runner, _Atomic uint64_t *progress,
	const struct pulse *pulse, struct forest **ret)
{
	struct quant quant;
	struct codes codes = codes_of(b, &quant);
	enum status status = forest_build(&b->rows, &codes, &quant, params, runner, progress, pulse, ret);

	free((void *)(uintptr_t)codes.base);
	quant_release(&quant);
	return status;
}

static inline struct forest *forest_of(const struct block *b, uint32_t trees, uint64_t seed, struct runner *runner)
{
	struct forest *f = NULL;
	struct forest_params params = {trees, seed};

	assert_int_equal(forest_try(b, &params, runner, NULL, NULL, &f), STATUS_OK);
	struct forest_view v = forest_as_view(f);
	assert_true(forest_check(&v, b->rows.metric, b->rows.dim));
	return f;
}

/* One scratch for all claims of a group. */
static inline int scratch_setup(void **state)
{
	struct forest_scratch *s = NULL;

	assert_int_equal(forest_scratch_new(&s), STATUS_OK);
	*state = s;
	return 0;
}

static inline int scratch_teardown(void **state)
{
	struct forest_scratch *s = *state;

	forest_scratch_free(&s);
	return 0;
}

/* ---- recall ---- */

/* The raw distance of the k-th nearest live row of each query. */
static inline float *truth_of(const struct block *b, const struct block *queries, size_t k)
{
	size_t nq = queries->rows.n;
	float *ret = calloc(nq, sizeof(*ret));
	struct hit *hits = calloc(nq * k, sizeof(*hits));
	struct topk *tops = calloc(nq, sizeof(*tops));
	struct query *all = calloc(nq, sizeof(*all));
	struct search_work *works = calloc(nq, sizeof(*works));

	assert_true(ret && hits && tops && all && works);
	for (size_t q = 0; q < nq; q++) {
		all[q] = block_query(queries, (uint32_t)q);
		topk_init(&tops[q], hits + q * k, k);
	}
	exact_search(&b->rows, all, nq, NULL, tops, works);
	for (size_t q = 0; q < nq; q++) {
		topk_sort(&tops[q]);
		ret[q] = tops[q].hits[tops[q].count - 1].raw;
	}
	free(hits);
	free(tops);
	free(all);
	free(works);
	return ret;
}

/* The part of the k nearest that forest searches over `parts` blocks find together, each with an equal part of the budget. */
static inline double recall_of(const struct block *blocks, const struct forest_view *views, size_t parts,
	const struct block *queries, size_t k, const float *truth, uint64_t budget, struct forest_scratch *scratch)
{
	struct hit *found = calloc(k, sizeof(*found));
	size_t right = 0, nq = queries->rows.n;

	assert_non_null(found);
	for (size_t q = 0; q < nq; q++) {
		struct query query = block_query(queries, (uint32_t)q);
		struct search_work work = {0};
		struct topk top;
		topk_init(&top, found, k);
		for (size_t i = 0; i < parts; i++)
			assert_int_equal(forest_search(&views[i], &blocks[i].rows, &query, budget / parts, NULL, scratch, &top, &work), STATUS_OK);
		assert_true(work.candidates <= budget + parts * FOREST_LEAF_MAX);
		for (size_t i = 0; i < top.count; i++) right += found[i].raw <= truth[q];
	}
	free(found);
	return (double)right / (double)(k * nq);
}

#endif
