/* topk keeps what a full sort would, ties included, whatever the order of arrival. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/prng.h"
#include "common/topk.h"

enum { MOST = 400 };

static int by_hit_cmp(const void *a, const void *b) { return hit_cmp(a, b); }

static size_t some_hits(struct prng *p, struct hit *out, size_t n)
{
	for (size_t i = 0; i < n; i++) out[i] = (struct hit){.id = UINT64_MAX - i * 3, .raw = hit_raw((float)prng_below(p, 20) / 4)};
	for (size_t i = 0; i < n; i++)
		if (prng_below(p, 30) == 0) out[i].raw = hit_raw(NAN);
	for (size_t i = n; i > 1; i--) {
		size_t j = prng_below(p, (uint32_t)i);
		struct hit h = out[i - 1];
		out[i - 1] = out[j];
		out[j] = h;
	}
	return n;
}

static void equal_hits(const struct hit *a, const struct hit *b, size_t n)
{
	for (size_t i = 0; i < n; i++) assert_int_equal(hit_cmp(&a[i], &b[i]), 0);
}

static void answer_is_the_head_of_the_sorted_list(void **state)
{
	struct hit all[MOST], kept[MOST];
	struct prng p;

	prng_seed(&p, 1);
	for (size_t round = 0; round < 400; round++) {
		size_t n = some_hits(&p, all, prng_below(&p, MOST)), k = prng_below(&p, MOST);
		struct topk top;
		topk_init(&top, kept, k);
		for (size_t i = 0; i < n; i++) {
			bool admitted = topk_admits(&top, all[i].raw);
			size_t count = top.count;
			struct hit worst = count ? top.hits[0] : (struct hit){0};
			topk_push(&top, all[i]);
			if (!admitted) assert_true(top.count == count && (!count || !hit_cmp(&top.hits[0], &worst)));
		}
		topk_sort(&top);
		qsort(all, n, sizeof(all[0]), by_hit_cmp);
		assert_int_equal(top.count, n < k ? n : k);
		equal_hits(top.hits, all, top.count);
	}
}

static void ties_go_to_the_smaller_id(void **state)
{
	struct hit memory[2];
	struct topk top;

	topk_init(&top, memory, 2);
	for (uint64_t id = 5; id > 0; id--) topk_push(&top, (struct hit){.id = id, .raw = 1});
	topk_sort(&top);
	assert_int_equal(top.hits[0].id, 1);
	assert_int_equal(top.hits[1].id, 2);
}

static void capacity_zero_keeps_nothing(void **state)
{
	struct topk top;

	topk_init(&top, NULL, 0);
	assert_false(topk_admits(&top, 0));
	topk_push(&top, (struct hit){.id = 1, .raw = 1});
	topk_sort(&top);
	assert_int_equal(top.count, 0);
}

static void nan_and_both_infinities_sort_last(void **state)
{
	assert_true(hit_raw(NAN) == INFINITY);
	assert_true(hit_raw(INFINITY) == INFINITY);
	assert_true(hit_raw(-INFINITY) == INFINITY);
	assert_true(hit_raw(-3.5f) == -3.5f);
	struct hit far = {.id = 1, .raw = hit_raw(NAN)}, near = {.id = 2, .raw = 3e38f};
	assert_true(hit_cmp(&near, &far) < 0 && hit_cmp(&far, &near) > 0 && hit_cmp(&far, &far) == 0);
	assert_true(hit_before(near, far) && !hit_before(far, near) && !hit_before(far, far));
}

static void merge_equals_a_sort_of_the_union(void **state)
{
	struct hit all[MOST], a[MOST], b[MOST], out[MOST];
	struct prng p;

	prng_seed(&p, 2);
	for (size_t round = 0; round < 400; round++) {
		size_t n = some_hits(&p, all, prng_below(&p, MOST)), k = prng_below(&p, MOST), na = 0, nb = 0;
		for (size_t i = 0; i < n; i++) {
			uint32_t where = prng_below(&p, 3); /* 2: in both lists */
			if (where != 1) a[na++] = all[i];
			if (where != 0) b[nb++] = all[i];
		}
		qsort(all, n, sizeof(all[0]), by_hit_cmp);
		qsort(a, na, sizeof(a[0]), by_hit_cmp);
		qsort(b, nb, sizeof(b[0]), by_hit_cmp);
		size_t count = hits_merge(a, na, b, nb, out, k);
		assert_int_equal(count, n < k ? n : k);
		equal_hits(out, all, count);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answer_is_the_head_of_the_sorted_list),
		cmocka_unit_test(ties_go_to_the_smaller_id),
		cmocka_unit_test(capacity_zero_keeps_nothing),
		cmocka_unit_test(nan_and_both_infinities_sort_last),
		cmocka_unit_test(merge_equals_a_sort_of_the_union),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
