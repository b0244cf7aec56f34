/* config_test.c - settings come from the file as written; anything the program does not know is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"

static char path[] = "/tmp/grove-config-XXXXXX";

static enum status load(const char *text, char **data, char **listen, struct report *report)
{
	const struct config_setting settings[] = {{"data", data}, {"listen", listen}};
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	fclose(f);
	return config_load(path, settings, 2, report);
}

static int setup(void **state) { return close(mkstemp(path)); }
static int teardown(void **state) { return unlink(path); }

static void settings_are_taken_as_written_and_the_others_stay(void **state)
{
	char *data = NULL, *listen = strdup("before");
	struct report report;
	assert_int_equal(load("# a comment\ndata: /var/lib/grove\n", &data, &listen, &report), STATUS_OK);
	assert_string_equal(data, "/var/lib/grove");
	assert_string_equal(listen, "before");
	assert_int_equal(load("listen: \"tcp://127.0.0.1:7600\"\ndata: 7\n", &data, &listen, &report), STATUS_OK);
	assert_string_equal(data, "7");
	assert_string_equal(listen, "tcp://127.0.0.1:7600");
	free(data);
	free(listen);
}

static void a_misspelt_setting_is_named_with_its_place(void **state)
{
	char *data = NULL, *listen = NULL;
	struct report report;
	assert_int_equal(load("data: here\nlisten: there\nlistten: nowhere\n", &data, &listen, &report), STATUS_USAGE);
	assert_non_null(strstr(report.text, "listten"));
	assert_non_null(strstr(report.text, "line: 2")); /* where reading had come to */
	assert_non_null(strstr(report.text, path));
	/* Nothing of a wrong file is used. */
	assert_null(data);
	assert_null(listen);
}

static void what_is_no_mapping_of_scalars_is_refused(void **state)
{
	static const char *const wrong[] = {"- a\n- b\n", "data: [1, 2]\n", "data: {x: y}\n", "data: \"open\n", "data: a\n  listen: b\n : :\n", "\x01\x02"};
	char *data = NULL, *listen = NULL;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct report report = {.status = STATUS_OK};
		assert_int_equal(load(wrong[i], &data, &listen, &report), STATUS_USAGE);
		assert_true(strlen(report.text) > strlen(path));
		assert_null(data);
	}
}

static void a_missing_file_is_not_found_and_a_huge_one_past_the_limit(void **state)
{
	char *data = NULL, *listen = NULL, *text = malloc(CONFIG_FILE_MAX + 2);
	struct report report;
	assert_int_equal(config_load("/nowhere/grove.yaml", NULL, 0, &report), STATUS_NOT_FOUND);
	assert_non_null(strstr(report.text, "/nowhere/grove.yaml"));
	memset(text, '#', CONFIG_FILE_MAX + 1);
	text[CONFIG_FILE_MAX + 1] = 0;
	assert_int_equal(load(text, &data, &listen, &report), STATUS_LIMIT);
	memcpy(text, "data: x\n", 8);
	text[CONFIG_FILE_MAX] = 0;
	assert_int_equal(load(text, &data, &listen, &report), STATUS_OK);
	assert_string_equal(data, "x");
	free(data);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_are_taken_as_written_and_the_others_stay),
		cmocka_unit_test(a_misspelt_setting_is_named_with_its_place),
		cmocka_unit_test(what_is_no_mapping_of_scalars_is_refused),
		cmocka_unit_test(a_missing_file_is_not_found_and_a_huge_one_past_the_limit),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
