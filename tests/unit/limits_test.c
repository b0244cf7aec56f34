/* Every limit of common/limits.h that the client protocol carries: accepted at it, refused one past it, by a sentence that names it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "proto/client_codec.h"
#include "tests/support/header_text.h"

static uint8_t *zero_bytes;

static int allocate(void **state)
{
	zero_bytes = calloc(1, CLIENT_FRAME_MAX + 1);
	return zero_bytes == NULL;
}

static int release(void **state)
{
	free(zero_bytes);
	return 0;
}

/* Decode a header with bulk frames of zeros of these sizes (SIZE_MAX ends the list). */
static enum status decode(struct report *report, const char *text, const size_t *sizes)
{
	struct buf header = {0}, scratch = {0};
	struct net_frame frames[FRAMES_MAX + 1];
	struct client_request r;
	size_t count = 1;
	uint64_t id;

	header_from_text(text, &header);
	frames[0] = (struct net_frame){header.bytes, header.size};
	for (; sizes[count - 1] != SIZE_MAX; count++) frames[count] = (struct net_frame){zero_bytes, sizes[count - 1]};
	enum status status = client_request_decode(frames, count, &scratch, &r, &id, report);
	buf_release(&header);
	buf_release(&scratch);
	return status;
}

#define SIZES(...) (const size_t[]){__VA_ARGS__, SIZE_MAX}
#define NONE (const size_t[]){SIZE_MAX}

static void accepted(const char *text, const size_t *sizes)
{
	struct report report = {0};
	if (decode(&report, text, sizes) != STATUS_OK) fail_msg("'%s' is refused: %s", text, report.text);
}

static void refused(const char *text, const size_t *sizes, const char *says)
{
	struct report report = {0};
	enum status status = decode(&report, text, sizes);
	if (status != STATUS_LIMIT || !strstr(report.text, says)) fail_msg("'%s' gives %s: %s", text, status_name(status), report.text);
}

static void dim(void **state)
{
	accepted("v=1 id=1 op=create index=a metric=dot dim=1", NONE);
	accepted("v=1 id=1 op=create index=a metric=dot dim=65536", NONE);
	refused("v=1 id=1 op=create index=a metric=dot dim=0", NONE, "dim has to be 1 to 65536, not 0");
	refused("v=1 id=1 op=create index=a metric=dot dim=65537", NONE, "dim has to be 1 to 65536, not 65537");
	accepted("v=1 id=1 op=search index=a k=1 dim=65536", SIZES(65536 * 4));
	refused("v=1 id=1 op=search index=a k=1 dim=65537", SIZES(65537 * 4), "dim has to be 1 to 65536");
	accepted("v=1 id=1 op=upsert index=a n=1 dim=65536 dtype=bits", SIZES(8, 8192));
	refused("v=1 id=1 op=upsert index=a n=1 dim=65537 dtype=bits", SIZES(8, 8193), "dim has to be 1 to 65536");
	refused("v=1 id=1 op=upsert index=a n=1 dim=18446744073709551615", SIZES(8, 4), "dim has to be 1 to 65536");
}

static void hits_of_a_request(void **state)
{
	accepted("v=1 id=1 op=search index=a k=1048576 dim=1", SIZES(4));
	refused("v=1 id=1 op=search index=a k=1048577 dim=1", SIZES(4), "k 1048577 x 1 query is more than 1048576 hits per request: ask for fewer neighbours");
	accepted("v=1 id=1 op=search index=a k=256 nq=4096 dim=1", SIZES(4096 * 4));
	refused("v=1 id=1 op=search index=a k=257 nq=4096 dim=1", SIZES(4096 * 4), "k 257 x 4096 queries is more than 1048576 hits per request");
	refused("v=1 id=1 op=search index=a k=0 dim=1", SIZES(4), "k has to be 1 to");
	refused("v=1 id=1 op=search index=a k=18446744073709551615 dim=1", SIZES(4), "k has to be 1 to");
	refused("v=1 id=1 op=search index=a k=2000000 dim=1", SIZES(4), "k 2000000 x 1 query is more than 1048576 hits per request");
}

