/* runner.c - the plain twin of every runner: one piece after another, on the caller's thread. */
#include "common/runner.h"

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
