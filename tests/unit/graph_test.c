/* Neighbours and graph are what their plain twins say; the search does what it says with its budget, its dead and its pulse. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <stdio.h>

#include "tests/support/starve.h"
#include "tests/unit/ann_fixture.h"
#include "worker/engine/held_out.h"
#include "worker/engine/knn.h"

enum { ROWS = 3000, DIM = 24, CLUSTERS = 20 };

static struct block clusters_of(enum metric m, uint32_t n, uint64_t stream) { return block_of_clusters(m, DIM, n, CLUSTERS, 5, stream); }

/* ---- neighbours ---- */

static int by_key(const void *a, const void *b)
{
	knn_key x = *(const knn_key *)a, y = *(const knn_key *)b;
	return x < y ? -1 : x > y;
}

static void first_and_count(const struct forest_view *f, uint32_t node, uint32_t *first, uint32_t *count)
{
	const struct forest_node *n = &f->node[node];

	if (n->count) {
		*first = n->at;
		*count = n->count;
		return;
	}
	uint32_t right_first, right_count;
	first_and_count(f, node + 1, first, count);
	first_and_count(f, n->at, &right_first, &right_count);
	*count += right_count;
	if (right_first < *first) *first = right_first;
}

/* Everyone that shares the highest small enough node with `row` in tree t. */
static void plain_group(const struct forest_view *f, uint32_t t, uint32_t row, uint32_t *first, uint32_t *count)
{
	uint32_t node = f->roots[t], place = 0;

	while (forest_row(f, t, place) != row) place++;
	for (;;) {
		first_and_count(f, node, first, count);
		if (*count <= KNN_GROUP_MAX) return;
		first_and_count(f, node + 1, first, count);
		node = place >= *first && place < *first + *count ? node + 1 : f->node[node].at;
	}
}

static void neighbours_are_the_nearest_of_all_that_share_a_group(void **state)
{
	static const enum metric metrics[] = {METRIC_EUCLIDEAN, METRIC_MANHATTAN};

	for (int m = 0; m < 2; m++)
		for (int same = 0; same < 2; same++) {
			struct block b = clusters_of(metrics[m], ROWS, 0);
			/* Many ties: all rows of a dozen kinds. */
			for (uint32_t i = 0; same && i < ROWS; i++) memcpy(block_row(&b, i), block_row(&b, i % 12), DIM * sizeof(float));
			struct ann_block a;
			ann_block_init(&a, &b, 3, 1, runner_inline());
			const struct forest_view *f = &a.view.forest;
			knn_key *lists = calloc((size_t)ROWS * KNN_K, sizeof(*lists)), *plain = calloc((size_t)3 * KNN_GROUP_MAX, sizeof(*plain));
			uint8_t *counts = calloc(ROWS, 1);
			assert_true(lists && plain && counts);
			assert_int_equal(knn_build(&a.view.codes, f, 3, 0, runner_inline(), NULL, NULL, lists, counts), STATUS_OK);
			for (uint32_t row = 0; row < ROWS; row += 37) {
				size_t n = 0, unique = 0;
				for (uint32_t t = 0; t < 3; t++) {
					uint32_t first, count, apart;
					plain_group(f, t, row, &first, &count);
					for (uint32_t i = first; i < first + count; i++) {
						uint32_t other = forest_row(f, t, i);
						quant_apart(&a.view.codes, a.view.codes.base + (size_t)row * a.view.codes.stride, &other, 1, &apart);
						if (other != row) plain[n++] = knn_key_of(apart, other);
					}
				}
				qsort(plain, n, sizeof(*plain), by_key);
				for (size_t i = 0; i < n; i++)
					if (unique == 0 || plain[unique - 1] != plain[i]) plain[unique++] = plain[i];
				assert_int_equal(counts[row], unique < KNN_K ? unique : KNN_K);
				assert_memory_equal(lists + (size_t)row * KNN_K, plain, counts[row] * sizeof(*plain));
			}
			free(lists);
			free(plain);
			free(counts);
			ann_block_free(&a);
		}
}

