/* A cursor cannot overrun, remembers its first error, and sizes are added without wrapping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"

static void what_is_written_is_read_back_at_any_alignment(void **state)
{
	for (size_t shift = 0; shift < 8; shift++) {
		uint8_t bytes[32] = {0};
		struct writer w;
		struct reader r;

		writer_init(&w, bytes + shift, 24);
		writer_u8(&w, 0x01);
		writer_u16(&w, 0x2345);
		writer_u32(&w, 0x6789abcd);
		writer_u64(&w, 0x0123456789abcdefu);
		writer_zeros(&w, 2);
		writer_bytes(&w, "xyz", 3);
		assert_false(w.failed);
		assert_int_equal(writer_used(&w), 20);

		reader_init(&r, bytes + shift, writer_used(&w));
		assert_int_equal(reader_u8(&r), 0x01);
		assert_int_equal(reader_u16(&r), 0x2345);
		assert_int_equal(reader_u32(&r), 0x6789abcd);
		assert_true(reader_u64(&r) == 0x0123456789abcdefu);
		assert_int_equal(reader_u16(&r), 0);
		assert_memory_equal(reader_bytes(&r, 3), "xyz", 3);
		assert_int_equal(reader_left(&r), 0);
		assert_false(r.failed);
	}
}

static void integers_are_little_endian(void **state)
{
	const uint8_t bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	uint8_t out[8];

	assert_int_equal(load_u16(bytes), 0x0201);
	assert_int_equal(load_u32(bytes), 0x04030201);
	assert_true(load_u64(bytes) == 0x0807060504030201u);
	store_u64(out, 0x0807060504030201u);
	assert_memory_equal(out, bytes, 8);
	store_f32(out, -0.5f);
	assert_int_equal(load_u32(out), 0xbf000000);
	assert_true(load_f32(out) == -0.5f);
}

static void read_past_the_end_gives_zeros_from_then_on(void **state)
{
	/* An exact heap block, so that a sanitizer sees a read past it. */
	uint8_t *bytes = malloc(7);
	struct reader r;

	assert_non_null(bytes);
	memset(bytes, 0xff, 7);
	reader_init(&r, bytes, 7);
	assert_int_equal(reader_u32(&r), 0xffffffff);
	assert_int_equal(reader_u32(&r), 0); /* 3 are left */
	assert_true(r.failed);
	assert_int_equal(reader_u8(&r), 0); /* sticky, though one byte would fit */
	assert_int_equal(reader_u16(&r), 0);
	assert_true(reader_u64(&r) == 0);
	assert_null(reader_bytes(&r, 1));
	assert_null(reader_bytes(&r, SIZE_MAX));
	assert_int_equal(reader_left(&r), 0);
	free(bytes);
}

static void write_past_the_end_changes_nothing_from_then_on(void **state)
{
	uint8_t bytes[8];
	struct writer w;

	memset(bytes, 0xaa, sizeof(bytes));
	writer_init(&w, bytes, 5);
	writer_u32(&w, 0);
	writer_u16(&w, 0x1111);
	assert_true(w.failed);
	writer_u8(&w, 0x22);
	writer_zeros(&w, SIZE_MAX);
	assert_int_equal(writer_used(&w), 4);
	for (size_t i = 4; i < sizeof(bytes); i++) assert_int_equal(bytes[i], 0xaa);
}

static void nothing_can_be_read_from_nothing(void **state)
{
	struct reader r;

	reader_init(&r, NULL, 0);
	assert_int_equal(reader_left(&r), 0);
	assert_false(r.failed);
	assert_int_equal(reader_u8(&r), 0);
	assert_true(r.failed);
}

static void sums_and_products_that_wrap_are_refused(void **state)
{
	size_t v = 42;

	assert_false(size_add(SIZE_MAX, 1, &v));
	assert_false(size_mul(SIZE_MAX / 2 + 1, 2, &v));
	assert_int_equal(v, 42);
	assert_true(size_add(SIZE_MAX - 1, 1, &v));
	assert_true(v == SIZE_MAX);
	assert_true(size_mul(1u << 16, 1u << 16, &v));
	assert_true(v == (size_t)1 << 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_back_at_any_alignment),
		cmocka_unit_test(integers_are_little_endian),
		cmocka_unit_test(read_past_the_end_gives_zeros_from_then_on),
		cmocka_unit_test(write_past_the_end_changes_nothing_from_then_on),
		cmocka_unit_test(nothing_can_be_read_from_nothing),
		cmocka_unit_test(sums_and_products_that_wrap_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
