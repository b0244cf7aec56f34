/* Forests: the same for any number of threads, whole for any data, and searched as the plain twin says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <float.h>
#include <stdio.h>

#include "tests/support/starve.h"
#include "tests/support/watched.h"
#include "tests/unit/engine_fixture.h"

/* ---- the plain twin of forest_search: a list instead of a heap, a flag for each row, no gathering ---- */

/* The query as the planes see it: coded as the rows are, for dot at the length of the longest row. */
static void plain_point(const struct forest_view *f, const struct rows *rows, const struct query *query, uint8_t *ret)
{
	const float *row = query->row;
	float *point = calloc(rows->dim, sizeof(float)), most = 0;

	assert_non_null(point);
	for (uint32_t i = 0; i < rows->dim; i++) most = fmaxf(most, fabsf(row[i]));
	for (uint32_t i = 0; i < rows->dim; i++) point[i] = rows->metric != METRIC_DOT ? row[i] : most > 0 ? row[i] / most : 0;
	if (rows->metric == METRIC_DOT && most > 0 && f->dot_max_norm2 > 0) {
		float scale = sqrtf(f->dot_max_norm2) / sqrtf(vec_kernels()->dot(point, point, rows->dim));
		for (uint32_t i = 0; i < rows->dim; i++) point[i] *= scale;
	}
	quant_encode(&f->quant, rows->metric, rows->dim, point, query->norm2, ret);
	free(point);
}

static float plain_margin(const struct forest_view *f, const struct rows *rows, uint32_t node, const uint8_t *point)
{
	const int8_t *direction = f->dir + (size_t)f->dir_of[node] * f->dir_size;
	int64_t product = 0;

	for (uint32_t i = 0; i < rows->dim; i++) product += direction[i] * point[i];
	return ((float)product + f->node[node].offset) * f->node[node].unit;
}

static void plain_search(const struct forest_view *f, const struct rows *rows, const struct query *query, uint64_t budget,
	struct topk *top)
{
	struct { float priority; uint32_t node, tree; bool open; } *list = calloc(f->nodes + 1, sizeof(*list));
	bool *met = calloc(rows->n + 1, sizeof(*met));
	uint32_t count = 0;
	uint64_t scored = 0;
	uint8_t *q = calloc(rows->dim + 64, 1);

	assert_true(list && met && q);
	if (rows->metric != METRIC_HAMMING) plain_point(f, rows, query, q);
	for (uint32_t t = 0; t < f->trees; t++) {
		list[count].priority = rows->metric == METRIC_HAMMING ? 0 : FLT_MAX;
		list[count].node = f->roots[t];
		list[count].tree = t;
		list[count++].open = true;
	}
	while (scored < budget) {
		uint32_t best = UINT32_MAX;
		for (uint32_t i = 0; i < count; i++)
			if (list[i].open && (best == UINT32_MAX || list[i].priority > list[best].priority ||
				(list[i].priority == list[best].priority && list[i].node > list[best].node)))
				best = i;
		if (best == UINT32_MAX) break;
		list[best].open = false;
		const struct forest_node *node = &f->node[list[best].node];
		if (node->count) {
			for (uint32_t i = 0; i < node->count; i++) {
				uint32_t row = forest_row(f, list[best].tree, node->at + i);
				if (met[row]) continue;
				met[row] = true;
				if (!rows_live(rows, row)) continue;
				scored++;
				float raw = vec_raw(rows->metric, rows_row(rows, row), rows->norm2[row], query->row, query->norm2, rows->dim);
				topk_push(top, (struct hit){.id = rows->ids[row], .raw = raw});
			}
			continue;
		}
		float to_left = list[best].priority, to_right = to_left, margin = 0;
		if (rows->metric == METRIC_HAMMING) {
			uint32_t bit;
			memcpy(&bit, &node->offset, sizeof(bit));
			if (bit != FOREST_NO_BIT) {
				bool set = ((const uint8_t *)query->row)[bit / 8] >> bit % 8 & 1;
				if (set) to_left -= 1;
				else to_right -= 1;
			}
		} else {
			if (f->dir_of[list[best].node] != UINT32_MAX) margin = plain_margin(f, rows, list[best].node, q);
			if (isnan(margin)) margin = 0;
			to_left = fminf(to_left, -margin);
			to_right = fminf(to_right, margin);
		}
		for (int side = 0; side < 2; side++) {
			list[count].priority = side ? to_right : to_left;
			list[count].node = side ? node->at : list[best].node + 1;
			list[count].tree = list[best].tree;
			list[count++].open = true;
		}
	}
	free(list);
	free(met);
	free(q);
}

