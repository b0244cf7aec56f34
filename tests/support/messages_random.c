/* messages_random.c - small messages with every field set to something; sizes that matter (limits) have tests of their own. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cursor.h"
#include "common/topk.h"
#include "tests/support/messages.h"

void maker_init(struct maker *m, uint64_t seed)
{
	memset(m, 0, sizeof(*m));
	prng_seed(&m->prng, seed);
}

void maker_reset(struct maker *m)
{
	while (m->count) free(m->blocks[--m->count]);
}

void *maker_bytes(struct maker *m, size_t size)
{
	void *block = calloc(size ? size : 1, 1);

	require(block && m->count < MAKER_BLOCKS_MAX);
	m->blocks[m->count++] = block;
	return block;
}

static uint32_t below(struct maker *m, uint32_t n) { return prng_below(&m->prng, n); }
static uint32_t from(struct maker *m, uint32_t low, uint32_t high) { return low + below(m, high - low + 1); }
static bool coin(struct maker *m) { return below(m, 2); }
/* Small ones, large ones, and the edges of msgpack's and protobuf's encodings. */
static uint64_t any_u64(struct maker *m) { return prng_u64(&m->prng) >> below(m, 64); }
static uint32_t any_u32(struct maker *m) { return (uint32_t)any_u64(m); }

static uint8_t *noise(struct maker *m, size_t size)
{
	uint8_t *bytes = maker_bytes(m, size);
	for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)prng_u64(&m->prng);
	return bytes;
}

static void uuid(struct maker *m, struct uuid *u)
{
	for (size_t i = 0; i < sizeof(u->bytes); i++) u->bytes[i] = (uint8_t)prng_u64(&m->prng);
}

static void name(struct maker *m, char *out)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
	uint32_t n = from(m, 1, NAME_MAX_BYTES);
	for (uint32_t i = 0; i < n; i++) out[i] = letters[below(m, i ? 38 : 36)];
	out[n] = 0;
}

static void text(struct maker *m, char *out, size_t size)
{
	static const char *const words[] = {"shard ", "is ", "späte ", "index ", "読 ", "tcp://", "\\\" ", "🙂 "};
	out[0] = 0;
	for (uint32_t i = from(m, 1, 6); i--;) {
		const char *word = words[below(m, 8)];
		if (strlen(out) + strlen(word) < size) strcat(out, word);
	}
}

static float number(struct maker *m) { return (float)(prng_unit(&m->prng) * 200 - 100); }

static uint8_t *rows(struct maker *m, enum dtype dtype, uint32_t n, uint32_t dim)
{
	uint8_t *bytes = noise(m, n * dtype_row_bytes(dtype, dim));
	for (size_t i = 0; dtype == DTYPE_F32 && i < (size_t)n * dim; i++) store_f32(bytes + i * 4, number(m));
	return bytes;
}

void random_msgpack(struct maker *m, bool map, int depth, struct buf *out)
{
	uint8_t head[9];
	uint32_t kind = map ? 9 : below(m, depth > 0 ? 10 : 8), size = 0;
	size_t n = 1;

	switch (kind) {
	case 0: head[0] = coin(m) ? 0xc2 : 0xc3; break;
	case 1: head[0] = 0xc0; break;
	case 2: head[0] = (uint8_t)below(m, 128); break;
	case 3: head[0] = (uint8_t)(0xe0 | below(m, 32)); break;
	case 4: head[0] = coin(m) ? 0xcf : 0xd3; n = 9; break;
	case 5: head[0] = 0xca; n = 5; break;
	case 6: size = below(m, 8); head[0] = (uint8_t)(0xa0 | size); break;
	case 7: size = below(m, 8); head[0] = 0xc4; head[1] = (uint8_t)size; n = 2; break;
	case 8: head[0] = (uint8_t)(0x90 | below(m, 4)); break;
	default: head[0] = (uint8_t)(0x80 | below(m, 4)); break;
	}
	for (size_t i = 1; n > 2 && i < n; i++) head[i] = (uint8_t)prng_u64(&m->prng);
	require(buf_append(out, head, n) == STATUS_OK);
	for (uint32_t i = 0; i < size; i++) {
		uint8_t c = (uint8_t)(kind == 6 ? from(m, 'a', 'z') : below(m, 256));
		require(buf_append(out, &c, 1) == STATUS_OK);
	}
	for (uint32_t i = 0; kind == 8 && i < (head[0] & 0x0f); i++) random_msgpack(m, false, depth - 1, out);
	for (uint32_t i = 0; kind == 9 && i < (head[0] & 0x0f); i++) {
		random_msgpack(m, false, 0, out);
		random_msgpack(m, false, depth - 1, out);
	}
}

