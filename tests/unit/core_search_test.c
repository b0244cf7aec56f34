/* core_search_test.c - searches as the coordinator leads them, between simulated workers on a virtual clock: together, one too many, too large. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/cursor.h"
#include "core_fixture.h"
#include "proto/bundle.h"

/* The messages that are on their way to workers, each of searches alone; *ret_id is the id of the last of these. */
static unsigned searches_under_way(const struct sim *s, unsigned *ret_messages, uint64_t *ret_id)
{
	struct bundle_reader bundle;
	struct net_frame frames[FRAMES_MAX];
	struct report why;
	size_t count;
	unsigned searches = 0;
	*ret_messages = 0;
	for (const struct sim_message *m = s->messages; m; m = m->next) {
		if (m->to_worker < 0 || !bundle_is(m->frames, m->count)) continue;
		assert_int_equal(bundle_open(m->frames, m->count, &bundle, &why), STATUS_OK);
		for (; bundle_next(&bundle, frames, &count); searches++) {
			struct cluster_request r = {0};
			assert_int_equal(cluster_request_decode(frames, count, &r, NULL), STATUS_OK);
			assert_int_equal(r.kind, CLUSTER_SEARCH);
			*ret_id = r.id;
			cluster_request_release(&r);
		}
		++*ret_messages;
	}
	return searches;
}

static void searches_of_one_turn_leave_as_one_message_for_each_worker(void **state)
{
	enum { SEARCHES = 7, WORKERS = 2 };
	struct sim s;
	float value = 0;
	unsigned messages;
	uint64_t id, before;
	struct client_request r = a_search(&value);
	with_workers(&s, WORKERS);
	assert_int_equal(sim_create(&s, "shoes", 4), STATUS_OK);
	put_ids(&s, "shoes", 0, 40);
	before = counter_value(&core_metrics(s.core)->queries);
	for (int i = 0; i < SEARCHES; i++) send_only(&s, &r);
	assert_int_equal(searches_under_way(&s, &messages, &id), 0);
	assert_true(core_next_us(s.core) <= s.now_us);
	core_tick(s.core, s.now_us);
	assert_int_equal(searches_under_way(&s, &messages, &id), SEARCHES * WORKERS);
	assert_int_equal(messages, WORKERS);
	assert_true(core_next_us(s.core) > s.now_us);
	sim_run(&s, SECOND);
	assert_int_equal(counter_value(&core_metrics(s.core)->queries), before + SEARCHES);
	assert_int_equal(s.reply.error.status, STATUS_OK);
	assert_int_equal(s.reply.search.total, 10);
	assert_true(core_check(s.core));
	sim_release(&s);
}

static void searches_that_cannot_leave_are_missing_at_once_and_not_at_their_deadline(void **state)
{
	enum { SEARCHES = 3 };
	struct sim s;
	float value = 0;
	struct client_request r = a_search(&value);
	with_workers(&s, 2);
	assert_int_equal(sim_create(&s, "shoes", 4), STATUS_OK);
	put_ids(&s, "shoes", 0, 40);
	uint64_t before = counter_value(&core_metrics(s.core)->incomplete);
	sim_worker_kill(&s, 1);
	for (int i = 0; i < SEARCHES; i++) send_only(&s, &r);
	sim_run(&s, 100000);
	assert_int_equal(s.replies, 1);
	assert_int_equal(s.reply.error.status, STATUS_INCOMPLETE);
	assert_int_equal(counter_value(&core_metrics(s.core)->incomplete), before + SEARCHES);
	/* Both gone: nobody is left to wait for. */
	sim_worker_kill(&s, 0);
	send_only(&s, &r);
	assert_int_equal(s.replies, 0);
	core_tick(s.core, s.now_us);
	assert_int_equal(s.replies, 1);
	assert_int_not_equal(s.reply.error.status, STATUS_OK);
	assert_true(core_check(s.core));
	sim_release(&s);
}

