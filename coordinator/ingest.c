/* ingest.c - see ingest.h. */
#include "coordinator/ingest.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cursor.h"

void ingest_release(struct ingest *in)
{
	for (uint32_t i = 0; i < in->group_count; i++) {
		struct ingest_group *g = &in->groups[i];
		buf_release(&g->ids);
		buf_release(&g->vectors);
		buf_release(&g->payload_lengths);
		buf_release(&g->payload_bytes);
		buf_release(&g->key_lengths);
		buf_release(&g->key_bytes);
	}
	free(in->groups);
	free(in->positions);
	free(in->results);
	buf_release(&in->tokens);
	memset(in, 0, sizeof(*in));
}

void ingest_forget_items(struct ingest *in)
{
	for (uint32_t i = 0; i < in->group_count; i++) {
		struct ingest_group *g = &in->groups[i];
		buf_release(&g->vectors);
		buf_release(&g->payload_lengths);
		buf_release(&g->payload_bytes);
		buf_release(&g->key_lengths);
		buf_release(&g->key_bytes);
		g->items = (struct items){.n = g->items.n, .dtype = g->items.dtype, .dim = g->items.dim, .ids = g->items.ids};
	}
}

/* Counting sort of the positions by shard: stable, so the order inside a shard is the batch's. */
static enum status positions_sort(struct ingest *in, const struct items *items)
{
	uint32_t *starts = calloc((size_t)in->shards + 1, sizeof(*starts));
	if (!starts) return STATUS_NO_MEMORY;
	for (uint32_t i = 0; i < in->n; i++) starts[shard_of_id(load_u64(items->ids + 8 * (size_t)i), in->shards) + 1]++;
	for (uint32_t s = 0; s < in->shards; s++) {
		uint32_t count = starts[s + 1];
		if (count) {
			struct ingest_group *g = &in->groups[in->group_count++];
			g->shard = s;
			g->items.n = count;
			g->positions = in->positions + starts[s];
		}
		starts[s + 1] += starts[s];
	}
	for (uint32_t i = 0; i < in->n; i++) in->positions[starts[shard_of_id(load_u64(items->ids + 8 * (size_t)i), in->shards)]++] = i;
	free(starts);
	return STATUS_OK;
}

/* Where each blob of the batch lies: blobs can only be walked in order. */
static enum status blobs_index(const struct blobs *b, uint32_t n, struct blob **ret)
{
	struct blob_cursor cursor = {0};
	struct blob *index = NULL;
	if (b->count) {
		index = calloc(n, sizeof(*index));
		if (!index) return STATUS_NO_MEMORY;
		for (uint32_t i = 0; i < n; i++) index[i] = blobs_next(b, &cursor);
	}
	*ret = index;
	return STATUS_OK;
}

static enum status blobs_gather(const struct blob *index, const struct ingest_group *g, struct buf *lengths, struct buf *bytes, struct blobs *ret)
{
	enum status status = STATUS_OK;
	if (!index) return STATUS_OK;
	for (uint32_t i = 0; i < g->items.n && status == STATUS_OK; i++) {
		struct blob blob = index[g->positions[i]];
		uint8_t size[4];
		store_u32(size, blob.size);
		status = buf_append(lengths, size, sizeof(size));
		if (status == STATUS_OK && blob.size) status = buf_append(bytes, blob.bytes, blob.size);
	}
	if (status == STATUS_OK) *ret = (struct blobs){g->items.n, lengths->bytes, bytes->bytes, bytes->size};
	return status;
}

static enum status group_gather(struct ingest_group *g, const struct items *items, const struct blob *payloads, const struct blob *keys)
{
	size_t row = items->vectors ? dtype_row_bytes(items->dtype, items->dim) : 0;
	uint8_t *ids, *rows = NULL;
	enum status status = buf_extend(&g->ids, 8 * (size_t)g->items.n, &ids);
	if (status == STATUS_OK && row) status = buf_extend(&g->vectors, row * g->items.n, &rows);
	if (status != STATUS_OK) return status;
	for (uint32_t i = 0; i < g->items.n; i++) {
		memcpy(ids + 8 * (size_t)i, items->ids + 8 * (size_t)g->positions[i], 8);
		if (row) memcpy(rows + row * i, items->vectors + row * g->positions[i], row);
	}
	g->items.dtype = items->dtype;
	g->items.dim = items->dim;
	g->items.ids = ids;
	g->items.vectors = rows;
	status = blobs_gather(payloads, g, &g->payload_lengths, &g->payload_bytes, &g->items.payloads);
	if (status != STATUS_OK) return status;
	return blobs_gather(keys, g, &g->key_lengths, &g->key_bytes, &g->items.keys);
}

