/* Builds one after another and at awkward moments: from the `done` of another, while the shard closes, cancelled wherever they stand. Every
 * build that was taken is told of once, before shard_close() returns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "tests/support/io_sim.h"
#include "tests/support/shard_fixture.h"

enum { DIM = 6, IDS = 300 };

static void nap_ms(long ms)
{
	struct timespec t = {.tv_sec = 0, .tv_nsec = ms * 1000000};
	nanosleep(&t, NULL);
}

/* ---- builds begun by the end of others ---- */

/* The first build's `done` begins a second one. */
struct chain {
	struct shard_fixture f;
	_Atomic bool closing;   /* shard_close() is being called */
	_Atomic bool in_done;   /* the first `done` has begun the second build, or was refused it */
	_Atomic uint32_t taken, told, left; /* builds that shard_build() took, that were told of, whose `done` is over */
	bool wait_for_close;
};

static void second_done(void *arg, const struct report *report, uint64_t items)
{
	struct chain *c = arg;

	if (c->wait_for_close) nap_ms(200);
	atomic_fetch_add(&c->told, 1);
	atomic_fetch_add(&c->left, 1);
}

static void first_done(void *arg, const struct report *report, uint64_t items)
{
	struct chain *c = arg;

	atomic_fetch_add(&c->told, 1);
	while (c->wait_for_close && !atomic_load(&c->closing)) sched_yield();
	if (c->wait_for_close) nap_ms(50); /* until it stands in it */
	if (shard_build(c->f.shard, 2, 11, runner_inline(), second_done, c) == STATUS_OK) atomic_fetch_add(&c->taken, 1);
	atomic_store(&c->in_done, true);
	if (!c->wait_for_close) nap_ms(200); /* the one that close could forget stays longer */
	atomic_fetch_add(&c->left, 1);
}

static void run_chain(struct chain *c)
{
	struct prng p;

	prng_seed(&p, 5);
	fixture_open_sim(&c->f, METRIC_EUCLIDEAN, DIM);
	model_put_random(&c->f, &p, 100, IDS);
	assert_int_equal(shard_build(c->f.shard, 2, 11, runner_inline(), first_done, c), STATUS_OK);
	atomic_fetch_add(&c->taken, 1);
	while (!c->wait_for_close && !atomic_load(&c->in_done)) sched_yield();
	atomic_store(&c->closing, true);
	shard_close(&c->f.shard, true);
	uint32_t told = atomic_load(&c->told), left = atomic_load(&c->left);
	nap_ms(400); /* whoever is still at work is seen by the sanitizers */
	assert_int_equal(told, atomic_load(&c->taken));
	assert_int_equal(left, told);
	struct report report = {0};
	assert_int_equal(shard_open(c->f.io, "shards/one", &c->f.shard, &report), STATUS_OK);
	model_check(&c->f, &p);
	fixture_close(&c->f);
}

static void close_waits_for_a_build_and_for_the_one_that_its_end_began(void **state)
{
	struct chain c = {.wait_for_close = false};

	run_chain(&c);
	assert_int_equal(atomic_load(&c.taken), 2);
}

static void no_build_outlives_the_close_that_its_beginning_met(void **state)
{
	struct chain c = {.wait_for_close = true};

	run_chain(&c);
}

struct series { struct shard_fixture f; _Atomic uint32_t told, left, good; };

static void next_of_series(void *arg, const struct report *report, uint64_t items)
{
	struct series *s = arg;

	if (report->status == STATUS_OK) atomic_fetch_add(&s->good, 1);
	atomic_fetch_add(&s->told, 1);
	if (atomic_load(&s->told) < 20 && shard_build(s->f.shard, 2, 11, runner_inline(), next_of_series, s) != STATUS_OK) atomic_store(&s->told, 1000);
	atomic_fetch_add(&s->left, 1);
}

static void builds_may_follow_each_other_from_end_to_end(void **state)
{
	struct series s = {.told = 0};
	struct prng p;

	prng_seed(&p, 6);
	fixture_open_sim(&s.f, METRIC_EUCLIDEAN, DIM);
	assert_int_equal(shard_build(s.f.shard, 2, 11, runner_inline(), next_of_series, &s), STATUS_OK);
	while (atomic_load(&s.left) < 20) model_put_random(&s.f, &p, 5, IDS);
	assert_int_equal(atomic_load(&s.told), 20);
	assert_int_equal(atomic_load(&s.good), 20);
	model_check(&s.f, &p);
	fixture_reopen(&s.f, false);
	model_check(&s.f, &p);
	fixture_close(&s.f);
}

/* ---- builds that fail ---- */

static bool serving(struct shard_fixture *f)
{
	struct shard_report said;

	shard_report(f->shard, &said);
	return said.state == SHARD_SERVING;
}

