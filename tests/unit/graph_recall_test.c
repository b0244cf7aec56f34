/* What the graph finds: floors of recall for every metric, with dead rows, on data that is hard on codes, and what was predicted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <stdio.h>

#include "tests/unit/ann_fixture.h"

enum { ROWS = 6000, QUERIES = 200, DIM = 32, CLUSTERS = 40, TREES = 10, K = 10 };
static const enum metric metrics[] = {METRIC_ANGULAR, METRIC_EUCLIDEAN, METRIC_MANHATTAN, METRIC_DOT};

static void both(enum metric m, struct block *b, struct block *queries)
{
	block_init(b, m, DIM, ROWS);
	block_init(queries, m, DIM, QUERIES);
	fill_clusters(b, CLUSTERS, 77, 0);
	fill_clusters(queries, CLUSTERS, 77, 1);
}

static void every_metric_reaches_its_floor(void **state)
{
	/* dot: the largest products lie apart from each other, so it takes more. */
	static const struct { uint32_t ef; double floor, dot; } floors[] = {{20, 0.95, 0.82}, {80, 0.985, 0.90}, {400, 0.999, 0.985}};

	for (int m = 0; m < 4; m++) {
		struct block b, queries;
		struct ann_block a;
		both(metrics[m], &b, &queries);
		ann_block_init(&a, &b, TREES, 1, runner_inline());
		float *truth = truth_of(&a.block, &queries, K);
		fprintf(stderr, "%-12s", metric_name(metrics[m]));
		for (int i = 0; i < 3; i++) {
			struct graph_effort effort = {floors[i].ef, 0};
			double recall = graph_recall(&a, &queries, K, truth, &effort, *state);
			fprintf(stderr, "  %.4f at %u", recall, floors[i].ef);
			assert_true(recall >= (metrics[m] == METRIC_DOT ? floors[i].dot : floors[i].floor));
		}
		fprintf(stderr, "\n");
		free(truth);
		ann_block_free(&a);
		block_free(&queries);
	}
}

static void thousands_of_dead_rows_cost_no_recall(void **state)
{
	for (int m = 0; m < 4; m++) {
		struct block b, queries;
		struct ann_block a;
		both(metrics[m], &b, &queries);
		ann_block_init(&a, &b, TREES, 1, runner_inline());
		for (uint32_t r = 0; r < ROWS; r++)
			if (r % 4) atomic_store(&a.block.dead[r], 1);
		a.space.dead = ROWS / 4 * 3;
		float *truth = truth_of(&a.block, &queries, K);
		struct graph_effort effort = {80, 0};
		assert_true(graph_recall(&a, &queries, K, truth, &effort, *state) >= (metrics[m] == METRIC_DOT ? 0.9 : 0.98));
		free(truth);
		ann_block_free(&a);
		block_free(&queries);
	}
}

/* Any scale: the range of the codes follows the data. */
static void magnitude_does_not_matter(void **state)
{
	static const float scales[] = {1e-30f, 1e-10f, 1e15f};

	for (int m = 0; m < 4; m++)
		for (int i = 0; i < 3; i++) {
			struct block b, queries;
			struct ann_block a;
			both(metrics[m], &b, &queries);
			for (uint32_t r = 0; r < ROWS; r++)
				for (uint32_t d = 0; d < DIM; d++) block_row(&b, r)[d] *= scales[i];
			for (uint32_t r = 0; r < QUERIES; r++)
				for (uint32_t d = 0; d < DIM; d++) block_row(&queries, r)[d] *= scales[i];
			block_finish(&b);
			block_finish(&queries);
			ann_block_init(&a, &b, TREES, 1, runner_inline());
			float *truth = truth_of(&a.block, &queries, K);
			struct graph_effort effort = {80, 0};
			assert_true(graph_recall(&a, &queries, K, truth, &effort, *state) >= (metrics[m] == METRIC_DOT ? 0.88 : 0.98));
			free(truth);
			ann_block_free(&a);
			block_free(&queries);
		}
}