static void same_forest(const struct forest *a, const struct forest *b)
{
	struct forest_view x = forest_as_view(a), y = forest_as_view(b);

	assert_int_equal(x.nodes, y.nodes);
	assert_int_equal(x.dirs, y.dirs);
	assert_memory_equal(x.node, y.node, x.nodes * sizeof(*x.node));
	assert_memory_equal(x.dir_of, y.dir_of, x.nodes * sizeof(*x.dir_of));
	assert_int_equal(x.order.width, y.order.width);
	assert_memory_equal(x.order.bytes, y.order.bytes, (size_t)packed_size((uint64_t)x.trees * x.n, x.order.width));
	if (x.dirs) assert_memory_equal(x.dir, y.dir, (size_t)x.dirs * x.dir_size);
}


enum { WIDE_ROWS = 3 * 4096 + 77 }; /* more than one thread alone builds */

static void any_number_of_threads_builds_the_same_bytes(void **state)
{
	size_t most = threads_watched() ? 4 : RUNNER_THREADS_MAX;

	for (int m = 0; m < METRIC_COUNT; m++) {
		struct block b;
		block_init(&b, (enum metric)m, 17, WIDE_ROWS);
		fill_clusters(&b, 20, (uint64_t)m, 0);
		struct forest *one = forest_of(&b, 5, 5, runner_inline());
		for (size_t threads = 2; threads <= most; threads *= 2) {
			struct runner runner = {run_threads, threads};
			struct forest *other = forest_of(&b, 5, 5, &runner);
			same_forest(one, other);
			forest_free(&other);
		}
		forest_free(&one);
		block_free(&b);
	}
}

static void another_seed_builds_another_forest(void **state)
{
	struct block b;

	block_init(&b, METRIC_EUCLIDEAN, 9, 500);
	fill_clusters(&b, 7, 3, 0);
	struct forest *f = forest_of(&b, 2, 1, runner_inline()), *g = forest_of(&b, 2, 2, runner_inline());
	struct forest_view x = forest_as_view(f), y = forest_as_view(g);
	assert_memory_not_equal(x.order.bytes, y.order.bytes, 500 * x.order.width);
	assert_memory_not_equal(x.order.bytes, x.order.bytes + 500 * x.order.width, 500 * x.order.width); /* and one tree is not the other */
	forest_free(&f);
	forest_free(&g);
	block_free(&b);
}

/* Counts the pieces that were handed over, and the most in one round. */
struct counting_runner { struct runner runner; size_t pieces, widest; };

static void run_counting(struct runner *r, size_t n, void (*work)(void *arg, size_t i), void *arg)
{
	struct counting_runner *c = (struct counting_runner *)(void *)r;

	c->pieces += n;
	if (n > c->widest) c->widest = n;
	for (size_t i = n; i-- > 0;) work(arg, i); /* backwards: no order may matter */
}

static void one_tree_is_work_for_many_threads(void **state)
{
	struct counting_runner counting = {{run_counting, 2}, 0, 0};
	struct block b;

	block_init(&b, METRIC_EUCLIDEAN, 9, WIDE_ROWS);
	fill_clusters(&b, 7, 3, 0);
	struct forest *f = forest_of(&b, 1, 1, &counting.runner), *g = forest_of(&b, 1, 1, runner_inline());
	assert_true(counting.widest >= WIDE_ROWS / 2048); /* the rows of the root are projected in pieces */
	assert_true(counting.pieces >= 4 + WIDE_ROWS / 2048);
	same_forest(f, g);
	forest_free(&f);
	forest_free(&g);
	block_free(&b);
}

static void expect_like_twin(const struct block *b, const struct forest_view *v, struct query q, uint64_t budget,
	struct forest_scratch *scratch)
{
	enum { K = 10 };
	struct hit fast[K], plain[K];
	struct topk a, z;
	struct search_work work = {0};