static void queries_of_a_request(void **state)
{
	accepted("v=1 id=1 op=search index=a k=1 nq=4096 by_id=true", SIZES(4096 * 8));
	refused("v=1 id=1 op=search index=a k=1 nq=4097 by_id=true", SIZES(4097 * 8), "nq has to be 1 to 4096, not 4097");
	refused("v=1 id=1 op=search index=a k=1 nq=0 by_id=true", NONE, "nq has to be 1 to 4096, not 0");
}

static void items_of_a_request(void **state)
{
	accepted("v=1 id=1 op=upsert index=a n=65536 dim=1", SIZES(65536 * 8, 65536 * 4));
	refused("v=1 id=1 op=upsert index=a n=65537 dim=1", SIZES(65537 * 8, 65537 * 4), "n has to be 1 to 65536, not 65537");
	accepted("v=1 id=1 op=delete index=a n=65536", SIZES(65536 * 8));
	refused("v=1 id=1 op=delete index=a n=65537", SIZES(65537 * 8), "n has to be 1 to 65536");
	refused("v=1 id=1 op=get index=a n=65537", SIZES(65537 * 8), "n has to be 1 to 65536");
	refused("v=1 id=1 op=get index=a n=0", NONE, "n has to be 1 to 65536, not 0");
}

static void items_of_a_page(void **state)
{
	accepted("v=1 id=1 op=scan index=a", NONE);
	accepted("v=1 id=1 op=scan index=a limit=1", NONE);
	accepted("v=1 id=1 op=scan index=a limit=65536", NONE);
	refused("v=1 id=1 op=scan index=a limit=0", NONE, "limit has to be 1 to 65536, not 0");
	refused("v=1 id=1 op=scan index=a limit=65537", NONE, "limit has to be 1 to 65536, not 65537");
}

static void effort_and_trees(void **state)
{
	accepted("v=1 id=1 op=search index=a k=1 dim=1 search_k=2147483647", SIZES(4));
	refused("v=1 id=1 op=search index=a k=1 dim=1 search_k=2147483648", SIZES(4), "search_k has to be 0 to 2147483647");
	accepted("v=1 id=1 op=create index=a metric=dot dim=1 trees=10000", NONE);
	refused("v=1 id=1 op=create index=a metric=dot dim=1 trees=10001", NONE, "trees has to be 0 to 10000");
	accepted("v=1 id=1 op=build index=a trees=10000", NONE);
	refused("v=1 id=1 op=build index=a trees=10001", NONE, "trees has to be 0 to 10000");
}

static void shards_and_replicas(void **state)
{
	accepted("v=1 id=1 op=create index=a metric=dot dim=1 shards=4096", NONE);
	refused("v=1 id=1 op=create index=a metric=dot dim=1 shards=4097", NONE, "shards has to be 0 to 4096");
	accepted("v=1 id=1 op=create index=a metric=dot dim=1 replicas=7", NONE);
	refused("v=1 id=1 op=create index=a metric=dot dim=1 replicas=8", NONE, "replicas has to be 1 to 7");
	refused("v=1 id=1 op=create index=a metric=dot dim=1 replicas=0", NONE, "replicas has to be 1 to 7");
}

static void deadlines(void **state)
{
	accepted("v=1 id=1 op=list timeout_ms=1", NONE);
	accepted("v=1 id=1 op=list timeout_ms=600000", NONE);
	refused("v=1 id=1 op=list timeout_ms=0", NONE, "timeout_ms has to be 1 to 600000, not 0");
	refused("v=1 id=1 op=list timeout_ms=600001", NONE, "timeout_ms has to be 1 to 600000, not 600001");
}

static void names(void **state)
{
	char name[65], text[200];

	memset(name, 'x', sizeof(name));
	name[63] = 0;
	snprintf(text, sizeof(text), "v=1 id=1 op=drop index=%s", name);
	accepted(text, NONE);
	name[63] = 'x';
	name[64] = 0;
	snprintf(text, sizeof(text), "v=1 id=1 op=drop index=%s", name);
	refused(text, NONE, "the index name has 64 bytes, more than 63");
}

