/* errands.c - what the coordinator asks of workers on its own account, driven by their beats.
 *
 * A beat lists everything that the worker holds. What the map wants and the list lacks is asked for (OPEN); what a tombstone
 * names is asked away (DROP). Asking again is harmless and happens at most every ERRAND_RETRY_US for a shard, so nothing has
 * to be remembered across a restart on either side. A shard that neither the map nor a tombstone knows is left alone: it may
 * belong to a map that someone lost. */
#include "coordinator/core_state.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"

struct errand { struct uuid shard; uint64_t index_id; };

static void errand_release(void *state) { free(state); }

void worker_welcome(struct core *c, struct member *member, const struct net_peer *peer, const struct report *refusal)
{
	struct cluster_request r = {.kind = CLUSTER_WELCOME, .welcome = {.cluster = c->cluster}};
	struct encoded e = {0};
	if (refusal) r.welcome.refusal = *refusal;
	enum status status = cluster_request_encode(&r, &e);
	if (status == STATUS_OK) status = c->out.to_worker(c->out.arg, peer, e.frames, e.count);
	if (status == STATUS_UNAVAILABLE && member && net_peer_equal(peer, &member->peer)) membership_disconnected(member);
	encoded_release(&e);
}

/* ---- made ---- */

static void made_stored(struct core *c, struct change *change, const struct meta_commit *commit)
{
	struct map_index *index = shard_map_find_id(&c->map, change->index_id);
	if (!index) return;
	index->changing = false;
	if (commit->report.status == STATUS_OK) {
		/* Only those that were in the record: `made` is what encoding marked. */
		for (uint32_t i = 0; i < index->spec.shards; i++)
			if (change->index->shards[i].made) index->shards[i].made = true;
		index->version = commit->version;
		index->trouble = (struct report){.status = STATUS_OK};
	} else {
		if (log_due(c)) log_error("index '%s': that its shards are made could not be stored: %s", index->spec.name, report_text(&commit->report));
		index->trouble = commit->report;
	}
	/* What failed is tried again with the next beat, not at once: a store that fails may do so thousands of times a second. */
	if (commit->report.status == STATUS_OK) create_progress(c, index);
	drop_progress(c, index);
}

void errands_store_made(struct core *c, struct map_index *index)
{
	struct change *change = NULL;
	struct meta_commit *commit = NULL;
	struct buf value;
	struct report report = {.status = STATUS_OK};
	char key[MAP_KEY_SIZE];
	bool news = false;
	for (uint32_t i = 0; i < index->spec.shards; i++) news = news || (index->shards[i].confirmed && !index->shards[i].made);
	if (!news || index->changing) return;
	buf_init(&value, 0);
	index_key(index->spec.name, key);
	change = calloc(1, sizeof(*change));
	if (!change || map_index_new(&index->spec, &change->index) != STATUS_OK || commit_new(&commit) != STATUS_OK) goto out;
	for (uint32_t i = 0; i < index->spec.shards; i++) change->index->shards[i].made = index->shards[i].made || index->shards[i].confirmed;
	if (index_record_encode(index, &value) != STATUS_OK) goto out;
	commit_put(commit, key, index->version, &value);
	change->done = made_stored;
	change->index_id = index->spec.id;
	index->changing = change_begin(c, &change, &commit, &report);
	if (!index->changing) log_error("%s", report_text(&report));
out:
	/* Out of memory: the next beat tries again. */
	change_free(&change);
	meta_commit_free(&commit);
	buf_release(&value);
}

/* ---- open ---- */

static void open_reply(struct core *c, struct pending *p, uint32_t part, const struct cluster_reply *reply)
{
	const struct errand *errand = p->state;
	struct map_index *index;
	struct map_shard *s = shard_map_shard(&c->map, errand->shard, &index);
	if (!s) return;
	if (reply->error.status == STATUS_OK || reply->error.status == STATUS_EXISTS) {
		s->confirmed = true;
		s->lost = STATUS_OK;
		if (!s->present) {
			/* Until the next beat says more. */
			s->report = (struct shard_report){.shard = s->id, .index_id = index->spec.id, .number = s->number, .state = SHARD_SERVING,
				.epoch = s->epoch, .items = s->report.items};
			s->heard = s->heard || !s->made;
			s->present = true;
		}
		errands_store_made(c, index);
		return;
	}
	if (log_due(c)) log_warn("shard %u of index '%s' was not opened: %s", s->number, index->spec.name, report_text(&reply->error));
	report_set(&index->trouble, reply->error.status, "shard %u was not opened: %.200s", s->number, report_text(&reply->error));
	/* A made shard that its worker does not have is lost, not absent. */
	if (reply->error.status == STATUS_NOT_FOUND && s->made)
		s->lost = STATUS_CORRUPT;
	else if (reply->error.status == STATUS_CORRUPT || reply->error.status == STATUS_STOPPED)
		s->lost = reply->error.status;
}

