/* cluster_codec.c - requests (and beats and welcomes) of the cluster protocol.
 *
 * A shard report in a beat's frame, 120 bytes: 0 shard uuid | 16 index_id u64 | 24 number u32 | 28 state u32 | 32 status i32 |
 * 36 segments u32 | 40 epoch u64 | 48 sequence u64 | 56 items u64 | 64 memory_bytes u64 | 72 disk_bytes u64 | 80
 * progress_permille u32 | 84 trees u32 | 88 zeros for later fields, ignored by readers. */
#include "proto/cluster_codec.h"

#include <stdlib.h>
#include <string.h>

#include "cluster.pb-c.h"
#include "common/check.h"
#include "common/cursor.h"
#include "proto/cluster_codec_wire.h"

enum { REPORT_BYTES = 120, UUID_BYTES = sizeof(struct uuid) };

enum cluster_kind cluster_peek(const struct net_frame *frames, size_t count)
{
	if (count < 1 || frames[0].size < 2 || frames[0].bytes[0] != 0x08) return CLUSTER_KIND_COUNT;
	uint8_t kind = frames[0].bytes[1];
	return kind >= 1 && kind <= CLUSTER_KIND_COUNT ? (enum cluster_kind)(kind - 1) : CLUSTER_KIND_COUNT;
}

/* ---- encoding ---- */

static void put_reports(struct frames *f, const struct cluster_beat *b)
{
	frames_begin(f);
	for (uint32_t i = 0; i < b->shard_count && f->status == STATUS_OK; i++) {
		const struct shard_report *s = &b->shards[i];
		uint8_t record[REPORT_BYTES];
		struct writer w;
		writer_init(&w, record, sizeof(record));
		writer_bytes(&w, s->shard.bytes, UUID_BYTES);
		writer_u64(&w, s->index_id);
		writer_u32(&w, s->number);
		writer_u32(&w, (uint32_t)s->state);
		writer_u32(&w, (uint32_t)(int32_t)s->status);
		writer_u32(&w, s->segments);
		writer_u64(&w, s->epoch);
		writer_u64(&w, s->sequence);
		writer_u64(&w, s->items);
		writer_u64(&w, s->memory_bytes);
		writer_u64(&w, s->disk_bytes);
		writer_u32(&w, s->progress_permille);
		writer_u32(&w, s->trees);
		writer_zeros(&w, sizeof(record) - writer_used(&w));
		frames_append(f, record, sizeof(record));
	}
}

static void encode_beat(struct frames *f, pb_header *h, const struct cluster_beat *b)
{
	Grove__Cluster__Beat m = GROVE__CLUSTER__BEAT__INIT;

	m.worker = wire_uuid_bytes(&b->worker);
	m.cluster = wire_uuid_bytes(&b->cluster);
	m.incarnation = b->incarnation;
	m.beat = b->beat;
	m.pid = b->pid;
	m.memory_bytes = b->memory_bytes;
	m.threads = b->threads;
	m.endpoint = (char *)(uintptr_t)b->endpoint;
	m.shards = b->shard_count;
	h->body_case = GROVE__CLUSTER__HEADER__BODY_BEAT;
	h->beat = &m;
	wire_put_header(f, h);
	put_reports(f, b);
}

static void encode_welcome(struct frames *f, pb_header *h, const struct cluster_welcome *w)
{
	Grove__Cluster__Welcome m = GROVE__CLUSTER__WELCOME__INIT;
	Grove__Cluster__Failure refusal = GROVE__CLUSTER__FAILURE__INIT;

	m.cluster = wire_uuid_bytes(&w->cluster);
	refusal.status = w->refusal.status;
	refusal.text = (char *)(uintptr_t)w->refusal.text;
	if (w->refusal.status != STATUS_OK) m.refusal = &refusal;
	h->body_case = GROVE__CLUSTER__HEADER__BODY_WELCOME;
	h->welcome = &m;
	wire_put_header(f, h);
}

