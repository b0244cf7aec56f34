/* The cluster protocol: what a worker or a coordinator that is broken, old or hostile could send is refused, and costs little. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "proto/cluster_codec.h"

enum { HITS = 3 };

/* One query, one shard, three hits. */
struct answer { struct cluster_reply r; struct shard_outcome outcome; uint8_t answers[1], candidates[8], counts[4], ids[8 * HITS], raws[4 * HITS]; };

static void answer_make(struct answer *a, const uint64_t *ids, const float *raws)
{
	memset(a, 0, sizeof(*a));
	a->outcome = (struct shard_outcome){STATUS_OK, 3, 1, 1, 0.5f};
	store_u32(a->counts, HITS);
	for (size_t i = 0; i < HITS; i++) {
		store_u64(a->ids + i * 8, ids[i]);
		store_f32(a->raws + i * 4, raws[i]);
	}
	a->r = (struct cluster_reply){.id = 5, .to = CLUSTER_SEARCH, .search = {.nq = 1, .shard_count = 1, .shards = &a->outcome, .answers = a->answers,
		.candidates = a->candidates, .counts = a->counts, .total = HITS, .ids = a->ids, .raws = a->raws}};
}

static enum status answer_sent(struct answer *a, struct report *report)
{
	struct encoded e = {0};
	struct cluster_reply back = {0};
	uint64_t id = 0;

	assert_int_equal(cluster_reply_encode(&a->r, &e), STATUS_OK);
	enum status status = cluster_reply_decode(e.frames, e.count, &back, &id, report);
	assert_int_equal(id, 5);
	cluster_reply_release(&back);
	encoded_release(&e);
	return status;
}

static void hits_that_are_not_sorted_are_refused(void **state)
{
	static const struct { uint64_t ids[HITS]; float raws[HITS]; bool good; } cases[] = {
		{{1, 2, 3}, {0, 1, 2}, true}, {{9, 2, 3}, {0, 1, 1}, true}, {{1, 2, 3}, {0, 0, 0}, true}, {{1, 2, 3}, {0, INFINITY, INFINITY}, true},
		{{1, 2, 3}, {-3, -2, -1}, true}, {{1, 2, 3}, {0, 2, 1}, false}, {{1, 3, 2}, {0, 1, 1}, false}, {{1, 1, 2}, {0, 0, 0}, false},
		{{1, 2, 3}, {0, 1, NAN}, false}, {{1, 2, 3}, {NAN, 1, 2}, false}, {{1, 2, 3}, {-INFINITY, 1, 2}, false},
	};
	struct report report = {0};
	struct answer a;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		answer_make(&a, cases[i].ids, cases[i].raws);
		assert_int_equal(answer_sent(&a, &report), cases[i].good ? STATUS_OK : STATUS_BAD_REQUEST);
		if (!cases[i].good) assert_non_null(strstr(report.text, "not sorted"));
	}
}

static void hits_that_do_not_add_up_are_refused(void **state)
{
	static const uint32_t counts[] = {0, HITS - 1, HITS + 1, UINT32_MAX};
	struct answer a;

	for (size_t i = 0; i < 4; i++) {
		answer_make(&a, (const uint64_t[]){1, 2, 3}, (const float[]){1, 2, 3});
		store_u32(a.counts, counts[i]);
		assert_int_equal(answer_sent(&a, NULL), STATUS_BAD_REQUEST);
	}
}

static void answers_and_outcomes_have_to_be_known_ones(void **state)
{
	struct answer a;

	answer_make(&a, (const uint64_t[]){1, 2, 3}, (const float[]){1, 2, 3});
	a.answers[0] = ANSWER_NONE;
	assert_int_equal(answer_sent(&a, NULL), STATUS_OK);
	a.answers[0] = ANSWER_NONE + 1;
	assert_int_equal(answer_sent(&a, NULL), STATUS_BAD_REQUEST);
	a.answers[0] = 0;
	a.outcome.status = (enum status)1;
	assert_int_equal(answer_sent(&a, NULL), STATUS_BAD_REQUEST);
	a.outcome.status = STATUS_OK;
	const float predicted[] = {0, 1, 1.001f, -0.001f, NAN};
	for (int i = 0; i < 5; i++) {
		a.outcome.predicted = predicted[i];
		assert_int_equal(answer_sent(&a, NULL), i < 2 ? STATUS_OK : STATUS_BAD_REQUEST);
	}
}

