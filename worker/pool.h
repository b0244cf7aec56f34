/* pool.h - the search threads of a worker, and the runner that lends them to builds.
 *
 * A job has pieces; threads take a piece from the job at the head of the queue and put the job back at its tail, so that a batch of
 * thousands of queries holds up a single query by one piece and not by all of them. The queue is bounded (POOL_JOBS_MAX): past it a
 * job is refused at once. Nothing here allocates after pool_new().
 *
 * The thread that submits may help (pool_help): to wake a thread for a piece that takes 0.03 ms, and be woken for its answer, costs more than the
 * piece. It takes brief jobs only, so that it is soon back, and only where no thread would else be faster: with one thread in the pool, or when
 * a single job waits and no thread works.
 *
 * Builds get threads through pool_runner(). Their pieces come after every search, and one thread of the pool never takes any (the
 * build's own thread takes part in its place), so that a search never waits for a piece of a build to end. */
#ifndef WORKER_POOL_H
#define WORKER_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/runner.h"
#include "common/status.h"

enum { POOL_THREADS_MAX = 1024, POOL_JOBS_MAX = 1024 };

struct pool;
struct search_scratch;

/* What a piece may use of the thread that runs it. */
struct pool_thread {
	struct search_scratch *scratch;
	_Atomic uint64_t *progress; /* add to it now and then: it shows that the thread is alive */
};

/* Intrusive: the caller's memory, untouched by the caller from submit until `finish` runs. */
struct pool_job {
	size_t pieces; /* >= 1 */
	bool brief;    /* one piece, and that about 0.1 ms at most */
	void (*run)(struct pool_job *job, size_t piece, struct pool_thread *thread);
	void (*finish)(struct pool_job *job, struct pool_thread *thread); /* once, on the thread that ended the last piece; may free the job */
	/* the pool's: */
	struct pool_job *next;
	size_t taken, left;
};

MUST_CHECK enum status pool_new(size_t threads, struct pool **ret);
/* Every job submitted has finished when this returns. No build may use the runner any more. */
void pool_free(struct pool **pool);
size_t pool_threads(const struct pool *p);
/* Any thread. STATUS_BUSY: POOL_JOBS_MAX are queued. */
MUST_CHECK enum status pool_submit(struct pool *p, struct pool_job *job);
/* One thread of the caller's: from pool_hold() on, no thread is woken for what it submits; pool_help() takes pieces of brief jobs for at most about so
 * long, then wakes threads for what is left to them. True: brief jobs still wait for the caller's help. */
void pool_hold(struct pool *p);
bool pool_help(struct pool *p, uint64_t at_most_us);
size_t pool_depth(struct pool *p); /* jobs with pieces that nobody has taken yet */
struct runner *pool_runner(struct pool *p);
/* The progress counter of thread i, and whether it works at a search. Any thread. */
uint64_t pool_progress(const struct pool *p, size_t i, bool *ret_busy);

#endif
