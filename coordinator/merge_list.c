/* merge_list.c - a worker's reply, checked against what it was asked and copied out of its frames.
 *
 * Copied because the frames are unaligned and live only until the next message; the copy is a small part of what the search
 * cost. A worker is not trusted to answer for shards it was not asked about: one with a wrong map would otherwise put the
 * same item into an answer twice, or hide one. */
#include "coordinator/merge.h"

#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "common/topk.h"

void merge_list_release(struct merge_list *l)
{
	free(l->hits); /* and all up to the payloads */
	free(l->payload_offsets);
	free(l->payload_sizes);
	free(l->payload_bytes);
	memset(l, 0, sizeof(*l));
}

static void *array(size_t n, size_t size) { return calloc(n ? n : 1, size); }

_Static_assert(_Alignof(struct hit) == 8 && sizeof(struct hit) % 8 == 0 && _Alignof(struct shard_outcome) == 8 && sizeof(struct shard_outcome) % 8 == 0 &&
	sizeof(size_t) == 8, "the arrays of a list follow each other");
/* One piece of memory, each array as aligned as those before it: a reply of a few hits costs one call and not six. All of it is written before it is
 * read. The numbers are bounded by the codec, so that the sizes cannot overflow. */
static enum status list_allocate(struct merge_list *l, uint32_t nq, uint32_t shard_count, size_t total)
{
	size_t hits = total * sizeof(*l->hits), outcomes = shard_count * sizeof(*l->outcomes), candidates = nq * sizeof(*l->candidates),
	       starts = ((size_t)nq + 1) * sizeof(*l->starts), numbers = shard_count * sizeof(*l->numbers), answers = (size_t)nq * shard_count;
	uint8_t *at = malloc(hits + outcomes + candidates + starts + numbers + answers);
	if (!at) return STATUS_NO_MEMORY;
	l->shard_count = shard_count;
	l->hits = (struct hit *)at;
	l->outcomes = (struct shard_outcome *)(at += hits);
	l->candidates = (uint64_t *)(at += outcomes);
	l->starts = (size_t *)(at += candidates);
	l->numbers = (uint32_t *)(at += starts);
	l->answers = at + numbers;
	return STATUS_OK;
}

static enum status payloads_copy(struct merge_list *l, const struct blobs *b, size_t total)
{
	struct blob_cursor cursor = {0};
	l->payload_offsets = array(total, sizeof(*l->payload_offsets));
	l->payload_sizes = array(total, sizeof(*l->payload_sizes));
	l->payload_bytes = array(b->bytes_size, 1);
	if (!l->payload_offsets || !l->payload_sizes || !l->payload_bytes) return STATUS_NO_MEMORY;
	if (b->bytes_size) memcpy(l->payload_bytes, b->bytes, b->bytes_size);
	for (size_t i = 0; i < total; i++) {
		struct blob blob = blobs_next(b, &cursor);
		l->payload_sizes[i] = blob.size;
		l->payload_offsets[i] = blob.size ? (size_t)(blob.bytes - b->bytes) : 0;
	}
	return STATUS_OK;
}

/* Does the id belong to one of the shards that answered? `asked` is a bitmap over the index's shards. */
static bool id_belongs(const uint8_t *asked, uint64_t id, uint32_t index_shards)
{
	uint32_t shard = shard_of_id(id, index_shards);
	return asked[shard / 8] >> (shard % 8) & 1;
}

static enum status hits_copy(struct merge_list *l, const struct cluster_reply *reply, uint32_t k, const uint8_t *asked, uint32_t index_shards,
	struct report *report)
{
	size_t at = 0;
	for (uint32_t q = 0; q < reply->search.nq; q++) {
		uint32_t count = load_u32(reply->search.counts + 4 * (size_t)q);
		l->starts[q] = at;
		l->candidates[q] = load_u64(reply->search.candidates + 8 * (size_t)q);
		if (count > k || count > reply->search.total - at)
			return report_set(report, STATUS_BAD_REQUEST, "a worker answered with %u hits where at most %u were asked for", count, k);
		for (uint32_t i = 0; i < count; i++, at++) {
			struct hit hit = {load_u64(reply->search.ids + 8 * at), load_f32(reply->search.raws + 4 * at)};
			if (!id_belongs(asked, hit.id, index_shards))
				return report_set(report, STATUS_BAD_REQUEST, "a worker answered with an item of a shard that it was not asked for");
			if (hit_raw(hit.raw) != hit.raw || (i && hit_cmp(&l->hits[at - 1], &hit) > 0))
				return report_set(report, STATUS_BAD_REQUEST, "a worker answered with hits that are not sorted");
			l->hits[at] = hit;
		}
	}
	l->starts[reply->search.nq] = at;
	if (at != reply->search.total) return report_set(report, STATUS_BAD_REQUEST, "a worker's hits do not add up");
	return STATUS_OK;
}

static enum status outcomes_copy(struct merge_list *l, const struct cluster_reply *reply, const uint32_t *numbers, uint8_t *asked, struct report *report)
{
	uint32_t nq = reply->search.nq, shard_count = l->shard_count;
	memcpy(l->outcomes, reply->search.shards, shard_count * sizeof(*l->outcomes));
	memcpy(l->answers, reply->search.answers, (size_t)nq * shard_count);
	for (uint32_t s = 0; s < shard_count; s++) {
		bool answered = false;
		for (uint32_t q = 0; q < nq; q++) {
			uint8_t answer = l->answers[(size_t)q * shard_count + s];
			if (answer > ANSWER_NONE) return report_set(report, STATUS_BAD_REQUEST, "a worker's answer has an unknown mark");
			answered = answered || answer != ANSWER_NONE;
		}
		l->numbers[s] = numbers[s];
		if (answered) asked[numbers[s] / 8] |= (uint8_t)(1u << (numbers[s] % 8));
	}
	return STATUS_OK;
}

enum status merge_list_from(const struct cluster_reply *reply, uint32_t nq, uint32_t k, const uint32_t *numbers, uint32_t shard_count,
	uint32_t index_shards, struct merge_list *ret, struct report *report)
{
	struct merge_list l = {0};
	uint8_t asked[SHARDS_MAX / 8 + 1] = {0};
	enum status status = STATUS_BAD_REQUEST;
	if (reply->search.nq != nq || reply->search.shard_count != shard_count || reply->search.total > (uint64_t)nq * k) {
		report_set(report, status, "a worker answered for %u queries and %u shards, asked were %u and %u", reply->search.nq,
			reply->search.shard_count, nq, shard_count);
		goto out;
	}
	status = list_allocate(&l, nq, shard_count, (size_t)reply->search.total);
	if (status != STATUS_OK) goto out;
	status = outcomes_copy(&l, reply, numbers, asked, report);
	if (status != STATUS_OK) goto out;
	status = hits_copy(&l, reply, k, asked, index_shards, report);
	if (status != STATUS_OK) goto out;
	if (reply->search.payloads.count) status = payloads_copy(&l, &reply->search.payloads, (size_t)reply->search.total);
	if (status != STATUS_OK) goto out;
	*ret = l;
	memset(&l, 0, sizeof(l));
out:
	merge_list_release(&l);
	return status;
}
