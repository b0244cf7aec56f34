/* client_test.c - libgrove against a scripted server in the same process (client_server.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/client_server.h"

static const uint64_t three_ids[3] = {0, (UINT64_C(1) << 53) + 1, UINT64_MAX};
static const grove_items three = {.count = 3, .dim = 2, .ids = three_ids, .vectors = vectors};

/* ---- claims ---- */

static void open_without_a_server_is_unavailable_and_names_the_endpoint(void **state)
{
	grove_client *client = NULL;
	char why[GROVE_TEXT_MAX] = "";
	uint64_t before = clock_us();
	assert_int_equal(grove_open("tcp://127.0.0.1:1", 300, &client, why, sizeof(why)), GROVE_UNAVAILABLE);
	assert_null(client);
	assert_non_null(strstr(why, "tcp://127.0.0.1:1"));
	assert_in_range(clock_us() - before, 300000, 10000000); /* the upper bound: no timeout of another kind, on a slow machine too */
}

static void hello_tells_the_server(void **state)
{
	struct server s;
	server_start(&s, "tcp://127.0.0.1:*");
	grove_client *client = connect_to(&s, 20000);
	assert_string_equal(grove_server(client), "scripted 1");
	assert_string_equal(grove_message(client), "");
	assert_int_equal(grove_in_flight(client), 0);
	grove_close(&client);
	assert_null(client);
	server_stop(&s);
}

static void hits_come_back_with_every_bit_of_their_ids(void **state)
{
	struct server s;
	grove_reply *reply = NULL;
	server_start(&s, "tcp://127.0.0.1:*");
	grove_client *client = connect_to(&s, 20000);
	grove_search_args args = {.queries = 3, .dim = 2, .vectors = vectors, .k = 2};
	assert_int_equal(grove_search(client, "x", &args, &reply), GROVE_OK);
	grove_close(&client); /* the reply outlives it */
	assert_int_equal(reply->hits.queries, 3);
	assert_int_equal(reply->hits.total, 6);
	for (uint32_t q = 0; q < 3; q++) {
		assert_int_equal(reply->hits.offsets[q], 2 * q);
		assert_true(reply->hits.ids[2 * q] == UINT64_MAX);
		assert_true(reply->hits.ids[2 * q + 1] == (UINT64_C(1) << 53) + 1);
		assert_true(reply->hits.distances[2 * q] == 0.5f);
		assert_int_equal(reply->hits.coverage[q].items_total, 60);
	}
	grove_reply_free(&reply);
	assert_null(reply);
	assert_int_equal(s.last_timeout_ms, 20000);
	server_stop(&s);
}

static void incomplete_search_carries_its_hits_and_what_is_missing(void **state)
{
	struct server s;
	grove_reply *reply = NULL;
	server_start(&s, "tcp://127.0.0.1:*");
	grove_client *client = connect_to(&s, 20000);
	s.behaviour = PARTIAL;
	grove_search_args args = {.queries = 1, .dim = 2, .vectors = vectors, .k = 2};
	assert_int_equal(grove_search(client, "x", &args, &reply), GROVE_INCOMPLETE);
	assert_non_null(strstr(grove_message(client), "1 of 2 shards"));
	assert_int_equal(reply->hits.total, 1);
	assert_int_equal(reply->hits.missing_count, 1);
	assert_int_equal(reply->hits.missing[0].shard, 1);
	assert_int_equal(reply->hits.missing[0].code, GROVE_UNAVAILABLE);
	assert_int_equal(reply->hits.missing[0].items, 30);
	grove_reply_free(&reply);
	grove_close(&client);
	server_stop(&s);
}

static void silent_server_makes_a_read_time_out_and_a_write_unknown_after_timeout_and_grace(void **state)
{
	struct server s;
	grove_reply *reply = NULL;
	server_start(&s, "tcp://127.0.0.1:*");
	grove_client *client = connect_to(&s, 300);
	s.behaviour = SILENT;
	uint64_t before = clock_us();
	assert_int_equal(grove_list(client, &reply), GROVE_TIMEOUT);
	assert_in_range(clock_us() - before, 790000, 10000000);
	grove_reply_free(&reply);
	assert_int_equal(grove_upsert(client, "x", &three, &reply), GROVE_UNKNOWN);
	assert_int_equal(reply->outcome_count, 3);
	for (int i = 0; i < 3; i++) assert_int_equal(reply->outcomes[i], GROVE_ITEM_UNKNOWN);
	assert_non_null(strstr(grove_message(client), "safe to repeat"));
	grove_reply_free(&reply);
	assert_int_equal(grove_in_flight(client), 0);
	grove_close(&client);
	server_stop(&s);
}

