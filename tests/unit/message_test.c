/* Blobs that cannot lie about their lengths, records that come back, and where an item lives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/cursor.h"
#include "proto/message.h"

static void blobs_come_back_in_order(void **state)
{
	uint8_t frame[1 + 4 * 4 + 5];
	struct blobs b;
	struct blob_cursor c = {0};

	static const uint32_t lengths[] = {2, 0, 3, 0};
	for (size_t i = 0; i < 4; i++) store_u32(frame + 1 + i * 4, lengths[i]);
	memcpy(frame + 17, "abcde", 5);
	assert_true(blobs_parse(frame + 1, 21, 4, 3, &b));
	for (size_t i = 0; i < 4; i++) {
		struct blob one = blobs_next(&b, &c);
		assert_int_equal(one.size, lengths[i]);
		if (one.size) assert_memory_equal(one.bytes, i == 0 ? "ab" : "cde", one.size);
	}
	assert_int_equal(blobs_next(&b, &c).size, 0);
	assert_int_equal(blobs_next(&b, &c).size, 0);
	assert_false(blobs_parse(frame + 1, 21, 4, 2, &b)); /* one is longer than allowed */
	assert_false(blobs_parse(frame + 1, 20, 4, 3, &b)); /* cut */
	assert_false(blobs_parse(frame + 1, 15, 4, 3, &b)); /* not even the lengths */
	assert_false(blobs_parse(frame + 1, 21, 3, 3, &b));
	assert_false(blobs_parse(frame + 1, 21, 0, 3, &b));
}

static void lengths_that_wrap_around_are_refused(void **state)
{
	uint8_t frame[16];
	struct blobs b;

	for (size_t i = 0; i < 4; i++) store_u32(frame + i * 4, 0x40000000u); /* together 2^32: no byte in 32 bits */
	assert_false(blobs_parse(frame, 16, 4, UINT32_MAX, &b));
	assert_false(blobs_parse(frame, 16, UINT32_MAX, UINT32_MAX, &b));
}

static void no_blobs_are_all_empty(void **state)
{
	struct blobs b = {.count = 7};
	struct blob_cursor c = {0};

	assert_true(blobs_parse(NULL, 0, 5, 10, &b));
	assert_int_equal(b.count, 0);
	for (int i = 0; i < 6; i++) assert_int_equal(blobs_next(&b, &c).size, 0);
}

static void records_come_back_from_any_address(void **state)
{
	uint8_t bytes[COVERAGE_BYTES + 8];
	struct coverage c = {9, 5, 3, 1, UINT64_MAX, 1, UINT64_C(1) << 63}, c2;
	struct missing m = {4095, STATUS_STOPPED, 77}, m2;
	struct token t = {4095, UINT64_MAX, 12}, t2;

	for (size_t shift = 0; shift < 8; shift++) {
		coverage_store(&c, bytes + shift);
		coverage_load(bytes + shift, &c2);
		assert_memory_equal(&c, &c2, sizeof(c));
		missing_store(&m, bytes + shift);
		missing_load(bytes + shift, &m2);
		assert_true(m2.shard == m.shard && m2.status == m.status && m2.items == m.items);
		token_store(&t, bytes + shift);
		token_load(bytes + shift, &t2);
		assert_true(t2.shard == t.shard && t2.epoch == t.epoch && t2.sequence == t.sequence);
	}
}

static void names_are_those_of_the_document(void **state)
{
	assert_true(index_name_valid("a", 1));
	assert_true(index_name_valid("0_-", 3));
	assert_false(index_name_valid("", 0));
	assert_false(index_name_valid("_a", 2));
	assert_false(index_name_valid("-a", 2));
	assert_false(index_name_valid("aB", 2));
	assert_false(index_name_valid("a\0b", 3));
	assert_false(index_name_valid("a/", 2));
}

/* The first line is a constant on purpose: with another hash every stored key and every shard would be lost. */
static void doubling_the_shards_splits_each_in_two(void **state)
{
	assert_true(item_id_of_key("a", 1) == UINT64_C(0xe6c632b61e964e1f));
	uint32_t seen[8] = {0};
	for (uint64_t id = 0; id < 8000; id++) {
		uint32_t s = shard_of_id(id, 4), t = shard_of_id(id, 8);
		assert_true(t == s || t == s + 4);
		seen[t]++;
	}
	for (int i = 0; i < 8; i++) assert_in_range(seen[i], 800, 1200);
	assert_int_equal(shard_of_id(UINT64_MAX, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blobs_come_back_in_order),
		cmocka_unit_test(lengths_that_wrap_around_are_refused),
		cmocka_unit_test(no_blobs_are_all_empty),
		cmocka_unit_test(records_come_back_from_any_address),
		cmocka_unit_test(names_are_those_of_the_document),
		cmocka_unit_test(doubling_the_shards_splits_each_in_two),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
