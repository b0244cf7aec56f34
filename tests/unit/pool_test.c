/* The pool: every piece once, bounded, fair between jobs, and never short of a thread for searches while builds run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "worker/pool.h"

enum { PIECES_MAX = 200, LOG_MAX = 4096, PATIENCE_US = 60000000 };

struct counted { struct pool_job job; _Atomic int runs[PIECES_MAX]; _Atomic int finished; sem_t end; };

static void counted_run(struct pool_job *job, size_t piece, struct pool_thread *thread)
{
	struct counted *c = (struct counted *)job;

	assert_non_null(thread->scratch);
	atomic_fetch_add(&c->runs[piece], 1);
}

static void counted_finish(struct pool_job *job, struct pool_thread *thread)
{
	struct counted *c = (struct counted *)job;

	for (size_t i = 0; i < job->pieces; i++) assert_int_equal(atomic_load(&c->runs[i]), 1);
	atomic_fetch_add(&c->finished, 1);
	sem_post(&c->end);
}

static void every_piece_runs_once_and_the_end_comes_after_all(void **state)
{
	enum { JOBS = 60 };
	static struct counted jobs[JOBS];

	for (size_t threads = 1; threads <= 4; threads++) {
		struct pool *p;
		assert_int_equal(pool_new(threads, &p), STATUS_OK);
		memset(jobs, 0, sizeof(jobs));
		for (size_t i = 0; i < JOBS; i++) {
			jobs[i].job = (struct pool_job){.pieces = 1 + i * 3, .run = counted_run, .finish = counted_finish};
			sem_init(&jobs[i].end, 0, 0);
			assert_int_equal(pool_submit(p, &jobs[i].job), STATUS_OK);
		}
		for (size_t i = 0; i < JOBS; i++) sem_wait(&jobs[i].end);
		pool_free(&p);
		for (size_t i = 0; i < JOBS; i++) assert_int_equal(jobs[i].finished, 1);
	}
}

/* A job whose only piece waits until it is let go. */
struct gate { struct pool_job job; sem_t entered, leave; };

static void gate_run(struct pool_job *job, size_t piece, struct pool_thread *thread)
{
	struct gate *g = (struct gate *)job;

	sem_post(&g->entered);
	sem_wait(&g->leave);
}

static void nothing_more(struct pool_job *job, struct pool_thread *thread) { (void)job; }

static void gate_close(struct gate *g, struct pool *p)
{
	*g = (struct gate){.job = {.pieces = 1, .run = gate_run, .finish = nothing_more}};
	sem_init(&g->entered, 0, 0);
	sem_init(&g->leave, 0, 0);
	assert_int_equal(pool_submit(p, &g->job), STATUS_OK);
	sem_wait(&g->entered);
}

static void full_queue_refuses_at_once_and_loses_nothing(void **state)
{
	struct counted *jobs = calloc(POOL_JOBS_MAX + 1, sizeof(*jobs));
	struct pool *p;
	struct gate gate;

	assert_non_null(jobs);
	assert_int_equal(pool_new(1, &p), STATUS_OK);
	gate_close(&gate, p);
	for (size_t i = 0; i <= POOL_JOBS_MAX; i++) {
		jobs[i].job = (struct pool_job){.pieces = 1, .run = counted_run, .finish = counted_finish};
		sem_init(&jobs[i].end, 0, 0);
		assert_int_equal(pool_submit(p, &jobs[i].job), i < POOL_JOBS_MAX ? STATUS_OK : STATUS_BUSY);
	}
	assert_int_equal(pool_depth(p), POOL_JOBS_MAX);
	sem_post(&gate.leave);
	pool_free(&p); /* finishes what was taken */
	for (size_t i = 0; i <= POOL_JOBS_MAX; i++) assert_int_equal(jobs[i].finished, i < POOL_JOBS_MAX);
	free(jobs);
}

/* The order in which pieces ran, by job. */
static struct { pthread_mutex_t lock; char order[LOG_MAX]; size_t count; } ran = {.lock = PTHREAD_MUTEX_INITIALIZER};
struct named { struct pool_job job; char name; };

static void named_run(struct pool_job *job, size_t piece, struct pool_thread *thread)
{
	pthread_mutex_lock(&ran.lock);
	ran.order[ran.count++] = ((struct named *)job)->name;
	pthread_mutex_unlock(&ran.lock);
}

static void batch_of_many_pieces_holds_up_a_single_query_by_one(void **state)
{
	struct named batch = {{.pieces = 100, .run = named_run, .finish = nothing_more}, 'b'};
	struct named single = {{.pieces = 1, .run = named_run, .finish = nothing_more}, 's'};
	struct pool *p;
	struct gate gate;

	ran.count = 0;
	assert_int_equal(pool_new(1, &p), STATUS_OK);
	gate_close(&gate, p);
	assert_int_equal(pool_submit(p, &batch.job), STATUS_OK);
	assert_int_equal(pool_submit(p, &single.job), STATUS_OK);
	sem_post(&gate.leave);
	pool_free(&p);
	assert_int_equal(ran.count, 101);
	assert_memory_equal(ran.order, "bsb", 3);
}

