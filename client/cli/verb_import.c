/* verb_import.c - `grove import`: files of vectors into an index, in batches through a pipeline.
 *
 * A batch holds at most IMPORT_BATCH_BYTES of vectors, so memory is bounded by the pipeline's window however large the files are.
 * Batches that a queue refused, or whose outcome is not known, are sent again until --timeout has passed since their first
 * sending: an upsert of the same item changes nothing. One sending waits at most REQUEST_TIMEOUT_MS, so that what a restarted
 * coordinator forgot is soon asked again. After a batch has failed for good no more are sent: what is wrong with
 * one is wrong with all, and importing again from the start is safe. Every item ends as ok, rejected, unknown or not sent.
 *
 * With --metric and --dim an index that is not there is made, after the files were looked at. An index file of Annoy was built, and what
 * comes of it is too: a new index gets as many trees as the file has. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/build_watch.h"
#include "client/cli/item_source.h"
#include "client/cli/output.h"
#include "client/cli/pipeline.h"
#include "client/cli/progress.h"
#include "client/cli/session.h"
#include "client/cli/verbs.h"
#include "common/clock.h"
#include "common/limits.h"

enum {
	IMPORT_BATCH_BYTES = 1024 * 1024,
	IMPORT_WINDOW = 8,
	IMPORT_TIMEOUT_MS = 60000,
	REQUEST_TIMEOUT_MS = 10000,
};

struct import {
	struct session session;
	const char *index;
	uint32_t metric, dim;   /* of the index, or that it shall have; dim 0: not known yet */
	bool metric_given, make; /* make: there is no such index */
	uint64_t ok, rejected, unknown;
	int exit_code; /* of the first failure */
	struct progress bar;
	uint64_t started_us;
};

struct batch {
	struct job job; /* first: a job of ours is a batch */
	struct import *import;
	struct item_batch items;
};

static int batch_submit(struct job *job, grove_client *client, grove_ticket *ret)
{
	struct batch *b = (struct batch *)job;
	grove_items items = {.count = b->items.count,
		.dim = b->items.dim,
		.dtype = b->items.dtype,
		.ids = (const uint64_t *)(const void *)b->items.ids.bytes,
		.vectors = b->items.rows.bytes};
	if (b->items.payload_sizes.size)
		items.payloads = (grove_blobs){
			.sizes = (const uint32_t *)(const void *)b->items.payload_sizes.bytes, .bytes = b->items.payloads.bytes};
	if (b->items.key_sizes.size)
		items.keys = (grove_blobs){
			.sizes = (const uint32_t *)(const void *)b->items.key_sizes.bytes, .bytes = b->items.keys.bytes};
	return grove_upsert_submit(client, b->import->index, &items, ret);
}

static void batch_free(struct batch *b)
{
	item_batch_release(&b->items);
	free(b);
}

static bool batch_done(struct job *job, int code, const char *message, grove_reply **reply)
{
	struct batch *b = (struct batch *)job;
	struct import *import = b->import;
	if (*reply && (*reply)->outcome_count == b->items.count) {
		for (uint32_t i = 0; i < b->items.count; i++) {
			uint8_t outcome = (*reply)->outcomes[i];
			import->ok += outcome == GROVE_ITEM_OK;
			import->rejected += outcome == GROVE_ITEM_REJECTED;
			import->unknown += outcome != GROVE_ITEM_OK && outcome != GROVE_ITEM_REJECTED;
		}
	} else { /* refused before it was sent: limits, names */
		import->rejected += b->items.count;
	}
	if (code == GROVE_OK) {
		progress_update(&import->bar, import->ok, "items");
	} else if (import->exit_code == EXIT_OK) {
		progress_end(&import->bar);
		output_message("%s", message);
		import->exit_code = exit_code_of(code);
	}
	batch_free(b);
	return code == GROVE_OK;
}

/* Read and send until the source ends or something fails. Returns what is wrong with the source. */
static enum status import_send(
	struct import *import, struct item_source *source, struct pipeline *pipeline, struct report *report)
{
	for (;;) {
		struct batch *b = calloc(1, sizeof(*b));
		if (!b) return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
		*b = (struct batch){.job = {.submit = batch_submit, .done = batch_done, .repeat_writes = true}, .import = import};
		item_batch_init(&b->items);
		enum status status = item_source_read(source, IMPORT_BATCH_BYTES, &b->items, report);
		if (status != STATUS_OK || b->items.count == 0) {
			batch_free(b);
			return status;
		}
		if (!pipeline_add(pipeline, &b->job)) {
			batch_free(b);
			return STATUS_OK; /* why is known from batch_done() */
		}
	}
}

static void import_summary(const struct import *import)
{
	char ok[32], rejected[32], unknown[32], rate_text[32];
	double seconds = (double)(clock_us() - import->started_us) / 1e6;
	double rate = seconds > 0 ? (double)import->ok / seconds : 0;
	if (import->session.json) {
		fprintf(stdout,
			"{\"ok\":%" PRIu64 ",\"rejected\":%" PRIu64 ",\"unknown\":%" PRIu64
			",\"seconds\":%.3f,\"items_per_second\":%.0f}\n",
			import->ok, import->rejected, import->unknown, seconds, rate);
		return;
	}
	if (import->rejected + import->unknown == 0 && import->exit_code != EXIT_OK && import->ok == 0)
		return; /* nothing happened */
	output_message("%s items ok, %s rejected, %s unknown in %.1f s (%s items/s)", count_text(import->ok, ok, sizeof(ok)),
		count_text(import->rejected, rejected, sizeof(rejected)), count_text(import->unknown, unknown, sizeof(unknown)),
		seconds, count_text((uint64_t)rate, rate_text, sizeof(rate_text)));
	if (import->exit_code != EXIT_OK)
		output_message("the rest was not sent; the same import may be repeated from the start: nothing is stored twice");
}

