/* Forests: the same for any number of threads, whole for any data, and searched as the plain twin says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/prng.h"
#include "worker/engine/exact.h"
#include "worker/engine/forest.h"

/* ---- a block of rows that owns its memory ---- */

struct block { struct rows rows; uint8_t *base; float *norm2; uint64_t *ids; _Atomic uint64_t *dead; };

static void block_init(struct block *b, enum metric m, uint32_t dim, uint32_t n)
{
	size_t stride = rows_stride(m, dim);

	b->base = aligned_alloc(64, stride * n + 64);
	b->norm2 = calloc(n + 1, sizeof(float));
	b->ids = calloc(n + 1, sizeof(uint64_t));
	b->dead = calloc(n + 1, sizeof(uint64_t));
	assert_true(b->base && b->norm2 && b->ids && b->dead);
	memset(b->base, 0, stride * n + 64);
	b->rows = (struct rows){.metric = m, .dim = dim, .n = n, .stride = stride, .base = b->base, .norm2 = b->norm2, .ids = b->ids, .dead_at = b->dead, .at = 1};
}

static void block_finish(struct block *b)
{
	for (uint32_t i = 0; i < b->rows.n; i++) {
		b->norm2[i] = vec_norm2(b->rows.metric, rows_row(&b->rows, i), b->rows.dim);
		b->ids[i] = i * 3 + 7;
	}
}

static void block_free(struct block *b)
{
	free(b->base);
	free(b->norm2);
	free(b->ids);
	free((void *)b->dead);
}

static float normal(struct prng *p)
{
	return (float)(sqrt(-2 * log(1 - prng_unit(p))) * cos(6.283185307179586 * prng_unit(p)));
}

/* Clustered data: `clusters` centres, rows around them. */
static void fill_clusters(struct block *b, uint32_t clusters, struct prng *p)
{
	uint32_t dim = b->rows.dim;
	float *centres = calloc((size_t)clusters * dim, sizeof(float));

	assert_non_null(centres);
	for (size_t i = 0; i < (size_t)clusters * dim; i++) centres[i] = normal(p) * 2;
	for (uint32_t r = 0; r < b->rows.n; r++) {
		const float *c = centres + (size_t)prng_below(p, clusters) * dim;
		uint8_t *row = b->base + (size_t)r * b->rows.stride;
		for (uint32_t i = 0; i < dim; i++) {
			float v = c[i] + normal(p) * 0.7f;
			if (b->rows.metric == METRIC_HAMMING)
				row[i / 8] |= (uint8_t)((v > 0) << i % 8);
			else
				((float *)(void *)row)[i] = v;
		}
	}
	free(centres);
	block_finish(b);
}

/* ---- runners ---- */

struct piece { void (*work)(void *arg, size_t i); void *arg; size_t first, n, step; };

static void *run_piece(void *arg)
{
	struct piece *p = arg;
	for (size_t i = p->first; i < p->n; i += p->step) p->work(p->arg, i);
	return NULL;
}

static void run_threads(struct runner *r, size_t n, void (*work)(void *arg, size_t i), void *arg)
{
	pthread_t threads[8];
	struct piece pieces[8];

	for (size_t t = 0; t < r->threads; t++) {
		pieces[t] = (struct piece){work, arg, t, n, r->threads};
		assert_int_equal(pthread_create(&threads[t], NULL, run_piece, &pieces[t]), 0);
	}
	for (size_t t = 0; t < r->threads; t++) pthread_join(threads[t], NULL);
}

/* ---- the plain twin of forest_search: a list instead of a heap, a flag for each row, no gathering ---- */