static void garbage_is_dropped_and_the_handle_stays_usable(void **state)
{
	struct server s;
	server_start(&s, "tcp://127.0.0.1:*");
	grove_client *client = connect_to(&s, 100);
	s.behaviour = GARBAGE;
	assert_int_equal(grove_list(client, NULL), GROVE_TIMEOUT);
	while (s.requests < 2) clock_sleep_us(1000);
	s.behaviour = ANSWER;
	assert_int_equal(grove_set_timeout(client, 20000), GROVE_OK);
	assert_int_equal(grove_list(client, NULL), GROVE_OK);
	assert_int_equal(grove_dropped_messages(client), 2);
	grove_close(&client);
	server_stop(&s);
}

static void late_answer_never_meets_another_request(void **state)
{
	struct server s;
	grove_reply *reply = NULL;
	server_start(&s, "tcp://127.0.0.1:*");
	grove_client *client = connect_to(&s, 100);
	s.behaviour = LATE;
	assert_int_equal(grove_list(client, NULL), GROVE_TIMEOUT);
	s.behaviour = ANSWER;
	assert_int_equal(grove_set_timeout(client, 20000), GROVE_OK);
	grove_search_args args = {.queries = 1, .dim = 2, .vectors = vectors, .k = 2};
	assert_int_equal(grove_search(client, "x", &args, &reply), GROVE_OK);
	assert_int_equal(reply->hits.total, 2);
	assert_int_equal(grove_dropped_messages(client), 1);
	grove_reply_free(&reply);
	grove_close(&client);
	server_stop(&s);
}

static void pages_follow_each_other_until_the_end(void **state)
{
	struct server s;
	grove_reply *reply = NULL;
	server_start(&s, "tcp://127.0.0.1:*");
	grove_client *client = connect_to(&s, 20000);
	grove_scan_args args = {.limit = 3, .with_vector = 1};
	assert_int_equal(grove_scan(client, "x", &args, &reply), GROVE_OK);
	assert_int_equal(reply->rows.count, 3);
	assert_true(reply->rows.ids[2] == 2 && ((const float *)reply->rows.vectors)[2] == 2 && !reply->rows.found);
	assert_int_equal(reply->rows.keys.offsets[1], 4);
	assert_true(!reply->end && reply->next.index == 5 && reply->next.shard == 3 && reply->next.id == UINT64_MAX - 1);
	args.from = reply->next;
	args.limit = 2;
	args.with_vector = 0;
	grove_reply_free(&reply);
	assert_int_equal(grove_scan(client, "x", &args, &reply), GROVE_OK);
	assert_true(reply->end && reply->next.index == 0 && reply->rows.ids[1] == UINT64_MAX && !reply->rows.vectors && reply->rows.dim == 0);
	grove_reply_free(&reply);
	args.limit = 65537;
	assert_int_equal(grove_scan(client, "x", &args, &reply), GROVE_LIMIT);
	args = (grove_scan_args){.limit = 2};
	s.behaviour = WRONG_COUNT;
	assert_int_equal(grove_scan(client, "x", &args, &reply), GROVE_UNSUPPORTED);
	grove_reply_free(&reply);
	grove_close(&client);
	server_stop(&s);
}

static void answers_that_do_not_fit_the_question_are_refused(void **state)
{
	struct server s;
	grove_reply *reply = NULL;
	server_start(&s, "tcp://127.0.0.1:*");
	grove_client *client = connect_to(&s, 20000);
	grove_search_args args = {.queries = 2, .dim = 2, .vectors = vectors, .k = 2};
	s.behaviour = WRONG_COUNT;
	assert_int_equal(grove_search(client, "x", &args, NULL), GROVE_UNSUPPORTED);
	assert_int_equal(grove_upsert(client, "x", &three, &reply), GROVE_UNKNOWN); /* who knows what it did */
	assert_int_equal(reply->outcome_count, 3);
	assert_int_equal(reply->outcomes[2], GROVE_ITEM_UNKNOWN);
	grove_reply_free(&reply);
	s.behaviour = TOO_MANY_HITS;
	args.k = 1;
	assert_int_equal(grove_search(client, "x", &args, NULL), GROVE_UNSUPPORTED);
	grove_close(&client);
	server_stop(&s);
}