enum { PATHOLOGIES = 9 };
static void make_pathology(struct block *b, int kind, struct prng *p)
{
	for (uint32_t r = 0; r < b->rows.n; r++)
		for (uint32_t i = 0; i < b->rows.dim; i++) {
			float *v = &block_row(b, r)[i];
			switch (kind) {
			case 0: *v = 0; break;
			case 1: *v = r % 2 ? 1.0f : -1.0f; break;
			case 2: *v = r < 20 ? normal(p) : 1.0f; break; /* nearly all the same */
			case 3: *v = normal(p) * 1e30f; break;
			case 4: *v = i == 0 ? (float)r : 3.0f; break; /* constant columns */
			case 5: *v = r == 0 ? 3e38f : normal(p); break; /* one outlier */
			case 6: *v = r % 2 ? FLT_MAX : -FLT_MAX; break;
			case 7: *v = r % 2 ? FLT_TRUE_MIN : -FLT_TRUE_MIN; break;
			default: *v = ldexpf(normal(p), (int)prng_below(p, 240) - 120); break; /* every magnitude */
			}
		}
	block_finish(b);
}

/* Whatever the data, a graph is whole, k hits are found, and where its efforts promise a recall, it is there: else tune_choose() says no,
 * and the rows are scanned. */
static void pathological_data_is_searched_and_what_is_promised_is_found(void **state)
{
	for (int m = 0; m < 4; m++)
		for (int kind = 0; kind < PATHOLOGIES; kind++)
			for (uint32_t dim = 1; dim <= 17; dim += 16) {
				struct block b, queries;
				struct ann_block a;
				struct prng p;
				struct graph_effort effort;
				prng_seed(&p, (uint64_t)kind);
				block_init(&b, metrics[m], dim, GRAPH_ROWS_MIN);
				block_init(&queries, metrics[m], dim, 40);
				make_pathology(&b, kind, &p);
				for (uint32_t i = 0; i < 40; i++) memcpy(block_row(&queries, i), block_row(&b, i * 23), dim * sizeof(float));
				block_finish(&queries);
				ann_block_init(&a, &b, 3, 1, runner_inline());
				float *truth = truth_of(&a.block, &queries, K);
				struct graph_effort least = {K, 0};
				(void)graph_recall(&a, &queries, K, truth, &least, *state);
				if (tune_choose(&a.view.tune, K, 0.95f, &effort)) {
					double recall = graph_recall(&a, &queries, K, truth, &effort, *state);
					if (recall < 0.85) fprintf(stderr, "%s, kind %d, dim %u: %.3f at ef %u\n", metric_name(metrics[m]), kind, dim, recall, effort.ef);
					assert_true(recall >= 0.85);
				}
				free(truth);
				ann_block_free(&a);
				block_free(&queries);
			}
}

/* All rows have few codes between them, so that many are as near as the last that would be scored exactly. */
static void where_one_column_tells_rows_apart_what_is_promised_is_found(void **state)
{
	static const float wanted[] = {0.9f, 0.95f, 0.99f};

	for (int m = 1; m < 3; m++) {
		struct block b, queries, *both_of[] = {&b, &queries};
		struct ann_block a;
		struct prng p;
		prng_seed(&p, 5);
		block_init(&b, metrics[m], 8, ROWS);
		block_init(&queries, metrics[m], 8, QUERIES);
		for (int i = 0; i < 2; i++) {
			for (uint32_t r = 0; r < both_of[i]->rows.n; r++)
				for (uint32_t d = 0; d < 8; d++) block_row(both_of[i], r)[d] = d == 3 ? normal(&p) : 7;
			block_finish(both_of[i]);
		}
		ann_block_init(&a, &b, TREES, 1, runner_inline());
		float *truth = truth_of(&a.block, &queries, K);
		fprintf(stderr, "%-12s", metric_name(metrics[m]));
		for (int i = 0; i < 3; i++) {
			struct graph_effort effort = {0};
			assert_true(tune_choose(&a.view.tune, K, wanted[i], &effort));
			double recall = graph_recall(&a, &queries, K, truth, &effort, *state);
			fprintf(stderr, "  %.3f (ef %u)", recall, effort.ef);
			assert_true(recall >= (double)wanted[i] - 0.05);
		}
		fprintf(stderr, "\n");
		free(truth);
		ann_block_free(&a);
		block_free(&queries);
	}
}

