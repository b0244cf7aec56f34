/* net.h - sockets, polling, frames: the only module that sees zmq.h.
 *
 * A socket belongs to the thread that opened it. Messages have at most FRAMES_MAX frames; a longer one is read to its end,
 * dropped and counted. Every socket is opened with: MAXMSGSIZE, bounded HWM, LINGER (0, or 1000 ms at a clean stop),
 * heartbeats 1 s / 3 s, HANDSHAKE_IVL 5 s, RECONNECT_IVL 100 .. 5000 ms, TCP keepalive; DEALER: IMMEDIATE; ROUTER: MANDATORY. */
#ifndef COMMON_NET_H
#define COMMON_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/limits.h"
#include "common/status.h"

struct net;        /* a ZeroMQ context; shared by the threads of a process */
struct net_socket; /* one socket; one thread */

enum net_kind { NET_ROUTER, NET_DEALER };

/* The name of a peer on a ROUTER, made by ZeroMQ or by the peer (at most 255 bytes); valid while the connection lives; never an identity. */
struct net_peer { uint8_t size; uint8_t bytes[255]; };

struct net_frame { const uint8_t *bytes; size_t size; };

/* A received message. Frames point into memory owned by the message: valid until net_message_release(). Not aligned. */
struct net_message {
	struct net_peer peer; /* ROUTER only; size 0 otherwise */
	bool delimiter;       /* a REQ's empty delimiter came first: send it back with the answer */
	size_t count;         /* frames, without routing id and delimiter */
	struct net_frame frames[FRAMES_MAX];
	void *owned; /* net.c's */
};

MUST_CHECK enum status net_new(struct net **ret);
void net_free(struct net **net); /* after all sockets are closed */

/* max_frame: bytes past which the peer is disconnected. hwm: messages each way. */
MUST_CHECK enum status net_open(struct net *net, enum net_kind kind, size_t max_frame, int hwm, struct net_socket **ret);
void net_close(struct net_socket **s);
/* A ROUTER's peer that does not read costs at most so many bytes (and one message where none waits; parts below 1 KiB are not
 * counted, their number is bounded by hwm): what would pass that is STATUS_BUSY. Unset: hwm alone. */
void net_bound_waiting(struct net_socket *s, size_t max_bytes);
/* Before a clean stop: net_free() waits so long for what was sent already to leave. */
void net_set_linger(struct net_socket *s, int ms);
/* A port in use gives STATUS_EXISTS with a sentence. "tcp://127.0.0.1:*" picks a port: net_endpoint() tells. */
MUST_CHECK enum status net_bind(struct net_socket *s, const char *endpoint, struct report *report);
MUST_CHECK enum status net_connect(struct net_socket *s, const char *endpoint, struct report *report);
MUST_CHECK enum status net_disconnect(struct net_socket *s, const char *endpoint);
MUST_CHECK enum status net_endpoint(struct net_socket *s, char *out, size_t size);
/* True if the endpoint is loopback (127.0.0.0/8, [::1], localhost), ipc or inproc: what needs no keys. */
bool net_is_local(const char *endpoint);
bool net_peer_equal(const struct net_peer *a, const struct net_peer *b);

/* Never blocks. STATUS_BUSY: the peer's queue is full, by messages or by bytes, or on a DEALER nobody is connected (ZeroMQ does not tell the two apart);
 * STATUS_UNAVAILABLE: no such peer. The frames are copied once into the message; the caller keeps its memory. `peer` is NULL on
 * a DEALER. */
MUST_CHECK enum status net_send(struct net_socket *s, const struct net_peer *peer, bool delimiter, const struct net_frame *frames, size_t count);
/* Never blocks. STATUS_NOT_FOUND: nothing there. STATUS_LIMIT: a message of too many frames was dropped (ret->peer is set). */
MUST_CHECK enum status net_receive(struct net_socket *s, struct net_message *ret);
void net_message_release(struct net_message *m); /* zeroed or released ones too */
/* A message of these frames, which lie inside m's: they stay valid until both are released, in any order and on any thread. */
void net_message_share(const struct net_message *m, const struct net_frame *frames, size_t count, struct net_message *ret);
/* Move: *from becomes empty. */
void net_message_move(struct net_message *to, struct net_message *from);

/* Mailboxes hand pointers between threads: many senders, one reader. With TSan the hand-over is marked release/acquire, since
 * libzmq is not instrumented. */
struct net_inbox;  /* the reader's end; one thread */
struct net_outbox; /* a sender's end; one thread */
MUST_CHECK enum status net_inbox_open(struct net *net, const char *name, struct net_inbox **ret); /* name: unique in the process */
void net_inbox_close(struct net_inbox **inbox);
MUST_CHECK enum status net_outbox_open(struct net *net, const char *name, struct net_outbox **ret);
void net_outbox_close(struct net_outbox **outbox);
/* Hands over *take (sets it to NULL on success). Blocks only while the reader is hundreds of thousands behind, and for ever once the
 * inbox is closed: senders end before their reader. What lies in an inbox when it is closed is not freed. */
MUST_CHECK enum status net_post(struct net_outbox *outbox, void **take);
void *net_take(struct net_inbox *inbox); /* NULL: nothing there; never blocks */

/* Wait until one of the things is readable or timeout_us passed (0: only look; UINT64_MAX: for ever). Sets `ready`. */
struct net_poll { struct net_socket *socket; struct net_inbox *inbox; int fd; bool ready; }; /* exactly one of socket, inbox, fd (>= 0; else -1) */
MUST_CHECK enum status net_wait(struct net_poll *items, size_t count, uint64_t timeout_us);

#endif
