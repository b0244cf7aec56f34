/* core_test.c - the coordinator as a whole, between simulated workers: what it answers when things go well, and above all
 * when they do not. Everything here runs on a virtual clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/cursor.h"
#include "core_fixture.h"

static void created_filled_and_searched_the_nearest_come_back_in_order(void **state)
{
	struct sim s;
	with_workers(&s, 2);
	assert_int_equal(sim_create(&s, "shoes", 0), STATUS_OK);
	assert_int_equal(s.reply.list.count, 1);
	assert_int_equal(s.reply.list.indexes[0].spec.shards, 2);
	assert_true(s.reply.list.indexes[0].complete);
	put_ids(&s, "shoes", 0, 40);
	assert_int_equal(sim_search(&s, "shoes", 10.25f, 3, 1, 0), STATUS_OK);
	assert_int_equal(s.reply.search.total, 3);
	const uint64_t expected[] = {10, 11, 9};
	for (int i = 0; i < 3; i++) assert_true(load_u64(s.reply.search.ids + 8 * i) == expected[i]);
	assert_true(load_f32(s.reply.search.distances) == 0.25f);
	struct coverage c;
	coverage_load(s.reply.search.coverage, &c);
	assert_true(coverage_complete(&c));
	assert_int_equal(c.items_total, 40);
	sim_release(&s);
}

static void a_name_can_be_taken_once(void **state)
{
	struct sim s;
	with_workers(&s, 1);
	assert_int_equal(sim_create(&s, "shoes", 1), STATUS_OK);
	assert_int_equal(sim_create(&s, "shoes", 1), STATUS_EXISTS);
	assert_int_equal(sim_drop(&s, "shoes"), STATUS_OK);
	assert_int_equal(sim_drop(&s, "shoes"), STATUS_NOT_FOUND);
	assert_int_equal(sim_create(&s, "shoes", 1), STATUS_OK);
	sim_release(&s);
}

static void nothing_can_be_created_without_workers(void **state)
{
	struct sim s;
	with_workers(&s, 0);
	assert_int_equal(sim_create(&s, "shoes", 1), STATUS_UNAVAILABLE);
	for (unsigned i = 0; i < SIM_RECORDS; i++) assert_false(s.records[i].used);
	sim_release(&s);
}

static void a_dropped_index_leaves_no_shard_on_any_worker_even_one_that_was_away(void **state)
{
	struct sim s;
	with_workers(&s, 2);
	assert_int_equal(sim_create(&s, "shoes", 6), STATUS_OK);
	sim_worker_kill(&s, 1);
	sim_run(&s, 4 * SECOND);
	assert_int_equal(sim_drop(&s, "shoes"), STATUS_OK);
	sim_run(&s, 2 * SECOND);
	for (unsigned i = 0; i < SIM_SHARDS; i++) assert_false(s.workers[0].shards[i].used);
	sim_coordinator_restart(&s);
	sim_worker_start(&s, 1);
	sim_run(&s, 4 * SECOND);
	for (unsigned i = 0; i < SIM_SHARDS; i++) assert_false(s.workers[1].shards[i].used);
	/* The tombstone is gone from the store as well. */
	for (unsigned i = 0; i < SIM_RECORDS; i++) assert_false(s.records[i].used);
	sim_release(&s);
}