struct found { knn_key *lists; uint8_t *counts; _Atomic uint64_t progress; };

static struct found found_by(const struct ann_view *v, uint32_t trees, uint32_t settled)
{
	struct found f = {.lists = calloc((size_t)ROWS * KNN_K, sizeof(*f.lists)), .counts = calloc(ROWS, 1)};
	struct runner runner = {run_threads, 3};

	assert_true(f.lists && f.counts);
	assert_int_equal(knn_build(&v->codes, &v->forest, trees, settled, &runner, &f.progress, NULL, f.lists, f.counts), STATUS_OK);
	return f;
}

static void found_free(struct found *f)
{
	free(f->lists);
	free(f->counts);
}

/* Neighbours among the nearest of `after` that `before` does not know. */
static uint64_t new_to(const struct found *before, const struct found *after)
{
	uint64_t fresh = 0;

	for (size_t r = 0; r < ROWS; r++)
		for (uint32_t i = 0; i < after->counts[r] && i < KNN_NEAREST; i++) {
			bool known = false;
			for (uint32_t j = 0; j < before->counts[r]; j++) known |= before->lists[r * KNN_K + j] == after->lists[r * KNN_K + i];
			fresh += !known;
		}
	return fresh;
}

static void the_first_tree_that_brings_little_is_the_last(void **state)
{
	enum { TREES = 12 };
	struct block b = clusters_of(METRIC_EUCLIDEAN, ROWS, 0);
	struct ann_block a;
	uint32_t last = 1;

	ann_block_init(&a, &b, TREES, 1, runner_inline());
	for (uint32_t settled = 8; settled <= 200; settled *= 5) {
		struct found before = found_by(&a.view, last, 0), stopped = found_by(&a.view, TREES, settled);
		for (;; last++) { /* `before` is of `last` trees, and none of them was the last for a lower share */
			struct found after = found_by(&a.view, last + 1, 0);
			uint64_t fresh = new_to(&before, &after);
			found_free(&before);
			before = after;
			if (fresh * settled < (uint64_t)ROWS * KNN_NEAREST || last + 1 == TREES) break;
		}
		assert_memory_equal(stopped.counts, before.counts, ROWS);
		for (size_t r = 0; r < ROWS; r++)
			assert_memory_equal(stopped.lists + r * KNN_K, before.lists + r * KNN_K, before.counts[r] * sizeof(*before.lists));
		assert_int_equal(stopped.progress, (uint64_t)ROWS * TREES);
		found_free(&before);
		found_free(&stopped);
	}
	assert_true(last > 2 && last + 1 < TREES);
	ann_block_free(&a);
}

/* ---- the build ---- */

static void a_forest_of_one_tree_keeps_one_and_has_a_good_graph(void **state)
{
	static const struct { enum metric metric; uint32_t trees; } good[] = {{METRIC_EUCLIDEAN, GRAPH_TREES_LEAST}, {METRIC_ANGULAR, GRAPH_TREES_ANGULAR}};

	for (int i = 0; i < 2; i++) {
		struct block b = clusters_of(good[i].metric, ROWS, 0), c = clusters_of(good[i].metric, ROWS, 0);
		struct ann_block one, many;
		ann_block_init(&one, &b, 1, 7, runner_inline());
		ann_block_init(&many, &c, good[i].trees, 7, runner_inline());
		assert_int_equal(one.view.forest.trees, 1);
		assert_int_equal(many.view.forest.trees, good[i].trees);
		assert_int_equal(one.view.graph.edges, many.view.graph.edges);
		assert_memory_equal(one.view.graph.to.bytes, many.view.graph.to.bytes,
			(size_t)packed_size(one.view.graph.edges, one.view.graph.to.width));
		ann_block_free(&one);
		ann_block_free(&many);
	}
}

