/* pool.c - two lists under one mutex: searches, and the calls of runners that builds wait for.
 *
 * Threads: `threads` of ours take pieces; any thread may submit; the loop may help; a build's thread runs pieces of its own call. A piece takes 0.1 to some
 * ms, so one lock for the queue is not felt. Rejected: a queue per thread with stealing, which pays only where pieces are far smaller. */
#include "worker/pool.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "worker/shard.h"

/* One run() of the runner; lives on the stack of the thread that called it. */
struct call {
	struct call *next;
	size_t pieces, taken, left;
	void (*work)(void *arg, size_t i);
	void *arg;
};

/* A cache line each: the counters are written all the time. */
struct slot {
	_Alignas(64) _Atomic uint64_t progress;
	_Atomic bool busy;
	pthread_t thread;
	struct pool *pool;
	struct pool_thread view;
};

struct pool {
	struct runner runner; /* first: run() gets it back as a pool */
	size_t threads, started;
	bool held; /* the helper will wake threads */
	size_t searching; /* threads at pieces of searches; the helper is none of them */
	pthread_mutex_t lock;
	pthread_cond_t work, call_done;
	struct pool_job *head, **tail;
	size_t depth;
	struct call *calls;   /* with pieces left to take */
	size_t lent, lent_max; /* threads at pieces of builds */
	bool stopping;
	struct slot *slots;
};

/* ---- searches ---- */

static void queue_put(struct pool *p, struct pool_job *job)
{
	job->next = NULL;
	*p->tail = job;
	p->tail = &job->next;
	p->depth++;
}

static struct pool_job *queue_take(struct pool *p)
{
	struct pool_job *job = p->head;

	p->head = job->next;
	if (!p->head) p->tail = &p->head;
	p->depth--;
	return job;
}

static void wake(struct pool *p, size_t pieces)
{
	for (size_t i = 0; i < pieces && i < p->threads; i++) pthread_cond_signal(&p->work);
}

/* Called with the lock, which it gives up meanwhile. */
static void run_search_piece(struct pool *p, struct slot *slot)
{
	struct pool_job *job = queue_take(p);
	size_t piece = job->taken++;

	if (job->taken < job->pieces) queue_put(p, job);
	atomic_store_explicit(&slot->busy, true, memory_order_relaxed);
	pthread_mutex_unlock(&p->lock);
	atomic_fetch_add_explicit(&slot->progress, 1, memory_order_relaxed);
	job->run(job, piece, &slot->view);
	pthread_mutex_lock(&p->lock);
	if (--job->left == 0) {
		pthread_mutex_unlock(&p->lock);
		atomic_fetch_add_explicit(&slot->progress, 1, memory_order_relaxed);
		job->finish(job, &slot->view);
		pthread_mutex_lock(&p->lock);
	}
	atomic_store_explicit(&slot->busy, false, memory_order_relaxed);
}

enum status pool_submit(struct pool *p, struct pool_job *job)
{
	enum status status = STATUS_OK;

	require(job->pieces >= 1 && (!job->brief || job->pieces == 1));
	job->taken = 0;
	job->left = job->pieces;
	pthread_mutex_lock(&p->lock);
	if (p->depth >= POOL_JOBS_MAX || p->stopping) {
		status = STATUS_BUSY;
	} else {
		queue_put(p, job);
		if (!p->held) wake(p, job->pieces);
	}
	pthread_mutex_unlock(&p->lock);
	return status;
}

void pool_hold(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->held = true;
	pthread_mutex_unlock(&p->lock);
}

/* Is the job at the head the helper's? */
static bool helper_takes(const struct pool *p) { return p->head && p->head->brief && (p->threads == 1 || (p->depth == 1 && p->searching == 0)); }

bool pool_help(struct pool *p, uint64_t at_most_us)
{
	uint64_t end = 0;
	bool more = false;

	pthread_mutex_lock(&p->lock);
	p->held = false;
	while (helper_takes(p) && !more) {
		if (!end) end = clock_us() + at_most_us;
		run_search_piece(p, &p->slots[p->threads]);
		more = clock_us() >= end && helper_takes(p);
	}
	size_t left = 0;
	for (const struct pool_job *job = p->head; job && left < p->threads; job = job->next) left += job->pieces - job->taken;
	if (!more) wake(p, left);
	pthread_mutex_unlock(&p->lock);
	return more;
}

