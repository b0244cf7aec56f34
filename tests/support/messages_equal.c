/* messages_equal.c - deep comparison of decoded messages, field by field: structs have padding, unions have leftovers. */
#include <string.h>

#include "tests/support/messages.h"

static bool bytes_equal(const void *a, const void *b, size_t n) { return n == 0 || memcmp(a, b, n) == 0; }

static bool blobs_equal(const struct blobs *a, const struct blobs *b)
{
	return a->count == b->count && a->bytes_size == b->bytes_size && bytes_equal(a->lengths, b->lengths, (size_t)a->count * 4) &&
	       bytes_equal(a->bytes, b->bytes, a->bytes_size);
}

static bool items_equal(const struct items *a, const struct items *b, bool vectors)
{
	return a->n == b->n && a->dtype == b->dtype && a->dim == b->dim && bytes_equal(a->ids, b->ids, (size_t)a->n * 8) &&
	       (!vectors || bytes_equal(a->vectors, b->vectors, a->n * dtype_row_bytes(a->dtype, a->dim))) &&
	       blobs_equal(&a->payloads, &b->payloads) && blobs_equal(&a->keys, &b->keys);
}

static bool specs_equal(const struct index_spec *a, const struct index_spec *b)
{
	return a->id == b->id && !strcmp(a->name, b->name) && a->metric == b->metric && a->dim == b->dim && a->shards == b->shards &&
	       a->replicas == b->replicas && a->trees == b->trees && a->seed == b->seed;
}

static bool efforts_equal(const struct search_spec *a, const struct search_spec *b)
{
	return a->k == b->k && a->mode == b->mode && a->search_k == b->search_k && a->recall == b->recall && a->spread == b->spread && a->with_payload == b->with_payload;
}

static bool reports_equal(const struct report *a, const struct report *b) { return a->status == b->status && !strcmp(a->text, b->text); }

static bool shard_reports_equal(const struct shard_report *a, const struct shard_report *b)
{
	return uuid_equal(a->shard, b->shard) && a->index_id == b->index_id && a->number == b->number && a->state == b->state && a->status == b->status &&
	       a->epoch == b->epoch && a->sequence == b->sequence && a->items == b->items && a->memory_bytes == b->memory_bytes &&
	       a->disk_bytes == b->disk_bytes && a->segments == b->segments && a->progress_permille == b->progress_permille && a->trees == b->trees;
}

static bool cursors_equal(const struct scan_cursor *a, const struct scan_cursor *b) { return a->index == b->index && a->shard == b->shard && a->id == b->id; }

bool client_requests_equal(const struct client_request *a, const struct client_request *b)
{
	if (a->id != b->id || a->client != b->client || a->op != b->op || a->timeout_ms != b->timeout_ms || strcmp(a->index, b->index)) return false;
	switch (a->op) {
	case CLIENT_HELLO: return a->hello.version_min == b->hello.version_min && a->hello.version_max == b->hello.version_max;
	case CLIENT_CREATE: return specs_equal(&a->create.spec, &b->create.spec);
	case CLIENT_UPSERT: return items_equal(&a->upsert.items, &b->upsert.items, true);
	case CLIENT_DELETE: case CLIENT_GET:
		return a->ids.n == b->ids.n && bytes_equal(a->ids.ids, b->ids.ids, (size_t)a->ids.n * 8) && blobs_equal(&a->ids.keys, &b->ids.keys);
	case CLIENT_BUILD: return a->build.trees == b->build.trees;
	case CLIENT_SEARCH:
		return efforts_equal(&a->search.spec, &b->search.spec) && a->search.nq == b->search.nq && a->search.by_id == b->search.by_id &&
		       a->search.dtype == b->search.dtype && a->search.dim == b->search.dim && a->search.min_coverage == b->search.min_coverage &&
		       bytes_equal(a->search.vectors, b->search.vectors,
			       a->search.nq * (a->search.by_id ? 8 : dtype_row_bytes(a->search.dtype, a->search.dim)));
	case CLIENT_SCAN:
		return cursors_equal(&a->scan.from, &b->scan.from) && a->scan.limit == b->scan.limit && a->scan.with_vector == b->scan.with_vector &&
		       a->scan.with_payload == b->scan.with_payload;
	case CLIENT_DROP: case CLIENT_LIST: case CLIENT_DESCRIBE: case CLIENT_STATUS: case CLIENT_OP_COUNT: break;
	}
	return true;
}

