/* membership_test.c - who lives, judged from beats and the time that is passed in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "coordinator/membership.h"

enum { MS = 1000 };
static const struct uuid cluster = {{1}}, other_cluster = {{2}}, none = {{0}};

static struct net_peer peer_named(uint8_t name)
{
	struct net_peer p = {.size = 5, .bytes = {0, 0, 0, 0, name}};
	return p;
}

static struct cluster_beat beat_of(uint8_t worker, uint64_t incarnation, struct uuid of)
{
	struct cluster_beat b = {.worker = {{worker}}, .cluster = of, .incarnation = incarnation, .pid = 100 + worker};
	return b;
}

static enum beat_verdict beat(struct membership *m, uint8_t worker, uint64_t incarnation, uint8_t peer, uint64_t now, struct member **ret)
{
	struct cluster_beat b = beat_of(worker, incarnation, cluster);
	struct net_peer from = peer_named(peer);
	struct report report = {.status = STATUS_OK};
	return membership_beat(m, &b, &from, cluster, now, ret, &report);
}

static unsigned gone_count;
static void gone(void *arg, struct member *member) { gone_count++; }

static void silence_makes_a_worker_suspect_then_dead_and_a_beat_brings_it_back(void **state)
{
	struct membership m;
	struct member *w;
	membership_init(&m);
	gone_count = 0;
	uint64_t now = 10000 * MS;
	assert_int_equal(beat(&m, 1, 7, 1, now, &w), BEAT_JOINED);
	for (uint64_t t = now; t < now + 4000 * MS; t += 100 * MS) {
		membership_tick(&m, t, gone, NULL);
		enum worker_state expected = t - now >= MEMBER_DEAD_US ? WORKER_DEAD : t - now >= MEMBER_SUSPECT_US ? WORKER_SUSPECT : WORKER_ALIVE;
		assert_int_equal(w->state, expected);
	}
	assert_int_equal(gone_count, 1);
	assert_int_equal(membership_alive(&m), 0);
	assert_int_equal(beat(&m, 1, 7, 1, now + 4000 * MS, &w), BEAT_RETURNED);
	assert_int_equal(w->state, WORKER_ALIVE);
	assert_int_equal(beat(&m, 1, 7, 1, now + 4250 * MS, &w), BEAT_USUAL);
	membership_release(&m);
}

static void a_new_connection_of_the_same_process_is_followed(void **state)
{
	struct membership m;
	struct member *w;
	membership_init(&m);
	struct net_peer old = peer_named(1), new = peer_named(2);
	beat(&m, 1, 7, 1, 1000 * MS, &w);
	assert_int_equal(beat(&m, 1, 7, 2, 1250 * MS, &w), BEAT_RETURNED);
	assert_ptr_equal(membership_by_peer(&m, &new), w);
	assert_null(membership_by_peer(&m, &old));
	membership_release(&m);
}

static void a_restart_waits_until_the_old_process_is_known_to_be_silent(void **state)
{
	struct membership m;
	struct member *w;
	membership_init(&m);
	beat(&m, 1, 7, 1, 1000 * MS, &w);
	assert_int_equal(beat(&m, 1, 8, 2, 1250 * MS, &w), BEAT_WAITING);
	assert_int_equal(w->incarnation, 7);
	assert_int_equal(beat(&m, 1, 8, 2, 1500 * MS, &w), BEAT_WAITING);
	assert_int_equal(beat(&m, 1, 8, 2, 2000 * MS, &w), BEAT_RESTARTED);
	assert_int_equal(w->incarnation, 8);
	assert_int_equal(beat(&m, 1, 8, 2, 2250 * MS, &w), BEAT_USUAL);
	membership_release(&m);
}

static void a_restart_takes_over_at_once_when_the_old_connection_is_gone(void **state)
{
	struct membership m;
	struct member *w;
	membership_init(&m);
	beat(&m, 1, 7, 1, 1000 * MS, &w);
	assert_int_equal(beat(&m, 1, 8, 2, 1100 * MS, &w), BEAT_WAITING);
	membership_disconnected(w);
	assert_int_equal(beat(&m, 1, 8, 2, 1350 * MS, &w), BEAT_RESTARTED);
	membership_release(&m);
}

static void a_twin_is_refused_while_the_first_process_beats(void **state)
{
	struct membership m;
	struct member *w;
	membership_init(&m);
	uint64_t t = 1000 * MS;
	beat(&m, 1, 7, 1, t, &w);
	unsigned refused = 0;
	for (int i = 0; i < 20; i++, t += 250 * MS) {
		assert_int_equal(beat(&m, 1, 7, 1, t, &w), BEAT_USUAL);
		enum beat_verdict v = beat(&m, 1, 8, 2, t + 10 * MS, &w);
		assert_true(v == BEAT_WAITING || v == BEAT_REFUSED);
		assert_true(!refused || v == BEAT_REFUSED);
		refused += v == BEAT_REFUSED;
		assert_int_equal(w->incarnation, 7);
	}
	assert_true(refused >= 15);
	/* The first one stops: now the other is simply the worker. */
	assert_int_equal(beat(&m, 1, 8, 2, t + 2000 * MS, &w), BEAT_RESTARTED);
	membership_release(&m);
}