/* Only the edges that make rows reachable may go past the degree; ann_block_init() has checked that all rows are. */
static void degrees_are_bounded_and_no_edge_leads_home_or_twice(void **state)
{
	struct block b = clusters_of(METRIC_ANGULAR, ROWS, 0);
	struct ann_block a;
	uint32_t past = 0;

	ann_block_init(&a, &b, 10, 7, runner_inline());
	const struct graph_view *g = &a.view.graph;
	for (uint32_t r = 0; r < g->n; r++) {
		uint32_t degree = g->first[r + 1] - g->first[r];
		past += degree > GRAPH_DEGREE_MAX ? degree - GRAPH_DEGREE_MAX : 0;
		for (uint32_t i = g->first[r]; i < g->first[r + 1]; i++) {
			assert_int_not_equal(graph_edge(g, i), r);
			for (uint32_t j = g->first[r]; j < i; j++) assert_int_not_equal(graph_edge(g, i), graph_edge(g, j));
		}
	}
	assert_true(past <= ROWS / 20);
	ann_block_free(&a);
}

static void few_rows_and_bits_have_no_graph_and_are_searched_exactly(void **state)
{
	for (uint32_t n = 0; n <= 300; n++)
		for (int m = 0; m < METRIC_COUNT; m += n % 10 ? METRIC_COUNT : 1) {
			struct block b = clusters_of((enum metric)m, n, 0);
			struct ann_block a;
			struct hit hits[5];
			struct topk top;
			struct search_work work = {0};
			struct graph_effort effort = {10, 0};
			ann_block_init(&a, &b, 2, 7, runner_inline());
			assert_int_equal(a.view.graph.n, 0);
			assert_int_equal(a.view.tune.count, 0);
			topk_init(&top, hits, 5);
			if (n > 0) {
				struct query q = block_query(&a.block, n / 2);
				assert_int_equal(graph_search(&a.space, &q, &effort, NULL, NULL, *state, &top, &work), STATUS_OK);
			}
			assert_int_equal(work.candidates, n);
			assert_int_equal(top.count, n < 5 ? n : 5);
			ann_block_free(&a);
		}
}

struct countdown { _Atomic long left; };
static bool stop_at_zero(void *arg)
{
	struct countdown *c = arg;
	return atomic_fetch_sub(&c->left, 1) <= 0;
}

static void a_build_can_be_stopped_at_any_moment(void **state)
{
	struct block b = clusters_of(METRIC_EUCLIDEAN, ROWS, 0);
	struct forest_params params = {2, 1};
	uint32_t *new_of_old = calloc(ROWS, sizeof(*new_of_old));
	bool whole = false;

	assert_non_null(new_of_old);
	for (long n = 0, step = 1; !whole; n += step) {
		struct countdown countdown = {n};
		struct pulse pulse = {stop_at_zero, &countdown};
		_Atomic uint64_t progress = 0;
		struct ann *a = NULL;
		enum status status = ann_build(&b.rows, &params, runner_inline(), &progress, &pulse, new_of_old, &a);
		whole = status == STATUS_OK;
		assert_true(whole ? a && progress == ann_build_steps(METRIC_EUCLIDEAN, ROWS, 2) : status == STATUS_CANCELLED && !a);
		assert_true(progress <= ann_build_steps(METRIC_EUCLIDEAN, ROWS, 2));
		ann_free(&a);
		if (n >= 10) step = 1 + n / 3;
	}
	free(new_of_old);
	block_free(&b);
}

