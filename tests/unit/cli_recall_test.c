/* cli_recall_test.c - recall against the truth, ties included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "client/cli/recall.h"

static double ratio(struct truth truth, const float *distances, uint64_t n, bool largest_first)
{
	struct recall r = {0, 0};
	recall_add(&r, &truth, distances, n, largest_first);
	return recall_ratio(&r);
}

static void recall_is_the_share_of_hits_no_farther_than_the_last_true_one(void **state)
{
	const float distances[4] = {1, 2, 5, 9};
	assert_true(ratio((struct truth){4, 9}, distances, 4, false) == 1);
	assert_true(ratio((struct truth){4, 5}, distances, 4, false) == 0.75);
	assert_true(ratio((struct truth){4, 0.5f}, distances, 4, false) == 0);
	assert_true(ratio((struct truth){4, 9}, distances, 2, false) == 0.5); /* too few hits are missing hits */
}

static void ties_at_the_border_are_fair(void **state)
{
	const float distances[3] = {1, 2, 2}; /* of several items at distance 2 any will do */
	assert_true(ratio((struct truth){3, 2}, distances, 3, false) == 1);
	const float many[4] = {2, 2, 2, 2};
	assert_true(ratio((struct truth){3, 2}, many, 4, false) == 1); /* never more than all */
}

static void dot_is_largest_first(void **state)
{
	const float products[3] = {9, 5, 1};
	assert_true(ratio((struct truth){3, 1}, products, 3, true) == 1);
	assert_true(fabs(ratio((struct truth){3, 5}, products, 3, true) - 2.0 / 3) < 1e-12);
	assert_true(fabs(ratio((struct truth){3, 9}, products, 3, true) - 1.0 / 3) < 1e-12);
}

static void queries_are_summed_and_an_empty_index_is_no_division_by_zero(void **state)
{
	struct recall r = {0, 0};
	const float d[2] = {1, 2};
	assert_true(recall_ratio(&r) == 1);
	recall_add(&r, &(struct truth){0, 0}, d, 0, false);
	assert_true(recall_ratio(&r) == 1);
	recall_add(&r, &(struct truth){2, 2}, d, 2, false);
	recall_add(&r, &(struct truth){2, 1}, d, 2, false);
	assert_true(recall_ratio(&r) == 0.75);
}

static void infinite_distances_count_like_others(void **state)
{
	const float d[2] = {1, INFINITY};
	assert_true(ratio((struct truth){2, INFINITY}, d, 2, false) == 1);
	assert_true(ratio((struct truth){2, 3}, d, 2, false) == 0.5);
}

static void given_ids_count_whatever_their_order_and_never_more_than_k(void **state)
{
	struct recall r = {0, 0};
	const uint64_t given[4] = {5, 6, 7, 8}, hits[3] = {6, 9, 5}, tied[3] = {5, 6, 8};
	recall_add_ids(&r, given, 3, 3, hits, 3);
	assert_true(r.right == 2 && r.wanted == 3);
	recall_add_ids(&r, given, 4, 3, tied, 3); /* 7 and 8 are as far */
	assert_true(r.right == 5 && r.wanted == 6);
	recall_add_ids(&r, given, 4, 2, tied, 3);
	assert_true(r.right == 7 && r.wanted == 8);
	recall_add_ids(&r, given, 3, 3, hits, 0);
	assert_true(r.right == 7 && r.wanted == 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recall_is_the_share_of_hits_no_farther_than_the_last_true_one),
		cmocka_unit_test(ties_at_the_border_are_fair),
		cmocka_unit_test(dot_is_largest_first),
		cmocka_unit_test(queries_are_summed_and_an_empty_index_is_no_division_by_zero),
		cmocka_unit_test(given_ids_count_whatever_their_order_and_never_more_than_k),
		cmocka_unit_test(infinite_distances_count_like_others),
	};
	return cmocka_run_group_tests_name("cli_recall", tests, NULL, NULL);
}
