/* core.c - the machine's frame: events come in, are decoded, and go to whoever waits for them. See core.h. */
#include "coordinator/core_state.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cursor.h"
#include "common/log.h"
#include "coordinator/answers.h"
#include "coordinator/outbox.h"

/* ---- life ---- */

enum status core_new(struct uuid cluster, const struct core_outputs *outputs, uint64_t now_us, struct core **ret)
{
	struct core *c = calloc(1, sizeof(*c));
	if (!c) return STATUS_NO_MEMORY;
	c->out = *outputs;
	c->cluster = cluster;
	c->start_us = c->now_us = c->tick_us = now_us;
	shard_map_init(&c->map);
	membership_init(&c->members);
	core_metrics_init(&c->metrics);
	buf_init(&c->scratch, 0);
	if (pending_table_init(&c->pending) != STATUS_OK) {
		core_free(&c);
		return STATUS_NO_MEMORY;
	}
	/* A worker may still answer what a coordinator before us asked: message ids must not repeat after a restart. */
	c->pending.rounds = load_u64(outputs->uuid(outputs->arg).bytes) >> 29;
	*ret = c;
	return STATUS_OK;
}

void core_free(struct core **core)
{
	struct core *c = *core;
	if (!c) return;
	while (c->changes) {
		struct change *change = c->changes;
		c->changes = change->next;
		change_free(&change);
	}
	pending_table_release(&c->pending);
	outboxes_free(c);
	answers_free(c);
	membership_release(&c->members);
	shard_map_release(&c->map);
	buf_release(&c->scratch);
	free(c);
	*core = NULL;
}

enum status core_load(struct core *c, const struct meta_record *record, struct report *report)
{
	enum status status = shard_map_load(&c->map, record->key, record->version, record->value, record->size, report);
	for (size_t i = 0; i < c->map.index_count && status == STATUS_OK; i++)
		for (uint32_t s = 0; s < c->map.indexes[i]->spec.shards && status == STATUS_OK; s++)
			status = membership_expect(&c->members, c->map.indexes[i]->shards[s].worker);
	return status;
}

const struct core_metrics *core_metrics(const struct core *c) { return &c->metrics; }
bool core_check(const struct core *c) { return shard_map_check(&c->map) && pending_check(&c->pending); }

/* ---- answers ---- */

/* In place of an answer that may not wait: it is small, and so it may. What was asked for may have been done. */
static void answer_refused(struct core *c, const struct client_address *client, const struct answer *a)
{
	bool reads = a->op != CLIENT_CREATE && a->op != CLIENT_DROP && a->op != CLIENT_UPSERT && a->op != CLIENT_DELETE && a->op != CLIENT_BUILD;
	struct client_address alone = *client;
	struct report error;
	alone.bundled = false;
	report_set(&error, reads ? STATUS_BUSY : STATUS_UNKNOWN,
		"the answer is dropped: %llu MiB of answers or more messages than may be queued wait for this connection: read them before asking for more",
		(unsigned long long)CLIENT_WAITING_MAX >> 20);
	reply_error(c, &alone, a->request, a->op, &error);
}

void answer_hand_over(struct core *c, const struct client_address *client, const struct answer *a, const struct net_frame *frames, size_t count)
{
	/* Counted once: as this answer, or as the one that took its place. */
	if (c->out.to_client(c->out.arg, client, frames, count) == STATUS_BUSY && !a->bare)
		answer_refused(c, client, a);
	else
		core_metrics_answered(&c->metrics, a->row, a->status);
}

