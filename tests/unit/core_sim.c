/* core_sim.c - see core_sim.h. */
#include "core_sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cursor.h"
#include "common/log.h"
#include "common/topk.h"
#include "proto/bundle.h"

static const struct client_address the_client = {.socket = 0, .peer = {.size = 1, .bytes = {200}}};

/* ---- messages under way ---- */

static void message_fill(struct sim_message *m, const struct net_frame *frames, size_t count)
{
	size_t size = 0, at = 0;
	for (size_t i = 0; i < count; i++) size += frames[i].size;
	m->memory = malloc(size ? size : 1);
	require(m->memory);
	m->count = count;
	for (size_t i = 0; i < count; i++) {
		if (frames[i].size) memcpy(m->memory + at, frames[i].bytes, frames[i].size);
		m->frames[i] = (struct net_frame){m->memory + at, frames[i].size};
		at += frames[i].size;
	}
}

static void message_free(struct sim_message *m)
{
	free(m->memory);
	free(m);
}

static void message_post(struct sim *s, int to_worker, int from_worker, uint8_t connection, uint64_t *last_us, const struct net_frame *frames,
	size_t count)
{
	struct sim_message *m = calloc(1, sizeof(*m)), **at = &s->messages;
	require(m);
	message_fill(m, frames, count);
	m->to_worker = to_worker;
	m->from_worker = from_worker;
	m->connection = connection;
	m->at_us = s->now_us + prng_below(&s->prng, 20000);
	if (m->at_us <= *last_us) m->at_us = *last_us + 1; /* order on a connection */
	*last_us = m->at_us;
	while (*at && (*at)->at_us <= m->at_us) at = &(*at)->next;
	m->next = *at;
	*at = m;
}

/* Everything under way to or from a process that is gone. */
static void messages_lose(struct sim *s, int worker)
{
	for (struct sim_message **at = &s->messages; *at;) {
		struct sim_message *m = *at;
		if (worker >= 0 && m->to_worker != worker && m->from_worker != worker) {
			at = &m->next;
			continue;
		}
		*at = m->next;
		message_free(m);
	}
}

/* ---- the core's outputs ---- */

static struct net_peer worker_peer(unsigned w, uint8_t connection) { return (struct net_peer){.size = 2, .bytes = {(uint8_t)w, connection}}; }

static enum status out_to_worker(void *arg, const struct net_peer *peer, const struct net_frame *frames, size_t count)
{
	struct sim *s = arg;
	struct sim_worker *w = &s->workers[peer->bytes[0]];
	if (!w->running || w->connection != peer->bytes[1]) return STATUS_UNAVAILABLE;
	if (w->swallows) return STATUS_OK;
	message_post(s, peer->bytes[0], -1, w->connection, &w->last_arrival_us, frames, count);
	return STATUS_OK;
}

static enum status out_to_client(void *arg, const struct client_address *client, const struct net_frame *frames, size_t count);

/* Taken as a whole or not at all. */
static enum status bundle_to_client(struct sim *s, const struct client_address *client, const struct net_frame *frames, size_t count)
{
	struct bundle_reader bundle;
	struct net_frame inside[FRAMES_MAX];
	size_t n;
	require(client->bundled && bundle_open(frames, count, &bundle, NULL) == STATUS_OK);
	s->bundles++;
	if (s->client_full) return STATUS_BUSY;
	while (bundle_next(&bundle, inside, &n)) require(out_to_client(s, client, inside, n) == STATUS_OK);
	return STATUS_OK;
}

static enum status out_to_client(void *arg, const struct client_address *client, const struct net_frame *frames, size_t count)
{
	struct sim *s = arg;
	if (bundle_is(frames, count)) return bundle_to_client(s, client, frames, count);
	struct client_reply reply = {0};
	struct sim_message copy = {0};
	struct report report = {.status = STATUS_OK};
	message_fill(&copy, frames, count);
	if (client_reply_decode(copy.frames, copy.count, &reply, &report) != STATUS_OK) {
		fprintf(stderr, "reply not decoded: %s\n", report_text(&report));
		abort();
	}
	if (s->client_full && (reply.error.status == STATUS_OK || reply.error.status == STATUS_INCOMPLETE)) {
		client_reply_release(&reply);
		free(copy.memory);
		return STATUS_BUSY;
	}
	if (reply.id != s->waiting_for || s->replies++) {
		/* A reply to an earlier request; two to the present one are an error that sim_ask() reports. */
		client_reply_release(&reply);
		free(copy.memory);
		return STATUS_OK;
	}
	s->reply = reply;
	s->reply_memory = copy;
	return STATUS_OK;
}

