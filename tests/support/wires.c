/* wires.c - see wires.h. */
#include "tests/support/wires.h"

#include <string.h>

#include "common/check.h"
#include "common/cursor.h"

static void make_client_request(struct maker *m, int kind, struct message *ret) { random_client_request(m, (enum client_op)kind, &ret->client_request); }
static void make_client_reply(struct maker *m, int kind, struct message *ret) { random_client_reply(m, (enum client_op)kind, &ret->client_reply); }
/* The number between the kinds that is the reply itself: another scan. */
static enum cluster_kind kind_asked(int kind) { return kind == CLUSTER_REPLY ? CLUSTER_SCAN : (enum cluster_kind)kind; }
static void make_cluster_request(struct maker *m, int kind, struct message *ret) { random_cluster_request(m, kind_asked(kind), &ret->cluster_request); }
static void make_cluster_reply(struct maker *m, int kind, struct message *ret) { random_cluster_reply(m, kind_asked(kind), &ret->cluster_reply); }

static enum status encode_client_request(struct message *m, struct encoded *ret) { return client_request_encode(&m->client_request, ret, &m->report); }
static enum status encode_client_reply(struct message *m, struct encoded *ret) { return client_reply_encode(&m->client_reply, ret); }
static enum status encode_cluster_request(struct message *m, struct encoded *ret) { return cluster_request_encode(&m->cluster_request, ret); }
static enum status encode_cluster_reply(struct message *m, struct encoded *ret) { return cluster_reply_encode(&m->cluster_reply, ret); }

static enum status decode_client_request(const struct net_frame *frames, size_t count, struct message *ret)
{
	return client_request_decode(frames, count, &ret->scratch, &ret->client_request, &ret->id, &ret->report);
}
static enum status decode_client_reply(const struct net_frame *frames, size_t count, struct message *ret)
{
	return client_reply_decode(frames, count, &ret->client_reply, &ret->report);
}
static enum status decode_cluster_request(const struct net_frame *frames, size_t count, struct message *ret)
{
	return cluster_request_decode(frames, count, &ret->cluster_request, &ret->report);
}
static enum status decode_cluster_reply(const struct net_frame *frames, size_t count, struct message *ret)
{
	return cluster_reply_decode(frames, count, &ret->cluster_reply, &ret->id, &ret->report);
}

static bool client_request_equal(const struct message *a, const struct message *b) { return client_requests_equal(&a->client_request, &b->client_request); }
static bool client_reply_equal(const struct message *a, const struct message *b) { return client_replies_equal(&a->client_reply, &b->client_reply); }
static bool cluster_request_equal(const struct message *a, const struct message *b) { return cluster_requests_equal(&a->cluster_request, &b->cluster_request); }
static bool cluster_reply_equal(const struct message *a, const struct message *b) { return cluster_replies_equal(&a->cluster_reply, &b->cluster_reply); }

static void release_client_request(struct message *m) { buf_release(&m->scratch); }
static void release_client_reply(struct message *m) { client_reply_release(&m->client_reply); }
static void release_cluster_request(struct message *m) { cluster_request_release(&m->cluster_request); }
static void release_cluster_reply(struct message *m) { cluster_reply_release(&m->cluster_reply); }

const struct wire wires[WIRE_COUNT] = {
	[WIRE_CLIENT_REQUEST] = {"client_request", 0, CLIENT_OP_COUNT - 1, make_client_request, encode_client_request, decode_client_request,
		client_request_equal, release_client_request},
	[WIRE_CLIENT_REPLY] = {"client_reply", 0, CLIENT_OP_COUNT, make_client_reply, encode_client_reply, decode_client_reply, client_reply_equal,
		release_client_reply},
	[WIRE_CLUSTER_REQUEST] = {"cluster_request", CLUSTER_BEAT, CLUSTER_SCAN, make_cluster_request, encode_cluster_request, decode_cluster_request,
		cluster_request_equal, release_cluster_request},
	[WIRE_CLUSTER_REPLY] = {"cluster_reply", CLUSTER_OPEN, CLUSTER_SCAN, make_cluster_reply, encode_cluster_reply, decode_cluster_reply,
		cluster_reply_equal, release_cluster_reply},
};

void frames_pack(const struct encoded *e, struct buf *out)
{
	for (size_t i = 0; i < e->count; i++) {
		uint8_t length[4];
		store_u32(length, (uint32_t)e->frames[i].size);
		require(buf_append(out, length, 4) == STATUS_OK && buf_append(out, e->frames[i].bytes, e->frames[i].size) == STATUS_OK);
	}
}

size_t frames_unpack(const uint8_t *bytes, size_t size, struct net_frame frames[FRAMES_MAX])
{
	size_t count = 0;
	struct reader r;

	for (reader_init(&r, bytes, size); count < FRAMES_MAX && reader_left(&r) >= 4; count++) {
		size_t length = reader_u32(&r);
		if (length > reader_left(&r)) length = reader_left(&r);
		frames[count] = (struct net_frame){reader_bytes(&r, length), length};
	}
	return count;
}