static void open_finish(struct core *c, struct pending *p, bool expired)
{
	const struct errand *errand = p->state;
	struct map_shard *s = shard_map_shard(&c->map, errand->shard, NULL);
	if (s) s->asking = false;
	pending_end(&c->pending, p);
}

static const struct pending_ops open_ops = {open_reply, open_finish, errand_release};

static bool errand_due(const struct core *c, bool asking, uint64_t asked_us)
{
	return !asking && (asked_us == 0 || c->now_us - asked_us >= ERRAND_RETRY_US);
}

/* One message to one worker. False: no slot or no memory, the next beat tries again. */
static bool errand_send(struct core *c, struct member *member, struct uuid shard, uint64_t index_id, const struct pending_ops *ops,
	enum cluster_kind kind, struct cluster_request *r)
{
	struct pending *p;
	struct errand *errand = malloc(sizeof(*errand));
	void *state = errand;
	if (!errand) return false;
	*errand = (struct errand){shard, index_id};
	if (pending_begin_task(&c->pending, c->now_us + ERRAND_DEADLINE_US, ops, &state, &p) != STATUS_OK) {
		free(state);
		return false;
	}
	if (pending_round(&c->pending, p, kind, 1) != STATUS_OK) {
		pending_end(&c->pending, p);
		return false;
	}
	part_send(c, p, 0, member, r);
	pending_settle(c, p);
	return true;
}

static void shard_open_ask(struct core *c, struct member *member, const struct map_index *index, struct map_shard *s)
{
	struct cluster_request r = {
		.open = {.shard = s->id, .index = index->spec, .number = s->number, .epoch = s->epoch, .create = !s->made}};
	if (!errand_due(c, s->asking, s->asked_us)) return;
	s->asked_us = c->now_us;
	s->asking = true;
	if (!errand_send(c, member, s->id, index->spec.id, &open_ops, CLUSTER_OPEN, &r)) {
		s->asking = false;
		s->asked_us = 0;
	}
}

void errands_open_index(struct core *c, struct map_index *index)
{
	for (uint32_t i = 0; i < index->spec.shards; i++) {
		struct member *member = membership_find(&c->members, index->shards[i].worker);
		if (member && member->state != WORKER_DEAD && member->known) shard_open_ask(c, member, index, &index->shards[i]);
	}
}

/* ---- drop ---- */

static void dropped_stored(struct core *c, struct change *change, const struct meta_commit *commit)
{
	for (size_t i = 0; i < c->map.dropped_count; i++) {
		struct map_dropped *dropped = c->map.dropped[i];
		if (dropped->index_id != change->index_id) continue;
		dropped->changing = false;
		if (commit->report.status == STATUS_OK) shard_map_remove_dropped(&c->map, dropped);
		return;
	}
}

/* Every worker confirmed: the tombstone goes. */
static void dropped_forget(struct core *c, struct map_dropped *dropped)
{
	struct change *change = NULL;
	struct meta_commit *commit = NULL;
	struct report report = {.status = STATUS_OK};
	char key[MAP_KEY_SIZE];
	for (uint32_t i = 0; i < dropped->count; i++)
		if (!dropped->shards[i].gone) return;
	if (dropped->changing) return;
	change = calloc(1, sizeof(*change));
	if (change && commit_new(&commit) == STATUS_OK) {
		dropped_key(dropped->index_id, key);
		commit_remove(commit, key, dropped->version);
		change->done = dropped_stored;
		change->index_id = dropped->index_id;
		dropped->changing = change_begin(c, &change, &commit, &report);
		if (!dropped->changing) log_error("%s", report_text(&report));
	}
	change_free(&change);
	meta_commit_free(&commit);
}

static struct dropped_shard *dropped_find(struct core *c, struct uuid shard, struct map_dropped **ret)
{
	for (size_t i = 0; i < c->map.dropped_count; i++)
		for (uint32_t s = 0; s < c->map.dropped[i]->count; s++) {
			if (!uuid_equal(c->map.dropped[i]->shards[s].id, shard)) continue;
			*ret = c->map.dropped[i];
			return &c->map.dropped[i]->shards[s];
		}
	return NULL;
}