static enum status out_commit(void *arg, struct meta_commit **take)
{
	struct sim *s = arg;
	struct sim_commit *c = calloc(1, sizeof(*c)), **at = &s->commits;
	require(c);
	c->commit = *take;
	c->at_us = s->now_us + prng_below(&s->prng, 30000);
	while (*at) at = &(*at)->next;
	*at = c;
	*take = NULL;
	return STATUS_OK;
}

static struct uuid out_uuid(void *arg)
{
	struct sim *s = arg;
	struct uuid u;
	store_u64(u.bytes, prng_u64(&s->prng));
	store_u64(u.bytes + 8, ++s->uuids);
	return u;
}

/* ---- the metadata store ---- */

static struct sim_record *record_find(struct sim *s, const char *key)
{
	for (unsigned i = 0; i < SIM_RECORDS; i++)
		if (s->records[i].used && strcmp(s->records[i].key, key) == 0) return &s->records[i];
	return NULL;
}

static void commit_apply(struct sim *s, struct meta_commit *c)
{
	s->tries++;
	if (s->store_fails) {
		report_set(&c->report, STATUS_IO, "the store fails");
		return;
	}
	for (size_t i = 0; i < c->count; i++) {
		struct sim_record *r = record_find(s, c->changes[i].key);
		if ((r ? r->version : 0) == c->changes[i].expected) continue;
		report_set(&c->report, STATUS_CONFLICT, "changed");
		return;
	}
	c->version = ++s->revision;
	for (size_t i = 0; i < c->count; i++) {
		struct sim_record *r = record_find(s, c->changes[i].key);
		for (unsigned f = 0; !r; f++) {
			require(f < SIM_RECORDS);
			if (!s->records[f].used) r = &s->records[f];
		}
		free(r->value);
		memset(r, 0, sizeof(*r));
		if (c->changes[i].remove) continue;
		*r = (struct sim_record){.used = true, .version = s->revision, .value = c->changes[i].value, .size = c->changes[i].size};
		memcpy(r->key, c->changes[i].key, sizeof(r->key));
		c->changes[i].value = NULL;
	}
}

/* ---- workers ---- */

static struct sim_shard *shard_find(struct sim_worker *w, struct uuid id)
{
	for (unsigned i = 0; i < SIM_SHARDS; i++)
		if (w->shards[i].used && uuid_equal(w->shards[i].id, id)) return &w->shards[i];
	return NULL;
}

static void worker_send_reply(struct sim *s, unsigned number, const struct cluster_reply *reply)
{
	struct sim_worker *w = &s->workers[number];
	struct encoded e = {0};
	require(cluster_reply_encode(reply, &e) == STATUS_OK);
	message_post(s, -1, (int)number, w->connection, &w->last_departure_us, e.frames, e.count);
	encoded_release(&e);
}

static void worker_beat(struct sim *s, unsigned number)
{
	struct sim_worker *w = &s->workers[number];
	static struct shard_report reports[SIM_SHARDS];
	struct cluster_request r = {.kind = CLUSTER_BEAT, .beat = {.worker = w->id, .incarnation = w->incarnation, .beat = ++w->beats, .pid = 1000 + number,
							.threads = 1, .shards = reports}};
	struct encoded e = {0};
	if (w->welcomes) r.beat.cluster = s->cluster;
	for (unsigned i = 0; i < SIM_SHARDS; i++) {
		struct sim_shard *shard = &w->shards[i];
		if (!shard->used) continue;
		struct shard_report *report = &reports[r.beat.shard_count++];
		*report = (struct shard_report){.shard = shard->id, .index_id = shard->spec.id, .number = shard->number, .state = SHARD_SERVING, .epoch = 1,
			.sequence = shard->sequence};
		for (uint32_t n = 0; n < shard->count; n++) report->items += shard->items[n].live;
	}
	require(cluster_request_encode(&r, &e) == STATUS_OK);
	message_post(s, -1, (int)number, w->connection, &w->last_departure_us, e.frames, e.count);
	encoded_release(&e);
}