/* `row`: how it is counted. */
static void reply_hand_over(struct core *c, const struct client_address *client, const struct client_reply *reply, uint32_t row)
{
	struct encoded e = {0};
	bool bare_error = reply->error.status != STATUS_OK && reply->error.status != STATUS_INCOMPLETE;
	enum status status = client_reply_encode(reply, &e);
	if (status == STATUS_OK) {
		struct answer answer = {reply->id, reply->op, row, reply->error.status, bare_error};
		if (!answers_hold(c, client, &answer, &e)) answer_hand_over(c, client, &answer, e.frames, e.count);
	} else if (!bare_error) {
		struct report error = {.status = status};
		if (status == STATUS_LIMIT)
			report_set(&error, status, "the answer passes %d bytes (CLIENT_FRAME_MAX): ask for less at once", CLIENT_FRAME_MAX);
		reply_error(c, client, reply->id, reply->op, &error);
	} else {
		log_warn("an error reply could not be encoded: %s", status_name(status));
	}
	encoded_release(&e);
}

void reply_send(struct core *c, const struct client_address *client, const struct client_reply *reply)
{
	reply_hand_over(c, client, reply, reply->op);
}

/* What arrived is no request, so it has no operation of its own. */
static void request_refuse(struct core *c, const struct client_address *client, uint64_t request, const struct report *error)
{
	struct client_reply reply = {.id = request, .op = CLIENT_OP_COUNT, .error = *error};
	reply_hand_over(c, client, &reply, REQUEST_INVALID);
}

void reply_error(struct core *c, const struct client_address *client, uint64_t request, enum client_op op, const struct report *error)
{
	struct client_reply reply = {.id = request, .op = op, .error = *error};
	require(error->status != STATUS_OK);
	reply_send(c, client, &reply);
}

void pending_reply(struct core *c, struct pending *p, struct client_reply *reply)
{
	reply->id = p->request;
	reply->op = p->op;
	reply_send(c, &p->client, reply);
	pending_end(&c->pending, p);
}

void pending_fail(struct core *c, struct pending *p, const struct report *error)
{
	reply_error(c, &p->client, p->request, p->op, error);
	pending_end(&c->pending, p);
}

/* ---- requests ---- */

uint64_t request_deadline(const struct core *c, const struct client_request *r) { return c->now_us + (uint64_t)r->timeout_ms * 1000; }

struct pending *request_begin(struct core *c, const struct client_address *client, const struct client_request *r, const struct pending_ops *ops,
	void *state)
{
	struct pending *p = NULL;
	struct report report = {.status = STATUS_OK};
	if (pending_begin(&c->pending, client, request_deadline(c, r), ops, &state, &p, &report) != STATUS_OK) {
		ops->release(state);
		reply_error(c, client, r->id, r->op, &report);
		return NULL;
	}
	p->request = r->id;
	p->op = r->op;
	return p;
}

struct map_index *request_index(struct core *c, const struct client_address *client, const struct client_request *r)
{
	struct map_index *index = shard_map_find(&c->map, r->index);
	struct report report;
	if (!index) {
		report_set(&report, STATUS_NOT_FOUND, "there is no index '%s': `grove list` shows the indexes", r->index);
		reply_error(c, client, r->id, r->op, &report);
		return NULL;
	}
	if (client_check_against(r, &index->spec, &report) != STATUS_OK) {
		reply_error(c, client, r->id, r->op, &report);
		return NULL;
	}
	return index;
}

bool log_due(struct core *c)
{
	if (c->logged_us && c->now_us - c->logged_us < LOG_PAUSE_US) return false;
	c->logged_us = c->now_us;
	return true;
}

/* ZeroMQ counts messages, not bytes, and a stopped worker takes none: so bytes are counted here. */
static bool worker_has_room(const struct core *c, const struct member *member, uint64_t bytes)
{
	uint64_t under_way = member->sent_bytes - member->taken_bytes + outbox_bytes(member);
	return under_way == 0 || under_way + bytes <= WORKER_BYTES_MAX || c->now_us - member->sent_us >= WORKER_PROBE_US;
}