static void a_dead_worker_is_reported_missing_and_complete_again_when_it_is_back(void **state)
{
	struct sim s;
	struct coverage c;
	struct missing m;
	with_workers(&s, 2);
	assert_int_equal(sim_create(&s, "shoes", 2), STATUS_OK);
	put_ids(&s, "shoes", 0, 40);
	sim_run(&s, SECOND);
	sim_worker_kill(&s, 1);
	sim_run(&s, 4 * SECOND);
	uint64_t before = s.now_us;
	assert_int_equal(sim_search(&s, "shoes", 0, 40, 1, 0), STATUS_INCOMPLETE);
	assert_true(s.now_us - before < SECOND);
	coverage_load(s.reply.search.coverage, &c);
	assert_int_equal(c.answered, 1);
	assert_int_equal(c.failed, 1);
	assert_int_equal(c.items_total, 40);
	assert_int_equal(c.items_searched, s.reply.search.total);
	assert_true(s.reply.search.total > 0 && s.reply.search.total < 40);
	assert_int_equal(s.reply.search.missing_count, 1);
	missing_load(s.reply.search.missing, &m);
	assert_int_equal(m.status, STATUS_UNAVAILABLE);
	assert_int_equal(m.items, 40 - s.reply.search.total);
	assert_int_equal(sim_search(&s, "shoes", 0, 40, 0.01f, 0), STATUS_OK);
	sim_worker_start(&s, 1);
	sim_run(&s, 2 * SECOND);
	assert_int_equal(sim_search(&s, "shoes", 0, 40, 1, 0), STATUS_OK);
	assert_int_equal(s.reply.search.total, 40);
	sim_release(&s);
}

static void a_stopped_worker_costs_the_deadline_at_most_and_comes_back_without_a_restart(void **state)
{
	struct sim s;
	struct coverage c;
	with_workers(&s, 2);
	assert_int_equal(sim_create(&s, "shoes", 2), STATUS_OK);
	put_ids(&s, "shoes", 0, 40);
	s.workers[0].stopped = true;
	uint64_t before = s.now_us;
	assert_int_equal(sim_search(&s, "shoes", 0, 40, 1, 500), STATUS_INCOMPLETE);
	assert_true(s.now_us - before <= 500 * MS + 2 * SIM_STEP_US);
	coverage_load(s.reply.search.coverage, &c);
	assert_int_equal(c.late, 1);
	/* Its death ends a longer wait before the deadline. */
	before = s.now_us;
	assert_int_equal(sim_search(&s, "shoes", 0, 40, 1, 60000), STATUS_INCOMPLETE);
	assert_true(s.now_us - before < 4 * SECOND);
	s.workers[0].stopped = false;
	sim_run(&s, SECOND);
	assert_int_equal(sim_search(&s, "shoes", 0, 40, 1, 500), STATUS_OK);
	sim_release(&s);
}

static void a_write_to_a_dead_worker_is_rejected_and_to_a_silent_one_unknown(void **state)
{
	struct sim s;
	uint64_t ids[SIM_IDS];
	float values[SIM_IDS] = {0};
	uint8_t results[SIM_IDS];
	with_workers(&s, 2);
	assert_int_equal(sim_create(&s, "shoes", 2), STATUS_OK);
	for (uint64_t i = 0; i < SIM_IDS; i++) ids[i] = i;
	/* Shard 0 is on one worker, shard 1 on the other; which is which does not matter. */
	s.workers[1].stopped = true;
	assert_int_equal(sim_write(&s, "shoes", SIM_IDS, ids, values, results, 500), STATUS_UNKNOWN);
	unsigned ok = 0, unknown = 0, rejected = 0;
	for (unsigned i = 0; i < SIM_IDS; i++) {
		ok += results[i] == ITEM_OK;
		unknown += results[i] == ITEM_UNKNOWN;
	}
	assert_true(ok > 0 && unknown > 0 && ok + unknown == SIM_IDS);
	sim_run(&s, 4 * SECOND);
	assert_int_equal(sim_write(&s, "shoes", SIM_IDS, ids, values, results, 500), STATUS_UNAVAILABLE);
	for (unsigned i = 0; i < SIM_IDS; i++) rejected += results[i] == ITEM_REJECTED;
	assert_int_equal(rejected, unknown);
	sim_release(&s);
}

