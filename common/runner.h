/* runner.h - how pure code is given threads: it hands over n independent pieces and waits.
 *
 * Whether they run one after another or on all cores must not change any result. runner_inline() is the plain twin. */
#ifndef COMMON_RUNNER_H
#define COMMON_RUNNER_H

#include <stdbool.h>
#include <stddef.h>

struct runner {
	/* Calls work(arg, i) once for each i in 0 .. n-1, in any order, perhaps at once; returns when all have returned. */
	void (*run)(struct runner *r, size_t n, void (*work)(void *arg, size_t i), void *arg);
	size_t threads; /* how many may run at once: sizes per-thread scratch; >= 1 */
};

struct runner *runner_inline(void); /* a static object; any thread */

/* A runner that does something else beside the pieces of its runs: one thread goes on with it, a step at a time, until nothing of it or none of the
 * pieces is left. For work that takes one thread at a time, where others have pieces to do. */
struct runner_beside {
	struct runner runner;
	struct runner *under;
	bool (*step)(void *arg); /* false: that was the last, it is not called again. By one thread at a time. */
	void *arg;
	bool done;
};
void runner_beside_init(struct runner_beside *b, struct runner *under, bool (*step)(void *arg), void *arg);

#endif