void part_send(struct core *c, struct pending *p, uint32_t part, struct member *member, struct cluster_request *r)
{
	struct encoded e = {0};
	uint64_t bytes = 0;
	r->id = pending_message_id(p, part);
	r->kind = p->kind;
	r->remaining_us = p->deadline_us > c->now_us ? p->deadline_us - c->now_us : 0;
	enum status status = cluster_request_encode(r, &e);
	for (size_t i = 0; i < e.count; i++) bytes += e.frames[i].size;
	if (status == STATUS_OK && !worker_has_room(c, member, bytes)) status = STATUS_BUSY;
	if (status == STATUS_OK && p->kind == CLUSTER_SEARCH && outbox_hold(c, member, r->id, &e, bytes)) {
		fanout_sent(&p->fanout, part, member->id, member->incarnation);
		encoded_release(&e);
		return;
	}
	if (status == STATUS_OK) status = c->out.to_worker(c->out.arg, &member->peer, e.frames, e.count);
	if (status == STATUS_OK) {
		fanout_sent(&p->fanout, part, member->id, member->incarnation);
		member->sent_bytes += bytes;
		member->sent_us = c->now_us;
		p->fanout.parts[part].sent_bytes = member->sent_bytes;
	} else {
		fanout_unsent(&p->fanout, part, status);
	}
	encoded_release(&e);
}

void pending_settle(struct core *c, struct pending *p)
{
	if (fanout_done(&p->fanout)) p->ops->finish(c, p, false);
}

typedef void op_function(struct core *c, const struct client_address *client, const struct client_request *r);
static op_function *const op_table[CLIENT_OP_COUNT] = {
	[CLIENT_HELLO] = op_hello, [CLIENT_CREATE] = op_create, [CLIENT_DROP] = op_drop, [CLIENT_LIST] = op_list,
	[CLIENT_DESCRIBE] = op_describe, [CLIENT_UPSERT] = op_write, [CLIENT_DELETE] = op_write, [CLIENT_GET] = op_get,
	[CLIENT_BUILD] = op_build, [CLIENT_SEARCH] = op_search, [CLIENT_STATUS] = op_status, [CLIENT_SCAN] = op_scan,
};

void core_on_client(struct core *c, const struct client_address *client, const struct net_frame *frames, size_t count, uint64_t now_us)
{
	struct client_request r;
	struct report report = {.status = STATUS_OK};
	uint64_t id = 0;
	c->now_us = now_us;
	uint64_t bytes = 0;
	for (size_t i = 0; i < count; i++) bytes += frames[i].size;
	histogram_observe(&c->metrics.request_bytes, bytes);
	buf_reset(&c->scratch);
	if (client_request_decode(frames, count, &c->scratch, &r, &id, &report) != STATUS_OK) {
		request_refuse(c, client, id, &report);
		return;
	}
	require(r.op < CLIENT_OP_COUNT);
	op_table[r.op](c, client, &r);
}

void core_on_client_oversized(struct core *c, const struct client_address *client, uint64_t now_us)
{
	struct report report;
	c->now_us = now_us;
	report_set(&report, STATUS_LIMIT, "a message may have at most %d frames (FRAMES_MAX)", FRAMES_MAX);
	request_refuse(c, client, 0, &report);
}

/* ---- workers ---- */

/* What was asked of this worker's other incarnations will not be answered any more. */
static void worker_gone(struct core *c, struct uuid worker, uint64_t incarnation_now)
{
	for (uint32_t i = 0; i < PENDING_MAX; i++) {
		struct pending *p = &c->pending.slots[i];
		if (!p->used || p->fanout.waiting == 0) continue;
		if (fanout_worker_gone(&p->fanout, worker, incarnation_now) && fanout_done(&p->fanout)) p->ops->finish(c, p, false);
	}
}

