/* client_codec_request.c - requests: bytes to struct, checked; struct to bytes.
 *
 * Encoding decodes what it made before it hands it out: so both sides refuse the same things with the same sentences, and a
 * client learns of its mistake before a byte is sent. */
#include "proto/client_codec.h"

#include <inttypes.h>
#include <string.h>

#include "common/cursor.h"
#include "proto/client_codec_fields.h"

/* What the functions of one decoding share. */
struct decoding {
	const struct net_frame *frames;
	size_t count;
	struct fields fields;
	struct buf *scratch;
	struct client_request r;
	struct report *report;
};

static struct net_frame bulk(const struct decoding *d, size_t i) { return frame_at(d->frames, d->count, i); }

static const char *op_of(const struct decoding *d) { return op_names[d->r.op]; }

static enum status required_u32(struct decoding *d, enum field f, uint32_t min, uint32_t max, uint32_t *ret)
{
	enum status status = fields_require(&d->fields, f, op_of(d), d->report);
	return status == STATUS_OK ? fields_u32(&d->fields, f, min, max, ret, d->report) : status;
}

static enum status frame_size(struct decoding *d, size_t i, const char *what, size_t want)
{
	size_t got = bulk(d, i).size;
	if (got == want) return STATUS_OK;
	return report_set(d->report, STATUS_BAD_REQUEST, "frame %zu of %s (%s) has %zu bytes, not %zu", i, op_of(d), what, got, want);
}

/* The frame of blobs at i, there if and only if the flag f says so. */
static enum status decode_blobs(struct decoding *d, size_t i, enum field f, const char *what, uint32_t n, uint32_t max, struct blobs *ret)
{
	struct net_frame frame = bulk(d, i);
	bool sent = false;
	enum status status = fields_bool(&d->fields, f, &sent, d->report);

	if (status != STATUS_OK) return status;
	if (sent != (frame.size > 0))
		return report_set(d->report, STATUS_BAD_REQUEST, "frame %zu of %s (%s) is %s, but the field %s says %s", i, op_of(d), what,
			frame.size ? "there" : "empty", field_key(f), sent ? "true" : "false");
	for (size_t at = 0; at < n && at * 4 + 4 <= frame.size; at++) {
		uint32_t one = load_u32(frame.bytes + at * 4);
		if (one > max)
			return report_set(d->report, STATUS_LIMIT, "the %s of item %zu has %" PRIu32 " bytes, more than %" PRIu32, what, at, one, max);
	}
	if (blobs_parse(frame.bytes, frame.size, n, max, ret)) return STATUS_OK;
	return report_set(d->report, STATUS_BAD_REQUEST, "frame %zu of %s (%s) has to be %" PRIu32 " u32 lengths and then exactly that many bytes", i,
		op_of(d), what, n);
}

static enum status check_payloads(struct decoding *d, const struct blobs *b)
{
	struct blob_cursor c = {0};

	for (uint32_t i = 0; i < b->count; i++) {
		struct blob one = blobs_next(b, &c);
		if (one.size && !msgpack_scan(one.bytes, one.size, true))
			return report_set(d->report, STATUS_BAD_REQUEST, "the payload of item %" PRIu32 " is not one msgpack map of at most %d levels, with UTF-8 strings",
				i, MSGPACK_DEPTH_MAX);
	}
	return STATUS_OK;
}

/* Ids that were sent have to be those of the keys; where none were sent, they are computed from the keys into the scratch. */
static enum status decode_ids(struct decoding *d, size_t i, uint32_t n, const struct blobs *keys, const uint8_t **ret)
{
	struct net_frame frame = bulk(d, i);
	struct blob_cursor c = {0};
	uint8_t *computed = NULL;
	size_t size = (size_t)n * 8;
	enum status status;