static void every_allocation_may_fail(void **state)
{
	struct forest_params params = {2, 1};
	struct block b;
	struct ann *a;
	long step = 1;

	if (!starve_works()) skip();
	b = clusters_of(METRIC_DOT, GRAPH_ROWS_MIN, 0);
	uint32_t *new_of_old = calloc(GRAPH_ROWS_MIN, sizeof(*new_of_old));
	assert_non_null(new_of_old);
	for (long n = 0;; n += step) {
		a = NULL;
		starve_begin(n, n % 2);
		enum status status = ann_build(&b.rows, &params, runner_inline(), NULL, NULL, new_of_old, &a);
		bool starved = starve_end();
		if (!starved) break;
		if (status == STATUS_OK) ann_free(&a); /* qsort() sorts in place where it gets no memory */
		else assert_int_equal(status, STATUS_NO_MEMORY);
		assert_null(a);
		if (n > 20) step = 1 + n / 8;
	}
	assert_non_null(a);
	for (long n = 0;; n += 1 + n / 2) {
		starve_begin(n, n % 2);
		enum status status = ann_tune(a, &b.rows, 1, runner_inline(), NULL);
		bool starved = starve_end();
		assert_int_equal(status, starved ? STATUS_NO_MEMORY : STATUS_OK);
		if (!starved) break;
	}
	ann_free(&a);
	struct ann_block whole;
	ann_block_init(&whole, &b, 2, 1, runner_inline());
	struct query q = block_query(&whole.block, 1);
	struct graph_effort effort = {20, 0};
	for (long n = 0;; n++) {
		struct graph_scratch *scratch = NULL;
		struct search_work work = {0};
		struct hit hit;
		struct topk top;
		topk_init(&top, &hit, 1);
		starve_begin(n, false);
		enum status status = graph_scratch_new(&scratch);
		if (status == STATUS_OK) status = graph_search(&whole.space, &q, &effort, NULL, NULL, scratch, &top, &work);
		bool starved = starve_end();
		assert_int_equal(status, starved ? STATUS_NO_MEMORY : STATUS_OK);
		if (starved) assert_true(top.count == 0 && work.candidates == 0 && !work.truncated);
		if (starved && scratch) assert_int_equal(graph_search(&whole.space, &q, &effort, NULL, NULL, scratch, &top, &work), STATUS_OK);
		graph_scratch_free(&scratch);
		if (!starved) break;
	}
	free(new_of_old);
	ann_block_free(&whole);
}

/* ---- the search ---- */

struct seen { uint32_t score, row; bool expanded; };

static int by_score(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;
	return x->score != y->score ? (x->score < y->score ? -1 : 1) : x->row < y->row ? -1 : x->row > y->row;
}

/* graph_search() without its pool and its prefetches, to the list of rows that it would score exactly. A row is chosen in one step, its neighbours are
 * gathered in the next and scored in the one after. */
static size_t plain_search(const struct graph_space *s, const struct query *query, uint32_t ef, struct seen *seen, uint64_t *ret_scored)
{
	uint8_t *code = aligned_alloc(CODE_ALIGN, s->codes.stride), *met = calloc(s->rows.n, 1);
	struct forest_scratch *scratch = NULL;
	uint32_t todo[64 * 64 + 3 * 256], next[3 * 256], chosen[3], chosen_before[3], n = 0, next_count, now, before = 0;
	uint32_t count, doors = s->rows.metric == METRIC_DOT ? 16 + ef / 4 : 1 + ef / 96;
	struct forest_leaf leaves[64];
	size_t have = 0;

	assert_true(doors <= 64 && code && met && forest_scratch_new(&scratch) == STATUS_OK);
	quant_encode_query(&s->forest.quant, s->rows.metric, s->rows.dim, query, code);
	assert_int_equal(forest_leaves(&s->forest, &s->rows, query, scratch, doors, leaves, &count), STATUS_OK);
	for (uint32_t l = 0; l < count; l++)
		for (uint32_t i = 0; i < leaves[l].count; i++) {
			met[leaves[l].first + i] = 1;
			todo[n++] = leaves[l].first + i;
		}
	for (;;) {
		next_count = now = 0;
		for (size_t i = 0; i < have && i < ef && now < 3; i++) {
			if (seen[i].expanded) continue;
			seen[i].expanded = true;
			chosen[now++] = seen[i].row;
		}
		if (now + before + n == 0) break;
		for (uint32_t i = 0; i < before; i++)
			for (uint32_t e = s->graph.first[chosen_before[i]]; e < s->graph.first[chosen_before[i] + 1]; e++) {
				if (met[graph_edge(&s->graph, e)]) continue;
				met[graph_edge(&s->graph, e)] = 1;
				next[next_count++] = graph_edge(&s->graph, e);
			}
		for (uint32_t i = 0; i < n; i++) {
			seen[have] = (struct seen){0, todo[i], false};
			quant_score(&s->codes, code, &todo[i], 1, &seen[have++].score);
		}
		qsort(seen, have, sizeof(*seen), by_score);
		memcpy(chosen_before, chosen, now * sizeof(*chosen));
		memcpy(todo, next, next_count * sizeof(*next));
		before = now;
		n = next_count;
	}
	*ret_scored = have;
	forest_scratch_free(&scratch);
	free(code);
	free(met);
	size_t keep = ef > 10 + ef ? ef : 10 + ef;
	return have < keep ? have : keep;
}

