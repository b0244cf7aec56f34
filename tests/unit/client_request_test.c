/* Requests of clients: what is refused, with which code, and that the sentence says what to do; what is let through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "proto/client_codec.h"
#include "tests/support/header_text.h"

struct sent {
	struct buf header, scratch;
	struct net_frame frames[FRAMES_MAX];
	size_t count;
	struct client_request r;
	uint64_t id;
	struct report report;
};

static struct net_frame zeros(size_t size)
{
	static uint8_t *memory;
	if (!memory) memory = calloc(1, CLIENT_FRAME_MAX + 64);
	assert_non_null(memory);
	return (struct net_frame){memory, size};
}

static enum status decode_frames(struct sent *s, const char *text, const struct net_frame *bulk, size_t bulk_count)
{
	memset(s, 0, sizeof(*s));
	header_from_text(text, &s->header);
	s->frames[0] = (struct net_frame){s->header.bytes, s->header.size};
	for (size_t i = 0; i < bulk_count; i++) s->frames[i + 1] = bulk[i];
	s->count = bulk_count + 1;
	return client_request_decode(s->frames, s->count, &s->scratch, &s->r, &s->id, &s->report);
}

static void sent_release(struct sent *s)
{
	buf_release(&s->header);
	buf_release(&s->scratch);
}

#define BULK(...) (const struct net_frame[]){__VA_ARGS__}, sizeof((const struct net_frame[]){__VA_ARGS__}) / sizeof(struct net_frame)
#define NO_BULK NULL, 0

static void expect(enum status status, const char *says, const char *text, const struct net_frame *bulk, size_t bulk_count)
{
	struct sent s;
	enum status got = decode_frames(&s, text, bulk, bulk_count);

	if (got != status) fail_msg("'%s' gives %s (%s), not %s", text, status_name(got), s.report.text, status_name(status));
	if (status != STATUS_OK && (s.report.status != status || !strstr(s.report.text, says))) fail_msg("'%s' is refused with '%s'", text, s.report.text);
	sent_release(&s);
}

static void expect_ok(const char *text, const struct net_frame *bulk, size_t bulk_count) { expect(STATUS_OK, "", text, bulk, bulk_count); }

static void every_request_needs_its_version_op_and_id(void **state)
{
	expect(STATUS_BAD_REQUEST, "needs the field v", "id=1 op=list", NO_BULK);
	expect(STATUS_BAD_REQUEST, "needs the field id", "v=1 op=list", NO_BULK);
	expect(STATUS_BAD_REQUEST, "needs the field op", "v=1 id=1", NO_BULK);
	expect(STATUS_BAD_REQUEST, "needs the field index", "v=1 id=1 op=describe", NO_BULK);
	expect(STATUS_BAD_REQUEST, "id has to be", "v=1 id=-1 op=list", NO_BULK);
	expect(STATUS_BAD_REQUEST, "op has to be a string", "v=1 id=1 op=7", NO_BULK);
	expect_ok("v=1 id=18446744073709551615 op=list", NO_BULK);
}

static void an_unknown_operation_is_answered_as_such(void **state)
{
	struct sent s;

	static const char *const later[] = {"distance", "count", "scroll", "snapshot", "restore", "recall", "teleport"};
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		char text[100];
		snprintf(text, sizeof(text), "v=1 id=7 op=%s index=a", later[i]);
		expect(STATUS_UNSUPPORTED, later[i], text, NO_BULK);
	}
	assert_int_equal(decode_frames(&s, "v=1 id=77 op=teleport", NO_BULK), STATUS_UNSUPPORTED);
	assert_int_equal(s.id, 77);
	sent_release(&s);
}

static void the_version_is_negotiated_in_hello_alone(void **state)
{
	struct sent s;

	expect(STATUS_UNSUPPORTED, "send hello first", "v=2 id=1 op=list", NO_BULK);
	expect_ok("v=9 id=1 op=hello version_min=1 version_max=9", NO_BULK);
	assert_int_equal(decode_frames(&s, "v=1 id=1 op=hello version_min=3 version_max=5", NO_BULK), STATUS_OK);
	assert_int_equal(s.r.hello.version_min, 3);
	assert_int_equal(s.r.hello.version_max, 5);
	sent_release(&s);
	expect(STATUS_BAD_REQUEST, "version_min is above", "v=1 id=1 op=hello version_min=2 version_max=1", NO_BULK);
	expect(STATUS_BAD_REQUEST, "needs the field version_max", "v=1 id=1 op=hello version_min=2", NO_BULK);
}

static void unknown_fields_and_nil_are_ignored(void **state)
{
	struct sent s;

	assert_int_equal(decode_frames(&s, "colour=red v=1 id=1 priority=-3 op=build index=a trees=nil x=0.5 timeout_ms=nil", NO_BULK), STATUS_OK);
	assert_int_equal(s.r.build.trees, 0);
	assert_int_equal(s.r.timeout_ms, 10000);
	sent_release(&s);
	/* {"v":1, "id":1, "op":"list", "later":{"a":[1,{"b":2}]}, 7:"seven"} */
	static const uint8_t nested[] = "\x85\xa1v\x01\xa2id\x01\xa2op\xa4list\xa5later\x81\xa1""a\x92\x01\x81\xa1""b\x02\x07\xa5seven";
	memset(&s, 0, sizeof(s));
	struct net_frame frame = {nested, sizeof(nested) - 1};
	assert_int_equal(client_request_decode(&frame, 1, &s.scratch, &s.r, &s.id, &s.report), STATUS_OK);
	assert_int_equal(s.r.op, CLIENT_LIST);
}