/* More hits than a request can ask for, in a well-formed message. */
static void a_worker_cannot_send_more_hits_than_any_request_asks_for(void **state)
{
	uint32_t n = QUERY_HITS_MAX + 1;
	uint8_t *ids = malloc((size_t)n * 8), *raws = calloc(n, 4);
	struct answer a;

	assert_true(ids && raws);
	for (uint32_t i = 0; i < n; i++) store_u64(ids + (size_t)i * 8, i);
	for (uint32_t more = 0; more < 2; more++) {
		answer_make(&a, (const uint64_t[]){1, 2, 3}, (const float[]){1, 2, 3});
		store_u32(a.counts, QUERY_HITS_MAX + more);
		a.r.search.total = QUERY_HITS_MAX + more;
		a.r.search.ids = ids;
		a.r.search.raws = raws;
		assert_int_equal(answer_sent(&a, NULL), more ? STATUS_BAD_REQUEST : STATUS_OK);
	}
	free(ids);
	free(raws);
}

/* ---- headers by hand ---- */

static void put_varint(struct buf *b, uint64_t v)
{
	uint8_t byte;

	do {
		byte = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
		assert_int_equal(buf_append(b, &byte, 1), STATUS_OK);
	} while (v >>= 7);
}

static void put_field(struct buf *b, uint32_t number, uint64_t v)
{
	put_varint(b, (uint64_t)number << 3);
	put_varint(b, v);
}

/* A build request's header: valid with the version and end 1, followed by `unknown` fields of two bytes or more. */
static enum status header_with(uint32_t version, uint32_t end, size_t unknown, struct report *report)
{
	struct buf b = {0};
	struct cluster_request r = {0};

	put_field(&b, 1, CLUSTER_BUILD + 1);
	put_field(&b, 2, version);
	put_field(&b, 3, 77);
	put_varint(&b, 11 << 3 | 2); /* build: the shard's uuid */
	put_varint(&b, 18);
	put_varint(&b, 1 << 3 | 2);
	put_varint(&b, 16);
	assert_int_equal(buf_append(&b, "0123456789abcdef", 16), STATUS_OK);
	for (size_t i = 0; i < unknown; i++) put_field(&b, 15, 1);
	put_field(&b, 2047, end);
	struct net_frame frame = {b.bytes, b.size};
	enum status status = cluster_request_decode(&frame, 1, &r, report);
	if (status == STATUS_OK) assert_int_equal(r.id, 77);
	cluster_request_release(&r);
	buf_release(&b);
	return status;
}

static void versions_have_to_agree(void **state)
{
	struct report report = {0};

	assert_int_equal(header_with(CLUSTER_PROTOCOL_VERSION, 1, 0, &report), STATUS_OK);
	assert_int_equal(header_with(1, 1, 0, &report), STATUS_UNSUPPORTED); /* without bundles */
	assert_non_null(strstr(report.text, "version 1"));
	assert_int_equal(header_with(CLUSTER_PROTOCOL_VERSION, 0, 0, &report), STATUS_BAD_REQUEST); /* cut short: its end mark is missing */
}

static void unknown_fields_are_ignored_but_not_hoarded(void **state)
{
	assert_int_equal(header_with(CLUSTER_PROTOCOL_VERSION, 1, 100, NULL), STATUS_OK);
	/* Each would be an allocation of its own; 64 KiB of them would be 30,000. */
	assert_int_equal(header_with(CLUSTER_PROTOCOL_VERSION, 1, 30000, NULL), STATUS_BAD_REQUEST);
}

static void a_header_that_is_too_long_is_refused(void **state)
{
	uint8_t *bytes = calloc(1, HEADER_MAX + 1);
	struct cluster_request r;
	struct report report = {0};

	assert_non_null(bytes);
	struct net_frame frame = {bytes, HEADER_MAX + 1};
	assert_int_equal(cluster_request_decode(&frame, 1, &r, &report), STATUS_LIMIT);
	free(bytes);
}