static struct sim_item *item_find(struct sim_shard *shard, uint64_t id)
{
	for (uint32_t i = 0; i < shard->count; i++)
		if (shard->items[i].id == id) return &shard->items[i];
	return NULL;
}

static void worker_write(struct sim_shard *shard, const struct cluster_write *write, uint8_t *results, struct cluster_reply *reply)
{
	for (uint32_t i = 0; i < write->items.n; i++) {
		uint64_t id = load_u64(write->items.ids + 8 * (size_t)i);
		struct sim_item *item = item_find(shard, id);
		if (!item) {
			require(shard->count < SIM_ITEMS);
			item = &shard->items[shard->count++];
			item->id = id;
		}
		item->live = write->kind == WRITE_UPSERT;
		if (item->live) item->value = load_f32(write->items.vectors + 4 * (size_t)i);
		results[i] = ITEM_OK;
		shard->sequence++;
	}
	reply->write.n = write->items.n;
	reply->write.results = results;
	reply->write.epoch = 1;
	reply->write.sequence = shard->sequence;
}

static int by_hit(const void *a, const void *b) { return hit_cmp(a, b); }

static void worker_search(struct sim *s, unsigned number, const struct cluster_request *r)
{
	struct sim_worker *w = &s->workers[number];
	const struct cluster_search *q = &r->search;
	static struct hit hits[SIM_SHARDS * SIM_ITEMS];
	static uint8_t ids[8 * SIM_SHARDS * SIM_ITEMS], raws[4 * SIM_SHARDS * SIM_ITEMS], answers[SIM_SHARDS];
	struct shard_outcome outcomes[SIM_SHARDS];
	uint8_t counts[4], candidates[8];
	size_t n = 0;
	require(q->nq == 1 && q->shard_count <= SIM_SHARDS);
	float query = load_f32(q->vectors);
	for (uint32_t i = 0; i < q->shard_count; i++) {
		struct sim_shard *shard = shard_find(w, q->shards[i]);
		outcomes[i] = (struct shard_outcome){.status = shard ? STATUS_OK : STATUS_NOT_FOUND};
		answers[i] = shard ? ANSWER_DONE : ANSWER_NONE;
		for (uint32_t item = 0; shard && item < shard->count; item++) {
			if (!shard->items[item].live) continue;
			float d = shard->items[item].value - query;
			hits[n++] = (struct hit){shard->items[item].id, d * d};
			outcomes[i].items++;
		}
	}
	store_u64(candidates, n);
	qsort(hits, n, sizeof(*hits), by_hit);
	if (n > q->spec.k) n = q->spec.k;
	for (size_t i = 0; i < n; i++) {
		store_u64(ids + 8 * i, hits[i].id);
		store_f32(raws + 4 * i, hits[i].raw);
	}
	store_u32(counts, (uint32_t)n);
	struct cluster_reply reply = {.id = r->id, .to = CLUSTER_SEARCH};
	reply.search.nq = 1;
	reply.search.shard_count = q->shard_count;
	reply.search.shards = outcomes;
	reply.search.answers = answers;
	reply.search.candidates = candidates;
	reply.search.counts = counts;
	reply.search.total = n;
	reply.search.ids = ids;
	reply.search.raws = raws;
	worker_send_reply(s, number, &reply);
}

static void worker_get(struct sim *s, unsigned number, const struct cluster_request *r, struct sim_shard *shard)
{
	static uint8_t vectors[4 * 65536], found[65536];
	struct cluster_reply reply = {.id = r->id, .to = CLUSTER_GET};
	for (uint32_t i = 0; i < r->get.n; i++) {
		struct sim_item *item = item_find(shard, load_u64(r->get.ids + 8 * (size_t)i));
		found[i] = item && item->live;
		store_f32(vectors + 4 * (size_t)i, found[i] ? item->value : 0);
	}
	reply.get.items = (struct items){.n = r->get.n, .dtype = DTYPE_F32, .dim = 1, .ids = r->get.ids, .vectors = vectors};
	reply.get.found = found;
	worker_send_reply(s, number, &reply);
}

static int by_item_id(const void *a, const void *b)
{
	uint64_t x = ((const struct sim_item *)a)->id, y = ((const struct sim_item *)b)->id;
	return (x > y) - (x < y);
}