static void beat_received(struct core *c, const struct net_peer *peer, const struct cluster_beat *beat)
{
	struct member *member;
	struct report refusal = {.status = STATUS_OK};
	char id[UUID_TEXT_SIZE];
	uuid_text(beat->worker, id);
	enum beat_verdict verdict = membership_beat(&c->members, beat, peer, c->cluster, c->now_us, &member, &refusal);
	switch (verdict) {
	case BEAT_REFUSED:
		if (log_due(c)) log_warn("worker %s (pid %lld) refused: %s", id, (long long)beat->pid, report_text(&refusal));
		worker_welcome(c, member, peer, &refusal);
		return;
	case BEAT_WAITING:
		/* Is the first process's connection still there? A repeated welcome means nothing to it. */
		worker_welcome(c, member, &member->peer, NULL);
		return;
	case BEAT_RESTARTED:
		worker_gone(c, member->id, member->incarnation);
		break;
	case BEAT_JOINED:
	case BEAT_RETURNED:
	case BEAT_USUAL: break;
	}
	if (verdict != BEAT_USUAL)
		log_info("worker %s (pid %lld, %u shards) %s", id, (long long)beat->pid, beat->shard_count,
			verdict == BEAT_JOINED ? "joined" : verdict == BEAT_RESTARTED ? "restarted" : "is back");
	if (verdict != BEAT_USUAL || uuid_is_zero(beat->cluster)) worker_welcome(c, member, peer, NULL);
	errands_on_beat(c, member, beat);
	if (verdict != BEAT_USUAL) errands_name_strangers(c, beat);
}

static void reply_received(struct core *c, const struct net_peer *peer, const struct net_frame *frames, size_t count)
{
	struct cluster_reply reply = {0};
	struct report report = {.status = STATUS_OK};
	uint64_t id = 0;
	uint32_t part;
	struct member *member = membership_by_peer(&c->members, peer);
	enum status status = cluster_reply_decode(frames, count, &reply, &id, &report);
	struct pending *p = pending_of_message(&c->pending, status == STATUS_OK ? reply.id : id, &part);
	if (status != STATUS_OK) {
		counter_add(&c->metrics.bad_worker_messages, 1);
		if (log_due(c)) log_warn("a malformed reply came from a worker: %s", report_text(&report));
		reply = (struct cluster_reply){.id = id, .to = p ? p->kind : CLUSTER_KIND_COUNT};
		report_set(&reply.error, STATUS_IO, "a worker's answer was malformed: %s", report_text(&report));
	}
	if (!p || !member || reply.to != p->kind || !fanout_answered(&p->fanout, part, member->id)) {
		counter_add(&c->metrics.late_replies, 1);
	} else {
		uint64_t round = p->round, sent_bytes = p->fanout.parts[part].sent_bytes;
		/* Messages are taken in the order in which they were sent. */
		if (sent_bytes > member->taken_bytes) member->taken_bytes = sent_bytes;
		p->ops->reply(c, p, part, &reply);
		if (p->used && p->round == round && fanout_done(&p->fanout)) p->ops->finish(c, p, false);
	}
	if (status == STATUS_OK) cluster_reply_release(&reply);
}

void core_on_worker(struct core *c, const struct net_peer *peer, const struct net_frame *frames, size_t count, uint64_t now_us)
{
	struct cluster_request request = {0};
	struct report report = {.status = STATUS_OK};
	enum cluster_kind kind = cluster_peek(frames, count);
	c->now_us = now_us;
	if (kind == CLUSTER_REPLY) {
		reply_received(c, peer, frames, count);
		return;
	}
	if (kind != CLUSTER_BEAT || cluster_request_decode(frames, count, &request, &report) != STATUS_OK) {
		counter_add(&c->metrics.bad_worker_messages, 1);
		if (log_due(c)) log_warn("a message on the workers' socket was not understood: %s", report_text(&report));
		return;
	}
	beat_received(c, peer, &request.beat);
	cluster_request_release(&request);
}

/* ---- commits ---- */

void change_free(struct change **change)
{
	if (!*change) return;
	map_index_free(&(*change)->index);
	map_dropped_free(&(*change)->dropped);
	free(*change);
	*change = NULL;
}

enum status commit_new(struct meta_commit **ret)
{
	struct meta_commit *commit = calloc(1, sizeof(*commit));
	if (!commit) return STATUS_NO_MEMORY;
	*ret = commit;
	return STATUS_OK;
}