/* The same rows are met, in the same order; codes only choose which of them are scored exactly. */
static void a_forest_searched_by_codes_finds_what_it_finds_exactly(void **state)
{
	struct forest_scratch *scratch = NULL;

	assert_int_equal(forest_scratch_new(&scratch), STATUS_OK);
	for (int m = 0; m < 4; m++) {
		struct block b, queries;
		struct ann_block a;
		both(metrics[m], &b, &queries);
		ann_block_init(&a, &b, TREES, 1, runner_inline());
		for (uint32_t r = 0; r < ROWS; r += 3) atomic_store(&a.block.dead[r], 1);
		float *truth = truth_of(&a.block, &queries, K);
		for (uint64_t budget = 50; budget <= ROWS; budget *= 3) {
			size_t exactly = 0, by_codes = 0;
			for (uint32_t q = 0; q < QUERIES; q++) {
				struct hit hits[2][K];
				struct topk top[2];
				struct search_work work[2] = {{0}};
				struct query query = block_query(&queries, q);
				for (int i = 0; i < 2; i++) topk_init(&top[i], hits[i], K);
				assert_int_equal(forest_search(&a.view.forest, &a.block.rows, &query, budget, NULL, scratch, &top[0], &work[0]), STATUS_OK);
				assert_int_equal(forest_search_coded(&a.view.forest, &a.block.rows, &a.view.codes, &query, budget, NULL, scratch,
					&top[1], &work[1]), STATUS_OK);
				assert_int_equal(work[0].candidates, work[1].candidates);
				assert_int_equal(top[0].count, top[1].count);
				for (size_t i = 0; i < top[0].count; i++) {
					exactly += hits[0][i].raw <= truth[q];
					by_codes += hits[1][i].raw <= truth[q];
				}
			}
			assert_true(by_codes <= exactly && by_codes + exactly / 200 >= exactly);
		}
		free(truth);
		ann_block_free(&a);
		block_free(&queries);
	}
	forest_scratch_free(&scratch);
}

/* Of recall r, by so many neighbours of queries, which are not independent of each other: as if they came in twos. */
static double standard_error(double r, double neighbours) { return sqrt(2 * r * (1 - r) / neighbours); }

static void what_is_predicted_is_found(void **state)
{
	static const float wanted[] = {0.8f, 0.9f, 0.95f, 0.98f, 0.99f};
	static const uint32_t ks[] = {1, 5, 10, 30, 100};
	enum { MANY = 1000, TOLD_BY = 960, TOLD_BY_WIDE = 120 };

	for (int m = 0; m < 4; m++) {
		struct block b, queries;
		struct ann_block a;
		block_init(&b, metrics[m], DIM, ROWS);
		block_init(&queries, metrics[m], DIM, MANY);
		fill_clusters(&b, CLUSTERS, 77, 0);
		fill_clusters(&queries, CLUSTERS, 77, 1);
		ann_block_init(&a, &b, TREES, 1, runner_inline());
		/* No curve tells the first rungs, and what was measured of k = 10 and of k = 100 stands at the same ones. */
		for (uint32_t i = 0; i < 4; i++) assert_int_equal(a.view.tune.efforts[i].ef, 2 + i);
		for (uint32_t i = 1; i < a.view.tune.count; i++) assert_true(a.view.tune.efforts[i].ef > a.view.tune.efforts[i - 1].ef);
		for (int j = 0; j < 5; j++) {
			float *truth = truth_of(&a.block, &queries, ks[j]);
			fprintf(stderr, "%-12s k %3u:", metric_name(metrics[m]), ks[j]);
			for (int i = 0; i < 5; i++) {
				struct graph_effort effort = {0};
				assert_true(tune_choose(&a.view.tune, ks[j], wanted[i], &effort));
				double recall = graph_recall(&a, &queries, ks[j], truth, &effort, *state), predicted = tune_predict(&a.view.tune, ks[j], effort.ef);
				fprintf(stderr, "  %.3f -> %.3f (ef %u)", predicted, recall, effort.ef);
				double told = ks[j] > 10 ? TOLD_BY_WIDE * 10 : TOLD_BY * ks[j];
				double apart = 0.01 + 3 * (standard_error(predicted, told) + standard_error(predicted, MANY * (ks[j] > 10 ? 10 : ks[j])));
				assert_true(predicted >= (double)wanted[i] - 1e-6 && fabs(recall - predicted) <= apart);
			}
			fprintf(stderr, "\n");
			free(truth);
		}
		ann_block_free(&a);
		block_free(&queries);
	}
}