static void a_restarted_coordinator_finds_everything_without_restarting_workers(void **state)
{
	struct sim s;
	with_workers(&s, 3);
	assert_int_equal(sim_create(&s, "shoes", 5), STATUS_OK);
	put_ids(&s, "shoes", 0, 40);
	sim_coordinator_restart(&s);
	sim_run(&s, SECOND);
	assert_int_equal(sim_search(&s, "shoes", 0, 40, 1, 0), STATUS_OK);
	assert_int_equal(s.reply.search.total, 40);
	sim_release(&s);
}

static void a_made_shard_that_its_worker_lost_is_reported_and_never_made_again(void **state)
{
	struct sim s;
	struct missing m;
	with_workers(&s, 2);
	assert_int_equal(sim_create(&s, "shoes", 2), STATUS_OK);
	put_ids(&s, "shoes", 0, 40);
	sim_worker_kill(&s, 0);
	memset(s.workers[0].shards, 0, sizeof(s.workers[0].shards));
	sim_run(&s, 4 * SECOND);
	sim_worker_start(&s, 0);
	sim_run(&s, 3 * SECOND);
	assert_int_equal(sim_search(&s, "shoes", 0, 40, 1, 0), STATUS_INCOMPLETE);
	missing_load(s.reply.search.missing, &m);
	assert_int_equal(m.status, STATUS_CORRUPT);
	for (unsigned i = 0; i < SIM_SHARDS; i++) assert_false(s.workers[0].shards[i].used);
	sim_release(&s);
}

static void a_create_that_a_crash_interrupts_is_finished_after_the_restart(void **state)
{
	for (uint64_t after = 0; after < 300 * MS; after += SIM_STEP_US) {
		struct sim s;
		struct client_request r = {.op = CLIENT_CREATE, .timeout_ms = 1};
		with_workers(&s, 2);
		r.create.spec = (struct index_spec){.metric = METRIC_EUCLIDEAN, .dim = 1, .shards = 4, .replicas = 1, .trees = 10, .name = "shoes"};
		memcpy(r.index, "shoes", 6);
		sim_ask(&s, &r);
		sim_run(&s, after);
		sim_coordinator_restart(&s);
		sim_run(&s, 3 * SECOND);
		/* It was stored or it was not; both ways the name works. */
		enum status status = sim_create(&s, "shoes", 4);
		assert_true(status == STATUS_EXISTS || status == STATUS_OK);
		put_ids(&s, "shoes", 0, 40);
		assert_int_equal(sim_search(&s, "shoes", 0, 40, 1, 0), STATUS_OK);
		sim_release(&s);
	}
}

static void a_create_past_its_deadline_goes_on_and_is_there_later(void **state)
{
	struct sim s;
	with_workers(&s, 2);
	s.workers[1].stopped = true;
	struct client_request r = {.op = CLIENT_CREATE, .timeout_ms = 300, .index = "shoes"};
	r.create.spec = (struct index_spec){.metric = METRIC_EUCLIDEAN, .dim = 1, .shards = 2, .replicas = 1, .trees = 10, .name = "shoes"};
	assert_true(sim_ask(&s, &r));
	assert_int_equal(s.reply.error.status, STATUS_UNKNOWN);
	s.workers[1].stopped = false;
	sim_run(&s, 2 * SECOND);
	put_ids(&s, "shoes", 0, 40);
	sim_release(&s);
}

static void a_get_tells_a_missing_item_from_a_missing_shard(void **state)
{
	struct sim s;
	uint64_t ids[] = {3, 4711, 5};
	with_workers(&s, 2);
	assert_int_equal(sim_create(&s, "shoes", 2), STATUS_OK);
	put_ids(&s, "shoes", 0, 40);
	struct client_request r = {.op = CLIENT_GET, .index = "shoes"};
	r.ids.n = 3;
	r.ids.ids = (const uint8_t *)ids;
	assert_true(sim_ask(&s, &r));
	assert_int_equal(s.reply.error.status, STATUS_OK);
	assert_int_equal(s.reply.get.items.n, 3);
	assert_true(s.reply.get.found[0] && !s.reply.get.found[1] && s.reply.get.found[2]);
	assert_true(load_f32(s.reply.get.items.vectors + 8) == 5);
	sim_worker_kill(&s, 0);
	sim_worker_kill(&s, 1);
	sim_run(&s, 4 * SECOND);
	assert_true(sim_ask(&s, &r));
	assert_int_equal(s.reply.error.status, STATUS_UNAVAILABLE);
	assert_non_null(strstr(s.reply.error.text, "shard "));
	sim_release(&s);
}