/* n blobs, some empty: msgpack maps, or keys. */
static struct blobs blobs(struct maker *m, uint32_t n, bool maps)
{
	uint8_t *lengths = maker_bytes(m, n * 4);
	struct buf all;

	buf_init(&all, 0);
	for (uint32_t i = 0; i < n; i++) {
		size_t before = all.size;
		if (maps && coin(m)) {
			random_msgpack(m, true, 3, &all);
		} else if (!maps && coin(m)) {
			uint32_t size = from(m, 1, 12);
			require(buf_append(&all, noise(m, size), size) == STATUS_OK);
		}
		store_u32(lengths + i * 4, (uint32_t)(all.size - before));
	}
	struct blobs b = {.count = n, .lengths = lengths, .bytes = maker_bytes(m, all.size), .bytes_size = all.size};
	if (all.size) memcpy((uint8_t *)(uintptr_t)b.bytes, all.bytes, all.size);
	buf_release(&all);
	return b;
}

/* Ids that agree with the keys. */
static const uint8_t *ids(struct maker *m, uint32_t n, const struct blobs *keys)
{
	uint8_t *out = maker_bytes(m, (size_t)n * 8);
	struct blob_cursor c = {0};

	for (uint32_t i = 0; i < n; i++) {
		struct blob key = blobs_next(keys, &c);
		store_u64(out + (size_t)i * 8, key.size ? item_id_of_key(key.bytes, key.size) : any_u64(m));
	}
	return out;
}

static void items(struct maker *m, struct items *i)
{
	i->n = from(m, 1, 9);
	i->dtype = (enum dtype)below(m, 3);
	i->dim = from(m, 1, 40);
	if (coin(m)) i->payloads = blobs(m, i->n, true);
	if (coin(m)) i->keys = blobs(m, i->n, false);
	i->ids = ids(m, i->n, &i->keys);
	i->vectors = rows(m, i->dtype, i->n, i->dim);
}

static void spec(struct maker *m, struct index_spec *s)
{
	name(m, s->name);
	s->id = any_u64(m);
	s->metric = (enum metric)below(m, METRIC_COUNT);
	s->dim = from(m, 1, DIM_MAX);
	s->shards = from(m, 1, SHARDS_MAX);
	s->replicas = from(m, 1, REPLICAS_MAX);
	s->trees = from(m, 0, TREES_MAX);
	s->seed = any_u64(m);
}

static struct search_spec effort(struct maker *m, uint32_t k)
{
	struct search_spec s = {.k = k, .mode = (enum search_mode)below(m, 3), .search_k = (uint32_t)(any_u32(m) & SEARCH_K_MAX), .with_payload = coin(m)};

	if (s.mode == SEARCH_GRAPH && below(m, 4)) {
		s.search_k = 0;
		s.recall = (float)from(m, 1, 9999) / 10000;
	}
	return s;
}