static void the_search_does_what_its_plain_twin_does(void **state)
{
	static const enum metric metrics[] = {METRIC_ANGULAR, METRIC_EUCLIDEAN, METRIC_MANHATTAN, METRIC_DOT};
	struct seen *seen = calloc(ROWS, sizeof(*seen));

	assert_non_null(seen);
	for (int m = 0; m < 4; m++) {
		struct block b = clusters_of(metrics[m], ROWS, 0), queries = clusters_of(metrics[m], 20, 1);
		struct ann_block a;
		ann_block_init(&a, &b, 4, 7, runner_inline());
		for (uint32_t q = 0; q < 20; q++)
			for (uint32_t ef = 1; ef <= 110; ef += ef < 10 ? 9 : 50) {
				struct query query = block_query(&queries, q);
				struct graph_effort effort = {ef, 0};
				struct hit hits[10], plain[10];
				struct topk top, expected;
				struct search_work work = {0};
				uint64_t scored;
				float least = INFINITY;
				topk_init(&top, hits, 10);
				topk_init(&expected, plain, 10);
				assert_int_equal(graph_search(&a.space, &query, &effort, NULL, NULL, *state, &top, &work), STATUS_OK);
				size_t n = plain_search(&a.space, &query, ef, seen, &scored);
				for (size_t i = 0; i < n && i < 40; i++) {
					/* After 16, one whose distance would not enter, were it smaller by its score than any before by 5 %, is the end. */
					bool told = metrics[m] != METRIC_DOT && seen[i].score > DIM;
					if (i >= 16 && told && isfinite(least) && plain[0].raw < (float)seen[i].score * least * 0.95F) break;
					float raw = vec_raw(metrics[m], rows_row(&a.block.rows, seen[i].row), a.block.norm2[seen[i].row], query.row, query.norm2, DIM);
					if (told && raw < least * (float)seen[i].score) least = raw / (float)seen[i].score;
					topk_push(&expected, (struct hit){a.block.ids[seen[i].row], raw});
				}
				topk_sort(&top);
				topk_sort(&expected);
				assert_int_equal(work.candidates, scored);
				assert_int_equal(top.count, expected.count);
				for (size_t i = 0; i < top.count; i++) assert_true(hits[i].id == plain[i].id && hits[i].raw == plain[i].raw);
			}
		ann_block_free(&a);
		block_free(&queries);
	}
	free(seen);
}

/* A few values far out leave two or three codes for the rest, so codes are off by a seventh: forty rows of them hold the ten nearest, the first sixteen
 * do not, and the end must not come before. */