/* An upsert of one item with a payload (a map of one bin) or a key of `size` bytes. */
static enum status upsert_with(size_t size, bool key, struct report *report)
{
	struct buf header = {0}, scratch = {0};
	uint8_t *frame = calloc(1, size + 4), head[] = {0x81, 0xa1, 'x', 0xc5, (uint8_t)((size - 6) >> 8), (uint8_t)(size - 6)};
	uint64_t id;
	struct client_request r;

	assert_non_null(frame);
	header_from_text(key ? "v=1 id=1 op=upsert index=a n=1 dim=1 keys=true" : "v=1 id=1 op=upsert index=a n=1 dim=1 payloads=true", &header);
	store_u32(frame, (uint32_t)size);
	if (!key) memcpy(frame + 4, head, sizeof(head));
	struct net_frame blob = {frame, size + 4}, none = {0};
	struct net_frame frames[] = {{header.bytes, header.size}, key ? none : (struct net_frame){zero_bytes, 8}, {zero_bytes, 4}, key ? none : blob, key ? blob : none};
	enum status status = client_request_decode(frames, 5, &scratch, &r, &id, report);
	buf_release(&header);
	buf_release(&scratch);
	free(frame);
	return status;
}

static void payloads_and_keys(void **state)
{
	struct report report = {0};

	assert_int_equal(upsert_with(PAYLOAD_MAX, false, &report), STATUS_OK);
	assert_int_equal(upsert_with(PAYLOAD_MAX + 1, false, &report), STATUS_LIMIT);
	assert_string_equal(report.text, "the payload of item 0 has 65537 bytes, more than 65536");
	assert_int_equal(upsert_with(KEY_MAX, true, &report), STATUS_OK);
	assert_int_equal(upsert_with(KEY_MAX + 1, true, &report), STATUS_LIMIT);
	assert_string_equal(report.text, "the key of item 0 has 256 bytes, more than 255");
}

static void bytes_of_a_message(void **state)
{
	/* 2,048 rows of 65,536 bits are 16 MiB to the byte; with their ids they are too many. */
	accepted("v=1 id=1 op=search index=a k=1 nq=2048 dim=65536 dtype=bits", SIZES(CLIENT_FRAME_MAX));
	accepted("v=1 id=1 op=upsert index=a n=2044 dim=8200 dtype=u8", SIZES(2044 * 8, 2044 * 8200));
	refused("v=1 id=1 op=upsert index=a n=2048 dim=65536 dtype=bits", SIZES(2048 * 8, CLIENT_FRAME_MAX), "more than 16777216");
	refused("v=1 id=1 op=search index=a k=1 nq=1 dim=1", SIZES(CLIENT_FRAME_MAX + 1), "16777217 bytes, more than 16777216");
}

static void bytes_of_a_header(void **state)
{
	for (size_t more = 0; more < 2; more++) {
		struct buf header = {0}, scratch = {0};
		struct client_request r;
		struct report report = {0};
		uint64_t id;
		char *text = malloc(HEADER_MAX + 100);
		assert_non_null(text);
		/* 1 + (v 3) + (id 4) + (op 8) + key "x" 2 + str32 head 3 + text = HEADER_MAX */
		int n = snprintf(text, 100, "v=1 id=1 op=list x=");
		size_t fill = HEADER_MAX - 21 + more;
		memset(text + n, 'y', fill);
		text[(size_t)n + fill] = 0;
		header_from_text(text, &header);
		assert_int_equal(header.size, HEADER_MAX + more);
		struct net_frame frame = {header.bytes, header.size};
		assert_int_equal(client_request_decode(&frame, 1, &scratch, &r, &id, &report), more ? STATUS_LIMIT : STATUS_OK);
		if (more) assert_non_null(strstr(report.text, "the header frame of 65537 bytes is longer than 65536"));
		buf_release(&header);
		free(text);
	}
}

static void frames_of_a_message(void **state)
{
	refused("v=1 id=1 op=upsert index=a n=1 dim=1", SIZES(0, 0, 0, 0, 0, 0, 0, 0), "1 to 8 frames, not 9");
	struct report report = {0};
	assert_int_equal(decode(&report, "v=1 id=1 op=upsert index=a n=1 dim=1", SIZES(8, 4, 0, 0, 0, 0, 0)), STATUS_BAD_REQUEST);
	assert_non_null(strstr(report.text, "upsert has at most 4 frames after the header, not 7"));
}

