/* A uuid is one text and no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/uuid.h"

static void text_and_back_is_the_same(void **state)
{
	char text[UUID_TEXT_SIZE];

	for (int i = 0; i < 100; i++) {
		struct uuid u = uuid_new(), back = {0};
		uuid_text(u, text);
		assert_int_equal(strlen(text), 36);
		assert_int_equal(text[14], '4');
		assert_non_null(strchr("89ab", text[19]));
		assert_true(uuid_parse(text, &back));
		assert_true(uuid_equal(u, back));
		assert_false(uuid_equal(u, uuid_new()));
	}
}

static void only_the_one_form_is_parsed(void **state)
{
	static const char *const bad[] = {
		"", "-", "01234567", "0123456789ab-4def-8123-456789abcdef", "01234567-89ab-4def-8123-456789abcde", "01234567-89ab-4def-8123-456789abcdef0",
		"01234567-89ab-4def-8123-456789abcdeg", "01234567_89ab-4def-8123-456789abcdef", " 1234567-89ab-4def-8123-456789abcdef",
		"0123456789ab4def8123456789abcdef", "{1234567-89ab-4def-8123-456789abcde}",
	};
	struct uuid u = {{7}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) assert_false(uuid_parse(bad[i], &u));
	assert_int_equal(u.bytes[0], 7); /* untouched */
	assert_true(uuid_parse("01234567-89AB-4def-8123-456789abcdef", &u));
	assert_int_equal(u.bytes[4], 0x89);
	assert_int_equal(u.bytes[15], 0xef);
}

static void zero_is_nobody(void **state)
{
	assert_true(uuid_is_zero((struct uuid){{0}}));
	assert_false(uuid_is_zero((struct uuid){.bytes = {[15] = 1}}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_and_back_is_the_same),
		cmocka_unit_test(only_the_one_form_is_parsed),
		cmocka_unit_test(zero_is_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
