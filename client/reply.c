/* reply.c - answers from the wire in the caller's shapes: aligned, owned, independent of the message they came in.
 *
 * The codec has checked the reply in itself; here it is checked against the request: as many outcomes as items, as many queries
 * as asked, no more than k hits. Memory: every array is one allocation, remembered in the box around the public struct. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client_internal.h"
#include "common/cursor.h"

enum { OWNED_MAX = 16 }; /* arrays of one reply; the largest, a get, has 8 */

struct box {
	grove_reply reply; /* first: a grove_reply * of ours is a struct box * */
	size_t owned_count;
	void *owned[OWNED_MAX];
};

/* Room for n elements, at least one byte, in the box; NULL: no memory. */
static void *box_array(struct box *b, size_t n, size_t size)
{
	if (b->owned_count == OWNED_MAX) return NULL;
	void *p = calloc(n ? n : 1, size);
	if (p) b->owned[b->owned_count++] = p;
	return p;
}

static void *box_copy(struct box *b, const void *bytes, size_t n)
{
	void *p = box_array(b, n, 1);
	if (p && n) memcpy(p, bytes, n);
	return p;
}

void grove_reply_free(grove_reply **reply)
{
	if (!reply || !*reply) return;
	struct box *b = (struct box *)*reply;
	for (size_t i = 0; i < b->owned_count; i++) free(b->owned[i]);
	free(b);
	*reply = NULL;
}

/* A write that failed as a whole without a word on its items: refused before anything was done, or not known. */
static enum item_result outcome_of(enum status code)
{
	switch (code) {
	case STATUS_OK: return ITEM_OK;
	case STATUS_BAD_REQUEST:
	case STATUS_LIMIT:
	case STATUS_NOT_FOUND:
	case STATUS_BUSY:
	case STATUS_UNAVAILABLE:
	case STATUS_DISK_FULL:
	case STATUS_UNSUPPORTED: return ITEM_REJECTED;
	default: return ITEM_UNKNOWN;
	}
}

static bool box_outcomes(struct box *b, uint32_t n, enum item_result outcome)
{
	uint8_t *outcomes = box_array(b, n, 1);
	if (!outcomes) return false;
	memset(outcomes, outcome, n);
	b->reply.outcomes = outcomes;
	b->reply.outcome_count = n;
	return true;
}

grove_reply *reply_local(struct asked asked, enum status code, enum item_result outcome, const char *sentence)
{
	struct box *b = calloc(1, sizeof(*b));
	if (!b) return NULL;
	b->reply.code = code;
	snprintf(b->reply.message, sizeof(b->reply.message), "%s", sentence);
	if ((asked.op == CLIENT_UPSERT || asked.op == CLIENT_DELETE) && !box_outcomes(b, asked.count, outcome)) {
		free(b);
		b = NULL;
	}
	return b ? &b->reply : NULL;
}

static bool strings_from(struct box *b, const struct blobs *in, uint64_t count, grove_strings *ret)
{
	if (in->count == 0) return true;
	if (in->count != count) return false;
	uint64_t *offsets = box_array(b, count + 1, sizeof(*offsets));
	uint8_t *bytes = box_copy(b, in->bytes, in->bytes_size);
	if (!offsets || !bytes) return false;
	for (uint64_t i = 0; i < count; i++) offsets[i + 1] = offsets[i] + load_u32(in->lengths + 4 * i);
	*ret = (grove_strings){.offsets = offsets, .bytes = bytes};
	return true;
}

/* ---- one function for each kind of answer; false: no memory ---- */

static bool write_from(struct box *b, const struct client_reply *wire, struct asked asked)
{
	if (wire->write.n == 0) return box_outcomes(b, asked.count, outcome_of(wire->error.status));
	uint8_t *outcomes = box_copy(b, wire->write.results, asked.count);
	grove_token *tokens = box_array(b, wire->write.token_count, sizeof(*tokens));
	if (!outcomes || !tokens) return false;
	for (uint32_t i = 0; i < wire->write.token_count; i++) {
		struct token t;
		token_load(wire->write.tokens + (size_t)i * TOKEN_BYTES, &t);
		tokens[i] = (grove_token){.shard = t.shard, .epoch = t.epoch, .sequence = t.sequence};
	}
	b->reply.outcomes = outcomes;
	b->reply.outcome_count = asked.count;
	b->reply.tokens = tokens;
	b->reply.token_count = wire->write.token_count;
	return true;
}

