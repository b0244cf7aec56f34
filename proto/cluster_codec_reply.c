/* cluster_codec_reply.c - a worker's replies.
 *
 * Outcome of one shard in a search's frame 1, 32 bytes: 0 status i32 | 4 zero u32 | 8 items u64 | 16 sequence u64 | 24 epoch
 * u64. A reply whose error is not OK may lack its body; a write that was tried and a search that was tried have theirs. */
#include "proto/cluster_codec.h"

#include <math.h>
#include <stdlib.h>

#include "cluster.pb-c.h"
#include "common/cursor.h"
#include "common/topk.h"
#include "proto/cluster_codec_wire.h"

enum { OUTCOME_BYTES = 32 };

/* ---- encoding ---- */

static void put_outcomes(struct frames *f, const struct shard_outcome *o, uint32_t n)
{
	frames_begin(f);
	for (uint32_t i = 0; i < n && f->status == STATUS_OK; i++) {
		uint8_t record[OUTCOME_BYTES];
		struct writer w;
		writer_init(&w, record, sizeof(record));
		writer_u32(&w, (uint32_t)(int32_t)o[i].status);
		writer_u32(&w, 0);
		store_f32(record + 4, o[i].predicted);
		writer_u64(&w, o[i].items);
		writer_u64(&w, o[i].sequence);
		writer_u64(&w, o[i].epoch);
		frames_append(f, record, sizeof(record));
	}
}

static void encode_search(struct frames *f, pb_header *h, const struct cluster_reply *r)
{
	Grove__Cluster__Found m = GROVE__CLUSTER__FOUND__INIT;

	m.nq = r->search.nq;
	m.shards = r->search.shard_count;
	m.total = r->search.total;
	m.payloads = r->search.payloads.count > 0;
	h->reply->body_case = GROVE__CLUSTER__REPLY__BODY_FOUND;
	h->reply->found = &m;
	wire_put_header(f, h);
	put_outcomes(f, r->search.shards, m.shards);
	frames_put(f, r->search.answers, (size_t)m.nq * m.shards, 1);
	frames_put(f, r->search.candidates, m.nq, 8);
	frames_put(f, r->search.counts, m.nq, 4);
	frames_put(f, r->search.ids, m.total, 8);
	frames_put(f, r->search.raws, m.total, 4);
	frames_put_blobs(f, &r->search.payloads, (uint32_t)m.total);
}

static Grove__Cluster__Items items_of(const struct items *in)
{
	Grove__Cluster__Items items = GROVE__CLUSTER__ITEMS__INIT;

	items.n = in->n;
	items.dtype = (uint32_t)in->dtype;
	items.dim = in->dim;
	items.payloads = in->payloads.count > 0;
	items.keys = in->keys.count > 0;
	return items;
}

static void encode_scan(struct frames *f, pb_header *h, const struct cluster_reply *r)
{
	Grove__Cluster__Scanned m = GROVE__CLUSTER__SCANNED__INIT;
	const struct items *in = &r->scan.items;
	Grove__Cluster__Items items = items_of(in);

	m.items = &items;
	m.more = r->scan.more;
	m.next = r->scan.next;
	h->reply->body_case = GROVE__CLUSTER__REPLY__BODY_SCANNED;
	h->reply->scanned = &m;
	wire_put_header(f, h);
	frames_put(f, in->ids, in->n, 8);
	frames_put(f, in->vectors, in->n, dtype_row_bytes(in->dtype, in->dim));
	frames_put_blobs(f, &in->payloads, in->n);
	frames_put_blobs(f, &in->keys, in->n);
}

static void encode_get(struct frames *f, pb_header *h, const struct cluster_reply *r)
{
	Grove__Cluster__Got m = GROVE__CLUSTER__GOT__INIT;
	const struct items *in = &r->get.items;
	Grove__Cluster__Items items = items_of(in);

	m.items = &items;
	h->reply->body_case = GROVE__CLUSTER__REPLY__BODY_GOT;
	h->reply->got = &m;
	wire_put_header(f, h);
	frames_put(f, in->ids, in->n, 8);
	frames_put(f, in->vectors, in->n, dtype_row_bytes(in->dtype, in->dim));
	frames_put(f, r->get.found, in->n, 1);
	frames_put_blobs(f, &in->payloads, in->n);
	frames_put_blobs(f, &in->keys, in->n);
}