	topk_init(&a, fast, K);
	topk_init(&z, plain, K);
	assert_int_equal(forest_search(v, &b->rows, &q, budget, NULL, scratch, &a, &work), STATUS_OK);
	plain_search(v, &b->rows, &q, budget, &z);
	topk_sort(&a);
	topk_sort(&z);
	assert_int_equal(a.count, z.count);
	for (size_t h = 0; h < a.count; h++) assert_int_equal(hit_cmp(&fast[h], &plain[h]), 0);
	assert_true(work.candidates <= budget + FOREST_LEAF_MAX);
	assert_false(work.truncated);
}

static void the_search_does_what_its_plain_twin_does(void **state)
{
	for (int m = 0; m < METRIC_COUNT; m++)
		for (uint64_t seed = 0; seed < 6; seed++) {
			struct block b;
			struct prng p;
			prng_seed(&p, seed * 31 + (uint64_t)m);
			block_init(&b, (enum metric)m, 5 + prng_below(&p, 60), 200 + prng_below(&p, 1500));
			fill_clusters(&b, 1 + prng_below(&p, 30), seed, 0);
			for (uint32_t i = 0; i < b.rows.n; i++)
				if (prng_below(&p, 5) == 0) atomic_store(&b.dead[i], 1 + prng_below(&p, 2)); /* dead at 1: not seen; at 2: still seen */
			struct forest *f = forest_of(&b, 1 + prng_below(&p, 9), seed, runner_inline());
			struct forest_view v = forest_as_view(f);
			for (int i = 0; i < 20; i++) {
				uint64_t budget = 1 + prng_below(&p, b.rows.n - 1);
				expect_like_twin(&b, &v, block_query(&b, prng_below(&p, b.rows.n)), budget, *state);
			}
			forest_free(&f);
			block_free(&b);
		}
}

static void a_budget_of_everything_is_exact(void **state)
{
	for (int m = 0; m < METRIC_COUNT; m++) {
		struct block b;
		block_init(&b, (enum metric)m, 20, 500);
		fill_clusters(&b, 5, (uint64_t)m, 0);
		struct forest *f = forest_of(&b, 3, 1, runner_inline());
		struct forest_view v = forest_as_view(f);
		struct hit found[2][25];
		struct topk tops[2];
		struct search_work works[2] = {{0}, {0}};
		struct query q = block_query(&b, 11);
		for (int i = 0; i < 2; i++) topk_init(&tops[i], found[i], 25);
		assert_int_equal(forest_search(&v, &b.rows, &q, 500, NULL, *state, &tops[0], &works[0]), STATUS_OK);
		exact_search(&b.rows, &q, 1, NULL, &tops[1], &works[1]);
		for (int i = 0; i < 2; i++) topk_sort(&tops[i]);
		assert_int_equal(works[0].candidates, 500);
		for (size_t h = 0; h < 25; h++) assert_int_equal(hit_cmp(&found[0][h], &found[1][h]), 0);
		forest_free(&f);
		block_free(&b);
	}
}

/* Angular sees directions only, and the order by dot does not change with the query's length. */
static void the_length_of_a_query_changes_nothing(void **state)
{
	static const enum metric metrics[] = {METRIC_ANGULAR, METRIC_DOT};

	for (size_t m = 0; m < 2; m++) {
		struct block b, queries;
		block_init(&b, metrics[m], 12, 3000);
		fill_clusters(&b, 20, 5, 0);
		block_init(&queries, metrics[m], 12, 3);
		memcpy(block_row(&queries, 0), block_row(&b, 9), b.rows.stride);
		for (uint32_t i = 0; i < 12; i++) {
			block_row(&queries, 1)[i] = block_row(&queries, 0)[i] * 0x1p40f; /* powers of two: no digit changes */
			block_row(&queries, 2)[i] = block_row(&queries, 0)[i] * 0x1p-40f;
		}
		block_finish(&queries);
		struct forest *f = forest_of(&b, 4, 1, runner_inline());
		struct forest_view v = forest_as_view(f);
		struct hit hits[3][10];
		for (uint32_t i = 0; i < 3; i++) {
			struct topk top;
			struct search_work work = {0};
			struct query q = block_query(&queries, i);
			topk_init(&top, hits[i], 10);
			assert_int_equal(forest_search(&v, &b.rows, &q, 150, NULL, *state, &top, &work), STATUS_OK);
			topk_sort(&top);
			assert_int_equal(top.count, 10);
			for (size_t h = 0; h < 10; h++) assert_int_equal(hits[i][h].id, hits[0][h].id);
		}
		forest_free(&f);
		block_free(&b);
		block_free(&queries);
	}
}