void random_client_request(struct maker *m, enum client_op op, struct client_request *ret)
{
	struct client_request r = {.id = any_u64(m), .client = any_u64(m), .op = op, .timeout_ms = from(m, DEADLINE_MIN_MS, DEADLINE_MAX_MS)};

	if (op != CLIENT_HELLO && op != CLIENT_LIST && op != CLIENT_STATUS) name(m, r.index);
	switch (op) {
	case CLIENT_HELLO:
		r.hello.version_min = from(m, 1, 1000);
		r.hello.version_max = r.hello.version_min + below(m, 1000);
		break;
	case CLIENT_CREATE:
		spec(m, &r.create.spec);
		r.create.spec.id = 0;
		memcpy(r.create.spec.name, r.index, sizeof(r.index));
		break;
	case CLIENT_UPSERT: items(m, &r.upsert.items); break;
	case CLIENT_DELETE: case CLIENT_GET:
		r.ids.n = from(m, 1, 20);
		if (coin(m)) r.ids.keys = blobs(m, r.ids.n, false);
		r.ids.ids = ids(m, r.ids.n, &r.ids.keys);
		break;
	case CLIENT_BUILD: r.build.trees = from(m, 0, TREES_MAX); break;
	case CLIENT_SEARCH:
		r.search.nq = from(m, 1, 6);
		r.search.spec = effort(m, from(m, 1, QUERY_HITS_MAX / r.search.nq));
		r.search.min_coverage = coin(m) ? 1 : (float)prng_unit(&m->prng);
		r.search.by_id = below(m, 3) == 0;
		if (!r.search.by_id) {
			r.search.dtype = (enum dtype)below(m, 3);
			r.search.dim = from(m, 1, 40);
		}
		r.search.vectors = r.search.by_id ? noise(m, r.search.nq * 8) : rows(m, r.search.dtype, r.search.nq, r.search.dim);
		break;
	case CLIENT_SCAN:
		if (coin(m)) r.scan.from = (struct scan_cursor){any_u64(m), below(m, SHARDS_MAX), any_u64(m)};
		r.scan.limit = from(m, 1, BATCH_ITEMS_MAX);
		r.scan.with_vector = coin(m);
		r.scan.with_payload = coin(m);
		break;
	case CLIENT_DROP: case CLIENT_LIST: case CLIENT_DESCRIBE: case CLIENT_STATUS: case CLIENT_OP_COUNT: break;
	}
	*ret = r;
}

static enum status failure(struct maker *m) { return (enum status)(-(int)from(m, 1, 20)); }

static uint8_t *small_bytes(struct maker *m, size_t n, uint32_t most)
{
	uint8_t *bytes = maker_bytes(m, n);
	for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)below(m, most + 1);
	return bytes;
}

static void report_of_shard(struct maker *m, struct shard_report *s)
{
	uuid(m, &s->shard);
	s->index_id = any_u64(m);
	s->number = below(m, SHARDS_MAX);
	s->state = (enum shard_state)below(m, 5);
	s->status = coin(m) ? STATUS_OK : failure(m);
	s->epoch = any_u64(m);
	s->sequence = any_u64(m);
	s->items = any_u64(m);
	s->memory_bytes = any_u64(m);
	s->disk_bytes = any_u64(m);
	s->segments = any_u32(m);
	s->progress_permille = below(m, 1001);
	s->trees = from(m, 0, TREES_MAX);
}

static struct index_info *index_infos(struct maker *m, uint32_t n)
{
	struct index_info *all = maker_bytes(m, n * sizeof(*all));
	for (struct index_info *i = all; i < all + n; i++) {
		spec(m, &i->spec);
		i->items = any_u64(m);
		i->shards_serving = below(m, SHARDS_MAX);
		i->shards_building = below(m, SHARDS_MAX);
		i->progress_permille = below(m, 1001);
		i->complete = coin(m);
	}
	return n ? all : NULL;
}

static void status_body(struct maker *m, struct client_reply *r)
{
	uint32_t workers = r->status.worker_count = below(m, 4), shards = r->status.shard_count = below(m, 5);

	r->status.index_count = below(m, 3);
	r->status.indexes = index_infos(m, r->status.index_count);
	if (workers) r->status.workers = maker_bytes(m, workers * sizeof(*r->status.workers));
	if (shards) r->status.shards = maker_bytes(m, shards * sizeof(*r->status.shards));
	for (uint32_t i = 0; i < workers; i++) {
		struct worker_info *w = &r->status.workers[i];
		uuid(m, &w->id);
		w->state = (enum worker_state)below(m, 3);
		w->pid = coin(m) ? (int64_t)any_u32(m) : -(int64_t)any_u32(m);
		text(m, w->endpoint, sizeof(w->endpoint));
		w->items = any_u64(m);
		w->memory_bytes = any_u64(m);
		w->age_ms = any_u64(m);
		w->shards = any_u32(m);
		w->threads = any_u32(m);
	}
	for (uint32_t i = 0; i < shards; i++) {
		uuid(m, &r->status.shards[i].worker);
		report_of_shard(m, &r->status.shards[i].report);
	}
}

