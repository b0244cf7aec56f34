/* op_write.c - upsert and delete: one message for each shard, one result for each item. The rules of ok, rejected and unknown
 * stand in ingest.h. */
#include "coordinator/core_state.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "coordinator/ingest.h"
#include "coordinator/route.h"

static void write_release(void *state)
{
	struct ingest *in = state;
	if (!in) return;
	ingest_release(in);
	free(in);
}

static void write_reply(struct core *c, struct pending *p, uint32_t part, const struct cluster_reply *reply)
{
	struct ingest *in = p->state;
	struct cluster_reply translated = *reply;
	/* The worker knows no such shard: to the user that is a shard that cannot be served, not an index that does not exist. */
	if (reply->error.status == STATUS_NOT_FOUND)
		report_set(&translated.error, STATUS_UNAVAILABLE, "shard %u is not open on its worker: try again a little later", in->groups[part].shard);
	if (ingest_answered(in, part, &translated) != STATUS_OK && log_due(c)) log_warn("no memory for the token of a write");
}

static void write_finish(struct core *c, struct pending *p, bool expired)
{
	struct ingest *in = p->state;
	struct client_reply reply = {.write = {.n = in->n, .results = in->results}};
	struct report why;
	for (uint32_t i = 0; i < p->fanout.count; i++) {
		enum part_state state = p->fanout.parts[i].state;
		if (state == PART_UNSENT && p->fanout.parts[i].why != STATUS_OK) {
			report_set(&why, p->fanout.parts[i].why, "shard %u could not be sent its items: %s", in->groups[i].shard,
				status_text(p->fanout.parts[i].why));
			ingest_rejected(in, i, &why);
		} else if (state == PART_GONE || state == PART_LATE) {
			report_set(&why, STATUS_UNKNOWN, "shard %u %s; its items may be applied, now or later: it is safe to send them again",
				in->groups[i].shard, state == PART_GONE ? "lost its worker before the answer" : "did not answer by the deadline");
			ingest_unknown(in, i, &why);
		}
	}
	ingest_report(in, &reply.error);
	reply.write.token_count = in->token_count;
	reply.write.tokens = in->tokens.bytes;
	pending_reply(c, p, &reply);
}

static const struct pending_ops write_ops = {write_reply, write_finish, write_release};

static struct items items_of(const struct client_request *r)
{
	if (r->op == CLIENT_UPSERT) return r->upsert.items;
	return (struct items){.n = r->ids.n, .ids = r->ids.ids, .keys = r->ids.keys};
}

static void group_send(struct core *c, struct pending *p, uint32_t i, const struct map_index *index, const struct client_request *r)
{
	struct ingest *in = p->state;
	struct ingest_group *g = &in->groups[i];
	struct member *member;
	struct report why;
	if (route_shard(index, g->shard, &c->members, &member, &why) != STATUS_OK) {
		ingest_rejected(in, i, &why);
		fanout_unsent(&p->fanout, i, STATUS_OK); /* the reason is noted already */
		return;
	}
	struct cluster_request request = {.write = {.shard = index->shards[g->shard].id,
						  .epoch = index->shards[g->shard].epoch,
						  .kind = r->op == CLIENT_UPSERT ? WRITE_UPSERT : WRITE_DELETE,
						  .client = r->client,
						  .client_request = r->id,
						  .items = g->items}};
	part_send(c, p, i, member, &request);
}

void op_write(struct core *c, const struct client_address *client, const struct client_request *r)
{
	struct map_index *index = request_index(c, client, r);
	struct report report = {.status = STATUS_NO_MEMORY};
	if (!index) return;
	struct items items = items_of(r);
	struct ingest *in = calloc(1, sizeof(*in));
	if (!in || ingest_init(in, &items, index->spec.shards) != STATUS_OK) {
		free(in);
		reply_error(c, client, r->id, r->op, &report);
		return;
	}
	struct pending *p = request_begin(c, client, r, &write_ops, in);
	if (!p) return;
	p->index_id = index->spec.id;
	if (pending_round(&c->pending, p, CLUSTER_WRITE, in->group_count) != STATUS_OK) {
		pending_fail(c, p, &report);
		return;
	}
	for (uint32_t i = 0; i < in->group_count; i++) group_send(c, p, i, index, r);
	ingest_forget_items(in);
	pending_settle(c, p);
}
