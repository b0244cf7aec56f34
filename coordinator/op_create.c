/* op_create.c - create: place the shards, store the map, have the shards made, store that they are made, answer.
 *
 *     placed --commit--> stored --OPEN confirmed by all--> confirmed --commit "made"--> answered
 *
 * Once stored the index exists: a coordinator that dies after that finds it again and goes on with the next beats. So past the
 * deadline the answer is UNKNOWN and the work continues. Before it is stored nothing happened: EXISTS, UNAVAILABLE. */
#include "coordinator/core_state.h"

#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "coordinator/placement.h"

enum { CREATE_TREES_DEFAULT = 10 };

static void create_ignore(struct core *c, struct pending *p, uint32_t part, const struct cluster_reply *reply) {}

/* Only the deadline ends a create from outside; progress comes through create_progress(). */
static void create_finish(struct core *c, struct pending *p, bool expired)
{
	const struct map_index *index = p->index_id ? shard_map_find_id(&c->map, p->index_id) : NULL;
	struct report report;
	if (!expired) return;
	if (index && index->trouble.status != STATUS_OK)
		report_set(&report, STATUS_UNKNOWN, "making the index goes on, but %s", report_text(&index->trouble));
	else
		report_set(&report, STATUS_UNKNOWN, "making the index takes longer than the deadline and goes on: `grove list` shows when it is there");
	pending_fail(c, p, &report);
}

static void create_release(void *state) { free(state); }
static const struct pending_ops create_ops = {create_ignore, create_finish, create_release};

static bool index_made(const struct map_index *index)
{
	for (uint32_t i = 0; i < index->spec.shards; i++)
		if (!index->shards[i].made) return false;
	return true;
}

void create_progress(struct core *c, struct map_index *index)
{
	if (!index_made(index)) {
		errands_store_made(c, index);
		return;
	}
	for (uint32_t i = 0; i < PENDING_CLIENT_MAX; i++) {
		struct pending *p = &c->pending.slots[i];
		if (!p->used || p->ops != &create_ops || p->index_id != index->spec.id) continue;
		struct index_info info = index_info_of(c, index);
		struct client_reply reply = {.list = {&info, 1}};
		pending_reply(c, p, &reply);
	}
}

static void create_stored(struct core *c, struct change *change, const struct meta_commit *commit)
{
	struct pending *p = change_pending(c, change);
	struct report report = commit->report;
	if (report.status == STATUS_OK && shard_map_find(&c->map, change->index->spec.name)) report.status = STATUS_EXISTS;
	if (report.status == STATUS_CONFLICT || report.status == STATUS_EXISTS)
		report_set(&report, STATUS_EXISTS, "index '%s' exists already: drop it first or choose another name", change->index->spec.name);
	if (report.status == STATUS_OK) {
		struct map_index *index = change->index;
		index->version = commit->version;
		report.status = shard_map_add(&c->map, &change->index);
		if (report.status == STATUS_OK) {
			if (p) p->index_id = index->spec.id;
			errands_open_index(c, index);
			return;
		}
		report_set(&report, STATUS_UNKNOWN, "the index is stored but this coordinator has no memory for it: it appears after a restart");
	}
	if (p) pending_fail(c, p, &report);
}

/* Fill in what the client left to us. */
static enum status spec_complete(struct core *c, struct index_spec *spec, const char *name, size_t alive, struct report *report)
{
	memcpy(spec->name, name, sizeof(spec->name));
	if (shard_map_find(&c->map, name))
		return report_set(report, STATUS_EXISTS, "index '%s' exists already: drop it first or choose another name", name);
	if (alive == 0) return report_set(report, STATUS_UNAVAILABLE, "no worker is running: start one with `grove-worker` and try again");
	if (spec->replicas > 1)
		return report_set(report, STATUS_UNSUPPORTED, "this version keeps one copy of each shard: create the index with replicas 1");
	spec->replicas = 1;
	if (spec->shards == 0) spec->shards = (uint32_t)alive;
	if (spec->trees == 0) spec->trees = CREATE_TREES_DEFAULT;
	/* 63 random bits never come again, and no counter has to be agreed on. */
	struct uuid random = c->out.uuid(c->out.arg);
	spec->id = (load_u64(random.bytes) ^ load_u64(random.bytes + 8)) >> 1;
	if (spec->id == 0) spec->id = 1;
	return STATUS_OK;
}

static enum status shards_place(struct core *c, struct map_index *index)
{
	size_t workers = 0;
	struct member **alive = calloc(c->members.count, sizeof(struct member *));
	uint32_t *loads = calloc(c->members.count, sizeof(*loads));
	uint32_t *places = calloc(index->spec.shards, sizeof(*places));
	enum status status = alive && loads && places ? STATUS_OK : STATUS_NO_MEMORY;
	for (size_t i = 0; i < c->members.count && status == STATUS_OK; i++) {
		if (c->members.members[i]->state != WORKER_ALIVE) continue;
		alive[workers] = c->members.members[i];
		loads[workers++] = shard_map_load_of(&c->map, c->members.members[i]->id);
	}
	if (status == STATUS_OK) {
		placement_choose(loads, workers, index->spec.shards, places);
		for (uint32_t i = 0; i < index->spec.shards; i++) {
			index->shards[i].id = c->out.uuid(c->out.arg);
			index->shards[i].worker = alive[places[i]]->id;
			index->shards[i].epoch = 1;
		}
	}
	free(alive);
	free(loads);
	free(places);
	return status;
}

static enum status create_prepare(struct core *c, const struct index_spec *spec, struct change *change, struct meta_commit **ret)
{
	struct buf value;
	char key[MAP_KEY_SIZE];
	buf_init(&value, META_VALUE_MAX);
	enum status status = map_index_new(spec, &change->index);
	if (status == STATUS_OK) status = shards_place(c, change->index);
	if (status == STATUS_OK) status = index_record_encode(change->index, &value);
	if (status == STATUS_OK) status = commit_new(ret);
	if (status == STATUS_OK) {
		index_key(spec->name, key);
		commit_put(*ret, key, 0, &value);
	}
	buf_release(&value);
	return status;
}

void op_create(struct core *c, const struct client_address *client, const struct client_request *r)
{
	struct index_spec spec = r->create.spec;
	struct report report = {.status = STATUS_OK};
	struct meta_commit *commit = NULL;
	struct change *change = NULL;
	struct pending *p;
	if (spec_complete(c, &spec, r->index[0] ? r->index : spec.name, membership_alive(&c->members), &report) != STATUS_OK) goto out;
	change = calloc(1, sizeof(*change));
	if (!change || create_prepare(c, &spec, change, &commit) != STATUS_OK) {
		report.status = STATUS_NO_MEMORY;
		goto out;
	}
	p = request_begin(c, client, r, &create_ops, NULL);
	if (!p) goto out;
	change->done = create_stored;
	change->slot = p->slot;
	change->round = p->round;
	if (!change_begin(c, &change, &commit, &report)) {
		pending_fail(c, p, &report);
		report.status = STATUS_OK;
	}
out:
	if (report.status != STATUS_OK) reply_error(c, client, r->id, r->op, &report);
	change_free(&change);
	meta_commit_free(&commit);
}
