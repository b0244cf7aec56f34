/* cluster_view.c - the cluster's parts as JSON and as columns. */
#include <inttypes.h>
#include <stdbool.h>

#include "client/cli/cluster_view.h"
#include "client/cli/output.h"

static void shard_json(FILE *out, const grove_shard *s)
{
	fprintf(out, "{\"shard\":%" PRIu32 ",\"state\":\"%s\",\"items\":%" PRIu64 ",\"epoch\":%" PRIu64 ",\"sequence\":%" PRIu64,
		s->number, grove_shard_state_name(s->state), s->items, s->epoch, s->sequence);
	fprintf(out, ",\"replicas\":[");
	if (s->worker[0]) json_string(out, s->worker);
	fprintf(out, "],\"segments\":%" PRIu32 ",\"trees\":%" PRIu32 ",\"memory_bytes\":%" PRIu64 ",\"disk_bytes\":%" PRIu64,
		s->segments, s->trees, s->memory_bytes, s->disk_bytes);
	if (s->state == GROVE_SHARD_BUILDING) fprintf(out, ",\"progress\":%.3f", s->progress_permille / 1000.0);
	if (s->code != GROVE_OK) {
		fprintf(out, ",\"reason\":\"%s\",\"message\":", grove_code_name(s->code));
		json_string(out, grove_code_text(s->code));
	}
	fputc('}', out);
}

void index_json(FILE *out, const grove_index *index, const grove_shard *shards, uint32_t shard_count)
{
	bool first = true;
	fputs("{\"name\":", out);
	json_string(out, index->name);
	fprintf(out, ",\"dim\":%" PRIu32 ",\"metric\":\"%s\",\"items\":%" PRIu64 ",\"trees\":%" PRIu32 ",\"seed\":%" PRIu64,
		index->dim, grove_metric_name(index->metric), index->items, index->trees, index->seed);
	fprintf(out,
		",\"shard_count\":%" PRIu32 ",\"shards_serving\":%" PRIu32 ",\"shards_building\":%" PRIu32
		",\"progress\":%.3f,\"complete\":%s",
		index->shards, index->shards_serving, index->shards_building, index->progress_permille / 1000.0,
		index->complete ? "true" : "false");
	if (shards) {
		fputs(",\"shards\":[", out);
		for (uint32_t i = 0; i < shard_count; i++) {
			if (shards[i].index_id != index->id) continue;
			if (!first) fputc(',', out);
			first = false;
			shard_json(out, &shards[i]);
		}
		fputc(']', out);
	}
	fputc('}', out);
}

void worker_json(FILE *out, const grove_worker *w)
{
	fprintf(out, "{\"id\":\"%s\",\"state\":\"%s\",\"pid\":%" PRId64 ",\"endpoint\":", w->id,
		grove_worker_state_name(w->state), w->pid);
	json_string(out, w->endpoint);
	fprintf(out,
		",\"items\":%" PRIu64 ",\"memory_bytes\":%" PRIu64 ",\"shards\":%" PRIu32 ",\"threads\":%" PRIu32
		",\"age_ms\":%" PRIu64 "}",
		w->items, w->memory_bytes, w->shards, w->threads, w->age_ms);
}

void indexes_print(FILE *out, const grove_index *indexes, uint32_t count)
{
	static const char *const columns[] = {"index", "metric", ">dim", ">items", ">trees", ">shards", "state"};
	struct table *t = table_new(columns, 7);
	for (uint32_t i = 0; i < count; i++) {
		const grove_index *x = &indexes[i];
		char dim[16], items[32], trees[16], shards[32], state[64];
		snprintf(dim, sizeof(dim), "%" PRIu32, x->dim);
		snprintf(trees, sizeof(trees), "%" PRIu32, x->trees);
		snprintf(shards, sizeof(shards), "%" PRIu32, x->shards);
		if (!x->complete)
			snprintf(state, sizeof(state), "%" PRIu32 " of %" PRIu32 " shards served", x->shards_serving, x->shards);
		else if (x->shards_building)
			snprintf(state, sizeof(state), "building, %.0f %%", x->progress_permille / 10.0);
		else
			snprintf(state, sizeof(state), "serving");
		table_row(t, (const char *const[]){x->name, grove_metric_name(x->metric), dim,
				     count_text(x->items, items, sizeof(items)), trees, shards, state});
	}
	table_print(t, out);
	table_free(&t);
}

void shards_print(FILE *out, const grove_shard *shards, uint32_t count)
{
	static const char *const columns[] = {
		">shard", "state", ">items", ">trees", ">segments", ">memory", ">disk", ">sequence", "worker"};
	struct table *t = table_new(columns, 9);
	for (uint32_t i = 0; i < count; i++) {
		const grove_shard *s = &shards[i];
		char number[16], state[64], items[32], trees[16], segments[16], memory[32], disk[32], sequence[24];
		snprintf(number, sizeof(number), "%" PRIu32, s->number);
		snprintf(trees, sizeof(trees), "%" PRIu32, s->trees);
		snprintf(segments, sizeof(segments), "%" PRIu32, s->segments);
		snprintf(sequence, sizeof(sequence), "%" PRIu64, s->sequence);
		if (s->code != GROVE_OK)
			snprintf(state, sizeof(state), "%s (%s)", grove_shard_state_name(s->state), grove_code_name(s->code));
		else
			snprintf(state, sizeof(state), "%s", grove_shard_state_name(s->state));
		table_row(t, (const char *const[]){number, state, count_text(s->items, items, sizeof(items)), trees, segments,
				     bytes_text(s->memory_bytes, memory, sizeof(memory)),
				     bytes_text(s->disk_bytes, disk, sizeof(disk)), sequence, s->worker[0] ? s->worker : "none"});
	}
	table_print(t, out);
	table_free(&t);
}

void workers_print(FILE *out, const grove_worker *workers, uint32_t count)
{
	static const char *const columns[] = {"worker", "state", ">pid", ">shards", ">items", ">memory", ">threads", "endpoint"};
	bool endpoints = false; /* a column of its own only where there are some */
	for (uint32_t i = 0; i < count; i++) endpoints = endpoints || workers[i].endpoint[0];
	struct table *t = table_new(columns, endpoints ? 8 : 7);
	for (uint32_t i = 0; i < count; i++) {
		const grove_worker *w = &workers[i];
		char pid[24], shards[16], items[32], memory[32], threads[16], state[64];
		snprintf(pid, sizeof(pid), "%" PRId64, w->pid);
		snprintf(shards, sizeof(shards), "%" PRIu32, w->shards);
		snprintf(threads, sizeof(threads), "%" PRIu32, w->threads);
		if (w->state == GROVE_WORKER_ALIVE)
			snprintf(state, sizeof(state), "%s", grove_worker_state_name(w->state));
		else
			snprintf(state, sizeof(state), "%s for %.1f s", grove_worker_state_name(w->state),
				(double)w->age_ms / 1000);
		table_row(t, (const char *const[]){w->id, state, pid, shards, count_text(w->items, items, sizeof(items)),
				     bytes_text(w->memory_bytes, memory, sizeof(memory)), threads, w->endpoint});
	}
	table_print(t, out);
	table_free(&t);
}