static void encode_open(struct frames *f, pb_header *h, const struct cluster_open *o)
{
	Grove__Cluster__Open m = GROVE__CLUSTER__OPEN__INIT;
	Grove__Cluster__Index index = GROVE__CLUSTER__INDEX__INIT;

	index.id = o->index.id;
	index.name = (char *)(uintptr_t)o->index.name;
	index.metric = (uint32_t)o->index.metric;
	index.dim = o->index.dim;
	index.shards = o->index.shards;
	index.replicas = o->index.replicas;
	index.trees = o->index.trees;
	index.seed = o->index.seed;
	m.shard = wire_uuid_bytes(&o->shard);
	m.index = &index;
	m.number = o->number;
	m.epoch = o->epoch;
	m.create = o->create;
	h->body_case = GROVE__CLUSTER__HEADER__BODY_OPEN;
	h->open = &m;
	wire_put_header(f, h);
}

static void encode_drop(struct frames *f, pb_header *h, const struct cluster_drop *d)
{
	Grove__Cluster__Drop m = GROVE__CLUSTER__DROP__INIT;

	m.shard = wire_uuid_bytes(&d->shard);
	m.index_id = d->index_id;
	h->body_case = GROVE__CLUSTER__HEADER__BODY_DROP;
	h->drop = &m;
	wire_put_header(f, h);
}

static void encode_write(struct frames *f, pb_header *h, const struct cluster_write *w)
{
	Grove__Cluster__Write m = GROVE__CLUSTER__WRITE__INIT;
	Grove__Cluster__Items items = GROVE__CLUSTER__ITEMS__INIT;
	bool upsert = w->kind == WRITE_UPSERT;

	items.n = w->items.n;
	items.dtype = upsert ? (uint32_t)w->items.dtype : 0;
	items.dim = upsert ? w->items.dim : 0;
	items.payloads = upsert && w->items.payloads.count > 0;
	items.keys = w->items.keys.count > 0;
	m.shard = wire_uuid_bytes(&w->shard);
	m.epoch = w->epoch;
	m.kind = (uint32_t)w->kind;
	m.client = w->client;
	m.client_request = w->client_request;
	m.items = &items;
	h->body_case = GROVE__CLUSTER__HEADER__BODY_WRITE;
	h->write = &m;
	wire_put_header(f, h);
	frames_put(f, w->items.ids, w->items.n, 8);
	frames_put(f, w->items.vectors, upsert ? w->items.n : 0, upsert ? dtype_row_bytes(w->items.dtype, w->items.dim) : 0);
	frames_put_blobs(f, upsert ? &w->items.payloads : &(struct blobs){0}, w->items.n);
	frames_put_blobs(f, &w->items.keys, w->items.n);
}

static void encode_get(struct frames *f, pb_header *h, const struct cluster_get *g)
{
	Grove__Cluster__Get m = GROVE__CLUSTER__GET__INIT;

	m.shard = wire_uuid_bytes(&g->shard);
	m.n = g->n;
	m.keys = g->keys.count > 0;
	h->body_case = GROVE__CLUSTER__HEADER__BODY_GET;
	h->get = &m;
	wire_put_header(f, h);
	frames_put(f, g->ids, g->n, 8);
	frames_put_blobs(f, &g->keys, g->n);
}

static void encode_scan(struct frames *f, pb_header *h, const struct cluster_scan *s)
{
	Grove__Cluster__Scan m = GROVE__CLUSTER__SCAN__INIT;

	m.shard = wire_uuid_bytes(&s->shard);
	m.from = s->from;
	m.limit = s->limit;
	m.with_vector = s->with_vector;
	m.with_payload = s->with_payload;
	h->body_case = GROVE__CLUSTER__HEADER__BODY_SCAN;
	h->scan = &m;
	wire_put_header(f, h);
}