static void garbage_from_clients_and_workers_is_answered_or_counted_and_harms_nothing(void **state)
{
	struct sim s;
	uint8_t bytes[256];
	with_workers(&s, 1);
	assert_int_equal(sim_create(&s, "shoes", 1), STATUS_OK);
	put_ids(&s, "shoes", 0, 10);
	struct client_address client = {.socket = 0, .peer = {.size = 1, .bytes = {9}}};
	struct net_peer stranger = {.size = 1, .bytes = {77}}, worker = {.size = 2, .bytes = {0, s.workers[0].connection}};
	uint64_t before = core_metrics_answers(core_metrics(s.core), REQUEST_INVALID);
	for (int i = 0; i < 3000; i++) {
		struct net_frame frames[FRAMES_MAX];
		size_t count = prng_below(&s.prng, FRAMES_MAX + 1);
		for (size_t n = 0; n < sizeof(bytes); n++) bytes[n] = (uint8_t)prng_u64(&s.prng);
		for (size_t f = 0; f < count; f++) frames[f] = (struct net_frame){bytes + prng_below(&s.prng, 128), prng_below(&s.prng, 128)};
		core_on_client(s.core, &client, frames, count, s.now_us);
		core_on_worker(s.core, i % 2 ? &stranger : &worker, frames, count, s.now_us);
		assert_true(core_check(s.core));
	}
	assert_int_equal(core_metrics_answers(core_metrics(s.core), REQUEST_INVALID), before + 3000);
	assert_int_equal(sim_search(&s, "shoes", 0, 10, 1, 0), STATUS_OK);
	assert_int_equal(s.reply.search.total, 10);
	sim_release(&s);
}

static void what_could_not_be_read_is_refused_without_an_operation(void **state)
{
	struct sim s;
	with_workers(&s, 1);
	uint8_t no_map[] = {0x93, 1, 2, 3};
	struct net_frame frame = {no_map, sizeof(no_map)};
	struct client_address client = {.socket = 0, .peer = {.size = 1, .bytes = {9}}};
	sim_reply_forget(&s);
	s.waiting_for = 0; /* the id of an answer to what had none that could be read */
	core_on_client(s.core, &client, &frame, 1, s.now_us);
	assert_int_equal(s.replies, 1);
	assert_int_equal(s.reply.op, CLIENT_OP_COUNT);
	assert_int_equal(s.reply.error.status, STATUS_BAD_REQUEST);
	assert_true(s.reply.error.text[0]);
	sim_release(&s);
}

static void a_store_that_fails_is_an_error_and_no_index(void **state)
{
	struct sim s;
	with_workers(&s, 1);
	s.store_fails = true;
	assert_int_equal(sim_create(&s, "shoes", 1), STATUS_IO);
	s.store_fails = false;
	assert_int_equal(sim_create(&s, "shoes", 1), STATUS_OK);
	s.store_silent = true;
	struct client_request r = {.op = CLIENT_DROP, .index = "shoes", .timeout_ms = 200};
	assert_true(sim_ask(&s, &r));
	assert_int_equal(s.reply.error.status, STATUS_UNKNOWN);
	s.store_silent = false;
	sim_run(&s, SECOND);
	assert_int_equal(sim_drop(&s, "shoes"), STATUS_NOT_FOUND);
	sim_release(&s);
}