static void encode_write(struct frames *f, pb_header *h, const struct cluster_reply *r)
{
	Grove__Cluster__Written m = GROVE__CLUSTER__WRITTEN__INIT;

	m.n = r->write.n;
	m.epoch = r->write.epoch;
	m.sequence = r->write.sequence;
	h->reply->body_case = GROVE__CLUSTER__REPLY__BODY_WRITTEN;
	h->reply->written = &m;
	wire_put_header(f, h);
	frames_put(f, r->write.results, m.n, 1);
}

static void encode_build(struct frames *f, pb_header *h, const struct cluster_reply *r)
{
	Grove__Cluster__Built m = GROVE__CLUSTER__BUILT__INIT;

	m.items = r->build.items;
	m.trees = r->build.trees;
	h->reply->body_case = GROVE__CLUSTER__REPLY__BODY_BUILT;
	h->reply->built = &m;
	wire_put_header(f, h);
}

enum status cluster_reply_encode(const struct cluster_reply *r, struct encoded *ret)
{
	pb_header h = GROVE__CLUSTER__HEADER__INIT;
	Grove__Cluster__Reply reply = GROVE__CLUSTER__REPLY__INIT;
	Grove__Cluster__Failure failure = GROVE__CLUSTER__FAILURE__INIT;
	bool ok = r->error.status == STATUS_OK;
	struct frames f;

	frames_init(&f, PEER_FRAME_MAX);
	h.kind = CLUSTER_REPLY + 1;
	h.id = r->id;
	h.body_case = GROVE__CLUSTER__HEADER__BODY_REPLY;
	h.reply = &reply;
	reply.to = (uint32_t)r->to + 1;
	failure.status = r->error.status;
	failure.text = (char *)(uintptr_t)r->error.text;
	if (!ok) reply.error = &failure;
	if (r->to == CLUSTER_WRITE && (ok || r->write.n)) encode_write(&f, &h, r);
	else if (r->to == CLUSTER_GET && ok) encode_get(&f, &h, r);
	else if (r->to == CLUSTER_BUILD && ok) encode_build(&f, &h, r);
	else if (r->to == CLUSTER_SEARCH && (ok || r->search.nq)) encode_search(&f, &h, r);
	else if (r->to == CLUSTER_SCAN && ok) encode_scan(&f, &h, r);
	else wire_put_header(&f, &h);
	return frames_finish(&f, ret);
}

/* ---- decoding ---- */

struct decoding {
	const struct net_frame *frames;
	size_t count;
	struct cluster_reply r;
	struct report *report;
};

static enum status take_frame(struct decoding *d, size_t i, const char *what, uint64_t n, size_t record, const uint8_t **ret)
{
	return wire_frame(d->frames, d->count, i, what, n, record, ret, d->report);
}

static bool bytes_at_most(const uint8_t *bytes, size_t n, uint8_t max)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] > max) return false;
	return true;
}

static enum status decode_write(struct decoding *d, const Grove__Cluster__Written *m)
{
	enum status status = m->n >= 1 && m->n <= BATCH_ITEMS_MAX ? STATUS_OK : wire_bad(d->report, "the number of results");
	if (status == STATUS_OK) status = take_frame(d, 1, "its results", m->n, 1, &d->r.write.results);
	if (status == STATUS_OK && !bytes_at_most(d->r.write.results, m->n, ITEM_UNKNOWN)) status = wire_bad(d->report, "the result of an item");
	d->r.write.n = m->n;
	d->r.write.epoch = m->epoch;
	d->r.write.sequence = m->sequence;
	return status;
}

/* What a get and a scan share: ids in frame 1, vectors in frame 2, payloads and keys from frame `blobs` on. */
static enum status decode_items(struct decoding *d, const Grove__Cluster__Items *in, size_t blobs, struct items *items)
{
	if (!in || in->n > BATCH_ITEMS_MAX) return wire_bad(d->report, "the number of items");
	items->n = in->n;
	items->dim = in->dim;
	enum status status = take_frame(d, 1, "its ids", in->n, 8, &items->ids);
	if (status == STATUS_OK) status = wire_rows(d->frames, d->count, 2, in->n, in->dtype, in->dim, &items->vectors, d->report);
	if (status == STATUS_OK) status = wire_blobs(d->frames, d->count, blobs, "its payloads", in->payloads, in->n, PAYLOAD_MAX, true, &items->payloads, d->report);
	if (status == STATUS_OK) status = wire_blobs(d->frames, d->count, blobs + 1, "its keys", in->keys, in->n, KEY_MAX, false, &items->keys, d->report);
	if (status == STATUS_OK) items->dtype = (enum dtype)in->dtype;
	return status;
}

