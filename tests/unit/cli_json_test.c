/* cli_json_test.c - JSON in (vectors, payloads) and out (hits): exact ids, null for what JSON cannot say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/json_input.h"
#include "client/cli/output.h"
#include "client/cli/search_view.h"
#include "common/limits.h"
#include "proto/client_codec.h"

static void vectors_are_read_and_nonsense_is_refused(void **state)
{
	struct report report;
	float *v = NULL;
	uint32_t dim = 0;
	assert_int_equal(vector_from_json("[1, -2.5, 3e2]", &v, &dim, &report), STATUS_OK);
	assert_int_equal(dim, 3);
	assert_true(v[0] == 1 && v[1] == -2.5f && v[2] == 300);
	free(v);
	/* The largest float in nine digits is more than it, and rounds to it; the next one that rounds up to infinity is refused. */
	assert_int_equal(vector_from_json("[3.40282347e+38, -3.40282347e+38]", &v, &dim, &report), STATUS_OK);
	assert_true(v[0] == FLT_MAX && v[1] == -FLT_MAX);
	free(v);
	const char *const bad[] = {"", "nonsense", "[]", "{}", "7", "[1,\"2\"]", "[1,null]", "[1,NaN]", "[1,1e39]", "[1,-1e39]", "[3.402823568e+38]",
		"[1,2", "[[1]]", "[1]x", "[1e999]", "[99999999999999999999]"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		v = NULL;
		report.text[0] = 0;
		assert_int_equal(vector_from_json(bad[i], &v, &dim, &report), STATUS_USAGE);
		assert_null(v);
		assert_true(report.text[0]);
	}
}

static void vector_of_the_largest_dimension_is_read_and_one_more_is_not(void **state)
{
	struct report report;
	for (int extra = 0; extra < 2; extra++) {
		float *v = NULL;
		uint32_t dim = 0;
		size_t n = DIM_MAX + (size_t)extra;
		char *text = malloc(2 * n + 2);
		assert_non_null(text);
		for (size_t i = 0; i < n; i++) memcpy(text + 1 + 2 * i, "1,", 2);
		text[0] = '[';
		text[2 * n] = ']';
		text[2 * n + 1] = 0;
		assert_int_equal(vector_from_json(text, &v, &dim, &report), extra ? STATUS_LIMIT : STATUS_OK);
		free(v);
		free(text);
	}
	assert_non_null(strstr(report.text, "65536"));
}

static void bits_are_packed_least_significant_first_and_only_0_and_1_pass(void **state)
{
	struct report report;
	struct buf out;
	buf_init(&out, 0);
	const float v[10] = {1, 0, 0, 1, 0, 0, 0, 1, 0, 1};
	assert_int_equal(bits_from_floats(v, 10, &out, &report), STATUS_OK);
	assert_int_equal(out.size, 2);
	assert_int_equal(out.bytes[0], 0x89);
	assert_int_equal(out.bytes[1], 0x02);
	const float half[2] = {1, 0.5f};
	assert_int_equal(bits_from_floats(half, 2, &out, &report), STATUS_USAGE);
	assert_non_null(strstr(report.text, "element 1"));
	assert_int_equal(out.size, 2);
	buf_release(&out);
}

/* Through msgpack and back: what the codec reads is what was written. */
static void payloads_survive_the_way_there_and_back(void **state)
{
	static const char *const same[] = {
		"{}",
		"{\"label\":\"boot\"}",
		"{\"n\":9007199254740993,\"m\":-9223372036854775808,\"x\":9223372036854775807}",
		"{\"a\":[0,1,127,128,255,256,65535,65536,4294967295,4294967296,-1,-32,-33,-128,-129,-32768,-32769,-2147483648,-2147483649]}",
		"{\"t\":true,\"f\":false,\"z\":null,\"r\":0.5,\"deep\":{\"er\":[[1],[]]}}",
		"{\"text\":\"0123456789012345678901234567890123456789\"}",
	};
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		struct report report;
		struct buf packed, json;
		buf_init(&packed, 0);
		buf_init(&json, 0);
		assert_int_equal(payload_from_json(same[i], &packed, &report), STATUS_OK);
		assert_true(msgpack_scan(packed.bytes, packed.size, true));
		assert_int_equal(payload_to_json(packed.bytes, packed.size, &json), STATUS_OK);
		assert_int_equal(buf_append(&json, "", 1), STATUS_OK);
		assert_string_equal((const char *)json.bytes, same[i]);
		buf_release(&packed);
		buf_release(&json);
	}
}