static void more_than_64_mib_are_refused(void **state)
{
	uint8_t *bytes = calloc(1, (size_t)PEER_FRAME_MAX + 1);
	struct cluster_request r;
	struct report report = {0};

	assert_non_null(bytes);
	struct net_frame frames[] = {{bytes, 2}, {bytes, PEER_FRAME_MAX}, {bytes, 1}};
	assert_int_equal(cluster_request_decode(frames, 3, &r, &report), STATUS_LIMIT);
	struct items items = {.n = 65536, .dim = 1024, .ids = bytes, .vectors = bytes};
	struct cluster_request write = {.kind = CLUSTER_WRITE, .write = {.items = items}};
	struct encoded e = {0};
	assert_int_equal(cluster_request_encode(&write, &e), STATUS_LIMIT); /* 256 MiB, refused before they are copied */
	free(bytes);
}

static enum status sent(const struct cluster_request *r, struct report *report)
{
	struct encoded e = {0};
	struct cluster_request back = {0};

	assert_int_equal(cluster_request_encode(r, &e), STATUS_OK);
	enum status status = cluster_request_decode(e.frames, e.count, &back, report);
	cluster_request_release(&back);
	encoded_release(&e);
	return status;
}

static void a_worker_is_told_an_effort(void **state)
{
	const struct { struct search_spec spec; bool good; } efforts[] = {
		{{.k = 9, .mode = SEARCH_GRAPH, .recall = 0.95f, .spread = 1}, true},
		{{.k = 9, .mode = SEARCH_GRAPH, .search_k = 1}, true},
		{{.k = 9, .mode = SEARCH_EXACT}, true},
		{{.k = 9, .mode = SEARCH_GRAPH}, false}, /* neither */
		{{.k = 9, .mode = SEARCH_GRAPH, .recall = 0.95f}, false}, /* over how many shards? */
		{{.k = 9, .mode = SEARCH_GRAPH, .recall = 0.95f, .spread = 1, .search_k = 1}, false},
		{{.k = 9, .mode = SEARCH_GRAPH, .recall = 1, .spread = 1}, false},
		{{.k = 9, .mode = SEARCH_GRAPH, .recall = -0.5f, .spread = 1}, false},
		{{.k = 9, .mode = SEARCH_GRAPH, .recall = NAN, .spread = 1}, false},
		{{.k = 9, .mode = SEARCH_GRAPH, .search_k = 1, .recall = NAN, .spread = 1}, false},
		{{.k = 9, .mode = SEARCH_EXACT, .recall = 0.95f, .spread = 1}, false},
		{{.k = 9, .mode = SEARCH_FOREST, .recall = 0.95f, .spread = 1}, false},
	};
	uint8_t row[8] = {0};
	struct uuid shard = {{1}};
	struct report report = {0};

	for (size_t i = 0; i < sizeof(efforts) / sizeof(efforts[0]); i++) {
		struct cluster_request r = {.kind = CLUSTER_SEARCH,
			.search = {.spec = efforts[i].spec, .nq = 1, .dim = 2, .vectors = row, .shard_count = 1, .shards = &shard}};
		assert_int_equal(sent(&r, &report), efforts[i].good ? STATUS_OK : STATUS_BAD_REQUEST);
		if (!efforts[i].good) assert_non_null(strstr(report.text, "the effort"));
	}
}