static enum status decode_get(struct decoding *d, const Grove__Cluster__Got *m)
{
	enum status status = decode_items(d, m->items, 4, &d->r.get.items);
	if (status == STATUS_OK) status = take_frame(d, 3, "its flags", m->items->n, 1, &d->r.get.found);
	if (status == STATUS_OK && !bytes_at_most(d->r.get.found, m->items->n, 1)) status = wire_bad(d->report, "the flag of an item");
	return status;
}

static enum status decode_scan(struct decoding *d, const Grove__Cluster__Scanned *m)
{
	struct items *items = &d->r.scan.items;
	enum status status = decode_items(d, m->items, 3, items);

	if (status != STATUS_OK) return status;
	if (!ids_ascend(items->ids, items->n)) return wire_bad(d->report, "items that are not in the order of their ids");
	if (m->more && items->n && m->next <= load_u64(items->ids + 8 * (size_t)(items->n - 1))) return wire_bad(d->report, "a scan that goes back");
	d->r.scan.more = m->more;
	d->r.scan.next = m->next;
	return STATUS_OK;
}

static enum status decode_build(struct decoding *d, const Grove__Cluster__Built *m)
{
	d->r.build.items = m->items;
	d->r.build.trees = m->trees;
	return m->trees <= TREES_MAX ? STATUS_OK : wire_bad(d->report, "the number of trees");
}

/* Each list strictly ascending by (raw, id) and the counts adding up to the total. */
static bool lists_sorted(const struct cluster_reply *r)
{
	uint64_t at = 0;

	for (uint32_t q = 0; q < r->search.nq; q++) {
		uint32_t n = load_u32(r->search.counts + (size_t)q * 4);
		struct hit last = {0};
		if (n > r->search.total - at) return false;
		for (uint32_t i = 0; i < n; i++, at++) {
			struct hit hit = {load_u64(r->search.ids + at * 8), load_f32(r->search.raws + at * 4)};
			if (isnan(hit.raw) || hit_raw(hit.raw) != hit.raw || (i && hit_cmp(&last, &hit) >= 0)) return false;
			last = hit;
		}
	}
	return at == r->search.total;
}

static enum status take_outcomes(struct decoding *d, uint32_t n)
{
	const uint8_t *records = NULL;
	enum status status = take_frame(d, 1, "the outcomes of its shards", n, OUTCOME_BYTES, &records);

	if (status != STATUS_OK) return status;
	struct shard_outcome *o = calloc(n, sizeof(*o));
	if (!o) return report_set(d->report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	d->r.owned = o;
	d->r.search.shards = o;
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *record = records + (size_t)i * OUTCOME_BYTES;
		o[i] = (struct shard_outcome){.status = (enum status)(int32_t)load_u32(record), .predicted = load_f32(record + 4), .items = load_u64(record + 8),
			.sequence = load_u64(record + 16), .epoch = load_u64(record + 24)};
		if (o[i].status > 0) return wire_bad(d->report, "the status of a shard");
		if (!(o[i].predicted >= 0 && o[i].predicted <= 1)) return wire_bad(d->report, "the prediction of a shard");
	}
	return STATUS_OK;
}