static void a_field_that_comes_twice_is_refused(void **state)
{
	expect(STATUS_BAD_REQUEST, "index comes twice", "v=1 id=1 op=drop index=a index=b", NO_BULK);
	expect(STATUS_BAD_REQUEST, "k comes twice", "v=1 id=1 op=search index=a k=1 k=nil dim=1", BULK(zeros(4)));
}

static void fields_of_the_wrong_kind_are_refused(void **state)
{
	expect(STATUS_BAD_REQUEST, "k has to be an integer", "v=1 id=1 op=search index=a k=ten dim=1", BULK(zeros(4)));
	expect(STATUS_BAD_REQUEST, "k has to be an integer", "v=1 id=1 op=search index=a k=1.5 dim=1", BULK(zeros(4)));
	expect(STATUS_BAD_REQUEST, "by_id has to be true or false", "v=1 id=1 op=search index=a k=1 by_id=1", BULK(zeros(8)));
	expect(STATUS_BAD_REQUEST, "mode has to be forest, exact or graph", "v=1 id=1 op=search index=a k=1 dim=1 mode=tree", BULK(zeros(4)));
	expect(STATUS_BAD_REQUEST, "dtype has to be f32, u8 or bits", "v=1 id=1 op=search index=a k=1 dim=1 dtype=f64", BULK(zeros(4)));
	expect(STATUS_BAD_REQUEST, "metric has to be angular, euclidean, manhattan, hamming or dot", "v=1 id=1 op=create index=a dim=1 metric=cosine", NO_BULK);
	expect(STATUS_BAD_REQUEST, "min_coverage has to be", "v=1 id=1 op=search index=a k=1 dim=1 min_coverage=1.5", BULK(zeros(4)));
	expect(STATUS_BAD_REQUEST, "min_coverage has to be", "v=1 id=1 op=search index=a k=1 dim=1 min_coverage=-1", BULK(zeros(4)));
	expect(STATUS_BAD_REQUEST, "min_coverage has to be", "v=1 id=1 op=search index=a k=1 dim=1 min_coverage=all", BULK(zeros(4)));
	expect_ok("v=1 id=1 op=search index=a k=1 dim=1 min_coverage=0", BULK(zeros(4)));
	expect_ok("v=1 id=1 op=search index=a k=1 dim=1 min_coverage=0.25", BULK(zeros(4)));
}

static void index_names_are_checked(void **state)
{
	static const char *const bad[] = {"Shoes", "-a", "_a", "a.b", "a/b", "..", "späte", "a'b"};
	char text[200];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "v=1 id=1 op=drop index=%s", bad[i]);
		expect(STATUS_BAD_REQUEST, "[a-z0-9][a-z0-9_-]{0,62}", text, NO_BULK);
	}
	expect_ok("v=1 id=1 op=drop index=0-a_b", NO_BULK);
}

