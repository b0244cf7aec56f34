/* ingest_test.c - items reach the shard of their id in order, and each gets the result that its shard's group got. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "common/prng.h"
#include "coordinator/ingest.h"

static const uint64_t seed = 271828;
enum { N = 500, DIM = 3 };

struct batch { uint8_t ids[8 * N], vectors[4 * DIM * N], payload_lengths[4 * N], key_lengths[4 * N]; struct buf payload_bytes, key_bytes; struct items items; };

/* Few ids, so that repeats abound; payload and key name the position. */
static void batch_fill(struct batch *b, struct prng *p, uint32_t n, bool payloads, bool keys)
{
	memset(b, 0, sizeof(*b));
	buf_init(&b->payload_bytes, 0);
	buf_init(&b->key_bytes, 0);
	for (uint32_t i = 0; i < n; i++) {
		store_u64(b->ids + 8 * i, prng_below(p, 3) ? prng_below(p, 40) : prng_u64(p));
		for (uint32_t d = 0; d < DIM; d++) store_f32(b->vectors + 4 * (i * DIM + d), (float)(i * 10 + d));
		uint32_t size = prng_below(p, 3);
		char text[4] = {(char)('a' + i % 26), (char)('a' + i / 26), 0, 0};
		store_u32(b->payload_lengths + 4 * i, size);
		assert_int_equal(buf_append(&b->payload_bytes, text, size), STATUS_OK);
		store_u32(b->key_lengths + 4 * i, 2);
		assert_int_equal(buf_append(&b->key_bytes, text, 2), STATUS_OK);
	}
	b->items = (struct items){.n = n, .dtype = DTYPE_F32, .dim = DIM, .ids = b->ids, .vectors = b->vectors};
	if (payloads) b->items.payloads = (struct blobs){n, b->payload_lengths, b->payload_bytes.bytes, b->payload_bytes.size};
	if (keys) b->items.keys = (struct blobs){n, b->key_lengths, b->key_bytes.bytes, b->key_bytes.size};
}

static void batch_release(struct batch *b)
{
	buf_release(&b->payload_bytes);
	buf_release(&b->key_bytes);
}

static struct blob blob_at(const struct blobs *b, uint32_t i)
{
	struct blob_cursor cursor = {0};
	struct blob blob = blobs_next(b, &cursor);
	while (i--) blob = blobs_next(b, &cursor);
	return blob;
}

static void group_check(const struct batch *b, const struct ingest_group *g, uint32_t shards, bool *seen)
{
	for (uint32_t i = 0; i < g->items.n; i++) {
		uint32_t at = g->positions[i];
		assert_false(seen[at]);
		seen[at] = true;
		assert_true(i == 0 || at > g->positions[i - 1]);
		assert_memory_equal(g->items.ids + 8 * i, b->ids + 8 * at, 8);
		assert_int_equal(shard_of_id(load_u64(g->items.ids + 8 * i), shards), g->shard);
		assert_memory_equal(g->items.vectors + 4 * DIM * i, b->vectors + 4 * DIM * at, 4 * DIM);
		struct blob mine = blob_at(&g->items.payloads, i), theirs = blob_at(&b->items.payloads, at);
		assert_int_equal(mine.size, theirs.size);
		assert_true(mine.size == 0 || memcmp(mine.bytes, theirs.bytes, mine.size) == 0);
		mine = blob_at(&g->items.keys, i);
		theirs = blob_at(&b->items.keys, at);
		assert_int_equal(mine.size, theirs.size);
		assert_true(mine.size == 0 || memcmp(mine.bytes, theirs.bytes, mine.size) == 0);
	}
}

static void every_item_is_in_the_group_of_its_shard_once_and_in_order(void **state)
{
	static struct batch b;
	struct prng p;
	print_message("seed %llu\n", (unsigned long long)seed);
	prng_seed(&p, seed);
	for (int round = 0; round < 60; round++) {
		struct ingest in;
		bool seen[N] = {false};
		uint32_t n = 1 + prng_below(&p, N), shards = 1 + prng_below(&p, 12);
		batch_fill(&b, &p, n, round % 2, round % 3 == 0);
		assert_int_equal(ingest_init(&in, &b.items, shards), STATUS_OK);
		for (uint32_t g = 0; g < in.group_count; g++) {
			assert_true(g == 0 || in.groups[g].shard > in.groups[g - 1].shard);
			group_check(&b, &in.groups[g], shards, seen);
		}
		for (uint32_t i = 0; i < n; i++) assert_true(seen[i]);
		ingest_release(&in);
		batch_release(&b);
	}
}

/* What can become of a group. */
enum fate { OK, REFUSED, SILENT, MIXED, WRONG_COUNT, FATE_COUNT };