static void every_size_from_0_to_300_is_whole(void **state)
{
	for (uint32_t n = 0; n <= 300; n++) {
		struct block b;
		block_init(&b, n % 2 ? METRIC_ANGULAR : METRIC_HAMMING, 9, n);
		fill_clusters(&b, 3, n, 0);
		struct forest *f = forest_of(&b, 2, n, runner_inline());
		forest_free(&f);
		block_free(&b);
	}
}

static void rows_of_1_and_of_10000_dimensions_are_split(void **state)
{
	static const uint32_t dims[] = {1, 10000};

	for (int m = 0; m < METRIC_COUNT; m++)
		for (size_t i = 0; i < 2; i++) {
			struct block b;
			block_init(&b, (enum metric)m, dims[i], 300);
			fill_clusters(&b, 3, 1, 0);
			struct forest *f = forest_of(&b, 2, 1, runner_inline());
			struct forest_view v = forest_as_view(f);
			for (uint32_t q = 0; q < 5; q++) expect_like_twin(&b, &v, block_query(&b, q), 100, *state);
			forest_free(&f);
			block_free(&b);
		}
}

enum { PATHOLOGIES = 11 };
static void make_pathology(struct block *b, int kind, struct prng *p)
{
	for (uint32_t r = 0; r < b->rows.n; r++)
		for (uint32_t i = 0; i < b->rows.dim; i++) {
			float *v = &block_row(b, r)[i];
			switch (kind) {
			case 0: *v = 0; break;
			case 1: *v = 5; break;
			case 2: *v = r % 2 ? 1.0f : -1.0f; break;
			case 3: *v = r < 20 ? normal(p) : 1.0f; break; /* nearly all the same */
			case 4: *v = normal(p) * 1e30f; break;
			case 5: *v = normal(p) * 1e-30f; break;
			case 6: *v = i == 0 ? (float)r : 3.0f; break; /* constant columns */
			case 7: *v = r == 0 ? 3e38f : normal(p); break; /* one outlier */
			case 8: *v = r % 2 ? FLT_MAX : -FLT_MAX; break; /* no difference is a float */
			case 9: *v = r % 2 ? FLT_TRUE_MIN : -FLT_TRUE_MIN; break; /* no square is one */
			default: *v = ldexpf(normal(p), (int)prng_below(p, 240) - 120); break; /* every magnitude */
			}
		}
	block_finish(b);
}

static void pathological_data_gives_whole_forests_that_are_searched_to_the_end(void **state)
{
	static const enum metric metrics[] = {METRIC_ANGULAR, METRIC_EUCLIDEAN, METRIC_MANHATTAN, METRIC_DOT};

	for (size_t m = 0; m < 4; m++)
		for (int kind = 0; kind < PATHOLOGIES; kind++)
			for (uint32_t dim = 1; dim <= 17; dim += 16) {
				struct block b;
				struct prng p;
				prng_seed(&p, (uint64_t)kind);
				block_init(&b, metrics[m], dim, 1000);
				make_pathology(&b, kind, &p);
				struct forest *f = forest_of(&b, 3, 1, runner_inline());
				struct forest_view v = forest_as_view(f);
				for (uint32_t i = 0; i < 3; i++) expect_like_twin(&b, &v, block_query(&b, i * 499), 200, *state);
				struct hit hits[5];
				struct topk top;
				struct search_work work = {0};
				struct query q = block_query(&b, 500);
				topk_init(&top, hits, 5);
				assert_int_equal(forest_search(&v, &b.rows, &q, 999, NULL, *state, &top, &work), STATUS_OK);
				assert_true(work.candidates >= 999);
				assert_int_equal(top.count, 5);
				forest_free(&f);
				block_free(&b);
			}
}

