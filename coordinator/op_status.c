/* op_status.c - hello, list, describe, status: answered at once from what the map and the beats say. Items of a shard whose
 * worker is away are those of its last beat. */
#include "coordinator/core_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool shard_present(const struct core *c, const struct map_shard *s)
{
	const struct member *member = membership_find(&c->members, s->worker);
	return member && member->state != WORKER_DEAD && s->present && s->lost == STATUS_OK;
}

bool shard_items(const struct map_shard *s, uint64_t *ret_items)
{
	*ret_items = s->heard ? s->report.items : 0;
	return s->heard;
}

static struct shard_info shard_info_of(const struct core *c, const struct map_index *index, const struct map_shard *s)
{
	struct shard_info info = {.report = s->report, .worker = s->worker};
	info.report.shard = s->id;
	info.report.index_id = index->spec.id;
	info.report.number = s->number;
	if (!s->heard) info.report.epoch = s->epoch;
	if (!s->made && s->lost == STATUS_OK) {
		info.report.state = SHARD_OPENING;
	} else if (!shard_present(c, s)) {
		info.report.state = SHARD_MISSING;
		info.report.status = s->lost != STATUS_OK ? s->lost : STATUS_UNAVAILABLE;
	}
	return info;
}

struct index_info index_info_of(const struct core *c, const struct map_index *index)
{
	struct index_info info = {.spec = index->spec};
	uint64_t progress = 0, items;
	for (uint32_t i = 0; i < index->spec.shards; i++) {
		struct shard_info shard = shard_info_of(c, index, &index->shards[i]);
		if (shard_items(&index->shards[i], &items)) info.items += items;
		if (shard.report.state == SHARD_BUILDING) {
			info.shards_building++;
			progress += shard.report.progress_permille;
		}
		/* A building shard serves. */
		info.shards_serving += shard.report.state == SHARD_SERVING || shard.report.state == SHARD_BUILDING;
	}
	if (info.shards_building) info.progress_permille = (uint32_t)(progress / info.shards_building);
	info.complete = info.shards_serving == index->spec.shards;
	return info;
}

static struct worker_info worker_info_of(const struct core *c, const struct member *m)
{
	struct worker_info info = {.id = m->id, .state = m->state, .pid = m->pid, .items = m->items, .memory_bytes = m->memory_bytes,
		.shards = m->known ? m->shards : shard_map_load_of(&c->map, m->id), .threads = m->threads};
	uint64_t since = m->known ? m->last_us : c->start_us;
	memcpy(info.endpoint, m->endpoint, sizeof(info.endpoint));
	info.age_ms = c->now_us > since ? (c->now_us - since) / 1000 : 0;
	return info;
}

void op_hello(struct core *c, const struct client_address *client, const struct client_request *r)
{
	struct client_reply reply = {.id = r->id, .op = r->op, .hello = {.version = CLIENT_PROTOCOL_VERSION, .bundles = r->hello.bundles}};
	struct report report;
	if (r->hello.version_min > CLIENT_PROTOCOL_VERSION || r->hello.version_max < CLIENT_PROTOCOL_VERSION) {
		report_set(&report, STATUS_UNSUPPORTED, "this coordinator speaks version %d of the client protocol, the client %u to %u: update the older one",
			CLIENT_PROTOCOL_VERSION, r->hello.version_min, r->hello.version_max);
		reply_error(c, client, r->id, r->op, &report);
		return;
	}
	snprintf(reply.hello.server, sizeof(reply.hello.server), "grove-coordinator %s", GROVE_VERSION);
	reply_send(c, client, &reply);
}

static void no_memory(struct core *c, const struct client_address *client, const struct client_request *r)
{
	struct report report = {.status = STATUS_NO_MEMORY};
	reply_error(c, client, r->id, r->op, &report);
}

void op_list(struct core *c, const struct client_address *client, const struct client_request *r)
{
	size_t count = c->map.index_count;
	struct index_info *indexes = calloc(count ? count : 1, sizeof(*indexes));
	if (!indexes) {
		no_memory(c, client, r);
		return;
	}
	for (size_t i = 0; i < count; i++) indexes[i] = index_info_of(c, c->map.indexes[i]);
	struct client_reply reply = {.id = r->id, .op = r->op, .list = {indexes, (uint32_t)count}};
	reply_send(c, client, &reply);
	free(indexes);
}

/* Reply with workers (if wanted) and these indexes with their shards. */
static void status_send(struct core *c, const struct client_address *client, const struct client_request *r, struct map_index *const *which,
	size_t count, bool workers)
{
	size_t worker_count = workers ? c->members.count : 0, shard_count = 0, at = 0;
	for (size_t i = 0; i < count; i++) shard_count += which[i]->spec.shards;
	struct index_info *indexes = calloc(count ? count : 1, sizeof(*indexes));
	struct worker_info *infos = calloc(worker_count ? worker_count : 1, sizeof(*infos));
	struct shard_info *shards = calloc(shard_count ? shard_count : 1, sizeof(*shards));
	if (indexes && infos && shards) {
		for (size_t i = 0; i < worker_count; i++) infos[i] = worker_info_of(c, c->members.members[i]);
		for (size_t i = 0; i < count; i++) {
			indexes[i] = index_info_of(c, which[i]);
			for (uint32_t s = 0; s < which[i]->spec.shards; s++) shards[at++] = shard_info_of(c, which[i], &which[i]->shards[s]);
		}
		struct client_reply reply = {.id = r->id, .op = r->op};
		reply.status.workers = infos;
		reply.status.worker_count = (uint32_t)worker_count;
		reply.status.indexes = indexes;
		reply.status.index_count = (uint32_t)count;
		reply.status.shards = shards;
		reply.status.shard_count = (uint32_t)shard_count;
		reply_send(c, client, &reply);
	} else {
		no_memory(c, client, r);
	}
	free(indexes);
	free(infos);
	free(shards);
}

void op_describe(struct core *c, const struct client_address *client, const struct client_request *r)
{
	struct map_index *index = request_index(c, client, r);
	if (index) status_send(c, client, r, &index, 1, false);
}

static int index_by_id(const void *a, const void *b)
{
	uint64_t x = (*(struct map_index *const *)a)->spec.id, y = (*(struct map_index *const *)b)->spec.id;
	return x < y ? -1 : x > y;
}

void op_status(struct core *c, const struct client_address *client, const struct client_request *r)
{
	size_t count = c->map.index_count;
	struct map_index **which = calloc(count ? count : 1, sizeof(struct map_index *));
	if (!which) {
		no_memory(c, client, r);
		return;
	}
	/* The shards' array is by (index id, number). */
	if (count) memcpy(which, c->map.indexes, count * sizeof(struct map_index *));
	qsort(which, count, sizeof(struct map_index *), index_by_id);
	status_send(c, client, r, which, count, true);
	free(which);
}