	if (frame.size || !keys->count) {
		status = frame_size(d, i, "ids", size);
	} else {
		status = buf_extend(d->scratch, size, &computed);
	}
	if (status != STATUS_OK) return status;
	for (uint32_t at = 0; at < keys->count; at++) {
		struct blob key = blobs_next(keys, &c);
		uint64_t id = key.size ? item_id_of_key(key.bytes, key.size) : 0;
		if (computed && !key.size)
			return report_set(d->report, STATUS_BAD_REQUEST, "item %" PRIu32 " has neither an id nor a key", at);
		if (computed) store_u64(computed + (size_t)at * 8, id);
		else if (key.size && load_u64(frame.bytes + (size_t)at * 8) != id)
			return report_set(d->report, STATUS_BAD_REQUEST, "the id of item %" PRIu32 " is not XXH3_64 of its key: send the key alone, with no ids", at);
	}
	*ret = computed ? computed : frame.bytes;
	return STATUS_OK;
}

static enum status decode_dtype(struct decoding *d, enum dtype *ret)
{
	int dtype = DTYPE_F32;
	enum status status = fields_choice(&d->fields, FIELD_DTYPE, dtype_names, 3, &dtype, d->report);
	if (status == STATUS_OK) *ret = (enum dtype)dtype;
	return status;
}

static enum status decode_rows(struct decoding *d, size_t i, uint32_t n, uint32_t dim, enum dtype dtype, const uint8_t **ret)
{
	enum status status = frame_size(d, i, "vectors", (size_t)n * dtype_row_bytes(dtype, dim));

	if (status != STATUS_OK) return status;
	const uint8_t *rows = bulk(d, i).bytes;
	if (dtype == DTYPE_F32 && !floats_finite(rows, (size_t)n * dim)) {
		uint32_t row = 0;
		while (floats_finite(rows + (size_t)row * dim * 4, dim)) row++;
		return report_set(d->report, STATUS_BAD_REQUEST, "vector %" PRIu32 " has an element that is not finite (NaN or infinity)", row);
	}
	*ret = rows;
	return STATUS_OK;
}

/* ---- one function for each op ---- */

static enum status decode_nothing(struct decoding *d) { return STATUS_OK; }

static enum status decode_hello(struct decoding *d)
{
	enum status status = required_u32(d, FIELD_VERSION_MIN, 1, UINT32_MAX, &d->r.hello.version_min);
	if (status == STATUS_OK) status = required_u32(d, FIELD_VERSION_MAX, 1, UINT32_MAX, &d->r.hello.version_max);
	if (status == STATUS_OK) status = fields_bool(&d->fields, FIELD_BUNDLES, &d->r.hello.bundles, d->report);
	if (status == STATUS_OK && d->r.hello.version_min > d->r.hello.version_max)
		status = report_set(d->report, STATUS_BAD_REQUEST, "version_min is above version_max");
	return status;
}

static enum status decode_create(struct decoding *d)
{
	struct index_spec *s = &d->r.create.spec;
	const struct fields *in = &d->fields;
	int metric = 0;
	enum status status = fields_require(in, FIELD_METRIC, "create", d->report);

	s->replicas = 1;
	if (status == STATUS_OK) status = fields_choice(in, FIELD_METRIC, metric_names, METRIC_COUNT, &metric, d->report);
	if (status == STATUS_OK) status = required_u32(d, FIELD_DIM, 1, DIM_MAX, &s->dim);
	if (status == STATUS_OK) status = fields_u32(in, FIELD_SHARDS, 0, SHARDS_MAX, &s->shards, d->report);
	if (status == STATUS_OK) status = fields_u32(in, FIELD_REPLICAS, 1, REPLICAS_MAX, &s->replicas, d->report);
	if (status == STATUS_OK) status = fields_u32(in, FIELD_TREES, 0, TREES_MAX, &s->trees, d->report);
	if (status == STATUS_OK) status = fields_u64(in, FIELD_SEED, &s->seed, d->report);
	if (status != STATUS_OK) return status;
	s->metric = (enum metric)metric;
	memcpy(s->name, d->r.index, sizeof(s->name));
	return STATUS_OK;
}