static struct meta_change *commit_next(struct meta_commit *commit, const char *key, uint64_t expected)
{
	require(commit->count < META_CHANGES_MAX && strlen(key) <= META_KEY_MAX);
	struct meta_change *change = &commit->changes[commit->count++];
	memcpy(change->key, key, strlen(key) + 1);
	change->expected = expected;
	return change;
}

void commit_put(struct meta_commit *commit, const char *key, uint64_t expected, struct buf *take_value)
{
	struct meta_change *change = commit_next(commit, key, expected);
	buf_detach(take_value, &change->value, &change->size);
}

void commit_remove(struct meta_commit *commit, const char *key, uint64_t expected) { commit_next(commit, key, expected)->remove = true; }

bool change_begin(struct core *c, struct change **take_change, struct meta_commit **take_commit, struct report *report)
{
	struct change *change = *take_change;
	struct meta_commit *commit = *take_commit;
	*take_change = NULL;
	*take_commit = NULL;
	commit->context = change;
	change->next = c->changes;
	c->changes = change;
	enum status status = c->out.commit(c->out.arg, &commit);
	if (status == STATUS_OK) return true;
	c->changes = change->next;
	change_free(&change);
	meta_commit_free(&commit);
	report_set(report, status, "the metadata store could not be asked: %s", status_text(status));
	return false;
}

struct pending *change_pending(struct core *c, const struct change *change)
{
	struct pending *p = change->round ? &c->pending.slots[change->slot] : NULL;
	return p && p->used && p->round == change->round ? p : NULL;
}

void core_on_meta(struct core *c, struct meta_commit **take, uint64_t now_us)
{
	struct change *change = (*take)->context;
	c->now_us = now_us;
	for (struct change **at = &c->changes; *at; at = &(*at)->next) {
		if (*at != change) continue;
		*at = change->next;
		break;
	}
	change->done(c, change, *take);
	change_free(&change);
	meta_commit_free(take);
}

/* ---- time ---- */

static void member_gone(void *arg, struct member *member)
{
	struct core *c = arg;
	char id[UUID_TEXT_SIZE];
	uuid_text(member->id, id);
	log_warn("worker %s (pid %lld) is silent: its %u shards are missing", id, (long long)member->pid, member->shards);
	worker_gone(c, member->id, 0);
}

static void levels_set(struct core *c)
{
	int64_t members[MEMBER_STATES] = {0};
	for (size_t i = 0; i < c->members.count; i++) members[c->members.members[i]->state]++;
	for (int i = 0; i < MEMBER_STATES; i++) gauge_set(&c->metrics.members[i], members[i]);
	gauge_set(&c->metrics.under_way, PENDING_CLIENT_MAX - (int64_t)c->pending.free_clients);
}

void core_tick(struct core *c, uint64_t now_us)
{
	uint32_t slot;
	c->now_us = now_us;
	outboxes_flush(c);
	if (now_us >= c->tick_us) {
		c->tick_us = now_us + CORE_TICK_US;
		membership_tick(&c->members, now_us, member_gone, c);
		levels_set(c);
	}
	while ((slot = timers_expired(&c->pending.timers, now_us)) != TIMER_NONE) {
		struct pending *p = &c->pending.slots[slot];
		fanout_expire(&p->fanout);
		p->ops->finish(c, p, true);
		require(!p->used || c->pending.timers.positions[slot] != TIMER_NONE);
	}
	answers_flush(c);
}

void core_stop(struct core *c, uint64_t now_us)
{
	c->now_us = now_us;
	for (uint32_t i = 0; i < PENDING_MAX; i++) {
		struct pending *p = &c->pending.slots[i];
		/* A search by id may go from its first round to its second: what that one sent is given up as well. */
		for (int round = 0; p->used && round < 2; round++) {
			p->deadline_us = now_us;
			fanout_expire(&p->fanout);
			p->ops->finish(c, p, true);
		}
	}
	answers_flush(c);
}

uint64_t core_next_us(const struct core *c)
{
	uint64_t next = c->outboxes || answers_wait(c) ? c->now_us : timers_next(&c->pending.timers);
	return next < c->tick_us ? next : c->tick_us;
}