static void requests_are_checked_for_meaning(void **state)
{
	uint8_t row[8] = {0}, id[8] = {0};
	struct uuid shard = {{1}};
	struct cluster_search good = {.spec = {.k = 1}, .nq = 1, .dim = 2, .vectors = row, .shard_count = 1, .shards = &shard};
	struct cluster_request r = {.kind = CLUSTER_SEARCH, .search = good};
	struct report report = {0};

	assert_int_equal(sent(&r, &report), STATUS_OK);
	r.search.spec.k = 0;
	assert_int_equal(sent(&r, &report), STATUS_BAD_REQUEST);
	r.search.spec.k = QUERY_HITS_MAX + 1;
	assert_int_equal(sent(&r, &report), STATUS_BAD_REQUEST);
	r.search = good;
	r.search.spec.mode = (enum search_mode)3;
	assert_int_equal(sent(&r, &report), STATUS_BAD_REQUEST);
	r.search = good;
	r.search.shard_count = 0;
	assert_int_equal(sent(&r, &report), STATUS_BAD_REQUEST);
	r.search = good;
	r.remaining_us = (uint64_t)DEADLINE_MAX_MS * 1000 + 1;
	assert_int_equal(sent(&r, &report), STATUS_BAD_REQUEST);
	r.remaining_us = 0;
	store_f32(row + 4, INFINITY);
	assert_int_equal(sent(&r, &report), STATUS_BAD_REQUEST);
	assert_non_null(strstr(report.text, "not finite"));

	struct cluster_request w = {.kind = CLUSTER_WRITE, .write = {.kind = WRITE_UPSERT, .items = {.n = 1, .dim = 2, .ids = id, .vectors = row}}};
	assert_int_equal(sent(&w, &report), STATUS_BAD_REQUEST);
	store_f32(row + 4, 0);
	assert_int_equal(sent(&w, &report), STATUS_OK);
	w.write.items.payloads = (struct blobs){1, (const uint8_t *)"\x01\0\0\0", (const uint8_t *)"\x90", 1};
	assert_int_equal(sent(&w, &report), STATUS_BAD_REQUEST);

	struct cluster_request o = {.kind = CLUSTER_OPEN, .open = {.index = {.name = "a", .dim = 1, .shards = 2, .replicas = 1}, .number = 1}};
	assert_int_equal(sent(&o, &report), STATUS_OK);
	o.open.number = 2;
	assert_int_equal(sent(&o, &report), STATUS_BAD_REQUEST);
	o.open.number = 0;
	strcpy(o.open.index.name, "../a");
	assert_int_equal(sent(&o, &report), STATUS_BAD_REQUEST);
}

static void blobs_that_contradict_themselves_are_not_sent(void **state)
{
	uint8_t row[4] = {0}, id[8] = {0};
	struct cluster_request w = {.kind = CLUSTER_WRITE, .write = {.items = {.n = 1, .dim = 1, .ids = id, .vectors = row,
		.keys = {1, (const uint8_t *)"\x02\0\0\0", (const uint8_t *)"a", 1}}}};
	struct encoded e = {0};

	assert_int_equal(cluster_request_encode(&w, &e), STATUS_BAD_REQUEST);
	assert_null(e.memory.bytes);
}

static void requests_and_replies_are_not_mistaken_for_each_other(void **state)
{
	struct cluster_request r = {.kind = CLUSTER_DROP, .id = 9}, back;
	struct cluster_reply reply = {.to = CLUSTER_DROP, .id = 9}, reply_back;
	struct encoded e = {0}, f = {0};
	uint64_t id = 0;

	assert_int_equal(cluster_request_encode(&r, &e), STATUS_OK);
	assert_int_equal(cluster_reply_encode(&reply, &f), STATUS_OK);
	assert_int_equal(cluster_reply_decode(e.frames, e.count, &reply_back, &id, NULL), STATUS_BAD_REQUEST);
	assert_int_equal(id, 9);
	assert_int_equal(cluster_request_decode(f.frames, f.count, &back, NULL), STATUS_BAD_REQUEST);
	assert_int_equal(cluster_peek(f.frames, f.count), CLUSTER_REPLY);
	encoded_release(&e);
	encoded_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hits_that_are_not_sorted_are_refused),
		cmocka_unit_test(hits_that_do_not_add_up_are_refused),
		cmocka_unit_test(answers_and_outcomes_have_to_be_known_ones),
		cmocka_unit_test(a_worker_cannot_send_more_hits_than_any_request_asks_for),
		cmocka_unit_test(versions_have_to_agree),
		cmocka_unit_test(unknown_fields_are_ignored_but_not_hoarded),
		cmocka_unit_test(a_header_that_is_too_long_is_refused),
		cmocka_unit_test(more_than_64_mib_are_refused),
		cmocka_unit_test(a_worker_is_told_an_effort),
		cmocka_unit_test(requests_are_checked_for_meaning),
		cmocka_unit_test(blobs_that_contradict_themselves_are_not_sent),
		cmocka_unit_test(requests_and_replies_are_not_mistaken_for_each_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
