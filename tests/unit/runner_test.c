/* What runs beside the pieces of a runner neither takes from them nor goes on when it has ended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/engine_fixture.h"

enum { PIECES = 40 };

struct counted { _Atomic unsigned pieces[PIECES]; unsigned steps, last; };

static void count_piece(void *arg, size_t i)
{
	struct counted *c = arg;
	atomic_fetch_add(&c->pieces[i], 1);
}

static bool count_step(void *arg)
{
	struct counted *c = arg;
	return ++c->steps < c->last;
}

static void each_piece_runs_once_and_steps_end(void **state)
{
	(void)state;
	for (unsigned last = 1; last < 300; last += 1 + last / 2)
		for (size_t threads = 0; threads <= 4; threads++) {
			struct runner many = {run_threads, threads}, *under = threads ? &many : runner_inline();
			struct counted c = {.last = last};
			struct runner_beside beside;
			runner_beside_init(&beside, under, count_step, &c);
			assert_int_equal(beside.runner.threads, under->threads);
			beside.runner.run(&beside.runner, 0, count_piece, &c);
			assert_int_equal(c.steps, 0);
			for (unsigned run = 1; run <= 5; run++) {
				beside.runner.run(&beside.runner, PIECES, count_piece, &c);
				for (int i = 0; i < PIECES; i++) assert_int_equal(atomic_load(&c.pieces[i]), run);
				assert_true(c.steps <= last);
			}
			/* With one thread the steps come first. */
			if (threads < 2) assert_int_equal(c.steps, last);
			assert_true(c.steps == last || !beside.done);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(each_piece_runs_once_and_steps_end)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