static void worker_scan(struct sim *s, unsigned number, const struct cluster_request *r, struct sim_shard *shard)
{
	static struct sim_item items[SIM_ITEMS];
	static uint8_t ids[8 * (SIM_ITEMS + 1)], vectors[4 * (SIM_ITEMS + 1)];
	const struct cluster_scan *ask = &r->scan;
	struct cluster_reply reply = {.id = r->id, .to = CLUSTER_SCAN};
	uint32_t n = 0;
	memcpy(items, shard->items, shard->count * sizeof(*items));
	qsort(items, shard->count, sizeof(*items), by_item_id);
	for (uint32_t i = 0; i < shard->count && !reply.scan.more; i++) {
		if (!items[i].live || items[i].id < ask->from) continue;
		reply.scan.more = n == ask->limit;
		if (reply.scan.more) reply.scan.next = items[i].id;
		store_u64(ids + 8 * (size_t)n, items[i].id);
		store_f32(vectors + 4 * (size_t)n, items[i].value);
		n += !reply.scan.more;
	}
	if (s->scans_wrong) reply.scan.more = true, reply.scan.next = ask->from;
	reply.scan.items = (struct items){.n = s->scans_wrong ? 0 : n, .dim = ask->with_vector, .ids = ids, .vectors = vectors};
	worker_send_reply(s, number, &reply);
}

static void worker_open(struct sim_worker *w, const struct cluster_open *open, struct cluster_reply *reply)
{
	if (shard_find(w, open->shard)) return;
	if (!open->create) {
		report_set(&reply->error, STATUS_NOT_FOUND, "this worker has no such shard");
		return;
	}
	for (unsigned i = 0; i < SIM_SHARDS; i++) {
		if (w->shards[i].used) continue;
		w->shards[i] = (struct sim_shard){.used = true, .id = open->shard, .spec = open->index, .number = open->number};
		return;
	}
	report_set(&reply->error, STATUS_BUSY, "the simulated worker is full");
}

static struct uuid shard_asked(const struct cluster_request *r)
{
	switch (r->kind) {
	case CLUSTER_WRITE: return r->write.shard;
	case CLUSTER_GET: return r->get.shard;
	case CLUSTER_SCAN: return r->scan.shard;
	case CLUSTER_BUILD: return r->build.shard;
	case CLUSTER_DROP: return r->drop.shard;
	default: return (struct uuid){{0}};
	}
}

static void worker_handle(struct sim *s, unsigned number, const struct cluster_request *r)
{
	struct sim_worker *w = &s->workers[number];
	struct cluster_reply reply = {.id = r->id, .to = r->kind};
	struct sim_shard *shard = shard_find(w, shard_asked(r));
	static uint8_t results[65536];
	if (r->kind == CLUSTER_WELCOME) {
		w->welcomes += r->welcome.refusal.status == STATUS_OK;
		w->refusals += r->welcome.refusal.status != STATUS_OK;
		return;
	}
	if (w->mute_replies) return;
	if (r->kind == CLUSTER_OPEN) {
		worker_open(w, &r->open, &reply);
	} else if (w->busy) {
		report_set(&reply.error, STATUS_BUSY, "the simulated worker is busy");
	} else if (r->kind == CLUSTER_SEARCH) {
		worker_search(s, number, r);
		return;
	} else if (!shard) {
		report_set(&reply.error, STATUS_NOT_FOUND, "this worker has no such shard");
	} else if (r->kind == CLUSTER_WRITE) {
		worker_write(shard, &r->write, results, &reply);
	} else if (r->kind == CLUSTER_GET) {
		worker_get(s, number, r, shard);
		return;
	} else if (r->kind == CLUSTER_SCAN) {
		worker_scan(s, number, r, shard);
		return;
	} else if (r->kind == CLUSTER_BUILD) {
		reply.build.trees = r->build.trees;
	} else if (r->kind == CLUSTER_DROP) {
		shard->used = false;
	}
	worker_send_reply(s, number, &reply);
}

void sim_worker_start(struct sim *s, unsigned number)
{
	struct sim_worker *w = &s->workers[number];
	require(!w->running);
	w->running = true;
	w->stopped = w->mute_replies = w->swallows = w->busy = false;
	w->incarnation = prng_u64(&s->prng) | 1;
	w->connection++;
	w->beats = 0;
	w->welcomes = 0;
	w->next_beat_us = s->now_us;
	w->last_arrival_us = w->last_departure_us = 0;
}

void sim_worker_kill(struct sim *s, unsigned number)
{
	s->workers[number].running = false;
	messages_lose(s, (int)number);
}

