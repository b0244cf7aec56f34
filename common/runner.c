/* runner.c - the plain twin of every runner: one piece after another, on the caller's thread. And one that does more than it is asked to. */
#include "common/runner.h"

#include <stdatomic.h>

static void run_inline(struct runner *r, size_t n, void (*work)(void *arg, size_t i), void *arg)
{
	(void)r;
	for (size_t i = 0; i < n; i++) work(arg, i);
}

struct runner *runner_inline(void)
{
	static struct runner inline_runner = {.run = run_inline, .threads = 1};
	return &inline_runner;
}

/* ---- beside ---- */

struct both { struct runner_beside *beside; void (*work)(void *arg, size_t i); void *arg; _Atomic size_t left; };

static void beside_piece(void *arg, size_t i)
{
	struct both *b = arg;

	if (i == 0) {
		while (!b->beside->done && atomic_load(&b->left) > 0) b->beside->done = !b->beside->step(b->beside->arg);
	} else {
		b->work(b->arg, i - 1);
		atomic_fetch_sub(&b->left, 1);
	}
}

static void run_beside(struct runner *r, size_t n, void (*work)(void *arg, size_t i), void *arg)
{
	struct runner_beside *beside = (struct runner_beside *)r;
	struct both both = {.beside = beside, .work = work, .arg = arg};

	atomic_init(&both.left, n);
	if (beside->done || n == 0)
		beside->under->run(beside->under, n, work, arg);
	else
		beside->under->run(beside->under, n + 1, beside_piece, &both);
}

void runner_beside_init(struct runner_beside *b, struct runner *under, bool (*step)(void *arg), void *arg)
{
	*b = (struct runner_beside){.runner = {run_beside, under->threads}, .under = under, .step = step, .arg = arg};
}
