/* request.c - the caller's arguments as requests: one function for each operation, then the same sent and waited for.
 *
 * Limits, finite values, names and frame sizes are client_request_encode()'s business (the same sentences as the server's).
 * Here only what the encoder cannot see is checked: NULL where an array is needed, both kinds of query given. */
#include <stdlib.h>
#include <string.h>

#include "client/client_internal.h"

/* Sizes laid end to end as the wire has them; the caller's arrays are used in place. */
static enum status blobs_from(const grove_blobs *in, uint32_t count, struct blobs *ret)
{
	if (!in->sizes) {
		*ret = (struct blobs){.count = 0};
		return STATUS_OK;
	}
	uint64_t total = 0;
	for (uint32_t i = 0; i < count; i++) total += in->sizes[i];
	if (total && !in->bytes) return STATUS_USAGE;
	*ret = (struct blobs){.count = count, .lengths = (const uint8_t *)in->sizes, .bytes = in->bytes, .bytes_size = total};
	return STATUS_OK;
}

static enum status request_begin(grove_client *c, struct client_request *r, enum client_op op, const char *index)
{
	memset(r, 0, sizeof(*r));
	r->op = op;
	if (!index) return client_fail(c, STATUS_USAGE, "the name of an index is missing");
	size_t size = strlen(index);
	if (size > NAME_MAX_BYTES || (size && !index_name_valid(index, size)))
		return client_fail(c, size > NAME_MAX_BYTES ? STATUS_LIMIT : STATUS_BAD_REQUEST,
			"'%.80s' is no name of an index: 1 to %d of a-z, 0-9, - and _, beginning with a letter or digit", index,
			NAME_MAX_BYTES);
	memcpy(r->index, index, size + 1);
	return STATUS_OK;
}

int grove_create_submit(grove_client *c, const grove_create_args *args, grove_ticket *ret)
{
	struct client_request r;
	enum status status = request_begin(c, &r, CLIENT_CREATE, args->name);
	if (status != STATUS_OK) return status;
	if (args->metric >= METRIC_COUNT)
		return client_fail(c, STATUS_BAD_REQUEST, "there is no metric %u: angular, euclidean, manhattan, hamming or dot",
			args->metric);
	r.create.spec = (struct index_spec){.metric = (enum metric)args->metric,
		.dim = args->dim,
		.shards = args->shards,
		.replicas = 1,
		.trees = args->trees,
		.seed = args->seed};
	memcpy(r.create.spec.name, r.index, sizeof(r.create.spec.name));
	return client_submit(c, &r, (struct asked){.op = CLIENT_CREATE}, ret);
}

static int named_submit(grove_client *c, enum client_op op, const char *index, uint32_t trees, grove_ticket *ret)
{
	struct client_request r;
	enum status status = request_begin(c, &r, op, index);
	if (status != STATUS_OK) return status;
	if (op == CLIENT_BUILD) r.build.trees = trees;
	return client_submit(c, &r, (struct asked){.op = op}, ret);
}

int grove_drop_submit(grove_client *c, const char *index, grove_ticket *ret)
{
	return named_submit(c, CLIENT_DROP, index, 0, ret);
}
int grove_list_submit(grove_client *c, grove_ticket *ret)
{
	return named_submit(c, CLIENT_LIST, "", 0, ret);
}
int grove_describe_submit(grove_client *c, const char *index, grove_ticket *ret)
{
	return named_submit(c, CLIENT_DESCRIBE, index, 0, ret);
}
int grove_status_submit(grove_client *c, grove_ticket *ret)
{
	return named_submit(c, CLIENT_STATUS, "", 0, ret);
}

int grove_build_submit(grove_client *c, const char *index, uint32_t trees, grove_ticket *ret)
{
	return named_submit(c, CLIENT_BUILD, index, trees, ret);
}

/* Ids of items of which some have keys: the hash of the key where there is one, the caller's id elsewhere. malloc'ed. */
static uint64_t *ids_of_keys(const grove_items *items)
{
	uint64_t *ids = malloc((items->count ? items->count : 1) * sizeof(*ids));
	const uint8_t *key = items->keys.bytes;
	for (uint32_t i = 0; ids && i < items->count; i++) {
		uint32_t size = items->keys.sizes[i];
		ids[i] = size ? item_id_of_key(key, size) : items->ids ? items->ids[i] : 0;
		key += size;
	}
	return ids;
}