static void plain_search(const struct forest_view *f, const struct rows *rows, const struct query *query, uint64_t budget, struct topk *top)
{
	struct { float priority; uint32_t node, tree; bool open; } *list = calloc(f->nodes + 1, sizeof(*list));
	bool *met = calloc(rows->n + 1, sizeof(*met));
	uint32_t count = 0;
	uint64_t scored = 0;
	float *q = calloc(f->dir_floats + 1, sizeof(float));

	assert_true(list && met && q);
	if (rows->metric != METRIC_HAMMING)
		for (uint32_t i = 0; i < rows->dim; i++) {
			q[i] = ((const float *)query->row)[i];
			if (rows->metric == METRIC_DOT) q[i] *= query->norm2 > 0 ? sqrtf(f->dot_max_norm2 / query->norm2) : 0;
		}
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
				uint32_t row = f->order[(size_t)list[best].tree * f->n + node->left + i];
				if (met[row]) continue;
				met[row] = true;
				if (!rows_live(rows, row)) continue;
				scored++;
				float raw = vec_raw(rows->metric, rows_row(rows, row), rows->norm2[row], query->row, query->norm2, rows->dim);
				topk_push(top, (struct hit){.id = rows->ids[row], .raw = raw});
			}
			continue;
		}
		float to_left = list[best].priority, to_right = to_left, margin;
		if (rows->metric == METRIC_HAMMING) {
			uint32_t bit;
			memcpy(&bit, &node->offset, sizeof(bit));
			if (bit != FOREST_NO_BIT) {
				bool set = ((const uint8_t *)query->row)[bit / 8] >> bit % 8 & 1;
				if (set) to_left -= 1;
				else to_right -= 1;
			}
		} else if (f->dir_of[list[best].node] != UINT32_MAX) {
			margin = vec_kernels()->dot(f->dir + (size_t)f->dir_of[list[best].node] * f->dir_floats, q, rows->dim) + node->offset;
			to_left = fminf(to_left, -margin);
			to_right = fminf(to_right, margin);
		}
		for (int side = 0; side < 2; side++) {
			list[count].priority = side ? to_right : to_left;
			list[count].node = side ? node->right : node->left;
			list[count].tree = list[best].tree;
			list[count++].open = true;
		}
	}
	free(list);
	free(met);
	free(q);
}

static struct query query_of(const struct block *b, uint32_t i) { return (struct query){rows_row(&b->rows, i), b->norm2[i]}; }

static struct forest *built(const struct block *b, uint32_t trees, uint64_t seed, struct runner *runner)
{
	struct forest *f = NULL;
	struct forest_params params = {trees, seed};

	assert_int_equal(forest_build(&b->rows, &params, runner, NULL, NULL, &f), STATUS_OK);
	struct forest_view v = forest_as_view(f);
	assert_true(forest_check(&v, b->rows.metric, b->rows.dim));
	return f;
}

static void same_forest(const struct forest *a, const struct forest *b)
{
	struct forest_view x = forest_as_view(a), y = forest_as_view(b);

	assert_int_equal(x.nodes, y.nodes);
	assert_int_equal(x.dirs, y.dirs);
	assert_memory_equal(x.node, y.node, x.nodes * sizeof(*x.node));
	assert_memory_equal(x.dir_of, y.dir_of, x.nodes * sizeof(*x.dir_of));
	assert_memory_equal(x.order, y.order, (size_t)x.trees * x.n * sizeof(*x.order));
	if (x.dirs) assert_memory_equal(x.dir, y.dir, (size_t)x.dirs * x.dir_floats * sizeof(float));
}

static void any_number_of_threads_builds_the_same_bytes(void **state)
{
	for (int m = 0; m < METRIC_COUNT; m++) {
		struct block b;
		struct prng p;
		prng_seed(&p, (uint64_t)m);
		block_init(&b, (enum metric)m, 33, 3000);
		fill_clusters(&b, 20, &p);
		struct forest *one = built(&b, 7, 5, runner_inline());
		for (size_t threads = 2; threads <= 8; threads *= 2) {
			struct runner runner = {run_threads, threads};
			struct forest *other = built(&b, 7, 5, &runner);
			same_forest(one, other);
			forest_free(&other);
		}
		forest_free(&one);
		block_free(&b);
	}
}