static void text_that_is_not_utf8_is_refused(void **state)
{
	static const char *const bad[] = {"\xff", "a\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80", "\xe2\x82"};
	char text[200];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "v=1 id=1 op=drop index=%s", bad[i]);
		expect(STATUS_BAD_REQUEST, "UTF-8", text, NO_BULK);
		snprintf(text, sizeof(text), "v=1 id=1 op=list unknown=%s", bad[i]);
		expect(STATUS_BAD_REQUEST, "UTF-8", text, NO_BULK);
	}
}

static void frames_have_to_agree_with_the_header(void **state)
{
	expect(STATUS_BAD_REQUEST, "has 12 bytes, not 16", "v=1 id=1 op=search index=a k=1 nq=2 dim=2", BULK(zeros(12)));
	expect(STATUS_BAD_REQUEST, "has 0 bytes, not 16", "v=1 id=1 op=search index=a k=1 nq=2 dim=2", NO_BULK);
	expect(STATUS_BAD_REQUEST, "at most 1 frames", "v=1 id=1 op=search index=a k=1 dim=1", BULK(zeros(4), zeros(4)));
	expect(STATUS_BAD_REQUEST, "at most 0 frames", "v=1 id=1 op=list", BULK(zeros(0)));
	expect(STATUS_BAD_REQUEST, "(ids) has 8 bytes, not 16", "v=1 id=1 op=upsert index=a n=2 dim=1", BULK(zeros(8), zeros(8)));
	expect(STATUS_BAD_REQUEST, "(vectors) has 9 bytes, not 8", "v=1 id=1 op=upsert index=a n=2 dim=1", BULK(zeros(16), zeros(9)));
	expect(STATUS_BAD_REQUEST, "payloads says false", "v=1 id=1 op=upsert index=a n=2 dim=1", BULK(zeros(16), zeros(8), zeros(8)));
	expect(STATUS_BAD_REQUEST, "payloads says true", "v=1 id=1 op=upsert index=a n=2 dim=1 payloads=true", BULK(zeros(16), zeros(8)));
	expect(STATUS_BAD_REQUEST, "keys says true", "v=1 id=1 op=get index=a n=2 keys=true", BULK(zeros(16)));
	expect_ok("v=1 id=1 op=upsert index=a n=2 dim=9 dtype=bits payloads=true keys=true", BULK(zeros(16), zeros(4), zeros(8), zeros(8)));
	expect_ok("v=1 id=1 op=upsert index=a n=2 dim=9 dtype=u8", BULK(zeros(16), zeros(18)));
	expect_ok("v=1 id=1 op=search index=a k=1 nq=3 by_id=true", BULK(zeros(24)));
}

static void lengths_that_overflow_are_refused(void **state)
{
	uint8_t lengths[12];

	/* As sizes of 32 bits these add up to 0; as they stand each is past its limit. */
	store_u32(lengths, 0x80000000u);
	store_u32(lengths + 4, 0x80000000u);
	expect(STATUS_LIMIT, "the payload of item 0 has 2147483648 bytes", "v=1 id=1 op=upsert index=a n=2 dim=1 payloads=true",
		BULK(zeros(16), zeros(8), {lengths, 8}));
	store_u32(lengths, 0);
	store_u32(lengths + 4, 5);
	expect(STATUS_BAD_REQUEST, "u32 lengths", "v=1 id=1 op=upsert index=a n=2 dim=1 keys=true", BULK(zeros(16), zeros(8), zeros(0), {lengths, 12}));
	expect(STATUS_BAD_REQUEST, "u32 lengths", "v=1 id=1 op=upsert index=a n=2 dim=1 keys=true", BULK(zeros(16), zeros(8), zeros(0), {lengths, 7}));
}

static void only_finite_vectors_are_accepted(void **state)
{
	static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};

	for (size_t i = 0; i < 4; i++) {
		uint8_t rows[1 + 3 * 4 * 5] = {0};
		store_f32(rows + 1 + 4 * 11, bad[i]); /* an odd address: the second row's last element but three */
		expect(STATUS_BAD_REQUEST, "vector 2 has an element that is not finite", "v=1 id=1 op=search index=a k=1 nq=3 dim=5", BULK({rows + 1, 60}));
		expect(STATUS_BAD_REQUEST, "vector 2 has an element that is not finite", "v=1 id=1 op=upsert index=a n=3 dim=5", BULK(zeros(24), {rows + 1, 60}));
		expect_ok("v=1 id=1 op=search index=a k=1 nq=3 dim=20 dtype=u8", BULK({rows + 1, 60}));
	}
	uint8_t most[8];
	store_f32(most, 3.4028235e38f);
	store_f32(most + 4, -1e-45f);
	expect_ok("v=1 id=1 op=search index=a k=1 dim=2", BULK({most, 8}));
}

