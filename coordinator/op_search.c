/* op_search.c - search: one message to each worker, naming its shards; at the end one merge.
 *
 *     by id:  gather the vectors from the shards that hold them ---+
 *     by vector: ---------------------------------------------------+--> fan out --> collect --> merge --> answer
 *
 * The item that is searched for by id is among its own hits, as in Annoy. */
#include "coordinator/core_state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "common/log.h"
#include "common/topk.h"
#include "coordinator/gather.h"
#include "coordinator/merge.h"
#include "coordinator/op_gather.h"
#include "coordinator/route.h"

/* What one part asked for, and its answer once it came. */
struct search_part { uint32_t *numbers; uint32_t count; bool answered; enum status failure; struct merge_list list; };

struct search {
	struct index_spec index;
	struct search_spec spec;
	uint32_t nq;
	uint64_t begun_us;
	float min_coverage;
	struct gather *gather; /* by id, first round only */
	uint32_t part_count;
	struct search_part *parts;
	struct merge_missing *missing; /* [index.shards]; not asked at all */
	uint32_t missing_count;
	uint64_t *memory, reserved; /* the core's account, and what this search took from it */
};

static void parts_release(struct search *s)
{
	for (uint32_t i = 0; i < s->part_count; i++) {
		free(s->parts[i].numbers);
		merge_list_release(&s->parts[i].list);
	}
	free(s->parts);
	s->parts = NULL;
	s->part_count = 0;
}

static void search_release(void *state)
{
	struct search *s = state;
	if (!s) return;
	if (s->gather) gather_release(s->gather);
	free(s->gather);
	parts_release(s);
	free(s->missing);
	if (s->memory) *s->memory -= s->reserved;
	free(s);
}

static void missing_add(struct search *s, const struct map_index *index, uint32_t number, enum status status)
{
	struct merge_missing *m = &s->missing[s->missing_count++];
	*m = (struct merge_missing){.number = number, .status = status};
	if (index) m->counted = shard_items(&index->shards[number], &m->items);
}

static void search_reply(struct core *c, struct pending *p, uint32_t part, const struct cluster_reply *reply)
{
	struct search *s = p->state;
	struct report report = {.status = STATUS_OK};
	if (s->gather) {
		gather_reply(s->gather, part, reply);
		return;
	}
	struct search_part *sp = &s->parts[part];
	if (reply->error.status != STATUS_OK) {
		sp->failure = reply->error.status;
		return;
	}
	sp->failure = merge_list_from(reply, s->nq, s->spec.k, sp->numbers, sp->count, s->index.shards, &sp->list, &report);
	sp->answered = sp->failure == STATUS_OK;
	if (!sp->answered && log_due(c)) log_warn("a worker's search reply was refused: %s", report_text(&report));
}

/* Why a part that was not answered is missing. */
static enum status part_failure(const struct fanout_part *part, enum status failure)
{
	switch (part->state) {
	case PART_UNSENT: return part->why;
	case PART_LATE: return STATUS_TIMEOUT;
	case PART_ANSWERED: return failure == STATUS_NOT_FOUND ? STATUS_UNAVAILABLE : failure;
	default: return STATUS_UNAVAILABLE;
	}
}

static void search_count(struct core *c, const struct search *s, const struct merge_answer *answer)
{
	counter_add(&c->metrics.queries, s->nq);
	histogram_observe(&c->metrics.search_seconds, c->now_us - s->begun_us);
	if (answer->hits.missing_count) counter_add(&c->metrics.incomplete, 1);
}

static void search_answer(struct core *c, struct pending *p)
{
	struct search *s = p->state;
	const struct map_index *index = shard_map_find_id(&c->map, s->index.id);
	struct merge_answer answer;
	struct report report = {.status = STATUS_OK};
	struct merge_list *lists = calloc(s->part_count + 1, sizeof(*lists));
	size_t list_count = 0;
	for (uint32_t i = 0; lists && i < s->part_count; i++) {
		struct search_part *part = &s->parts[i];
		if (part->answered) lists[list_count++] = part->list;
		for (uint32_t n = 0; n < part->count && !part->answered; n++)
			missing_add(s, index, part->numbers[n], part_failure(&p->fanout.parts[i], part->failure));
	}
	struct merge_request merge = {s->index.metric, s->nq, s->spec.k, s->index.shards, lists, list_count, s->missing, s->missing_count, s->min_coverage};
	enum status status = lists ? merge_run(&merge, &answer, &report) : STATUS_NO_MEMORY;
	free(lists);
	if (status != STATUS_OK) {
		report.status = status;
		pending_fail(c, p, &report);
		return;
	}
	struct client_reply reply = {.error = answer.report, .search = answer.hits};
	if (answer.report.status != STATUS_BUSY) search_count(c, s, &answer);
	pending_reply(c, p, &reply);
	merge_answer_release(&answer);
}

static enum status parts_make(struct search *s, const struct map_index *index, const struct route *route)
{
	s->parts = calloc(route->group_count ? route->group_count : 1, sizeof(*s->parts));
	s->missing = calloc(s->index.shards, sizeof(*s->missing));
	if (!s->parts || !s->missing) return STATUS_NO_MEMORY;
	for (uint32_t i = 0; i < route->group_count; i++) {
		struct search_part *part = &s->parts[i];
		part->numbers = malloc(route->groups[i].count * sizeof(*part->numbers));
		if (!part->numbers) return STATUS_NO_MEMORY;
		memcpy(part->numbers, route->groups[i].numbers, route->groups[i].count * sizeof(*part->numbers));
		part->count = route->groups[i].count;
		s->part_count++;
	}
	for (uint32_t i = 0; i < route->missing_count; i++) missing_add(s, index, route->missing[i].number, route->missing[i].status);
	return STATUS_OK;
}

