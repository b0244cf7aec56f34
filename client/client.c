/* client.c - the handle of libgrove: one DEALER, up to GROVE_IN_FLIGHT_MAX slots, deadlines, waiting.
 *
 * A request is encoded when it is submitted and lives in a slot:
 *
 *     QUEUED --sent--> SENT --answer--> DONE --grove_wait()--> free
 *        \--deadline------\--deadline--> DONE
 *
 * QUEUED is left when a connection exists and takes the message (net_send() never queues for a peer that is not there), so a
 * request that ends in QUEUED certainly was not applied, and one that ends in SENT may have been. That is the difference between
 * UNAVAILABLE and UNKNOWN.
 *
 * Nothing happens between calls: every public function that waits turns the same crank, client_turn(): send what is queued, wait
 * for the socket, take in what came, end what is late. There is no thread of our own, so no lock either. Replies are matched by
 * request id alone; ids only go up in a handle, so an answer to something given up can never meet another request.
 *
 * Rejected: a background thread with callbacks (the caller's threads would then need rules), and repeating reads by ourselves
 * after a reconnect (the caller's deadline knows better). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client_internal.h"
#include "common/clock.h"
#include "common/limits.h"
#include "common/net.h"
#include "common/uuid.h"
#include "proto/bundle.h"
#include "proto/client_codec.h"

enum {
	SOCKET_HWM = 2 * GROVE_IN_FLIGHT_MAX,
	QUEUED_RETRY_US = 5000, /* how soon a message that found no connection is offered again */
	ENDPOINT_SIZE = 256,
};

enum slot_state { SLOT_FREE, SLOT_QUEUED, SLOT_SENT, SLOT_DONE };

struct slot {
	enum slot_state state;
	grove_ticket ticket;
	struct asked asked;
	uint32_t timeout_ms;
	uint64_t deadline_us;	/* when we stop waiting */
	uint64_t done_order;	/* which was answered first */
	struct encoded message; /* QUEUED only */
	grove_reply *reply;	/* DONE; NULL: no memory for it */
};

struct grove_client {
	struct net *net;
	struct net_socket *socket;
	char endpoint[ENDPOINT_SIZE];
	char server[64];
	uint64_t identity, last_ticket, done_count, dropped;
	uint32_t timeout_ms;
	bool bundles; /* the coordinator understands them */
	struct bundle bundle;
	struct report report;
	struct slot slots[GROVE_IN_FLIGHT_MAX];
};

#define SAME(name, number, wire, text) _Static_assert((int)GROVE_##name == (number), "grove.h and status.h disagree: " #name);
STATUS_MAP(SAME)
#undef SAME
_Static_assert(
	(int)GROVE_TEXT_MAX == (int)REPORT_TEXT_MAX && GROVE_NAME_SIZE == NAME_MAX_BYTES + 1, "grove.h and message.h disagree");
_Static_assert((int)GROVE_UUID_SIZE == (int)UUID_TEXT_SIZE, "grove.h and uuid.h disagree");

enum status client_fail(grove_client *client, enum status s, const char *fmt, ...)
{
	char text[REPORT_TEXT_MAX];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return report_set(&client->report, s, "%s", text);
}

static bool op_is_write(enum client_op op)
{
	return op == CLIENT_CREATE || op == CLIENT_DROP || op == CLIENT_UPSERT || op == CLIENT_DELETE || op == CLIENT_BUILD;
}

/* ---- slots ---- */

static struct slot *slot_find(grove_client *c, grove_ticket ticket)
{
	for (size_t i = 0; i < GROVE_IN_FLIGHT_MAX; i++) {
		if (c->slots[i].state != SLOT_FREE && c->slots[i].ticket == ticket) return &c->slots[i];
	}
	return NULL;
}

/* The slot in that state that is first by ticket, or for DONE by the order of the answers. */
static struct slot *slot_first(grove_client *c, enum slot_state state)
{
	struct slot *best = NULL;
	for (size_t i = 0; i < GROVE_IN_FLIGHT_MAX; i++) {
		struct slot *s = &c->slots[i];
		if (s->state != state) continue;
		if (!best || (state == SLOT_DONE ? s->done_order < best->done_order : s->ticket < best->ticket)) best = s;
	}
	return best;
}

/* The QUEUED one that is next by ticket. */
static struct slot *slot_after(grove_client *c, grove_ticket ticket)
{
	struct slot *best = NULL;
	for (size_t i = 0; i < GROVE_IN_FLIGHT_MAX; i++) {
		struct slot *s = &c->slots[i];
		if (s->state == SLOT_QUEUED && s->ticket > ticket && (!best || s->ticket < best->ticket)) best = s;
	}
	return best;
}