static void payloads_have_to_be_maps(void **state)
{
	static const struct { const char *bytes; size_t size; bool good; } cases[] = {
		{"\x80", 1, true}, {"\x81\xa1""a\xc0", 4, true}, {"\x81\x01\x02", 3, true}, {"\x90", 1, false}, {"\x81", 1, false}, {"\x80\x80", 2, false},
		{"\xc1", 1, false}, {"\x81\x90\x01", 3, false}, {"\x81\xa1\xff\x01", 4, false}, {"\xdd\x0f\xff\xff\xff", 5, false},
	};
	uint8_t frame[32];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		store_u32(frame, 0);
		store_u32(frame + 4, (uint32_t)cases[i].size);
		memcpy(frame + 8, cases[i].bytes, cases[i].size);
		expect(cases[i].good ? STATUS_OK : STATUS_BAD_REQUEST, "the payload of item 1 is not one msgpack map",
			"v=1 id=1 op=upsert index=a n=2 dim=1 payloads=true", BULK(zeros(16), zeros(8), {frame, 8 + cases[i].size}));
	}
}

static void ids_come_from_keys_or_agree_with_them(void **state)
{
	uint8_t keys[8 + 5], ids[16];
	struct sent s;

	store_u32(keys, 2);
	store_u32(keys + 4, 3);
	memcpy(keys + 8, "abxyz", 5);
	assert_int_equal(decode_frames(&s, "v=1 id=1 op=delete index=a n=2 keys=true", BULK(zeros(0), {keys, 13})), STATUS_OK);
	assert_true(load_u64(s.r.ids.ids) == item_id_of_key("ab", 2));
	assert_true(load_u64(s.r.ids.ids + 8) == item_id_of_key("xyz", 3));
	sent_release(&s);
	store_u64(ids, item_id_of_key("ab", 2));
	store_u64(ids + 8, item_id_of_key("xyz", 3));
	expect_ok("v=1 id=1 op=get index=a n=2 keys=true", BULK({ids, 16}, {keys, 13}));
	store_u64(ids + 8, 7);
	expect(STATUS_BAD_REQUEST, "the id of item 1 is not XXH3_64 of its key", "v=1 id=1 op=get index=a n=2 keys=true", BULK({ids, 16}, {keys, 13}));
	store_u32(keys, 5); /* the second one has no key, but an id */
	store_u32(keys + 4, 0);
	store_u64(ids, item_id_of_key("abxyz", 5));
	expect_ok("v=1 id=1 op=get index=a n=2 keys=true", BULK({ids, 16}, {keys, 13}));
	expect(STATUS_BAD_REQUEST, "item 1 has neither an id nor a key", "v=1 id=1 op=get index=a n=2 keys=true", BULK(zeros(0), {keys, 13}));
}

static void the_index_decides_dimension_and_type(void **state)
{
	struct index_spec floats = {.name = "shoes", .metric = METRIC_DOT, .dim = 4, .shards = 1}, bits = floats;
	struct report report = {0};
	struct sent s;

	bits.metric = METRIC_HAMMING;
	assert_int_equal(decode_frames(&s, "v=1 id=1 op=search index=shoes k=1 dim=3", BULK(zeros(12))), STATUS_OK);
	assert_int_equal(client_check_against(&s.r, &floats, &report), STATUS_BAD_REQUEST);
	assert_string_equal(report.text, "index 'shoes' has 4 dimensions, the vectors have 3");
	sent_release(&s);
	assert_int_equal(decode_frames(&s, "v=1 id=1 op=upsert index=shoes n=1 dim=4", BULK(zeros(8), zeros(16))), STATUS_OK);
	assert_int_equal(client_check_against(&s.r, &floats, &report), STATUS_OK);
	assert_int_equal(client_check_against(&s.r, &bits, &report), STATUS_BAD_REQUEST);
	assert_string_equal(report.text, "index 'shoes' is hamming and takes bits, not f32");
	s.r.upsert.items.dtype = DTYPE_BITS;
	assert_int_equal(client_check_against(&s.r, &bits, &report), STATUS_OK);
	assert_int_equal(client_check_against(&s.r, &floats, &report), STATUS_BAD_REQUEST);
	s.r.upsert.items.dtype = DTYPE_U8;
	assert_int_equal(client_check_against(&s.r, &floats, &report), STATUS_OK);
	sent_release(&s);
}

