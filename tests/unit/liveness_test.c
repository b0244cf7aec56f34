/* A thread hangs when it has work and shows no progress, and at no other time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "worker/liveness.h"

enum { LIMIT = 2000 };

static void idle_thread_never_hangs(void **state)
{
	struct stall s = {0};

	for (uint64_t now = 1; now < 100000; now += 500) assert_false(stall_note(&s, 7, false, now, LIMIT));
}

static void busy_thread_without_progress_hangs_at_the_limit(void **state)
{
	struct stall s = {0};

	assert_false(stall_note(&s, 7, true, 1000, LIMIT));
	assert_false(stall_note(&s, 7, true, 2999, LIMIT));
	assert_true(stall_note(&s, 7, true, 3000, LIMIT));
	assert_true(stall_note(&s, 7, true, 9000, LIMIT));
	assert_false(stall_note(&s, 8, true, 9001, LIMIT)); /* it goes on */
	assert_false(stall_note(&s, 8, true, 11000, LIMIT));
	assert_true(stall_note(&s, 8, true, 11001, LIMIT));
}

/* A long idle time is no hang of the work that begins after it. */
static void time_counts_from_when_it_became_busy(void **state)
{
	struct stall s = {0};

	assert_false(stall_note(&s, 7, false, 1, LIMIT));
	assert_false(stall_note(&s, 7, true, 50000, LIMIT));
	assert_false(stall_note(&s, 7, true, 51999, LIMIT));
	assert_true(stall_note(&s, 7, true, 52000, LIMIT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle_thread_never_hangs),
		cmocka_unit_test(busy_thread_without_progress_hangs_at_the_limit),
		cmocka_unit_test(time_counts_from_when_it_became_busy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
