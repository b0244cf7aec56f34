/* bundle.h - several messages between coordinator and worker, or coordinator and client (CLIENT.md), in one of ZeroMQ's: what one turn of a loop
 * has for the same peer. Most of a small message's cost is in its frames and wake-ups, not in its bytes. Each message in it stays its own: its id,
 * deadline and answer.
 *
 *     frame 0   0 u8 0 (a worker's header frame begins with 8, a client's with 0x80 or more) | 1 u8[3] zeros | 4 u32 messages, 1 to BUNDLE_MESSAGES_MAX | then for each message:
 *               u32 frames, 1 to FRAMES_MAX | u32 size of each
 *     frame 1   the bytes of all frames, end to end
 *
 * Valid iff there are these two frames alone, frame 0 ends with the last size, frame 1 with the last byte, and no message holds more than PEER_FRAME_MAX.
 * Pure; any thread. */
#ifndef PROTO_BUNDLE_H
#define PROTO_BUNDLE_H

#include "common/buf.h"
#include "common/cursor.h"
#include "common/net.h"

/* BUNDLE_BYTES: nothing is added to one that has so many, so that its first answers need not wait for its last. */
enum { BUNDLE_MESSAGES_MAX = 1024, BUNDLE_BYTES = 256 * 1024 };

/* Zeroed: empty. */
struct bundle { uint32_t count; struct buf table, bytes; };
void bundle_release(struct bundle *b);
void bundle_reset(struct bundle *b); /* empty; memory is kept */
/* LIMIT: it is full, or the message is too large to share one: send what is there, and that one alone. NO_MEMORY. The bundle is then as it was. */
MUST_CHECK enum status bundle_add(struct bundle *b, const struct net_frame *frames, size_t count);
/* The message that holds all of them; valid until the next change. At least one was added. */
void bundle_frames(struct bundle *b, struct net_frame ret[2]);

/* Is it a bundle at all? (Then bundle_open() says whether it is a good one.) */
bool bundle_is(const struct net_frame *frames, size_t count);
struct bundle_reader { struct reader table, bytes; uint32_t left; };
/* Checks all of it before anything is taken out. */
MUST_CHECK enum status bundle_open(const struct net_frame *frames, size_t count, struct bundle_reader *ret, struct report *report);
/* The next message, its frames inside the bundle's; false: no more. */
bool bundle_next(struct bundle_reader *r, struct net_frame ret[FRAMES_MAX], size_t *ret_count);

#endif