static void hits_body(struct maker *m, struct client_hits *h)
{
	h->nq = from(m, 1, 5);
	uint8_t *counts = maker_bytes(m, h->nq * 4), *coverage = maker_bytes(m, (size_t)h->nq * COVERAGE_BYTES);
	for (uint32_t q = 0; q < h->nq; q++) {
		uint32_t n = below(m, 5);
		struct coverage c = {.answered = below(m, 1000), .failed = below(m, 9), .late = below(m, 9), .candidates = any_u64(m)};
		c.shards = c.answered + c.failed + c.late;
		c.items_total = any_u64(m);
		c.items_searched = c.items_total / from(m, 1, 3);
		store_u32(counts + (size_t)q * 4, n);
		coverage_store(&c, coverage + (size_t)q * COVERAGE_BYTES);
		h->total += n;
	}
	h->counts = counts;
	h->coverage = coverage;
	h->ids = noise(m, h->total * 8);
	h->distances = rows(m, DTYPE_F32, (uint32_t)h->total, 1);
	h->missing_count = below(m, 4);
	h->predicted = (float)h->missing_count / 4;
	uint8_t *missing = maker_bytes(m, (size_t)h->missing_count * MISSING_BYTES);
	for (uint32_t i = 0; i < h->missing_count; i++) {
		struct missing one = {below(m, SHARDS_MAX), failure(m), any_u64(m)};
		missing_store(&one, missing + (size_t)i * MISSING_BYTES);
	}
	h->missing = missing;
	if (h->total && coin(m)) h->payloads = blobs(m, (uint32_t)h->total, true);
}

static void write_body(struct maker *m, struct client_reply *r)
{
	r->write.n = from(m, 1, 20);
	r->write.results = small_bytes(m, r->write.n, ITEM_UNKNOWN);
	r->write.token_count = below(m, 4);
	uint8_t *tokens = maker_bytes(m, (size_t)r->write.token_count * TOKEN_BYTES);
	for (uint32_t i = 0; i < r->write.token_count; i++) {
		struct token t = {below(m, SHARDS_MAX), any_u64(m), any_u64(m)};
		token_store(&t, tokens + (size_t)i * TOKEN_BYTES);
	}
	r->write.tokens = tokens;
}

/* A page of a scan: ids ascend, so keys are no part of them here. Returns the last id. */
static uint64_t page(struct maker *m, struct items *i)
{
	uint64_t id = below(m, 5);

	*i = (struct items){.n = below(m, 20), .dtype = (enum dtype)below(m, 3)};
	if (coin(m)) i->dim = from(m, 1, 40);
	uint8_t *all = maker_bytes(m, (size_t)i->n * 8);
	for (uint32_t at = 0; at < i->n; at++, id += from(m, 1, 1000)) store_u64(all + 8 * (size_t)at, id);
	i->ids = all;
	if (i->n && coin(m)) i->payloads = blobs(m, i->n, true);
	if (i->n && coin(m)) i->keys = blobs(m, i->n, false);
	if (i->n && i->dim) i->vectors = rows(m, i->dtype, i->n, i->dim);
	return id;
}