size_t pool_depth(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	size_t depth = p->depth;
	pthread_mutex_unlock(&p->lock);
	return depth;
}

/* ---- builds ---- */

/* Take a piece of `call` and run it; called with the lock, which it gives up meanwhile. */
static void run_call_piece(struct pool *p, struct call *call)
{
	size_t piece = call->taken++;

	if (call->taken == call->pieces) {
		struct call **at = &p->calls;
		while (*at != call) at = &(*at)->next;
		*at = call->next;
	}
	pthread_mutex_unlock(&p->lock);
	call->work(call->arg, piece);
	pthread_mutex_lock(&p->lock);
	if (--call->left == 0) pthread_cond_broadcast(&p->call_done);
}

static void runner_run(struct runner *r, size_t n, void (*work)(void *arg, size_t i), void *arg)
{
	struct pool *p = (struct pool *)r;
	struct call call = {.pieces = n, .left = n, .work = work, .arg = arg}, **at;

	if (n == 0) return;
	pthread_mutex_lock(&p->lock);
	for (at = &p->calls; *at; at = &(*at)->next) continue;
	*at = &call;
	if (n > 1) pthread_cond_broadcast(&p->work);
	while (call.taken < call.pieces) run_call_piece(p, &call);
	while (call.left > 0) pthread_cond_wait(&p->call_done, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

struct runner *pool_runner(struct pool *p) { return &p->runner; }

/* ---- threads ---- */

static void *thread_main(void *arg)
{
	struct slot *slot = arg;
	struct pool *p = slot->pool;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		if (p->head) {
			p->searching++;
			run_search_piece(p, slot);
			p->searching--;
		} else if (p->calls && p->lent < p->lent_max) {
			p->lent++;
			run_call_piece(p, p->calls);
			p->lent--;
			if (p->head && p->calls) pthread_cond_signal(&p->work); /* we go on to a search: another may help the build */
		} else if (p->stopping) {
			break;
		} else {
			pthread_cond_wait(&p->work, &p->lock);
		}
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

enum status pool_new(size_t threads, struct pool **ret)
{
	enum status status = STATUS_NO_MEMORY;
	struct pool *p = calloc(1, sizeof(*p));

	require(threads >= 1 && threads <= POOL_THREADS_MAX);
	if (!p) return status;
	p->runner = (struct runner){.run = runner_run, .threads = threads};
	p->threads = threads;
	p->lent_max = threads - 1;
	p->tail = &p->head;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->call_done, NULL);
	p->slots = aligned_alloc(64, (threads + 1) * sizeof(*p->slots)); /* the last is the helper's */
	if (!p->slots) goto out;
	for (size_t i = 0; i <= threads; i++) {
		struct slot *slot = &p->slots[i];
		*slot = (struct slot){.pool = p};
		slot->view.progress = &slot->progress;
	}
	for (size_t i = 0; i <= threads; i++) {
		status = search_scratch_new(&p->slots[i].view.scratch);
		if (status != STATUS_OK) goto out;
	}
	for (; p->started < threads; p->started++)
		if (pthread_create(&p->slots[p->started].thread, NULL, thread_main, &p->slots[p->started])) {
			status = STATUS_NO_MEMORY;
			goto out;
		}
	*ret = p;
	p = NULL;
out:
	pool_free(&p);
	return status;
}

void pool_free(struct pool **pool)
{
	struct pool *p = *pool;

	if (!p) return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (size_t i = 0; i < p->started; i++) pthread_join(p->slots[i].thread, NULL);
	for (size_t i = 0; p->slots && i <= p->threads; i++) search_scratch_free(&p->slots[i].view.scratch);
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->call_done);
	pthread_mutex_destroy(&p->lock);
	free(p->slots);
	free(p);
	*pool = NULL;
}

size_t pool_threads(const struct pool *p) { return p->threads; }

uint64_t pool_progress(const struct pool *p, size_t i, bool *ret_busy)
{
	*ret_busy = atomic_load_explicit(&p->slots[i].busy, memory_order_relaxed);
	return atomic_load_explicit(&p->slots[i].progress, memory_order_relaxed);
}