static void encode_build(struct frames *f, pb_header *h, const struct cluster_build *b)
{
	Grove__Cluster__Build m = GROVE__CLUSTER__BUILD__INIT;

	m.shard = wire_uuid_bytes(&b->shard);
	m.epoch = b->epoch;
	m.trees = b->trees;
	m.seed = b->seed;
	h->body_case = GROVE__CLUSTER__HEADER__BODY_BUILD;
	h->build = &m;
	wire_put_header(f, h);
}

static void encode_search(struct frames *f, pb_header *h, const struct cluster_search *s)
{
	Grove__Cluster__Search m = GROVE__CLUSTER__SEARCH__INIT;

	m.k = s->spec.k;
	m.mode = (uint32_t)s->spec.mode;
	m.search_k = s->spec.search_k;
	m.recall = s->spec.recall;
	m.spread = s->spec.spread;
	m.with_payload = s->spec.with_payload;
	m.nq = s->nq;
	m.dtype = (uint32_t)s->dtype;
	m.dim = s->dim;
	m.shards = s->shard_count;
	h->body_case = GROVE__CLUSTER__HEADER__BODY_SEARCH;
	h->search = &m;
	wire_put_header(f, h);
	frames_put(f, s->vectors, s->nq, dtype_row_bytes(s->dtype, s->dim));
	frames_put(f, s->shards, s->shard_count, UUID_BYTES);
}

enum status cluster_request_encode(const struct cluster_request *r, struct encoded *ret)
{
	pb_header h = GROVE__CLUSTER__HEADER__INIT;
	struct frames f;

	frames_init(&f, PEER_FRAME_MAX);
	h.kind = (uint32_t)r->kind + 1;
	h.id = r->id;
	h.remaining_us = r->remaining_us;
	switch (r->kind) {
	case CLUSTER_BEAT: encode_beat(&f, &h, &r->beat); break;
	case CLUSTER_WELCOME: encode_welcome(&f, &h, &r->welcome); break;
	case CLUSTER_OPEN: encode_open(&f, &h, &r->open); break;
	case CLUSTER_DROP: encode_drop(&f, &h, &r->drop); break;
	case CLUSTER_WRITE: encode_write(&f, &h, &r->write); break;
	case CLUSTER_GET: encode_get(&f, &h, &r->get); break;
	case CLUSTER_BUILD: encode_build(&f, &h, &r->build); break;
	case CLUSTER_SEARCH: encode_search(&f, &h, &r->search); break;
	case CLUSTER_SCAN: encode_scan(&f, &h, &r->scan); break;
	case CLUSTER_REPLY: case CLUSTER_KIND_COUNT: require(!"a reply or nothing is not a request");
	}
	return frames_finish(&f, ret);
}

/* ---- decoding ---- */

struct decoding {
	const struct net_frame *frames;
	size_t count;
	struct cluster_request r;
	struct report *report;
};

static enum status take_frame(struct decoding *d, size_t i, const char *what, uint64_t n, size_t record, const uint8_t **ret)
{
	return wire_frame(d->frames, d->count, i, what, n, record, ret, d->report);
}

static bool read_report(const uint8_t *record, struct shard_report *s)
{
	struct reader r;

	reader_init(&r, record, REPORT_BYTES);
	memcpy(s->shard.bytes, reader_bytes(&r, UUID_BYTES), UUID_BYTES);
	s->index_id = reader_u64(&r);
	s->number = reader_u32(&r);
	uint32_t state = reader_u32(&r);
	int32_t status = (int32_t)reader_u32(&r);
	s->state = (enum shard_state)state;
	s->status = (enum status)status;
	s->segments = reader_u32(&r);
	s->epoch = reader_u64(&r);
	s->sequence = reader_u64(&r);
	s->items = reader_u64(&r);
	s->memory_bytes = reader_u64(&r);
	s->disk_bytes = reader_u64(&r);
	s->progress_permille = reader_u32(&r);
	s->trees = reader_u32(&r);
	return state <= SHARD_MISSING && status <= 0 && s->number < SHARDS_MAX && s->progress_permille <= 1000 && s->trees <= TREES_MAX;
}

