/* op_build.c - build: every shard is asked to make one segment with a new forest; the answer comes when all have.
 *
 * A build is asked for only when every shard can be asked: half a build is seldom what is wanted, and the refusal says which
 * shard is missing. Past the deadline the builds go on; the beats show how far they are. */
#include "coordinator/core_state.h"

#include <stdlib.h>
#include <string.h>

#include "coordinator/route.h"

struct build { uint32_t shards; struct report fault; };

static void build_release(void *state) { free(state); }

static void build_fault(struct build *b, enum status status, uint32_t shard, const char *what)
{
	if (b->fault.status == STATUS_OK) report_set(&b->fault, status, "shard %u: %s", shard, what);
}

static void build_reply(struct core *c, struct pending *p, uint32_t part, const struct cluster_reply *reply)
{
	if (reply->error.status == STATUS_OK) return;
	/* A worker that ran out of time says what we would say ourselves. */
	enum status status = reply->error.status == STATUS_TIMEOUT ? STATUS_UNKNOWN : reply->error.status;
	build_fault(p->state, status == STATUS_NOT_FOUND ? STATUS_UNAVAILABLE : status, part, report_text(&reply->error));
}

static void build_finish(struct core *c, struct pending *p, bool expired)
{
	struct build *b = p->state;
	struct map_index *index = shard_map_find_id(&c->map, p->index_id);
	for (uint32_t i = 0; i < p->fanout.count; i++) {
		enum part_state state = p->fanout.parts[i].state;
		if (state == PART_UNSENT)
			build_fault(b, p->fanout.parts[i].why, i, status_text(p->fanout.parts[i].why));
		else if (state == PART_GONE)
			build_fault(b, STATUS_UNKNOWN, i, "its worker stopped while it was building: build again when it is back");
		else if (state == PART_LATE)
			build_fault(b, STATUS_UNKNOWN, i, "the build takes longer than the deadline and goes on: see `grove status`");
	}
	if (!index) build_fault(b, STATUS_NOT_FOUND, 0, "the index was dropped meanwhile");
	if (b->fault.status != STATUS_OK) {
		pending_fail(c, p, &b->fault);
		return;
	}
	struct index_info info = index_info_of(c, index);
	struct client_reply reply = {.list = {&info, 1}};
	pending_reply(c, p, &reply);
}

static const struct pending_ops build_ops = {build_reply, build_finish, build_release};

void op_build(struct core *c, const struct client_address *client, const struct client_request *r)
{
	struct map_index *index = request_index(c, client, r);
	struct report report = {.status = STATUS_OK};
	struct member *member;
	if (!index) return;
	enum status status = STATUS_OK;
	for (uint32_t i = 0; i < index->spec.shards && status == STATUS_OK; i++) status = route_shard(index, i, &c->members, &member, &report);
	struct build *b = status == STATUS_OK ? calloc(1, sizeof(*b)) : NULL;
	if (!b) {
		report.status = status == STATUS_OK ? STATUS_NO_MEMORY : status;
		free(b);
		reply_error(c, client, r->id, r->op, &report);
		return;
	}
	struct pending *p = request_begin(c, client, r, &build_ops, b);
	if (!p) return;
	p->index_id = index->spec.id;
	if (pending_round(&c->pending, p, CLUSTER_BUILD, index->spec.shards) != STATUS_OK) {
		report.status = STATUS_NO_MEMORY;
		pending_fail(c, p, &report);
		return;
	}
	for (uint32_t i = 0; i < index->spec.shards; i++) {
		struct cluster_request request = {.build = {.shard = index->shards[i].id,
							  .epoch = index->shards[i].epoch,
							  .trees = r->build.trees ? r->build.trees : index->spec.trees,
							  .seed = index->spec.seed}};
		if (route_shard(index, i, &c->members, &member, &report) == STATUS_OK)
			part_send(c, p, i, member, &request);
		else
			fanout_unsent(&p->fanout, i, report.status);
	}
	pending_settle(c, p);
}