static void a_search_for_the_neighbours_of_an_item_finds_the_item_itself_first(void **state)
{
	struct sim s;
	uint8_t id[8];
	with_workers(&s, 2);
	assert_int_equal(sim_create(&s, "shoes", 4), STATUS_OK);
	put_ids(&s, "shoes", 0, 40);
	struct client_request r = {.op = CLIENT_SEARCH, .index = "shoes"};
	r.search.spec = (struct search_spec){.k = 3, .mode = SEARCH_EXACT};
	r.search.nq = 1;
	r.search.by_id = true;
	r.search.vectors = id;
	r.search.min_coverage = 1;
	store_u64(id, 17);
	assert_true(sim_ask(&s, &r));
	assert_int_equal(s.reply.error.status, STATUS_OK);
	assert_true(load_u64(s.reply.search.ids) == 17);
	assert_true(load_u64(s.reply.search.ids + 8) == 16);
	store_u64(id, 4711);
	assert_true(sim_ask(&s, &r));
	assert_int_equal(s.reply.error.status, STATUS_NOT_FOUND);
	assert_non_null(strstr(s.reply.error.text, "4711"));
	sim_worker_kill(&s, 0);
	sim_worker_kill(&s, 1);
	sim_run(&s, 4 * SECOND);
	assert_true(sim_ask(&s, &r));
	assert_int_equal(s.reply.error.status, STATUS_UNAVAILABLE);
	sim_release(&s);
}

static void busy_workers_are_told_as_busy_when_nothing_was_answered(void **state)
{
	struct sim s;
	with_workers(&s, 2);
	assert_int_equal(sim_create(&s, "shoes", 2), STATUS_OK);
	put_ids(&s, "shoes", 0, 40);
	s.workers[0].busy = true;
	assert_int_equal(sim_search(&s, "shoes", 0, 5, 1, 0), STATUS_INCOMPLETE);
	assert_int_equal(s.reply.search.missing_count, 1);
	s.workers[0].busy = s.workers[1].busy = true;
	assert_int_equal(sim_search(&s, "shoes", 0, 5, 1, 0), STATUS_BUSY);
	uint64_t id = 1;
	float value = 1;
	uint8_t result;
	assert_int_equal(sim_write(&s, "shoes", 1, &id, &value, &result, 0), STATUS_BUSY);
	assert_int_equal(result, ITEM_REJECTED);
	sim_release(&s);
}

static void one_request_more_than_a_connection_may_have_is_busy(void **state)
{
	struct sim s;
	with_workers(&s, 1);
	assert_int_equal(sim_create(&s, "shoes", 1), STATUS_OK);
	s.workers[0].stopped = true;
	uint8_t vector[4] = {0};
	struct client_request r = {.op = CLIENT_SEARCH, .index = "shoes", .timeout_ms = 2000};
	r.search.spec = (struct search_spec){.k = 1, .mode = SEARCH_EXACT};
	r.search.nq = 1;
	r.search.dim = 1;
	r.search.vectors = vector;
	r.search.min_coverage = 1;
	struct client_address client = {.socket = 0, .peer = {.size = 1, .bytes = {9}}};
	sim_reply_forget(&s);
	for (unsigned i = 0; i <= PENDING_PER_CLIENT_MAX; i++) {
		struct encoded e = {0};
		r.id = s.waiting_for = 5000 + i;
		assert_int_equal(client_request_encode(&r, &e, NULL), STATUS_OK);
		core_on_client(s.core, &client, e.frames, e.count, s.now_us);
		encoded_release(&e);
		assert_int_equal(s.replies, i == PENDING_PER_CLIENT_MAX);
	}
	assert_int_equal(s.reply.error.status, STATUS_BUSY);
	assert_non_null(strstr(s.reply.error.text, "PENDING_PER_CLIENT_MAX"));
	/* Another connection is not concerned, and the first is free again when its requests ended. */
	assert_int_equal(sim_search(&s, "shoes", 0, 1, 1, 100), STATUS_INCOMPLETE);
	s.workers[0].stopped = false;
	sim_run(&s, 3 * SECOND);
	assert_int_equal(sim_search(&s, "shoes", 0, 1, 1, 0), STATUS_OK);
	sim_release(&s);
}

