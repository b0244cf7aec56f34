/* cli_arguments_test.c - the command line: parsing, exact numbers, near words, help from the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/command.h"
#include "client/cli/session.h"
#include "client/cli/verbs.h"

enum { ARGC_MAX = 12 };

/* Parse "a b c" (split at spaces); what was said on failure goes to `said` (256 bytes). */
static bool parse(const char *verb, const char *line, struct arguments *ret, char *said)
{
	static char copy[512];
	char *argv[ARGC_MAX];
	int argc = 0;
	char *rest;
	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok_r(copy, " ", &rest); word && argc < ARGC_MAX; word = strtok_r(NULL, " ", &rest))
		argv[argc++] = word;
	FILE *err = fmemopen(said, 256, "w");
	const struct command *command = command_find(verb);
	assert_non_null(command);
	bool ok = arguments_parse(command, argc, argv, err, ret);
	fclose(err);
	return ok;
}

static void options_may_stand_anywhere_and_in_every_form(void **state)
{
	const char *const lines[] = {
		"clothes --id 7 -k 10 --json", "--json -k10 clothes --id=7", "--id 7 --k=10 --json -- clothes"};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct arguments a;
		char said[256];
		uint32_t k = 0;
		uint64_t id = 0;
		assert_true(parse("search", lines[i], &a, said));
		assert_int_equal(a.positional_count, 1);
		assert_string_equal(a.positional[0], "clothes");
		assert_true(arguments_u32(&a, "k", 1, 100, &k) && k == 10);
		assert_true(arguments_u64(&a, "id", 0, UINT64_MAX, &id) && id == 7);
		assert_true(arguments_has(&a, "json"));
		assert_false(arguments_has(&a, "exact"));
		arguments_release(&a);
	}
}

static void value_may_begin_with_a_dash_and_the_last_one_counts(void **state)
{
	struct arguments a;
	char said[256];
	assert_true(parse("search", "x --vector -1 --vector [-2]", &a, said));
	assert_string_equal(arguments_text(&a, "vector"), "[-2]");
	arguments_release(&a);
}

static void ids_are_exact_up_to_the_largest(void **state)
{
	uint64_t v = 5;
	assert_true(text_u64("18446744073709551615", &v) && v == UINT64_MAX);
	assert_true(text_u64("9007199254740993", &v) && v == (UINT64_C(1) << 53) + 1);
	const char *const bad[] = {
		"18446744073709551616", "99999999999999999999", "", "-1", "+1", " 1", "1 ", "1.0", "0x10", "1e3"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		v = 77;
		assert_false(text_u64(bad[i], &v));
		assert_int_equal(v, 77);
	}
}

static void numbers_out_of_range_are_refused_and_name_the_range(void **state)
{
	struct arguments a;
	char said[256];
	uint32_t dim = 3;
	float c = 0.5f;
	assert_true(parse("create", "x --dim 65537", &a, said));
	assert_false(arguments_u32(&a, "dim", 1, 65536, &dim));
	assert_int_equal(dim, 3);
	arguments_release(&a);
	assert_true(parse("search", "x --min-coverage 1.5", &a, said));
	assert_false(arguments_float(&a, "min-coverage", 0, 1, &c));
	arguments_release(&a);
	assert_true(parse("search", "x --min-coverage nan", &a, said));
	assert_false(arguments_float(&a, "min-coverage", 0, 1, &c));
	assert_true(c == 0.5f);
	arguments_release(&a);
}

