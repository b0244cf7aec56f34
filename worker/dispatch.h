/* dispatch.h - from a coordinator's message to the work that it asks for. The loop's thread; never blocks.
 *
 * Every accepted request is answered exactly once through parts->replies, from whichever thread ends it. What has no readable request id
 * cannot be answered: it is counted and dropped, and its sender's deadline tells it. */
#ifndef WORKER_DISPATCH_H
#define WORKER_DISPATCH_H

#include "worker/task.h"

enum { REQUESTS_MAX = 16384 }; /* accepted and not yet answered, of all kinds and coordinators together */

struct dispatch {
	const struct worker_parts *parts;
	struct uuid cluster;       /* shards are made for this one */
	_Atomic uint64_t open;     /* accepted, and its answer not yet taken by the loop */
	uint64_t refused, garbage; /* counts for the log */
};

/* When the answer has to leave so that it is back before the coordinator's deadline: a tenth before it, at most 50 ms. */
uint64_t dispatch_deadline(uint64_t now_us, uint64_t remaining_us);

/* A message from coordinator `from`, arrived at now_us; *take becomes empty. */
void dispatch_message(struct dispatch *d, uint32_t from, struct net_message *take, uint64_t now_us);
/* The loop took this many answers out of parts->replies. */
void dispatch_answered(struct dispatch *d, uint64_t count);

#endif
