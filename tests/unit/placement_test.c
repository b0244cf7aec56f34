/* placement_test.c - new shards go where there are fewest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/prng.h"
#include "coordinator/placement.h"

static const uint64_t seed = 4711;

static void shards_are_spread_evenly_over_empty_workers(void **state)
{
	uint32_t loads[3] = {0}, out[8];
	placement_choose(loads, 3, 8, out);
	assert_int_equal(loads[0], 3);
	assert_int_equal(loads[1], 3);
	assert_int_equal(loads[2], 2);
	static const uint32_t expected[8] = {0, 1, 2, 0, 1, 2, 0, 1};
	assert_memory_equal(out, expected, sizeof(expected));
}

static void the_emptiest_worker_is_filled_first(void **state)
{
	uint32_t loads[3] = {5, 2, 4}, out[4];
	placement_choose(loads, 3, 4, out);
	static const uint32_t expected[4] = {1, 1, 1, 2};
	assert_memory_equal(out, expected, sizeof(expected));
}

static void loads_never_drift_apart_by_more_than_they_were(void **state)
{
	struct prng p;
	print_message("seed %llu\n", (unsigned long long)seed);
	prng_seed(&p, seed);
	for (int round = 0; round < 500; round++) {
		uint32_t loads[16], before[16], out[64];
		uint32_t workers = 1 + prng_below(&p, 16), shards = 1 + prng_below(&p, 64);
		for (uint32_t i = 0; i < workers; i++) {
			before[i] = loads[i] = prng_below(&p, 10);
		}
		placement_choose(loads, workers, shards, out);
		/* Each shard was counted where it was put, and no worker that got one stands more than one above any other. */
		for (uint32_t i = 0; i < shards; i++) before[out[i]]++;
		for (uint32_t i = 0; i < workers; i++) assert_int_equal(before[i], loads[i]);
		for (uint32_t i = 0; i < shards; i++)
			for (uint32_t w = 0; w < workers; w++) assert_true(loads[out[i]] <= loads[w] + 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shards_are_spread_evenly_over_empty_workers),
		cmocka_unit_test(the_emptiest_worker_is_filled_first),
		cmocka_unit_test(loads_never_drift_apart_by_more_than_they_were),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