static void more_recall_never_costs_less(void **state)
{
	static const struct tune_effort efforts[] = {{10, 100, {.7f, .6f, 0}}, {20, 150, {.9f, .8f, 0}}, {40, 220, {.95f, .92f, 0}}, {100, 500, {.99f, .98f, .9f}},
		{200, 900, {1, .999f, .99f}}};
	struct tune_view t = {5, efforts};
	struct graph_effort effort;

	assert_true(tune_check(&t));
	for (uint32_t k = 1; k <= 1000; k = k * 2 + 1) {
		uint32_t least = 0;
		for (float recall = 0.1f; recall < 0.99f; recall += 0.01f) {
			if (!tune_choose(&t, k, recall, &effort)) continue;
			assert_true(effort.ef >= least);
			least = effort.ef;
		}
		assert_true(least > 0);
	}
	assert_true(tune_choose(&t, 10, 0.8f, &effort) && effort.ef == 20);
	assert_true(tune_choose(&t, 100, 0.9f, &effort) && effort.ef == 100);
	assert_true(tune_choose(&t, 10, 0.5f, &effort) && effort.ef == 10); /* the least that was measured */
	assert_true(tune_choose(&t, 10, 0.86f, &effort) && effort.ef > 20 && effort.ef < 40);
	assert_false(tune_choose(&t, 10, 0.9995f, &effort)); /* more than was ever found */
	/* One curve that ends too low does not make a scan of what the other says. */
	static const struct tune_effort missed[] = {{10, 100, {.9f, .9f, 0}}, {20, 150, {.998f, .9995f, 0}}, {100, 500, {.998f, .9996f, .999f}}};
	struct tune_view few = {3, missed};
	assert_true(tune_choose(&few, 10, 0.999f, &effort) && effort.ef <= 20);
	assert_true(tune_choose(&few, 5, 0.999f, &effort) && effort.ef <= 20);
	assert_true(tune_choose(&few, 1, 0.999f, &effort) && effort.ef <= 20);
	struct tune_view none = {0, NULL};
	assert_false(tune_choose(&none, 10, 0.5f, &effort));
}

/* Points on a line that are found the less often the farther they are, dealt out to parts by chance: a part finds of those that are among the k
 * nearest of all what it finds of tune_share() of its own. */
static void the_share_of_a_part_has_the_same_recall(void **state)
{
	enum { TIMES = 20000, NEAREST = 40, NEAR = 400 };
	struct prng p;

	prng_seed(&p, 7);
	for (uint32_t parts = 1; parts <= 8; parts *= 2) {
		double share = tune_share(NEAREST, 1.0 / parts), found = 0, held = 0, own = 0, own_count = 0;
		for (uint32_t q = 0; q < TIMES; q++) {
			uint32_t rank = 0;
			for (uint32_t r = 0; r < NEAR; r++) {
				if (prng_below(&p, parts) != 0) continue; /* another part's */
				double weight = fmin(fmax(share - rank++, 0), 1), chance = 1 - 0.3 * (r + 0.5) / NEAR;
				own += weight * chance;
				own_count += weight;
				if (r < NEAREST) found += chance;
				held += r < NEAREST;
			}
		}
		if (fabs(found / held - own / own_count) > 0.001) fail_msg("%u parts: found %.4f, of the share %.4f", parts, found / held, own / own_count);
	}
	assert_true(tune_share(10, 1) == 10 && tune_share(1, 1) == 1 && tune_share(10, 0.5) < 5 && tune_share(10, 0.01) == 1);
}