struct lent { struct pool *pool; _Atomic int inside; _Atomic bool open; size_t pieces; _Atomic int runs[PIECES_MAX]; };

static void lent_piece(void *arg, size_t i)
{
	struct lent *l = arg;

	atomic_fetch_add(&l->inside, 1);
	while (!atomic_load(&l->open)) clock_sleep_us(100);
	atomic_fetch_add(&l->runs[i], 1);
}

static void *build_thread(void *arg)
{
	struct lent *l = arg;
	struct runner *r = pool_runner(l->pool);

	r->run(r, l->pieces, lent_piece, l);
	for (size_t i = 0; i < l->pieces; i++) assert_int_equal(atomic_load(&l->runs[i]), 1);
	return NULL;
}

/* Builds that never let go of what they have: a search still comes through, since one thread takes no pieces of builds. */
static void search_never_waits_for_a_piece_of_a_build(void **state)
{
	for (size_t threads = 1; threads <= 3; threads++) {
		struct lent lent = {.pieces = 50}, other = {.pieces = 50};
		struct counted job = {.job = {.pieces = 5, .run = counted_run, .finish = counted_finish}};
		pthread_t build, second;
		assert_int_equal(pool_new(threads, &lent.pool), STATUS_OK);
		other.pool = lent.pool;
		assert_int_equal(pthread_create(&build, NULL, build_thread, &lent), 0);
		assert_int_equal(pthread_create(&second, NULL, build_thread, &other), 0);
		/* Two threads of builds and all that the pool lends. */
		while ((size_t)(atomic_load(&lent.inside) + atomic_load(&other.inside)) < 2 + threads - 1) clock_sleep_us(100);
		sem_init(&job.end, 0, 0);
		assert_int_equal(pool_submit(lent.pool, &job.job), STATUS_OK);
		sem_wait(&job.end);
		assert_int_equal(atomic_load(&lent.runs[0]), 0);
		atomic_store(&lent.open, true);
		atomic_store(&other.open, true);
		pthread_join(build, NULL);
		pthread_join(second, NULL);
		pool_free(&lent.pool);
	}
}

static void inner_piece(void *arg, size_t i) { atomic_fetch_add((_Atomic int *)arg + i, 1); }

struct outer { struct runner *runner; _Atomic int (*counts)[8]; };

static void outer_piece(void *arg, size_t i)
{
	struct outer *o = arg;

	o->runner->run(o->runner, 8, inner_piece, o->counts[i]);
}

static void runner_may_be_used_inside_its_own_pieces(void **state)
{
	_Atomic int counts[20][8];
	struct pool *p;

	memset(counts, 0, sizeof(counts));
	assert_int_equal(pool_new(3, &p), STATUS_OK);
	struct outer outer = {pool_runner(p), counts};
	assert_int_equal(outer.runner->threads, 3);
	outer.runner->run(outer.runner, 20, outer_piece, &outer);
	outer.runner->run(outer.runner, 0, outer_piece, &outer);
	for (int i = 0; i < 20; i++)
		for (int j = 0; j < 8; j++) assert_int_equal(atomic_load(&counts[i][j]), 1);
	pool_free(&p);
}

static void busy_thread_shows_it_and_its_progress_stands_still_while_it_hangs(void **state)
{
	struct pool *p;
	struct gate gate;
	bool busy;

	assert_int_equal(pool_new(1, &p), STATUS_OK);
	gate_close(&gate, p);
	uint64_t before = pool_progress(p, 0, &busy);
	assert_true(busy);
	clock_sleep_us(2000);
	assert_true(pool_progress(p, 0, &busy) == before);
	sem_post(&gate.leave);
	while (pool_progress(p, 0, &busy), busy) clock_sleep_us(100);
	assert_true(pool_progress(p, 0, &busy) > before);
	pool_free(&p);
}

/* ---- the helper ---- */

struct told { struct pool_job job; pthread_t ran_on; _Atomic int finished; uint64_t takes_us; };

static void told_run(struct pool_job *job, size_t piece, struct pool_thread *thread)
{
	struct told *t = (struct told *)job;

	assert_non_null(thread->scratch);
	t->ran_on = pthread_self();
	for (uint64_t end = clock_us() + t->takes_us; clock_us() < end;) continue;
}

static void told_finish(struct pool_job *job, struct pool_thread *thread) { atomic_fetch_add(&((struct told *)job)->finished, 1); }

static void told_submit(struct told *t, struct pool *p, bool brief, uint64_t takes_us)
{
	*t = (struct told){.job = {.pieces = 1, .brief = brief, .run = told_run, .finish = told_finish}, .takes_us = takes_us};
	assert_int_equal(pool_submit(p, &t->job), STATUS_OK);
}

static void wait_finished(struct told *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (uint64_t end = clock_us() + PATIENCE_US; atomic_load(&jobs[i].finished) == 0; clock_sleep_us(100)) assert_true(clock_us() < end);
}

