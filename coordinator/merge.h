/* merge.h - the workers' lists become one answer: the exact k best by (raw distance, id), and per query what was covered.
 *
 * The result depends on the set of lists only, never on the order in which they came. Each list holds, per query, hits sorted
 * by hit_cmp (the codec checked that); a k-way merge takes the smallest head k times, and an equal (raw, id) once. Distances
 * are converted to those that users see last. Pure. */
#ifndef COORDINATOR_MERGE_H
#define COORDINATOR_MERGE_H

#include "common/buf.h"
#include "proto/message.h"

/* One worker's answer; all memory is the list's own, that of the arrays up to the payloads one piece. */
struct merge_list {
	uint32_t shard_count;
	uint32_t *numbers; /* [shard_count] which shards of the index, in the order of the answers */
	struct shard_outcome *outcomes;
	uint8_t *answers;  /* enum shard_answer [nq x shard_count] */
	uint64_t *candidates; /* [nq] */
	size_t *starts;    /* [nq + 1]: hits of query i are starts[i] .. starts[i + 1] - 1 */
	struct hit *hits;
	size_t *payload_offsets; /* [hits]; NULL: no payloads */
	uint32_t *payload_sizes;
	uint8_t *payload_bytes;
};

/* Copies a worker's search reply that answers for these shards. BAD_REQUEST, with a sentence, if it does not fit what was
 * asked: another number of queries or shards, an id that belongs to none of the shards, a shard both refused and answered. */
MUST_CHECK enum status merge_list_from(const struct cluster_reply *reply, uint32_t nq, uint32_t k, const uint32_t *numbers, uint32_t shard_count,
	uint32_t index_shards, struct merge_list *ret, struct report *report);
void merge_list_release(struct merge_list *l);

/* A shard that gave nothing at all to any query. */
struct merge_missing {
	uint32_t number;
	enum status status; /* TIMEOUT: late; anything else: failed */
	bool counted;       /* `items` is known (from a beat) */
	uint64_t items;
};

struct merge_request {
	enum metric metric;
	uint32_t nq, k, shards;
	const struct merge_list *lists;
	size_t list_count;
	const struct merge_missing *missing;
	size_t missing_count;
	float min_coverage;
};

/* The answer as the client codec wants it. `status`: OK, or INCOMPLETE, or BUSY (nothing was answered and some shard was too
 * busy), with the sentence. */
struct merge_answer {
	struct report report;
	struct client_hits hits; /* points into the memory below */
	struct buf counts, ids, distances, coverage, missing, payload_lengths, payload_bytes;
};
/* Past QUERY_HITS_MAX nothing can come: nq x k was checked. NO_MEMORY, or LIMIT when payloads pass CLIENT_FRAME_MAX. */
MUST_CHECK enum status merge_run(const struct merge_request *r, struct merge_answer *ret, struct report *report);
void merge_answer_release(struct merge_answer *a);

#endif