static void outcomes_are_told_item_by_item_and_the_whole_is_not_ok(void **state)
{
	struct server s;
	grove_reply *reply = NULL;
	server_start(&s, "tcp://127.0.0.1:*");
	grove_client *client = connect_to(&s, 20000);
	s.behaviour = MIXED;
	assert_int_equal(grove_upsert(client, "x", &three, &reply), GROVE_UNKNOWN);
	assert_int_equal(reply->outcomes[0], GROVE_ITEM_OK);
	assert_int_equal(reply->outcomes[1], GROVE_ITEM_REJECTED);
	assert_int_equal(reply->outcomes[2], GROVE_ITEM_UNKNOWN);
	grove_reply_free(&reply);
	s.behaviour = REFUSE_BUSY;
	assert_int_equal(grove_upsert(client, "x", &three, &reply), GROVE_BUSY);
	assert_int_equal(reply->outcome_count, 3);
	assert_int_equal(reply->outcomes[0], GROVE_ITEM_REJECTED);
	grove_reply_free(&reply);
	s.behaviour = REFUSE_UNREAD;
	assert_int_equal(grove_upsert(client, "x", &three, &reply), GROVE_BAD_REQUEST);
	assert_string_equal(reply->message, "the header is no map");
	assert_int_equal(reply->outcome_count, 3);
	assert_int_equal(reply->outcomes[0], GROVE_ITEM_REJECTED);
	grove_reply_free(&reply);
	assert_int_equal(grove_list(client, &reply), GROVE_BAD_REQUEST);
	assert_string_equal(reply->message, "the header is no map");
	grove_reply_free(&reply);
	s.behaviour = ANSWER;
	assert_int_equal(grove_upsert(client, "x", &three, &reply), GROVE_OK);
	grove_reply_free(&reply);
	grove_close(&client);
	server_stop(&s);
}

static void answers_may_come_in_any_order(void **state)
{
	struct server s;
	grove_ticket tickets[HOLD], first = 0;
	server_start(&s, "tcp://127.0.0.1:*");
	grove_client *client = connect_to(&s, 20000);
	s.behaviour = HOLD_THEN_REVERSE;
	grove_search_args args = {.queries = 1, .dim = 2, .vectors = vectors, .k = 2};
	for (uint32_t i = 0; i < HOLD; i++) {
		args.queries = 1 + i % 3;
		assert_int_equal(grove_search_submit(client, "x", &args, &tickets[i]), GROVE_OK);
	}
	assert_int_equal(grove_in_flight(client), HOLD);
	assert_int_equal(grove_poll(client, 20000, &first), GROVE_OK);
	assert_true(first == tickets[HOLD - 1]);
	for (uint32_t i = 0; i < HOLD; i++) {
		grove_reply *reply;
		assert_int_equal(grove_wait(client, tickets[i], &reply), GROVE_OK);
		assert_int_equal(reply->hits.queries, 1 + i % 3);
		grove_reply_free(&reply);
	}
	assert_int_equal(grove_poll(client, 0, &first), GROVE_NOT_FOUND);
	assert_int_equal(grove_wait(client, tickets[0], NULL), GROVE_NOT_FOUND); /* a ticket is good for once */
	grove_close(&client);
	server_stop(&s);
}

static void second_answer_to_the_same_request_is_dropped(void **state)
{
	struct server s;
	grove_ticket ticket, first;
	grove_reply *reply;
	server_start(&s, "tcp://127.0.0.1:*");
	grove_client *client = connect_to(&s, 20000);
	s.behaviour = TWICE;
	grove_search_args args = {.queries = 1, .dim = 2, .vectors = vectors, .k = 2};
	assert_int_equal(grove_search_submit(client, "x", &args, &ticket), GROVE_OK);
	while (s.requests < 2) clock_sleep_us(1000);
	s.behaviour = ANSWER;
	assert_int_equal(grove_list(client, NULL), GROVE_OK); /* both came before its own */
	assert_int_equal(grove_poll(client, 0, &first), GROVE_OK);
	assert_true(first == ticket);
	assert_int_equal(grove_wait(client, ticket, &reply), GROVE_OK);
	assert_int_equal(reply->hits.total, 2);
	assert_int_equal(grove_dropped_messages(client), 1);
	grove_reply_free(&reply);
	grove_close(&client);
	server_stop(&s);
}

