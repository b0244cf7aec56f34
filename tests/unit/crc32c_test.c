/* CRC-32C: published vectors, fast equal to plain over lengths and alignments, and continuation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/crc32c.h"
#include "common/prng.h"

static void published_vectors(void **state)
{
	uint8_t bytes[32];

	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	memset(bytes, 0x00, 32);
	assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aa);
	memset(bytes, 0xff, 32);
	assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43);
	for (int i = 0; i < 32; i++) bytes[i] = (uint8_t)i;
	assert_int_equal(crc32c(0, bytes, 32), 0x46dd794e);
	for (int i = 0; i < 32; i++) bytes[i] = (uint8_t)(31 - i);
	assert_int_equal(crc32c(0, bytes, 32), 0x113fdb5c);
	assert_int_equal(crc32c(0, NULL, 0), 0);
}

static void fast_equals_plain(void **state)
{
	enum { ROOM = 40000 };
	uint8_t *bytes = malloc(ROOM);
	struct prng p;

	assert_non_null(bytes);
	prng_seed(&p, 1);
	for (size_t i = 0; i < ROOM; i++) bytes[i] = (uint8_t)prng_u64(&p);
	for (size_t n = 0; n <= 600; n++)
		for (size_t shift = 0; shift < 9; shift++) assert_int_equal(crc32c(5, bytes + shift, n), crc32c_plain(5, bytes + shift, n));
	for (size_t n = 600; n + 9 <= ROOM; n += 487) assert_int_equal(crc32c(6, bytes + n % 9, n), crc32c_plain(6, bytes + n % 9, n));
	/* Around the blocks that three streams share. */
	for (size_t n = 3 * 4096 - 2; n <= 3 * 4096 + 2; n++) assert_int_equal(crc32c(7, bytes, n), crc32c_plain(7, bytes, n));
	free(bytes);
}

static void two_halves_continue_to_the_whole(void **state)
{
	uint8_t bytes[300];
	struct prng p;

	prng_seed(&p, 2);
	for (size_t i = 0; i < sizeof(bytes); i++) bytes[i] = (uint8_t)prng_u64(&p);
	uint32_t whole = crc32c(0, bytes, sizeof(bytes));
	for (size_t n = 0; n <= sizeof(bytes); n++) assert_int_equal(crc32c(crc32c(0, bytes, n), bytes + n, sizeof(bytes) - n), whole);
}

static void crcs_of_two_parts_join_to_that_of_the_whole(void **state)
{
	enum { ROOM = 70000 };
	uint8_t *bytes = malloc(ROOM);
	struct prng p;

	assert_non_null(bytes);
	prng_seed(&p, 3);
	for (size_t i = 0; i < ROOM; i++) bytes[i] = (uint8_t)prng_u64(&p);
	uint32_t whole = crc32c(0, bytes, ROOM);
	for (size_t n = 0; n <= ROOM; n += n < 300 || n > ROOM - 300 ? 1 : 997)
		assert_int_equal(crc32c_joined(crc32c(0, bytes, n), crc32c(0, bytes + n, ROOM - n), ROOM - n), whole);
	/* Past 2^32 bytes: zeros after zeros, joined by doubling. */
	uint32_t zeros = crc32c(0, "", 1), joined = zeros;
	uint64_t n = 1;
	for (; n < (uint64_t)1 << 34; n *= 2) joined = crc32c_joined(joined, joined, n);
	assert_int_equal(crc32c_joined(zeros, joined, n), crc32c_joined(joined, zeros, 1));
	free(bytes);
}

static void every_flipped_bit_is_seen(void **state)
{
	uint8_t bytes[64] = {1, 2, 3};
	uint32_t right = crc32c(0, bytes, sizeof(bytes));

	for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_not_equal(crc32c(0, bytes, sizeof(bytes)), right);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors),
		cmocka_unit_test(fast_equals_plain),
		cmocka_unit_test(two_halves_continue_to_the_whole),
		cmocka_unit_test(crcs_of_two_parts_join_to_that_of_the_whole),
		cmocka_unit_test(every_flipped_bit_is_seen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
