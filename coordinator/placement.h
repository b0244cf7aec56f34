/* placement.h - which worker gets which shard of a new index: the one with the fewest, the first of them in the given order.
 *
 * Pure. Deterministic: the same loads give the same places. */
#ifndef COORDINATOR_PLACEMENT_H
#define COORDINATOR_PLACEMENT_H

#include <stddef.h>
#include <stdint.h>

/* loads[workers] (>= 1 of them): how many shards each holds; counted up for each shard placed. out[shards]: positions. */
void placement_choose(uint32_t *loads, size_t workers, uint32_t shards, uint32_t *out);

#endif