static void slot_clear(struct slot *s)
{
	encoded_release(&s->message);
	grove_reply_free(&s->reply);
	memset(s, 0, sizeof(*s));
}

static void slot_finish(grove_client *c, struct slot *s, grove_reply *reply)
{
	encoded_release(&s->message);
	s->reply = reply;
	s->state = SLOT_DONE;
	s->done_order = ++c->done_count;
}

static void slot_expire(grove_client *c, struct slot *s)
{
	char text[REPORT_TEXT_MAX];
	enum status code;
	enum item_result outcome = ITEM_UNKNOWN;
	if (s->state == SLOT_QUEUED) {
		code = STATUS_UNAVAILABLE;
		outcome = ITEM_REJECTED;
		snprintf(text, sizeof(text),
			"no coordinator answers at %s: is it running there? `grove up` starts a local cluster, and "
			"--endpoint or GROVE_ENDPOINT names another place",
			c->endpoint);
	} else if (op_is_write(s->asked.op)) {
		code = STATUS_UNKNOWN;
		snprintf(text, sizeof(text),
			"no answer from %s within %u ms: the change may be applied, now or later; it is safe to repeat",
			c->endpoint, s->timeout_ms);
	} else {
		code = STATUS_TIMEOUT;
		snprintf(text, sizeof(text), "no answer from %s within %u ms: allow more time, or see `grove status`",
			c->endpoint, s->timeout_ms);
	}
	slot_finish(c, s, reply_local(s->asked, code, outcome, text));
}

/* ---- the crank ---- */

static void slot_sent(struct slot *s)
{
	encoded_release(&s->message);
	s->state = SLOT_SENT;
}

/* As many as one message takes, at least the first. False: not taken. */
static bool client_send(grove_client *c, struct slot *first)
{
	struct slot *held[GROVE_IN_FLIGHT_MAX];
	struct net_frame frames[2];
	size_t n = 0;
	bundle_reset(&c->bundle);
	/* A request that is alone is answered alone: nothing would share its message. */
	for (struct slot *s = c->bundles && grove_in_flight(c) > 1 ? first : NULL; s; s = slot_after(c, s->ticket)) {
		if (bundle_add(&c->bundle, s->message.frames, s->message.count) != STATUS_OK) break;
		held[n++] = s;
	}
	if (n == 0) {
		if (net_send(c->socket, NULL, false, first->message.frames, first->message.count) != STATUS_OK) return false;
		slot_sent(first);
		return true;
	}
	bundle_frames(&c->bundle, frames);
	if (net_send(c->socket, NULL, false, frames, 2) != STATUS_OK) return false;
	while (n > 0) slot_sent(held[--n]);
	return true;
}

static void client_flush(grove_client *c)
{
	for (struct slot *s; (s = slot_first(c, SLOT_QUEUED)) && client_send(c, s);) continue;
}

static void client_take_reply(grove_client *c, const struct net_frame *frames, size_t count)
{
	struct client_reply wire;
	struct report report;
	grove_reply *reply = NULL;
	memset(&wire, 0, sizeof(wire));
	if (client_reply_decode(frames, count, &wire, &report) != STATUS_OK) {
		c->dropped++;
		return;
	}
	struct slot *s = slot_find(c, wire.id);
	if (!s || s->state != SLOT_SENT) { /* late, or never asked */
		c->dropped++;
		goto out;
	}
	enum status status = reply_from_wire(&wire, s->asked, &reply);
	if (status != STATUS_OK && status != STATUS_NO_MEMORY)
		reply = reply_local(s->asked, op_is_write(s->asked.op) ? STATUS_UNKNOWN : STATUS_UNSUPPORTED, ITEM_UNKNOWN,
			"the server's answer does not fit the question: client and server may be of different versions");
	if (s->asked.op == CLIENT_HELLO && wire.error.status == STATUS_OK) {
		snprintf(c->server, sizeof(c->server), "%s", wire.hello.server);
		c->bundles = wire.hello.bundles;
	}
	slot_finish(c, s, reply);
out:
	client_reply_release(&wire);
}

/* A reply, or several in one message. */
static void client_take_message(grove_client *c, const struct net_message *m)
{
	struct bundle_reader bundle;
	struct net_frame frames[FRAMES_MAX];
	struct report report;
	size_t count;
	if (bundle_is(m->frames, m->count) && bundle_open(m->frames, m->count, &bundle, &report) == STATUS_OK)
		while (bundle_next(&bundle, frames, &count)) client_take_reply(c, frames, count);
	else
		client_take_reply(c, m->frames, m->count);
}

static void client_receive(grove_client *c)
{
	for (;;) {
		struct net_message m;
		memset(&m, 0, sizeof(m));
		enum status status = net_receive(c->socket, &m);
		if (status == STATUS_LIMIT) {
			c->dropped++;
			net_message_release(&m);
			continue;
		}
		if (status != STATUS_OK) return;
		client_take_message(c, &m);
		net_message_release(&m);
	}
}