static enum status decode_beat(struct decoding *d, const Grove__Cluster__Beat *m)
{
	struct cluster_beat *b = &d->r.beat;
	const uint8_t *records = NULL;
	enum status status = wire_uuid(m->worker, "the id of the worker", &b->worker, d->report);
	if (status == STATUS_OK) status = wire_uuid(m->cluster, "the id of the cluster", &b->cluster, d->report);
	if (status == STATUS_OK) status = wire_text(m->endpoint, b->endpoint, sizeof(b->endpoint), "the worker's endpoint", d->report);
	if (status == STATUS_OK) status = take_frame(d, 1, "its shard reports", m->shards, REPORT_BYTES, &records);
	if (status != STATUS_OK) return status;
	b->incarnation = m->incarnation;
	b->beat = m->beat;
	b->pid = m->pid;
	b->memory_bytes = m->memory_bytes;
	b->threads = m->threads;
	b->shard_count = m->shards;
	if (!m->shards) return STATUS_OK;
	b->shards = d->r.owned = calloc(m->shards, sizeof(*b->shards));
	if (!b->shards) return report_set(d->report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	for (uint32_t i = 0; i < m->shards; i++)
		if (!read_report(records + (size_t)i * REPORT_BYTES, &b->shards[i])) return wire_bad(d->report, "a shard report");
	return STATUS_OK;
}

static enum status decode_welcome(struct decoding *d, const Grove__Cluster__Welcome *m)
{
	enum status status = wire_uuid(m->cluster, "the id of the cluster", &d->r.welcome.cluster, d->report);
	return status == STATUS_OK ? wire_failure(m->refusal, &d->r.welcome.refusal, d->report) : status;
}

static enum status decode_open(struct decoding *d, const Grove__Cluster__Open *m)
{
	struct cluster_open *o = &d->r.open;
	const Grove__Cluster__Index *i = m->index;
	enum status status = wire_uuid(m->shard, "the id of the shard", &o->shard, d->report);

	if (status == STATUS_OK && !i) status = wire_bad(d->report, "an open without its index");
	if (status == STATUS_OK) status = wire_text(i->name, o->index.name, sizeof(o->index.name), "the name of the index", d->report);
	if (status != STATUS_OK) return status;
	if (!index_name_valid(o->index.name, strlen(o->index.name)) || i->metric >= METRIC_COUNT || i->dim < 1 || i->dim > DIM_MAX || i->shards < 1 ||
	    i->shards > SHARDS_MAX || i->replicas < 1 || i->replicas > REPLICAS_MAX || i->trees > TREES_MAX || m->number >= i->shards)
		return wire_bad(d->report, "the description of the index");
	o->index.id = i->id;
	o->index.metric = (enum metric)i->metric;
	o->index.dim = i->dim;
	o->index.shards = i->shards;
	o->index.replicas = i->replicas;
	o->index.trees = i->trees;
	o->index.seed = i->seed;
	o->number = m->number;
	o->epoch = m->epoch;
	o->create = m->create;
	return STATUS_OK;
}

static enum status decode_drop(struct decoding *d, const Grove__Cluster__Drop *m)
{
	d->r.drop.index_id = m->index_id;
	return wire_uuid(m->shard, "the id of the shard", &d->r.drop.shard, d->report);
}

static enum status decode_write(struct decoding *d, const Grove__Cluster__Write *m)
{
	struct cluster_write *w = &d->r.write;
	const Grove__Cluster__Items *in = m->items;
	struct items *items = &w->items;
	enum status status = wire_uuid(m->shard, "the id of the shard", &w->shard, d->report);