static void the_search_does_what_its_plain_twin_does(void **state)
{
	struct forest_scratch *scratch;

	assert_int_equal(forest_scratch_new(&scratch), STATUS_OK);
	for (int m = 0; m < METRIC_COUNT; m++)
		for (uint64_t seed = 0; seed < 6; seed++) {
			struct block b;
			struct prng p;
			prng_seed(&p, seed * 31 + (uint64_t)m);
			block_init(&b, (enum metric)m, 5 + prng_below(&p, 60), 200 + prng_below(&p, 1500));
			fill_clusters(&b, 1 + prng_below(&p, 30), &p);
			for (uint32_t i = 0; i < b.rows.n; i++)
				if (prng_below(&p, 5) == 0) atomic_store(&b.dead[i], 1 + prng_below(&p, 2)); /* dead at 1: not seen; at 2: still seen */
			struct forest *f = built(&b, 1 + prng_below(&p, 9), seed, runner_inline());
			struct forest_view v = forest_as_view(f);
			for (int i = 0; i < 20; i++) {
				struct hit fast[10], plain[10];
				struct topk a, z;
				struct search_work work = {0};
				struct query q = query_of(&b, prng_below(&p, b.rows.n));
				uint64_t budget = 1 + prng_below(&p, b.rows.n - 1);
				topk_init(&a, fast, 10);
				topk_init(&z, plain, 10);
				assert_int_equal(forest_search(&v, &b.rows, &q, budget, NULL, scratch, &a, &work), STATUS_OK);
				plain_search(&v, &b.rows, &q, budget, &z);
				topk_sort(&a);
				topk_sort(&z);
				assert_int_equal(a.count, z.count);
				for (size_t h = 0; h < a.count; h++) assert_int_equal(hit_cmp(&fast[h], &plain[h]), 0);
				assert_true(work.candidates <= budget + FOREST_LEAF_MAX);
			}
			forest_free(&f);
			block_free(&b);
		}
	forest_scratch_free(&scratch);
}

static void a_budget_of_everything_is_exact(void **state)
{
	struct forest_scratch *scratch;

	assert_int_equal(forest_scratch_new(&scratch), STATUS_OK);
	for (int m = 0; m < METRIC_COUNT; m++) {
		struct block b;
		struct prng p;
		prng_seed(&p, (uint64_t)m);
		block_init(&b, (enum metric)m, 20, 500);
		fill_clusters(&b, 5, &p);
		struct forest *f = built(&b, 3, 1, runner_inline());
		struct forest_view v = forest_as_view(f);
		struct hit found[2][25];
		struct topk tops[2];
		struct search_work works[2] = {{0}, {0}};
		struct query q = query_of(&b, 11);
		for (int i = 0; i < 2; i++) topk_init(&tops[i], found[i], 25);
		assert_int_equal(forest_search(&v, &b.rows, &q, 500, NULL, scratch, &tops[0], &works[0]), STATUS_OK);
		exact_search(&b.rows, &q, 1, NULL, &tops[1], &works[1]);
		for (int i = 0; i < 2; i++) topk_sort(&tops[i]);
		assert_int_equal(works[0].candidates, 500);
		for (size_t h = 0; h < 25; h++) assert_int_equal(hit_cmp(&found[0][h], &found[1][h]), 0);
		forest_free(&f);
		block_free(&b);
	}
	forest_scratch_free(&scratch);
}