static enum status decode_search(struct decoding *d, const Grove__Cluster__Found *m)
{
	if (m->nq < 1 || m->nq > BATCH_QUERIES_MAX || m->shards < 1 || m->shards > SHARDS_MAX || m->total > QUERY_HITS_MAX)
		return wire_bad(d->report, "the size of its answer");
	d->r.search.nq = m->nq;
	d->r.search.shard_count = m->shards;
	d->r.search.total = m->total;
	enum status status = take_frame(d, 2, "its answers", (uint64_t)m->nq * m->shards, 1, &d->r.search.answers);
	if (status == STATUS_OK) status = take_frame(d, 3, "its candidates", m->nq, 8, &d->r.search.candidates);
	if (status == STATUS_OK) status = take_frame(d, 4, "its counts", m->nq, 4, &d->r.search.counts);
	if (status == STATUS_OK) status = take_frame(d, 5, "its ids", m->total, 8, &d->r.search.ids);
	if (status == STATUS_OK) status = take_frame(d, 6, "its distances", m->total, 4, &d->r.search.raws);
	if (status == STATUS_OK)
		status = wire_blobs(d->frames, d->count, 7, "its payloads", m->payloads, (uint32_t)m->total, PAYLOAD_MAX, true, &d->r.search.payloads, d->report);
	if (status == STATUS_OK && !bytes_at_most(d->r.search.answers, (size_t)m->nq * m->shards, ANSWER_NONE)) status = wire_bad(d->report, "the answer of a shard");
	if (status == STATUS_OK && !lists_sorted(&d->r)) status = wire_bad(d->report, "lists that are not sorted or do not add up");
	return status == STATUS_OK ? take_outcomes(d, m->shards) : status;
}

static enum status decode_reply(struct decoding *d, const Grove__Cluster__Reply *m)
{
	size_t bulk_frames = 0;
	enum cluster_kind to = CLUSTER_KIND_COUNT;
	enum status status = wire_failure(m->error, &d->r.error, d->report);

	if (status != STATUS_OK) return status;
	if ((m->to < CLUSTER_OPEN + 1 || m->to > CLUSTER_SEARCH + 1) && m->to != CLUSTER_SCAN + 1) return wire_bad(d->report, "it answers nothing that is asked");
	d->r.to = (enum cluster_kind)(m->to - 1);
	switch (m->body_case) {
	case GROVE__CLUSTER__REPLY__BODY_WRITTEN: to = CLUSTER_WRITE; bulk_frames = 1; break;
	case GROVE__CLUSTER__REPLY__BODY_GOT: to = CLUSTER_GET; bulk_frames = 5; break;
	case GROVE__CLUSTER__REPLY__BODY_BUILT: to = CLUSTER_BUILD; break;
	case GROVE__CLUSTER__REPLY__BODY_FOUND: to = CLUSTER_SEARCH; bulk_frames = 7; break;
	case GROVE__CLUSTER__REPLY__BODY_SCANNED: to = CLUSTER_SCAN; bulk_frames = 4; break;
	default: break;
	}
	if (to == CLUSTER_KIND_COUNT ? d->r.error.status == STATUS_OK && d->r.to > CLUSTER_DROP : to != d->r.to)
		return wire_bad(d->report, "its body is not of its kind");
	if (d->r.error.status != STATUS_OK && (to == CLUSTER_GET || to == CLUSTER_BUILD || to == CLUSTER_SCAN)) return wire_bad(d->report, "a failure with a result");
	if (d->count - 1 > bulk_frames) return wire_bad(d->report, "frames that do not belong to it");
	switch (to) {
	case CLUSTER_WRITE: return decode_write(d, m->written);
	case CLUSTER_GET: return decode_get(d, m->got);
	case CLUSTER_BUILD: return decode_build(d, m->built);
	case CLUSTER_SEARCH: return decode_search(d, m->found);
	case CLUSTER_SCAN: return decode_scan(d, m->scanned);
	default: return STATUS_OK;
	}
}

enum status cluster_reply_decode(const struct net_frame *frames, size_t count, struct cluster_reply *ret, uint64_t *ret_id, struct report *report)
{
	struct decoding d = {.frames = frames, .count = count, .report = report};
	pb_header *h = NULL;
	enum status status;

	*ret_id = 0;
	status = wire_header(frames, count, &h, report);
	if (status != STATUS_OK) return status;
	*ret_id = d.r.id = h->id;
	if (h->kind == CLUSTER_REPLY + 1 && h->body_case == GROVE__CLUSTER__HEADER__BODY_REPLY) status = decode_reply(&d, h->reply);
	else status = wire_bad(report, "it is not a reply");
	wire_header_free(h);
	if (status == STATUS_OK) *ret = d.r;
	else free(d.r.owned);
	return status;
}

void cluster_reply_release(struct cluster_reply *r)
{
	free(r->owned);
	*r = (struct cluster_reply){0};
}