enum status ingest_init(struct ingest *ret, const struct items *items, uint32_t shards)
{
	struct ingest in = {.n = items->n, .shards = shards};
	struct blob *payloads = NULL, *keys = NULL;
	enum status status = STATUS_NO_MEMORY;
	uint32_t groups = items->n < shards ? items->n : shards;
	in.groups = calloc(groups ? groups : 1, sizeof(*in.groups));
	in.positions = calloc(items->n ? items->n : 1, sizeof(*in.positions));
	in.results = malloc(items->n ? items->n : 1);
	if (!in.groups || !in.positions || !in.results) goto out;
	memset(in.results, ITEM_REJECTED, items->n ? items->n : 1);
	status = positions_sort(&in, items);
	if (status == STATUS_OK) status = blobs_index(&items->payloads, items->n, &payloads);
	if (status == STATUS_OK) status = blobs_index(&items->keys, items->n, &keys);
	for (uint32_t i = 0; i < in.group_count && status == STATUS_OK; i++) status = group_gather(&in.groups[i], items, payloads, keys);
	if (status != STATUS_OK) goto out;
	*ret = in;
	memset(&in, 0, sizeof(in));
out:
	free(payloads);
	free(keys);
	ingest_release(&in);
	return status;
}

static void group_fill(struct ingest *in, uint32_t group, enum item_result result)
{
	const struct ingest_group *g = &in->groups[group];
	for (uint32_t i = 0; i < g->items.n; i++) in->results[g->positions[i]] = (uint8_t)result;
}

/* The first reason is kept; UNKNOWN replaces any other, since it asks more of the caller. */
static void worst_note(struct ingest *in, const struct report *why)
{
	if (in->worst.status == STATUS_OK || (why->status == STATUS_UNKNOWN && in->worst.status != STATUS_UNKNOWN)) in->worst = *why;
}

void ingest_rejected(struct ingest *in, uint32_t group, const struct report *why)
{
	require(group < in->group_count && why->status != STATUS_OK);
	group_fill(in, group, ITEM_REJECTED);
	worst_note(in, why);
}

void ingest_unknown(struct ingest *in, uint32_t group, const struct report *why)
{
	struct report unknown = *why;
	require(group < in->group_count);
	unknown.status = STATUS_UNKNOWN;
	group_fill(in, group, ITEM_UNKNOWN);
	worst_note(in, &unknown);
}

/* Refusals that a worker gives before it appends anything: the whole group is certainly not applied. */
static bool status_refuses(enum status s)
{
	switch (s) {
	case STATUS_BAD_REQUEST:
	case STATUS_LIMIT:
	case STATUS_NOT_FOUND:
	case STATUS_BUSY:
	case STATUS_UNAVAILABLE:
	case STATUS_DISK_FULL:
	case STATUS_UNSUPPORTED:
	case STATUS_STALE: return true;
	default: return false;
	}
}

enum status ingest_answered(struct ingest *in, uint32_t group, const struct cluster_reply *reply)
{
	const struct ingest_group *g = &in->groups[group];
	struct report why = reply->error;
	bool all_ok = true, unknown = false;
	require(group < in->group_count);
	if (reply->write.n != g->items.n) {
		if (why.status == STATUS_OK)
			report_set(&why, STATUS_UNKNOWN, "a worker answered for %u items of %u: see its log", reply->write.n, g->items.n);
		if (status_refuses(why.status))
			ingest_rejected(in, group, &why);
		else
			ingest_unknown(in, group, &why);
		return STATUS_OK;
	}
	for (uint32_t i = 0; i < g->items.n; i++) {
		uint8_t result = reply->write.results[i] <= ITEM_UNKNOWN ? reply->write.results[i] : ITEM_UNKNOWN;
		in->results[g->positions[i]] = result;
		all_ok = all_ok && result == ITEM_OK;
		unknown = unknown || result == ITEM_UNKNOWN;
	}
	if (!all_ok) {
		if (why.status == STATUS_OK) report_set(&why, STATUS_BAD_REQUEST, "the worker rejected some items, for example a key whose id belongs to another key");
		if (unknown) why.status = STATUS_UNKNOWN;
		worst_note(in, &why);
	}
	if (reply->write.sequence == 0) return STATUS_OK;
	uint8_t *record;
	struct token token = {g->shard, reply->write.epoch, reply->write.sequence};
	enum status status = buf_extend(&in->tokens, TOKEN_BYTES, &record);
	if (status != STATUS_OK) return status;
	token_store(&token, record);
	in->token_count++;
	return STATUS_OK;
}

void ingest_report(const struct ingest *in, struct report *ret)
{
	uint32_t rejected = 0, unknown = 0;
	for (uint32_t i = 0; i < in->n; i++) {
		rejected += in->results[i] == ITEM_REJECTED;
		unknown += in->results[i] == ITEM_UNKNOWN;
	}
	if (rejected == 0 && unknown == 0) {
		*ret = (struct report){.status = STATUS_OK};
		return;
	}
	report_set(ret, in->worst.status == STATUS_OK ? STATUS_UNKNOWN : in->worst.status, "%u of %u items rejected, %u unknown: %s", rejected, in->n,
		unknown, report_text(&in->worst));
}