static enum status decode_upsert(struct decoding *d)
{
	struct items *items = &d->r.upsert.items;
	enum status status = required_u32(d, FIELD_N, 1, BATCH_ITEMS_MAX, &items->n);
	if (status == STATUS_OK) status = required_u32(d, FIELD_DIM, 1, DIM_MAX, &items->dim);
	if (status == STATUS_OK) status = decode_dtype(d, &items->dtype);
	if (status == STATUS_OK) status = decode_blobs(d, 3, FIELD_PAYLOADS, "payload", items->n, PAYLOAD_MAX, &items->payloads);
	if (status == STATUS_OK) status = check_payloads(d, &items->payloads);
	if (status == STATUS_OK) status = decode_blobs(d, 4, FIELD_KEYS, "key", items->n, KEY_MAX, &items->keys);
	if (status == STATUS_OK) status = decode_ids(d, 1, items->n, &items->keys, &items->ids);
	if (status == STATUS_OK) status = decode_rows(d, 2, items->n, items->dim, items->dtype, &items->vectors);
	return status;
}

static enum status decode_by_id(struct decoding *d)
{
	enum status status = required_u32(d, FIELD_N, 1, BATCH_ITEMS_MAX, &d->r.ids.n);
	if (status == STATUS_OK) status = decode_blobs(d, 2, FIELD_KEYS, "key", d->r.ids.n, KEY_MAX, &d->r.ids.keys);
	if (status == STATUS_OK) status = decode_ids(d, 1, d->r.ids.n, &d->r.ids.keys, &d->r.ids.ids);
	return status;
}

static enum status decode_build(struct decoding *d) { return fields_u32(&d->fields, FIELD_TREES, 0, TREES_MAX, &d->r.build.trees, d->report); }

static enum status decode_effort(struct decoding *d)
{
	struct search_spec *s = &d->r.search.spec;
	uint32_t nq = 1;
	int mode = SEARCH_GRAPH;
	enum status status = required_u32(d, FIELD_K, 1, UINT32_MAX, &s->k);

	if (status == STATUS_OK) status = fields_u32(&d->fields, FIELD_NQ, 1, BATCH_QUERIES_MAX, &nq, d->report);
	if (status == STATUS_OK && (uint64_t)s->k * nq > QUERY_HITS_MAX)
		status = report_set(d->report, STATUS_LIMIT, "k %" PRIu32 " x %" PRIu32 " %s is more than %d hits per request: ask for fewer neighbours%s", s->k, nq,
			nq == 1 ? "query" : "queries", QUERY_HITS_MAX, nq == 1 ? "" : " or send fewer queries at once");
	if (status == STATUS_OK) status = fields_choice(&d->fields, FIELD_MODE, mode_names, 3, &mode, d->report);
	if (status == STATUS_OK) status = fields_u32(&d->fields, FIELD_SEARCH_K, 0, SEARCH_K_MAX, &s->search_k, d->report);
	if (status == STATUS_OK) status = fields_share(&d->fields, FIELD_RECALL, &s->recall, d->report);
	if (status == STATUS_OK) status = fields_bool(&d->fields, FIELD_WITH_PAYLOAD, &s->with_payload, d->report);
	s->mode = (enum search_mode)mode;
	const char *fault = status == STATUS_OK ? search_effort_fault(s) : NULL;
	if (fault) status = report_set(d->report, STATUS_BAD_REQUEST, "%s", fault);
	d->r.search.nq = nq;
	return status;
}

static enum status decode_search(struct decoding *d)
{
	enum status status = decode_effort(d);

	d->r.search.min_coverage = 1;
	if (status == STATUS_OK) status = fields_share(&d->fields, FIELD_MIN_COVERAGE, &d->r.search.min_coverage, d->report);
	if (status == STATUS_OK) status = fields_bool(&d->fields, FIELD_BY_ID, &d->r.search.by_id, d->report);
	if (status != STATUS_OK) return status;
	if (d->r.search.by_id) {
		status = frame_size(d, 1, "ids", (size_t)d->r.search.nq * 8);
		if (status == STATUS_OK) d->r.search.vectors = bulk(d, 1).bytes;
		return status;
	}
	status = required_u32(d, FIELD_DIM, 1, DIM_MAX, &d->r.search.dim);
	if (status == STATUS_OK) status = decode_dtype(d, &d->r.search.dtype);
	if (status == STATUS_OK) status = decode_rows(d, 1, d->r.search.nq, d->r.search.dim, d->r.search.dtype, &d->r.search.vectors);
	return status;
}