static void a_worker_that_takes_nothing_is_sent_a_bounded_number_of_bytes(void **state)
{
	enum { ITEMS = 240, PAYLOAD = 65000 };
	static uint8_t ids[8 * ITEMS], vectors[4 * ITEMS], lengths[4 * ITEMS], payloads[ITEMS * PAYLOAD];
	struct sim s;
	with_workers(&s, 1);
	assert_int_equal(sim_create(&s, "shoes", 1), STATUS_OK);
	for (uint32_t i = 0; i < ITEMS; i++) {
		/* {"a": bin16 of the rest} */
		static const uint8_t head[] = {0x81, 0xa1, 'a', 0xc5, (PAYLOAD - 6) >> 8, (PAYLOAD - 6) & 0xff};
		store_u64(ids + 8 * i, i);
		store_u32(lengths + 4 * i, PAYLOAD);
		memcpy(payloads + (size_t)i * PAYLOAD, head, sizeof(head));
	}
	s.workers[0].swallows = true;
	struct client_request r = {.op = CLIENT_UPSERT, .index = "shoes", .timeout_ms = 60000};
	r.upsert.items = (struct items){.n = ITEMS, .dtype = DTYPE_F32, .dim = 1, .ids = ids, .vectors = vectors,
		.payloads = {ITEMS, lengths, payloads, sizeof(payloads)}};
	unsigned sent = 0;
	do send_only(&s, &r);
	while (s.replies == 0 && sent++ < 60);
	assert_int_equal(s.reply.error.status, STATUS_BUSY);
	assert_int_equal(sent, (256u << 20) / (ITEMS * (PAYLOAD + 4 + 4 + 8)));
	for (uint32_t i = 0; i < ITEMS; i++) assert_int_equal(s.reply.write.results[i], ITEM_REJECTED);
	/* A second later one more may go, as a question. */
	sim_run(&s, SECOND);
	send_only(&s, &r);
	assert_int_equal(s.replies, 0);
	send_only(&s, &r);
	assert_int_equal(s.reply.error.status, STATUS_BUSY);
	/* A new process has nothing in its queue. */
	sim_worker_kill(&s, 0);
	sim_worker_start(&s, 0);
	s.workers[0].swallows = false;
	sim_run(&s, 2 * SECOND);
	put_ids(&s, "shoes", 0, 10);
	sim_release(&s);
}

static void an_answer_that_may_not_wait_for_its_client_becomes_a_short_one(void **state)
{
	struct sim s;
	const uint64_t id = 100;
	const float value = 5000;
	uint8_t result = ITEM_REJECTED;
	with_workers(&s, 1);
	assert_int_equal(sim_create(&s, "shoes", 1), STATUS_OK);
	put_ids(&s, "shoes", 0, 10);
	s.client_full = true;
	assert_int_equal(sim_search(&s, "shoes", 0, 5, 1, 0), STATUS_BUSY);
	assert_non_null(strstr(s.reply.error.text, "read them"));
	/* What changed something must not say that it changed nothing. */
	assert_int_equal(sim_write(&s, "shoes", 1, &id, &value, &result, 0), STATUS_UNKNOWN);
	assert_int_equal(sim_create(&s, "hats", 1), STATUS_UNKNOWN);
	s.client_full = false;
	assert_int_equal(sim_search(&s, "shoes", value, 1, 1, 0), STATUS_OK);
	assert_true(load_u64(s.reply.search.ids) == id);
	assert_int_equal(sim_create(&s, "hats", 1), STATUS_EXISTS);
	sim_release(&s);
}

