/* op_gather.c - see op_gather.h. */
#include "coordinator/op_gather.h"

#include "coordinator/route.h"

void gather_begin(struct core *c, struct pending *p, const struct map_index *index, struct gather *g)
{
	struct report report = {.status = STATUS_NO_MEMORY};
	p->index_id = index->spec.id;
	if (pending_round(&c->pending, p, CLUSTER_GET, g->asked.group_count) != STATUS_OK) {
		pending_fail(c, p, &report);
		return;
	}
	for (uint32_t i = 0; i < g->asked.group_count; i++) {
		const struct ingest_group *group = &g->asked.groups[i];
		struct member *member;
		struct cluster_request request = {.get = {.shard = index->shards[group->shard].id,
							.n = group->items.n,
							.ids = group->items.ids,
							.keys = group->items.keys}};
		if (route_shard(index, group->shard, &c->members, &member, &report) != STATUS_OK) {
			gather_fault(g, &report);
			fanout_unsent(&p->fanout, i, STATUS_OK);
		} else {
			part_send(c, p, i, member, &request);
		}
	}
	pending_settle(c, p);
}

void gather_reply(struct gather *g, uint32_t part, const struct cluster_reply *reply)
{
	enum status status = gather_take(g, part, reply);
	struct report report = {.status = status};
	if (status != STATUS_OK) gather_fault(g, &report);
}

bool part_fault(const struct fanout_part *part, uint32_t shard, struct report *ret)
{
	enum status status = STATUS_OK;
	switch (part->state) {
	case PART_UNSENT:
		if (part->why != STATUS_OK) status = report_set(ret, part->why, "the worker of shard %u could not be asked: %s", shard, status_text(part->why));
		break;
	case PART_GONE: status = report_set(ret, STATUS_UNAVAILABLE, "the worker of shard %u stopped before it answered", shard); break;
	case PART_LATE: status = report_set(ret, STATUS_TIMEOUT, "the worker of shard %u did not answer by the deadline: allow more time", shard); break;
	default: break;
	}
	return status != STATUS_OK;
}

void gather_parts_fault(struct gather *g, const struct fanout *f)
{
	struct report why;
	for (uint32_t i = 0; i < f->count; i++)
		if (part_fault(&f->parts[i], g->asked.groups[i].shard, &why)) gather_fault(g, &why);
}
