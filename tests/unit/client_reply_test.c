/* Replies, as a client reads them: what does not add up is refused, what is newer than the client is let through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/cursor.h"
#include "proto/client_codec.h"
#include "tests/support/header_text.h"

static enum status decode(const char *text, const struct net_frame *bulk, size_t bulk_count, struct client_reply *ret, struct report *report)
{
	struct buf header = {0};
	struct net_frame frames[FRAMES_MAX];

	header_from_text(text, &header);
	frames[0] = (struct net_frame){header.bytes, header.size};
	for (size_t i = 0; i < bulk_count; i++) frames[i + 1] = bulk[i];
	enum status status = client_reply_decode(frames, bulk_count + 1, ret, report);
	buf_release(&header); /* no reply points into its header */
	return status;
}

#define BULK(...) (const struct net_frame[]){__VA_ARGS__}, sizeof((const struct net_frame[]){__VA_ARGS__}) / sizeof(struct net_frame)
#define BYTES(text) {(const uint8_t *)(text), sizeof(text) - 1}

static void expect(enum status status, const char *text, const struct net_frame *bulk, size_t bulk_count)
{
	struct client_reply r = {0};
	struct report report = {0};
	enum status got = decode(text, bulk, bulk_count, &r, &report);

	if (got != status) fail_msg("'%s' gives %s (%s), not %s", text, status_name(got), report.text, status_name(status));
	client_reply_release(&r);
}

/* One query with two hits, one missing shard of two. */
struct hits { uint8_t counts[4], ids[16], distances[8], coverage[COVERAGE_BYTES], missing[MISSING_BYTES]; };

static struct hits hits_make(void)
{
	struct hits h;
	struct coverage c = {2, 1, 0, 1, 10, 5, 7};
	struct missing m = {1, STATUS_TIMEOUT, 5};

	store_u32(h.counts, 2);
	memset(h.ids, 7, sizeof(h.ids));
	store_f32(h.distances, 1);
	store_f32(h.distances + 4, INFINITY);
	coverage_store(&c, h.coverage);
	missing_store(&m, h.missing);
	return h;
}

static void expect_hits(enum status status, const struct hits *h)
{
	expect(status, "v=1 id=1 op=search ok=false error=incomplete message=partial nq=1 total=2 missing=1",
		BULK({h->counts, 4}, {h->ids, 16}, {h->distances, 8}, {h->coverage, COVERAGE_BYTES}, {h->missing, MISSING_BYTES}));
}

static void hits_that_do_not_add_up_are_refused(void **state)
{
	struct hits h = hits_make();

	expect_hits(STATUS_OK, &h);
	for (uint32_t n = 0; n < 4; n++) {
		store_u32(h.counts, n);
		expect_hits(n == 2 ? STATUS_OK : STATUS_BAD_REQUEST, &h);
	}
	h = hits_make();
	store_f32(h.distances, NAN);
	expect_hits(STATUS_BAD_REQUEST, &h);
}

static void coverage_that_does_not_add_up_is_refused(void **state)
{
	static const struct coverage bad[] = {{2, 2, 0, 1, 10, 5, 7}, {2, 1, 0, 0, 10, 5, 7}, {2, 1, 0, 1, 4, 5, 7}, {2, UINT32_MAX, 2, 1, 10, 5, 7},
		{4097, 4096, 0, 1, 10, 5, 7}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct hits h = hits_make();
		coverage_store(&bad[i], h.coverage);
		expect_hits(STATUS_BAD_REQUEST, &h);
	}
	static const struct missing wrong[] = {{4096, STATUS_TIMEOUT, 0}, {0, STATUS_OK, 0}, {0, (enum status)1, 0}};
	for (size_t i = 0; i < 3; i++) {
		struct hits h = hits_make();
		missing_store(&wrong[i], h.missing);
		expect_hits(STATUS_BAD_REQUEST, &h);
	}
}

static void results_have_to_be_known_ones(void **state)
{
	expect(STATUS_OK, "v=1 id=1 op=upsert ok=true n=3 tokens=0", BULK(BYTES("\0\1\2")));
	expect(STATUS_BAD_REQUEST, "v=1 id=1 op=upsert ok=true n=3 tokens=0", BULK(BYTES("\0\1\3")));
	expect(STATUS_OK, "v=1 id=1 op=delete ok=false error=unknown n=3 tokens=0", BULK(BYTES("\2\1\2")));
	expect(STATUS_BAD_REQUEST, "v=1 id=1 op=get ok=true n=1 dim=1", BULK(BYTES("12345678"), BYTES("\0\0\0\0"), BYTES("\2")));
	expect(STATUS_OK, "v=1 id=1 op=get ok=true n=1 dim=1", BULK(BYTES("12345678"), BYTES("\0\0\0\0"), BYTES("\1")));
	expect(STATUS_BAD_REQUEST, "v=1 id=1 op=get ok=true n=1 dim=1", BULK(BYTES("12345678"), BYTES("\0\0\x80\x7f"), BYTES("\1")));
}

