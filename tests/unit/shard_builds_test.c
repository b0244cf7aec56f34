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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(close_waits_for_a_build_and_for_the_one_that_its_end_began),
		cmocka_unit_test(no_build_outlives_the_close_that_its_beginning_met),
		cmocka_unit_test(builds_may_follow_each_other_from_end_to_end),
		cmocka_unit_test(a_build_that_fails_leaves_no_segment_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
