/* What forest_check() lets through is a forest: whatever number in a good one is changed, it refuses or the search stays
 * inside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/engine_fixture.h"

enum { ROWS = 400, DIM = 6, TREES = 2 };

/* A forest whose arrays the test may change. */
struct changeable { struct block block; struct forest *forest; struct forest_view view; struct forest_node *node; uint32_t *roots, *dir_of; uint8_t *order; };

static void changeable_init(struct changeable *c, enum metric m)
{
	block_init(&c->block, m, DIM, ROWS);
	fill_clusters(&c->block, 3, 4, 0);
	c->forest = forest_of(&c->block, TREES, 2, runner_inline());
	c->view = forest_as_view(c->forest);
	c->node = (struct forest_node *)(uintptr_t)c->view.node;
	c->roots = (uint32_t *)(uintptr_t)c->view.roots;
	c->dir_of = (uint32_t *)(uintptr_t)c->view.dir_of;
	c->order = (uint8_t *)(uintptr_t)c->view.order.bytes;
}

static void changeable_release(struct changeable *c)
{
	forest_free(&c->forest);
	block_free(&c->block);
}

static void expect_refused(const struct changeable *c) { assert_false(forest_check(&c->view, c->block.rows.metric, DIM)); }

static const uint32_t numbers[] = {0, 1, 2, ROWS - 1, ROWS, ROWS + 1, 0x7fffffff, 0x80000000, UINT32_MAX - 1, UINT32_MAX};
enum { NUMBERS = sizeof(numbers) / sizeof(numbers[0]) };

static void a_wrong_child_or_place_is_refused(void **state)
{
	struct changeable c;

	changeable_init(&c, METRIC_EUCLIDEAN);
	for (uint32_t i = 0; i < c.view.nodes; i++)
		for (size_t j = 0; j < NUMBERS; j++) {
			struct forest_node kept = c.node[i];
			c.node[i].at = numbers[j];
			if (numbers[j] != kept.at) expect_refused(&c);
			c.node[i] = kept;
			c.node[i].count = numbers[j];
			if (numbers[j] != kept.count) expect_refused(&c);
			c.node[i] = kept;
		}
	changeable_release(&c);
}

static void a_loop_is_refused(void **state)
{
	struct changeable c;

	changeable_init(&c, METRIC_EUCLIDEAN);
	for (uint32_t i = 0; i < c.view.nodes; i++) {
		if (c.node[i].count) continue;
		struct forest_node kept = c.node[i];
		c.node[i].at = i; /* itself */
		expect_refused(&c);
		c.node[i].at = i + 1; /* both children the same */
		expect_refused(&c);
		c.node[i].at = c.roots[0]; /* back to the root */
		expect_refused(&c);
		c.node[i].at = c.roots[1]; /* into another tree */
		expect_refused(&c);
		c.node[i] = kept;
	}
	changeable_release(&c);
}

static void a_wrong_root_row_or_direction_is_refused(void **state)
{
	struct changeable c;

	changeable_init(&c, METRIC_EUCLIDEAN);
	uint32_t root = c.roots[0];
	for (uint32_t r = 0; r < c.view.nodes + 2; r++) {
		if (r == root) continue;
		c.roots[0] = r;
		expect_refused(&c);
	}
	c.roots[0] = root;
	for (uint32_t i = 0; i < TREES * ROWS; i += 7) {
		uint32_t kept = forest_row(&c.view, i / ROWS, i % ROWS);
		for (size_t j = 0; j < NUMBERS; j++) {
			packed_put(c.order, c.view.order.width, i, numbers[j]);
			if (numbers[j] % (1 << 8 * c.view.order.width) != kept) expect_refused(&c);
		}
		packed_put(c.order, c.view.order.width, i, kept);
	}
	for (uint32_t i = 0; i < c.view.nodes; i++) {
		if (c.node[i].count) continue;
		uint32_t kept = c.dir_of[i];
		c.dir_of[i] = c.view.dirs;
		expect_refused(&c);
		c.dir_of[i] = UINT32_MAX - 1;
		expect_refused(&c);
		c.dir_of[i] = kept;
	}
	c.view.dir_size += 64;
	expect_refused(&c);
	changeable_release(&c);
}

static void a_bit_past_the_row_is_refused(void **state)
{
	struct changeable c;
	static const uint32_t bad[] = {DIM, DIM + 1, 8, 0x7fffffff, UINT32_MAX - 1};

	changeable_init(&c, METRIC_HAMMING);
	for (uint32_t i = 0; i < c.view.nodes; i++) {
		if (c.node[i].count) continue;
		float kept = c.node[i].offset;
		for (size_t j = 0; j < sizeof(bad) / sizeof(bad[0]); j++) {
			memcpy(&c.node[i].offset, &bad[j], sizeof(bad[j]));
			expect_refused(&c);
		}
		c.node[i].offset = kept;
	}
	changeable_release(&c);
}

/* No float is out of range: directions and offsets may hold anything, and the search still ends with every row scored. */
static void any_float_and_any_direction_is_searched(void **state)
{
	static const uint32_t floats[] = {0x7fc00000, 0x7f800000, 0xff800000, 0x7f7fffff, 0xff7fffff, 1, 0x80000000};
	static const enum metric metrics[] = {METRIC_ANGULAR, METRIC_EUCLIDEAN, METRIC_DOT};

	for (size_t m = 0; m < 3; m++)
		for (size_t j = 0; j < sizeof(floats) / sizeof(floats[0]); j++) {
			struct changeable c;
			struct hit hits[ROWS];
			struct topk top;
			struct search_work work = {0};
			changeable_init(&c, metrics[m]);
			for (uint32_t i = 0; i < c.view.nodes; i++)
				if (!c.node[i].count) memcpy(i % 2 ? &c.node[i].offset : &c.node[i].unit, &floats[j], sizeof(float));
			memset((void *)(uintptr_t)c.view.dir, (int)(floats[j] >> 16 & 255), (size_t)c.view.dirs * c.view.dir_size);
			c.view.quant.scale = (double)(j + 1);
			memcpy(&c.view.dot_max_norm2, &floats[j], sizeof(float));
			assert_true(forest_check(&c.view, metrics[m], DIM));
			struct query q = block_query(&c.block, 3);
			topk_init(&top, hits, ROWS);
			assert_int_equal(forest_search(&c.view, &c.block.rows, &q, ROWS - 1, NULL, *state, &top, &work), STATUS_OK);
			assert_true(work.candidates >= ROWS - 1);
			changeable_release(&c);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wrong_child_or_place_is_refused),
		cmocka_unit_test(a_loop_is_refused),
		cmocka_unit_test(a_wrong_root_row_or_direction_is_refused),
		cmocka_unit_test(a_bit_past_the_row_is_refused),
		cmocka_unit_test(any_float_and_any_direction_is_searched),
	};

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