/* ---- the coordinator's process ---- */

static void coordinator_start(struct sim *s)
{
	struct core_outputs outputs = {s, out_to_worker, out_to_client, out_commit, out_uuid};
	require(core_new(s->cluster, &outputs, s->now_us, &s->core) == STATUS_OK);
	for (unsigned i = 0; i < SIM_RECORDS; i++) {
		if (!s->records[i].used) continue;
		struct meta_record record = {.version = s->records[i].version, .value = s->records[i].value, .size = s->records[i].size};
		memcpy(record.key, s->records[i].key, sizeof(record.key));
		require(core_load(s->core, &record, NULL) == STATUS_OK);
	}
}

static void commits_finish(struct sim *s, bool deliver)
{
	while (s->commits && (!deliver || (!s->store_silent && s->commits->at_us <= s->now_us))) {
		struct sim_commit *c = s->commits;
		s->commits = c->next;
		/* A coordinator that dies with a commit under way may or may not have committed it. */
		if (deliver || prng_below(&s->prng, 2)) commit_apply(s, c->commit);
		if (deliver)
			core_on_meta(s->core, &c->commit, s->now_us);
		else
			meta_commit_free(&c->commit);
		free(c);
	}
}

void sim_coordinator_restart(struct sim *s)
{
	core_free(&s->core);
	commits_finish(s, false);
	messages_lose(s, -1);
	for (unsigned w = 0; w < SIM_WORKERS; w++) {
		s->workers[w].connection++; /* they connect anew */
		s->workers[w].last_arrival_us = s->workers[w].last_departure_us = 0;
	}
	coordinator_start(s);
}

void sim_init(struct sim *s, uint64_t seed, unsigned workers)
{
	memset(s, 0, sizeof(*s));
	log_set_level(LOG_ERROR);
	prng_seed(&s->prng, seed);
	s->now_us = 1000000;
	s->cluster = (struct uuid){{0xc1}};
	for (unsigned w = 0; w < SIM_WORKERS; w++) s->workers[w].id = (struct uuid){{(uint8_t)(0x10 + w)}};
	coordinator_start(s);
	for (unsigned w = 0; w < workers; w++) sim_worker_start(s, w);
	sim_run(s, 600000);
}

void sim_reply_forget(struct sim *s)
{
	if (s->replies) client_reply_release(&s->reply);
	free(s->reply_memory.memory);
	memset(&s->reply_memory, 0, sizeof(s->reply_memory));
	memset(&s->reply, 0, sizeof(s->reply));
	s->replies = 0;
}

void sim_release(struct sim *s)
{
	core_free(&s->core);
	sim_reply_forget(s);
	messages_lose(s, -1);
	commits_finish(s, false);
	for (unsigned i = 0; i < SIM_RECORDS; i++) free(s->records[i].value);
}

/* ---- time ---- */

static void request_deliver(struct sim *s, int to_worker, const struct net_frame *frames, size_t count)
{
	struct cluster_request r = {0};
	struct report report = {.status = STATUS_OK};
	if (cluster_request_decode(frames, count, &r, &report) != STATUS_OK) {
		fprintf(stderr, "request not decoded: %s\n", report_text(&report));
		abort();
	}
	worker_handle(s, (unsigned)to_worker, &r);
	cluster_request_release(&r);
}

static void message_deliver(struct sim *s, struct sim_message *m)
{
	if (m->to_worker < 0) {
		struct net_peer peer = worker_peer((unsigned)m->from_worker, m->connection);
		core_on_worker(s->core, &peer, m->frames, m->count, s->now_us);
		return;
	}
	struct bundle_reader bundle;
	struct report report = {.status = STATUS_OK};
	struct net_frame frames[FRAMES_MAX];
	size_t count;
	if (!bundle_is(m->frames, m->count)) {
		request_deliver(s, m->to_worker, m->frames, m->count);
		return;
	}
	require(bundle_open(m->frames, m->count, &bundle, &report) == STATUS_OK);
	while (bundle_next(&bundle, frames, &count)) request_deliver(s, m->to_worker, frames, count);
}