static void a_batch_is_the_same_as_one_query_at_a_time(void **state)
{
	enum { N = 700, NQ = 37, K = 9 };
	struct block b;
	struct prng p;
	struct hit batch[NQ][K], one[K];
	struct topk tops[NQ], top;
	struct search_work works[NQ] = {{0}}, work;
	struct query queries[NQ];

	prng_seed(&p, 3);
	block_init(&b, METRIC_EUCLIDEAN, 300, N);
	fill_clusters(&b, 4, &p);
	for (uint32_t i = 0; i < NQ; i++) {
		queries[i] = query_of(&b, i * 5);
		topk_init(&tops[i], batch[i], K);
	}
	exact_search(&b.rows, queries, NQ, NULL, tops, works);
	for (uint32_t i = 0; i < NQ; i++) {
		work = (struct search_work){0};
		topk_init(&top, one, K);
		exact_search(&b.rows, &queries[i], 1, NULL, &top, &work);
		topk_sort(&top);
		topk_sort(&tops[i]);
		assert_int_equal(works[i].candidates, N);
		for (size_t h = 0; h < K; h++) assert_int_equal(hit_cmp(&batch[i][h], &one[h]), 0);
	}
	block_free(&b);
}

static void every_size_from_0_to_300_is_whole(void **state)
{
	for (uint32_t n = 0; n <= 300; n++) {
		struct block b;
		struct prng p;
		prng_seed(&p, n);
		block_init(&b, n % 2 ? METRIC_ANGULAR : METRIC_HAMMING, 9, n);
		fill_clusters(&b, 3, &p);
		struct forest *f = built(&b, 2, n, runner_inline());
		forest_free(&f);
		block_free(&b);
	}
}

enum { PATHOLOGIES = 8 };
static void make_pathology(struct block *b, int kind, struct prng *p)
{
	for (uint32_t r = 0; r < b->rows.n; r++) {
		float *row = (float *)(void *)(b->base + (size_t)r * b->rows.stride);
		for (uint32_t i = 0; i < b->rows.dim; i++) switch (kind) {
			case 0: row[i] = 0; break;
			case 1: row[i] = 5; break;
			case 2: row[i] = r % 2 ? 1.0f : -1.0f; break;
			case 3: row[i] = r < 20 ? normal(p) : 1.0f; break; /* nearly all the same */
			case 4: row[i] = normal(p) * 1e30f; break;
			case 5: row[i] = normal(p) * 1e-30f; break;
			case 6: row[i] = i == 0 ? (float)r : 3.0f; break; /* constant columns */
			default: row[i] = r == 0 ? 3e38f : normal(p); break; /* one outlier */
			}
	}
	block_finish(b);
}

static void pathological_data_gives_whole_forests(void **state)
{
	static const enum metric metrics[] = {METRIC_ANGULAR, METRIC_EUCLIDEAN, METRIC_MANHATTAN, METRIC_DOT};
	struct forest_scratch *scratch;

	assert_int_equal(forest_scratch_new(&scratch), STATUS_OK);
	for (size_t m = 0; m < 4; m++)
		for (int kind = 0; kind < PATHOLOGIES; kind++)
			for (uint32_t dim = 1; dim <= 17; dim += 16) {
				struct block b;
				struct prng p;
				prng_seed(&p, (uint64_t)kind);
				block_init(&b, metrics[m], dim, 1000);
				make_pathology(&b, kind, &p);
				struct forest *f = built(&b, 3, 1, runner_inline());
				struct forest_view v = forest_as_view(f);
				struct hit hits[5];
				struct topk top;
				struct search_work work = {0};
				struct query q = query_of(&b, 500);
				topk_init(&top, hits, 5);
				assert_int_equal(forest_search(&v, &b.rows, &q, 200, NULL, scratch, &top, &work), STATUS_OK);
				assert_int_equal(top.count, 5);
				assert_true(work.candidates >= 200);
				forest_free(&f);
				block_free(&b);
			}
	forest_scratch_free(&scratch);
}

static bool stop_at_once(void *arg)
{
	++*(int *)arg;
	return true;
}

