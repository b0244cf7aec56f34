/* core_answers_test.c - how answers leave: those of one turn together where the requests came so, else at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core_fixture.h"

enum { REQUESTS = 5 };

static uint64_t answered(const struct sim *s, enum status status) { return counter_value(&core_metrics(s->core)->answers[CLIENT_LIST][-status]); }

static void answers_to_bundled_requests_leave_together_when_the_turn_ends(void **state)
{
	struct sim s;
	struct client_request r = {.op = CLIENT_LIST, .timeout_ms = 1000};
	with_workers(&s, 1);
	for (int i = 0; i < REQUESTS; i++) send_from(&s, 9, true, &r);
	assert_int_equal(s.replies, 0);
	assert_true(core_next_us(s.core) <= s.now_us);
	core_tick(s.core, s.now_us);
	assert_int_equal(s.bundles, 1);
	assert_int_equal(s.replies, 1); /* to the last; the others are to what is no longer waited for */
	assert_int_equal(answered(&s, STATUS_OK), REQUESTS);
	assert_true(core_next_us(s.core) > s.now_us);
	core_tick(s.core, s.now_us);
	assert_int_equal(s.bundles, 1);
	sim_release(&s);
}

static void each_connection_has_its_own(void **state)
{
	enum { CONNECTIONS = 20 /* more than are held for: the rest is answered at once */ };
	struct sim s;
	struct client_request r = {.op = CLIENT_LIST, .timeout_ms = 1000};
	with_workers(&s, 1);
	for (int i = 0; i < CONNECTIONS * 2; i++) send_from(&s, (uint8_t)(1 + i % CONNECTIONS), true, &r);
	assert_int_equal(s.replies, 1);
	core_tick(s.core, s.now_us);
	assert_int_equal(s.bundles, 16);
	assert_int_equal(answered(&s, STATUS_OK), CONNECTIONS * 2);
	sim_release(&s);
}

static void a_request_that_came_alone_is_answered_alone_and_at_once(void **state)
{
	struct sim s;
	struct client_request r = {.op = CLIENT_LIST, .timeout_ms = 1000};
	with_workers(&s, 1);
	send_from(&s, 9, true, &r);
	send_from(&s, 9, false, &r);
	assert_int_equal(s.replies, 1);
	assert_int_equal(s.bundles, 0);
	sim_release(&s);
}

static void a_bundle_that_the_client_may_not_have_is_offered_one_by_one(void **state)
{
	struct sim s;
	struct client_request r = {.op = CLIENT_LIST, .timeout_ms = 1000}, unknown = {.op = CLIENT_DESCRIBE, .index = "nothing", .timeout_ms = 1000};
	with_workers(&s, 1);
	s.client_full = true;
	for (int i = 0; i < REQUESTS; i++) send_from(&s, 9, true, &r);
	core_tick(s.core, s.now_us);
	assert_int_equal(s.bundles, 1);
	assert_int_equal(s.replies, 1);
	assert_int_equal(s.reply.error.status, STATUS_BUSY);
	assert_int_equal(answered(&s, STATUS_BUSY), REQUESTS);
	assert_int_equal(answered(&s, STATUS_OK), 0);
	/* An error is short, and may wait. */
	send_from(&s, 9, true, &r);
	send_from(&s, 9, true, &unknown);
	core_tick(s.core, s.now_us);
	assert_int_equal(s.replies, 1);
	assert_int_equal(s.reply.error.status, STATUS_NOT_FOUND);
	sim_release(&s);
}

static void what_is_held_at_the_end_is_sent(void **state)
{
	struct sim s;
	float value = 0;
	struct client_request r = a_search(&value);
	with_workers(&s, 1);
	assert_int_equal(sim_create(&s, "shoes", 1), STATUS_OK);
	put_ids(&s, "shoes", 0, 40);
	send_from(&s, 9, true, &r);
	core_tick(s.core, s.now_us);
	assert_int_equal(s.replies, 0);
	core_stop(s.core, s.now_us);
	assert_int_equal(s.bundles, 1);
	assert_int_equal(s.replies, 1);
	assert_int_equal(s.reply.error.status, STATUS_INCOMPLETE);
	sim_release(&s);
}

static void searches_that_came_together_are_answered(void **state)
{
	struct sim s;
	float value = 3;
	struct client_request r = a_search(&value);
	with_workers(&s, 2);
	assert_int_equal(sim_create(&s, "shoes", 4), STATUS_OK);
	put_ids(&s, "shoes", 0, 40);
	for (int i = 0; i < REQUESTS; i++) send_from(&s, 9, true, &r);
	sim_run(&s, SECOND);
	assert_int_equal(s.replies, 1);
	assert_in_range(s.bundles, 1, REQUESTS);
	assert_int_equal(s.reply.error.status, STATUS_OK);
	assert_int_equal(s.reply.search.total, 10);
	assert_true(core_check(s.core));
	sim_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_to_bundled_requests_leave_together_when_the_turn_ends),
		cmocka_unit_test(each_connection_has_its_own),
		cmocka_unit_test(a_request_that_came_alone_is_answered_alone_and_at_once),
		cmocka_unit_test(a_bundle_that_the_client_may_not_have_is_offered_one_by_one),
		cmocka_unit_test(what_is_held_at_the_end_is_sent),
		cmocka_unit_test(searches_that_came_together_are_answered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
