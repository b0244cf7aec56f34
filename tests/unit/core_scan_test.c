/* core_scan_test.c - scans as the coordinator leads them from shard to shard, between simulated workers on a virtual clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/cursor.h"
#include "core_sim.h"

enum { SECOND = 1000000, ITEMS = 40, SHARDS = 3 };

static void filled(struct sim *s)
{
	uint64_t ids[ITEMS];
	float values[ITEMS];
	uint8_t results[ITEMS];
	sim_init(s, 5, 2);
	assert_int_equal(sim_create(s, "shoes", SHARDS), STATUS_OK);
	for (uint32_t i = 0; i < ITEMS; i++) {
		ids[i] = 7 * i;
		values[i] = (float)i;
	}
	assert_int_equal(sim_write(s, "shoes", ITEMS, ids, values, results, 0), STATUS_OK);
}

static enum status page(struct sim *s, struct scan_cursor from, uint32_t limit, bool with_vector)
{
	struct client_request r = {.op = CLIENT_SCAN, .index = "shoes", .timeout_ms = 2000, .scan = {.from = from, .limit = limit, .with_vector = with_vector}};
	assert_true(sim_ask(s, &r));
	return s->reply.error.status;
}

static void pages_lead_through_all_shards_and_hold_every_item_once(void **state)
{
	struct sim s;
	filled(&s);
	for (uint32_t limit = 1; limit <= ITEMS + 1; limit += 5) {
		struct scan_cursor at = {0};
		uint8_t seen[ITEMS] = {0};
		uint32_t shard = 0, pages = 0;
		do {
			assert_int_equal(page(&s, at, limit, limit % 2), STATUS_OK);
			const struct items *items = &s.reply.scan.items;
			assert_true(items->n <= limit && items->dim == limit % 2);
			for (uint32_t i = 0; i < items->n; i++) {
				uint64_t id = load_u64(items->ids + 8 * (size_t)i);
				assert_int_equal(shard_of_id(id, SHARDS), shard);
				if (limit % 2) assert_true(load_f32(items->vectors + 4 * (size_t)i) == (float)(id / 7));
				seen[id / 7]++;
			}
			at = s.reply.scan.next;
			shard = at.shard;
			pages++;
		} while (!s.reply.scan.end);
		for (uint32_t i = 0; i < ITEMS; i++) assert_int_equal(seen[i], 1);
		if (limit > ITEMS) assert_int_equal(pages, SHARDS);
	}
	sim_release(&s);
}

static void a_shard_that_is_away_is_an_error_and_the_scan_goes_on_when_it_is_back(void **state)
{
	struct sim s;
	filled(&s);
	assert_int_equal(page(&s, (struct scan_cursor){0}, ITEMS, false), STATUS_OK);
	struct scan_cursor at = s.reply.scan.next;
	assert_int_equal(at.shard, 1);
	sim_worker_kill(&s, 0);
	sim_worker_kill(&s, 1);
	assert_int_equal(page(&s, at, ITEMS, false), STATUS_UNAVAILABLE); /* it cannot be reached */
	sim_run(&s, 4 * SECOND);
	assert_int_equal(page(&s, at, ITEMS, false), STATUS_UNAVAILABLE);
	assert_non_null(strstr(s.reply.error.text, "shard 1"));
	sim_worker_start(&s, 0);
	sim_worker_start(&s, 1);
	sim_run(&s, 2 * SECOND);
	assert_int_equal(page(&s, at, ITEMS, false), STATUS_OK);
	assert_true(s.reply.scan.items.n > 0);
	sim_release(&s);
}

static void a_silent_or_busy_worker_fails_the_page(void **state)
{
	struct sim s;
	filled(&s);
	s.workers[0].mute_replies = s.workers[1].mute_replies = true;
	assert_int_equal(page(&s, (struct scan_cursor){0}, ITEMS, false), STATUS_TIMEOUT);
	s.workers[0].mute_replies = s.workers[1].mute_replies = false;
	s.workers[0].busy = s.workers[1].busy = true;
	assert_int_equal(page(&s, (struct scan_cursor){0}, ITEMS, false), STATUS_BUSY);
	sim_release(&s);
}

static void a_scan_does_not_go_on_in_another_index_of_the_same_name(void **state)
{
	struct sim s;
	filled(&s);
	assert_int_equal(page(&s, (struct scan_cursor){0}, 1, false), STATUS_OK);
	struct scan_cursor at = s.reply.scan.next;
	assert_int_equal(sim_drop(&s, "shoes"), STATUS_OK);
	assert_int_equal(page(&s, at, 1, false), STATUS_NOT_FOUND);
	assert_int_equal(sim_create(&s, "shoes", SHARDS), STATUS_OK);
	assert_int_equal(page(&s, at, 1, false), STATUS_CONFLICT);
	at.index = 0;
	assert_int_equal(page(&s, at, 1, false), STATUS_OK); /* made by the client: whichever index it is */
	assert_int_equal(page(&s, (struct scan_cursor){.shard = SHARDS}, 1, false), STATUS_BAD_REQUEST);
	sim_release(&s);
}

/* A page that leads back to where it was asked from would be asked for for ever. */
static void a_worker_that_does_not_get_on_is_an_error(void **state)
{
	struct sim s;
	filled(&s);
	s.scans_wrong = true;
	assert_int_equal(page(&s, (struct scan_cursor){0}, 1, false), STATUS_IO);
	sim_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_lead_through_all_shards_and_hold_every_item_once),
		cmocka_unit_test(a_shard_that_is_away_is_an_error_and_the_scan_goes_on_when_it_is_back),
		cmocka_unit_test(a_silent_or_busy_worker_fails_the_page),
		cmocka_unit_test(a_scan_does_not_go_on_in_another_index_of_the_same_name),
		cmocka_unit_test(a_worker_that_does_not_get_on_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