static void the_pulse_stops_searches_and_builds(void **state)
{
	struct block b;
	struct prng p;
	int asked = 0;
	struct pulse pulse = {stop_at_once, &asked};
	struct forest *f = NULL;
	struct forest_params params = {2, 1};
	struct hit hits[3];
	struct topk top;
	struct search_work work = {0};

	prng_seed(&p, 1);
	block_init(&b, METRIC_EUCLIDEAN, 8, 3000);
	fill_clusters(&b, 3, &p);
	assert_int_equal(forest_build(&b.rows, &params, runner_inline(), NULL, &pulse, &f), STATUS_CANCELLED);
	assert_null(f);
	topk_init(&top, hits, 3);
	struct query q = query_of(&b, 1);
	exact_search(&b.rows, &q, 1, &pulse, &top, &work);
	assert_true(work.truncated && work.candidates < 3000);
	assert_true(asked >= 2);
	block_free(&b);
}

static void renumbered_rows_stand_in_the_order_of_the_first_tree(void **state)
{
	struct block b;
	struct prng p;
	uint32_t new_of_old[600];

	prng_seed(&p, 9);
	block_init(&b, METRIC_MANHATTAN, 6, 600);
	fill_clusters(&b, 3, &p);
	struct forest *f = built(&b, 3, 2, runner_inline());
	struct forest_view v = forest_as_view(f);
	uint32_t old_first = v.order[0], old_second_tree = v.order[600];
	forest_renumber(f, new_of_old);
	for (uint32_t i = 0; i < 600; i++) assert_int_equal(v.order[i], i);
	assert_int_equal(new_of_old[old_first], 0);
	assert_int_equal(v.order[600], new_of_old[old_second_tree]);
	assert_true(forest_check(&v, METRIC_MANHATTAN, 6));
	forest_free(&f);
	block_free(&b);
}

static void a_damaged_forest_does_not_pass_the_check(void **state)
{
	struct block b;
	struct prng p;

	prng_seed(&p, 4);
	block_init(&b, METRIC_EUCLIDEAN, 6, 400);
	fill_clusters(&b, 3, &p);
	struct forest *f = built(&b, 2, 2, runner_inline());
	struct forest_view v = forest_as_view(f);
	struct forest_node *nodes = (struct forest_node *)(uintptr_t)v.node;
	for (uint32_t i = 0; i < v.nodes; i++) {
		struct forest_node kept = nodes[i];
		static const uint32_t bad[] = {0, 1, 399, 400, UINT32_MAX};
		for (size_t j = 0; j < 5; j++) {
			if (bad[j] == kept.left) continue;
			nodes[i].left = bad[j];
			assert_false(forest_check(&v, METRIC_EUCLIDEAN, 6));
			nodes[i] = kept;
		}
		nodes[i].count = kept.count + 1;
		assert_false(forest_check(&v, METRIC_EUCLIDEAN, 6));
		nodes[i] = kept;
	}
	uint32_t *order = (uint32_t *)(uintptr_t)v.order;
	order[7] = order[8];
	assert_false(forest_check(&v, METRIC_EUCLIDEAN, 6));
	forest_free(&f);
	block_free(&b);
}

/* ---- recall floors ---- */

static double recall(const struct block *b, const struct forest_view *v, const struct block *queries, uint64_t budget, struct forest_scratch *scratch)
{
	enum { K = 10 };
	uint64_t right = 0;

	for (uint32_t i = 0; i < queries->rows.n; i++) {
		struct hit truth[K], found[K];
		struct topk t, a;
		struct search_work work = {0};
		struct query q = query_of(queries, i);
		topk_init(&t, truth, K);
		topk_init(&a, found, K);
		exact_search(&b->rows, &q, 1, NULL, &t, &work);
		assert_int_equal(forest_search(v, &b->rows, &q, budget, NULL, scratch, &a, &work), STATUS_OK);
		topk_sort(&t);
		topk_sort(&a);
		for (size_t h = 0; h < a.count; h++) right += a.hits[h].raw <= t.hits[t.count - 1].raw;
	}
	return (double)right / (K * queries->rows.n);
}

