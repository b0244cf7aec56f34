/* op_drop.c - drop: the tombstone takes the index's place in the store, the name is free, the answer goes out; the workers
 * remove the shards afterwards, those that are away when they come back. A drop waits for a change of the same index that is
 * under way, so that it meets the version it expects. */
#include "coordinator/core_state.h"

#include <stdlib.h>
#include <string.h>

struct drop { bool stored; };

static void drop_ignore(struct core *c, struct pending *p, uint32_t part, const struct cluster_reply *reply) {}

static void drop_finish(struct core *c, struct pending *p, bool expired)
{
	struct report report;
	if (!expired) return;
	report_set(&report, STATUS_UNKNOWN, "the metadata store did not answer in time, the index may be dropped: see `grove list`");
	pending_fail(c, p, &report);
}

static void drop_release(void *state) { free(state); }
static const struct pending_ops drop_pending_ops = {drop_ignore, drop_finish, drop_release};

/* Creates and drops that still wait for an index that is gone now. */
static void waiters_fail(struct core *c, uint64_t index_id, const struct pending *except)
{
	struct report report;
	report_set(&report, STATUS_NOT_FOUND, "the index was dropped meanwhile: `grove list` shows the indexes");
	for (uint32_t i = 0; i < PENDING_CLIENT_MAX; i++) {
		struct pending *p = &c->pending.slots[i];
		if (p->used && p != except && p->index_id == index_id && (p->op == CLIENT_CREATE || p->op == CLIENT_DROP)) pending_fail(c, p, &report);
	}
}

static void drop_stored(struct core *c, struct change *change, const struct meta_commit *commit)
{
	struct pending *p = change_pending(c, change);
	struct map_index *index = shard_map_find_id(&c->map, change->index_id);
	struct report report = commit->report;
	if (index) index->changing = false;
	if (report.status == STATUS_OK && index) {
		struct map_dropped *dropped = change->dropped;
		dropped->version = commit->version;
		/* Without memory for the tombstone it waits in the store until the next start. */
		if (shard_map_add_dropped(&c->map, &change->dropped) == STATUS_OK) errands_drop(c, dropped);
		shard_map_remove(&c->map, index);
		waiters_fail(c, change->index_id, p);
	}
	if (!p) return;
	struct client_reply reply = {.error = {.status = STATUS_OK}};
	if (report.status == STATUS_OK)
		pending_reply(c, p, &reply);
	else
		pending_fail(c, p, &report);
}

/* True if the commit is on its way. */
static bool drop_begin(struct core *c, struct pending *p, struct map_index *index, struct report *report)
{
	struct change *change = calloc(1, sizeof(*change));
	struct meta_commit *commit = NULL;
	struct buf value;
	char key[MAP_KEY_SIZE];
	buf_init(&value, META_VALUE_MAX);
	enum status status = change ? map_dropped_new(index, &change->dropped) : STATUS_NO_MEMORY;
	if (status == STATUS_OK) status = dropped_record_encode(change->dropped, &value);
	if (status == STATUS_OK) status = commit_new(&commit);
	if (status == STATUS_OK) {
		index_key(index->spec.name, key);
		commit_remove(commit, key, index->version);
		dropped_key(index->spec.id, key);
		commit_put(commit, key, 0, &value);
		change->done = drop_stored;
		change->index_id = index->spec.id;
		change->slot = p->slot;
		change->round = p->round;
		index->changing = change_begin(c, &change, &commit, report);
	} else {
		report->status = status;
	}
	change_free(&change);
	meta_commit_free(&commit);
	buf_release(&value);
	return index->changing;
}

void drop_progress(struct core *c, struct map_index *index)
{
	struct report report = {.status = STATUS_OK};
	for (uint32_t i = 0; i < PENDING_CLIENT_MAX && !index->changing; i++) {
		struct pending *p = &c->pending.slots[i];
		if (!p->used || p->ops != &drop_pending_ops || p->index_id != index->spec.id) continue;
		struct drop *drop = p->state;
		if (drop->stored) continue;
		drop->stored = true;
		if (!drop_begin(c, p, index, &report)) pending_fail(c, p, &report);
	}
}

void op_drop(struct core *c, const struct client_address *client, const struct client_request *r)
{
	struct map_index *index = request_index(c, client, r);
	struct drop *drop;
	if (!index) return;
	drop = calloc(1, sizeof(*drop));
	if (!drop) {
		struct report report = {.status = STATUS_NO_MEMORY};
		reply_error(c, client, r->id, r->op, &report);
		return;
	}
	struct pending *p = request_begin(c, client, r, &drop_pending_ops, drop);
	if (!p) return;
	p->index_id = index->spec.id;
	drop_progress(c, index);
}
