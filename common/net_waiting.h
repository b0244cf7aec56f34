/* net_waiting.h - how many bytes wait for each peer of a socket; net.c's own. ZeroMQ bounds what waits by messages, and a message may have
 * megabytes.
 *
 * The parts that count (from COUNTED_PART_MIN on) are sent in memory made here, with a function that libzmq calls when it is done with
 * it: after the bytes were written to the connection, or when the peer is given up. It calls that on a thread of its own, so counts
 * are atomic and live as long as a part does; everything else belongs to the socket's thread. */
#ifndef COMMON_NET_WAITING_H
#define COMMON_NET_WAITING_H

#include "common/net.h"

enum { COUNTED_PART_MIN = 1024 };

struct waiting; /* for one peer */
struct waiting_peer { struct net_peer peer; struct waiting *waiting; };
/* Zeroed: nothing is counted. */
struct net_waiting {
	size_t max; /* 0: not counted */
	struct waiting_peer *peers; /* those for whom something waited when they were last looked at, in any order */
	size_t count, room;
};
void net_waiting_release(struct net_waiting *n); /* parts under way may outlive it */
/* May these frames wait for the peer? BUSY: not beside what waits already. *ret: where to count them; untouched if they need not be. */
MUST_CHECK enum status net_waiting_admit(struct net_waiting *n, const struct net_peer *peer, const struct net_frame *frames, size_t count,
	struct waiting **ret);

struct counted_part { struct waiting *waiting; size_t size; _Atomic bool filled; uint8_t bytes[]; };
struct counted_part *counted_part_new(struct waiting *w, const struct net_frame *frame); /* NULL: no memory */
void counted_part_free(void *bytes, void *part); /* on any thread; for zmq_msg_init_data() */

#endif