static void searches_whose_hits_would_need_too_much_memory_are_busy(void **state)
{
	struct sim s;
	uint8_t vector[4] = {0};
	with_workers(&s, 1);
	assert_int_equal(sim_create(&s, "shoes", 1), STATUS_OK);
	s.workers[0].stopped = true;
	struct client_request r = {.op = CLIENT_SEARCH, .index = "shoes", .timeout_ms = 1000};
	r.search.spec = (struct search_spec){.k = QUERY_HITS_MAX, .mode = SEARCH_EXACT};
	r.search.nq = 1;
	r.search.dim = 1;
	r.search.vectors = vector;
	r.search.min_coverage = 1;
	unsigned sent = 0;
	do send_only(&s, &r);
	while (s.replies == 0 && sent++ < PENDING_PER_CLIENT_MAX - 1);
	assert_int_equal(s.reply.error.status, STATUS_BUSY);
	assert_non_null(strstr(s.reply.error.text, "SEARCH_MEMORY_MAX"));
	sim_run(&s, 1100 * MS);
	s.workers[0].stopped = false;
	sim_run(&s, SECOND);
	assert_int_equal(sim_search(&s, "shoes", 0, QUERY_HITS_MAX, 1, 0), STATUS_OK);
	sim_release(&s);
}

/* A worker goes on with what a coordinator asked before it died, and its answer goes to the next one. */
static void an_answer_meant_for_the_coordinators_former_life_is_nobodys(void **state)
{
	enum { LIVES = 20 };
	struct sim s;
	float value = 0;
	uint64_t ids[LIVES];
	struct cluster_reply late = {.to = CLUSTER_SEARCH};
	struct encoded e = {0};
	with_workers(&s, 1);
	assert_int_equal(sim_create(&s, "shoes", 1), STATUS_OK);
	put_ids(&s, "shoes", 0, 10);
	struct client_request r = a_search(&value);
	for (int life = 0; life < LIVES; life++) {
		/* Each life is like the one before, up to its first search. */
		sim_coordinator_restart(&s);
		sim_run(&s, SECOND);
		send_only(&s, &r);
		core_tick(s.core, s.now_us);
		unsigned messages;
		assert_int_equal(searches_under_way(&s, &messages, &ids[life]), 1);
		for (int before = 0; before < life; before++) {
			uint64_t late_before = counter_value(&core_metrics(s.core)->late_replies);
			struct net_peer worker = {.size = 2, .bytes = {0, s.workers[0].connection}};
			assert_true(ids[before] != ids[life]);
			late.id = ids[before];
			report_set(&late.error, STATUS_BUSY, "for another");
			assert_int_equal(cluster_reply_encode(&late, &e), STATUS_OK);
			core_on_worker(s.core, &worker, e.frames, e.count, s.now_us);
			encoded_release(&e);
			assert_int_equal(counter_value(&core_metrics(s.core)->late_replies), late_before + 1);
		}
		assert_int_equal(s.replies, 0);
		sim_run(&s, SECOND);
		assert_int_equal(s.replies, 1);
		assert_int_equal(s.reply.error.status, STATUS_OK);
		assert_int_equal(s.reply.search.total, 10);
	}
	sim_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(searches_of_one_turn_leave_as_one_message_for_each_worker),
		cmocka_unit_test(searches_that_cannot_leave_are_missing_at_once_and_not_at_their_deadline),
		cmocka_unit_test(a_search_for_the_neighbours_of_an_item_finds_the_item_itself_first),
		cmocka_unit_test(busy_workers_are_told_as_busy_when_nothing_was_answered),
		cmocka_unit_test(one_request_more_than_a_connection_may_have_is_busy),
		cmocka_unit_test(a_worker_that_takes_nothing_is_sent_a_bounded_number_of_bytes),
		cmocka_unit_test(an_answer_that_may_not_wait_for_its_client_becomes_a_short_one),
		cmocka_unit_test(searches_whose_hits_would_need_too_much_memory_are_busy),
		cmocka_unit_test(an_answer_meant_for_the_coordinators_former_life_is_nobodys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