static void one_past_the_bound_in_flight_is_busy_at_once(void **state)
{
	struct server s;
	grove_ticket ticket, first = 0;
	server_start(&s, "tcp://127.0.0.1:*");
	grove_client *client = connect_to(&s, 20000);
	s.behaviour = SILENT;
	for (int i = 0; i < GROVE_IN_FLIGHT_MAX; i++) {
		assert_int_equal(grove_list_submit(client, &ticket), GROVE_OK);
		if (i == 0) first = ticket;
	}
	assert_int_equal(grove_list_submit(client, &ticket), GROVE_BUSY);
	assert_non_null(strstr(grove_message(client), "64"));
	assert_int_equal(grove_poll(client, 10, &ticket), GROVE_TIMEOUT);
	grove_forget(client, first);
	assert_int_equal(grove_list_submit(client, &ticket), GROVE_OK);
	grove_close(&client); /* with 64 open */
	server_stop(&s);
}

static void handle_comes_back_after_the_server_was_restarted(void **state)
{
	struct server s, again;
	char folder[] = "/tmp/grove-client-XXXXXX", endpoint[64]; /* a port that was chosen could meanwhile be another's */
	assert_non_null(mkdtemp(folder));
	snprintf(endpoint, sizeof(endpoint), "ipc://%s/s", folder);
	server_start(&s, endpoint);
	grove_client *client = connect_to(&s, 20000);
	server_stop(&s);
	assert_int_equal(grove_set_timeout(client, 300), GROVE_OK);
	grove_reply *reply = NULL;
	/* Until the end of the connection is noticed. */
	for (uint64_t end = clock_us() + 60000000; grove_upsert(client, "x", &three, &reply) == GROVE_UNKNOWN; grove_reply_free(&reply)) assert_true(clock_us() < end);
	assert_int_equal(reply->code, GROVE_UNAVAILABLE); /* never sent: certainly not applied */
	assert_int_equal(reply->outcomes[0], GROVE_ITEM_REJECTED);
	grove_reply_free(&reply);
	assert_int_equal(grove_set_timeout(client, 20000), GROVE_OK);
	server_start(&again, endpoint);
	assert_int_equal(grove_upsert(client, "x", &three, NULL), GROVE_OK);
	assert_int_equal(again.requests, 1);
	grove_close(&client);
	server_stop(&again);
	unlink(endpoint + strlen("ipc://"));
	rmdir(folder);
}

static void the_effort_goes_as_it_was_named(void **state)
{
	struct server s;
	server_start(&s, "tcp://127.0.0.1:*");
	grove_client *client = connect_to(&s, 20000);
	grove_search_args args = {.queries = 1, .dim = 2, .vectors = vectors, .k = 2};
	assert_int_equal(grove_search(client, "x", &args, NULL), GROVE_OK);
	assert_true(s.last_mode == SEARCH_GRAPH && s.last_search_k == 0 && s.last_recall == 0);
	grove_reply *reply = NULL;
	assert_int_equal(grove_search(client, "x", &args, &reply), GROVE_OK);
	assert_true(reply->hits.predicted == 0.75f);
	grove_reply_free(&reply);
	args.recall = 0.99f;
	assert_int_equal(grove_search(client, "x", &args, NULL), GROVE_OK);
	assert_true(s.last_mode == SEARCH_GRAPH && s.last_search_k == 0 && s.last_recall == 0.99f);
	args.recall = 0;
	args.search_k = 77;
	args.mode = GROVE_FOREST;
	assert_int_equal(grove_search(client, "x", &args, NULL), GROVE_OK);
	assert_true(s.last_mode == SEARCH_FOREST && s.last_search_k == 77 && s.last_recall == 0);
	args.mode = GROVE_EXACT;
	assert_int_equal(grove_search(client, "x", &args, NULL), GROVE_OK);
	assert_true(s.last_mode == SEARCH_EXACT);
	grove_close(&client);
	server_stop(&s);
}

