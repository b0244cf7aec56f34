/* The scan agrees with msgpack-c on what is well formed, and cannot be made to allocate, to recurse or to run past the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/client_codec.h"
#include "proto/msgpack_scan.h"
#include "tests/support/messages.h"

/* The highest size of the address space so far, in KiB. */
static long peak_kib(void)
{
	char line[200];
	long kib = -1;
	FILE *f = fopen("/proc/self/status", "r");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmPeak: %ld", &kib) == 1) break;
	fclose(f);
	assert_true(kib > 0);
	return kib;
}

static void claims_of_gigabytes_cost_nothing(void **state)
{
	static const struct { const char *bytes; size_t size; } claims[] = {
		{"\xdd\x0f\xff\xff\xff", 5}, {"\xdf\x7f\xff\xff\xff", 5}, {"\xdb\xff\xff\xff\xff", 5}, {"\xc6\xff\xff\xff\xff", 5}, {"\xc9\xff\xff\xff\xff\x01", 6},
		{"\xdd\x00\x00\x00\x03\xdd\x0f\xff\xff\xff", 10}, {"\x81\xa1v\xdd\x0f\xff\xff\xff", 8}, {"\xdc\xff\xff", 3}, {"\xde\xff\xff", 3},
	};
	long before = peak_kib();

	for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
		const uint8_t *bytes = (const uint8_t *)claims[i].bytes;
		struct net_frame frame = {bytes, claims[i].size};
		struct client_request r;
		struct client_reply reply;
		struct buf scratch = {0};
		uint64_t id;
		struct reader cursor;
		struct mp_value value;
		reader_init(&cursor, bytes, claims[i].size);
		if (bytes[0] >= 0xc0 && claims[i].size < 8) assert_false(mp_next(&cursor, &value)); /* refused at the count, not at the end */
		assert_false(msgpack_scan(bytes, claims[i].size, false));
		assert_int_equal(client_request_decode(&frame, 1, &scratch, &r, &id, NULL), STATUS_BAD_REQUEST);
		assert_int_equal(client_reply_decode(&frame, 1, &reply, NULL), STATUS_BAD_REQUEST);
	}
	assert_true(peak_kib() - before < 4096);
}

static void rows_that_claim_gigabytes_cost_nothing(void **state)
{
	/* {"v":1,"id":1,"op":"list","ok":true}, then workers, indexes and shards. */
	static const uint8_t header[] = "\x84\xa1v\x01\xa2id\x01\xa2op\xa4list\xa2ok\xc3";
	static uint8_t many[1024 * 1024] = {0xdd, 0x00, 0x0f, 0xff, 0xfb}; /* as many rows as there are bytes left, each the integer 0 */
	struct net_frame frames[4] = {{header, sizeof(header) - 1}, {(const uint8_t *)"\x90", 1}, {many, sizeof(many)}, {(const uint8_t *)"\x90", 1}};
	struct client_reply reply;
	long before = peak_kib();

	assert_true(msgpack_scan(many, sizeof(many), false));
	assert_int_equal(client_reply_decode(frames, 4, &reply, NULL), STATUS_BAD_REQUEST);
	frames[2] = frames[1];
	assert_int_equal(client_reply_decode(frames, 4, &reply, NULL), STATUS_OK);
	client_reply_release(&reply);
	assert_true(peak_kib() - before < 4096);
}

/* `depth` containers inside one another, alternately maps and arrays, with a nil in the middle. */
static size_t nest(uint8_t *out, int depth, bool map)
{
	size_t n = 0;

	for (int i = 0; i < depth; i++, map = !map) {
		out[n++] = map ? 0x81 : 0x91;
		if (map) out[n++] = 0x01;
	}
	out[n++] = 0xc0;
	return n;
}

