/* client_server.h - a scripted server in the process of a test of libgrove: a ROUTER that answers, keeps silent, answers late, answers nonsense, or goes
 * away. One in a test: `together` is its thread's. */
#ifndef TESTS_CLIENT_SERVER_H
#define TESTS_CLIENT_SERVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "client/grove.h"
#include "common/clock.h"
#include "common/cursor.h"
#include "common/net.h"
#include "proto/bundle.h"
#include "proto/client_codec.h"

enum behaviour {
	ANSWER,	       /* as a coordinator would */
	SILENT,	       /* takes requests and says nothing */
	GARBAGE,       /* says nonsense instead */
	LATE,	       /* answers when it is told to behave otherwise */
	WRONG_COUNT,   /* one outcome or query fewer than asked */
	TOO_MANY_HITS, /* more than k */
	MIXED,	       /* of three items: ok, rejected, unknown */
	REFUSE_BUSY,
	REFUSE_UNREAD, /* as a request that could not be read: the answer names no operation */
	PARTIAL,	   /* an incomplete search with one hit */
	TWICE,		   /* every answer comes twice */
	HOLD_THEN_REVERSE, /* keeps requests until HOLD of them are there, then answers the last first */
};
enum { HOLD = 5, HITS = 2 };

struct server {
	struct net *net;
	char endpoint[64];
	_Atomic int behaviour;
	_Atomic int stop, requests;
	_Atomic int bundles, bundled; /* hello tells that bundles are understood; messages in the last one */
	_Atomic uint32_t last_timeout_ms, last_mode, last_search_k;
	_Atomic float last_recall;
	pthread_t thread;
	char bind_to[64];
	_Atomic int bound;
};

/* The answers to a bundle's messages; the server's thread. NULL: what came was none. */
static struct bundle *together;

static void send_reply(struct net_socket *socket, const struct net_peer *peer, const struct client_reply *reply)
{
	struct encoded e;
	memset(&e, 0, sizeof(e));
	assert_int_equal(client_reply_encode(reply, &e), STATUS_OK);
	enum status ignored = together ? bundle_add(together, e.frames, e.count) : net_send(socket, peer, false, e.frames, e.count);
	(void)ignored;
	encoded_release(&e);
}

/* Ids 2^64 - 1, 2^53 + 1 for every query. */
static void answer_search(
	struct net_socket *socket, const struct net_peer *peer, const struct client_request *r, enum behaviour b)
{
	static const uint64_t ids[HITS] = {UINT64_MAX, (UINT64_C(1) << 53) + 1};
	static const float distances[HITS] = {0.5f, 1.5f};
	uint8_t counts[64 * 4], all_ids[64 * HITS * 8], all_distances[64 * HITS * 4], coverage[64 * COVERAGE_BYTES],
		missing[MISSING_BYTES];
	uint32_t nq = r->search.nq - (b == WRONG_COUNT), per = b == TOO_MANY_HITS	 ? 2
							       : r->search.spec.k < HITS ? r->search.spec.k
											 : HITS;
	struct client_reply reply;
	memset(&reply, 0, sizeof(reply));
	reply.id = r->id;
	reply.op = CLIENT_SEARCH;
	reply.search.predicted = 0.75f;
	if (b == PARTIAL) {
		per = 1;
		report_set(&reply.error, STATUS_INCOMPLETE, "1 of 2 shards did not answer");
		missing_store(&(struct missing){.shard = 1, .status = STATUS_UNAVAILABLE, .items = 30}, missing);
		reply.search.missing = missing;
		reply.search.missing_count = 1;
	}
	for (uint32_t q = 0; q < nq; q++) {
		struct coverage c = {.shards = 2,
			.answered = b == PARTIAL ? 1 : 2,
			.failed = b == PARTIAL,
			.items_total = 60,
			.items_searched = b == PARTIAL ? 30 : 60,
			.candidates = 7};
		store_u32(counts + q * 4, per);
		coverage_store(&c, coverage + q * COVERAGE_BYTES);
		for (uint32_t i = 0; i < per; i++) {
			store_u64(all_ids + (q * per + i) * 8, ids[i]);
			store_f32(all_distances + (q * per + i) * 4, distances[i]);
		}
	}
	reply.search.nq = nq;
	reply.search.total = (uint64_t)nq * per;
	reply.search.counts = counts;
	reply.search.ids = all_ids;
	reply.search.distances = all_distances;
	reply.search.coverage = coverage;
	send_reply(socket, peer, &reply);
}

