/* cli_effort_test.c - which efforts may be named together, what is meant by none, and lists of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "client/cli/effort.h"
#include "common/limits.h"

/* The options as they stand on the command line. */
static int options(const char *const *argv, grove_search_args *args, struct effort *effort)
{
	struct arguments a;
	int argc = 0;
	while (argv[argc]) argc++;
	assert_true(arguments_parse(command_find("search"), argc, (char **)argv, stderr, &a));
	int exit_code = effort_options(&a, args, effort);
	arguments_release(&a);
	return exit_code;
}

static void no_effort_is_graph_and_the_servers_default(void **state)
{
	grove_search_args args = {.mode = 7, .search_k = 7, .recall = 7};
	struct effort effort;
	char text[64];
	assert_int_equal(options((const char *const[]){"x", NULL}, &args, &effort), EXIT_OK);
	assert_true(args.mode == GROVE_GRAPH && args.search_k == 0 && args.recall == 0);
	assert_string_equal(effort_text(args.mode, &effort, 10, 10, text, sizeof(text)), "mode graph, recall 0.95");
}

static void each_mode_takes_its_own_efforts(void **state)
{
	static const struct { const char *argv[8]; uint32_t mode, search_k; float recall; const char *text; } good[] = {
		{{"x", "--recall", "0.99"}, GROVE_GRAPH, 0, 0.99f, "mode graph, recall 0.99"},
		{{"x", "--recall", ".999", "--mode", "graph"}, GROVE_GRAPH, 0, 0.999f, "mode graph, recall 0.999"},
		{{"x", "--search-k", "500"}, GROVE_GRAPH, 500, 0, "mode graph, search_k 500"},
		{{"x", "--mode", "forest"}, GROVE_FOREST, 0, 0, "mode forest, search_k 30"},
		{{"x", "--mode", "forest", "--search-k", "500"}, GROVE_FOREST, 500, 0, "mode forest, search_k 500"},
		{{"x", "--exact"}, GROVE_EXACT, 0, 0, "mode exact"},
		{{"x", "--mode", "exact"}, GROVE_EXACT, 0, 0, "mode exact"},
		{{"x", "--mode", "exact", "--exact"}, GROVE_EXACT, 0, 0, "mode exact"},
	};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		grove_search_args args = {0};
		struct effort effort;
		char text[64];
		assert_int_equal(options(good[i].argv, &args, &effort), EXIT_OK);
		assert_true(args.mode == good[i].mode && args.search_k == good[i].search_k && args.recall == good[i].recall);
		assert_string_equal(effort_text(args.mode, &effort, 10, 3, text, sizeof(text)), good[i].text);
	}
}

static void efforts_that_contradict_each_other_are_usage_errors(void **state)
{
	static const char *const bad[][8] = {
		{"x", "--recall", "0.9", "--search-k", "100"}, {"x", "--recall", "0.9", "--exact"}, {"x", "--recall", "0.9", "--mode", "exact"},
		{"x", "--recall", "0.9", "--mode", "forest"}, {"x", "--search-k", "100", "--exact"}, {"x", "--search-k", "100", "--mode", "exact"},
		{"x", "--exact", "--mode", "graph"}, {"x", "--exact", "--mode", "forest"}, {"x", "--mode", "tree"}, {"x", "--mode", ""},
		{"x", "--recall", "1"}, {"x", "--recall", "0"}, {"x", "--recall", "1.5"}, {"x", "--recall", "-0.5"}, {"x", "--recall", "nan"},
		{"x", "--recall", "95%"}, {"x", "--recall", ""}, {"x", "--recall", "."}, {"x", "--recall", "0.9.9"}, {"x", "--recall", "1e-1"},
		{"x", "--recall", "0.99999999999"}, /* 1, as the wire's float */
		{"x", "--search-k", "0"}, {"x", "--search-k", "2147483648"},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		grove_search_args args = {.mode = 7};
		struct effort effort = {7, 7};
		assert_int_equal(options(bad[i], &args, &effort), EXIT_USAGE);
		assert_true(args.mode == 7 && effort.search_k == 7); /* untouched */
	}
}

static void default_budgets_double_and_end_at_the_items(void **state)
{
	struct effort e[EFFORTS_MAX];
	assert_int_equal(efforts_default(GROVE_FOREST, 10, 10, 60000, e), EFFORTS_DEFAULT_MAX);
	for (uint32_t i = 0; i < EFFORTS_DEFAULT_MAX; i++) assert_true(e[i].search_k == 100u << i && e[i].recall == 0);
	assert_int_equal(efforts_default(GROVE_FOREST, 10, 10, 350, e), 3); /* 100, 200, 400: more than all is no more */
	assert_int_equal(e[2].search_k, 400);
	assert_int_equal(efforts_default(GROVE_FOREST, 1048576, 10000, 1, e), 0); /* past the largest search_k */
	assert_int_equal(efforts_default(GROVE_FOREST, 5, 0, 1, e), 1);
	assert_int_equal(e[0].search_k, 5);
}

static void default_recalls_ascend_and_include_the_servers_default(void **state)
{
	struct effort e[EFFORTS_MAX];
	uint32_t n = efforts_default(GROVE_GRAPH, 10, 10, 60000, e), found = 0;
	assert_int_equal(n, 7);
	for (uint32_t i = 0; i < n; i++) {
		assert_true(e[i].search_k == 0 && e[i].recall > 0 && e[i].recall < 1 && (i == 0 || e[i].recall > e[i - 1].recall));
		found += e[i].recall == 0.95;
	}
	assert_int_equal(found, 1);
}

static void lists_of_efforts_are_parsed_strictly(void **state)
{
	struct effort e[EFFORTS_MAX];
	assert_int_equal(efforts_parse("100,200,2147483647", e), 3);
	assert_true(e[0].search_k == 100 && e[2].search_k == INT32_MAX && e[0].recall == 0);
	assert_int_equal(efforts_parse(".9,0.95,0.999", e), 3);
	assert_true(e[0].recall == 0.9 && e[1].recall == 0.95 && e[2].recall == 0.999 && e[0].search_k == 0);
	const char *const bad[] = {"", ",", "1,", ",1", "0", "1,,2", "1 2", "-1", "2147483648", "99999999999999999999999", "1;2",
		"a", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", "0.9,100", "100,.9", "1.5", "1.0", "0.0", ".", "0.9.9", ".9,"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) assert_int_equal(efforts_parse(bad[i], e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_effort_is_graph_and_the_servers_default),
		cmocka_unit_test(each_mode_takes_its_own_efforts),
		cmocka_unit_test(efforts_that_contradict_each_other_are_usage_errors),
		cmocka_unit_test(default_budgets_double_and_end_at_the_items),
		cmocka_unit_test(default_recalls_ascend_and_include_the_servers_default),
		cmocka_unit_test(lists_of_efforts_are_parsed_strictly),
	};
	return cmocka_run_group_tests_name("cli_effort", tests, NULL, NULL);
}