	if (status != STATUS_OK) return status;
	if (!in || in->n < 1 || in->n > BATCH_ITEMS_MAX || m->kind > WRITE_DELETE) return wire_bad(d->report, "the kind or number of items");
	w->kind = (enum write_kind)m->kind;
	if ((w->kind == WRITE_UPSERT) != (in->dim > 0) || (w->kind == WRITE_DELETE && (in->payloads || in->dtype))) return wire_bad(d->report, "the items' vectors");
	w->epoch = m->epoch;
	w->client = m->client;
	w->client_request = m->client_request;
	items->n = in->n;
	items->dim = in->dim;
	status = take_frame(d, 1, "its ids", in->n, 8, &items->ids);
	if (status == STATUS_OK) status = wire_rows(d->frames, d->count, 2, w->kind == WRITE_UPSERT ? in->n : 0, in->dtype, in->dim, &items->vectors, d->report);
	if (status == STATUS_OK) status = wire_blobs(d->frames, d->count, 3, "its payloads", in->payloads, in->n, PAYLOAD_MAX, true, &items->payloads, d->report);
	if (status == STATUS_OK) status = wire_blobs(d->frames, d->count, 4, "its keys", in->keys, in->n, KEY_MAX, false, &items->keys, d->report);
	if (status == STATUS_OK) items->dtype = (enum dtype)in->dtype;
	return status;
}

static enum status decode_get(struct decoding *d, const Grove__Cluster__Get *m)
{
	struct cluster_get *g = &d->r.get;
	enum status status = wire_uuid(m->shard, "the id of the shard", &g->shard, d->report);

	if (status == STATUS_OK && (m->n < 1 || m->n > BATCH_ITEMS_MAX)) status = wire_bad(d->report, "the number of items");
	if (status != STATUS_OK) return status;
	g->n = m->n;
	status = take_frame(d, 1, "its ids", m->n, 8, &g->ids);
	if (status == STATUS_OK) status = wire_blobs(d->frames, d->count, 2, "its keys", m->keys, m->n, KEY_MAX, false, &g->keys, d->report);
	return status;
}

static enum status decode_scan(struct decoding *d, const Grove__Cluster__Scan *m)
{
	d->r.scan.from = m->from;
	d->r.scan.limit = m->limit;
	d->r.scan.with_vector = m->with_vector;
	d->r.scan.with_payload = m->with_payload;
	if (m->limit < 1 || m->limit > BATCH_ITEMS_MAX) return wire_bad(d->report, "the number of items");
	return wire_uuid(m->shard, "the id of the shard", &d->r.scan.shard, d->report);
}

static enum status decode_build(struct decoding *d, const Grove__Cluster__Build *m)
{
	d->r.build.epoch = m->epoch;
	d->r.build.trees = m->trees;
	d->r.build.seed = m->seed;
	if (m->trees > TREES_MAX) return wire_bad(d->report, "the number of trees");
	return wire_uuid(m->shard, "the id of the shard", &d->r.build.shard, d->report);
}

static struct search_spec effort_of(const Grove__Cluster__Search *m)
{
	return (struct search_spec){.k = m->k, .mode = (enum search_mode)m->mode, .search_k = m->search_k, .recall = m->recall,
		.spread = m->spread};
}

/* In graph mode a worker has to be told the one or the other, and over how many shards the recall is meant. */
static bool effort_good(const Grove__Cluster__Search *m)
{
	struct search_spec s = effort_of(m);

	if (m->mode > SEARCH_GRAPH || m->search_k > SEARCH_K_MAX || m->spread > SHARDS_MAX || search_effort_fault(&s)) return false;
	return m->mode != SEARCH_GRAPH || m->search_k || (m->recall > 0 && m->spread);
}

static enum status decode_search(struct decoding *d, const Grove__Cluster__Search *m)
{
	struct cluster_search *s = &d->r.search;
	const uint8_t *shards = NULL;
	enum status status;