/* Every row dead but one: it is found with the smallest budget, since the dead cost none of it. */
static void the_last_of_many_is_found(void **state)
{
	struct block b;

	block_init(&b, METRIC_MANHATTAN, 8, 5000);
	fill_clusters(&b, 10, 4, 0);
	struct forest *f = forest_of(&b, 3, 1, runner_inline());
	struct forest_view v = forest_as_view(f);
	for (uint32_t i = 0; i < 5000; i++)
		if (i != 4321) atomic_store(&b.dead[i], 1);
	struct hit hit;
	struct topk top;
	struct search_work work = {0};
	struct query q = block_query(&b, 7);
	topk_init(&top, &hit, 1);
	assert_int_equal(forest_search(&v, &b.rows, &q, 1, NULL, *state, &top, &work), STATUS_OK);
	assert_int_equal(top.count, 1);
	assert_int_equal(hit.id, b.ids[4321]);
	assert_int_equal(work.candidates, 1);
	forest_free(&f);
	block_free(&b);
}

/* ---- stopping ---- */

struct countdown { _Atomic long left; };

static bool stop_at_zero(void *arg)
{
	struct countdown *c = arg;
	return atomic_fetch_sub(&c->left, 1) <= 0;
}

static void a_build_can_be_stopped_at_any_moment(void **state)
{
	struct block b;
	struct forest_params params = {2, 1};
	bool whole = false;

	block_init(&b, METRIC_EUCLIDEAN, 8, WIDE_ROWS);
	fill_clusters(&b, 3, 1, 0);
	for (size_t threads = 1; threads <= 4; threads += 3) {
		struct runner runner = {run_threads, threads};
		long step = 1;
		whole = false;
		for (long n = 0; !whole; n += step) {
			struct countdown countdown = {n};
			struct pulse pulse = {stop_at_zero, &countdown};
			_Atomic uint64_t progress = 0;
			struct forest *f = NULL;
			enum status status = forest_try(&b, &params, &runner, &progress, &pulse, &f);
			whole = status == STATUS_OK;
			assert_true(whole ? f != NULL && progress == 2 * WIDE_ROWS : status == STATUS_CANCELLED && !f && progress <= 2 * WIDE_ROWS);
			/* Whole: it was asked for each node, and for each 2,048 rows of the upper levels, of which there are two. */
			if (whole) assert_true(n - countdown.left >= forest_as_view(f).nodes + 2 * 2 * (WIDE_ROWS / 2048));
			forest_free(&f);
			if (n >= 40) step = threads_watched() ? 970 : 97;
		}
	}
	block_free(&b);
}

static void a_stopped_search_says_so_and_keeps_what_it_has(void **state)
{
	struct block b;
	struct hit hits[3];
	struct topk top;

	block_init(&b, METRIC_EUCLIDEAN, 8, 6000);
	fill_clusters(&b, 3, 1, 0);
	struct forest *f = forest_of(&b, 2, 1, runner_inline());
	struct forest_view v = forest_as_view(f);
	struct query q = block_query(&b, 1);
	for (long n = 0; n < 3; n++) {
		struct countdown countdown = {n};
		struct pulse pulse = {stop_at_zero, &countdown};
		struct search_work work = {0};
		topk_init(&top, hits, 3);
		assert_int_equal(forest_search(&v, &b.rows, &q, 5000, &pulse, *state, &top, &work), STATUS_OK);
		assert_true(work.truncated);
		assert_true(work.candidates <= (uint64_t)n * 2048 && (n == 0 || work.candidates >= 16));
		assert_int_equal(top.count, n ? 3 : 0);
		expect_like_twin(&b, &v, q, 777, *state); /* nothing of it stays in the scratch */
	}
	forest_free(&f);
	block_free(&b);
}