static void an_error_has_a_code_and_a_sentence(void **state)
{
	struct client_reply r = {0};
	struct report report = {0};

	assert_int_equal(decode("v=1 id=9 op=drop ok=false error=not_found message=gone", NULL, 0, &r, &report), STATUS_OK);
	assert_true(r.id == 9 && r.op == CLIENT_DROP && r.error.status == STATUS_NOT_FOUND);
	assert_string_equal(r.error.text, "gone");
	assert_int_equal(decode("v=1 id=9 ok=false error=busy", NULL, 0, &r, &report), STATUS_OK);
	assert_true(r.op == CLIENT_OP_COUNT && r.error.status == STATUS_BUSY && r.error.text[0]);
	assert_int_equal(decode("v=1 id=9 ok=false error=eaten_by_mice message=sorry", NULL, 0, &r, &report), STATUS_OK);
	assert_int_equal(r.error.status, STATUS_UNSUPPORTED);
	assert_string_equal(r.error.text, "sorry");
	expect(STATUS_BAD_REQUEST, "v=1 id=9 ok=false", NULL, 0);
	expect(STATUS_BAD_REQUEST, "v=1 id=9 ok=false error=ok", NULL, 0);
	expect(STATUS_BAD_REQUEST, "v=1 id=9 ok=true", NULL, 0);
	expect(STATUS_BAD_REQUEST, "v=1 id=9 op=drop", NULL, 0);
	expect(STATUS_UNSUPPORTED, "v=2 id=9 op=drop ok=true", NULL, 0);
	expect(STATUS_BAD_REQUEST, "v=1 id=9 op=drop ok=false error=busy", BULK(BYTES("x")));
}

static void rows_may_grow_but_not_shrink(void **state)
{
	/* [[1, "a", "dot", 2, 3, 1, 10, 7, 8, 3, 0, 0, true, "later"]] */
	static const char longer[] = "\x91\x9e\x01\xa1""a\xa3""dot\x02\x03\x01\x0a\x07\x08\x03\x00\x00\xc3\xa5later";
	struct client_reply r = {0};
	struct report report = {0};

	assert_int_equal(decode("v=1 id=1 op=list ok=true later=1", BULK(BYTES("\x90"), BYTES(longer), BYTES("\x90")), &r, &report), STATUS_OK);
	assert_int_equal(r.list.count, 1);
	assert_true(r.list.indexes[0].spec.dim == 2 && r.list.indexes[0].items == 8 && r.list.indexes[0].complete);
	client_reply_release(&r);
	expect(STATUS_BAD_REQUEST, "v=1 id=1 op=list ok=true", BULK(BYTES("\x90"), BYTES("\x91\x9c\x01\xa1""a\xa3""dot\x02\x03\x01\x0a\x07\x08\x03\x00\x00"), BYTES("\x90")));
	expect(STATUS_BAD_REQUEST, "v=1 id=1 op=list ok=true", BULK(BYTES("\x90"), BYTES("\x91\x01"), BYTES("\x90")));
	expect(STATUS_BAD_REQUEST, "v=1 id=1 op=list ok=true", BULK(BYTES("\x90"), BYTES("\x80"), BYTES("\x90")));
	expect(STATUS_BAD_REQUEST, "v=1 id=1 op=list ok=true", NULL, 0);
}

static void rows_are_checked_for_meaning(void **state)
{
	static const struct net_frame good = BYTES("\x91\x9d\x01\xa1""a\xa3""dot\x02\x03\x01\x0a\x07\x08\x03\x00\xcd\x03\xe8\xc3");
	static const struct net_frame bad[] = {
		BYTES("\x91\x9d\x01\xa1""A\xa3""dot\x02\x03\x01\x0a\x07\x08\x03\x00\x00\xc3"),         /* not the name of an index */
		BYTES("\x91\x9d\x01\xa1""a\xa3""dox\x02\x03\x01\x0a\x07\x08\x03\x00\x00\xc3"),         /* no metric */
		BYTES("\x91\x9d\x01\xa1""a\xa3""dot\x02\xcd\x10\x01\x01\x0a\x07\x08\x03\x00\x00\xc3"), /* 4097 shards */
		BYTES("\x91\x9d\xff\xa1""a\xa3""dot\x02\x03\x01\x0a\x07\x08\x03\x00\x00\xc3"),         /* id -1 */
		BYTES("\x91\x9d\x01\xa1""a\xa3""dot\x02\x03\x01\x0a\x07\x08\x03\x00\xcd\x03\xe9\xc3"), /* 1001 per mille */
	};

	expect(STATUS_OK, "v=1 id=1 op=list ok=true", BULK(BYTES("\x90"), good, BYTES("\x90")));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect(STATUS_BAD_REQUEST, "v=1 id=1 op=list ok=true", BULK(BYTES("\x90"), bad[i], BYTES("\x90")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hits_that_do_not_add_up_are_refused),
		cmocka_unit_test(coverage_that_does_not_add_up_is_refused),
		cmocka_unit_test(results_have_to_be_known_ones),
		cmocka_unit_test(an_error_has_a_code_and_a_sentence),
		cmocka_unit_test(rows_may_grow_but_not_shrink),
		cmocka_unit_test(rows_are_checked_for_meaning),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
