/* route.c - see route.h. */
#include "coordinator/route.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static enum status shard_fault(const struct map_index *index, const struct map_shard *s, enum status status, const char *why, struct report *report)
{
	char worker[UUID_TEXT_SIZE];
	uuid_text(s->worker, worker);
	return report_set(report, status, "shard %u of index '%s' on worker %s %s", s->number, index->spec.name, worker, why);
}

enum status route_shard(const struct map_index *index, uint32_t number, const struct membership *members, struct member **ret,
	struct report *report)
{
	const struct map_shard *s = &index->shards[number];
	struct member *member = membership_find(members, s->worker);
	if (!member || member->state == WORKER_DEAD)
		return shard_fault(index, s, STATUS_UNAVAILABLE, "cannot be reached: start that worker again", report);
	if (s->lost != STATUS_OK) return shard_fault(index, s, s->lost, "is lost or damaged: see `grove status` and that worker's log", report);
	if (!s->made) return shard_fault(index, s, STATUS_UNAVAILABLE, "is still being made: try again a little later", report);
	*ret = member;
	return STATUS_OK;
}

enum status route_all(const struct map_index *index, const struct membership *members, struct route *ret)
{
	uint32_t shards = index->spec.shards;
	size_t slots = members->count + 1;
	struct route r = {0};
	/* One piece of memory: this is done for every search. group_of: each shard's member's position, or UINT32_MAX; sizes: of each member's group. */
	r.groups = calloc(1, slots * (sizeof(*r.groups) + sizeof(uint32_t)) + shards * (sizeof(*r.missing) + 2 * sizeof(uint32_t)));
	if (!r.groups) return STATUS_NO_MEMORY;
	r.missing = (struct route_missing *)(r.groups + slots);
	r.numbers = (uint32_t *)(r.missing + shards);
	uint32_t *group_of = r.numbers + shards, *sizes = group_of + shards;
	for (uint32_t i = 0; i < shards; i++) {
		struct member *member;
		enum status where = route_shard(index, i, members, &member, NULL);
		group_of[i] = where == STATUS_OK ? membership_position(members, member->id) : UINT32_MAX;
		if (where == STATUS_OK)
			sizes[group_of[i]]++;
		else
			r.missing[r.missing_count++] = (struct route_missing){i, where};
	}
	/* Each member's group takes its stretch of `numbers`; sizes[] becomes the group's position. */
	uint32_t used = 0;
	for (uint32_t m = 0; m < members->count; m++) {
		uint32_t size = sizes[m];
		if (size == 0) continue;
		sizes[m] = r.group_count;
		r.groups[r.group_count++] = (struct route_group){.member = members->members[m], .numbers = r.numbers + used};
		used += size;
	}
	for (uint32_t i = 0; i < shards; i++) {
		if (group_of[i] == UINT32_MAX) continue;
		struct route_group *g = &r.groups[sizes[group_of[i]]];
		g->numbers[g->count++] = i;
	}
	*ret = r;
	return STATUS_OK;
}

void route_release(struct route *r)
{
	free(r->groups); /* and the rest with it */
	memset(r, 0, sizeof(*r));
}

uint32_t route_budget(uint32_t search_k, uint32_t k, uint32_t shards)
{
	uint32_t floor = k > ROUTE_BUDGET_FLOOR ? k : ROUTE_BUDGET_FLOOR;
	uint32_t share = search_k / shards + (search_k % shards != 0);
	return share > floor ? share : floor;
}

uint32_t route_search_k(uint32_t k, uint32_t trees)
{
	uint64_t product = (uint64_t)k * trees;
	return product > SEARCH_K_MAX ? (uint32_t)SEARCH_K_MAX : (uint32_t)product;
}

struct search_spec route_effort(const struct search_spec *spec, uint32_t trees, uint32_t shards)
{
	struct search_spec each = *spec;
	uint32_t search_k = spec->search_k ? spec->search_k : route_search_k(spec->k, trees);
	bool by_recall = spec->mode == SEARCH_GRAPH && !spec->search_k;
	if (by_recall && spec->recall == 0) each.recall = EFFORT_RECALL_DEFAULT;
	each.search_k = by_recall || spec->mode == SEARCH_EXACT ? 0 : route_budget(search_k, spec->k, shards);
	each.spread = shards;
	return each;
}