static void mistakes_are_told_in_a_sentence(void **state)
{
	static const struct {
		const char *verb, *line, *sentence;
	} cases[] = {
		{"search", "x --exakt", "did you mean --exact?"},
		{"search", "x --zzzzzz 3", "there is no option --zzzzzz"},
		{"search", "x -Z", "there is no option -Z"},
		{"search", "x -k", "--k needs a value"},
		{"search", "x --exact=3", "--exact takes no value"},
		{"search", "", "NAME is missing"},
		{"search", "x y", "'y' is one argument too many"},
		{"import", "x", "FILE is missing"},
		{"export", "x", "FILE is missing"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct arguments a;
		char said[256] = "";
		assert_false(parse(cases[i].verb, cases[i].line, &a, said));
		if (!strstr(said, cases[i].sentence)) fail_msg("'%s' does not say: %s", said, cases[i].sentence);
		arguments_release(&a);
	}
}

static void help_needs_nothing_else(void **state)
{
	struct arguments a;
	char said[256];
	assert_true(parse("import", "--help", &a, said));
	assert_true(arguments_has(&a, "help"));
	arguments_release(&a);
}

static void word_distance_counts_edits(void **state)
{
	assert_int_equal(word_distance("search", "search"), 0);
	assert_int_equal(word_distance("serch", "search"), 1);
	assert_int_equal(word_distance("saerch", "search"), 1); /* neighbours swapped */
	assert_int_equal(word_distance("list", "lost"), 1);
	assert_int_equal(word_distance("", "abc"), 3);
	assert_true(word_distance("a-word-that-is-longer-than-the-bound-of-words", "search") > 2);
}

static const char *command_word(const void *context, size_t i)
{
	return commands[i].name;
}

static void mistyped_verb_finds_its_neighbour_and_nonsense_none(void **state)
{
	assert_string_equal(word_nearest("serch", command_word, NULL), "search");
	assert_string_equal(word_nearest("stauts", command_word, NULL), "status");
	assert_string_equal(word_nearest("improt", command_word, NULL), "import");
	assert_string_equal(word_nearest("exprot", command_word, NULL), "export");
	assert_null(word_nearest("frobnicate", command_word, NULL));
	assert_null(word_nearest("x", command_word, NULL));
}

static void every_command_has_help_with_examples_before_options(void **state)
{
	size_t count = 0;
	for (const struct command *c = commands; c->name; c++, count++) {
		char *text = NULL;
		size_t size = 0;
		FILE *out = open_memstream(&text, &size);
		help_command(c, out);
		fclose(out);
		const char *examples = strstr(text, "Examples:"), *usage = strstr(text, "Usage: grove ");
		assert_non_null(examples);
		assert_non_null(usage);
		assert_true(examples < usage);
		assert_non_null(c->examples[0].line);
		for (const struct example *e = c->examples; e->line; e++) {
			char start[64];
			snprintf(start, sizeof(start), "grove %s", c->name);
			assert_memory_equal(e->line, start, strlen(start));
		}
		for (const struct option *o = c->options; o->name; o++) {
			char name[64];
			snprintf(name, sizeof(name), "--%s", o->name);
			assert_non_null(strstr(text, name));
		}
		free(text);
	}
	assert_int_equal(count, 14);
}

static void exit_codes_are_the_documented_ones(void **state)
{
	assert_int_equal(exit_code_of(GROVE_OK), 0);
	assert_int_equal(exit_code_of(GROVE_BAD_REQUEST), 1);
	assert_int_equal(exit_code_of(GROVE_UNKNOWN), 1);
	assert_int_equal(exit_code_of(GROVE_USAGE), 2);
	assert_int_equal(exit_code_of(GROVE_NOT_FOUND), 3);
	assert_int_equal(exit_code_of(GROVE_INCOMPLETE), 4);
	assert_int_equal(exit_code_of(GROVE_UNAVAILABLE), 69);
	assert_int_equal(exit_code_of(GROVE_TIMEOUT), 69);
	assert_int_equal(exit_code_of(GROVE_BUSY), 75);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_may_stand_anywhere_and_in_every_form),
		cmocka_unit_test(value_may_begin_with_a_dash_and_the_last_one_counts),
		cmocka_unit_test(ids_are_exact_up_to_the_largest),
		cmocka_unit_test(numbers_out_of_range_are_refused_and_name_the_range),
		cmocka_unit_test(mistakes_are_told_in_a_sentence),
		cmocka_unit_test(help_needs_nothing_else),
		cmocka_unit_test(word_distance_counts_edits),
		cmocka_unit_test(mistyped_verb_finds_its_neighbour_and_nonsense_none),
		cmocka_unit_test(every_command_has_help_with_examples_before_options),
		cmocka_unit_test(exit_codes_are_the_documented_ones),
	};
	return cmocka_run_group_tests_name("cli_arguments", tests, NULL, NULL);
}