/* Ids count up from where the scan goes on, as many as it asked for; two pages in all. */
static void scan_page(struct client_reply *reply, const struct client_request *r, enum behaviour b)
{
	static uint8_t ids[64 * 8], vectors[64 * 4], lengths[64 * 4];
	uint32_t n = r->scan.limit + (b == WRONG_COUNT);
	for (uint32_t i = 0; i < n; i++) {
		store_u64(ids + 8 * (size_t)i, r->scan.from.id + i);
		store_f32(vectors + 4 * (size_t)i, (float)i);
		store_u32(lengths + 4 * (size_t)i, i == 0 ? 4 : 0);
	}
	reply->scan.items = (struct items){.n = n, .dim = r->scan.with_vector, .ids = ids, .vectors = vectors, .keys = {n, lengths, (const uint8_t *)"boot", 4}};
	reply->scan.end = r->scan.from.index != 0;
	reply->scan.next = (struct scan_cursor){.index = 5, .shard = 3, .id = UINT64_MAX - 1};
}

static void answer(const struct server *s, struct net_socket *socket, const struct net_peer *peer, const struct client_request *r, enum behaviour b)
{
	static const uint8_t fine[64], mixed[3] = {ITEM_OK, ITEM_REJECTED, ITEM_UNKNOWN};
	struct client_reply reply;
	memset(&reply, 0, sizeof(reply));
	reply.id = r->id;
	reply.op = r->op;
	if (b == REFUSE_BUSY && r->op != CLIENT_HELLO) {
		report_set(&reply.error, STATUS_BUSY, "the queue is full");
		send_reply(socket, peer, &reply);
		return;
	}
	if (b == REFUSE_UNREAD && r->op != CLIENT_HELLO) {
		reply.op = CLIENT_OP_COUNT;
		report_set(&reply.error, STATUS_BAD_REQUEST, "the header is no map");
		send_reply(socket, peer, &reply);
		return;
	}
	switch (r->op) {
	case CLIENT_HELLO:
		reply.hello.version = CLIENT_PROTOCOL_VERSION;
		snprintf(reply.hello.server, sizeof(reply.hello.server), "scripted 1");
		reply.hello.bundles = r->hello.bundles && s->bundles;
		break;
	case CLIENT_UPSERT:
		reply.write.n = r->upsert.items.n - (b == WRONG_COUNT);
		reply.write.results = b == MIXED ? mixed : fine;
		break;
	case CLIENT_SEARCH: answer_search(socket, peer, r, b); return;
	case CLIENT_SCAN: scan_page(&reply, r, b); break;
	default: break; /* an empty list */
	}
	send_reply(socket, peer, &reply);
}

static void serve(struct server *s, struct net_socket *socket, const struct net_message *m)
{
	static const uint8_t noise[] = {0xdd, 0x0f, 0xff, 0xff, 0xff, 1, 2, 3};
	struct client_request r;
	struct report report;
	struct buf scratch;
	uint64_t id;
	enum behaviour b = (enum behaviour)s->behaviour;
	buf_init(&scratch, 0);
	assert_int_equal(client_request_decode(m->frames, m->count, &scratch, &r, &id, &report), STATUS_OK);
	s->requests++;
	s->last_timeout_ms = r.timeout_ms;
	if (r.op == CLIENT_SEARCH) {
		s->last_mode = r.search.spec.mode;
		s->last_search_k = r.search.spec.search_k;
		s->last_recall = r.search.spec.recall;
	}
	if (r.op == CLIENT_HELLO || (b != SILENT && b != GARBAGE && b != LATE)) {
		answer(s, socket, &m->peer, &r, b);
		if (b == TWICE) answer(s, socket, &m->peer, &r, b);
	} else if (b == GARBAGE) {
		struct net_frame frames[2] = {{noise, sizeof(noise)}, {noise, 3}};
		for (size_t n = 1; n <= 2; n++) assert_int_equal(net_send(socket, &m->peer, false, frames, n), STATUS_OK);
	} else if (b == LATE) {
		while (s->behaviour == LATE && !s->stop) clock_sleep_us(1000);
		answer(s, socket, &m->peer, &r, ANSWER);
	}
	buf_release(&scratch);
}