static void a_get_whose_answer_would_not_fit_is_refused(void **state)
{
	struct index_spec index = {.name = "shoes", .metric = METRIC_DOT, .dim = 1000, .shards = 1};
	struct client_request r = {.op = CLIENT_GET, .ids = {.n = CLIENT_FRAME_MAX / 4009}};
	struct report report = {0};

	assert_int_equal(client_check_against(&r, &index, &report), STATUS_OK);
	r.ids.n++;
	assert_int_equal(client_check_against(&r, &index, &report), STATUS_LIMIT);
	assert_non_null(strstr(report.text, "get at most 4184 at once"));
}

static void defaults_are_those_of_the_document(void **state)
{
	struct sent s;

	assert_int_equal(decode_frames(&s, "v=1 id=1 op=search index=a k=3 dim=1", BULK(zeros(4))), STATUS_OK);
	assert_true(s.r.search.nq == 1 && s.r.search.spec.mode == SEARCH_GRAPH && s.r.search.spec.search_k == 0 && s.r.search.spec.recall == 0 && !s.r.search.spec.with_payload);
	assert_true(s.r.search.min_coverage == 1 && !s.r.search.by_id && s.r.search.dtype == DTYPE_F32 && s.r.client == 0 && s.r.timeout_ms == 10000);
	sent_release(&s);
	assert_int_equal(decode_frames(&s, "v=1 id=1 op=create index=a dim=1 metric=dot", NO_BULK), STATUS_OK);
	assert_true(s.r.create.spec.shards == 0 && s.r.create.spec.replicas == 1 && s.r.create.spec.trees == 0 && s.r.create.spec.seed == 0);
	assert_string_equal(s.r.create.spec.name, "a");
	sent_release(&s);
}

static void an_effort_is_a_budget_or_a_recall(void **state)
{
	struct sent s;

	assert_int_equal(decode_frames(&s, "v=1 id=1 op=search index=a k=1 dim=1 recall=0.875", BULK(zeros(4))), STATUS_OK);
	assert_true(s.r.search.spec.mode == SEARCH_GRAPH && s.r.search.spec.recall == 0.875f && s.r.search.spec.search_k == 0);
	sent_release(&s);
	assert_int_equal(decode_frames(&s, "v=1 id=1 op=search index=a k=1 dim=1 search_k=7 recall=0", BULK(zeros(4))), STATUS_OK);
	assert_true(s.r.search.spec.mode == SEARCH_GRAPH && s.r.search.spec.recall == 0 && s.r.search.spec.search_k == 7);
	sent_release(&s);
	expect_ok("v=1 id=1 op=search index=a k=1 dim=1 mode=graph recall=0.999", BULK(zeros(4)));
	expect_ok("v=1 id=1 op=search index=a k=1 dim=1 mode=exact search_k=7", BULK(zeros(4)));
	expect(STATUS_BAD_REQUEST, "recall has to be more than 0 and less than 1", "v=1 id=1 op=search index=a k=1 dim=1 recall=1", BULK(zeros(4)));
	expect(STATUS_BAD_REQUEST, "recall has to be a number of 0 to 1", "v=1 id=1 op=search index=a k=1 dim=1 recall=1.5", BULK(zeros(4)));
	expect(STATUS_BAD_REQUEST, "recall has to be a number of 0 to 1", "v=1 id=1 op=search index=a k=1 dim=1 recall=-0.5", BULK(zeros(4)));
	expect(STATUS_BAD_REQUEST, "recall has to be a number of 0 to 1", "v=1 id=1 op=search index=a k=1 dim=1 recall=high", BULK(zeros(4)));
	expect(STATUS_BAD_REQUEST, "recall or search_k", "v=1 id=1 op=search index=a k=1 dim=1 recall=0.9 search_k=100", BULK(zeros(4)));
	expect(STATUS_BAD_REQUEST, "mode exact finds everything", "v=1 id=1 op=search index=a k=1 dim=1 recall=0.9 mode=exact", BULK(zeros(4)));
	expect(STATUS_BAD_REQUEST, "mode forest takes search_k", "v=1 id=1 op=search index=a k=1 dim=1 recall=0.9 mode=forest", BULK(zeros(4)));
	expect(STATUS_BAD_REQUEST, "recall comes twice", "v=1 id=1 op=search index=a k=1 dim=1 recall=0.9 recall=0.9", BULK(zeros(4)));
}