static void a_beat_of_the_dead_process_that_was_still_under_way_does_not_refuse_its_restart(void **state)
{
	struct membership m;
	struct member *w;
	membership_init(&m);
	beat(&m, 1, 7, 1, 1000 * MS, &w);
	assert_int_equal(beat(&m, 1, 8, 2, 1200 * MS, &w), BEAT_WAITING);
	assert_int_equal(beat(&m, 1, 7, 1, 1210 * MS, &w), BEAT_USUAL);
	for (uint64_t t = 1450 * MS; t < 2210 * MS; t += 250 * MS) assert_int_equal(beat(&m, 1, 8, 2, t, &w), BEAT_WAITING);
	assert_int_equal(beat(&m, 1, 8, 2, 2210 * MS, &w), BEAT_RESTARTED);
	membership_release(&m);
}

static void a_worker_of_another_cluster_is_refused_and_told_why(void **state)
{
	struct membership m;
	struct member *w;
	struct report report = {.status = STATUS_OK};
	struct cluster_beat b = beat_of(1, 7, other_cluster);
	struct net_peer from = peer_named(1);
	membership_init(&m);
	assert_int_equal(membership_beat(&m, &b, &from, cluster, 1000, &w, &report), BEAT_REFUSED);
	assert_int_equal(report.status, STATUS_CONFLICT);
	assert_non_null(strstr(report.text, "cluster"));
	assert_int_equal(m.count, 0);
	b.cluster = none;
	assert_int_equal(membership_beat(&m, &b, &from, cluster, 1000, &w, &report), BEAT_JOINED);
	membership_release(&m);
}

static void workers_named_by_the_map_are_dead_until_they_beat(void **state)
{
	struct membership m;
	struct member *w;
	membership_init(&m);
	gone_count = 0;
	for (uint8_t i = 5; i > 0; i--) assert_int_equal(membership_expect(&m, (struct uuid){{i}}), STATUS_OK);
	assert_int_equal(membership_expect(&m, (struct uuid){{3}}), STATUS_OK);
	assert_int_equal(m.count, 5);
	for (uint8_t i = 0; i < 5; i++) {
		assert_int_equal(m.members[i]->id.bytes[0], i + 1);
		assert_int_equal(m.members[i]->state, WORKER_DEAD);
	}
	membership_tick(&m, 100000 * MS, gone, NULL);
	assert_int_equal(gone_count, 0);
	assert_int_equal(beat(&m, 3, 7, 1, 100000 * MS, &w), BEAT_JOINED);
	assert_int_equal(membership_alive(&m), 1);
	membership_release(&m);
}

static void our_own_sleep_is_not_held_against_the_workers(void **state)
{
	struct membership m;
	struct member *w;
	membership_init(&m);
	gone_count = 0;
	beat(&m, 1, 7, 1, 1000 * MS, &w);
	membership_tick(&m, 1000 * MS, gone, NULL);
	membership_tick(&m, 61000 * MS, gone, NULL);
	assert_int_equal(w->state, WORKER_ALIVE);
	for (uint64_t t = 61100; t <= 65000; t += 100) membership_tick(&m, t * MS, gone, NULL);
	assert_int_equal(w->state, WORKER_DEAD);
	assert_int_equal(gone_count, 1);
	membership_release(&m);
}

static void one_worker_past_the_limit_is_refused(void **state)
{
	struct membership m;
	struct member *w;
	struct report report = {.status = STATUS_OK};
	struct net_peer from = peer_named(1);
	membership_init(&m);
	for (uint32_t i = 0; i < MEMBERS_MAX; i++)
		assert_int_equal(membership_expect(&m, (struct uuid){{1, (uint8_t)(i >> 8), (uint8_t)i}}), STATUS_OK);
	struct cluster_beat b = beat_of(9, 7, cluster);
	assert_int_equal(membership_beat(&m, &b, &from, cluster, 1000, &w, &report), BEAT_REFUSED);
	assert_int_equal(report.status, STATUS_LIMIT);
	assert_non_null(strstr(report.text, "MEMBERS_MAX"));
	membership_release(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(silence_makes_a_worker_suspect_then_dead_and_a_beat_brings_it_back),
		cmocka_unit_test(a_new_connection_of_the_same_process_is_followed),
		cmocka_unit_test(a_restart_waits_until_the_old_process_is_known_to_be_silent),
		cmocka_unit_test(a_restart_takes_over_at_once_when_the_old_connection_is_gone),
		cmocka_unit_test(a_twin_is_refused_while_the_first_process_beats),
		cmocka_unit_test(a_beat_of_the_dead_process_that_was_still_under_way_does_not_refuse_its_restart),
		cmocka_unit_test(a_worker_of_another_cluster_is_refused_and_told_why),
		cmocka_unit_test(workers_named_by_the_map_are_dead_until_they_beat),
		cmocka_unit_test(our_own_sleep_is_not_held_against_the_workers),
		cmocka_unit_test(one_worker_past_the_limit_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