static int import_run(struct import *import, struct item_source *source)
{
	struct pipeline pipeline;
	struct report report = {.status = STATUS_OK};
	pipeline_init(&pipeline, import->session.client, IMPORT_WINDOW, import->session.timeout_ms);
	import->started_us = clock_us();
	progress_begin(&import->bar, "importing", item_source_expected(source));
	enum status status = import_send(import, source, &pipeline, &report);
	pipeline_finish(&pipeline);
	progress_end(&import->bar);
	if (status != STATUS_OK) {
		output_message("%s", report_text(&report));
		if (import->exit_code == EXIT_OK) import->exit_code = EXIT_FAILED;
	}
	import_summary(import);
	return import->exit_code;
}

/* --metric and --dim, as far as they are given. */
static int shape_given(const struct arguments *a, struct import *import)
{
	const char *metric = arguments_text(a, "metric");
	if (!arguments_u32(a, "dim", 1, DIM_MAX, &import->dim)) return EXIT_USAGE;
	if (metric && grove_metric_by_name(metric, &import->metric) != GROVE_OK)
		return usage_error(a->command, "there is no metric '%s': angular, euclidean, manhattan, hamming or dot", metric);
	import->metric_given = metric != NULL;
	return EXIT_OK;
}

/* The index as it is, which has to be as the arguments say; or that it has to be made. */
static int index_find(struct import *import)
{
	struct session *s = &import->session;
	grove_reply *reply = NULL;
	int code = grove_describe(s->client, import->index, &reply), exit_code = EXIT_OK;
	if (code == GROVE_NOT_FOUND && import->metric_given && import->dim) {
		import->make = true;
	} else if (code != GROVE_OK) {
		exit_code = session_fail(s, code);
		if (code == GROVE_NOT_FOUND) output_message("to make it with this import, say --metric M --dim D");
	} else if (reply->index_count == 0) {
		output_message("the server did not describe the index '%s'", import->index);
		exit_code = EXIT_FAILED;
	} else {
		const grove_index *is = &reply->indexes[0];
		if ((import->metric_given && import->metric != is->metric) || (import->dim && import->dim != is->dim)) {
			output_message("the index '%s' is there already, with metric %s and dimension %" PRIu32
				": leave out --metric and --dim, or name another index", import->index, grove_metric_name(is->metric), is->dim);
			exit_code = EXIT_FAILED;
		}
		import->metric = is->metric;
		import->dim = is->dim;
	}
	grove_reply_free(&reply);
	return exit_code;
}

static int index_make(struct import *import, uint32_t trees)
{
	grove_create_args args = {.name = import->index, .metric = import->metric, .dim = import->dim, .trees = trees < TREES_MAX ? trees : TREES_MAX};
	grove_reply *reply = NULL;
	int code = grove_create(import->session.client, &args, &reply);
	grove_reply_free(&reply);
	return code == GROVE_OK ? EXIT_OK : session_fail(&import->session, code);
}

static int index_build(struct import *import, bool timeout_given)
{
	struct session *s = &import->session;
	grove_reply *reply = NULL;
	uint64_t started = clock_us();
	int code = grove_set_timeout(s->client, timeout_given ? s->timeout_ms : DEADLINE_MAX_MS);
	if (code == GROVE_OK) code = build_run(s, import->index, 0, &reply);
	if (code == GROVE_OK && !s->json) output_message("built in %.1f s", (double)(clock_us() - started) / 1e6);
	grove_reply_free(&reply);
	return code == GROVE_OK ? EXIT_OK : session_fail(s, code);
}

int verb_import(const struct arguments *a)
{
	struct import import = {.index = a->positional[0]};
	struct item_source *source = NULL;
	struct report report = {.status = STATUS_OK};
	struct item_source_options options = {.files = a->positional + 1,
		.file_count = a->positional_count - 1,
		.format = arguments_text(a, "format"),
		.part = arguments_text(a, "dataset"),
		.numbered = arguments_has(a, "start-id"),
		.ids = arguments_text(a, "ids"),
		.labels = arguments_text(a, "labels")};
	if (!arguments_u64(a, "start-id", 0, UINT64_MAX, &options.start_id)) return EXIT_USAGE;
	if (options.ids && arguments_has(a, "start-id"))
		return usage_error(a->command, "--ids and --start-id exclude each other");
	int exit_code = shape_given(a, &import);
	if (exit_code != EXIT_OK) return exit_code;
	exit_code = session_open(&import.session, a, IMPORT_TIMEOUT_MS);
	if (exit_code == EXIT_OK) exit_code = index_find(&import);
	if (exit_code != EXIT_OK) goto out;
	int code = grove_set_timeout(import.session.client,
		import.session.timeout_ms < REQUEST_TIMEOUT_MS ? import.session.timeout_ms : REQUEST_TIMEOUT_MS);
	if (code != GROVE_OK) {
		exit_code = session_fail(&import.session, code);
		goto out;
	}
	options.dim = import.dim;
	options.metric = (enum metric)import.metric;
	if (item_source_open(&options, &source, &report) != STATUS_OK) {
		output_message("%s", report_text(&report));
		exit_code = report.status == STATUS_USAGE ? EXIT_USAGE : EXIT_FAILED;
		goto out;
	}
	uint32_t trees = item_source_trees(source);
	if (import.make) exit_code = index_make(&import, trees);
	if (exit_code == EXIT_OK) exit_code = import_run(&import, source);
	if (exit_code == EXIT_OK && trees) exit_code = index_build(&import, arguments_has(a, "timeout"));
out:
	item_source_close(&source);
	session_close(&import.session);
	return exit_code;
}