static void encoders_name_the_limit_too(void **state)
{
	struct client_request r = {.id = 1, .op = CLIENT_SEARCH, .index = "a", .timeout_ms = 1,
		.search = {.spec = {.k = 2000000}, .nq = 1, .dim = 1, .vectors = zero_bytes, .min_coverage = 1}};
	struct encoded e = {0};
	struct report report = {0};

	assert_int_equal(client_request_encode(&r, &e, &report), STATUS_LIMIT);
	assert_non_null(strstr(report.text, "k 2000000 x 1 query is more than 1048576 hits per request"));
	r.search.spec.k = 1;
	r.search.nq = 257;
	r.search.dim = 16385; /* 257 x 16,385 x 4 bytes: more than 16 MiB, refused before they are copied */
	assert_int_equal(client_request_encode(&r, &e, &report), STATUS_LIMIT);
	assert_non_null(strstr(report.text, "16777216 bytes"));
}

static void replies_have_the_same_bounds(void **state)
{
	static uint8_t results[BATCH_ITEMS_MAX + 1];
	struct client_reply r = {.id = 1, .op = CLIENT_UPSERT, .write = {.n = BATCH_ITEMS_MAX, .results = results}}, back;
	struct encoded e = {0};
	struct report report = {0};

	assert_int_equal(client_reply_encode(&r, &e), STATUS_OK);
	assert_int_equal(client_reply_decode(e.frames, e.count, &back, &report), STATUS_OK);
	client_reply_release(&back);
	encoded_release(&e);
	r.write.n++;
	assert_int_equal(client_reply_encode(&r, &e), STATUS_OK);
	assert_int_equal(client_reply_decode(e.frames, e.count, &back, &report), STATUS_LIMIT);
	encoded_release(&e);
	/* Rows of 4 KiB: 4,000 items fit into 16 MiB, 4,100 do not. */
	for (uint32_t n = 4000; n <= 4100; n += 100) {
		struct client_reply get = {.id = 1, .op = CLIENT_GET, .get = {.items = {.n = n, .dim = 1024, .ids = zero_bytes, .vectors = zero_bytes}, .found = zero_bytes}};
		assert_int_equal(client_reply_encode(&get, &e), n == 4000 ? STATUS_OK : STATUS_LIMIT);
		if (n == 4000) encoded_release(&e);
	}
	struct index_info *many = calloc(200000, sizeof(*many));
	assert_non_null(many);
	for (int i = 0; i < 200000; i++) memset(many[i].spec.name, 'n', NAME_MAX_BYTES);
	struct client_reply list = {.id = 1, .op = CLIENT_LIST, .list = {many, 200000}};
	assert_int_equal(client_reply_encode(&list, &e), STATUS_LIMIT);
	list.list.count = 100000;
	assert_int_equal(client_reply_encode(&list, &e), STATUS_OK);
	assert_int_equal(client_reply_decode(e.frames, e.count, &back, &report), STATUS_OK);
	assert_int_equal(back.list.count, 100000);
	client_reply_release(&back);
	encoded_release(&e);
	free(many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dim),
		cmocka_unit_test(hits_of_a_request),
		cmocka_unit_test(queries_of_a_request),
		cmocka_unit_test(items_of_a_request),
		cmocka_unit_test(items_of_a_page),
		cmocka_unit_test(effort_and_trees),
		cmocka_unit_test(shards_and_replicas),
		cmocka_unit_test(deadlines),
		cmocka_unit_test(names),
		cmocka_unit_test(payloads_and_keys),
		cmocka_unit_test(bytes_of_a_message),
		cmocka_unit_test(bytes_of_a_header),
		cmocka_unit_test(frames_of_a_message),
		cmocka_unit_test(encoders_name_the_limit_too),
		cmocka_unit_test(replies_have_the_same_bounds),
	};
	return cmocka_run_group_tests(tests, allocate, release);
}