static void wrong_calls_are_refused_before_anything_is_sent(void **state)
{
	struct server s;
	grove_ticket ticket = 7;
	server_start(&s, "tcp://127.0.0.1:*");
	grove_client *client = connect_to(&s, 20000);
	int requests = s.requests;
	grove_search_args neither = {.queries = 1, .k = 1},
			  both = {.queries = 1, .k = 1, .dim = 2, .vectors = vectors, .ids = three_ids};
	assert_int_equal(grove_search_submit(client, "x", &neither, &ticket), GROVE_USAGE);
	assert_int_equal(grove_search_submit(client, "x", &both, &ticket), GROVE_USAGE);
	grove_search_args mode = {.queries = 1, .k = 1, .dim = 2, .vectors = vectors, .mode = 9};
	assert_int_equal(grove_search_submit(client, "x", &mode, &ticket), GROVE_UNSUPPORTED);
	const grove_search_args efforts[] = {{.recall = 1}, {.recall = -0.5f}, {.recall = NAN}, {.recall = 0.9f, .search_k = 10},
		{.recall = 0.9f, .mode = GROVE_EXACT}, {.recall = 0.9f, .mode = GROVE_FOREST}};
	for (size_t i = 0; i < sizeof(efforts) / sizeof(efforts[0]); i++) {
		grove_search_args args = efforts[i];
		args.queries = args.k = 1;
		args.dim = 2;
		args.vectors = vectors;
		assert_int_equal(grove_search_submit(client, "x", &args, &ticket), GROVE_BAD_REQUEST);
	}
	assert_int_equal(grove_drop_submit(client, "Not/A/Name", &ticket), GROVE_BAD_REQUEST);
	assert_int_equal(grove_drop_submit(client, NULL, &ticket), GROVE_USAGE);
	grove_items no_vectors = {.count = 1, .dim = 2, .ids = three_ids};
	assert_int_equal(grove_upsert_submit(client, "x", &no_vectors, &ticket), GROVE_USAGE);
	grove_items too_many = {.count = BATCH_ITEMS_MAX + 1, .dim = 2, .ids = three_ids, .vectors = vectors};
	assert_int_equal(grove_upsert_submit(client, "x", &too_many, &ticket), GROVE_LIMIT);
	static const float not_finite[2] = {1, INFINITY};
	grove_items infinite = {.count = 1, .dim = 2, .ids = three_ids, .vectors = not_finite};
	assert_int_not_equal(grove_upsert_submit(client, "x", &infinite, &ticket), GROVE_OK);
	assert_int_equal(grove_set_timeout(client, 0), GROVE_LIMIT);
	assert_int_equal(grove_set_timeout(client, 600001), GROVE_LIMIT);
	assert_int_equal(grove_set_timeout(client, 600000), GROVE_OK);
	assert_true(ticket == 7);
	assert_true(grove_message(client)[0]);
	assert_int_equal(grove_in_flight(client), 0);
	clock_sleep_us(50000);
	assert_int_equal(s.requests, requests);
	grove_close(&client);
	server_stop(&s);
}

static void keys_become_ids_and_may_stand_beside_ids(void **state)
{
	struct server s;
	server_start(&s, "tcp://127.0.0.1:*");
	grove_client *client = connect_to(&s, 20000);
	const uint32_t all[3] = {1, 2, 3}, some[3] = {0, 2, 3};
	grove_items items = {.count = 3, .dim = 2, .vectors = vectors, .keys = {.sizes = all, .bytes = "abbccc"}};
	assert_int_equal(grove_upsert(client, "x", &items, NULL), GROVE_OK); /* the server's decoder has checked the hashes */
	items.ids = three_ids;
	assert_int_equal(grove_upsert(client, "x", &items, NULL), GROVE_OK);
	items.keys = (grove_blobs){.sizes = some, .bytes = "bbccc"};
	assert_int_equal(grove_upsert(client, "x", &items, NULL), GROVE_OK);
	items.ids = NULL;
	assert_int_equal(grove_upsert(client, "x", &items, NULL), GROVE_USAGE); /* the first has neither */
	grove_close(&client);
	server_stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_without_a_server_is_unavailable_and_names_the_endpoint),
		cmocka_unit_test(hello_tells_the_server),
		cmocka_unit_test(hits_come_back_with_every_bit_of_their_ids),
		cmocka_unit_test(incomplete_search_carries_its_hits_and_what_is_missing),
		cmocka_unit_test(silent_server_makes_a_read_time_out_and_a_write_unknown_after_timeout_and_grace),
		cmocka_unit_test(garbage_is_dropped_and_the_handle_stays_usable),
		cmocka_unit_test(late_answer_never_meets_another_request),
		cmocka_unit_test(pages_follow_each_other_until_the_end),
		cmocka_unit_test(answers_that_do_not_fit_the_question_are_refused),
		cmocka_unit_test(outcomes_are_told_item_by_item_and_the_whole_is_not_ok),
		cmocka_unit_test(answers_may_come_in_any_order),
		cmocka_unit_test(second_answer_to_the_same_request_is_dropped),
		cmocka_unit_test(one_past_the_bound_in_flight_is_busy_at_once),
		cmocka_unit_test(handle_comes_back_after_the_server_was_restarted),
		cmocka_unit_test(keys_become_ids_and_may_stand_beside_ids),
		cmocka_unit_test(the_effort_goes_as_it_was_named),
		cmocka_unit_test(wrong_calls_are_refused_before_anything_is_sent),
	};
	return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