static void every_allocation_may_fail(void **state)
{
	struct block b;
	struct forest_params params = {3, 1};
	struct forest *f = NULL, *g;

	if (!starve_works()) skip();
	block_init(&b, METRIC_DOT, 8, WIDE_ROWS);
	fill_clusters(&b, 3, 1, 0);
	struct quant quant;
	struct codes codes = codes_of(&b, &quant);
	for (int for_ever = 0; for_ever < 2; for_ever++)
		for (long n = 0;; n++) {
			f = NULL;
			starve_begin(n, for_ever);
			enum status status = forest_build(&b.rows, &codes, &quant, &params, runner_inline(), NULL, NULL, &f);
			if (!starve_end()) break;
			assert_int_equal(status, STATUS_NO_MEMORY);
			assert_null(f);
		}
	free((void *)(uintptr_t)codes.base);
	quant_release(&quant);
	f = forest_of(&b, 3, 1, runner_inline());
	g = forest_of(&b, 3, 1, runner_inline());
	same_forest(f, g);
	struct forest_view v = forest_as_view(f);
	struct query q = block_query(&b, 1);
	for (long n = 0;; n++) {
		struct forest_scratch *scratch = NULL;
		struct search_work work = {0};
		struct hit hit;
		struct topk top;
		topk_init(&top, &hit, 1);
		starve_begin(n, false);
		enum status status = forest_scratch_new(&scratch);
		if (status == STATUS_OK) status = forest_search(&v, &b.rows, &q, 100, NULL, scratch, &top, &work);
		bool starved = starve_end();
		assert_int_equal(status, starved ? STATUS_NO_MEMORY : STATUS_OK);
		if (starved) assert_true(top.count == 0 && work.candidates == 0 && !work.truncated);
		if (starved && scratch) assert_int_equal(forest_search(&v, &b.rows, &q, 100, NULL, scratch, &top, &work), STATUS_OK);
		forest_scratch_free(&scratch);
		if (!starved) break;
	}
	forest_free(&f);
	forest_free(&g);
	block_free(&b);
}

static void renumbered_rows_stand_in_the_order_of_the_first_tree(void **state)
{
	struct block b;
	uint32_t new_of_old[600];

	block_init(&b, METRIC_MANHATTAN, 6, 600);
	fill_clusters(&b, 3, 9, 0);
	struct forest *f = forest_of(&b, 3, 2, runner_inline());
	struct forest_view v = forest_as_view(f);
	uint32_t old[3 * 600];
	for (uint32_t i = 0; i < 3 * 600; i++) old[i] = forest_row(&v, i / 600, i % 600);
	assert_int_equal(forest_renumber(f, runner_inline(), new_of_old), STATUS_OK);
	v = forest_as_view(f);
	for (uint32_t i = 0; i < 600; i++) assert_int_equal(new_of_old[old[i]], i);
	for (uint32_t i = 0; i < 3 * 600; i++) assert_int_equal(forest_row(&v, i / 600, i % 600), new_of_old[old[i]]);
	assert_true(forest_check(&v, METRIC_MANHATTAN, 6));
	forest_free(&f);
	block_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_number_of_threads_builds_the_same_bytes),
		cmocka_unit_test(another_seed_builds_another_forest),
		cmocka_unit_test(one_tree_is_work_for_many_threads),
		cmocka_unit_test(the_search_does_what_its_plain_twin_does),
		cmocka_unit_test(a_budget_of_everything_is_exact),
		cmocka_unit_test(the_length_of_a_query_changes_nothing),
		cmocka_unit_test(every_size_from_0_to_300_is_whole),
		cmocka_unit_test(rows_of_1_and_of_10000_dimensions_are_split),
		cmocka_unit_test(pathological_data_gives_whole_forests_that_are_searched_to_the_end),
		cmocka_unit_test(the_last_of_many_is_found),
		cmocka_unit_test(a_build_can_be_stopped_at_any_moment),
		cmocka_unit_test(a_stopped_search_says_so_and_keeps_what_it_has),
		cmocka_unit_test(every_allocation_may_fail),
		cmocka_unit_test(renumbered_rows_stand_in_the_order_of_the_first_tree),
	};

	const struct CMUnitTest concurrent[] = {
		cmocka_unit_test(any_number_of_threads_builds_the_same_bytes),
		cmocka_unit_test(a_build_can_be_stopped_at_any_moment),
	};

	return threads_watched() ? cmocka_run_group_tests(concurrent, scratch_setup, scratch_teardown)
		: cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