static enum status decode_scan(struct decoding *d)
{
	bool cursor = false;
	enum status status;

	d->r.scan.limit = SCAN_LIMIT_DEFAULT;
	status = fields_u32(&d->fields, FIELD_LIMIT, 1, BATCH_ITEMS_MAX, &d->r.scan.limit, d->report);
	if (status == STATUS_OK) status = fields_bool(&d->fields, FIELD_WITH_VECTOR, &d->r.scan.with_vector, d->report);
	if (status == STATUS_OK) status = fields_bool(&d->fields, FIELD_WITH_PAYLOAD, &d->r.scan.with_payload, d->report);
	if (status == STATUS_OK) status = fields_bool(&d->fields, FIELD_CURSOR, &cursor, d->report);
	if (status == STATUS_OK) status = frame_size(d, 1, "cursor", cursor ? CURSOR_BYTES : 0);
	if (status != STATUS_OK || !cursor) return status;
	cursor_load(bulk(d, 1).bytes, &d->r.scan.from);
	if (d->r.scan.from.shard >= SHARDS_MAX || load_u32(bulk(d, 1).bytes + 12))
		return report_set(d->report, STATUS_BAD_REQUEST, "the cursor is none that a scan gave: begin the scan again without one");
	return STATUS_OK;
}

static const struct { enum status (*decode)(struct decoding *d); size_t bulk_frames; bool index; } ops[CLIENT_OP_COUNT] = {
	[CLIENT_HELLO] = {decode_hello, 0, false}, [CLIENT_CREATE] = {decode_create, 0, true}, [CLIENT_DROP] = {decode_nothing, 0, true},
	[CLIENT_LIST] = {decode_nothing, 0, false}, [CLIENT_DESCRIBE] = {decode_nothing, 0, true}, [CLIENT_UPSERT] = {decode_upsert, 4, true},
	[CLIENT_DELETE] = {decode_by_id, 2, true}, [CLIENT_GET] = {decode_by_id, 2, true}, [CLIENT_BUILD] = {decode_build, 0, true},
	[CLIENT_SEARCH] = {decode_search, 1, true}, [CLIENT_STATUS] = {decode_nothing, 0, false}, [CLIENT_SCAN] = {decode_scan, 1, true},
};