static void the_id_is_told_even_of_a_request_that_is_refused(void **state)
{
	struct sent s;

	assert_int_equal(decode_frames(&s, "v=1 op=search id=4711 index=a k=0 dim=1", BULK(zeros(4))), STATUS_LIMIT);
	assert_int_equal(s.id, 4711);
	sent_release(&s);
	assert_int_equal(decode_frames(&s, "v=1 op=search id=x", NO_BULK), STATUS_BAD_REQUEST);
	assert_int_equal(s.id, 0);
	sent_release(&s);
}

static void encoders_refuse_what_decoders_would(void **state)
{
	struct client_request r = {.op = CLIENT_SEARCH, .timeout_ms = 1000, .index = "a", .search = {.spec = {.k = 1}, .nq = 1, .dim = 1, .min_coverage = 1}};
	struct encoded e = {0};
	struct report report = {0};
	uint8_t row[4];

	store_f32(row, NAN);
	r.search.vectors = row;
	assert_int_equal(client_request_encode(&r, &e, &report), STATUS_BAD_REQUEST);
	assert_non_null(strstr(report.text, "not finite"));
	store_f32(row, 1);
	r.search.min_coverage = NAN;
	assert_int_equal(client_request_encode(&r, &e, &report), STATUS_BAD_REQUEST);
	r.search.min_coverage = 1;
	r.search.spec.mode = (enum search_mode)9;
	assert_int_equal(client_request_encode(&r, &e, &report), STATUS_BAD_REQUEST);
	assert_null(e.memory.bytes);
	r.search.spec.mode = SEARCH_GRAPH;
	r.search.spec.recall = NAN;
	assert_int_equal(client_request_encode(&r, &e, &report), STATUS_BAD_REQUEST);
	r.search.spec.recall = 0.5f;
	r.search.spec.search_k = 1;
	assert_int_equal(client_request_encode(&r, &e, &report), STATUS_BAD_REQUEST);
	r.search.spec.recall = 0;
	r.search.spec.mode = SEARCH_EXACT;
	assert_int_equal(client_request_encode(&r, &e, &report), STATUS_OK);
	encoded_release(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_request_needs_its_version_op_and_id),
		cmocka_unit_test(an_unknown_operation_is_answered_as_such),
		cmocka_unit_test(the_version_is_negotiated_in_hello_alone),
		cmocka_unit_test(unknown_fields_and_nil_are_ignored),
		cmocka_unit_test(a_field_that_comes_twice_is_refused),
		cmocka_unit_test(fields_of_the_wrong_kind_are_refused),
		cmocka_unit_test(index_names_are_checked),
		cmocka_unit_test(text_that_is_not_utf8_is_refused),
		cmocka_unit_test(frames_have_to_agree_with_the_header),
		cmocka_unit_test(lengths_that_overflow_are_refused),
		cmocka_unit_test(only_finite_vectors_are_accepted),
		cmocka_unit_test(payloads_have_to_be_maps),
		cmocka_unit_test(ids_come_from_keys_or_agree_with_them),
		cmocka_unit_test(the_index_decides_dimension_and_type),
		cmocka_unit_test(a_get_whose_answer_would_not_fit_is_refused),
		cmocka_unit_test(defaults_are_those_of_the_document),
		cmocka_unit_test(an_effort_is_a_budget_or_a_recall),
		cmocka_unit_test(the_id_is_told_even_of_a_request_that_is_refused),
		cmocka_unit_test(encoders_refuse_what_decoders_would),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
