/* timers_test.c - the heap of deadlines against a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/prng.h"
#include "coordinator/timers.h"

enum { SLOTS = 200, STEPS = 20000 };
static const uint64_t seed = 20260101;

static uint64_t plain_next(const uint64_t *deadlines)
{
	uint64_t next = UINT64_MAX;
	for (uint32_t i = 0; i < SLOTS; i++)
		if (deadlines[i] < next) next = deadlines[i];
	return next;
}

static void the_heap_agrees_with_an_array_after_every_step(void **state)
{
	struct timers t;
	struct prng p;
	uint64_t deadlines[SLOTS], now = 0;
	print_message("seed %llu\n", (unsigned long long)seed);
	prng_seed(&p, seed);
	assert_int_equal(timers_init(&t, SLOTS), STATUS_OK);
	for (uint32_t i = 0; i < SLOTS; i++) deadlines[i] = UINT64_MAX;
	for (int step = 0; step < STEPS; step++) {
		uint32_t slot = prng_below(&p, SLOTS);
		switch (prng_below(&p, 4)) {
		case 0:
		case 1:
			deadlines[slot] = now + prng_below(&p, 1000);
			timers_set(&t, slot, deadlines[slot]);
			break;
		case 2:
			deadlines[slot] = UINT64_MAX;
			timers_clear(&t, slot);
			break;
		default:
			now += prng_below(&p, 20);
			while ((slot = timers_expired(&t, now)) != TIMER_NONE) {
				assert_true(deadlines[slot] <= now);
				assert_true(deadlines[slot] == plain_next(deadlines));
				deadlines[slot] = UINT64_MAX;
			}
			assert_true(plain_next(deadlines) > now);
		}
		assert_true(timers_next(&t) == plain_next(deadlines));
	}
	timers_release(&t);
}

static void an_empty_heap_never_expires(void **state)
{
	struct timers t;
	assert_int_equal(timers_init(&t, 4), STATUS_OK);
	assert_true(timers_next(&t) == UINT64_MAX);
	assert_int_equal(timers_expired(&t, UINT64_MAX), TIMER_NONE);
	timers_clear(&t, 3);
	timers_set(&t, 3, 5);
	assert_int_equal(timers_expired(&t, 4), TIMER_NONE);
	assert_int_equal(timers_expired(&t, 5), 3);
	assert_int_equal(timers_expired(&t, 5), TIMER_NONE);
	timers_release(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_heap_agrees_with_an_array_after_every_step),
		cmocka_unit_test(an_empty_heap_never_expires),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
