/* gather.h - items asked of several shards, put together again in the order in which they were asked.
 *
 * Used by get and by a search for the neighbours of stored items. Pure. */
#ifndef COORDINATOR_GATHER_H
#define COORDINATOR_GATHER_H

#include "coordinator/ingest.h"

struct gather {
	struct ingest asked; /* the ids, grouped by shard */
	enum dtype dtype;
	uint32_t dim;
	uint8_t *ids;     /* u64[n] */
	uint8_t *vectors; /* n rows; zeros where nothing was found */
	uint8_t *found;   /* u8[n] */
	struct blob *payloads, *keys; /* [n]: copies of their own */
	struct report fault; /* the first shard that could not answer */
};

/* LIMIT, with a sentence, when the rows alone would pass CLIENT_FRAME_MAX. */
MUST_CHECK enum status gather_init(struct gather *g, const struct items *asked, uint32_t shards, enum dtype dtype, uint32_t dim, struct report *report);
void gather_release(struct gather *g);
/* A worker's answer for a group, checked against what it was asked; a wrong one sets the fault. */
MUST_CHECK enum status gather_take(struct gather *g, uint32_t group, const struct cluster_reply *reply);
void gather_fault(struct gather *g, const struct report *why); /* the first is kept */
/* The blobs of all items as one blob frame's two halves. */
MUST_CHECK enum status gather_blobs(const struct gather *g, const struct blob *blobs, struct buf *lengths, struct buf *bytes, struct blobs *ret);

#endif
