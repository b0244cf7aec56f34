/* client_bundle_test.c - when libgrove sends requests together, and when not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/client_server.h"

static void wait_for_requests(const struct server *s, int n)
{
	for (int i = 0; i < 60000 && s->requests < n; i++) clock_sleep_us(1000);
	assert_int_equal(s->requests, n);
}

/* A hello is the server's first request. */
static void requests_of_a_caller_that_still_fetches_answers_leave_together(void **state)
{
	struct server s;
	grove_ticket tickets[6];
	grove_reply *reply;
	server_start(&s, "tcp://127.0.0.1:*");
	s.bundles = 1;
	grove_client *client = connect_to(&s, 20000);
	grove_search_args args = {.queries = 1, .dim = 2, .vectors = vectors, .k = 2};
	/* Nothing waits to be fetched: each is on its way at once. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(grove_search_submit(client, "x", &args, &tickets[i]), GROVE_OK);
		wait_for_requests(&s, 2 + i);
	}
	assert_int_equal(s.bundled, 1);
	s.behaviour = SILENT;
	assert_int_equal(grove_search_submit(client, "x", &args, &tickets[2]), GROVE_OK);
	wait_for_requests(&s, 4);
	s.behaviour = ANSWER;
	/* The first's answer came before the second's: it is there and not fetched, and the third is at the server. What comes now waits. */
	assert_int_equal(grove_wait(client, tickets[1], NULL), GROVE_OK);
	for (int i = 3; i < 6; i++) {
		args.queries = (uint32_t)i - 2;
		assert_int_equal(grove_search_submit(client, "x", &args, &tickets[i]), GROVE_OK);
	}
	clock_sleep_us(50000);
	assert_int_equal(s.requests, 4);
	assert_int_equal(grove_wait(client, tickets[0], NULL), GROVE_OK);
	for (int i = 3; i < 6; i++) {
		assert_int_equal(grove_wait(client, tickets[i], &reply), GROVE_OK);
		assert_int_equal(reply->hits.queries, i - 2);
		grove_reply_free(&reply);
	}
	assert_int_equal(s.bundled, 3);
	assert_int_equal(s.requests, 7);
	grove_close(&client);
	server_stop(&s);
}

static void a_server_that_knows_no_bundles_is_sent_none(void **state)
{
	struct server s; /* it asserts that none comes */
	grove_ticket tickets[4];
	server_start(&s, "tcp://127.0.0.1:*");
	grove_client *client = connect_to(&s, 20000);
	grove_search_args args = {.queries = 1, .dim = 2, .vectors = vectors, .k = 2};
	for (int i = 0; i < 4; i++) assert_int_equal(grove_search_submit(client, "x", &args, &tickets[i]), GROVE_OK);
	for (int i = 0; i < 4; i++) assert_int_equal(grove_wait(client, tickets[i], NULL), GROVE_OK);
	assert_int_equal(s.bundled, 0);
	grove_close(&client);
	server_stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_of_a_caller_that_still_fetches_answers_leave_together),
		cmocka_unit_test(a_server_that_knows_no_bundles_is_sent_none),
	};
	return cmocka_run_group_tests_name("client_bundle", tests, NULL, NULL);
}