static void part_ask(struct core *c, struct pending *p, uint32_t i, const struct map_index *index, const struct route_group *group,
	const struct cluster_search *what, struct uuid *shards)
{
	struct cluster_request request = {.search = *what};
	for (uint32_t n = 0; n < group->count; n++) shards[n] = index->shards[group->numbers[n]].id;
	request.search.shard_count = group->count;
	request.search.shards = shards;
	part_send(c, p, i, group->member, &request);
}

/* Each worker may answer with nq x k hits, and the answer itself has as many. */
static enum status memory_reserve(struct core *c, struct search *s, uint32_t workers, struct report *report)
{
	uint64_t bytes = (uint64_t)s->nq * s->spec.k * (workers + 1) * (sizeof(struct hit) + sizeof(uint64_t));
	if (bytes > SEARCH_MEMORY_MAX)
		return report_set(report, STATUS_LIMIT, "%u queries x k %u from %u workers would need %llu bytes, more than %llu (SEARCH_MEMORY_MAX): ask for less",
			s->nq, s->spec.k, workers, (unsigned long long)bytes, (unsigned long long)SEARCH_MEMORY_MAX);
	if (bytes > SEARCH_MEMORY_MAX - c->search_memory)
		return report_set(report, STATUS_BUSY, "the searches under way need all memory for hits (SEARCH_MEMORY_MAX): try again a little later");
	c->search_memory += bytes;
	s->memory = &c->search_memory;
	s->reserved = bytes;
	return STATUS_OK;
}

/* The searching round. */
static void search_fan_out(struct core *c, struct pending *p, const struct map_index *index, enum dtype dtype, const uint8_t *vectors)
{
	struct search *s = p->state;
	struct route route = {0};
	struct report report = {.status = STATUS_OK};
	struct cluster_search what = {.spec = route_effort(&s->spec, s->index.trees, s->index.shards), .nq = s->nq, .dtype = dtype, .dim = s->index.dim, .vectors = vectors};
	struct uuid *shards = calloc(s->index.shards, sizeof(*shards));
	report.status = shards ? route_all(index, &c->members, &route) : STATUS_NO_MEMORY;
	if (report.status == STATUS_OK) report.status = memory_reserve(c, s, route.group_count, &report);
	if (report.status == STATUS_OK) report.status = parts_make(s, index, &route);
	if (report.status == STATUS_OK) report.status = pending_round(&c->pending, p, CLUSTER_SEARCH, route.group_count);
	if (report.status == STATUS_OK) {
		for (uint32_t i = 0; i < route.group_count; i++) part_ask(c, p, i, index, &route.groups[i], &what, shards);
		pending_settle(c, p);
	} else {
		pending_fail(c, p, &report);
	}
	route_release(&route);
	free(shards);
}

/* The vectors are here, or something kept them from coming. */
static void gather_done(struct core *c, struct pending *p)
{
	struct search *s = p->state;
	struct gather *g = s->gather;
	struct report report = {.status = STATUS_OK};
	const struct map_index *index = shard_map_find_id(&c->map, s->index.id);
	gather_parts_fault(g, &p->fanout);
	if (!index) report_set(&report, STATUS_NOT_FOUND, "index '%s' was dropped meanwhile", s->index.name);
	if (g->fault.status != STATUS_OK) report = g->fault;
	for (uint32_t i = 0; i < s->nq && report.status == STATUS_OK; i++)
		if (!g->found[i])
			report_set(&report, STATUS_NOT_FOUND, "index '%s' has no item %" PRIu64 " to search for", s->index.name, load_u64(g->ids + 8 * (size_t)i));
	if (report.status != STATUS_OK) {
		pending_fail(c, p, &report);
		return;
	}
	s->gather = NULL;
	search_fan_out(c, p, index, g->dtype, g->vectors);
	gather_release(g);
	free(g);
}

static void search_finish(struct core *c, struct pending *p, bool expired)
{
	struct search *s = p->state;
	if (s->gather)
		gather_done(c, p);
	else
		search_answer(c, p);
}

static const struct pending_ops search_ops = {search_reply, search_finish, search_release};

static enum status search_by_id(struct search *s, const struct client_request *r, struct report *report)
{
	struct items asked = {.n = r->search.nq, .ids = r->search.vectors};
	struct gather *g = calloc(1, sizeof(*g));
	if (!g) return STATUS_NO_MEMORY;
	enum status status = gather_init(g, &asked, s->index.shards, metric_dtype(s->index.metric), s->index.dim, report);
	if (status == STATUS_OK)
		s->gather = g;
	else
		free(g);
	return status;
}

void op_search(struct core *c, const struct client_address *client, const struct client_request *r)
{
	struct map_index *index = request_index(c, client, r);
	struct report report = {.status = STATUS_NO_MEMORY};
	if (!index) return;
	struct search *s = calloc(1, sizeof(*s));
	enum status status = s ? STATUS_OK : STATUS_NO_MEMORY;
	if (s) {
		s->index = index->spec;
		s->spec = r->search.spec;
		s->nq = r->search.nq;
		s->begun_us = c->now_us;
		s->min_coverage = r->search.min_coverage;
		if (r->search.by_id) status = search_by_id(s, r, &report);
	}
	if (status != STATUS_OK) {
		search_release(s);
		report.status = status;
		reply_error(c, client, r->id, r->op, &report);
		return;
	}
	struct pending *p = request_begin(c, client, r, &search_ops, s);
	if (!p) return;
	p->index_id = s->index.id;
	if (s->gather)
		gather_begin(c, p, index, s->gather);
	else
		search_fan_out(c, p, index, r->search.dtype, r->search.vectors);
}
