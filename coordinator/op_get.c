/* op_get.c - get: the items of some ids or keys. All shards concerned must answer: a missing item and an unreachable shard
 * are different things, and a get that mixed them up would call an acknowledged item lost. */
#include "coordinator/core_state.h"

#include <stdlib.h>
#include <string.h>

#include "coordinator/gather.h"
#include "coordinator/op_gather.h"

static void get_release(void *state)
{
	struct gather *g = state;
	if (!g) return;
	gather_release(g);
	free(g);
}

static void get_reply(struct core *c, struct pending *p, uint32_t part, const struct cluster_reply *reply) { gather_reply(p->state, part, reply); }

static void get_finish(struct core *c, struct pending *p, bool expired)
{
	struct gather *g = p->state;
	struct buf payload_lengths, payload_bytes, key_lengths, key_bytes;
	struct client_reply reply = {.get = {.items = {.n = g->asked.n, .dtype = g->dtype, .dim = g->dim, .ids = g->ids, .vectors = g->vectors},
					    .found = g->found}};
	buf_init(&payload_lengths, 0);
	buf_init(&payload_bytes, 0);
	buf_init(&key_lengths, 0);
	buf_init(&key_bytes, 0);
	gather_parts_fault(g, &p->fanout);
	enum status status = g->fault.status;
	if (status == STATUS_OK) status = gather_blobs(g, g->payloads, &payload_lengths, &payload_bytes, &reply.get.items.payloads);
	if (status == STATUS_OK) status = gather_blobs(g, g->keys, &key_lengths, &key_bytes, &reply.get.items.keys);
	if (status == STATUS_OK) {
		pending_reply(c, p, &reply);
	} else {
		struct report report = g->fault;
		report.status = status;
		pending_fail(c, p, &report);
	}
	buf_release(&payload_lengths);
	buf_release(&payload_bytes);
	buf_release(&key_lengths);
	buf_release(&key_bytes);
}

static const struct pending_ops get_ops = {get_reply, get_finish, get_release};

void op_get(struct core *c, const struct client_address *client, const struct client_request *r)
{
	struct map_index *index = request_index(c, client, r);
	struct report report = {.status = STATUS_NO_MEMORY};
	if (!index) return;
	struct items asked = {.n = r->ids.n, .ids = r->ids.ids, .keys = r->ids.keys};
	struct gather *g = calloc(1, sizeof(*g));
	if (!g || gather_init(g, &asked, index->spec.shards, metric_dtype(index->spec.metric), index->spec.dim, &report) != STATUS_OK) {
		free(g);
		reply_error(c, client, r->id, r->op, &report);
		return;
	}
	struct pending *p = request_begin(c, client, r, &get_ops, g);
	if (p) gather_begin(c, p, index, g);
}
