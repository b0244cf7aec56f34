/* Packed numbers come back at every width, whatever stands around them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdlib.h>

#include "worker/engine/packed.h"

enum { COUNT = 17 };

static uint64_t number_of(uint32_t width, size_t i)
{
	uint64_t most = width == 8 ? UINT64_MAX : ((uint64_t)1 << 8 * width) - 1;
	return i % 3 == 0 ? most : i % 3 == 1 ? 0 : most / (i + 1);
}

static void numbers_come_back_at_every_width(void **state)
{
	for (uint32_t width = 1; width <= 8; width++) {
		size_t size = (size_t)packed_size(COUNT, width);
		uint8_t *bytes = malloc(size); /* of the exact size: a sanitizer sees a step beside it */
		assert_non_null(bytes);
		assert_int_equal(size, COUNT * width + PACKED_SPARE);
		memset(bytes, 0xab, size);
		for (size_t i = COUNT; i-- > 0;) packed_put(bytes, width, i, number_of(width, i)); /* backwards: none is put over the one behind it */
		const struct packed p = {bytes, width};
		for (size_t i = 0; i < COUNT; i++) assert_true(packed_at(&p, i) == number_of(width, i));
		for (size_t i = COUNT * width; i < size; i++) assert_int_equal(bytes[i], 0xab);
		free(bytes);
	}
}

static void numbers_are_as_wide_as_the_largest_needs(void **state)
{
	assert_int_equal(packed_width(0), 1);
	for (uint32_t width = 1; width < 8; width++) {
		uint64_t past = (uint64_t)1 << 8 * width;
		assert_int_equal(packed_width(past - 1), width);
		assert_int_equal(packed_width(past), width + 1);
	}
	assert_int_equal(packed_width(UINT64_MAX), 8);
	assert_int_equal(packed_row_width(0), 1);
	assert_int_equal(packed_row_width(256), 1);
	assert_int_equal(packed_row_width(257), 2);
	assert_int_equal(packed_row_width(1 << 24), 3);
	assert_int_equal(packed_row_width((1 << 24) + 1), 4);
	assert_int_equal(packed_size(0, 4), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_come_back_at_every_width),
		cmocka_unit_test(numbers_are_as_wide_as_the_largest_needs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
