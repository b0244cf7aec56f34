/* The status table is consistent, and a report never cuts a character in two. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "common/status.h"

static const enum status all[] = {
#define STATUS_VALUE(name, number, wire, text) STATUS_##name,
	STATUS_MAP(STATUS_VALUE)
#undef STATUS_VALUE
};
enum { ALL = sizeof(all) / sizeof(all[0]) };

static void names_and_numbers_are_unique_and_survive_the_round_trip(void **state)
{
	for (size_t i = 0; i < ALL; i++) {
		assert_int_equal(status_by_name(status_name(all[i])), all[i]);
		assert_true(strlen(status_text(all[i])) > 0);
		assert_true(strlen(status_text(all[i])) < REPORT_TEXT_MAX);
		for (size_t j = 0; j < i; j++) {
			assert_int_not_equal(all[i], all[j]);
			assert_string_not_equal(status_name(all[i]), status_name(all[j]));
		}
	}
}

static void only_success_is_not_negative(void **state)
{
	for (size_t i = 0; i < ALL; i++) assert_true(all[i] == STATUS_OK ? all[i] == 0 : all[i] < 0);
}

static void numbers_and_names_of_a_newer_version_are_said_to_be_unknown(void **state)
{
	assert_string_equal(status_name((enum status)-12345), "unknown_status");
	assert_string_not_equal(status_text((enum status)-12345), "");
	assert_int_equal(status_by_name("of_the_future"), STATUS_UNSUPPORTED);
}

static void report_carries_its_status_and_sentence(void **state)
{
	struct report r = {0};

	assert_int_equal(report_set(&r, STATUS_LIMIT, "k is %d", 7), STATUS_LIMIT);
	assert_int_equal(r.status, STATUS_LIMIT);
	assert_string_equal(report_text(&r), "k is 7");
	r.text[0] = 0;
	assert_string_equal(report_text(&r), status_text(STATUS_LIMIT));
	assert_int_equal(report_set(NULL, STATUS_IO, "nobody listens"), STATUS_IO);
}

static bool is_whole_utf8(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c;) {
		int rest = *c < 0x80 ? 0 : *c >= 0xf0 ? 3 : *c >= 0xe0 ? 2 : *c >= 0xc0 ? 1 : -1;
		if (rest < 0) return false;
		for (c++; rest > 0; rest--, c++)
			if ((*c & 0xc0) != 0x80) return false;
	}
	return true;
}

static void long_report_is_cut_between_characters(void **state)
{
	static const char *const characters[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x8c\xb3"};
	struct report r;

	for (size_t c = 0; c < 4; c++)
		for (size_t before = 0; before < 8; before++) {
			char text[2 * REPORT_TEXT_MAX] = {0};
			memset(text, 'a', before);
			while (strlen(text) < REPORT_TEXT_MAX + 8) strcat(text, characters[c]);
			report_set(&r, STATUS_IO, "%s", text);
			assert_true(is_whole_utf8(r.text));
			assert_true(strlen(r.text) > REPORT_TEXT_MAX - 5);
			assert_memory_equal(r.text, text, strlen(r.text));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_numbers_are_unique_and_survive_the_round_trip),
		cmocka_unit_test(only_success_is_not_negative),
		cmocka_unit_test(numbers_and_names_of_a_newer_version_are_said_to_be_unknown),
		cmocka_unit_test(report_carries_its_status_and_sentence),
		cmocka_unit_test(long_report_is_cut_between_characters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