static bool rows_from(struct box *b, const struct items *items)
{
	grove_rows *rows = &b->reply.rows;
	rows->count = items->n;
	rows->dim = items->dim;
	rows->dtype = items->dtype;
	rows->ids = box_copy(b, items->ids, (size_t)items->n * sizeof(uint64_t));
	if (items->dim) rows->vectors = box_copy(b, items->vectors, items->n * dtype_row_bytes(items->dtype, items->dim));
	return rows->ids && (rows->vectors || !items->dim) && strings_from(b, &items->payloads, items->n, &rows->payloads) &&
	       strings_from(b, &items->keys, items->n, &rows->keys);
}

static bool get_from(struct box *b, const struct client_reply *wire, struct asked asked)
{
	b->reply.rows.found = box_copy(b, wire->get.found, wire->get.items.n);
	return b->reply.rows.found && rows_from(b, &wire->get.items);
}

static bool scan_from(struct box *b, const struct client_reply *wire)
{
	const struct scan_cursor *next = &wire->scan.next;
	b->reply.end = wire->scan.end;
	if (!wire->scan.end) b->reply.next = (grove_cursor){.index = next->index, .shard = next->shard, .id = next->id};
	return rows_from(b, &wire->scan.items);
}

static bool hits_from(struct box *b, const struct client_hits *in)
{
	grove_hits *out = &b->reply.hits;
	uint64_t *offsets = box_array(b, (size_t)in->nq + 1, sizeof(*offsets));
	grove_coverage *coverage = box_array(b, in->nq, sizeof(*coverage));
	grove_missing *missing = box_array(b, in->missing_count, sizeof(*missing));
	out->ids = box_copy(b, in->ids, in->total * sizeof(uint64_t));
	out->distances = box_copy(b, in->distances, in->total * sizeof(float));
	if (!offsets || !coverage || !missing || !out->ids || !out->distances) return false;
	for (uint32_t q = 0; q < in->nq; q++) {
		struct coverage c;
		coverage_load(in->coverage + (size_t)q * COVERAGE_BYTES, &c);
		coverage[q] = (grove_coverage){.shards = c.shards,
			.answered = c.answered,
			.failed = c.failed,
			.late = c.late,
			.items_total = c.items_total,
			.items_searched = c.items_searched,
			.candidates = c.candidates};
		offsets[q + 1] = offsets[q] + load_u32(in->counts + (size_t)q * 4);
	}
	for (uint32_t i = 0; i < in->missing_count; i++) {
		struct missing m;
		missing_load(in->missing + (size_t)i * MISSING_BYTES, &m);
		missing[i] = (grove_missing){.shard = m.shard, .code = m.status, .items = m.items};
	}
	out->queries = in->nq;
	out->total = in->total;
	out->offsets = offsets;
	out->coverage = coverage;
	out->missing = missing;
	out->missing_count = in->missing_count;
	out->predicted = in->predicted;
	return strings_from(b, &in->payloads, in->total, &out->payloads);
}

static bool indexes_from(struct box *b, const struct index_info *in, uint32_t n)
{
	grove_index *out = box_array(b, n, sizeof(*out));
	if (!out) return false;
	for (uint32_t i = 0; i < n; i++) {
		const struct index_spec *s = &in[i].spec;
		out[i] = (grove_index){.id = s->id,
			.metric = s->metric,
			.dim = s->dim,
			.shards = s->shards,
			.replicas = s->replicas,
			.trees = s->trees,
			.seed = s->seed,
			.items = in[i].items,
			.shards_serving = in[i].shards_serving,
			.shards_building = in[i].shards_building,
			.progress_permille = in[i].progress_permille,
			.complete = in[i].complete};
		memcpy(out[i].name, s->name, sizeof(out[i].name));
	}
	b->reply.indexes = out;
	b->reply.index_count = n;
	return true;
}

static bool shards_from(struct box *b, const struct shard_info *in, uint32_t n)
{
	grove_shard *out = box_array(b, n, sizeof(*out));
	if (!out) return false;
	for (uint32_t i = 0; i < n; i++) {
		const struct shard_report *r = &in[i].report;
		out[i] = (grove_shard){.index_id = r->index_id,
			.number = r->number,
			.state = r->state,
			.code = r->status,
			.segments = r->segments,
			.trees = r->trees,
			.progress_permille = r->progress_permille,
			.epoch = r->epoch,
			.sequence = r->sequence,
			.items = r->items,
			.memory_bytes = r->memory_bytes,
			.disk_bytes = r->disk_bytes};
		if (!uuid_is_zero(in[i].worker)) uuid_text(in[i].worker, out[i].worker);
	}
	b->reply.shards = out;
	b->reply.shard_count = n;
	return true;
}