/* Does each other thread of this process sleep? One that waits for a lock does as well, but then whoever holds the lock does not. */
static bool others_sleep(void)
{
	DIR *tasks = opendir("/proc/self/task");
	bool all = true;

	assert_non_null(tasks);
	for (struct dirent *task; (task = readdir(tasks));) {
		char path[300], text[256] = "";
		if (task->d_name[0] == '.' || strtol(task->d_name, NULL, 10) == getpid()) continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/stat", task->d_name);
		FILE *f = fopen(path, "r");
		if (!f) continue; /* it ended */
		all &= fgets(text, sizeof(text), f) && strstr(text, ") S ");
		fclose(f);
	}
	closedir(tasks);
	return all;
}

/* A thread that is awake may take whatever waits. */
static struct pool *pool_asleep(size_t threads)
{
	struct pool *p;

	assert_int_equal(pool_new(threads, &p), STATUS_OK);
	for (uint64_t end = clock_us() + PATIENCE_US; !others_sleep(); clock_sleep_us(100)) assert_true(clock_us() < end);
	return p;
}

static void a_brief_job_runs_on_the_helper_and_wakes_nobody(void **state)
{
	struct told jobs[3];

	for (size_t threads = 1; threads <= 3; threads++) {
		struct pool *p = pool_asleep(threads);
		/* One alone with several threads; as many as there are with one. */
		size_t n = threads == 1 ? 3 : 1;
		pool_hold(p);
		for (size_t i = 0; i < n; i++) told_submit(&jobs[i], p, true, 0);
		clock_sleep_us(20000);
		for (size_t i = 0; i < n; i++) assert_int_equal(atomic_load(&jobs[i].finished), 0);
		assert_false(pool_help(p, PATIENCE_US));
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(atomic_load(&jobs[i].finished), 1);
			assert_true(pthread_equal(jobs[i].ran_on, pthread_self()));
		}
		pool_free(&p);
	}
}

static void what_is_not_the_helpers_is_handed_to_threads_as_it_ends(void **state)
{
	struct told jobs[4];

	for (size_t threads = 1; threads <= 3; threads++) {
		struct pool *p = pool_asleep(threads);
		/* Long ones; with several threads brief ones too, if there are more than one. */
		pool_hold(p);
		for (size_t i = 0; i < 4; i++) told_submit(&jobs[i], p, threads > 1 && i % 2, 0);
		assert_false(pool_help(p, PATIENCE_US));
		wait_finished(jobs, 4);
		for (size_t i = 0; i < 4; i++) assert_false(pthread_equal(jobs[i].ran_on, pthread_self()));
		/* Without a hold every job finds its thread at once. */
		told_submit(&jobs[0], p, true, 0);
		wait_finished(jobs, 1);
		assert_false(pthread_equal(jobs[0].ran_on, pthread_self()));
		pool_free(&p);
	}
}

static void the_helper_comes_back_in_time_and_says_what_is_left(void **state)
{
	enum { JOBS = 20, PIECE_US = 2000 };
	static struct told jobs[JOBS];
	struct pool *p = pool_asleep(1);
	size_t turns = 0, done;

	pool_hold(p);
	for (size_t i = 0; i < JOBS; i++) told_submit(&jobs[i], p, true, PIECE_US);
	for (bool more = true; more; turns++) {
		more = pool_help(p, PIECE_US / 2); /* over after each */
		for (done = 0; done < JOBS && atomic_load(&jobs[done].finished); done++) continue;
		assert_int_equal(done, turns + 1);
		assert_int_equal(more, done < JOBS);
	}
	assert_int_equal(turns, JOBS);
	pool_free(&p);
}

static void jobs_the_helper_never_came_back_for_end_with_the_pool(void **state)
{
	static struct told jobs[5];
	struct pool *p;

	assert_int_equal(pool_new(1, &p), STATUS_OK);
	pool_hold(p);
	for (size_t i = 0; i < 5; i++) told_submit(&jobs[i], p, true, 0);
	pool_free(&p);
	for (size_t i = 0; i < 5; i++) assert_int_equal(jobs[i].finished, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_piece_runs_once_and_the_end_comes_after_all),
		cmocka_unit_test(full_queue_refuses_at_once_and_loses_nothing),
		cmocka_unit_test(batch_of_many_pieces_holds_up_a_single_query_by_one),
		cmocka_unit_test(search_never_waits_for_a_piece_of_a_build),
		cmocka_unit_test(runner_may_be_used_inside_its_own_pieces),
		cmocka_unit_test(busy_thread_shows_it_and_its_progress_stands_still_while_it_hangs),
		cmocka_unit_test(a_brief_job_runs_on_the_helper_and_wakes_nobody),
		cmocka_unit_test(what_is_not_the_helpers_is_handed_to_threads_as_it_ends),
		cmocka_unit_test(the_helper_comes_back_in_time_and_says_what_is_left),
		cmocka_unit_test(jobs_the_helper_never_came_back_for_end_with_the_pool),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