void random_client_reply(struct maker *m, enum client_op op, struct client_reply *ret)
{
	struct client_reply r = {.id = any_u64(m), .op = op};
	bool write = op == CLIENT_UPSERT || op == CLIENT_DELETE, ok = op != CLIENT_OP_COUNT && below(m, 4);

	if (!ok) {
		r.error.status = op == CLIENT_SEARCH && coin(m) ? STATUS_INCOMPLETE : failure(m);
		text(m, r.error.text, sizeof(r.error.text));
	}
	if (op == CLIENT_HELLO && ok) {
		r.hello.version = any_u32(m);
		text(m, r.hello.server, sizeof(r.hello.server));
	} else if (write && (ok || coin(m))) {
		write_body(m, &r);
	} else if (op == CLIENT_GET && ok) {
		items(m, &r.get.items);
		r.get.found = small_bytes(m, r.get.items.n, 1);
	} else if (op == CLIENT_SCAN && ok) {
		uint64_t id = page(m, &r.scan.items);
		r.scan.end = coin(m);
		if (!r.scan.end) r.scan.next = (struct scan_cursor){any_u64(m), below(m, SHARDS_MAX), id};
	} else if (op == CLIENT_SEARCH && (ok || r.error.status == STATUS_INCOMPLETE)) {
		hits_body(m, &r.search);
	} else if ((op == CLIENT_LIST || op == CLIENT_CREATE || op == CLIENT_BUILD) && ok) {
		r.list.count = below(m, 4);
		r.list.indexes = index_infos(m, r.list.count);
	} else if ((op == CLIENT_STATUS || op == CLIENT_DESCRIBE) && ok) {
		status_body(m, &r);
	}
	*ret = r;
}

static void beat(struct maker *m, struct cluster_beat *b)
{
	uuid(m, &b->worker);
	uuid(m, &b->cluster);
	b->incarnation = any_u64(m);
	b->beat = any_u64(m);
	b->pid = coin(m) ? (int64_t)any_u32(m) : -(int64_t)any_u32(m);
	b->memory_bytes = any_u64(m);
	b->threads = any_u32(m);
	if (coin(m)) text(m, b->endpoint, sizeof(b->endpoint));
	b->shard_count = below(m, 5);
	if (b->shard_count) b->shards = maker_bytes(m, b->shard_count * sizeof(*b->shards));
	for (uint32_t i = 0; i < b->shard_count; i++) report_of_shard(m, &b->shards[i]);
}

static void search(struct maker *m, struct cluster_search *s)
{
	s->nq = from(m, 1, 6);
	s->spec = effort(m, from(m, 1, QUERY_HITS_MAX / s->nq));
	s->spec.spread = from(m, 1, SHARDS_MAX);
	if (s->spec.mode == SEARCH_GRAPH && s->spec.recall == 0) s->spec.search_k |= 1; /* the coordinator has filled in what was not named */
	s->dtype = (enum dtype)below(m, 3);
	s->dim = from(m, 1, 40);
	s->vectors = rows(m, s->dtype, s->nq, s->dim);
	s->shard_count = from(m, 1, 6);
	s->shards = maker_bytes(m, s->shard_count * sizeof(*s->shards));
	for (uint32_t i = 0; i < s->shard_count; i++) uuid(m, &s->shards[i]);
}

static void write_items(struct maker *m, struct cluster_write *w)
{
	uuid(m, &w->shard);
	w->epoch = any_u64(m);
	w->kind = (enum write_kind)below(m, 2);
	w->client = any_u64(m);
	w->client_request = any_u64(m);
	items(m, &w->items);
	if (w->kind == WRITE_UPSERT) return;
	w->items.payloads = (struct blobs){0};
	w->items.vectors = NULL;
	w->items.dim = 0;
	w->items.dtype = DTYPE_F32;
}

