/* merge.c - see merge.h.
 *
 * The number of lists is the number of workers asked, so the smallest head is found by a scan; a heap of heads starts to pay
 * at dozens of workers. */
#include "coordinator/merge.h"

#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "common/topk.h"

void merge_answer_release(struct merge_answer *a)
{
	buf_release(&a->counts);
	buf_release(&a->ids);
	buf_release(&a->distances);
	buf_release(&a->coverage);
	buf_release(&a->missing);
	buf_release(&a->payload_lengths);
	buf_release(&a->payload_bytes);
	memset(a, 0, sizeof(*a));
}

/* ---- hits ---- */

static enum status hit_append(const struct merge_request *r, const struct merge_list *l, size_t at, bool payloads, struct merge_answer *a)
{
	uint8_t bytes[8];
	store_u64(bytes, l->hits[at].id);
	enum status status = buf_append(&a->ids, bytes, 8);
	if (status != STATUS_OK) return status;
	store_f32(bytes, vec_shown(r->metric, l->hits[at].raw));
	status = buf_append(&a->distances, bytes, 4);
	if (status != STATUS_OK || !payloads) return status;
	uint32_t size = l->payload_sizes ? l->payload_sizes[at] : 0;
	store_u32(bytes, size);
	status = buf_append(&a->payload_lengths, bytes, 4);
	if (status != STATUS_OK || size == 0) return status;
	return buf_append(&a->payload_bytes, l->payload_bytes + l->payload_offsets[at], size);
}

/* The list whose head is smallest, or list_count when all are used up. */
static size_t smallest_head(const struct merge_request *r, const size_t *heads, uint32_t q)
{
	size_t best = r->list_count;
	for (size_t i = 0; i < r->list_count; i++) {
		if (heads[i] == r->lists[i].starts[q + 1]) continue;
		if (best == r->list_count || hit_cmp(&r->lists[i].hits[heads[i]], &r->lists[best].hits[heads[best]]) < 0) best = i;
	}
	return best;
}

static enum status query_merge(const struct merge_request *r, uint32_t q, bool payloads, size_t *heads, struct merge_answer *a)
{
	uint32_t count = 0;
	struct hit last = {0};
	uint8_t bytes[4];
	for (size_t i = 0; i < r->list_count; i++) heads[i] = r->lists[i].starts[q];
	while (count < r->k) {
		size_t best = smallest_head(r, heads, q);
		if (best == r->list_count) break;
		size_t at = heads[best]++;
		struct hit hit = r->lists[best].hits[at];
		if (count && hit_cmp(&hit, &last) == 0) continue;
		enum status status = hit_append(r, &r->lists[best], at, payloads, a);
		if (status != STATUS_OK) return status;
		last = hit;
		count++;
	}
	store_u32(bytes, count);
	a->hits.total += count;
	return buf_append(&a->counts, bytes, 4);
}

/* ---- coverage ---- */

static bool status_is_late(enum status s) { return s == STATUS_TIMEOUT || s == STATUS_OK; }

/* Is the answer enough for the caller? Counts of missing shards that no beat ever told cannot be weighed: then the share of
 * the shards stands for the share of the items. */
static bool coverage_enough(const struct merge_request *r, const struct coverage *c)
{
	bool counted = c->items_total > 0;
	if (coverage_complete(c)) return true;
	if (!(r->min_coverage < 1.0f)) return false;
	for (size_t i = 0; i < r->missing_count; i++) counted = counted && r->missing[i].counted;
	double share = counted ? (double)c->items_searched / (double)c->items_total : (double)c->answered / (double)c->shards;
	return share >= (double)r->min_coverage;
}

static struct coverage query_coverage(const struct merge_request *r, uint32_t q)
{
	struct coverage c = {.shards = r->shards};
	for (size_t i = 0; i < r->list_count; i++) {
		const struct merge_list *l = &r->lists[i];
		c.candidates += l->candidates[q];
		for (uint32_t s = 0; s < l->shard_count; s++) {
			uint8_t answer = l->answers[(size_t)q * l->shard_count + s];
			c.items_total += l->outcomes[s].items;
			if (answer == ANSWER_DONE) {
				c.answered++;
				c.items_searched += l->outcomes[s].items;
			} else if (answer == ANSWER_TRUNCATED || status_is_late(l->outcomes[s].status)) {
				c.late++;
			} else {
				c.failed++;
			}
		}
	}
	for (size_t i = 0; i < r->missing_count; i++) {
		c.items_total += r->missing[i].items;
		if (r->missing[i].status == STATUS_TIMEOUT)
			c.late++;
		else
			c.failed++;
	}
	return c;
}

static enum status missing_append(struct merge_answer *a, uint32_t shard, enum status status, uint64_t items)
{
	uint8_t *record;
	struct missing missing = {shard, status, items};
	enum status grown = buf_extend(&a->missing, MISSING_BYTES, &record);
	if (grown != STATUS_OK) return grown;
	missing_store(&missing, record);
	a->hits.missing_count++;
	return STATUS_OK;
}