/* The n-th call fails, wherever that is. False when the build ended before it came. */
static bool fail_build(struct shard_fixture *f, struct prng *p, uint64_t n, enum status fault)
{
	uint64_t before = fixture_bytes(f, "seg-");

	model_put_random(f, p, 3, IDS);
	model_delete_random(f, p, 1, IDS);
	io_sim_fail_at(f->sim, SIM_ANY, n, fault, false);
	enum status status = fixture_build_try(f, 2);
	bool happened = io_sim_heal(f->sim);
	if (!serving(f)) {
		fixture_reopen(f, false);
	} else if (status != STATUS_OK && fixture_bytes(f, "seg-") != before) {
		fprintf(stderr, "call %llu failed with %s: a segment was left, %llu bytes became %llu\n", (unsigned long long)n, status_name(fault),
			(unsigned long long)before, (unsigned long long)fixture_bytes(f, "seg-"));
		fail();
	}
	model_check(f, p);
	return happened;
}

static void a_build_that_fails_leaves_no_segment_behind(void **state)
{
	static const enum status faults[] = {STATUS_DISK_FULL, STATUS_NO_MEMORY, STATUS_IO};

	for (size_t i = 0; i < 3; i++) {
		struct shard_fixture f;
		struct prng p;
		prng_seed(&p, 7 + i);
		fixture_open_sim(&f, METRIC_EUCLIDEAN, DIM);
		model_put_random(&f, &p, 100, IDS);
		fixture_build(&f, 2);
		uint64_t n = 0;
		while (fail_build(&f, &p, n, faults[i])) n++;
		assert_true(n > 20);
		fixture_reopen(&f, true);
		model_check(&f, &p);
		fixture_close(&f);
	}
}

static size_t files(struct shard_fixture *f, const char *begins)
{
	char **names = NULL;
	size_t count = 0, found = 0;

	assert_int_equal(f->io->ops->list(f->io, "shards/one", &names, &count), STATUS_OK);
	for (size_t i = 0; i < count; i++) found += !strncmp(names[i], begins, strlen(begins));
	io_names_free(&names, count);
	return found;
}

static void what_cannot_be_removed_after_a_build_waits_for_the_next(void **state)
{
	static const enum status faults[] = {STATUS_DISK_FULL, STATUS_NO_MEMORY}; /* some file systems need space to remove */

	for (size_t i = 0; i < 2; i++) {
		struct shard_fixture f;
		struct prng p;
		bool happened = true;
		uint32_t built = 0;
		prng_seed(&p, 9 + i);
		fixture_open_sim(&f, METRIC_EUCLIDEAN, DIM);
		for (uint64_t n = 0; happened; n++) {
			model_put_random(&f, &p, 20, IDS);
			io_sim_fail_at(f.sim, SIM_ONLY(SIM_REMOVE), n, faults[i], true);
			built += fixture_build_try(&f, 2) == STATUS_OK;
			happened = io_sim_heal(f.sim);
			assert_true(serving(&f));
			model_check(&f, &p);
			model_put_random(&f, &p, 20, IDS);
			fixture_build(&f, 2);
			assert_int_equal(files(&f, "wal-"), 1);
			model_check(&f, &p);
		}
		assert_true(built > 2);
		fixture_reopen(&f, false);
		model_check(&f, &p);
		fixture_close(&f);
	}
}

static void a_shard_opens_though_what_it_needs_no_more_cannot_be_removed(void **state)
{
	struct shard_fixture f;
	struct prng p;

	prng_seed(&p, 10);
	fixture_open_sim(&f, METRIC_EUCLIDEAN, DIM);
	for (int i = 0; i < 3; i++) {
		model_put_random(&f, &p, 50, IDS);
		fixture_build(&f, 2);
		model_put_random(&f, &p, 50, IDS);
		io_sim_fail_at(f.sim, SIM_ONLY(SIM_REMOVE), 1, STATUS_DISK_FULL, true); /* 0: what the writer of segments clears before it begins */
		fixture_build(&f, 2);
		model_put_random(&f, &p, 5, IDS);
		assert_int_equal(files(&f, "wal-"), 2);
		assert_int_equal(files(&f, "seg-"), 2);
		fixture_reopen(&f, i == 1);
		model_check(&f, &p);
		model_delete_random(&f, &p, 5, IDS);
		fixture_reopen(&f, i == 2);
		model_check(&f, &p);
		assert_true(io_sim_heal(f.sim));
		fixture_reopen(&f, false);
		assert_int_equal(files(&f, "wal-"), 1);
		assert_int_equal(files(&f, "seg-"), 1);
		model_check(&f, &p);
	}
	fixture_close(&f);
}

/* ---- builds that are cancelled ---- */

/* Counts the calls that change files, and cancels in the n-th of them. */
static struct trap { const struct io_ops *real; struct shard *shard; _Atomic uint64_t count; uint64_t at; } trap;

static void spring(void)
{
	if (atomic_fetch_add(&trap.count, 1) == trap.at) shard_build_cancel(trap.shard);
}

static enum status trap_open(struct io *io, const char *path, enum io_mode mode, struct io_file **ret)
{
	spring();
	return trap.real->open(io, path, mode, ret);
}

static enum status trap_write(struct io *io, struct io_file *f, uint64_t offset, const void *bytes, size_t n)
{
	spring();
	return trap.real->write(io, f, offset, bytes, n);
}