/* When to stop waiting: an answer has the grace to arrive, a connection has not. */
static uint64_t slot_end(const struct slot *s)
{
	return s->state == SLOT_QUEUED ? s->deadline_us - (uint64_t)GROVE_GRACE_MS * 1000 : s->deadline_us;
}

/* One turn: returns after something came, or something ended, or `until_us`. */
static enum status client_turn(grove_client *c, uint64_t until_us)
{
	client_flush(c);
	uint64_t now = clock_us(), wake = until_us;
	for (size_t i = 0; i < GROVE_IN_FLIGHT_MAX; i++) {
		const struct slot *s = &c->slots[i];
		if (s->state != SLOT_QUEUED && s->state != SLOT_SENT) continue;
		if (slot_end(s) < wake) wake = slot_end(s);
		if (s->state == SLOT_QUEUED && now + QUEUED_RETRY_US < wake) wake = now + QUEUED_RETRY_US;
	}
	struct net_poll item = {.socket = c->socket, .fd = -1};
	enum status status = net_wait(&item, 1, wake > now ? wake - now : 0);
	if (status != STATUS_OK) return report_set(&c->report, status, "waiting for the network failed: %s", status_text(status));
	client_receive(c);
	now = clock_us();
	for (size_t i = 0; i < GROVE_IN_FLIGHT_MAX; i++) {
		struct slot *s = &c->slots[i];
		if ((s->state == SLOT_QUEUED || s->state == SLOT_SENT) && now >= slot_end(s)) slot_expire(c, s);
	}
	return STATUS_OK;
}

enum status client_submit(grove_client *c, struct client_request *r, struct asked asked, grove_ticket *ret)
{
	struct slot *s = NULL;
	for (size_t i = 0; i < GROVE_IN_FLIGHT_MAX && !s; i++) {
		if (c->slots[i].state == SLOT_FREE) s = &c->slots[i];
	}
	if (!s)
		return client_fail(
			c, STATUS_BUSY, "%d requests are in flight already: fetch the answer of one first", GROVE_IN_FLIGHT_MAX);
	r->id = c->last_ticket + 1;
	r->client = c->identity;
	r->timeout_ms = c->timeout_ms;
	struct encoded message;
	struct report report = {.status = STATUS_OK};
	memset(&message, 0, sizeof(message));
	enum status status = client_request_encode(r, &message, &report);
	if (status != STATUS_OK) {
		if (report.status == STATUS_OK) report_set(&report, status, "%s", status_text(status));
		c->report = report;
		encoded_release(&message);
		return status;
	}
	*s = (struct slot){.state = SLOT_QUEUED,
		.ticket = ++c->last_ticket,
		.asked = asked,
		.timeout_ms = c->timeout_ms,
		.message = message,
		.deadline_us = clock_us() + (uint64_t)(c->timeout_ms + GROVE_GRACE_MS) * 1000};
	/* While answers wait to be fetched there is more to come from the caller, and the next call that has to wait sends it all together. The
	 * workers have something to do until then. */
	if (!c->bundles || !slot_first(c, SLOT_DONE) || !slot_first(c, SLOT_SENT)) client_flush(c);
	*ret = s->ticket;
	return STATUS_OK;
}

/* ---- tickets ---- */