static void a_create_whose_end_cannot_be_stored_says_why_and_ends_when_it_can(void **state)
{
	struct sim s;
	with_workers(&s, 2);
	struct client_request r = {.op = CLIENT_CREATE, .timeout_ms = 2000, .index = "shoes"};
	r.create.spec = (struct index_spec){.metric = METRIC_EUCLIDEAN, .dim = 1, .shards = 2, .replicas = 1, .trees = 10, .name = "shoes"};
	send_only(&s, &r);
	while (s.revision == 0) sim_run(&s, SIM_STEP_US);
	s.store_fails = true;
	sim_run(&s, 3 * SECOND);
	assert_int_equal(s.replies, 1);
	assert_int_equal(s.reply.error.status, STATUS_UNKNOWN);
	assert_non_null(strstr(s.reply.error.text, "the store fails"));
	assert_int_equal(s.revision, 1);
	assert_in_range(s.tries, 10, 40); /* with the beats of two workers, four a second */
	s.store_fails = false;
	sim_run(&s, SECOND);
	assert_int_equal(s.revision, 2);
	put_ids(&s, "shoes", 0, 40);
	sim_release(&s);
}

static void status_shows_workers_indexes_and_shards(void **state)
{
	struct sim s;
	with_workers(&s, 2);
	assert_int_equal(sim_create(&s, "shoes", 3), STATUS_OK);
	put_ids(&s, "shoes", 0, 30);
	sim_run(&s, SECOND);
	sim_worker_kill(&s, 1);
	sim_run(&s, 4 * SECOND);
	struct client_request r = {.op = CLIENT_STATUS};
	assert_true(sim_ask(&s, &r));
	assert_int_equal(s.reply.error.status, STATUS_OK);
	assert_int_equal(s.reply.status.worker_count, 2);
	assert_int_equal(s.reply.status.workers[0].state, WORKER_ALIVE);
	assert_int_equal(s.reply.status.workers[1].state, WORKER_DEAD);
	assert_int_equal(s.reply.status.index_count, 1);
	assert_int_equal(s.reply.status.indexes[0].items, 30);
	assert_false(s.reply.status.indexes[0].complete);
	assert_int_equal(s.reply.status.shard_count, 3);
	uint64_t items = 0;
	for (int i = 0; i < 3; i++) {
		const struct shard_info *shard = &s.reply.status.shards[i];
		items += shard->report.items;
		assert_int_equal(shard->report.number, i);
		assert_int_equal(shard->report.state, uuid_equal(shard->worker, s.workers[1].id) ? SHARD_MISSING : SHARD_SERVING);
	}
	assert_int_equal(items, 30);
	sim_release(&s);
}

static void a_build_needs_every_shard_and_answers_when_all_are_done(void **state)
{
	struct sim s;
	with_workers(&s, 2);
	assert_int_equal(sim_create(&s, "shoes", 4), STATUS_OK);
	struct client_request r = {.op = CLIENT_BUILD, .index = "shoes"};
	assert_true(sim_ask(&s, &r));
	assert_int_equal(s.reply.error.status, STATUS_OK);
	assert_int_equal(s.reply.list.count, 1);
	s.workers[0].mute_replies = true;
	r.timeout_ms = 500;
	assert_true(sim_ask(&s, &r));
	assert_int_equal(s.reply.error.status, STATUS_UNKNOWN);
	assert_non_null(strstr(s.reply.error.text, "goes on"));
	sim_worker_kill(&s, 0);
	sim_run(&s, 4 * SECOND);
	assert_true(sim_ask(&s, &r));
	assert_int_equal(s.reply.error.status, STATUS_UNAVAILABLE);
	sim_release(&s);
}