	if (m->k < 1 || m->nq < 1 || m->nq > BATCH_QUERIES_MAX || (uint64_t)m->k * m->nq > QUERY_HITS_MAX) return wire_bad(d->report, "k or the number of queries");
	if (m->dim < 1) return wire_bad(d->report, "the dimension");
	if (!effort_good(m)) return wire_bad(d->report, "the effort");
	if (m->shards < 1 || m->shards > SHARDS_MAX) return wire_bad(d->report, "the number of shards");
	status = wire_rows(d->frames, d->count, 1, m->nq, m->dtype, m->dim, &s->vectors, d->report);
	if (status == STATUS_OK) status = take_frame(d, 2, "its shards", m->shards, UUID_BYTES, &shards);
	if (status != STATUS_OK) return status;
	s->spec = effort_of(m);
	s->spec.with_payload = m->with_payload;
	s->nq = m->nq;
	s->dtype = (enum dtype)m->dtype;
	s->dim = m->dim;
	s->shard_count = m->shards;
	s->shards = d->r.owned = malloc(m->shards * sizeof(*s->shards));
	if (!s->shards) return report_set(d->report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	memcpy(s->shards, shards, m->shards * sizeof(*s->shards));
	return STATUS_OK;
}

/* The frame count and the body have to be those of the kind. */
static enum status decode_body(struct decoding *d, const pb_header *h)
{
	static const struct { Grove__Cluster__Header__BodyCase body; size_t bulk_frames; } kinds[CLUSTER_KIND_COUNT] = {
		[CLUSTER_BEAT] = {GROVE__CLUSTER__HEADER__BODY_BEAT, 1}, [CLUSTER_WELCOME] = {GROVE__CLUSTER__HEADER__BODY_WELCOME, 0},
		[CLUSTER_OPEN] = {GROVE__CLUSTER__HEADER__BODY_OPEN, 0}, [CLUSTER_DROP] = {GROVE__CLUSTER__HEADER__BODY_DROP, 0},
		[CLUSTER_WRITE] = {GROVE__CLUSTER__HEADER__BODY_WRITE, 4}, [CLUSTER_GET] = {GROVE__CLUSTER__HEADER__BODY_GET, 2},
		[CLUSTER_BUILD] = {GROVE__CLUSTER__HEADER__BODY_BUILD, 0}, [CLUSTER_SEARCH] = {GROVE__CLUSTER__HEADER__BODY_SEARCH, 2},
		[CLUSTER_SCAN] = {GROVE__CLUSTER__HEADER__BODY_SCAN, 0},
	};

	if (d->r.kind == CLUSTER_REPLY || d->r.kind >= CLUSTER_KIND_COUNT) return wire_bad(d->report, "it is a reply");
	if (h->body_case != kinds[d->r.kind].body || d->count - 1 > kinds[d->r.kind].bulk_frames) return wire_bad(d->report, "its body is not of its kind");
	switch (d->r.kind) {
	case CLUSTER_BEAT: return decode_beat(d, h->beat);
	case CLUSTER_WELCOME: return decode_welcome(d, h->welcome);
	case CLUSTER_OPEN: return decode_open(d, h->open);
	case CLUSTER_DROP: return decode_drop(d, h->drop);
	case CLUSTER_WRITE: return decode_write(d, h->write);
	case CLUSTER_GET: return decode_get(d, h->get);
	case CLUSTER_BUILD: return decode_build(d, h->build);
	case CLUSTER_SEARCH: return decode_search(d, h->search);
	case CLUSTER_SCAN: return decode_scan(d, h->scan);
	case CLUSTER_REPLY: case CLUSTER_KIND_COUNT: break;
	}
	return wire_bad(d->report, "its kind");
}

enum status cluster_request_decode(const struct net_frame *frames, size_t count, struct cluster_request *ret, struct report *report)
{
	struct decoding d = {.frames = frames, .count = count, .report = report};
	pb_header *h = NULL;
	enum status status = wire_header(frames, count, &h, report);

	if (status != STATUS_OK) return status;
	d.r.id = h->id;
	d.r.kind = (enum cluster_kind)(h->kind - 1);
	d.r.remaining_us = h->remaining_us;
	status = decode_body(&d, h);
	wire_header_free(h);
	if (status == STATUS_OK) *ret = d.r;
	else free(d.r.owned);
	return status;
}

void cluster_request_release(struct cluster_request *r)
{
	free(r->owned);
	*r = (struct cluster_request){0};
}
