/* The truth is what a scan of all rows says: first by codes and then exactly, or, where codes do not tell, exactly at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "tests/support/starve.h"
#include "tests/unit/engine_fixture.h"
#include "worker/engine/truth.h"

/* Under a sanitizer, which makes distances slow, some of the data must do. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { EACH = 5 };
#else
enum { EACH = 1 };
#endif
enum { ROWS = 3000, QUERIES = 32, CLUSTERS = 6, CODED = 400, CODED_DOT = 1200 };

enum kind { CLUSTERED, NOISE, SMOOTH, TIGHT, KINDS };

/* Smooth: each column near the one before, as neighbouring pixels are. Tight: within a cluster rows differ by less than a code. */
static void fill(struct block *b, enum kind kind, uint64_t seed)
{
	struct prng p;

	fill_clusters(b, kind == NOISE ? b->rows.n : CLUSTERS, seed, 0);
	prng_seed(&p, seed);
	for (uint32_t r = 0; r < b->rows.n; r++) {
		float *row = block_row(b, r);
		for (uint32_t i = 1; kind == SMOOTH && i < b->rows.dim; i++) row[i] = .95f * row[i - 1] + .3f * row[i];
		for (uint32_t i = 0; kind == TIGHT && i < b->rows.dim; i++) row[i] = (float)(r % CLUSTERS * (i % 3)) + 1e-4f * normal(&p);
	}
	block_finish(b);
}

struct made { struct block block; struct quant quant; struct graph_space space; uint32_t asking[QUERIES]; };

static void made_init(struct made *m, enum metric metric, uint32_t dim, enum kind kind)
{
	block_init(&m->block, metric, dim, ROWS);
	fill(&m->block, kind, 11);
	m->space = (struct graph_space){.rows = m->block.rows, .codes = codes_of(&m->block, &m->quant)};
	m->space.rows.dead_at = NULL;
	m->space.forest.quant = m->quant;
	for (uint32_t q = 0; q < QUERIES; q++) m->asking[q] = q * (ROWS / QUERIES) + q % 7;
}

static void made_free(struct made *m)
{
	free((void *)(uintptr_t)m->space.codes.base);
	quant_release(&m->quant);
	block_free(&m->block);
}

/* ---- the plain twin ---- */

struct scored { float raw; uint32_t score, row; };

static int by_score(const void *a, const void *b)
{
	const struct scored *x = a, *y = b;
	if (x->score != y->score) return x->score < y->score ? -1 : 1;
	return x->row < y->row ? -1 : x->row > y->row;
}

static int by_raw(const void *a, const void *b)
{
	float x = ((const struct scored *)a)->raw, y = ((const struct scored *)b)->raw;
	return x < y ? -1 : x > y;
}

static struct truth plain_truth(const struct made *m, uint32_t q, bool by_codes)
{
	static struct scored all[ROWS];
	static uint32_t scores[ROWS];
	const struct rows *rows = &m->space.rows;
	struct query query = rows_query(rows, m->asking[q]);
	uint8_t *code = aligned_alloc(CODE_ALIGN, m->space.codes.stride);
	uint32_t n = ROWS;
	struct truth truth;

	assert_non_null(code);
	quant_encode_query(&m->quant, rows->metric, rows->dim, &query, code);
	quant_score(&m->space.codes, code, NULL, ROWS, scores);
	free(code);
	for (uint32_t r = 0; r < ROWS; r++) {
		struct query row = rows_query(rows, r);
		all[r] = (struct scored){vec_raw(rows->metric, row.row, row.norm2, query.row, query.norm2, rows->dim), scores[r], r};
	}
	if (by_codes) qsort(all, ROWS, sizeof(*all), by_score);
	if (by_codes) n = rows->metric == METRIC_DOT ? CODED_DOT : CODED;
	uint32_t kept = 0;
	for (uint32_t i = 0; i < n; i++)
		if (all[i].row != m->asking[q]) all[kept++] = all[i];
	qsort(all, kept, sizeof(*all), by_raw);
	for (int j = 0; j < TUNE_KS; j++) truth.last[j] = all[tune_ks[j] - 1].raw;
	return truth;
}

static bool codes_tell(const struct made *m)
{
	for (uint32_t i = 0; i < TRUTH_ROWS_LEAST; i++) {
		struct truth coded = plain_truth(m, i * (QUERIES / TRUTH_ROWS_LEAST), true), exact = plain_truth(m, i * (QUERIES / TRUTH_ROWS_LEAST), false);
		if (memcmp(&coded, &exact, sizeof(coded)) != 0) return false;
	}
	return true;
}

static void truth_is_that_of_the_plain_twin(const struct made *m, bool *ret_by_codes)
{
	struct runner many = {run_threads, 3};
	struct truth one[QUERIES], three[QUERIES];

	*ret_by_codes = codes_tell(m);
	assert_int_equal(truth_find(&m->space, m->asking, QUERIES, runner_inline(), NULL, one), STATUS_OK);
	assert_int_equal(truth_find(&m->space, m->asking, QUERIES, &many, NULL, three), STATUS_OK);
	for (uint32_t q = 0; q < QUERIES; q++) {
		struct truth plain = plain_truth(m, q, *ret_by_codes);
		assert_memory_equal(&one[q], &plain, sizeof(plain));
		assert_memory_equal(&three[q], &plain, sizeof(plain));
	}
}

/* ---- claims ---- */

static void all_rows_are_told_of_by_codes_or_exactly(void **state)
{
	static const enum metric metrics[] = {METRIC_EUCLIDEAN, METRIC_ANGULAR, METRIC_MANHATTAN, METRIC_DOT};
	static const uint32_t dims[] = {20, 100, 300};
	unsigned by_codes = 0, exactly = 0;

	(void)state;
	for (int i = 0; i < 4 * 3 * KINDS; i += EACH) {
		struct made m;
		bool coded;
		made_init(&m, metrics[i % 4], dims[i / 4 % 3], (enum kind)(i / 12));
		truth_is_that_of_the_plain_twin(&m, &coded);
		by_codes += coded;
		exactly += !coded;
		made_free(&m);
	}
	assert_true(by_codes > 12 / EACH);
	assert_true(exactly > 2 / EACH);
}

static bool at_once(void *arg)
{
	(void)arg;
	return true;
}

static void pulse_cancels(void **state)
{
	struct truth truth[QUERIES];
	struct pulse pulse = {at_once, NULL};
	struct made m;

	(void)state;
	made_init(&m, METRIC_EUCLIDEAN, 100, CLUSTERED);
	assert_int_equal(truth_find(&m.space, m.asking, QUERIES, runner_inline(), &pulse, truth), STATUS_CANCELLED);
	made_free(&m);
}

static void no_memory_is_said(void **state)
{
	struct truth truth[QUERIES];
	struct made m;
	long n = 0;

	(void)state;
	if (!starve_works()) skip();
	made_init(&m, METRIC_EUCLIDEAN, 100, SMOOTH);
	for (bool starved = true; starved; n++) {
		starve_begin(n, n % 2);
		enum status status = truth_find(&m.space, m.asking, QUERIES, runner_inline(), NULL, truth);
		starved = starve_end();
		assert_int_equal(status, starved ? STATUS_NO_MEMORY : STATUS_OK);
	}
	assert_true(n > 2);
	made_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(all_rows_are_told_of_by_codes_or_exactly), cmocka_unit_test(pulse_cancels),
		cmocka_unit_test(no_memory_is_said)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
