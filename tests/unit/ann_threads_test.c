/* All that a build makes is the same bytes for any number of threads, on any kernels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "tests/unit/ann_fixture.h"

enum { ROWS = 2000, DIM = 24, CLUSTERS = 20 };

static struct block clusters_of(enum metric m)
{
	struct block b;

	block_init(&b, m, DIM, ROWS);
	fill_clusters(&b, CLUSTERS, 5, 0);
	return b;
}

static void same_ann(const struct ann_view *a, const struct ann_view *b)
{
	assert_int_equal(a->graph.n, b->graph.n);
	assert_int_equal(a->graph.edges, b->graph.edges);
	assert_memory_equal(a->graph.first, b->graph.first, ((size_t)a->graph.n + 1) * 4);
	assert_memory_equal(a->graph.to.bytes, b->graph.to.bytes, (size_t)packed_size(a->graph.edges, a->graph.to.width));
	assert_memory_equal(a->codes.base, b->codes.base, (size_t)a->graph.n * a->codes.stride);
	assert_int_equal(a->tune.count, b->tune.count);
	assert_memory_equal(a->tune.efforts, b->tune.efforts, a->tune.count * sizeof(*a->tune.efforts));
	assert_memory_equal(a->forest.order.bytes, b->forest.order.bytes, (size_t)(a->forest.trees - 1) * a->forest.n * a->forest.order.width);
}

static void any_number_of_threads_builds_the_same_bytes(void **state)
{
	static const enum metric metrics[] = {METRIC_ANGULAR, METRIC_EUCLIDEAN, METRIC_MANHATTAN, METRIC_DOT};

	for (int m = 0; m < 4; m++) {
		struct block b = clusters_of(metrics[m]), c = clusters_of(metrics[m]);
		struct ann_block one, many;
		struct runner runner = {run_threads, 3};
		ann_block_init(&one, &b, 10, 7, runner_inline());
		ann_block_init(&many, &c, 10, 7, &runner);
		same_ann(&one.view, &many.view);
		ann_block_free(&one);
		ann_block_free(&many);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(any_number_of_threads_builds_the_same_bytes)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
