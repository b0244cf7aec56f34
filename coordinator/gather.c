/* gather.c - see gather.h. */
#include "coordinator/gather.h"

#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"

enum status gather_init(struct gather *ret, const struct items *asked, uint32_t shards, enum dtype dtype, uint32_t dim, struct report *report)
{
	struct gather g = {.dtype = dtype, .dim = dim};
	size_t n = asked->n ? asked->n : 1, row = dtype_row_bytes(dtype, dim), total;
	enum status status;
	if (!size_mul(row, asked->n, &total) || total > CLIENT_FRAME_MAX)
		return report_set(report, STATUS_LIMIT, "%u vectors of %zu bytes pass %d bytes (CLIENT_FRAME_MAX): ask for fewer at once", asked->n, row,
			CLIENT_FRAME_MAX);
	status = ingest_init(&g.asked, asked, shards);
	if (status != STATUS_OK) return report_set(report, status, "%s", status_text(status));
	g.ids = malloc(8 * n);
	g.vectors = calloc(n, row);
	g.found = calloc(n, 1);
	g.payloads = calloc(n, sizeof(*g.payloads));
	g.keys = calloc(n, sizeof(*g.keys));
	if (!g.ids || !g.vectors || !g.found || !g.payloads || !g.keys) {
		gather_release(&g);
		return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	}
	if (asked->n) memcpy(g.ids, asked->ids, 8 * (size_t)asked->n);
	*ret = g;
	return STATUS_OK;
}

static void blobs_free(struct blob *blobs, uint32_t n)
{
	for (uint32_t i = 0; blobs && i < n; i++) free((void *)(uintptr_t)blobs[i].bytes);
	free(blobs);
}

void gather_release(struct gather *g)
{
	blobs_free(g->payloads, g->asked.n);
	blobs_free(g->keys, g->asked.n);
	free(g->ids);
	free(g->vectors);
	free(g->found);
	ingest_release(&g->asked);
	memset(g, 0, sizeof(*g));
}

void gather_fault(struct gather *g, const struct report *why)
{
	if (g->fault.status == STATUS_OK) g->fault = *why;
}

static enum status blob_keep(struct blob *to, struct blob from)
{
	if (from.size == 0 || to->bytes) return STATUS_OK;
	uint8_t *bytes = malloc(from.size);
	if (!bytes) return STATUS_NO_MEMORY;
	memcpy(bytes, from.bytes, from.size);
	*to = (struct blob){bytes, from.size};
	return STATUS_OK;
}

static bool answer_fits(const struct gather *g, const struct ingest_group *group, const struct cluster_reply *reply)
{
	const struct items *items = &reply->get.items;
	if (items->n != group->items.n || items->dtype != g->dtype || items->dim != g->dim) return false;
	for (uint32_t i = 0; i < items->n; i++)
		if (load_u64(items->ids + 8 * (size_t)i) != load_u64(group->items.ids + 8 * (size_t)i)) return false;
	return true;
}

enum status gather_take(struct gather *g, uint32_t group_number, const struct cluster_reply *reply)
{
	const struct ingest_group *group = &g->asked.groups[group_number];
	const struct items *items = &reply->get.items;
	struct blob_cursor payload_at = {0}, key_at = {0};
	size_t row = dtype_row_bytes(g->dtype, g->dim);
	enum status status = STATUS_OK;
	if (reply->error.status != STATUS_OK) {
		struct report why = reply->error;
		if (why.status == STATUS_NOT_FOUND)
			report_set(&why, STATUS_UNAVAILABLE, "shard %u is not open on its worker: try again a little later", group->shard);
		gather_fault(g, &why);
		return STATUS_OK;
	}
	if (!answer_fits(g, group, reply)) {
		struct report why;
		report_set(&why, STATUS_IO, "the worker of shard %u answered with other items than it was asked for: see its log", group->shard);
		gather_fault(g, &why);
		return STATUS_OK;
	}
	for (uint32_t i = 0; i < items->n && status == STATUS_OK; i++) {
		uint32_t at = group->positions[i];
		struct blob payload = blobs_next(&items->payloads, &payload_at), key = blobs_next(&items->keys, &key_at);
		if (!reply->get.found[i]) continue;
		g->found[at] = 1;
		memcpy(g->vectors + row * at, items->vectors + row * i, row);
		status = blob_keep(&g->payloads[at], payload);
		if (status == STATUS_OK) status = blob_keep(&g->keys[at], key);
	}
	return status;
}

enum status gather_blobs(const struct gather *g, const struct blob *blobs, struct buf *lengths, struct buf *bytes, struct blobs *ret)
{
	enum status status = STATUS_OK;
	bool any = false;
	for (uint32_t i = 0; i < g->asked.n; i++) any = any || blobs[i].size;
	if (!any) {
		*ret = (struct blobs){0};
		return STATUS_OK;
	}
	for (uint32_t i = 0; i < g->asked.n && status == STATUS_OK; i++) {
		uint8_t size[4];
		store_u32(size, blobs[i].size);
		status = buf_append(lengths, size, sizeof(size));
		if (status == STATUS_OK && blobs[i].size) status = buf_append(bytes, blobs[i].bytes, blobs[i].size);
	}
	if (status == STATUS_OK) *ret = (struct blobs){g->asked.n, lengths->bytes, bytes->bytes, bytes->size};
	return status;
}
