/* query_set.c - queries from the command line or a file, in memory. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/item_source.h"
#include "client/cli/json_input.h"
#include "client/cli/output.h"
#include "client/cli/query_set.h"
#include "common/cursor.h"
#include "common/vec.h"

enum { READ_BYTES = 8 * 1024 * 1024 };

static int queries_by_id(const struct arguments *a, struct query_set *q)
{
	q->ids = calloc(a->given_count, sizeof(*q->ids));
	if (!q->ids) {
		output_message("%s", status_text(STATUS_NO_MEMORY));
		return EXIT_FAILED;
	}
	for (size_t i = 0; i < a->given_count; i++) {
		if (strcmp(a->given[i].option->name, "id") != 0) continue;
		if (!text_u64(a->given[i].value, &q->ids[q->count++]))
			return usage_error(a->command, "an id is a whole number from 0 to %" PRIu64 ", not '%s'", UINT64_MAX,
				a->given[i].value);
	}
	return EXIT_OK;
}

static int query_by_vector(const struct arguments *a, uint32_t metric, struct query_set *q)
{
	struct report report = {.status = STATUS_OK};
	float *vector = NULL;
	struct buf bits;
	size_t size;
	enum status status = vector_from_json(arguments_text(a, "vector"), &vector, &q->dim, &report);
	if (status != STATUS_OK) return usage_error(a->command, "%s", report_text(&report));
	q->count = 1;
	q->dtype = GROVE_F32;
	if (metric != GROVE_HAMMING) {
		q->rows = (uint8_t *)vector;
		return EXIT_OK;
	}
	buf_init(&bits, 0);
	status = bits_from_floats(vector, q->dim, &bits, &report);
	free(vector);
	if (status != STATUS_OK) {
		buf_release(&bits);
		return usage_error(a->command, "%s", report_text(&report));
	}
	q->dtype = GROVE_BITS;
	buf_detach(&bits, &q->rows, &size);
	return EXIT_OK;
}

/* All rows of the file, or the first `limit`. */
static enum status rows_read(struct item_source *source, uint32_t limit, struct query_set *q, struct report *report)
{
	struct buf rows;
	struct item_batch batch;
	size_t size;
	enum status status = STATUS_OK;
	buf_init(&rows, 0);
	item_batch_init(&batch);
	while (q->count < limit) {
		status = item_source_read(source, READ_BYTES, &batch, report);
		if (status != STATUS_OK || batch.count == 0) break;
		uint32_t take = batch.count < limit - q->count ? batch.count : limit - q->count;
		q->dim = batch.dim;
		q->dtype = batch.dtype;
		status = buf_append(&rows, batch.rows.bytes, take * dtype_row_bytes((enum dtype)batch.dtype, batch.dim));
		if (status != STATUS_OK) {
			report_set(report, status, "out of memory for the queries: take fewer with --limit N");
			break;
		}
		q->count += take;
	}
	if (status == STATUS_OK && q->count == 0) status = report_set(report, STATUS_USAGE, "the file of queries is empty");
	if (status == STATUS_OK) buf_detach(&rows, &q->rows, &size);
	buf_release(&rows);
	item_batch_release(&batch);
	return status;
}

static int queries_of_file(const struct arguments *a, uint32_t metric, uint32_t dim, struct query_set *q)
{
	struct report report = {.status = STATUS_OK};
	struct item_source *source = NULL;
	uint32_t limit = QUERIES_MAX;
	const char *path = arguments_text(a, "queries");
	struct item_source_options options = {.files = &path,
		.file_count = 1,
		.format = arguments_text(a, "format"),
		.part = arguments_has(a, "dataset") ? arguments_text(a, "dataset") : "test",
		.dim = dim,
		.metric = (enum metric)metric};
	if (!arguments_u32(a, "limit", 1, QUERIES_MAX, &limit)) return EXIT_USAGE;
	enum status status = item_source_open(&options, &source, &report);
	if (status == STATUS_OK) status = rows_read(source, limit, q, &report);
	item_source_close(&source);
	if (status == STATUS_OK && arguments_has(a, "query-labels"))
		status = item_labels_load(arguments_text(a, "query-labels"), q->count, &q->labels, &report);
	if (status == STATUS_OK) return EXIT_OK;
	output_message("%s", report_text(&report));
	return status == STATUS_USAGE ? EXIT_USAGE : EXIT_FAILED;
}

int query_set_load(const struct arguments *a, uint32_t metric, uint32_t dim, struct query_set *ret)
{
	struct query_set q = {.count = 0};
	int exit_code;
	if (arguments_has(a, "queries"))
		exit_code = queries_of_file(a, metric, dim, &q);
	else if (arguments_has(a, "vector"))
		exit_code = query_by_vector(a, metric, &q);
	else
		exit_code = queries_by_id(a, &q);
	if (exit_code == EXIT_OK)
		*ret = q;
	else
		query_set_release(&q);
	return exit_code;
}

void query_set_release(struct query_set *q)
{
	for (uint32_t i = 0; q->labels && i < q->count; i++) free(q->labels[i]);
	free(q->labels);
	free(q->ids);
	free(q->rows);
	*q = (struct query_set){.count = 0};
}

void query_set_title(const struct query_set *q, uint32_t i, char *out, size_t size)
{
	if (q->ids)
		snprintf(out, size, "item %" PRIu64, q->ids[i]);
	else if (q->labels)
		snprintf(out, size, "query %" PRIu32 " (label %.80s)", i, q->labels[i]);
	else
		snprintf(out, size, "query %" PRIu32, i);
}