/* A foreign text for a sentence: what is printable of its beginning. */
static void quote(const char *text, size_t size, char out[40])
{
	size_t n = size < 32 ? size : 32;

	for (size_t i = 0; i < n; i++) out[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
	memcpy(out + n, size > n ? "..." : "", size > n ? 4 : 1);
}

static enum status decode_index(struct decoding *d)
{
	const char *name = NULL;
	uint32_t size = 0;
	char quoted[40];
	enum status status = fields_require(&d->fields, FIELD_INDEX, op_of(d), d->report);

	if (status == STATUS_OK) status = fields_text(&d->fields, FIELD_INDEX, &name, &size, d->report);
	if (status != STATUS_OK) return status;
	if (size > NAME_MAX_BYTES)
		return report_set(d->report, STATUS_LIMIT, "the index name has %" PRIu32 " bytes, more than %d", size, NAME_MAX_BYTES);
	quote(name, size, quoted);
	if (!index_name_valid(name, size))
		return report_set(d->report, STATUS_BAD_REQUEST, "'%s' cannot name an index: names are [a-z0-9][a-z0-9_-]{0,62}", quoted);
	memcpy(d->r.index, name, size);
	return STATUS_OK;
}

static enum status decode_op(struct decoding *d)
{
	const char *name = NULL;
	uint32_t size = 0;
	char quoted[40];
	enum status status = fields_require(&d->fields, FIELD_OP, "a request", d->report);

	if (status == STATUS_OK) status = fields_text(&d->fields, FIELD_OP, &name, &size, d->report);
	if (status != STATUS_OK) return status;
	for (int op = 0; op < CLIENT_OP_COUNT; op++) {
		if (size != strlen(op_names[op]) || memcmp(name, op_names[op], size)) continue;
		d->r.op = (enum client_op)op;
		return STATUS_OK;
	}
	quote(name, size, quoted);
	return report_set(d->report, STATUS_UNSUPPORTED, "this server does not know the operation '%s'", quoted);
}

/* What every request has. */
static enum status decode_common(struct decoding *d)
{
	uint64_t version = 0;
	enum status status = fields_require(&d->fields, FIELD_V, "a request", d->report);

	d->r.timeout_ms = 10000;
	if (status == STATUS_OK) status = fields_u64(&d->fields, FIELD_V, &version, d->report);
	if (status == STATUS_OK) status = decode_op(d);
	if (status == STATUS_OK && d->r.op != CLIENT_HELLO && version != CLIENT_PROTOCOL_VERSION)
		status = report_set(d->report, STATUS_UNSUPPORTED, "the request is of protocol version %" PRIu64 ", this server speaks %d: send hello first", version,
			CLIENT_PROTOCOL_VERSION);
	if (status == STATUS_OK) status = fields_require(&d->fields, FIELD_ID, op_of(d), d->report);
	if (status == STATUS_OK) status = fields_u64(&d->fields, FIELD_CLIENT, &d->r.client, d->report);
	if (status == STATUS_OK) status = fields_u32(&d->fields, FIELD_TIMEOUT_MS, DEADLINE_MIN_MS, DEADLINE_MAX_MS, &d->r.timeout_ms, d->report);
	if (status == STATUS_OK && ops[d->r.op].index) status = decode_index(d);
	return status;
}

enum status client_request_decode(const struct net_frame *frames, size_t count, struct buf *scratch, struct client_request *ret, uint64_t *ret_id,
	struct report *report)
{
	struct decoding d = {.frames = frames, .count = count, .scratch = scratch, .report = report};
	enum status status;

	*ret_id = 0;
	if (count < 1 || count > FRAMES_MAX)
		return report_set(report, count ? STATUS_LIMIT : STATUS_BAD_REQUEST, "a message has 1 to %d frames, not %zu", FRAMES_MAX, count);
	status = fields_parse(frames[0], &d.fields, report);
	if (status == STATUS_OK) status = fields_u64(&d.fields, FIELD_ID, &d.r.id, report);
	if (status != STATUS_OK) goto out;
	*ret_id = d.r.id;
	status = decode_common(&d);
	if (status == STATUS_OK && count - 1 > ops[d.r.op].bulk_frames)
		status = report_set(report, STATUS_BAD_REQUEST, "%s has at most %zu frames after the header, not %zu", op_of(&d), ops[d.r.op].bulk_frames, count - 1);
	if (status == STATUS_OK && frames_bulk(frames, count) > CLIENT_FRAME_MAX)
		status = report_set(report, STATUS_LIMIT, "the frames after the header have %zu bytes, more than %d: send smaller batches",
			frames_bulk(frames, count), CLIENT_FRAME_MAX);
	if (status == STATUS_OK) status = ops[d.r.op].decode(&d);
out:
	/* Statuses that came without a sentence of their own. */
	if (status == STATUS_NO_MEMORY) report_set(report, status, "%s", status_text(status));
	if (status == STATUS_OK) *ret = d.r;
	return status;
}

static enum status check_dtype(enum dtype sent, uint32_t dim, const struct index_spec *index, struct report *report)
{
	enum dtype stored = metric_dtype(index->metric);

	if (dim != index->dim)
		return report_set(report, STATUS_BAD_REQUEST, "index '%s' has %" PRIu32 " dimensions, the vectors have %" PRIu32, index->name, index->dim, dim);
	if ((sent == DTYPE_BITS) == (stored == DTYPE_BITS)) return STATUS_OK;
	return report_set(report, STATUS_BAD_REQUEST, "index '%s' is %s and takes %s, not %s", index->name, metric_name(index->metric),
		stored == DTYPE_BITS ? "bits" : "f32 or u8", dtype_names[sent]);
}

enum status client_check_against(const struct client_request *r, const struct index_spec *index, struct report *report)
{
	if (r->op == CLIENT_UPSERT) return check_dtype(r->upsert.items.dtype, r->upsert.items.dim, index, report);
	if (r->op == CLIENT_SEARCH && !r->search.by_id) return check_dtype(r->search.dtype, r->search.dim, index, report);
	if (r->op != CLIENT_GET) return STATUS_OK;
	/* Id, found and the row of each item have to fit into one reply. */
	size_t each = 8 + 1 + dtype_row_bytes(metric_dtype(index->metric), index->dim);
	if (r->ids.n * each <= CLIENT_FRAME_MAX) return STATUS_OK;
	return report_set(report, STATUS_LIMIT, "%" PRIu32 " items of index '%s' are more than %d bytes: get at most %zu at once", r->ids.n, index->name,
		CLIENT_FRAME_MAX, CLIENT_FRAME_MAX / each);
}

/* ---- encoding ---- */

static void put_create(struct fields_out *out, const struct index_spec *s)
{
	fields_put_choice(out, FIELD_METRIC, metric_names, METRIC_COUNT, (int)s->metric);
	fields_put_u64(out, FIELD_DIM, s->dim);
	fields_put_u64(out, FIELD_SHARDS, s->shards);
	fields_put_u64(out, FIELD_REPLICAS, s->replicas);
	fields_put_u64(out, FIELD_TREES, s->trees);
	fields_put_u64(out, FIELD_SEED, s->seed);
}

static void put_upsert(struct fields_out *out, const struct items *items)
{
	fields_put_u64(out, FIELD_N, items->n);
	fields_put_u64(out, FIELD_DIM, items->dim);
	fields_put_choice(out, FIELD_DTYPE, dtype_names, 3, (int)items->dtype);
	fields_put_bool(out, FIELD_PAYLOADS, items->payloads.count > 0);
	fields_put_bool(out, FIELD_KEYS, items->keys.count > 0);
}

static void put_search(struct fields_out *out, const struct client_request *r)
{
	fields_put_u64(out, FIELD_K, r->search.spec.k);
	fields_put_choice(out, FIELD_MODE, mode_names, 3, (int)r->search.spec.mode);
	if (r->search.spec.search_k) fields_put_u64(out, FIELD_SEARCH_K, r->search.spec.search_k);
	if (r->search.spec.recall != 0) fields_put_float(out, FIELD_RECALL, r->search.spec.recall);
	fields_put_bool(out, FIELD_WITH_PAYLOAD, r->search.spec.with_payload);
	fields_put_u64(out, FIELD_NQ, r->search.nq);
	fields_put_float(out, FIELD_MIN_COVERAGE, r->search.min_coverage);
	if (r->search.by_id) {
		fields_put_bool(out, FIELD_BY_ID, true);
		return;
	}
	fields_put_u64(out, FIELD_DIM, r->search.dim);
	fields_put_choice(out, FIELD_DTYPE, dtype_names, 3, (int)r->search.dtype);
}

static bool scan_resumed(const struct client_request *r) { return r->scan.from.index || r->scan.from.shard || r->scan.from.id; }

static void put_fields(struct frames *frames, const struct client_request *r)
{
	struct fields_out out;

	fields_begin(&out, frames);
	fields_put_u64(&out, FIELD_V, CLIENT_PROTOCOL_VERSION);
	fields_put_u64(&out, FIELD_ID, r->id);
	if (r->client) fields_put_u64(&out, FIELD_CLIENT, r->client);
	fields_put_choice(&out, FIELD_OP, op_names, CLIENT_OP_COUNT, (int)r->op);
	if (frames->status == STATUS_OK && ops[r->op].index) fields_put_text(&out, FIELD_INDEX, r->index, strnlen(r->index, sizeof(r->index)));
	fields_put_u64(&out, FIELD_TIMEOUT_MS, r->timeout_ms);
	switch (r->op) {
	case CLIENT_HELLO:
		fields_put_u64(&out, FIELD_VERSION_MIN, r->hello.version_min);
		fields_put_u64(&out, FIELD_VERSION_MAX, r->hello.version_max);
		if (r->hello.bundles) fields_put_bool(&out, FIELD_BUNDLES, true);
		break;
	case CLIENT_CREATE: put_create(&out, &r->create.spec); break;
	case CLIENT_UPSERT: put_upsert(&out, &r->upsert.items); break;
	case CLIENT_DELETE: case CLIENT_GET:
		fields_put_u64(&out, FIELD_N, r->ids.n);
		fields_put_bool(&out, FIELD_KEYS, r->ids.keys.count > 0);
		break;
	case CLIENT_BUILD: fields_put_u64(&out, FIELD_TREES, r->build.trees); break;
	case CLIENT_SEARCH: put_search(&out, r); break;
	case CLIENT_SCAN:
		fields_put_u64(&out, FIELD_LIMIT, r->scan.limit);
		fields_put_bool(&out, FIELD_WITH_VECTOR, r->scan.with_vector);
		fields_put_bool(&out, FIELD_WITH_PAYLOAD, r->scan.with_payload);
		fields_put_bool(&out, FIELD_CURSOR, scan_resumed(r));
		break;
	case CLIENT_DROP: case CLIENT_LIST: case CLIENT_DESCRIBE: case CLIENT_STATUS: case CLIENT_OP_COUNT: break;
	}
	fields_end(&out);
}

static void put_frames(struct frames *frames, const struct client_request *r)
{
	if (r->op == CLIENT_UPSERT) {
		const struct items *items = &r->upsert.items;
		frames_put(frames, items->ids, items->ids ? items->n : 0, 8);
		frames_put(frames, items->vectors, items->n, dtype_row_bytes(items->dtype, items->dim));
		frames_put_blobs(frames, &items->payloads, items->n);
		frames_put_blobs(frames, &items->keys, items->n);
	} else if (r->op == CLIENT_DELETE || r->op == CLIENT_GET) {
		frames_put(frames, r->ids.ids, r->ids.ids ? r->ids.n : 0, 8);
		frames_put_blobs(frames, &r->ids.keys, r->ids.n);
	} else if (r->op == CLIENT_SEARCH) {
		frames_put(frames, r->search.vectors, r->search.nq, r->search.by_id ? 8 : dtype_row_bytes(r->search.dtype, r->search.dim));
	} else if (r->op == CLIENT_SCAN) {
		uint8_t cursor[CURSOR_BYTES];
		cursor_store(&r->scan.from, cursor);
		frames_put(frames, cursor, scan_resumed(r), CURSOR_BYTES);
	}
}

enum status client_request_encode(const struct client_request *r, struct encoded *ret, struct report *report)
{
	struct client_request back;
	struct encoded e = {0};
	struct frames frames;
	struct buf scratch;
	uint64_t id;
	enum status status;

	buf_init(&scratch, 0);
	frames_init(&frames, CLIENT_FRAME_MAX);
	put_fields(&frames, r);
	if (frames.status == STATUS_OK) put_frames(&frames, r);
	status = frames_finish(&frames, &e);
	if (status == STATUS_LIMIT)
		report_set(report, status, "the request has more than %d bytes after its header: send smaller batches", CLIENT_FRAME_MAX);
	else if (status == STATUS_BAD_REQUEST)
		report_set(report, status, "the request contradicts itself: an unknown operation, mode, metric or type, or lengths that do not add up");
	else if (status != STATUS_OK)
		report_set(report, status, "%s", status_text(status));
	if (status == STATUS_OK) status = client_request_decode(e.frames, e.count, &scratch, &back, &id, report);
	if (status == STATUS_OK) *ret = e;
	else encoded_release(&e);
	buf_release(&scratch);
	return status;
}