void random_cluster_request(struct maker *m, enum cluster_kind kind, struct cluster_request *ret)
{
	struct cluster_request r = {.id = any_u64(m), .kind = kind, .remaining_us = below(m, DEADLINE_MAX_MS) * (uint64_t)1000};

	switch (kind) {
	case CLUSTER_BEAT: beat(m, &r.beat); break;
	case CLUSTER_WELCOME:
		uuid(m, &r.welcome.cluster);
		if (coin(m)) r.welcome.refusal.status = failure(m);
		if (r.welcome.refusal.status != STATUS_OK) text(m, r.welcome.refusal.text, sizeof(r.welcome.refusal.text));
		break;
	case CLUSTER_OPEN:
		uuid(m, &r.open.shard);
		spec(m, &r.open.index);
		r.open.number = below(m, r.open.index.shards);
		r.open.epoch = any_u64(m);
		r.open.create = coin(m);
		break;
	case CLUSTER_DROP:
		uuid(m, &r.drop.shard);
		r.drop.index_id = any_u64(m);
		break;
	case CLUSTER_WRITE: write_items(m, &r.write); break;
	case CLUSTER_GET:
		uuid(m, &r.get.shard);
		r.get.n = from(m, 1, 20);
		if (coin(m)) r.get.keys = blobs(m, r.get.n, false);
		r.get.ids = ids(m, r.get.n, &r.get.keys);
		break;
	case CLUSTER_BUILD:
		uuid(m, &r.build.shard);
		r.build.epoch = any_u64(m);
		r.build.trees = from(m, 0, TREES_MAX);
		r.build.seed = any_u64(m);
		break;
	case CLUSTER_SEARCH: search(m, &r.search); break;
	case CLUSTER_SCAN:
		uuid(m, &r.scan.shard);
		r.scan.from = any_u64(m);
		r.scan.limit = from(m, 1, BATCH_ITEMS_MAX);
		r.scan.with_vector = coin(m);
		r.scan.with_payload = coin(m);
		break;
	case CLUSTER_REPLY: case CLUSTER_KIND_COUNT: require(!"not a request");
	}
	*ret = r;
}

static void found(struct maker *m, struct cluster_reply *r)
{
	uint32_t nq = r->search.nq = from(m, 1, 5), shards = r->search.shard_count = from(m, 1, 5);
	uint8_t *counts = maker_bytes(m, nq * 4), *hit_ids = maker_bytes(m, nq * 8 * 8), *raws = maker_bytes(m, nq * 8 * 4);
	uint64_t total = 0;

	r->search.shards = maker_bytes(m, shards * sizeof(*r->search.shards));
	for (uint32_t i = 0; i < shards; i++)
		r->search.shards[i] = (struct shard_outcome){coin(m) ? STATUS_OK : failure(m), any_u64(m), any_u64(m), any_u64(m), (float)(i % 3) / 2};
	r->search.answers = small_bytes(m, (size_t)nq * shards, ANSWER_NONE);
	r->search.candidates = noise(m, nq * 8);
	for (uint32_t q = 0; q < nq; q++) {
		uint32_t n = below(m, 8);
		float raw = number(m);
		uint64_t id = below(m, 5);
		store_u32(counts + (size_t)q * 4, n);
		for (uint32_t i = 0; i < n; i++, total++) {
			if (coin(m)) id += from(m, 1, 9);
			else raw += 1 + (float)below(m, 3), id = below(m, 5);
			store_u64(hit_ids + total * 8, id);
			store_f32(raws + total * 4, raw);
			if (!coin(m)) continue;
			raw += 1; /* the next id may be anything */
		}
	}
	r->search.total = total;
	r->search.counts = counts;
	r->search.ids = hit_ids;
	r->search.raws = raws;
	if (total && coin(m)) r->search.payloads = blobs(m, (uint32_t)total, true);
}

void random_cluster_reply(struct maker *m, enum cluster_kind to, struct cluster_reply *ret)
{
	struct cluster_reply r = {.id = any_u64(m), .to = to};
	bool ok = below(m, 4);

	if (!ok) {
		r.error.status = failure(m);
		text(m, r.error.text, sizeof(r.error.text));
	}
	if (to == CLUSTER_WRITE && (ok || coin(m))) {
		r.write.n = from(m, 1, 20);
		r.write.results = small_bytes(m, r.write.n, ITEM_UNKNOWN);
		r.write.epoch = any_u64(m);
		r.write.sequence = any_u64(m);
	} else if (to == CLUSTER_GET && ok) {
		items(m, &r.get.items);
		r.get.found = small_bytes(m, r.get.items.n, 1);
	} else if (to == CLUSTER_BUILD && ok) {
		r.build.items = any_u64(m);
		r.build.trees = from(m, 0, TREES_MAX);
	} else if (to == CLUSTER_SCAN && ok) {
		r.scan.next = page(m, &r.scan.items);
		r.scan.more = coin(m);
	} else if (to == CLUSTER_SEARCH && (ok || coin(m))) {
		found(m, &r);
	}
	*ret = r;
}