static void serve_message(struct server *s, struct net_socket *socket, const struct net_message *m)
{
	struct bundle_reader bundle;
	struct bundle answers = {0};
	struct net_frame frames[2];
	if (!bundle_is(m->frames, m->count)) {
		serve(s, socket, m);
		return;
	}
	assert_true(s->bundles);
	assert_int_equal(bundle_open(m->frames, m->count, &bundle, NULL), STATUS_OK);
	s->bundled = (int)bundle.left;
	together = &answers;
	for (struct net_message one = {.peer = m->peer}; bundle_next(&bundle, one.frames, &one.count);) serve(s, socket, &one);
	together = NULL;
	if (answers.count) {
		bundle_frames(&answers, frames);
		assert_int_equal(net_send(socket, &m->peer, false, frames, 2), STATUS_OK);
	}
	bundle_release(&answers);
}

static void *server_main(void *context)
{
	struct server *s = context;
	struct net_socket *socket = NULL;
	struct report report;
	struct net_message held[HOLD];
	size_t held_count = 0;
	assert_int_equal(net_open(s->net, NET_ROUTER, CLIENT_FRAME_MAX, 1000, &socket), STATUS_OK);
	assert_int_equal(net_bind(socket, s->bind_to, &report), STATUS_OK);
	assert_int_equal(net_endpoint(socket, s->endpoint, sizeof(s->endpoint)), STATUS_OK);
	s->bound = 1;
	while (!s->stop) {
		struct net_poll item = {.socket = socket, .fd = -1};
		assert_int_equal(net_wait(&item, 1, 10000), STATUS_OK);
		for (;;) {
			struct net_message m;
			memset(&m, 0, sizeof(m));
			if (net_receive(socket, &m) != STATUS_OK) break;
			if (s->behaviour == HOLD_THEN_REVERSE) {
				memset(&held[held_count], 0, sizeof(held[0]));
				net_message_move(&held[held_count++], &m);
				if (held_count == HOLD) {
					while (held_count) {
						serve_message(s, socket, &held[--held_count]);
						net_message_release(&held[held_count]);
					}
				}
			} else {
				serve_message(s, socket, &m);
			}
			net_message_release(&m);
		}
	}
	while (held_count) net_message_release(&held[--held_count]);
	net_close(&socket);
	return NULL;
}

static inline void server_start(struct server *s, const char *bind_to)
{
	memset(s, 0, sizeof(*s));
	snprintf(s->bind_to, sizeof(s->bind_to), "%s", bind_to);
	assert_int_equal(net_new(&s->net), STATUS_OK);
	assert_int_equal(pthread_create(&s->thread, NULL, server_main, s), 0);
	while (!s->bound) clock_sleep_us(1000);
}

static inline void server_stop(struct server *s)
{
	s->stop = 1;
	pthread_join(s->thread, NULL);
	net_free(&s->net);
}

static inline grove_client *connect_to(const struct server *s, uint32_t timeout_ms)
{
	grove_client *client = NULL;
	char why[GROVE_TEXT_MAX] = "";
	int code = grove_open(s->endpoint, 20000, &client, why, sizeof(why));
	if (code != GROVE_OK) fail_msg("open: %s", why);
	assert_int_equal(grove_set_timeout(client, timeout_ms), GROVE_OK);
	return client;
}

static const float vectors[6] = {1, 2, 3, 4, 5, 6};

#endif