static bool workers_from(struct box *b, const struct worker_info *in, uint32_t n)
{
	grove_worker *out = box_array(b, n, sizeof(*out));
	if (!out) return false;
	for (uint32_t i = 0; i < n; i++) {
		out[i] = (grove_worker){.state = in[i].state,
			.shards = in[i].shards,
			.threads = in[i].threads,
			.pid = in[i].pid,
			.items = in[i].items,
			.memory_bytes = in[i].memory_bytes,
			.age_ms = in[i].age_ms};
		uuid_text(in[i].id, out[i].id);
		snprintf(out[i].endpoint, sizeof(out[i].endpoint), "%s", in[i].endpoint);
	}
	b->reply.workers = out;
	b->reply.worker_count = n;
	return true;
}

/* Does the answer fit the question? Nobody behind this line need ask again. */
static bool reply_fits(const struct client_reply *wire, struct asked asked)
{
	/* A request that could not be read is refused without an operation; its sentence says why. */
	if (wire->op == CLIENT_OP_COUNT) return wire->error.status != STATUS_OK;
	if (wire->op != asked.op) return false;
	switch (asked.op) {
	case CLIENT_UPSERT:
	case CLIENT_DELETE: return wire->write.n == asked.count || (wire->write.n == 0 && wire->error.status != STATUS_OK);
	case CLIENT_GET: return wire->error.status != STATUS_OK || wire->get.items.n == asked.count;
	case CLIENT_SCAN: return wire->error.status != STATUS_OK || wire->scan.items.n <= asked.count;
	case CLIENT_SEARCH:
		if (wire->error.status != STATUS_OK && wire->search.nq == 0) return true;
		if (wire->search.nq != asked.count) return false;
		for (uint32_t q = 0; q < wire->search.nq; q++) {
			if (load_u32(wire->search.counts + (size_t)q * 4) > asked.k) return false;
		}
		return true;
	default: return true;
	}
}

static bool body_from(struct box *b, const struct client_reply *wire, struct asked asked)
{
	bool ok = wire->error.status == STATUS_OK;
	switch (asked.op) {
	case CLIENT_UPSERT:
	case CLIENT_DELETE: return write_from(b, wire, asked);
	case CLIENT_GET: return !ok || get_from(b, wire, asked);
	case CLIENT_SCAN: return !ok || scan_from(b, wire);
	case CLIENT_SEARCH: return wire->search.nq == 0 || hits_from(b, &wire->search);
	case CLIENT_CREATE:
	case CLIENT_LIST:
	case CLIENT_BUILD: return !ok || indexes_from(b, wire->list.indexes, wire->list.count);
	case CLIENT_DESCRIBE:
	case CLIENT_STATUS:
		return !ok || (indexes_from(b, wire->status.indexes, wire->status.index_count) &&
				      shards_from(b, wire->status.shards, wire->status.shard_count) &&
				      workers_from(b, wire->status.workers, wire->status.worker_count));
	default: return true;
	}
}

/* A write is OK only if every item is. */
static void judge_outcomes(grove_reply *r)
{
	uint32_t rejected = 0, unknown = 0;
	if (r->code != GROVE_OK) return;
	for (uint32_t i = 0; i < r->outcome_count; i++) {
		rejected += r->outcomes[i] == ITEM_REJECTED;
		unknown += r->outcomes[i] == ITEM_UNKNOWN;
	}
	if (rejected + unknown == 0) return;
	r->code = unknown ? GROVE_UNKNOWN : GROVE_UNAVAILABLE;
	snprintf(r->message, sizeof(r->message),
		"of %u items %u were rejected and the outcome of %u is unknown: they are safe to repeat", r->outcome_count,
		rejected, unknown);
}

enum status reply_from_wire(const struct client_reply *wire, struct asked asked, grove_reply **ret)
{
	if (!reply_fits(wire, asked)) return STATUS_UNSUPPORTED;
	struct box *b = calloc(1, sizeof(*b));
	if (!b) return STATUS_NO_MEMORY;
	grove_reply *reply = &b->reply;
	reply->code = wire->error.status;
	if (reply->code != GROVE_OK) snprintf(reply->message, sizeof(reply->message), "%s", report_text(&wire->error));
	if (!body_from(b, wire, asked)) {
		grove_reply_free(&reply);
		return STATUS_NO_MEMORY;
	}
	judge_outcomes(reply);
	*ret = reply;
	return STATUS_OK;
}