static void codes_that_err_are_believed_less(void **state)
{
	struct block b, queries;
	struct ann_block a;
	struct graph_effort effort = {100, 0};

	block_init(&b, METRIC_EUCLIDEAN, DIM, ROWS);
	block_init(&queries, METRIC_EUCLIDEAN, DIM, 100);
	fill_clusters(&b, 1, 5, 0);
	fill_clusters(&queries, 1, 5, 1);
	for (uint32_t r = 0; r < ROWS; r += 20) ((float *)block_row(&b, r))[r / 20 % DIM] *= r % 40 ? 40 : -40;
	ann_block_init(&a, &b, 4, 7, runner_inline());
	float *truth = truth_of(&a.block, &queries, 10);
	double recall = graph_recall(&a, &queries, 10, truth, &effort, *state);
	if (recall < .95) fail_msg("recall %.4f", recall);
	free(truth);
	ann_block_free(&a);
	block_free(&queries);
}

static void a_budget_is_kept_and_one_of_everything_is_exact(void **state)
{
	struct block b = clusters_of(METRIC_EUCLIDEAN, ROWS, 0), queries = clusters_of(METRIC_EUCLIDEAN, 10, 1);
	struct ann_block a;

	ann_block_init(&a, &b, 4, 7, runner_inline());
	float *truth = truth_of(&a.block, &queries, 10);
	for (uint64_t budget = 1; budget < ROWS; budget = budget * 3 + 1) {
		struct graph_effort effort = {ROWS, budget};
		(void)graph_recall(&a, &queries, 10, truth, &effort, *state);
	}
	struct graph_effort all = {10, ROWS};
	assert_true(graph_recall(&a, &queries, 10, truth, &all, *state) == 1);
	free(truth);
	ann_block_free(&a);
	block_free(&queries);
}

static uint32_t rows_apart(const struct codes *c, uint32_t a, uint32_t b)
{
	uint32_t apart;

	quant_apart(c, c->base + (size_t)a * c->stride, &b, 1, &apart);
	return apart;
}