static void drop_reply(struct core *c, struct pending *p, uint32_t part, const struct cluster_reply *reply)
{
	const struct errand *errand = p->state;
	struct map_dropped *dropped;
	struct dropped_shard *s = dropped_find(c, errand->shard, &dropped);
	if (!s) return;
	if (reply->error.status == STATUS_OK || reply->error.status == STATUS_NOT_FOUND) {
		s->gone = true;
		dropped_forget(c, dropped);
	} else {
		log_warn("a shard of a dropped index was not removed yet: %s", report_text(&reply->error));
	}
}

static void drop_finish(struct core *c, struct pending *p, bool expired)
{
	const struct errand *errand = p->state;
	struct map_dropped *dropped;
	struct dropped_shard *s = dropped_find(c, errand->shard, &dropped);
	if (s) s->asking = false;
	pending_end(&c->pending, p);
}

static const struct pending_ops drop_ops = {drop_reply, drop_finish, errand_release};

static void dropped_ask(struct core *c, struct member *member, struct map_dropped *dropped)
{
	for (uint32_t i = 0; i < dropped->count; i++) {
		struct dropped_shard *s = &dropped->shards[i];
		struct cluster_request r = {.drop = {.shard = s->id, .index_id = dropped->index_id}};
		if (s->gone || !uuid_equal(s->worker, member->id) || !errand_due(c, s->asking, s->asked_us)) continue;
		s->asked_us = c->now_us;
		s->asking = true;
		if (!errand_send(c, member, s->id, dropped->index_id, &drop_ops, CLUSTER_DROP, &r)) {
			s->asking = false;
			s->asked_us = 0;
		}
	}
}

void errands_drop(struct core *c, struct map_dropped *dropped)
{
	for (size_t i = 0; i < c->members.count; i++)
		if (c->members.members[i]->known && c->members.members[i]->state != WORKER_DEAD) dropped_ask(c, c->members.members[i], dropped);
}

/* ---- beats ---- */

/* The worker's word about its shards into the map. */
static void reports_take(struct core *c, const struct member *member, const struct cluster_beat *beat)
{
	for (uint32_t i = 0; i < beat->shard_count; i++) {
		struct map_index *index;
		struct map_shard *s = shard_map_shard(&c->map, beat->shards[i].shard, &index);
		if (!s || !uuid_equal(s->worker, member->id) || beat->shards[i].index_id != index->spec.id || beat->shards[i].number != s->number) continue;
		s->report = beat->shards[i];
		s->heard = s->present = true;
		if (s->report.state == SHARD_SERVING || s->report.state == SHARD_BUILDING) {
			s->confirmed = true;
			s->lost = STATUS_OK;
		}
	}
}

void errands_name_strangers(struct core *c, const struct cluster_beat *beat)
{
	uint32_t strangers = 0;
	struct map_dropped *dropped;
	char id[UUID_TEXT_SIZE];
	for (uint32_t i = 0; i < beat->shard_count; i++)
		strangers += !shard_map_shard(&c->map, beat->shards[i].shard, NULL) && !dropped_find(c, beat->shards[i].shard, &dropped);
	if (strangers == 0) return;
	uuid_text(beat->worker, id);
	log_warn("worker %s holds %u shards that belong to no index here: they are left alone", id, strangers);
}

void errands_on_beat(struct core *c, struct member *member, const struct cluster_beat *beat)
{
	for (size_t i = 0; i < c->map.index_count; i++)
		for (uint32_t s = 0; s < c->map.indexes[i]->spec.shards; s++)
			if (uuid_equal(c->map.indexes[i]->shards[s].worker, member->id)) c->map.indexes[i]->shards[s].present = false;
	reports_take(c, member, beat);
	for (size_t i = 0; i < c->map.index_count; i++) {
		struct map_index *index = c->map.indexes[i];
		for (uint32_t s = 0; s < index->spec.shards; s++)
			if (uuid_equal(index->shards[s].worker, member->id) && !index->shards[s].present) shard_open_ask(c, member, index, &index->shards[s]);
		errands_store_made(c, index);
	}
	for (size_t i = 0; i < c->map.dropped_count; i++) {
		dropped_ask(c, member, c->map.dropped[i]);
		dropped_forget(c, c->map.dropped[i]);
	}
}
