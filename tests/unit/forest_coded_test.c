/* A forest searched by codes is what its plain twin says: the rows that an exact search of it meets, of which the nearest by their codes are scored exactly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>

#include "tests/unit/ann_fixture.h"
#include "worker/engine/knn.h"

enum { ROWS = 3000, DIM = 24, CLUSTERS = 20, TREES = 7, QUERIES = 12, K_MOST = 30 };

static const enum metric metrics[] = {METRIC_ANGULAR, METRIC_EUCLIDEAN, METRIC_MANHATTAN, METRIC_DOT};

static struct block clusters_of(enum metric m, uint32_t n, uint64_t stream) { return block_of_clusters(m, DIM, n, CLUSTERS, 5, stream); }

static uint32_t row_of(const struct rows *rows, uint64_t id)
{
	uint32_t row = 0;

	while (rows->ids[row] != id) row++;
	return row;
}

static uint64_t plain_search(const struct ann_block *a, const struct query *query, uint64_t budget, struct forest_scratch *scratch, struct topk *top)
{
	const struct rows *rows = &a->block.rows;
	const struct codes *codes = &a->view.codes;
	uint8_t *code = aligned_alloc(CODE_ALIGN, codes->stride);
	struct hit *met = calloc(ROWS, sizeof(*met));
	knn_key *keys = calloc(ROWS, sizeof(*keys));
	struct search_work work = {0};
	struct topk all;
	size_t keep = 4 * top->capacity > 64 ? 4 * top->capacity : 64;

	assert_true(code && met && keys);
	if (keep < budget / 32) keep = (size_t)(budget / 32);
	topk_init(&all, met, ROWS);
	assert_int_equal(forest_search(&a->view.forest, rows, query, budget, NULL, scratch, &all, &work), STATUS_OK);
	quant_encode_query(&a->view.forest.quant, rows->metric, rows->dim, query, code);
	for (size_t i = 0; i < all.count; i++) {
		uint32_t row = row_of(rows, met[i].id), score;
		quant_score(codes, code, &row, 1, &score);
		keys[i] = knn_key_of(score, row);
	}
	knn_sort(keys, all.count);
	for (size_t i = 0; i < all.count && i < keep; i++) {
		uint32_t row = knn_row(keys[i]);
		topk_push(top, (struct hit){.id = rows->ids[row],
			.raw = vec_raw(rows->metric, rows_row(rows, row), rows->norm2[row], query->row, query->norm2, rows->dim)});
	}
	free(code);
	free(met);
	free(keys);
	return work.candidates;
}

static void a_forest_searched_by_codes_is_what_its_plain_twin_says(void **state)
{
	static const size_t ks[] = {1, 10, K_MOST};
	struct forest_scratch *scratch = NULL;

	assert_int_equal(forest_scratch_new(&scratch), STATUS_OK);
	for (int m = 0; m < 4; m++) {
		struct block b = clusters_of(metrics[m], ROWS, 0), queries = clusters_of(metrics[m], QUERIES, 1);
		struct ann_block a;
		ann_block_init(&a, &b, TREES, 1, runner_inline());
		for (uint32_t r = 0; r < ROWS; r += 5) atomic_store(&a.block.dead[r], 1);
		for (uint64_t budget = 1; budget < ROWS; budget = budget * 2 + 7)
			for (uint32_t q = 0; q < QUERIES; q++) {
				struct hit hits[2][K_MOST];
				struct topk top[2];
				struct search_work work = {0};
				struct query query = block_query(&queries, q);
				for (int i = 0; i < 2; i++) topk_init(&top[i], hits[i], ks[q % 3]);
				assert_int_equal(forest_search_coded(&a.view.forest, &a.block.rows, &a.view.codes, &query, budget, NULL, scratch, &top[0], &work), STATUS_OK);
				assert_int_equal(work.candidates, plain_search(&a, &query, budget, scratch, &top[1]));
				assert_int_equal(top[0].count, top[1].count);
				for (int i = 0; i < 2; i++) topk_sort(&top[i]);
				assert_memory_equal(hits[0], hits[1], top[0].count * sizeof(struct hit));
			}
		ann_block_free(&a);
		block_free(&queries);
	}
	forest_scratch_free(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_forest_searched_by_codes_is_what_its_plain_twin_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