static void integers_take_their_shortest_form(void **state)
{
	static const struct {
		const char *json;
		size_t bytes;
	} cases[] = {{"{\"a\":127}", 4}, {"{\"a\":128}", 5}, {"{\"a\":255}", 5}, {"{\"a\":256}", 6}, {"{\"a\":65535}", 6},
		{"{\"a\":65536}", 8}, {"{\"a\":4294967296}", 12}, {"{\"a\":-32}", 4}, {"{\"a\":-33}", 5}, {"{\"a\":-129}", 6},
		{"{\"a\":-32769}", 8}, {"{\"a\":-2147483649}", 12}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct report report;
		struct buf packed;
		buf_init(&packed, 0);
		assert_int_equal(payload_from_json(cases[i].json, &packed, &report), STATUS_OK);
		assert_int_equal(packed.size, cases[i].bytes);
		buf_release(&packed);
	}
}

static void long_strings_lists_and_maps_take_the_wider_forms(void **state)
{
	struct report report;
	struct buf packed;
	char *text = malloc(70000);
	assert_non_null(text);
	for (size_t size = 250; size <= 65000; size += 64750) {
		memcpy(text, "{\"a\":\"", 6);
		memset(text + 6, 'x', size);
		memcpy(text + 6 + size, "\"}", 3);
		buf_init(&packed, 0);
		assert_int_equal(payload_from_json(text, &packed, &report), STATUS_OK);
		assert_true(msgpack_scan(packed.bytes, packed.size, true));
		assert_int_equal(packed.bytes[3], size < 256 ? 0xd9 : 0xda);
		buf_release(&packed);
	}
	size_t at = (size_t)sprintf(text, "{\"a\":[0");
	for (int i = 1; i < 300; i++) at += (size_t)sprintf(text + at, ",%d", i % 10);
	sprintf(text + at, "]}");
	buf_init(&packed, 0);
	assert_int_equal(payload_from_json(text, &packed, &report), STATUS_OK);
	assert_int_equal(packed.bytes[3], 0xdc);
	assert_true(msgpack_scan(packed.bytes, packed.size, true));
	buf_release(&packed);
	at = (size_t)sprintf(text, "{\"k0\":0");
	for (int i = 1; i < 20; i++) at += (size_t)sprintf(text + at, ",\"k%d\":0", i);
	sprintf(text + at, "}");
	buf_init(&packed, 0);
	assert_int_equal(payload_from_json(text, &packed, &report), STATUS_OK);
	assert_int_equal(packed.bytes[0], 0xde);
	assert_true(msgpack_scan(packed.bytes, packed.size, true));
	buf_release(&packed);
	free(text);
}

static void payloads_past_their_limits_and_of_other_kinds_are_refused(void **state)
{
	struct report report;
	struct buf packed;
	buf_init(&packed, 0);
	const char *const bad[] = {"[1]", "7", "\"x\"", "{", "{\"a\":1,\"a\":2}", "{\"a\":18446744073709551616}"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(payload_from_json(bad[i], &packed, &report), STATUS_USAGE);
	char *text = malloc(70000);
	assert_non_null(text);
	for (size_t over = 0; over < 2; over++) { /* map head 1, "a" 2, string head 3 */
		size_t size = PAYLOAD_MAX - 6 + over;
		memcpy(text, "{\"a\":\"", 6);
		memset(text + 6, 'x', size);
		memcpy(text + 6 + size, "\"}", 3);
		packed.size = 0;
		assert_int_equal(payload_from_json(text, &packed, &report), over ? STATUS_LIMIT : STATUS_OK);
		assert_int_equal(packed.size, over ? 0 : PAYLOAD_MAX);
	}
	assert_int_equal(payload_from_json("{\"a\":[[[[[[[1]]]]]]]}", &packed, &report), STATUS_OK); /* eight levels */
	assert_int_equal(payload_from_json("{\"a\":[[[[[[[[1]]]]]]]]}", &packed, &report), STATUS_LIMIT);
	free(text);
	buf_release(&packed);
}

static void strings_are_escaped_and_what_is_no_utf8_is_replaced(void **state)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	json_string(out, "a\"\\\n\x01 \xc3\xa4 \xf0\x9f\x91\x9f \xff \xc0\x80 \xed\xa0\x80");
	fclose(out);
	assert_string_equal(
		text, "\"a\\\"\\\\\\u000a\\u0001 \xc3\xa4 \xf0\x9f\x91\x9f \\ufffd \\ufffd\\ufffd \\ufffd\\ufffd\\ufffd\"");
	free(text);
}