static bool has(const struct graph_view *g, uint32_t row, uint32_t to)
{
	for (uint32_t e = g->first[row]; e < g->first[row + 1]; e++)
		if (graph_edge(g, e) == to) return true;
	return false;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

/* How far the nearest KNN_K of `from` and one more are, among its neighbours and those of the first ten of them. */
static uint32_t plain_reach(const struct ann_block *a, uint32_t from)
{
	const struct graph_view *g = &a->view.graph;
	bool around[ROWS] = {false};
	uint32_t apart[ROWS], n = 0;

	for (uint32_t e = g->first[from]; e < g->first[from + 1]; e++) {
		uint32_t near = graph_edge(g, e);
		around[near] = true;
		for (uint32_t f = g->first[near]; e - g->first[from] < 10 && f < g->first[near + 1]; f++) around[graph_edge(g, f)] = true;
	}
	for (uint32_t r = 0; r < ROWS; r++)
		if (around[r] && r != from) apart[n++] = rows_apart(&a->view.codes, from, r);
	qsort(apart, n, sizeof(*apart), by_number);
	return n > KNN_K ? apart[KNN_K] : UINT32_MAX;
}

/* What enters the list of `from` in the place of `row`: of the neighbours of `row` the nearest first, each that the list does not hide, is within
 * reach, or points to `from`. `list` has room for GRAPH_DEGREE_MAX more than it is long; how long it becomes. */
static uint32_t plain_mended(const struct ann_block *a, uint32_t from, uint32_t row, uint32_t *list)
{
	const struct graph_view *g = &a->view.graph;
	const struct codes *c = &a->view.codes;
	uint32_t n = 0, reach = plain_reach(a, from);
	knn_key entering[ROWS];
	size_t count = 0;

	for (uint32_t e = g->first[from]; e < g->first[from + 1]; e++)
		if (graph_edge(g, e) != row) list[n++] = graph_edge(g, e);
	for (uint32_t e = g->first[row]; e < g->first[row + 1]; e++) {
		uint32_t near = graph_edge(g, e);
		if (near != from && !has(g, from, near)) entering[count++] = knn_key_of(rows_apart(c, from, near), near);
	}
	knn_sort(entering, count);
	for (size_t i = 0; i < count && n < GRAPH_DEGREE_MAX; i++) {
		uint32_t near = knn_row(entering[i]), apart = knn_apart(entering[i]);
		bool hidden = apart > reach && !has(g, near, from);
		for (uint32_t j = 0; j < n && !hidden; j++)
			hidden = rows_apart(c, from, list[j]) <= apart && (uint64_t)rows_apart(c, near, list[j]) * graph_alpha16(c->metric) <= (uint64_t)apart * 16;
		if (!hidden) list[n++] = near;
	}
	return n;
}

static void lists_that_lose_a_row_get_what_it_hid_within_their_reach(void **state)
{
	static const enum metric metrics[] = {METRIC_ANGULAR, METRIC_EUCLIDEAN, METRIC_MANHATTAN, METRIC_DOT};
	uint32_t held[ROWS / 50], count = 0, entered = 0;

	for (uint32_t r = 0; r < ROWS; r += 50) held[count++] = r;
	for (int m = 0; m < 4; m++) {
		struct block b = clusters_of(metrics[m], ROWS, 0);
		struct ann_block a;
		struct held_out *h = NULL;
		ann_block_init(&a, &b, 4, 7, runner_inline());
		const struct graph_view *g = &a.view.graph;
		assert_int_equal(held_out_new(&a.view.codes, g, held, count, runner_inline(), &h), STATUS_OK);
		for (uint32_t i = 0; i < count; i++) {
			struct graph_absence absence = held_out_absence(h, i);
			uint32_t at = 0;
			assert_int_equal(absence.row, held[i]);
			for (uint32_t r = 0; r < ROWS; r++) {
				if (r == held[i] || !has(g, r, held[i])) continue;
				assert_true(at < absence.mended.n && absence.from[at] == r);
				uint32_t list[ROWS + GRAPH_DEGREE_MAX], n = plain_mended(&a, r, held[i], list);
				uint32_t first = absence.mended.first[at], end = absence.mended.first[++at];
				assert_int_equal(end - first, n);
				for (uint32_t j = 0; j < n; j++) assert_int_equal(graph_edge(&absence.mended, first + j), list[j]);
				entered += n - (g->first[r + 1] - g->first[r] - 1);
			}
			assert_int_equal(at, absence.mended.n);
		}
		held_out_free(&h);
		ann_block_free(&a);
	}
	assert_true(entered > count);
}

static void the_dead_and_the_excepted_lead_on_but_are_no_answer(void **state)
{
	struct block b = clusters_of(METRIC_EUCLIDEAN, ROWS, 0);
	struct ann_block a;
	struct graph_effort effort = {40, 0};
	struct hit hits[10];
	struct topk top;

	ann_block_init(&a, &b, 4, 7, runner_inline());
	a.space.rows.at = 9;
	for (uint32_t r = 0; r < ROWS; r++)
		if (r % 3) atomic_store(&a.block.dead[r], r % 2 ? 5 : 10); /* a third is dead by now, a third dies later */
	a.space.dead = ROWS / 3;
	for (uint32_t q = 0; q < ROWS; q += 100) {
		struct query query = block_query(&a.block, q);
		struct graph_absence absence = {.row = q};
		struct search_work work = {0};
		topk_init(&top, hits, 10);
		assert_int_equal(graph_search(&a.space, &query, &effort, &absence, NULL, *state, &top, &work), STATUS_OK);
		assert_int_equal(top.count, 10);
		for (size_t i = 0; i < top.count; i++) {
			assert_int_not_equal(hits[i].id, a.block.ids[q]);
			for (uint32_t r = 0; r < ROWS; r++)
				if (a.block.ids[r] == hits[i].id) assert_true(rows_live(&a.space.rows, r));
		}
	}
	/* All dead: nothing is found, and the search ends. */
	for (uint32_t r = 0; r < ROWS; r++) atomic_store(&a.block.dead[r], 5);
	a.space.dead = ROWS;
	struct query query = block_query(&a.block, 0);
	struct search_work work = {0};
	topk_init(&top, hits, 10);
	assert_int_equal(graph_search(&a.space, &query, &effort, NULL, NULL, *state, &top, &work), STATUS_OK);
	assert_int_equal(top.count, 0);
	ann_block_free(&a);
}

static void a_stopped_search_says_so_and_keeps_what_it_has(void **state)
{
	struct block b = clusters_of(METRIC_EUCLIDEAN, ROWS, 0);
	struct ann_block a;
	struct hit hits[10];
	struct topk top;

	ann_block_init(&a, &b, 4, 7, runner_inline());
	struct countdown countdown = {2};
	struct pulse pulse = {stop_at_zero, &countdown};
	struct search_work work = {0};
	struct query query = block_query(&a.block, 0);
	struct graph_effort effort = {1000, 0};
	topk_init(&top, hits, 10);
	assert_int_equal(graph_search(&a.space, &query, &effort, NULL, &pulse, *state, &top, &work), STATUS_OK);
	assert_true(work.truncated);
	assert_int_equal(top.count, 10);
	assert_true(work.candidates > FOREST_LEAF_MAX && work.candidates < ROWS);
	/* Before it began: nothing, and it says so. */
	countdown = (struct countdown){0};
	work = (struct search_work){0};
	topk_init(&top, hits, 10);
	assert_int_equal(graph_search(&a.space, &query, &effort, NULL, &pulse, *state, &top, &work), STATUS_OK);
	assert_true(work.truncated && top.count == 0 && work.candidates == 0);
	ann_block_free(&a);
}

static void numbers_out_of_range_and_rows_out_of_reach_are_refused(void **state)
{
	uint32_t first[] = {0, 1, 2, 3};
	uint8_t to[3 + PACKED_SPARE] = {1, 2, 0};
	struct graph_view g = {3, 3, first, {to, 1}};

	assert_int_equal(graph_verify(&g, runner_inline()), STATUS_OK);
	to[1] = 3;
	assert_int_equal(graph_verify(&g, runner_inline()), STATUS_CORRUPT);
	to[1] = 0;
	assert_int_equal(graph_verify(&g, runner_inline()), STATUS_CORRUPT); /* 2 is not reached */
	to[1] = 2;
	first[1] = 4;
	assert_int_equal(graph_verify(&g, runner_inline()), STATUS_CORRUPT);
	first[1] = 1;
	first[3] = 2;
	assert_int_equal(graph_verify(&g, runner_inline()), STATUS_CORRUPT);
	first[3] = 3;
	first[0] = 1;
	assert_int_equal(graph_verify(&g, runner_inline()), STATUS_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neighbours_are_the_nearest_of_all_that_share_a_group),
		cmocka_unit_test(the_first_tree_that_brings_little_is_the_last),
		cmocka_unit_test(a_forest_of_one_tree_keeps_one_and_has_a_good_graph),
		cmocka_unit_test(degrees_are_bounded_and_no_edge_leads_home_or_twice),
		cmocka_unit_test(few_rows_and_bits_have_no_graph_and_are_searched_exactly),
		cmocka_unit_test(a_build_can_be_stopped_at_any_moment),
		cmocka_unit_test(every_allocation_may_fail),
		cmocka_unit_test(the_search_does_what_its_plain_twin_does),
		cmocka_unit_test(codes_that_err_are_believed_less),
		cmocka_unit_test(a_budget_is_kept_and_one_of_everything_is_exact),
		cmocka_unit_test(lists_that_lose_a_row_get_what_it_hid_within_their_reach),
		cmocka_unit_test(the_dead_and_the_excepted_lead_on_but_are_no_answer),
		cmocka_unit_test(a_stopped_search_says_so_and_keeps_what_it_has),
		cmocka_unit_test(numbers_out_of_range_and_rows_out_of_reach_are_refused),
	};

	return cmocka_run_group_tests(tests, graph_scratch_setup, graph_scratch_teardown);
}