static bool infos_equal(const struct index_info *a, const struct index_info *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (!specs_equal(&a[i].spec, &b[i].spec) || a[i].items != b[i].items || a[i].shards_serving != b[i].shards_serving ||
		    a[i].shards_building != b[i].shards_building || a[i].progress_permille != b[i].progress_permille || a[i].complete != b[i].complete)
			return false;
	return true;
}

static bool workers_equal(const struct worker_info *a, const struct worker_info *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (!uuid_equal(a[i].id, b[i].id) || a[i].state != b[i].state || a[i].pid != b[i].pid || strcmp(a[i].endpoint, b[i].endpoint) ||
		    a[i].items != b[i].items || a[i].memory_bytes != b[i].memory_bytes || a[i].age_ms != b[i].age_ms || a[i].shards != b[i].shards ||
		    a[i].threads != b[i].threads)
			return false;
	return true;
}

static bool shards_equal(const struct shard_info *a, const struct shard_info *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (!uuid_equal(a[i].worker, b[i].worker) || !shard_reports_equal(&a[i].report, &b[i].report)) return false;
	return true;
}

static bool hits_equal(const struct client_hits *a, const struct client_hits *b)
{
	return a->nq == b->nq && a->total == b->total && a->predicted == b->predicted && a->missing_count == b->missing_count && bytes_equal(a->counts, b->counts, (size_t)a->nq * 4) &&
	       bytes_equal(a->ids, b->ids, a->total * 8) && bytes_equal(a->distances, b->distances, a->total * 4) &&
	       bytes_equal(a->coverage, b->coverage, (size_t)a->nq * COVERAGE_BYTES) &&
	       bytes_equal(a->missing, b->missing, (size_t)a->missing_count * MISSING_BYTES) && blobs_equal(&a->payloads, &b->payloads);
}

bool client_replies_equal(const struct client_reply *a, const struct client_reply *b)
{
	if (a->id != b->id || a->op != b->op || !reports_equal(&a->error, &b->error)) return false;
	switch (a->op) {
	case CLIENT_HELLO: return a->hello.version == b->hello.version && !strcmp(a->hello.server, b->hello.server);
	case CLIENT_UPSERT: case CLIENT_DELETE:
		return a->write.n == b->write.n && a->write.token_count == b->write.token_count && bytes_equal(a->write.results, b->write.results, a->write.n) &&
		       bytes_equal(a->write.tokens, b->write.tokens, (size_t)a->write.token_count * TOKEN_BYTES);
	case CLIENT_GET: return items_equal(&a->get.items, &b->get.items, true) && bytes_equal(a->get.found, b->get.found, a->get.items.n);
	case CLIENT_SCAN:
		return items_equal(&a->scan.items, &b->scan.items, true) && a->scan.end == b->scan.end && (a->scan.end || cursors_equal(&a->scan.next, &b->scan.next));
	case CLIENT_SEARCH: return hits_equal(&a->search, &b->search);
	case CLIENT_CREATE: case CLIENT_LIST: case CLIENT_BUILD: return a->list.count == b->list.count && infos_equal(a->list.indexes, b->list.indexes, a->list.count);
	case CLIENT_STATUS: case CLIENT_DESCRIBE:
		return a->status.worker_count == b->status.worker_count && a->status.index_count == b->status.index_count &&
		       a->status.shard_count == b->status.shard_count && workers_equal(a->status.workers, b->status.workers, a->status.worker_count) &&
		       infos_equal(a->status.indexes, b->status.indexes, a->status.index_count) &&
		       shards_equal(a->status.shards, b->status.shards, a->status.shard_count);
	case CLIENT_DROP: case CLIENT_OP_COUNT: break;
	}
	return true;
}

static bool beats_equal(const struct cluster_beat *a, const struct cluster_beat *b)
{
	if (!uuid_equal(a->worker, b->worker) || !uuid_equal(a->cluster, b->cluster) || a->incarnation != b->incarnation || a->beat != b->beat ||
	    a->pid != b->pid || a->memory_bytes != b->memory_bytes || a->threads != b->threads || strcmp(a->endpoint, b->endpoint) ||
	    a->shard_count != b->shard_count)
		return false;
	for (uint32_t i = 0; i < a->shard_count; i++)
		if (!shard_reports_equal(&a->shards[i], &b->shards[i])) return false;
	return true;
}