static enum status trap_sync(struct io *io, struct io_file *f)
{
	spring();
	return trap.real->sync(io, f);
}

static enum status trap_rename(struct io *io, const char *from, const char *to)
{
	spring();
	return trap.real->rename(io, from, to);
}

static enum status trap_map(struct io *io, struct io_file *f, const uint8_t **ret, size_t *ret_size)
{
	spring();
	return trap.real->map(io, f, ret, ret_size);
}

enum { LONG_DIM = 240, LONG_ROWS = 1200, LONG_IDS = 2000, FEW = 8 };

static void a_build_stops_soon_wherever_the_cancel_meets_it(void **state)
{
	struct shard_fixture f;
	struct prng p;
	uint64_t cancelled = 0, ended = 0;

	prng_seed(&p, 8);
	fixture_open_sim(&f, METRIC_EUCLIDEAN, LONG_DIM);
	for (int i = 0; i < LONG_ROWS / 100; i++) model_put_random(&f, &p, 100, LONG_IDS);
	struct io_ops trapped = *f.io->ops;
	trapped.open = trap_open;
	trapped.write = trap_write;
	trapped.sync = trap_sync;
	trapped.rename = trap_rename;
	trapped.map = trap_map;
	for (uint64_t n = 0;; n++) {
		uint64_t before = fixture_bytes(&f, "seg-");
		model_delete_random(&f, &p, 1, LONG_IDS);
		trap = (struct trap){.real = f.io->ops, .shard = f.shard, .at = n};
		f.io->ops = &trapped;
		enum status status = fixture_build_try(&f, 2);
		f.io->ops = trap.real;
		uint64_t calls = atomic_load(&trap.count);
		assert_true(serving(&f));
		model_check(&f, &p);
		if (calls <= n) break; /* it ended before */
		if (status == STATUS_CANCELLED) {
			if (calls > n + FEW) fprintf(stderr, "cancelled in call %llu, went on for %llu\n", (unsigned long long)n, (unsigned long long)(calls - n));
			assert_true(calls <= n + 1 + FEW);
			assert_int_equal(fixture_bytes(&f, "seg-"), before);
			cancelled++;
			/* Each left a frozen memtable; what is full of them is built in two rounds. */
			if (n % 8 == 7) fixture_build(&f, 2);
		} else {
			assert_int_equal(status, STATUS_OK);
			ended++;
			fprintf(stderr, "cancelled in call %llu: too late, %llu calls before its end\n", (unsigned long long)n, (unsigned long long)(calls - n));
			assert_true(calls <= n + 1 + FEW); /* it was being installed */
		}
	}
	assert_true(cancelled > 10 && ended > 0);
	fixture_reopen(&f, false);
	model_check(&f, &p);
	fixture_close(&f);
}

/* ---- what is said of a build ---- */

/* Asks how far the build is, before and after each piece. */
struct watch { struct runner runner; struct shard *shard; uint32_t asked, last, backwards; };

static void watch_progress(struct watch *w)
{
	struct shard_report said;

	shard_report(w->shard, &said);
	if (said.progress_permille < w->last) w->backwards++;
	w->last = said.progress_permille;
	w->asked++;
}

static void watch_run(struct runner *r, size_t n, void (*work)(void *arg, size_t i), void *arg)
{
	struct watch *w = (struct watch *)r; /* its first member */

	for (size_t i = 0; i < n; i++) {
		work(arg, i);
		watch_progress(w);
	}
}

static void progress_only_grows_and_ends_near_the_whole(void **state)
{
	static const uint32_t trees[] = {1, 40};

	for (size_t i = 0; i < 2; i++) {
		struct shard_fixture f;
		struct prng p;
		prng_seed(&p, 12);
		fixture_open_sim(&f, METRIC_EUCLIDEAN, DIM);
		for (int n = 0; n < 12; n++) model_put_random(&f, &p, 100, 20000);
		struct watch w = {.runner = {watch_run, 1}, .shard = f.shard};
		struct series s = {.told = 1000};
		assert_int_equal(shard_build(f.shard, trees[i], 11, &w.runner, next_of_series, &s), STATUS_OK);
		while (!atomic_load(&s.left)) sched_yield();
		assert_true(w.asked > 0 && w.last > 700 && w.last <= 1000);
		assert_int_equal(w.backwards, 0);
		fixture_close(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(close_waits_for_a_build_and_for_the_one_that_its_end_began),
		cmocka_unit_test(no_build_outlives_the_close_that_its_beginning_met),
		cmocka_unit_test(builds_may_follow_each_other_from_end_to_end),
		cmocka_unit_test(a_build_that_fails_leaves_no_segment_behind),
		cmocka_unit_test(what_cannot_be_removed_after_a_build_waits_for_the_next),
		cmocka_unit_test(a_shard_opens_though_what_it_needs_no_more_cannot_be_removed),
		cmocka_unit_test(progress_only_grows_and_ends_near_the_whole),
		cmocka_unit_test(a_build_stops_soon_wherever_the_cancel_meets_it),
	};

	log_set_level((enum log_level)(LOG_ERROR + 1)); /* every failure of ours would be told */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
