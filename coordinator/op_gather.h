/* op_gather.h - the round of CLUSTER_GET messages that get and search-by-id share; what is said of a part without an answer, by scan too. */
#ifndef COORDINATOR_OP_GATHER_H
#define COORDINATOR_OP_GATHER_H

#include "coordinator/core_state.h"
#include "coordinator/gather.h"

/* Sends one message for each shard concerned; may finish the request at once. `g` is the request's. */
void gather_begin(struct core *c, struct pending *p, const struct map_index *index, struct gather *g);
void gather_reply(struct gather *g, uint32_t part, const struct cluster_reply *reply);
/* Why a part that was not answered was not, naming its shard; false: it was answered, or somebody has told why already. */
bool part_fault(const struct fanout_part *part, uint32_t shard, struct report *ret);
/* Parts that never answered become the fault, if there is none yet. */
void gather_parts_fault(struct gather *g, const struct fanout *f);

#endif