static void fate_apply(struct ingest *in, uint32_t g, enum fate fate, struct prng *p, uint8_t *expected)
{
	const struct ingest_group *group = &in->groups[g];
	uint8_t results[N] = {0};
	struct report why;
	struct cluster_reply reply = {.write = {.n = group->items.n, .results = results, .epoch = 1, .sequence = 10 + g}};
	for (uint32_t i = 0; i < group->items.n; i++) {
		uint8_t result = fate == OK ? ITEM_OK : fate == REFUSED ? ITEM_REJECTED : fate == MIXED ? (uint8_t)prng_below(p, 3) : ITEM_UNKNOWN;
		expected[group->positions[i]] = results[i] = result;
	}
	switch (fate) {
	case REFUSED:
		report_set(&why, STATUS_UNAVAILABLE, "shard %u is away", group->shard);
		ingest_rejected(in, g, &why);
		return;
	case SILENT:
		report_set(&why, STATUS_TIMEOUT, "shard %u is silent", group->shard);
		ingest_unknown(in, g, &why);
		return;
	case WRONG_COUNT: reply.write.n++; break;
	default: break;
	}
	assert_int_equal(ingest_answered(in, g, &reply), STATUS_OK);
}

static void results_stand_where_the_items_stood_whatever_happened_to_each_shard(void **state)
{
	static struct batch b;
	struct prng p;
	print_message("seed %llu\n", (unsigned long long)seed);
	prng_seed(&p, seed);
	for (int round = 0; round < 200; round++) {
		struct ingest in;
		struct report report;
		uint8_t expected[N];
		uint32_t n = 1 + prng_below(&p, N), shards = 1 + prng_below(&p, 12), ok = 0, unknown = 0;
		batch_fill(&b, &p, n, false, false);
		assert_int_equal(ingest_init(&in, &b.items, shards), STATUS_OK);
		for (uint32_t g = 0; g < in.group_count; g++) fate_apply(&in, g, (enum fate)prng_below(&p, FATE_COUNT), &p, expected);
		assert_memory_equal(in.results, expected, n);
		for (uint32_t i = 0; i < n; i++) {
			ok += expected[i] == ITEM_OK;
			unknown += expected[i] == ITEM_UNKNOWN;
		}
		ingest_report(&in, &report);
		assert_int_equal(report.status == STATUS_OK, ok == n);
		assert_int_equal(report.status == STATUS_UNKNOWN, unknown > 0);
		ingest_release(&in);
		batch_release(&b);
	}
}

static void a_group_that_nobody_decided_on_is_rejected_not_ok(void **state)
{
	static struct batch b;
	struct ingest in;
	struct prng p;
	struct report report;
	prng_seed(&p, seed);
	batch_fill(&b, &p, 10, false, false);
	assert_int_equal(ingest_init(&in, &b.items, 4), STATUS_OK);
	for (uint32_t i = 0; i < 10; i++) assert_int_equal(in.results[i], ITEM_REJECTED);
	ingest_report(&in, &report);
	assert_int_not_equal(report.status, STATUS_OK);
	ingest_release(&in);
	batch_release(&b);
}

static void a_refusal_before_anything_was_appended_is_rejected_anything_else_unknown(void **state)
{
	static const struct { enum status status; enum item_result result; } cases[] = {
		{STATUS_BUSY, ITEM_REJECTED}, {STATUS_DISK_FULL, ITEM_REJECTED}, {STATUS_STALE, ITEM_REJECTED}, {STATUS_UNAVAILABLE, ITEM_REJECTED},
		{STATUS_TIMEOUT, ITEM_UNKNOWN}, {STATUS_IO, ITEM_UNKNOWN}, {STATUS_NO_MEMORY, ITEM_UNKNOWN}, {STATUS_STOPPED, ITEM_UNKNOWN}};
	static struct batch b;
	struct prng p;
	prng_seed(&p, seed);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ingest in;
		struct report report;
		struct cluster_reply reply = {.error = {.status = cases[i].status}};
		batch_fill(&b, &p, 5, false, false);
		assert_int_equal(ingest_init(&in, &b.items, 1), STATUS_OK);
		assert_int_equal(ingest_answered(&in, 0, &reply), STATUS_OK);
		for (int n = 0; n < 5; n++) assert_int_equal(in.results[n], cases[i].result);
		ingest_report(&in, &report);
		assert_int_equal(report.status, cases[i].result == ITEM_UNKNOWN ? STATUS_UNKNOWN : cases[i].status);
		ingest_release(&in);
		batch_release(&b);
	}
}

static void tokens_name_shard_epoch_and_sequence(void **state)
{
	static struct batch b;
	struct ingest in;
	struct prng p;
	struct token token;
	uint8_t unused[N];
	prng_seed(&p, seed);
	batch_fill(&b, &p, 100, false, false);
	assert_int_equal(ingest_init(&in, &b.items, 3), STATUS_OK);
	assert_int_equal(in.group_count, 3);
	fate_apply(&in, 0, OK, &p, unused);
	fate_apply(&in, 1, REFUSED, &p, unused);
	fate_apply(&in, 2, OK, &p, unused);
	assert_int_equal(in.token_count, 2);
	token_load(in.tokens.bytes + TOKEN_BYTES, &token);
	assert_int_equal(token.shard, 2);
	assert_int_equal(token.epoch, 1);
	assert_int_equal(token.sequence, 12);
	ingest_release(&in);
	batch_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_item_is_in_the_group_of_its_shard_once_and_in_order),
		cmocka_unit_test(results_stand_where_the_items_stood_whatever_happened_to_each_shard),
		cmocka_unit_test(a_group_that_nobody_decided_on_is_rejected_not_ok),
		cmocka_unit_test(a_refusal_before_anything_was_appended_is_rejected_anything_else_unknown),
		cmocka_unit_test(tokens_name_shard_epoch_and_sequence),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