int grove_wait(grove_client *c, grove_ticket ticket, grove_reply **ret)
{
	if (ret) *ret = NULL;
	struct slot *s = slot_find(c, ticket);
	if (!s) return client_fail(c, STATUS_NOT_FOUND, "no request with ticket %llu is open", (unsigned long long)ticket);
	while (s->state != SLOT_DONE) {
		enum status status = client_turn(c, s->deadline_us);
		if (status != STATUS_OK) {
			slot_clear(s);
			return status;
		}
	}
	grove_reply *reply = s->reply;
	s->reply = NULL;
	slot_clear(s);
	if (!reply) return report_set(&c->report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	int code = reply->code;
	if (code != GROVE_OK) report_set(&c->report, (enum status)code, "%s", reply->message);
	if (ret)
		*ret = reply;
	else
		grove_reply_free(&reply);
	return code;
}

int grove_poll(grove_client *c, uint32_t timeout_ms, grove_ticket *ret)
{
	uint64_t until = clock_us() + (uint64_t)timeout_ms * 1000;
	if (grove_in_flight(c) == 0) return client_fail(c, STATUS_NOT_FOUND, "no request is open");
	for (;;) {
		struct slot *s = slot_first(c, SLOT_DONE);
		if (s) {
			*ret = s->ticket;
			return GROVE_OK;
		}
		bool last = clock_us() >= until;
		enum status status = client_turn(c, until);
		if (status != STATUS_OK) return status;
		if (last && !slot_first(c, SLOT_DONE)) return client_fail(c, STATUS_TIMEOUT, "no answer yet");
	}
}

void grove_forget(grove_client *c, grove_ticket ticket)
{
	struct slot *s = slot_find(c, ticket);
	if (s) slot_clear(s);
}

uint32_t grove_in_flight(const grove_client *c)
{
	uint32_t n = 0;
	for (size_t i = 0; i < GROVE_IN_FLIGHT_MAX; i++) n += c->slots[i].state != SLOT_FREE;
	return n;
}

/* ---- the handle ---- */

static uint64_t identity_new(void)
{
	struct uuid random = uuid_new();
	uint64_t identity;
	memcpy(&identity, random.bytes + 8, sizeof(identity));
	return identity ? identity : 1; /* 0 means: none */
}

static int client_hello(grove_client *c)
{
	struct client_request r;
	grove_ticket ticket;
	memset(&r, 0, sizeof(r));
	r.op = CLIENT_HELLO;
	r.hello.version_min = r.hello.version_max = CLIENT_PROTOCOL_VERSION;
	r.hello.bundles = true;
	enum status status = client_submit(c, &r, (struct asked){.op = CLIENT_HELLO}, &ticket);
	if (status != STATUS_OK) return status;
	int code = grove_wait(c, ticket, NULL);
	if (code == GROVE_TIMEOUT) /* connected, yet silent: something else may listen there */
		code = client_fail(c, STATUS_UNAVAILABLE,
			"something listens at %s but does not answer as a coordinator within %u ms: "
			"is the address right?",
			c->endpoint, c->timeout_ms);
	return code;
}

static void report_copy(const struct report *from, char *why, size_t why_size)
{
	if (why && why_size) snprintf(why, why_size, "%s", report_text(from));
}

int grove_open(const char *endpoint, uint32_t timeout_ms, grove_client **ret, char *why, size_t why_size)
{
	struct report report = {.status = STATUS_OK};
	enum status status;
	if (!endpoint) endpoint = getenv("GROVE_ENDPOINT");
	if (!endpoint || !*endpoint) endpoint = GROVE_DEFAULT_ENDPOINT;
	grove_client *c = calloc(1, sizeof(*c));
	if (!c) {
		status = report_set(&report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
		goto out;
	}
	if (strlen(endpoint) >= sizeof(c->endpoint)) {
		status = report_set(&report, STATUS_USAGE, "an endpoint has at most %zu bytes: write it as tcp://HOST:PORT",
			sizeof(c->endpoint) - 1);
		goto out;
	}
	memcpy(c->endpoint, endpoint, strlen(endpoint) + 1);
	c->identity = identity_new();
	status = (enum status)grove_set_timeout(c, timeout_ms);
	if (status == STATUS_OK) status = net_new(&c->net);
	if (status == STATUS_OK) status = net_open(c->net, NET_DEALER, CLIENT_FRAME_MAX, SOCKET_HWM, &c->socket);
	if (status == STATUS_OK) status = net_connect(c->socket, c->endpoint, &c->report);
	if (status == STATUS_OK) status = (enum status)client_hello(c);
	if (status != STATUS_OK) {
		report = c->report;
		if (report.status == STATUS_OK) report_set(&report, status, "%s", status_text(status));
		goto out;
	}
	*ret = c;
	c = NULL;
out:
	if (status != STATUS_OK) report_copy(&report, why, why_size);
	grove_close(&c);
	return status;
}

void grove_close(grove_client **client)
{
	if (!client || !*client) return;
	grove_client *c = *client;
	for (size_t i = 0; i < GROVE_IN_FLIGHT_MAX; i++) slot_clear(&c->slots[i]);
	bundle_release(&c->bundle);
	if (c->socket) net_close(&c->socket);
	if (c->net) net_free(&c->net);
	free(c);
	*client = NULL;
}

int grove_set_timeout(grove_client *c, uint32_t timeout_ms)
{
	if (timeout_ms < DEADLINE_MIN_MS || timeout_ms > DEADLINE_MAX_MS)
		return client_fail(
			c, STATUS_LIMIT, "a timeout is %d to %d ms, not %u", DEADLINE_MIN_MS, DEADLINE_MAX_MS, timeout_ms);
	c->timeout_ms = timeout_ms;
	return GROVE_OK;
}

const char *grove_message(const grove_client *c)
{
	return c->report.status == STATUS_OK ? "" : report_text(&c->report);
}
const char *grove_server(const grove_client *c)
{
	return c->server;
}
uint64_t grove_dropped_messages(const grove_client *c)
{
	return c->dropped;
}
