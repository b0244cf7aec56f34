/* ingest.h - a batch of writes becomes one group for each shard, and the shards' results one result for each item.
 *
 * Items keep their order inside a group, so two items of one id (always the same shard) are applied as they were sent. A group
 * is never larger than the batch it came from, which one client message held: it always fits one message to a worker.
 *
 * ok / rejected / unknown: a group that was never sent, or refused as a whole before anything was appended, is rejected; one
 * that was sent and not answered is unknown; one that was answered is what the worker says. Pure. */
#ifndef COORDINATOR_INGEST_H
#define COORDINATOR_INGEST_H

#include "common/buf.h"
#include "proto/message.h"

_Static_assert(2 * CLIENT_FRAME_MAX <= PEER_FRAME_MAX, "a client's batch fits one message to a worker");

struct ingest_group {
	uint32_t shard;
	struct items items; /* copies, in the memory below */
	uint32_t *positions; /* [items.n] in the batch */
	struct buf ids, vectors, payload_lengths, payload_bytes, key_lengths, key_bytes;
};

struct ingest {
	uint32_t n, shards, group_count;
	struct ingest_group *groups; /* by shard number */
	uint32_t *positions;
	uint8_t *results; /* [n], enum item_result; REJECTED until something else is known */
	struct buf tokens;
	uint32_t token_count;
	struct report worst; /* the first bad thing that happened; unknown beats rejected */
};

/* Groups the items (for a delete or a get: dtype F32, dim 0 and vectors NULL). */
MUST_CHECK enum status ingest_init(struct ingest *in, const struct items *items, uint32_t shards);
void ingest_release(struct ingest *in);

/* The copies of the items are not needed any more once they were sent; ids and positions stay. */
void ingest_forget_items(struct ingest *in);

/* The outcomes of a group, each at most once for a group. */
void ingest_rejected(struct ingest *in, uint32_t group, const struct report *why);
void ingest_unknown(struct ingest *in, uint32_t group, const struct report *why);
/* A worker's reply. NO_MEMORY leaves the group's results right and its token out. */
MUST_CHECK enum status ingest_answered(struct ingest *in, uint32_t group, const struct cluster_reply *reply);
/* What the client is told: OK, or the worst with how many items it touched. */
void ingest_report(const struct ingest *in, struct report *ret);

#endif