static void eight_levels_are_accepted_and_nine_are_not(void **state)
{
	uint8_t bytes[4096];

	for (int map = 0; map < 2; map++) {
		assert_true(msgpack_scan(bytes, nest(bytes, MSGPACK_DEPTH_MAX, map), map));
		assert_false(msgpack_scan(bytes, nest(bytes, MSGPACK_DEPTH_MAX + 1, map), map));
		assert_false(msgpack_scan(bytes, nest(bytes, 1000, map), map));
	}
	memset(bytes, 0x91, sizeof(bytes));
	assert_false(msgpack_scan(bytes, sizeof(bytes), false));
	/* Breadth is no depth: one level after another. */
	assert_true(msgpack_scan((const uint8_t *)"\x94\x90\x80\x90\x80", 5, false));
}

static void keys_of_maps_are_no_containers(void **state)
{
	assert_false(msgpack_scan((const uint8_t *)"\x81\x90\x01", 3, true));
	assert_false(msgpack_scan((const uint8_t *)"\x82\x01\x02\x80\x01", 5, true));
	assert_true(msgpack_scan((const uint8_t *)"\x82\x01\x90\x02\x80", 5, true));
}

static void a_value_is_all_of_the_bytes(void **state)
{
	assert_false(msgpack_scan(NULL, 0, false));
	assert_false(msgpack_scan((const uint8_t *)"\xc0\xc0", 2, false));
	assert_false(msgpack_scan((const uint8_t *)"\xc0", 1, true));
	assert_false(msgpack_scan((const uint8_t *)"\xc1", 1, false));
	assert_true(msgpack_scan((const uint8_t *)"\xc0", 1, false));
}

/* What msgpack-c says of bytes that are safe to show it: those without 32-bit counts. */
static bool reference(const uint8_t *bytes, size_t size)
{
	msgpack_unpacked u;
	size_t offset = 0;

	msgpack_unpacked_init(&u);
	msgpack_unpack_return result = msgpack_unpack_next(&u, (const char *)bytes, size, &offset);
	msgpack_unpacked_destroy(&u);
	return (result == MSGPACK_UNPACK_SUCCESS || result == MSGPACK_UNPACK_EXTRA_BYTES) && offset == size;
}

static void random_values_are_judged_as_msgpack_c_does(void **state)
{
	const char *text = getenv("GROVE_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 10) : 1;
	int good = 0, agreed = 0;
	struct maker m;

	maker_init(&m, seed);
	for (int round = 0; round < 20000; round++) {
		struct buf b = {0};
		random_msgpack(&m, false, 5, &b);
		if (!msgpack_scan(b.bytes, b.size, false)) fail_msg("round %d of seed %llu: a valid value is refused", round, (unsigned long long)seed);
		assert_true(reference(b.bytes, b.size));
		good++;
		for (int flips = 0; flips < 3; flips++) b.bytes[prng_below(&m.prng, (uint32_t)b.size)] ^= (uint8_t)(1u << prng_below(&m.prng, 8));
		bool huge = false;
		for (size_t i = 0; i < b.size; i++) huge = huge || b.bytes[i] == 0xdd || b.bytes[i] == 0xdf;
		/* We are stricter (UTF-8, depth, keys), never laxer. */
		if (!huge && msgpack_scan(b.bytes, b.size, false)) {
			if (!reference(b.bytes, b.size)) fail_msg("round %d of seed %llu: a damaged value is accepted", round, (unsigned long long)seed);
			agreed++;
		}
		buf_release(&b);
	}
	assert_true(good == 20000 && agreed > 100);
	maker_reset(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(claims_of_gigabytes_cost_nothing),
		cmocka_unit_test(rows_that_claim_gigabytes_cost_nothing),
		cmocka_unit_test(eight_levels_are_accepted_and_nine_are_not),
		cmocka_unit_test(keys_of_maps_are_no_containers),
		cmocka_unit_test(a_value_is_all_of_the_bytes),
		cmocka_unit_test(random_values_are_judged_as_msgpack_c_does),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