static void what_is_predicted_is_what_was_chosen_for(void **state)
{
	static const struct tune_effort efforts[] = {{10, 100, {.7f, .6f, 0}}, {20, 150, {.9f, .8f, 0}}, {25, 170, {.9f, .8f, 0}}, {40, 220, {.95f, .92f, 0}},
		{100, 500, {.99f, .98f, .9f}}, {200, 900, {1, .999f, .99f}}};
	const struct tune_view t = {6, efforts}, none = {0, NULL};
	struct graph_effort effort;

	assert_true(fabs(tune_predict(&t, 10, 20) - 0.8) < 1e-6 && fabs(tune_predict(&t, 1, 20) - 0.9) < 1e-6 && fabs(tune_predict(&t, 100, 200) - 0.99) < 1e-6);
	assert_true(tune_predict(&t, 3, 20) > 0.8 && tune_predict(&t, 3, 20) < 0.9);
	assert_true(tune_predict(&t, 10, 30) > 0.8 && tune_predict(&t, 10, 30) < 0.92);
	assert_true(fabs(tune_predict(&t, 10, 22) - 0.8) < 1e-6);
	assert_true(fabs(tune_predict(&t, 10, 5000) - 0.999) < 1e-6);
	assert_true(fabs(tune_predict(&t, 200, 200) - 0.9) < 1e-6); /* as 100 of 100 */
	assert_true(tune_predict(&t, 30, 40) > tune_predict(&t, 10, 14) && tune_predict(&t, 30, 40) < tune_predict(&t, 10, 40));
	assert_true(tune_predict(&t, 0.01, 20) == tune_predict(&t, 1, 20));
	assert_true(tune_predict(&none, 10, 20) == 0);
	/* And what it costs: what was measured of the next greater pool, in proportion beyond the greatest. */
	assert_int_equal(tune_scored(&t, 5), 100);
	assert_int_equal(tune_scored(&t, 21), 170);
	assert_int_equal(tune_scored(&t, 400), 1800);
	assert_int_equal(tune_scored(&none, 30), 30);
	for (int j = 0; j < TUNE_KS; j++)
		for (float recall = 0.92f; recall < 0.99f; recall += 0.005f) {
			assert_true(tune_choose(&t, tune_ks[j], recall, &effort));
			assert_true(tune_predict(&t, tune_ks[j], effort.ef) >= (double)recall - 1e-6);
			assert_true(tune_predict(&t, tune_ks[j], effort.ef - 1) < (double)recall + 1e-6);
		}
	for (double k = 1; k < 300; k *= 1.5)
		for (uint32_t ef = 310; ef > k && ef > 10; ef--) {
			assert_true(tune_predict(&t, k, ef) > 0 && tune_predict(&t, k, ef) <= 1);
			if (k == 1) assert_true(tune_predict(&t, k, ef) <= tune_predict(&t, k, ef + 1) + 1e-9);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_metric_reaches_its_floor),
		cmocka_unit_test(thousands_of_dead_rows_cost_no_recall),
		cmocka_unit_test(magnitude_does_not_matter),
		cmocka_unit_test(pathological_data_is_searched_and_what_is_promised_is_found),
		cmocka_unit_test(where_one_column_tells_rows_apart_what_is_promised_is_found),
		cmocka_unit_test(a_forest_searched_by_codes_finds_what_it_finds_exactly),
		cmocka_unit_test(what_is_predicted_is_found),
		cmocka_unit_test(more_recall_never_costs_less),
		cmocka_unit_test(the_share_of_a_part_has_the_same_recall),
		cmocka_unit_test(what_is_predicted_is_what_was_chosen_for),
	};

	return cmocka_run_group_tests(tests, graph_scratch_setup, graph_scratch_teardown);
}
