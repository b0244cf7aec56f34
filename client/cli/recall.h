/* recall.h - how much of the truth an answer has. Pure.
 *
 * A hit counts as right if it is no farther than the k-th exact hit: of several items at the same distance any will do, so ties
 * are fair. The measure is right hits over min(k, exact hits), summed over all queries. */
#ifndef CLIENT_CLI_RECALL_H
#define CLIENT_CLI_RECALL_H

#include <stdbool.h>
#include <stdint.h>

/* What is kept of one query's exact answer. */
struct truth { uint32_t count; float last; }; /* hits, at most k; the distance of the last one */

struct recall { uint64_t right, wanted; };

/* The same against ids that are known to be right, `given` of them, k or more (ties); no id twice among the hits. */
void recall_add_ids(struct recall *r, const uint64_t *given, uint32_t given_count, uint32_t k, const uint64_t *ids, uint64_t count);
/* `largest_first` for dot, whose distances fall. */
void recall_add(struct recall *r, const struct truth *truth, const float *distances, uint64_t count, bool largest_first);
double recall_ratio(const struct recall *r); /* 1 if nothing was to be found */

#endif
