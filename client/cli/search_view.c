/* search_view.c - one query's answer as a JSON line or as a table. */
#include <inttypes.h>
#include <stdlib.h>

#include "client/cli/json_input.h"
#include "client/cli/output.h"
#include "client/cli/search_view.h"
#include "proto/client_codec.h"

bool hits_complete(const grove_hits *hits, uint32_t q)
{
	return hits->coverage[q].answered == hits->coverage[q].shards;
}

static bool hit_has_payload(const grove_hits *hits, uint64_t i)
{
	return hits->payloads.offsets && hits->payloads.offsets[i + 1] > hits->payloads.offsets[i];
}

static void coverage_json(FILE *out, const grove_hits *hits, uint32_t q)
{
	const grove_coverage *c = &hits->coverage[q];
	bool complete = hits_complete(hits, q);
	fprintf(out,
		"{\"shards\":%" PRIu32 ",\"answered\":%" PRIu32 ",\"items\":%" PRIu64 ",\"searched\":%" PRIu64 ",\"complete\":%s",
		c->shards, c->answered, c->items_total, c->items_searched, complete ? "true" : "false");
	fprintf(out, ",\"failed\":%" PRIu32 ",\"late\":%" PRIu32 ",\"candidates\":%" PRIu64, c->failed, c->late, c->candidates);
	if (!complete) {
		fputs(",\"missing\":[", out);
		for (uint32_t i = 0; i < hits->missing_count; i++) {
			const grove_missing *m = &hits->missing[i];
			fprintf(out, "%s{\"shard\":%" PRIu32 ",\"reason\":\"%s\",\"items\":%" PRIu64 "}", i ? "," : "", m->shard,
				grove_code_name(m->code), m->items);
		}
		fputc(']', out);
	}
	fputc('}', out);
}

enum status hits_json(FILE *out, const grove_hits *hits, uint32_t q, uint64_t number, bool payloads)
{
	uint64_t first = hits->offsets[q], end = hits->offsets[q + 1];
	fprintf(out, "{\"query\":%" PRIu64 ",\"ids\":[", number);
	for (uint64_t i = first; i < end; i++) fprintf(out, "%s%" PRIu64, i > first ? "," : "", hits->ids[i]);
	fputs("],\"distances\":[", out);
	for (uint64_t i = first; i < end; i++) {
		if (i > first) fputc(',', out);
		json_float(out, (double)hits->distances[i]);
	}
	fputc(']', out);
	if (payloads) {
		fputs(",\"payloads\":[", out);
		for (uint64_t i = first; i < end; i++) {
			if (i > first) fputc(',', out);
			if (!hit_has_payload(hits, i)) {
				fputs("null", out);
				continue;
			}
			enum status status = payload_show(hits->payloads.bytes + hits->payloads.offsets[i],
				hits->payloads.offsets[i + 1] - hits->payloads.offsets[i], out);
			if (status != STATUS_OK) return status;
		}
		fputc(']', out);
	}
	fputs(",\"coverage\":", out);
	coverage_json(out, hits, q);
	fputs("}\n", out);
	return STATUS_OK;
}

char *hit_label(const grove_hits *hits, uint64_t i)
{
	struct buf json;
	char *label = NULL;
	if (!hit_has_payload(hits, i)) return NULL;
	buf_init(&json, 0);
	if (payload_to_json(hits->payloads.bytes + hits->payloads.offsets[i],
		    hits->payloads.offsets[i + 1] - hits->payloads.offsets[i], &json) == STATUS_OK &&
		buf_append(&json, "", 1) == STATUS_OK)
		label = payload_member((const char *)json.bytes, "label");
	buf_release(&json);
	return label;
}

enum status hits_print(FILE *out, const grove_hits *hits, uint32_t q, const char *title)
{
	static const char *const columns[] = {">rank", ">id", ">distance", "label"};
	uint64_t first = hits->offsets[q], end = hits->offsets[q + 1];
	bool labels = false;
	const grove_coverage *c = &hits->coverage[q];
	for (uint64_t i = first; i < end && !labels; i++) {
		char *label = hit_label(hits, i);
		labels = label != NULL;
		free(label);
	}
	struct table *t = table_new(columns, labels ? 4 : 3);
	if (!t) return STATUS_NO_MEMORY;
	for (uint64_t i = first; i < end; i++) {
		char rank[24], id[24], distance[32];
		char *label = labels ? hit_label(hits, i) : NULL;
		snprintf(rank, sizeof(rank), "%" PRIu64, i - first + 1);
		snprintf(id, sizeof(id), "%" PRIu64, hits->ids[i]);
		snprintf(distance, sizeof(distance), "%.6g", (double)hits->distances[i]);
		table_row(t, (const char *const[]){rank, id, distance, label ? label : ""});
		free(label);
	}
	fprintf(out, "%s: %" PRIu64 " nearest of %" PRIu64 " items, %" PRIu64 " inspected%s\n", title, end - first,
		c->items_searched, c->candidates, hits_complete(hits, q) ? "" : " (INCOMPLETE)");
	table_print(t, out);
	table_free(&t);
	return STATUS_OK;
}