static void every_metric_reaches_its_recall_with_and_without_the_dead(void **state)
{
	struct forest_scratch *scratch;

	assert_int_equal(forest_scratch_new(&scratch), STATUS_OK);
	for (int m = 0; m < METRIC_COUNT; m++) {
		struct block b, queries;
		struct prng p;
		prng_seed(&p, 77);
		block_init(&b, (enum metric)m, 32, 10000);
		fill_clusters(&b, 60, &p);
		block_init(&queries, (enum metric)m, 32, 100);
		prng_seed(&p, 77); /* the same centres */
		fill_clusters(&queries, 60, &p);
		struct forest *f = built(&b, 10, 1, runner_inline());
		struct forest_view v = forest_as_view(f);
		double low = recall(&b, &v, &queries, 500, scratch), high = recall(&b, &v, &queries, 4000, scratch);
		for (uint32_t i = 0; i < b.rows.n; i += 3) atomic_store(&b.dead[i], 1);
		double after = recall(&b, &v, &queries, 4000, scratch);
		fprintf(stderr, "%s: recall@10 %.3f at 500, %.3f at 4000 of 10000; %.3f with a third dead\n", metric_name((enum metric)m), low, high, after);
		assert_true(low <= high);
		assert_true(high >= 0.95);
		assert_true(after >= 0.95);
		forest_free(&f);
		block_free(&b);
		block_free(&queries);
	}
	forest_scratch_free(&scratch);
}

static bool load_fashion(const char *path, struct block *b, uint32_t n)
{
	gzFile file = gzopen(path, "rb");
	uint8_t header[16], pixels[784];

	if (!file) return false;
	assert_int_equal(gzread(file, header, 16), 16);
	block_init(b, METRIC_EUCLIDEAN, 784, n);
	for (uint32_t r = 0; r < n; r++) {
		assert_int_equal(gzread(file, pixels, 784), 784);
		vec_store(DTYPE_U8, pixels, 784, b->base + (size_t)r * b->rows.stride);
	}
	gzclose(file);
	block_finish(b);
	return true;
}

static void clothes_are_found_with_the_effort_that_was_promised(void **state)
{
	static const char train[] = "/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz";
	static const char test[] = "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz";
	struct block b, queries = {0};
	struct forest_scratch *scratch;

	if (!load_fashion(train, &b, 60000)) {
		fprintf(stderr, "skipped: %s is not there (Debian package dataset-fashion-mnist)\n", train);
		skip();
	}
	assert_true(load_fashion(test, &queries, 200));
	assert_int_equal(forest_scratch_new(&scratch), STATUS_OK);
	struct runner runner = {run_threads, 2};
	struct forest *f = built(&b, 10, 1, &runner);
	struct forest_view v = forest_as_view(f);
	double low = recall(&b, &v, &queries, 2000, scratch), high = recall(&b, &v, &queries, 10000, scratch);
	fprintf(stderr, "fashion, 60000 x 784, 10 trees: recall@10 %.4f at 2000, %.4f at 10000\n", low, high);
	assert_true(low >= 0.90);
	assert_true(high >= 0.98);
	forest_free(&f);
	forest_scratch_free(&scratch);
	block_free(&b);
	block_free(&queries);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_number_of_threads_builds_the_same_bytes),
		cmocka_unit_test(the_search_does_what_its_plain_twin_does),
		cmocka_unit_test(a_budget_of_everything_is_exact),
		cmocka_unit_test(a_batch_is_the_same_as_one_query_at_a_time),
		cmocka_unit_test(every_size_from_0_to_300_is_whole),
		cmocka_unit_test(pathological_data_gives_whole_forests),
		cmocka_unit_test(the_pulse_stops_searches_and_builds),
		cmocka_unit_test(renumbered_rows_stand_in_the_order_of_the_first_tree),
		cmocka_unit_test(a_damaged_forest_does_not_pass_the_check),
		cmocka_unit_test(every_metric_reaches_its_recall_with_and_without_the_dead),
		cmocka_unit_test(clothes_are_found_with_the_effort_that_was_promised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