static void step(struct sim *s)
{
	s->now_us += SIM_STEP_US;
	for (unsigned w = 0; w < SIM_WORKERS; w++) {
		struct sim_worker *worker = &s->workers[w];
		if (!worker->running || worker->stopped || s->now_us < worker->next_beat_us) continue;
		worker->next_beat_us = s->now_us + 250000;
		worker_beat(s, w);
	}
	for (struct sim_message **at = &s->messages; *at && (*at)->at_us <= s->now_us;) {
		struct sim_message *m = *at;
		if (m->to_worker >= 0 && s->workers[m->to_worker].stopped) {
			at = &m->next; /* waits in its socket */
			continue;
		}
		*at = m->next;
		message_deliver(s, m);
		message_free(m);
		at = &s->messages; /* delivering may have posted more */
	}
	commits_finish(s, true);
	core_tick(s->core, s->now_us);
	/* The check walks every slot: now and then is enough, since what it finds does not go away. */
	if (s->now_us / SIM_STEP_US % 32 == 0) require(core_check(s->core));
	require(core_next_us(s->core) > s->now_us);
}

void sim_run(struct sim *s, uint64_t us)
{
	for (uint64_t end = s->now_us + us; s->now_us < end;) step(s);
}

bool sim_ask(struct sim *s, struct client_request *r)
{
	struct encoded e = {0};
	struct report report = {.status = STATUS_OK};
	sim_reply_forget(s);
	r->id = s->waiting_for = ++s->next_request;
	r->client = 77;
	if (r->timeout_ms == 0) r->timeout_ms = 10000;
	uint64_t deadline = s->now_us + (uint64_t)r->timeout_ms * 1000;
	if (client_request_encode(r, &e, &report) != STATUS_OK) {
		fprintf(stderr, "request not encoded: %s\n", report_text(&report));
		abort();
	}
	struct core *asked = s->core;
	core_on_client(s->core, &the_client, e.frames, e.count, s->now_us);
	encoded_release(&e);
	while (s->replies == 0 && s->now_us <= deadline + 2 * SIM_STEP_US) step(s);
	/* By its deadline every request is answered, once. */
	require(s->replies == 1 || asked != s->core);
	return s->replies == 1;
}

enum status sim_create(struct sim *s, const char *index, uint32_t shards)
{
	struct client_request r = {.op = CLIENT_CREATE};
	r.create.spec = (struct index_spec){.metric = METRIC_EUCLIDEAN, .dim = 1, .shards = shards, .replicas = 1, .trees = 10, .seed = 1};
	snprintf(r.index, sizeof(r.index), "%s", index);
	snprintf(r.create.spec.name, sizeof(r.create.spec.name), "%s", index);
	return sim_ask(s, &r) ? s->reply.error.status : STATUS_UNKNOWN;
}

enum status sim_drop(struct sim *s, const char *index)
{
	struct client_request r = {.op = CLIENT_DROP};
	snprintf(r.index, sizeof(r.index), "%s", index);
	return sim_ask(s, &r) ? s->reply.error.status : STATUS_UNKNOWN;
}

enum status sim_write(struct sim *s, const char *index, uint32_t n, const uint64_t *ids, const float *values, uint8_t *results, uint32_t timeout_ms)
{
	struct client_request r = {.op = values ? CLIENT_UPSERT : CLIENT_DELETE, .timeout_ms = timeout_ms};
	snprintf(r.index, sizeof(r.index), "%s", index);
	if (values)
		r.upsert.items = (struct items){.n = n, .dtype = DTYPE_F32, .dim = 1, .ids = (const uint8_t *)ids, .vectors = (const uint8_t *)values};
	else {
		r.ids.n = n;
		r.ids.ids = (const uint8_t *)ids;
	}
	if (!sim_ask(s, &r)) return STATUS_UNKNOWN;
	if (s->reply.write.n == n) memcpy(results, s->reply.write.results, n);
	return s->reply.error.status;
}

enum status sim_search(struct sim *s, const char *index, float query, uint32_t k, float min_coverage, uint32_t timeout_ms)
{
	struct client_request r = {.op = CLIENT_SEARCH, .timeout_ms = timeout_ms};
	uint8_t vector[4];
	store_f32(vector, query);
	snprintf(r.index, sizeof(r.index), "%s", index);
	r.search.spec = (struct search_spec){.k = k, .mode = SEARCH_EXACT};
	r.search.nq = 1;
	r.search.dtype = DTYPE_F32;
	r.search.dim = 1;
	r.search.vectors = vector;
	r.search.min_coverage = min_coverage;
	return sim_ask(s, &r) ? s->reply.error.status : STATUS_UNKNOWN;
}
