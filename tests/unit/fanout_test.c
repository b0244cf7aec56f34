/* fanout_test.c - what a request waits for, under every order of what can happen to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "coordinator/fanout.h"

enum { PARTS = 3 };
/* What can befall a part, tried in every combination and every order. */
enum event { REPLY, DEATH, RESTART, NOTHING, EVENT_COUNT };

static struct uuid worker(uint32_t i)
{
	struct uuid u = {{0}};
	u.bytes[0] = (uint8_t)(i + 1);
	return u;
}

static void event_apply(struct fanout *f, uint32_t part, enum event event)
{
	if (event == REPLY)
		assert_true(fanout_answered(f, part, worker(part)));
	else if (event == DEATH)
		assert_int_equal(fanout_worker_gone(f, worker(part), 0), 1);
	else if (event == RESTART)
		assert_int_equal(fanout_worker_gone(f, worker(part), 99), 1);
}

static enum part_state expected(enum event event)
{
	return event == REPLY ? PART_ANSWERED : event == NOTHING ? PART_LATE : PART_GONE;
}

static void run(const uint32_t *order, const enum event *events)
{
	struct fanout f;
	assert_int_equal(fanout_init(&f, PARTS), STATUS_OK);
	for (uint32_t i = 0; i < PARTS; i++) fanout_sent(&f, i, worker(i), 7);
	uint32_t waiting = PARTS;
	for (uint32_t i = 0; i < PARTS; i++) {
		event_apply(&f, order[i], events[order[i]]);
		waiting -= events[order[i]] != NOTHING;
		assert_true(fanout_check(&f));
		assert_int_equal(f.waiting, waiting);
		assert_int_equal(fanout_done(&f), waiting == 0);
	}
	assert_int_equal(fanout_expire(&f), waiting);
	assert_true(fanout_done(&f));
	for (uint32_t i = 0; i < PARTS; i++) {
		assert_int_equal(f.parts[i].state, expected(events[i]));
		/* Whatever comes later changes nothing. */
		assert_false(fanout_answered(&f, i, worker(i)));
		assert_int_equal(fanout_worker_gone(&f, worker(i), 0), 0);
		assert_int_equal(f.parts[i].state, expected(events[i]));
	}
	assert_int_equal(fanout_expire(&f), 0);
	assert_true(fanout_check(&f));
	fanout_release(&f);
}

static void every_order_of_replies_deaths_and_the_deadline_ends_in_the_same_states(void **state)
{
	static const uint32_t orders[][PARTS] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	for (size_t o = 0; o < sizeof(orders) / sizeof(orders[0]); o++)
		for (int a = 0; a < EVENT_COUNT; a++)
			for (int b = 0; b < EVENT_COUNT; b++)
				for (int c = 0; c < EVENT_COUNT; c++) run(orders[o], (enum event[]){(enum event)a, (enum event)b, (enum event)c});
}

static void a_reply_from_another_worker_is_not_taken(void **state)
{
	struct fanout f;
	assert_int_equal(fanout_init(&f, 1), STATUS_OK);
	fanout_sent(&f, 0, worker(0), 7);
	assert_false(fanout_answered(&f, 0, worker(1)));
	assert_false(fanout_answered(&f, 1, worker(0)));
	assert_int_equal(f.waiting, 1);
	assert_true(fanout_answered(&f, 0, worker(0)));
	fanout_release(&f);
}

static void the_present_incarnation_is_not_given_up(void **state)
{
	struct fanout f;
	assert_int_equal(fanout_init(&f, 2), STATUS_OK);
	fanout_sent(&f, 0, worker(0), 7);
	fanout_sent(&f, 1, worker(0), 8);
	assert_int_equal(fanout_worker_gone(&f, worker(0), 8), 1);
	assert_int_equal(f.parts[0].state, PART_GONE);
	assert_int_equal(f.parts[1].state, PART_WAITING);
	fanout_release(&f);
}

static void unsent_parts_are_not_waited_for(void **state)
{
	struct fanout f;
	assert_int_equal(fanout_init(&f, 2), STATUS_OK);
	fanout_unsent(&f, 0, STATUS_BUSY);
	assert_true(fanout_done(&f));
	fanout_sent(&f, 1, worker(1), 7);
	assert_false(fanout_done(&f));
	assert_int_equal(fanout_expire(&f), 1);
	assert_int_equal(f.parts[0].state, PART_UNSENT);
	assert_int_equal(f.parts[0].why, STATUS_BUSY);
	fanout_release(&f);
}

static void nothing_to_ask_is_done_at_once(void **state)
{
	struct fanout f;
	assert_int_equal(fanout_init(&f, 0), STATUS_OK);
	assert_true(fanout_done(&f));
	fanout_release(&f);
	fanout_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_order_of_replies_deaths_and_the_deadline_ends_in_the_same_states),
		cmocka_unit_test(a_reply_from_another_worker_is_not_taken),
		cmocka_unit_test(the_present_incarnation_is_not_given_up),
		cmocka_unit_test(unsent_parts_are_not_waited_for),
		cmocka_unit_test(nothing_to_ask_is_done_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
