/* The stream is the published one, below() is unbiased, and streams of different trees are different. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/prng.h"

/* Seed 0 through splitmix64 (its published outputs are the state), then xoshiro256** by hand from that state. */
static void stream_is_the_published_one(void **state)
{
	struct prng p;

	prng_seed(&p, 0);
	assert_true(p.s[0] == 0xe220a8397b1dcdafu);
	assert_true(p.s[1] == 0x6e789e6aa1b965f4u);
	assert_true(p.s[2] == 0x06c45d188009454fu);
	assert_true(p.s[3] == 0xf88bb8a8724c81ecu);
	/* The reference of Blackman and Vigna, state {1, 2, 3, 4}. */
	static const uint64_t expected[] = {11520u, 0u, 1509978240u, 1215971899390074240u, 1216172134540287360u, 607988272756665600u};
	p = (struct prng){{1, 2, 3, 4}};
	for (size_t i = 0; i < 6; i++) assert_true(prng_u64(&p) == expected[i]);
}

static void every_remainder_is_as_likely_as_the_others(void **state)
{
	enum { BINS = 7, DRAWS = 700000 };
	struct prng p;
	int counts[BINS] = {0};
	double chi = 0;

	prng_seed(&p, 1);
	for (int i = 0; i < DRAWS; i++) {
		uint32_t v = prng_below(&p, BINS);
		assert_true(v < BINS);
		counts[v]++;
	}
	for (int b = 0; b < BINS; b++) chi += (counts[b] - DRAWS / BINS) * (double)(counts[b] - DRAWS / BINS) / (DRAWS / BINS);
	assert_true(chi < 27.9); /* 6 degrees of freedom, 1 in 10,000 */
}

/* Without the rejection the lower half of 3 * 2^30 would come twice as often. */
static void large_bounds_are_unbiased_too(void **state)
{
	enum { DRAWS = 300000 };
	const uint32_t bound = 3u << 30;
	struct prng p;
	int low = 0;

	prng_seed(&p, 2);
	for (int i = 0; i < DRAWS; i++) low += prng_below(&p, bound) % 3 == 0;
	assert_in_range(low, DRAWS / 3 - 1500, DRAWS / 3 + 1500);
	for (int i = 0; i < 100; i++) assert_int_equal(prng_below(&p, 1), 0);
}

static void unit_stays_below_one(void **state)
{
	struct prng p;
	double sum = 0;

	prng_seed(&p, 3);
	for (int i = 0; i < 100000; i++) {
		double v = prng_unit(&p);
		assert_true(v >= 0 && v < 1);
		sum += v;
	}
	assert_true(sum > 49500 && sum < 50500);
}

static void each_tree_and_node_has_its_own_stream(void **state)
{
	enum { SIDE = 20 };
	uint64_t first[SIDE * SIDE * 2];
	size_t n = 0;
	struct prng p, again;

	for (uint64_t seed = 0; seed < 2; seed++)
		for (uint64_t a = 0; a < SIDE; a++)
			for (uint64_t b = 0; b < SIDE; b++) {
				prng_seed3(&p, seed, a, b);
				first[n] = prng_u64(&p);
				for (size_t i = 0; i < n; i++) assert_true(first[i] != first[n]);
				n++;
				prng_seed3(&again, seed, a, b);
				assert_true(prng_u64(&again) == first[n - 1]);
			}
}

static void entropy_fills_all_of_it(void **state)
{
	uint8_t a[64] = {0}, b[64] = {0};

	prng_entropy(a, sizeof(a));
	prng_entropy(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	assert_memory_not_equal(a + 48, ((uint8_t[16]){0}), 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stream_is_the_published_one),
		cmocka_unit_test(every_remainder_is_as_likely_as_the_others),
		cmocka_unit_test(large_bounds_are_unbiased_too),
		cmocka_unit_test(unit_stays_below_one),
		cmocka_unit_test(each_tree_and_node_has_its_own_stream),
		cmocka_unit_test(entropy_fills_all_of_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