/* The shards that are missing from at least one query, by number. */
static enum status missing_list(const struct merge_request *r, struct merge_answer *a)
{
	struct merge_missing *all = calloc(r->shards, sizeof(*all));
	bool *absent = calloc(r->shards, sizeof(*absent));
	enum status status = all && absent ? STATUS_OK : STATUS_NO_MEMORY;
	for (size_t i = 0; i < r->missing_count && status == STATUS_OK; i++) {
		all[r->missing[i].number] = r->missing[i];
		absent[r->missing[i].number] = true;
	}
	for (size_t i = 0; i < r->list_count && status == STATUS_OK; i++) {
		const struct merge_list *l = &r->lists[i];
		for (uint32_t s = 0; s < l->shard_count; s++) {
			bool whole = true;
			for (uint32_t q = 0; q < r->nq && whole; q++) whole = l->answers[(size_t)q * l->shard_count + s] == ANSWER_DONE;
			if (whole) continue;
			enum status why = l->outcomes[s].status;
			all[l->numbers[s]] = (struct merge_missing){.status = why == STATUS_OK ? STATUS_TIMEOUT : why, .items = l->outcomes[s].items};
			absent[l->numbers[s]] = true;
		}
	}
	for (uint32_t i = 0; i < r->shards && status == STATUS_OK; i++)
		if (absent[i]) status = missing_append(a, i, all[i].status, all[i].items);
	free(all);
	free(absent);
	return status;
}

static enum status coverage_all(const struct merge_request *r, struct merge_answer *a)
{
	bool enough = true, anything = false;
	for (uint32_t q = 0; q < r->nq; q++) {
		uint8_t *record;
		struct coverage c = query_coverage(r, q);
		enum status status = buf_extend(&a->coverage, COVERAGE_BYTES, &record);
		if (status != STATUS_OK) return status;
		coverage_store(&c, record);
		enough = enough && coverage_enough(r, &c);
		anything = anything || c.answered || a->hits.total;
	}
	enum status status = missing_list(r, a);
	if (status != STATUS_OK || enough) return status;
	uint64_t items = 0;
	bool busy = false, counted = true;
	for (uint32_t i = 0; i < a->hits.missing_count; i++) {
		struct missing missing;
		missing_load(a->missing.bytes + (size_t)i * MISSING_BYTES, &missing);
		items += missing.items;
		busy = busy || missing.status == STATUS_BUSY;
	}
	for (size_t i = 0; i < r->missing_count; i++) counted = counted && r->missing[i].counted;
	if (busy && !anything)
		report_set(&a->report, STATUS_BUSY, "the workers have too much work queued: try again a little later");
	else
		report_set(&a->report, STATUS_INCOMPLETE,
			"%u of %u shards are missing from the answer, with about %llu items%s: see `grove status`, or accept less with --min-coverage",
			a->hits.missing_count, r->shards, (unsigned long long)items, counted ? "" : " and others that were never counted");
	return STATUS_OK;
}

/* Of all the answering shards together: each holds its part of the true hits by the number of its items. */
static float predicted_recall(const struct merge_request *r)
{
	double items = 0, found = 0;
	for (size_t i = 0; i < r->list_count; i++)
		for (uint32_t s = 0; s < r->lists[i].shard_count; s++) {
			const struct shard_outcome *o = &r->lists[i].outcomes[s];
			if (o->status != STATUS_OK || o->items == 0) continue;
			if (o->predicted == 0) return 0;
			items += (double)o->items;
			found += (double)o->items * (double)o->predicted;
		}
	return items > 0 ? (float)(found / items) : 0;
}

enum status merge_run(const struct merge_request *r, struct merge_answer *ret, struct report *report)
{
	struct merge_answer a = {.hits = {.nq = r->nq}};
	bool payloads = false;
	size_t *heads = calloc(r->list_count + 1, sizeof(*heads));
	enum status status = heads ? STATUS_OK : STATUS_NO_MEMORY;
	for (size_t i = 0; i < r->list_count; i++) payloads = payloads || r->lists[i].payload_sizes;
	for (uint32_t q = 0; q < r->nq && status == STATUS_OK; q++) status = query_merge(r, q, payloads, heads, &a);
	if (status == STATUS_OK) status = coverage_all(r, &a);
	if (status == STATUS_OK && a.payload_bytes.size + a.ids.size + a.distances.size > CLIENT_FRAME_MAX)
		status = report_set(report, STATUS_LIMIT, "the answer passes %d bytes (CLIENT_FRAME_MAX): ask for fewer hits, or without payloads",
			CLIENT_FRAME_MAX);
	if (status != STATUS_OK) goto out;
	a.hits.predicted = predicted_recall(r);
	a.hits.counts = a.counts.bytes;
	a.hits.ids = a.ids.bytes;
	a.hits.distances = a.distances.bytes;
	a.hits.coverage = a.coverage.bytes;
	a.hits.missing = a.missing.bytes;
	if (payloads)
		a.hits.payloads = (struct blobs){(uint32_t)a.hits.total, a.payload_lengths.bytes, a.payload_bytes.bytes, a.payload_bytes.size};
	*ret = a;
	memset(&a, 0, sizeof(a));
out:
	merge_answer_release(&a);
	free(heads);
	return status;
}
