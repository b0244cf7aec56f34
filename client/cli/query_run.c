/* query_run.c - batches of queries in flight, answered in any order, handed on in theirs.
 *
 * An answer that comes early waits in its batch until those before it have been handed on. At most the pipeline's window of
 * batches exists at a time in flight; waiting answers are small (k hits a query). */
#include <stdio.h>
#include <stdlib.h>

#include "client/cli/output.h"
#include "client/cli/pipeline.h"
#include "client/cli/query_run.h"
#include "common/vec.h"

enum {
	BATCH_QUERIES = 256,
	BATCH_BYTES = 4 * 1024 * 1024,
	BATCH_HITS = 262144,
	BATCH_PAYLOADS = 4096, /* hits with payloads: each may have 64 KiB, most have some bytes */
	WINDOW = 8,
};

struct batch {
	struct job job; /* first: a job of ours is a batch */
	struct run_state *run;
	uint32_t first, count;
	bool ended;
	int code;
	char message[GROVE_TEXT_MAX];
	grove_reply *reply;
};

struct run_state {
	struct query_run *plan;
	struct batch *batches;
	uint32_t batch_count, next; /* next: the first batch not handed on yet */
	bool stopped;
};

uint32_t query_batch_size(const grove_search_args *args)
{
	size_t row_bytes = args->ids ? sizeof(uint64_t) : dtype_row_bytes((enum dtype)args->dtype, args->dim);
	uint64_t hits = args->with_payload ? BATCH_PAYLOADS : BATCH_HITS;
	uint64_t n = BATCH_QUERIES;
	if (row_bytes && n > BATCH_BYTES / row_bytes) n = BATCH_BYTES / row_bytes;
	if (args->k && n > hits / args->k) n = hits / args->k;
	return n ? (uint32_t)n : 1;
}

static int batch_submit(struct job *job, grove_client *client, grove_ticket *ret)
{
	const struct batch *b = (const struct batch *)job;
	const grove_search_args *all = &b->run->plan->args;
	grove_search_args args = *all;
	args.queries = b->count;
	if (all->ids)
		args.ids = all->ids + b->first;
	else
		args.vectors = (const uint8_t *)all->vectors + b->first * dtype_row_bytes((enum dtype)all->dtype, all->dim);
	return grove_search_submit(client, b->run->plan->index, &args, ret);
}

static bool batch_done(struct job *job, int code, const char *message, grove_reply **reply)
{
	struct batch *b = (struct batch *)job;
	struct run_state *run = b->run;
	b->ended = true;
	b->code = code;
	snprintf(b->message, sizeof(b->message), "%s", message);
	b->reply = *reply;
	*reply = NULL;
	for (; run->next < run->batch_count && run->batches[run->next].ended; run->next++) {
		struct batch *first = &run->batches[run->next];
		if (!run->stopped)
			run->stopped = !run->plan->answer(
				run->plan->context, first->first, first->count, first->code, first->message, first->reply);
		grove_reply_free(&first->reply);
	}
	return !run->stopped;
}

bool query_run(struct query_run *plan)
{
	struct pipeline pipeline;
	uint32_t size = query_batch_size(&plan->args), total = plan->args.queries;
	struct run_state run = {.plan = plan, .batch_count = total / size + (total % size != 0)};
	run.batches = calloc(run.batch_count ? run.batch_count : 1, sizeof(*run.batches));
	if (!run.batches) {
		output_message("out of memory for %u queries", total);
		return false;
	}
	pipeline_init(&pipeline, plan->session->client, WINDOW, plan->session->timeout_ms);
	for (uint32_t i = 0; i < run.batch_count; i++) {
		uint32_t first = i * size;
		run.batches[i] = (struct batch){.job = {.submit = batch_submit, .done = batch_done},
			.run = &run,
			.first = first,
			.count = total - first < size ? total - first : size};
		if (!pipeline_add(&pipeline, &run.batches[i].job)) break;
	}
	bool whole = pipeline_finish(&pipeline);
	for (uint32_t i = 0; i < run.batch_count; i++) grove_reply_free(&run.batches[i].reply);
	free(run.batches);
	return whole;
}
