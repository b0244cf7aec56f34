/* op_scan.c - scan: a page of an index's items, from one shard. The cursor says which shard and from which id; the last page of a shard hands
 * over to the next shard. Nothing is kept between pages, so a scan costs nothing while nobody asks for more, and goes on at any coordinator.
 *
 * The shard that a page is of has to answer: its absence is an error, never a scan that lacks its items. */
#include "coordinator/core_state.h"

#include <stdlib.h>

#include "common/cursor.h"
#include "coordinator/op_gather.h"
#include "coordinator/route.h"

/* What was asked, to judge the answer by. */
struct scan {
	uint64_t index;
	uint32_t shard, shards, dim, limit; /* dim 0: no vectors */
	enum dtype dtype;
	uint64_t from;
};

static void scan_release(void *state) { free(state); }

static bool answer_fits(const struct scan *s, const struct cluster_reply *reply)
{
	const struct items *items = &reply->scan.items;
	if (items->n > s->limit || items->dtype != s->dtype || items->dim != s->dim) return false;
	if (items->n && load_u64(items->ids) < s->from) return false;
	return !reply->scan.more || reply->scan.next > s->from;
}

static void scan_reply(struct core *c, struct pending *p, uint32_t part, const struct cluster_reply *reply)
{
	const struct scan *s = p->state;
	struct client_reply answer = {.scan = {.items = reply->scan.items, .next = {.index = s->index, .shard = s->shard, .id = reply->scan.next}}};
	struct report why = reply->error;
	if (why.status == STATUS_NOT_FOUND)
		report_set(&why, STATUS_UNAVAILABLE, "shard %u is not open on its worker: try again a little later", s->shard);
	else if (why.status == STATUS_OK && !answer_fits(s, reply))
		report_set(&why, STATUS_IO, "the worker of shard %u answered with other items than it was asked for: see its log", s->shard);
	if (why.status != STATUS_OK) {
		pending_fail(c, p, &why);
		return;
	}
	if (!reply->scan.more) {
		answer.scan.end = s->shard + 1 == s->shards;
		answer.scan.next = (struct scan_cursor){.index = s->index, .shard = s->shard + 1};
	}
	pending_reply(c, p, &answer);
}

/* Without an answer. */
static void scan_finish(struct core *c, struct pending *p, bool expired)
{
	const struct scan *s = p->state;
	struct report why = {.status = STATUS_UNAVAILABLE};
	if (!part_fault(&p->fanout.parts[0], s->shard, &why)) report_set(&why, STATUS_UNAVAILABLE, "the worker of shard %u did not answer", s->shard);
	pending_fail(c, p, &why);
}

static const struct pending_ops scan_ops = {scan_reply, scan_finish, scan_release};

static void scan_send(struct core *c, struct pending *p, const struct map_index *index, const struct client_request *r)
{
	const struct scan *s = p->state;
	struct report report = {.status = STATUS_NO_MEMORY};
	struct member *member;
	struct cluster_request request = {.scan = {.shard = index->shards[s->shard].id,
						  .from = s->from,
						  .limit = s->limit,
						  .with_vector = r->scan.with_vector,
						  .with_payload = r->scan.with_payload}};
	p->index_id = index->spec.id;
	if (route_shard(index, s->shard, &c->members, &member, &report) != STATUS_OK || pending_round(&c->pending, p, CLUSTER_SCAN, 1) != STATUS_OK) {
		pending_fail(c, p, &report);
		return;
	}
	part_send(c, p, 0, member, &request);
	pending_settle(c, p);
}

void op_scan(struct core *c, const struct client_address *client, const struct client_request *r)
{
	struct map_index *index = request_index(c, client, r);
	struct report report = {.status = STATUS_NO_MEMORY};
	const struct scan_cursor *from = &r->scan.from;
	struct scan *s = NULL;
	if (!index) return;
	const struct index_spec *spec = &index->spec;
	if (from->index && from->index != spec->id)
		report_set(&report, STATUS_CONFLICT, "the index '%s' was dropped and made again since the scan began: begin again", spec->name);
	else if (from->shard >= spec->shards)
		report_set(&report, STATUS_BAD_REQUEST, "the cursor names shard %u, but the index '%s' has %u: begin the scan again without one", from->shard,
			spec->name, spec->shards);
	else
		s = malloc(sizeof(*s));
	if (!s) {
		reply_error(c, client, r->id, r->op, &report);
		return;
	}
	*s = (struct scan){.index = spec->id, .shard = from->shard, .shards = spec->shards, .dim = r->scan.with_vector ? spec->dim : 0,
		.limit = r->scan.limit, .dtype = metric_dtype(spec->metric), .from = from->id};
	struct pending *p = request_begin(c, client, r, &scan_ops, s);
	if (p) scan_send(c, p, index, r);
}
