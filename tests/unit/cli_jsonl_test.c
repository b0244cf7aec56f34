/* cli_jsonl_test.c - a JSON object a line: vectors, ids, keys and payloads, from files and from standard input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <unistd.h>

#include "client/cli/item_source.h"
#include "client/grove.h"
#include "proto/client_codec.h"
#include "proto/message.h"
#include "tests/unit/cli_files.h"

static void objects_a_line_are_read_with_and_without_names(void **state)
{
	static const char *const texts[] = {"{\"vector\":[0,1,2]}\n{\"vector\":[3,4,5]}\n{\"vector\":[6,7,8]}\n",
		"\n{\"id\":1,\"vector\":[0,1,2.0]}\r\n \n {\"vector\":[3,4e0,5],\"id\":2} \n{\"key\":\"c\",\"vector\":[6,7,8],\"payload\":null}"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) expect_nine("a.jsonl", texts[i], strlen(texts[i]));
	expect_nine("named-otherwise", texts[0], strlen(texts[0])); /* by its first byte */
}

static void mistakes_are_told_with_their_line(void **state)
{
	static const struct {
		const char *text, *sentence;
	} cases[] = {
		{"{\"vector\":[1,2]}\n{\"vector\":[1,2}\n", "line 2"},
		{"{\"vector\":[1,2]}\n{\"vector\":[1,2]} x\n", "not valid JSON"},
		{"{\"vector\":[1,2]}\n\n{\"vector\":[1]}\n", "line 3"},
		{"{\"vector\":[1,2]}\n{\"vector\":[1]}\n", "1 numbers, the first has 2"},
		{"{\"vector\":[]}\n", "an object with a vector"},
		{"{\"id\":1}\n", "an object with a vector"},
		{"[1,2]\n", "format"},
		{"{\"vector\":7}\n", "an object with a vector"},
		{"{\"vector\":[1,\"2\"]}\n", "element 1"},
		{"{\"vector\":[1,1e39]}\n", "element 1"},
		{"{\"vector\":[1,1e999]}\n", "line 1"},
		{"{\"vector\":[1],\"vector\":[2]}\n", "duplicate"},
		{"{\"vector\":[1],\"label\":2}\n", "'label' is not known"},
		{"{\"id\":-1,\"vector\":[1]}\n", "whole number"},
		{"{\"id\":\"7\",\"vector\":[1]}\n", "whole number"},
		{"{\"id\":1.0,\"vector\":[1]}\n", "whole number"},
		{"{\"id\":18446744073709551616,\"vector\":[1]}\n", "too big"},
		{"{\"id\":184467440737095516150,\"vector\":[1]}\n", "too big"},
		{"{\"id\":9223372036854775808.5,\"vector\":[1]}\n", "whole number"},
		{"{\"id\":1,\"vector\":[1],\"payload\":{\"id\":18446744073709551615}}\n", "too big"},
		{"{\"key\":\"\",\"vector\":[1]}\n", "1 to 255"},
		{"{\"key\":7,\"vector\":[1]}\n", "1 to 255"},
		{"{\"key\":\"a\",\"id\":1,\"vector\":[1]}\n", "leave one of them out"},
		{"{\"id\":1,\"vector\":[1]}\n{\"vector\":[1]}\n", "neither id nor key"},
		{"{\"vector\":[1]}\n{\"id\":1,\"vector\":[1]}\n", "the lines before have none"},
		{"{\"vector\":[1],\"payload\":[1]}\n", "JSON object"},
		{"{\"vector\":[1],\"payload\":{\"a\":[[[[[[[[1]]]]]]]]}}\n", "levels deep"},
		{"\n \n", "no"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refused(cases[i].text[0] == '[' ? "bad" : "bad.jsonl", cases[i].text, strlen(cases[i].text), cases[i].sentence);
}

static char *long_line(const char *before, size_t n, const char *after)
{
	char *text = malloc(strlen(before) + n + strlen(after) + 1);
	assert_non_null(text);
	strcpy(text, before);
	memset(text + strlen(before), 'x', n);
	strcpy(text + strlen(before) + n, after);
	return text;
}

static void keys_payloads_and_lines_end_at_their_limits(void **state)
{
	float out[OUT_MAX];
	uint32_t rows, dim;
	struct report report;
	static const struct {
		const char *before, *after;
		size_t most;
		const char *sentence;
	} cases[] = {{"{\"vector\":[1],\"key\":\"", "\"}\n", 255, "255"},
		{"{\"vector\":[1],\"payload\":{\"a\":\"", "\"}}\n", 65536 - 1 - 2 - 3, "65536"}, /* the map's head, the name, the text's head */
		{"{\"vector\":[1]}\n#", "\n", 0, "not valid JSON"},
		{"{\"vector\":[1]}\n", "\n", 0, "line 2"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = long_line(cases[i].before, cases[i].most, cases[i].after);
		if (cases[i].most) assert_int_equal(read_all(file("at.jsonl", text, strlen(text)), NULL, out, &rows, &dim, &report), STATUS_OK);
		free(text);
		text = long_line(cases[i].before, cases[i].most + 1, cases[i].after);
		refused("past.jsonl", text, strlen(text), cases[i].sentence);
		free(text);
	}
	char *text = long_line("{\"vector\":[1]}\n", 4 * 1024 * 1024, "\n");
	refused("line.jsonl", text, strlen(text), "line of more than");
	free(text);
}

static void ids_are_exact_up_to_the_largest(void **state)
{
	static const char text[] = "{\"id\":18446744073709551615,\"vector\":[1]}\n{\"vector\":[1], \"id\" : 9223372036854775808 }\n"
				   "{\"id\":9007199254740993,\"vector\":[1]}\n{\"payload\":{\"id\":5,\"t\":\"\\\"id\\\":3\"},\"id\":0,\"vector\":[1]}\n";
	static const uint64_t expected[] = {UINT64_MAX, UINT64_C(1) << 63, (UINT64_C(1) << 53) + 1, 0};
	struct dataset *d = NULL;
	struct report report;
	float out[4];
	uint32_t n = 0;
	assert_int_equal(dataset_open(file("ids.jsonl", text, sizeof(text) - 1), NULL, &d, &report), STATUS_OK);
	assert_true(dataset_items(d)->named);
	assert_int_equal(dataset_read(d, 4, out, &n, &report), STATUS_OK);
	assert_int_equal(n, 4);
	assert_memory_equal(dataset_items(d)->ids.bytes, expected, sizeof(expected));
	dataset_close(&d);
}

/* In batches of one item: ids, keys and payloads stay with their vectors. */
static void source_brings_ids_keys_and_payloads(void **state)
{
	static const char text[] = "{\"id\":7,\"vector\":[0,1]}\n{\"key\":\"boot\",\"vector\":[1,0],\"payload\":{\"label\":\"b\"}}\n";
	char names[128], numbers[128];
	snprintf(names, sizeof(names), "%s", file("names.jsonl", text, sizeof(text) - 1));
	snprintf(numbers, sizeof(numbers), "%s", file("numbers.csv", "1,1\n", 4));
	const char *const files[] = {names, numbers};
	for (size_t at_once = 8; at_once <= 64; at_once *= 8) {
		struct item_source_options o = {.files = files, .file_count = 2, .dim = 2, .start_id = 0};
		struct item_source *s = NULL;
		struct item_batch b;
		struct report report = {.status = STATUS_OK};
		uint64_t ids[3];
		uint32_t seen = 0, keys = 0, payloads = 0;
		item_batch_init(&b);
		if (item_source_open(&o, &s, &report) != STATUS_OK) fail_msg("%s", report.text);
		for (;;) {
			if (item_source_read(s, at_once, &b, &report) != STATUS_OK) fail_msg("%s", report.text);
			if (b.count == 0) break;
			assert_true(seen + b.count <= 3);
			memcpy(ids + seen, b.ids.bytes, 8 * b.count);
			if (b.keys.size) {
				assert_memory_equal(b.keys.bytes, "boot", 4);
				assert_int_equal(b.key_sizes.size, 4 * b.count);
				keys++;
			}
			if (b.payloads.size) {
				assert_memory_equal(b.payloads.bytes, "\x81\xa5label\xa1"
								      "b",
					b.payloads.size);
				assert_int_equal(b.payload_sizes.size, 4 * b.count);
				payloads++;
			}
			seen += b.count;
		}
		assert_int_equal(seen, 3);
		assert_int_equal(keys, 1);
		assert_int_equal(payloads, 1);
		assert_true(ids[0] == 7 && ids[1] == item_id_of_key("boot", 4) && ids[2] == 0);
		item_batch_release(&b);
		item_source_close(&s);
	}
}

static enum status drain(const struct item_source_options *o, struct report *report)
{
	struct item_source *s = NULL;
	struct item_batch b;
	enum status status = item_source_open(o, &s, report);
	if (status != STATUS_OK) return status;
	item_batch_init(&b);
	do {
		status = item_source_read(s, 1 << 20, &b, report);
	} while (status == STATUS_OK && b.count);
	item_batch_release(&b);
	item_source_close(&s);
	return status;
}

static void names_in_the_file_and_names_beside_it_exclude_each_other(void **state)
{
	char items[128], other[128];
	struct report report;
	snprintf(items, sizeof(items), "%s", file("i.jsonl", "{\"id\":1,\"vector\":[1],\"payload\":{\"a\":1}}\n", 40));
	snprintf(other, sizeof(other), "%s", file("other.txt", "7\n", 2));
	const char *const files[] = {items};
	struct item_source_options o = {.files = files, .file_count = 1, .dim = 1};
	assert_int_equal(drain(&o, &report), STATUS_OK);
	o.numbered = true;
	assert_int_equal(drain(&o, &report), STATUS_BAD_REQUEST);
	o.numbered = false;
	o.ids = other;
	assert_int_equal(drain(&o, &report), STATUS_BAD_REQUEST);
	assert_non_null(strstr(report.text, "--ids"));
	o.ids = NULL;
	o.labels = other;
	assert_int_equal(drain(&o, &report), STATUS_BAD_REQUEST);
	assert_non_null(strstr(report.text, "--labels"));
	file("i.jsonl", "{\"vector\":[1],\"payload\":null}\n", 30); /* without names and payloads both may stand beside it */
	o.ids = other;
	assert_int_equal(drain(&o, &report), STATUS_OK);
}

/* Keys and payloads of one batch must fit one message, however small its vectors are. */
static void a_read_ends_when_its_payloads_are_many(void **state)
{
	enum { ROWS = 200, TEXT = 60000 };
	char *line = long_line("{\"vector\":[1],\"payload\":{\"a\":\"", TEXT, "\"}}\n"), *all = malloc(ROWS * strlen(line) + 1);
	struct dataset *d = NULL;
	struct report report;
	uint32_t seen = 0, reads = 0;
	float out[ROWS];
	assert_non_null(all);
	for (size_t i = 0; i < ROWS; i++) memcpy(all + i * strlen(line), line, strlen(line));
	assert_int_equal(dataset_open(file("big.jsonl", all, ROWS * strlen(line)), NULL, &d, &report), STATUS_OK);
	for (uint32_t n = 1; n; seen += n, reads++) {
		n = 0;
		assert_int_equal(dataset_read(d, ROWS, out, &n, &report), STATUS_OK);
		assert_true(dataset_items(d)->payloads.size < 5 * 1024 * 1024);
	}
	assert_int_equal(seen, ROWS);
	assert_true(reads >= 3);
	dataset_close(&d);
	free(all);
	free(line);
}

static void standard_input_is_read_once_and_named(void **state)
{
	static const char text[] = "{\"id\":1,\"vector\":[1]}\n{\"id\":2,\"vector\":[2]}\n{\"id\":2}\n";
	const char *const files[] = {"-", "-"};
	struct item_source_options o = {.files = files, .file_count = 1, .dim = 1};
	struct report report = {.status = STATUS_OK};
	int was = dup(STDIN_FILENO), ends[2];
	for (size_t size = strlen(text) - 9; size <= strlen(text); size += 9) { /* whole; with a third line that is a mistake */
		assert_int_equal(pipe(ends), 0);
		assert_int_equal(write(ends[1], text, size), size);
		close(ends[1]);
		assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
		close(ends[0]);
		assert_int_equal(drain(&o, &report), size == strlen(text) ? STATUS_BAD_REQUEST : STATUS_OK);
	}
	assert_non_null(strstr(report.text, "line 3 of standard input"));
	o.file_count = 2;
	assert_int_equal(drain(&o, &report), STATUS_USAGE);
	assert_int_equal(dup2(was, STDIN_FILENO), STDIN_FILENO);
	close(was);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_a_line_are_read_with_and_without_names),
		cmocka_unit_test(mistakes_are_told_with_their_line),
		cmocka_unit_test(keys_payloads_and_lines_end_at_their_limits),
		cmocka_unit_test(ids_are_exact_up_to_the_largest),
		cmocka_unit_test(source_brings_ids_keys_and_payloads),
		cmocka_unit_test(names_in_the_file_and_names_beside_it_exclude_each_other),
		cmocka_unit_test(a_read_ends_when_its_payloads_are_many),
		cmocka_unit_test(standard_input_is_read_once_and_named),
	};
	return cmocka_run_group_tests_name("cli_jsonl", tests, folder_make, folder_remove);
}