static void a_twin_process_is_refused_and_a_quick_restart_is_not(void **state)
{
	struct sim s;
	with_workers(&s, 2);
	/* Two processes with one node id: the third simulated worker claims to be the first. */
	s.workers[2].id = s.workers[0].id;
	sim_worker_start(&s, 2);
	sim_run(&s, 3 * SECOND);
	assert_int_equal(s.workers[2].welcomes, 0);
	assert_true(s.workers[2].refusals > 0);
	assert_int_equal(s.workers[0].refusals, 0);
	sim_worker_kill(&s, 2);
	sim_worker_kill(&s, 1);
	sim_worker_start(&s, 1);
	sim_run(&s, SECOND);
	assert_true(s.workers[1].welcomes > 0);
	assert_int_equal(s.workers[1].refusals, 0);
	sim_release(&s);
}

static void a_clean_stop_answers_everything_under_way(void **state)
{
	struct sim s;
	uint64_t id = 1;
	float value = 1;
	with_workers(&s, 2);
	assert_int_equal(sim_create(&s, "shoes", 2), STATUS_OK);
	put_ids(&s, "shoes", 0, 40);
	s.workers[0].stopped = s.workers[1].stopped = true;
	struct client_request write = {.op = CLIENT_UPSERT, .index = "shoes", .timeout_ms = 60000};
	write.upsert.items = (struct items){.n = 1, .dtype = DTYPE_F32, .dim = 1, .ids = (const uint8_t *)&id, .vectors = (const uint8_t *)&value};
	send_only(&s, &write);
	assert_int_equal(s.replies, 0);
	core_stop(s.core, s.now_us);
	assert_int_equal(s.replies, 1);
	assert_int_equal(s.reply.error.status, STATUS_UNKNOWN);
	struct client_request search = {.op = CLIENT_SEARCH, .index = "shoes", .timeout_ms = 60000};
	search.search.spec = (struct search_spec){.k = 1, .mode = SEARCH_EXACT};
	search.search.nq = 1;
	search.search.by_id = true;
	search.search.vectors = (const uint8_t *)&id;
	search.search.min_coverage = 1;
	send_only(&s, &search);
	assert_int_equal(s.replies, 0);
	core_stop(s.core, s.now_us);
	assert_int_equal(s.replies, 1);
	assert_int_equal(s.reply.error.status, STATUS_TIMEOUT);
	assert_true(core_check(s.core));
	sim_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(created_filled_and_searched_the_nearest_come_back_in_order),
		cmocka_unit_test(a_name_can_be_taken_once),
		cmocka_unit_test(nothing_can_be_created_without_workers),
		cmocka_unit_test(a_dropped_index_leaves_no_shard_on_any_worker_even_one_that_was_away),
		cmocka_unit_test(a_dead_worker_is_reported_missing_and_complete_again_when_it_is_back),
		cmocka_unit_test(a_stopped_worker_costs_the_deadline_at_most_and_comes_back_without_a_restart),
		cmocka_unit_test(a_write_to_a_dead_worker_is_rejected_and_to_a_silent_one_unknown),
		cmocka_unit_test(a_restarted_coordinator_finds_everything_without_restarting_workers),
		cmocka_unit_test(a_made_shard_that_its_worker_lost_is_reported_and_never_made_again),
		cmocka_unit_test(a_create_that_a_crash_interrupts_is_finished_after_the_restart),
		cmocka_unit_test(a_create_past_its_deadline_goes_on_and_is_there_later),
		cmocka_unit_test(a_get_tells_a_missing_item_from_a_missing_shard),
		cmocka_unit_test(garbage_from_clients_and_workers_is_answered_or_counted_and_harms_nothing),
		cmocka_unit_test(what_could_not_be_read_is_refused_without_an_operation),
		cmocka_unit_test(a_store_that_fails_is_an_error_and_no_index),
		cmocka_unit_test(a_create_whose_end_cannot_be_stored_says_why_and_ends_when_it_can),
		cmocka_unit_test(status_shows_workers_indexes_and_shards),
		cmocka_unit_test(a_build_needs_every_shard_and_answers_when_all_are_done),
		cmocka_unit_test(a_clean_stop_answers_everything_under_way),
		cmocka_unit_test(a_twin_process_is_refused_and_a_quick_restart_is_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