/* No item may be without both. */
static bool items_addressed(const grove_items *items)
{
	if (items->ids || items->count == 0) return true;
	for (uint32_t i = 0; items->keys.sizes && i < items->count; i++) {
		if (items->keys.sizes[i] == 0) return false;
	}
	return items->keys.sizes != NULL;
}

int grove_upsert_submit(grove_client *c, const char *index, const grove_items *items, grove_ticket *ret)
{
	struct client_request r;
	enum status status = request_begin(c, &r, CLIENT_UPSERT, index);
	if (status != STATUS_OK) return status;
	if (items->count && (!items->vectors || !items_addressed(items)))
		return client_fail(c, STATUS_USAGE, "items need vectors, and each an id or a key");
	if (items->dtype > DTYPE_BITS) return client_fail(c, STATUS_USAGE, "there is no element type %u", items->dtype);
	if (items->count > BATCH_ITEMS_MAX)
		return client_fail(c, STATUS_LIMIT, "a batch has at most %d items, not %u", BATCH_ITEMS_MAX, items->count);
	r.upsert.items = (struct items){.n = items->count,
		.dtype = (enum dtype)items->dtype,
		.dim = items->dim,
		.ids = (const uint8_t *)items->ids,
		.vectors = items->vectors};
	if (blobs_from(&items->payloads, items->count, &r.upsert.items.payloads) != STATUS_OK ||
		blobs_from(&items->keys, items->count, &r.upsert.items.keys) != STATUS_OK)
		return client_fail(c, STATUS_USAGE, "payloads or keys have sizes but no bytes");
	uint64_t *ids = items->keys.sizes ? ids_of_keys(items) : NULL;
	if (items->keys.sizes && !ids) return client_fail(c, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	if (ids) r.upsert.items.ids = (const uint8_t *)ids;
	status = client_submit(c, &r, (struct asked){.op = CLIENT_UPSERT, .count = items->count}, ret);
	free(ids);
	return status;
}

static int ids_submit(
	grove_client *c, enum client_op op, const char *index, const uint64_t *ids, uint32_t count, grove_ticket *ret)
{
	struct client_request r;
	enum status status = request_begin(c, &r, op, index);
	if (status != STATUS_OK) return status;
	if (count && !ids) return client_fail(c, STATUS_USAGE, "the ids are missing");
	if (count > BATCH_ITEMS_MAX)
		return client_fail(c, STATUS_LIMIT, "a batch has at most %d ids, not %u", BATCH_ITEMS_MAX, count);
	r.ids.n = count;
	r.ids.ids = (const uint8_t *)ids;
	return client_submit(c, &r, (struct asked){.op = op, .count = count}, ret);
}

int grove_delete_submit(grove_client *c, const char *index, const uint64_t *ids, uint32_t count, grove_ticket *ret)
{
	return ids_submit(c, CLIENT_DELETE, index, ids, count, ret);
}

int grove_get_submit(grove_client *c, const char *index, const uint64_t *ids, uint32_t count, grove_ticket *ret)
{
	return ids_submit(c, CLIENT_GET, index, ids, count, ret);
}

static const enum search_mode modes[] = {[GROVE_GRAPH] = SEARCH_GRAPH, [GROVE_EXACT] = SEARCH_EXACT, [GROVE_FOREST] = SEARCH_FOREST};

int grove_search_submit(grove_client *c, const char *index, const grove_search_args *args, grove_ticket *ret)
{
	struct client_request r;
	enum status status = request_begin(c, &r, CLIENT_SEARCH, index);
	if (status != STATUS_OK) return status;
	if (!args->vectors == !args->ids) return client_fail(c, STATUS_USAGE, "a search needs either vectors or ids");
	if (args->mode >= sizeof(modes) / sizeof(modes[0]))
		return client_fail(c, STATUS_UNSUPPORTED, "there is no search mode %u: GROVE_GRAPH, GROVE_EXACT and GROVE_FOREST are", args->mode);
	if (args->vectors && args->dtype > DTYPE_BITS)
		return client_fail(c, STATUS_USAGE, "there is no element type %u", args->dtype);
	if (!(args->min_coverage <= 1)) return client_fail(c, STATUS_USAGE, "min_coverage is 0 to 1");
	r.search.spec = (struct search_spec){.k = args->k,
		.mode = modes[args->mode],
		.search_k = args->search_k,
		.recall = args->recall,
		.with_payload = args->with_payload != 0};
	r.search.nq = args->queries;
	r.search.by_id = args->ids != NULL;
	r.search.vectors = args->ids ? (const uint8_t *)args->ids : args->vectors;
	r.search.dtype = args->ids ? DTYPE_F32 : (enum dtype)args->dtype;
	r.search.dim = args->ids ? 0 : args->dim;
	r.search.min_coverage = args->min_coverage == 0 ? 1 : args->min_coverage < 0 ? 0 : args->min_coverage;
	return client_submit(c, &r, (struct asked){.op = CLIENT_SEARCH, .count = args->queries, .k = args->k}, ret);
}

int grove_scan_submit(grove_client *c, const char *index, const grove_scan_args *args, grove_ticket *ret)
{
	struct client_request r;
	enum status status = request_begin(c, &r, CLIENT_SCAN, index);
	if (status != STATUS_OK) return status;
	r.scan.from = (struct scan_cursor){.index = args->from.index, .shard = args->from.shard, .id = args->from.id};
	r.scan.limit = args->limit ? args->limit : SCAN_LIMIT_DEFAULT;
	r.scan.with_vector = args->with_vector != 0;
	r.scan.with_payload = args->with_payload != 0;
	return client_submit(c, &r, (struct asked){.op = CLIENT_SCAN, .count = r.scan.limit}, ret);
}

/* ---- sent and waited for ---- */

static int submitted_wait(grove_client *c, int submitted, const grove_ticket *ticket, grove_reply **ret)
{
	if (submitted == GROVE_OK) return grove_wait(c, *ticket, ret);
	if (ret) *ret = NULL;
	return submitted;
}

int grove_create(grove_client *c, const grove_create_args *args, grove_reply **ret)
{
	grove_ticket ticket = 0;
	return submitted_wait(c, grove_create_submit(c, args, &ticket), &ticket, ret);
}

int grove_drop(grove_client *c, const char *index, grove_reply **ret)
{
	grove_ticket ticket = 0;
	return submitted_wait(c, grove_drop_submit(c, index, &ticket), &ticket, ret);
}

int grove_list(grove_client *c, grove_reply **ret)
{
	grove_ticket ticket = 0;
	return submitted_wait(c, grove_list_submit(c, &ticket), &ticket, ret);
}

int grove_describe(grove_client *c, const char *index, grove_reply **ret)
{
	grove_ticket ticket = 0;
	return submitted_wait(c, grove_describe_submit(c, index, &ticket), &ticket, ret);
}

int grove_status(grove_client *c, grove_reply **ret)
{
	grove_ticket ticket = 0;
	return submitted_wait(c, grove_status_submit(c, &ticket), &ticket, ret);
}

int grove_upsert(grove_client *c, const char *index, const grove_items *items, grove_reply **ret)
{
	grove_ticket ticket = 0;
	return submitted_wait(c, grove_upsert_submit(c, index, items, &ticket), &ticket, ret);
}

int grove_delete(grove_client *c, const char *index, const uint64_t *ids, uint32_t count, grove_reply **ret)
{
	grove_ticket ticket = 0;
	return submitted_wait(c, grove_delete_submit(c, index, ids, count, &ticket), &ticket, ret);
}

int grove_get(grove_client *c, const char *index, const uint64_t *ids, uint32_t count, grove_reply **ret)
{
	grove_ticket ticket = 0;
	return submitted_wait(c, grove_get_submit(c, index, ids, count, &ticket), &ticket, ret);
}

int grove_build(grove_client *c, const char *index, uint32_t trees, grove_reply **ret)
{
	grove_ticket ticket = 0;
	return submitted_wait(c, grove_build_submit(c, index, trees, &ticket), &ticket, ret);
}

int grove_search(grove_client *c, const char *index, const grove_search_args *args, grove_reply **ret)
{
	grove_ticket ticket = 0;
	return submitted_wait(c, grove_search_submit(c, index, args, &ticket), &ticket, ret);
}

int grove_scan(grove_client *c, const char *index, const grove_scan_args *args, grove_reply **ret)
{
	grove_ticket ticket = 0;
	return submitted_wait(c, grove_scan_submit(c, index, args, &ticket), &ticket, ret);
}