static char *hits_text(const grove_hits *hits, uint32_t q, bool payloads)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	assert_int_equal(hits_json(out, hits, q, q, payloads), STATUS_OK);
	fclose(out);
	return text;
}

static void hits_are_one_json_line_with_exact_ids_and_null_for_infinity(void **state)
{
	const uint64_t offsets[3] = {0, 3, 3}, ids[3] = {1, (UINT64_C(1) << 53) + 1, UINT64_MAX};
	const float distances[3] = {0, 1.5f, INFINITY};
	const grove_coverage coverage[2] = {
		{.shards = 4, .answered = 4, .items_total = 60000, .items_searched = 60000, .candidates = 2000},
		{.shards = 4, .answered = 3, .failed = 1, .items_total = 60000, .items_searched = 45000}};
	const grove_missing missing = {.shard = 2, .code = GROVE_UNAVAILABLE, .items = 15000};
	const grove_hits hits = {.queries = 2,
		.total = 3,
		.offsets = offsets,
		.ids = ids,
		.distances = distances,
		.coverage = coverage,
		.missing_count = 1,
		.missing = &missing};
	char *text = hits_text(&hits, 0, false);
	assert_string_equal(text,
		"{\"query\":0,\"ids\":[1,9007199254740993,18446744073709551615],\"distances\":[0,1.5,null],"
		"\"coverage\":{\"shards\":4,\"answered\":4,\"items\":60000,\"searched\":60000,\"complete\":true,"
		"\"failed\":0,\"late\":0,\"candidates\":2000}}\n");
	free(text);
	text = hits_text(&hits, 1, false);
	assert_string_equal(text,
		"{\"query\":1,\"ids\":[],\"distances\":[],"
		"\"coverage\":{\"shards\":4,\"answered\":3,\"items\":60000,\"searched\":45000,\"complete\":false,"
		"\"failed\":1,\"late\":0,\"candidates\":0,\"missing\":[{\"shard\":2,\"reason\":\"unavailable\",\"items\":15000}]}"
		"}\n");
	free(text);
}

static void payloads_stand_beside_their_hits_and_labels_in_the_table(void **state)
{
	struct report report;
	struct buf bytes;
	buf_init(&bytes, 0);
	assert_int_equal(payload_from_json("{\"label\":\"boot\"}", &bytes, &report), STATUS_OK);
	const uint64_t offsets[2] = {0, 2}, ids[2] = {5, 6}, ends[3] = {0, bytes.size, bytes.size};
	const float distances[2] = {1, 2};
	const grove_coverage coverage = {.shards = 1, .answered = 1};
	const grove_hits hits = {.queries = 1,
		.total = 2,
		.offsets = offsets,
		.ids = ids,
		.distances = distances,
		.coverage = &coverage,
		.payloads = {.offsets = ends, .bytes = bytes.bytes}};
	char *text = hits_text(&hits, 0, true);
	assert_non_null(strstr(text, "\"payloads\":[{\"label\":\"boot\"},null]"));
	free(text);
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	assert_int_equal(hits_print(out, &hits, 0, "item 5"), STATUS_OK);
	fclose(out);
	assert_non_null(strstr(text, "item 5"));
	assert_non_null(strstr(text, "label"));
	assert_non_null(strstr(text, "boot"));
	free(text);
	buf_release(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_are_read_and_nonsense_is_refused),
		cmocka_unit_test(vector_of_the_largest_dimension_is_read_and_one_more_is_not),
		cmocka_unit_test(bits_are_packed_least_significant_first_and_only_0_and_1_pass),
		cmocka_unit_test(payloads_survive_the_way_there_and_back),
		cmocka_unit_test(integers_take_their_shortest_form),
		cmocka_unit_test(long_strings_lists_and_maps_take_the_wider_forms),
		cmocka_unit_test(payloads_past_their_limits_and_of_other_kinds_are_refused),
		cmocka_unit_test(strings_are_escaped_and_what_is_no_utf8_is_replaced),
		cmocka_unit_test(hits_are_one_json_line_with_exact_ids_and_null_for_infinity),
		cmocka_unit_test(payloads_stand_beside_their_hits_and_labels_in_the_table),
	};
	return cmocka_run_group_tests_name("cli_json", tests, NULL, NULL);
}
