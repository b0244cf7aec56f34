/* route.h - who is asked: the current map and the current members turned into one group of shards for each worker.
 *
 * A shard has a missing status instead when its worker is dead (UNAVAILABLE), refused to open it because it no longer has it
 * (CORRUPT), or has not made it yet (UNAVAILABLE). Suspect workers are asked: they may only be slow, and the deadline bounds
 * the wait. Pure; what it returns points at members and is used before the next event. */
#ifndef COORDINATOR_ROUTE_H
#define COORDINATOR_ROUTE_H

#include "coordinator/membership.h"
#include "coordinator/shard_map.h"

struct route_group { struct member *member; uint32_t count; uint32_t *numbers; }; /* ascending shard numbers */
struct route_missing { uint32_t number; enum status status; };
struct route {
	uint32_t group_count, missing_count;
	struct route_group *groups; /* in the members' order */
	struct route_missing *missing; /* ascending */
	uint32_t *numbers; /* the groups' memory */
};

/* Where one shard stands: OK and the member to ask, or why not, with a sentence naming the shard and its worker. */
MUST_CHECK enum status route_shard(const struct map_index *index, uint32_t number, const struct membership *members, struct member **ret,
	struct report *report);
/* All shards of the index. */
MUST_CHECK enum status route_all(const struct map_index *index, const struct membership *members, struct route *ret);
void route_release(struct route *r);

/* Each shard's share of a search_k for the whole index: ceil(search_k / shards), at least max(k, ROUTE_BUDGET_FLOOR). */
enum { ROUTE_BUDGET_FLOOR = 64 };
uint32_t route_budget(uint32_t search_k, uint32_t k, uint32_t shards);
/* What each shard is told of a search of the whole index: its share of the budget, or the recall and over how many shards it is meant. */
struct search_spec route_effort(const struct search_spec *spec, uint32_t trees, uint32_t shards);
/* The default search_k, k x trees, at most SEARCH_K_MAX. */
uint32_t route_search_k(uint32_t k, uint32_t trees);

#endif
