/* proto/CLIENT.md cannot drift: its examples in bytes, test vectors and tables are made here and have to stand there word for
 * word. test_client_md --print writes them, to be pasted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "proto/bundle.h"
#include "proto/client_codec.h"
#include "proto/client_codec_fields.h"

static bool printing;
static char *document;

static int read_document(void **state)
{
	FILE *f = fopen(CLIENT_MD, "rb");
	if (!f) return -1;
	document = calloc(1, 1024 * 1024);
	size_t n = document ? fread(document, 1, 1024 * 1024 - 1, f) : 0;
	fclose(f);
	return n == 0;
}

static int free_document(void **state)
{
	free(document);
	return 0;
}

/* Does the document have this text, from the beginning of a line on? */
static void stands(const char *text)
{
	if (printing) {
		printf("%s", text);
		return;
	}
	const char *at = strstr(document, text);
	if (!at || (at != document && at[-1] != '\n')) fail_msg("proto/CLIENT.md lacks, or has otherwise:\n%s", text);
}

static void line(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void line(const char *fmt, ...)
{
	char text[1000];
	va_list args;

	va_start(args, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	assert_true(n > 0 && n < (int)sizeof(text));
	stands(text);
}

/* ---- examples in bytes ---- */

static void put_hex(struct buf *out, const struct net_frame *f)
{
	for (size_t i = 0; i < f->size; i++)
		assert_int_equal(buf_printf(out, "%s%02x%s", i % 24 ? " " : "    ", f->bytes[i], i % 24 == 23 || i + 1 == f->size ? "\n" : ""), STATUS_OK);
}

static void example(const char *title, const struct encoded *e)
{
	struct buf out = {0};

	assert_int_equal(buf_printf(&out, "%s\n", title), STATUS_OK);
	for (size_t i = 0; i < e->count; i++) {
		const struct net_frame *f = &e->frames[i];
		assert_int_equal(buf_printf(&out, "  frame %zu, %zu bytes%s", i, f->size, i ? "\n" : ": "), STATUS_OK);
		if (i == 0) {
			assert_int_equal(payload_to_json(f->bytes, f->size, &out), STATUS_OK);
			assert_int_equal(buf_printf(&out, "\n"), STATUS_OK);
		}
		put_hex(&out, f);
	}
	stands((const char *)out.bytes);
	buf_release(&out);
}

static void request(const char *title, const struct client_request *r)
{
	struct encoded e = {0};
	struct report report;

	assert_int_equal(client_request_encode(r, &e, &report), STATUS_OK);
	example(title, &e);
	encoded_release(&e);
}

static void reply(const char *title, const struct client_reply *r)
{
	struct encoded e = {0};

	assert_int_equal(client_reply_encode(r, &e), STATUS_OK);
	example(title, &e);
	encoded_release(&e);
}

static void hello_in_bytes(void **state)
{
	struct client_request r = {.id = 1, .op = CLIENT_HELLO, .timeout_ms = 10000, .hello = {.version_min = 1, .version_max = 1}};
	struct client_reply answer = {.id = 1, .op = CLIENT_HELLO, .hello = {.version = 1, .server = "grove-coordinator 0.1.0"}};

	request("hello, request", &r);
	reply("hello, reply", &answer);
}

static void bundle_in_bytes(void **state)
{
	struct bundle b = {0};
	struct net_frame frames[2];
	struct buf out = {0};

	for (uint64_t id = 2; id < 4; id++) {
		struct client_request r = {.id = id, .op = CLIENT_LIST, .timeout_ms = 10000};
		struct encoded e = {0};
		struct report report;
		assert_int_equal(client_request_encode(&r, &e, &report), STATUS_OK);
		assert_int_equal(bundle_add(&b, e.frames, e.count), STATUS_OK);
		encoded_release(&e);
	}
	bundle_frames(&b, frames);
	assert_int_equal(buf_printf(&out, "bundle of two requests, list and list\n"), STATUS_OK);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(buf_printf(&out, "  frame %zu, %zu bytes\n", i, frames[i].size), STATUS_OK);
		put_hex(&out, &frames[i]);
	}
	stands((const char *)out.bytes);
	buf_release(&out);
	bundle_release(&b);
}

static struct index_info shoes(void)
{
	return (struct index_info){.spec = {.id = 1, .name = "shoes", .metric = METRIC_EUCLIDEAN, .dim = 2, .shards = 2, .replicas = 1, .trees = 10, .seed = 7},
		.shards_serving = 2, .complete = true};
}

static void create_in_bytes(void **state)
{
	struct client_request r = {.id = 2, .op = CLIENT_CREATE, .timeout_ms = 10000, .index = "shoes", .create = {.spec = shoes().spec}};
	struct index_info info = shoes();
	struct client_reply answer = {.id = 2, .op = CLIENT_CREATE, .list = {&info, 1}};

	request("create, request", &r);
	reply("create, reply", &answer);
}

static void upsert_in_bytes(void **state)
{
	uint8_t ids[16], vectors[16], lengths[8], tokens[2 * TOKEN_BYTES];
	struct buf payload = {0};
	struct token token = {.shard = 0, .epoch = 1, .sequence = 5};

	for (uint32_t i = 0; i < 2; i++) {
		store_u64(ids + 8 * (size_t)i, 100 + i);
		store_f32(vectors + 8 * (size_t)i, (float)i);
		store_f32(vectors + 8 * (size_t)i + 4, 0.5f);
		token.shard = i;
		token_store(&token, tokens + (size_t)i * TOKEN_BYTES);
	}
	assert_int_equal(payload_from_label("boot", &payload), STATUS_OK);
	store_u32(lengths, (uint32_t)payload.size);
	store_u32(lengths + 4, 0);
	struct client_request r = {.id = 3, .client = 4711, .op = CLIENT_UPSERT, .timeout_ms = 10000, .index = "shoes",
		.upsert = {.items = {.n = 2, .dtype = DTYPE_F32, .dim = 2, .ids = ids, .vectors = vectors, .payloads = {2, lengths, payload.bytes, payload.size}}}};
	struct client_reply answer = {.id = 3, .op = CLIENT_UPSERT, .write = {2, (const uint8_t *)"\0\0", 2, tokens}};

	request("upsert, request", &r);
	reply("upsert, reply", &answer);
	buf_release(&payload);
}

static void search_in_bytes(void **state)
{
	uint8_t query[8], counts[4], ids[16], distances[8], coverage[COVERAGE_BYTES], missing[MISSING_BYTES];
	struct coverage c = {.shards = 2, .answered = 2, .items_total = 2, .items_searched = 2, .candidates = 2};
	struct missing m = {1, STATUS_TIMEOUT, 1};

	store_f32(query, 0);
	store_f32(query + 4, 0);
	struct client_request r = {.id = 4, .op = CLIENT_SEARCH, .timeout_ms = 1000, .index = "shoes",
		.search = {.spec = {.k = 2, .mode = SEARCH_GRAPH, .recall = 0.9375f}, .nq = 1, .dim = 2, .vectors = query, .min_coverage = 1}};
	request("search, request", &r);
	store_u32(counts, 2);
	store_u64(ids, 100);
	store_u64(ids + 8, 101);
	store_f32(distances, 0.5f);
	store_f32(distances + 4, vec_shown(METRIC_EUCLIDEAN, 1.25f));
	coverage_store(&c, coverage);
	struct client_reply answer = {.id = 4, .op = CLIENT_SEARCH, .search = {.nq = 1, .total = 2, .counts = counts, .ids = ids, .distances = distances, .coverage = coverage}};
	reply("search, reply", &answer);
	c = (struct coverage){.shards = 2, .answered = 1, .late = 1, .items_total = 2, .items_searched = 1, .candidates = 1};
	coverage_store(&c, coverage);
	store_u32(counts, 1);
	missing_store(&m, missing);
	answer.search.total = 1;
	answer.search.missing_count = 1;
	answer.search.missing = missing;
	report_set(&answer.error, STATUS_INCOMPLETE, "1 of 2 shards answered: the hits are partial");
	reply("search, incomplete reply", &answer);
}

static void scan_in_bytes(void **state)
{
	uint8_t id[8], vector[8], lengths[4];
	struct buf payload = {0};
	struct scan_cursor second = {.index = 1, .shard = 1, .id = 0};

	store_u64(id, 100);
	store_f32(vector, 0);
	store_f32(vector + 4, 0.5f);
	assert_int_equal(payload_from_label("boot", &payload), STATUS_OK);
	store_u32(lengths, (uint32_t)payload.size);
	struct client_request r = {.id = 5, .op = CLIENT_SCAN, .timeout_ms = 10000, .index = "shoes", .scan = {.limit = 1000, .with_vector = true, .with_payload = true}};
	struct client_reply answer = {.id = 5, .op = CLIENT_SCAN,
		.scan = {.items = {.n = 1, .dim = 2, .ids = id, .vectors = vector, .payloads = {1, lengths, payload.bytes, payload.size}}, .next = second}};
	request("scan, request", &r);
	reply("scan, reply", &answer);
	r.id = 6;
	r.scan.from = second;
	request("scan, next request", &r);
	store_u64(id, 101);
	store_f32(vector, 1);
	answer.id = 6;
	answer.scan.items.payloads = (struct blobs){0};
	answer.scan.end = true;
	reply("scan, last reply", &answer);
	buf_release(&payload);
}

/* ---- test vectors ---- */

static void keys_and_shards_have_test_vectors(void **state)
{
	static const uint64_t ids[] = {0, 1, 2, 1000, UINT64_C(9007199254740993), UINT64_MAX};
	static const char *const some[] = {"a", "shoe-1", "späte"};

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		line("| %llu | %u | %u | %u |\n", (unsigned long long)ids[i], shard_of_id(ids[i], 2), shard_of_id(ids[i], 7), shard_of_id(ids[i], 4096));
	for (size_t i = 0; i < 3; i++) {
		uint64_t id = item_id_of_key(some[i], strlen(some[i]));
		line("| `%s` | %llu | `%016llx` |\n", some[i], (unsigned long long)id, (unsigned long long)id);
	}
}

static void distances_have_test_vectors(void **state)
{
	const float a[3] = {1, 2, 3}, b[3] = {4, 6, -5}, zero[3] = {0};
	const uint8_t x = 0x05, y = 0x03;

	for (int m = 0; m < METRIC_COUNT; m++) {
		enum metric metric = (enum metric)m;
		bool bits = metric == METRIC_HAMMING;
		const void *p = bits ? (const void *)&x : a, *q = bits ? (const void *)&y : b;
		float raw = vec_raw(metric, p, vec_norm2(metric, p, 3), q, vec_norm2(metric, q, 3), 3);
		line("| `%s` | %s | %s | %.9g |\n", metric_name(metric), bits ? "bits 101" : "(1, 2, 3)", bits ? "bits 110" : "(4, 6, -5)", (double)vec_shown(metric, raw));
	}
	float raw = vec_raw(METRIC_ANGULAR, a, vec_norm2(METRIC_ANGULAR, a, 3), zero, 0, 3);
	line("| `angular` | (1, 2, 3) | (0, 0, 0) | %.9g |\n", (double)vec_shown(METRIC_ANGULAR, raw));
}

/* ---- tables ---- */

static void every_error_code_is_listed(void **state)
{
#define STATUS_LINE(name, number, wire, text) line("| `%s` | %d | %s |\n", wire, number, text);
	STATUS_MAP(STATUS_LINE)
#undef STATUS_LINE
}

static void every_limit_is_listed(void **state)
{
#define LIMIT_LINE(name) line("| %s | %d |\n", #name, (int)name);
	LIMIT_LINE(DIM_MAX) LIMIT_LINE(QUERY_HITS_MAX) LIMIT_LINE(SEARCH_K_MAX) LIMIT_LINE(TREES_MAX) LIMIT_LINE(BATCH_QUERIES_MAX)
	LIMIT_LINE(BATCH_ITEMS_MAX) LIMIT_LINE(CLIENT_FRAME_MAX) LIMIT_LINE(NAME_MAX_BYTES) LIMIT_LINE(PAYLOAD_MAX) LIMIT_LINE(KEY_MAX)
	LIMIT_LINE(DEADLINE_MIN_MS) LIMIT_LINE(DEADLINE_MAX_MS) LIMIT_LINE(SHARDS_MAX) LIMIT_LINE(REPLICAS_MAX) LIMIT_LINE(HEADER_MAX)
	LIMIT_LINE(FRAMES_MAX) LIMIT_LINE(MSGPACK_DEPTH_MAX) LIMIT_LINE(SCAN_BYTES_MAX)
#undef LIMIT_LINE
}

static void every_field_and_operation_is_described(void **state)
{
	char text[100];

	if (printing) return;
	for (int f = 0; f < FIELD_COUNT; f++) {
		snprintf(text, sizeof(text), "\n| `%s` |", field_key((enum field)f));
		if (!strstr(document, text)) fail_msg("proto/CLIENT.md has no row for the field %s", field_key((enum field)f));
	}
	for (int op = 0; op < CLIENT_OP_COUNT; op++) {
		snprintf(text, sizeof(text), "\n### %s\n", op_names[op]);
		if (!strstr(document, text)) fail_msg("proto/CLIENT.md has no section for the operation %s", op_names[op]);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello_in_bytes),
		cmocka_unit_test(bundle_in_bytes),
		cmocka_unit_test(create_in_bytes),
		cmocka_unit_test(upsert_in_bytes),
		cmocka_unit_test(search_in_bytes),
		cmocka_unit_test(scan_in_bytes),
		cmocka_unit_test(keys_and_shards_have_test_vectors),
		cmocka_unit_test(distances_have_test_vectors),
		cmocka_unit_test(every_error_code_is_listed),
		cmocka_unit_test(every_limit_is_listed),
		cmocka_unit_test(every_field_and_operation_is_described),
	};
	printing = argc > 1 && !strcmp(argv[1], "--print");
	return cmocka_run_group_tests(tests, read_document, free_document);
}
