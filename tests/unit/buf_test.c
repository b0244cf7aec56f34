/* A buffer grows to its cap and not one byte past it, and is unchanged when it cannot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

static void cap_is_reached_and_not_passed(void **state)
{
	struct buf b;

	buf_init(&b, 1000);
	for (int i = 0; i < 100; i++) assert_int_equal(buf_append(&b, "0123456789", 10), STATUS_OK);
	assert_int_equal(b.size, 1000);
	assert_int_equal(buf_append(&b, "x", 1), STATUS_NO_MEMORY);
	assert_int_equal(buf_reserve(&b, SIZE_MAX), STATUS_NO_MEMORY);
	assert_int_equal(b.size, 1000);
	assert_memory_equal(b.bytes + 990, "0123456789", 10);
	buf_release(&b);
	buf_release(&b);
	assert_null(b.bytes);
}

static void reset_keeps_the_memory(void **state)
{
	struct buf b;

	buf_init(&b, 0);
	assert_int_equal(buf_append(&b, "abc", 3), STATUS_OK);
	size_t room = b.room;
	buf_reset(&b);
	assert_int_equal(b.size, 0);
	assert_int_equal(b.room, room);
	assert_int_equal(buf_append(&b, NULL, 0), STATUS_OK);
	buf_release(&b);
}

static void printf_appends_and_ends_with_a_nul_that_is_not_counted(void **state)
{
	struct buf b;

	buf_init(&b, 0);
	for (int i = 0; i < 200; i++) assert_int_equal(buf_printf(&b, "%03d,", i), STATUS_OK);
	assert_int_equal(b.size, 800);
	assert_int_equal(strlen((char *)b.bytes), 800);
	assert_memory_equal(b.bytes + 796, "199,", 4);
	buf_release(&b);
}

static void detached_memory_outlives_the_buffer(void **state)
{
	struct buf b;
	uint8_t *bytes, *at;
	size_t size;

	buf_init(&b, 64);
	assert_int_equal(buf_extend(&b, 64, &at), STATUS_OK);
	memset(at, 7, 64);
	buf_detach(&b, &bytes, &size);
	assert_int_equal(b.size, 0);
	assert_int_equal(buf_append(&b, "still usable", 12), STATUS_OK);
	buf_release(&b);
	assert_int_equal(size, 64);
	assert_int_equal(bytes[63], 7);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cap_is_reached_and_not_passed),
		cmocka_unit_test(reset_keeps_the_memory),
		cmocka_unit_test(printf_appends_and_ends_with_a_nul_that_is_not_counted),
		cmocka_unit_test(detached_memory_outlives_the_buffer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