bool cluster_requests_equal(const struct cluster_request *a, const struct cluster_request *b)
{
	if (a->id != b->id || a->kind != b->kind || a->remaining_us != b->remaining_us) return false;
	switch (a->kind) {
	case CLUSTER_BEAT: return beats_equal(&a->beat, &b->beat);
	case CLUSTER_WELCOME: return uuid_equal(a->welcome.cluster, b->welcome.cluster) && reports_equal(&a->welcome.refusal, &b->welcome.refusal);
	case CLUSTER_OPEN:
		return uuid_equal(a->open.shard, b->open.shard) && specs_equal(&a->open.index, &b->open.index) && a->open.number == b->open.number &&
		       a->open.epoch == b->open.epoch && a->open.create == b->open.create;
	case CLUSTER_DROP: return uuid_equal(a->drop.shard, b->drop.shard) && a->drop.index_id == b->drop.index_id;
	case CLUSTER_WRITE:
		return uuid_equal(a->write.shard, b->write.shard) && a->write.epoch == b->write.epoch && a->write.kind == b->write.kind &&
		       a->write.client == b->write.client && a->write.client_request == b->write.client_request &&
		       items_equal(&a->write.items, &b->write.items, a->write.kind == WRITE_UPSERT);
	case CLUSTER_GET:
		return uuid_equal(a->get.shard, b->get.shard) && a->get.n == b->get.n && bytes_equal(a->get.ids, b->get.ids, (size_t)a->get.n * 8) &&
		       blobs_equal(&a->get.keys, &b->get.keys);
	case CLUSTER_BUILD:
		return uuid_equal(a->build.shard, b->build.shard) && a->build.epoch == b->build.epoch && a->build.trees == b->build.trees &&
		       a->build.seed == b->build.seed;
	case CLUSTER_SEARCH:
		return efforts_equal(&a->search.spec, &b->search.spec) && a->search.nq == b->search.nq && a->search.dtype == b->search.dtype &&
		       a->search.dim == b->search.dim && a->search.shard_count == b->search.shard_count &&
		       bytes_equal(a->search.vectors, b->search.vectors, a->search.nq * dtype_row_bytes(a->search.dtype, a->search.dim)) &&
		       bytes_equal(a->search.shards, b->search.shards, a->search.shard_count * sizeof(struct uuid));
	case CLUSTER_SCAN:
		return uuid_equal(a->scan.shard, b->scan.shard) && a->scan.from == b->scan.from && a->scan.limit == b->scan.limit &&
		       a->scan.with_vector == b->scan.with_vector && a->scan.with_payload == b->scan.with_payload;
	case CLUSTER_REPLY: case CLUSTER_KIND_COUNT: break;
	}
	return false;
}

static bool found_equal(const struct cluster_reply *a, const struct cluster_reply *b)
{
	uint32_t nq = a->search.nq, shards = a->search.shard_count;
	uint64_t total = a->search.total;

	if (nq != b->search.nq || shards != b->search.shard_count || total != b->search.total) return false;
	for (uint32_t i = 0; i < shards; i++) {
		const struct shard_outcome *x = &a->search.shards[i], *y = &b->search.shards[i];
		if (x->status != y->status || x->items != y->items || x->sequence != y->sequence || x->epoch != y->epoch || x->predicted != y->predicted) return false;
	}
	return bytes_equal(a->search.answers, b->search.answers, (size_t)nq * shards) && bytes_equal(a->search.candidates, b->search.candidates, (size_t)nq * 8) &&
	       bytes_equal(a->search.counts, b->search.counts, (size_t)nq * 4) && bytes_equal(a->search.ids, b->search.ids, total * 8) &&
	       bytes_equal(a->search.raws, b->search.raws, total * 4) && blobs_equal(&a->search.payloads, &b->search.payloads);
}

bool cluster_replies_equal(const struct cluster_reply *a, const struct cluster_reply *b)
{
	if (a->id != b->id || a->to != b->to || !reports_equal(&a->error, &b->error)) return false;
	switch (a->to) {
	case CLUSTER_WRITE:
		return a->write.n == b->write.n && a->write.epoch == b->write.epoch && a->write.sequence == b->write.sequence &&
		       bytes_equal(a->write.results, b->write.results, a->write.n);
	case CLUSTER_GET: return items_equal(&a->get.items, &b->get.items, true) && bytes_equal(a->get.found, b->get.found, a->get.items.n);
	case CLUSTER_BUILD: return a->build.items == b->build.items && a->build.trees == b->build.trees;
	case CLUSTER_SCAN: return items_equal(&a->scan.items, &b->scan.items, true) && a->scan.more == b->scan.more && a->scan.next == b->scan.next;
	case CLUSTER_SEARCH: return found_equal(a, b);
	default: return true;
	}
}
