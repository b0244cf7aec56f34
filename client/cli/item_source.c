/* item_source.c - files of vectors, ids and labels, side by side, in batches. */
#include "client/cli/item_source.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/command.h"
#include "client/cli/dataset.h"
#include "client/cli/id_file.h"
#include "client/grove.h"
#include "common/limits.h"
#include "proto/client_codec.h"

enum { LABELLED_ROWS_MAX = 2048 }; /* of a batch: their labels, of LABEL_MAX bytes each, must fit one message */
_Static_assert((size_t)LABELLED_ROWS_MAX * (LABEL_MAX + 64) < CLIENT_FRAME_MAX - 4 * 1024 * 1024, "with vectors and ids");

struct item_source {
	struct item_source_options options;
	struct dataset *dataset; /* of the file under way */
	size_t file;		 /* its number */
	struct id_file *ids;
	struct labels *labels;
	struct buf floats; /* rows before they are packed to bits */
	bool packed;       /* the file has them packed */
	uint64_t next_id, expected;
	uint64_t file_id; /* of the row 0 of the file under way */
	bool ids_used_up; /* 2^64 - 1 was given: there is no next one */
};

void item_batch_init(struct item_batch *b)
{
	*b = (struct item_batch){.count = 0};
	buf_init(&b->rows, 0);
	buf_init(&b->ids, 0);
	buf_init(&b->payload_sizes, 0);
	buf_init(&b->payloads, 0);
	buf_init(&b->key_sizes, 0);
	buf_init(&b->keys, 0);
}

void item_batch_release(struct item_batch *b)
{
	buf_release(&b->rows);
	buf_release(&b->ids);
	buf_release(&b->payload_sizes);
	buf_release(&b->payloads);
	buf_release(&b->key_sizes);
	buf_release(&b->keys);
	b->count = 0;
}

static enum status no_memory(struct report *report)
{
	return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
}

/* Bytes, and so many as the index's rows have when they are packed: what an export of a hamming index wrote. */
static bool source_is_packed(const struct item_source *s)
{
	return s->options.metric == METRIC_HAMMING && dataset_dtype(s->dataset) == DTYPE_U8 && dataset_dim(s->dataset) != s->options.dim &&
	       dataset_dim(s->dataset) == dtype_row_bytes(DTYPE_BITS, s->options.dim);
}

/* Open file number `file` and see that it fits the index. */
static enum status source_open_file(struct item_source *s, size_t file, struct report *report)
{
	const char *path = s->options.files[file];
	dataset_close(&s->dataset);
	struct dataset_expected expected = {.metric = s->options.metric, .dim = s->options.dim, .part = s->options.part};
	enum status status = dataset_open_for(&expected, path, s->options.format, &s->dataset, report);
	if (status != STATUS_OK) return status;
	s->file = file;
	s->file_id = s->next_id;
	s->packed = source_is_packed(s);
	if (dataset_dim(s->dataset) != s->options.dim && !s->packed)
		return report_set(report, STATUS_BAD_REQUEST,
			"%s has vectors of %" PRIu32 " numbers, the index has %" PRIu32 " dimensions", path,
			dataset_dim(s->dataset), s->options.dim);
	const struct dataset_items *told = dataset_items(s->dataset);
	if (told && told->named && (s->options.ids || s->options.numbered))
		return report_set(report, STATUS_BAD_REQUEST,
			"%s says the ids or keys of its items itself: leave out --ids and --start-id", path);
	return STATUS_OK;
}

/* Every file is opened once before anything is sent, so that a mistyped last name is told first. */
static enum status source_check_files(struct item_source *s, struct report *report)
{
	bool known = true;
	for (size_t i = 0; i < s->options.file_count && s->options.file_count > 1; i++) {
		if (strcmp(s->options.files[i], "-") == 0)
			return report_set(report, STATUS_USAGE, "standard input (-) can be read once: it is the only file then");
	}
	for (size_t i = s->options.file_count; i-- > 0;) {
		enum status status = source_open_file(s, i, report);
		if (status != STATUS_OK) return status;
		known = known && dataset_rows(s->dataset);
		s->expected += dataset_rows(s->dataset);
	}
	if (!known) s->expected = 0;
	return STATUS_OK;
}

enum status item_source_open(const struct item_source_options *options, struct item_source **ret, struct report *report)
{
	struct item_source *s = calloc(1, sizeof(*s));
	if (!s) return no_memory(report);
	s->options = *options;
	s->next_id = options->start_id;
	buf_init(&s->floats, 0);
	enum status status = source_check_files(s, report);
	if (status == STATUS_OK && options->ids) status = id_file_open(options->ids, &s->ids, report);
	if (status == STATUS_OK && options->labels) status = labels_open(options->labels, &s->labels, report);
	if (status == STATUS_OK)
		*ret = s;
	else
		item_source_close(&s);
	return status;
}

void item_source_close(struct item_source **s)
{
	if (!*s) return;
	dataset_close(&(*s)->dataset);
	id_file_close(&(*s)->ids);
	labels_close(&(*s)->labels);
	buf_release(&(*s)->floats);
	free(*s);
	*s = NULL;
}

uint32_t item_source_trees(const struct item_source *s)
{
	return dataset_trees(s->dataset);
}

uint64_t item_source_expected(const struct item_source *s)
{
	return s->expected;
}

/* ---- vectors ---- */

/* Bits past the dimension would count in every distance. */
static enum status check_unused_bits(const struct item_source *s, const uint8_t *rows, uint32_t n, struct report *report)
{
	size_t row_bytes = dtype_row_bytes(DTYPE_BITS, s->options.dim);
	uint32_t used = s->options.dim % 8;
	for (uint32_t i = 0; used && i < n; i++)
		if (rows[(i + 1) * row_bytes - 1] >> used)
			return report_set(report, STATUS_BAD_REQUEST, "%s has packed bits past the %" PRIu32 " dimensions of the index: it is of another index",
				s->options.files[s->file], s->options.dim);
	return STATUS_OK;
}

/* Rows of the present file; *ret_n 0 at its end. */
static enum status source_rows(
	struct item_source *s, uint32_t max_rows, struct item_batch *b, uint32_t *ret_n, struct report *report)
{
	enum dtype dtype = dataset_dtype(s->dataset);
	bool bits = s->options.metric == METRIC_HAMMING, pack = bits && !s->packed;
	struct buf *target = pack ? &s->floats : &b->rows;
	size_t row_bytes = dtype_row_bytes(dtype, dataset_dim(s->dataset)), bits_bytes = dtype_row_bytes(DTYPE_BITS, s->options.dim);
	uint8_t *rows, *packed;
	buf_reset(target);
	if (buf_extend(target, max_rows * row_bytes, &rows) != STATUS_OK) return no_memory(report);
	enum status status = dataset_read(s->dataset, max_rows, rows, ret_n, report);
	if (status != STATUS_OK) return status;
	target->size = *ret_n * row_bytes;
	b->dtype = bits ? GROVE_BITS : dtype == DTYPE_U8 ? GROVE_U8 : GROVE_F32;
	b->dim = s->options.dim;
	if (s->packed) return check_unused_bits(s, rows, *ret_n, report);
	if (!pack) return STATUS_OK;
	buf_reset(&b->rows);
	if (buf_extend(&b->rows, *ret_n * bits_bytes, &packed) != STATUS_OK) return no_memory(report);
	return dataset_pack_bits(dtype, rows, *ret_n, s->options.dim, packed, report);
}

/* ---- ids ---- */

static enum status next_id_of_file(struct item_source *s, uint64_t *ret, struct report *report)
{
	bool end = false;
	enum status status = id_file_next(s->ids, ret, &end, report);
	if (status != STATUS_OK || !end) return status;
	return report_set(report, STATUS_BAD_REQUEST, "%s has fewer ids than there are vectors", s->options.ids);
}

static enum status copy(struct buf *to, const struct buf *from)
{
	return from->size ? buf_append(to, from->bytes, from->size) : STATUS_OK;
}

static enum status source_ids(struct item_source *s, struct item_batch *b, uint32_t n, struct report *report)
{
	const struct dataset_items *told = dataset_items(s->dataset);
	const uint64_t *numbers = dataset_numbers(s->dataset);
	uint8_t *at;
	buf_reset(&b->ids);
	if (told && told->named) return copy(&b->ids, &told->ids) == STATUS_OK ? STATUS_OK : no_memory(report);
	if (buf_extend(&b->ids, (size_t)n * sizeof(uint64_t), &at) != STATUS_OK) return no_memory(report);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t id = s->next_id;
		if (s->ids) {
			enum status status = next_id_of_file(s, &id, report);
			if (status != STATUS_OK) return status;
		} else if (s->ids_used_up || (numbers && __builtin_add_overflow(s->file_id, numbers[i], &id))) {
			return report_set(report, STATUS_LIMIT, "the ids are used up: the largest is %" PRIu64, UINT64_MAX);
		} else {
			s->next_id = id + 1;
			s->ids_used_up = id == UINT64_MAX;
		}
		memcpy(at + (size_t)i * sizeof(id), &id, sizeof(id));
	}
	return STATUS_OK;
}

/* ---- what the file itself says of its items ---- */

static enum status source_told(struct item_source *s, const struct dataset_items *told, struct item_batch *b, struct report *report)
{
	enum status status = STATUS_OK;
	buf_reset(&b->payload_sizes);
	buf_reset(&b->payloads);
	buf_reset(&b->key_sizes);
	buf_reset(&b->keys);
	if (!told) return STATUS_OK;
	if (told->payloads.size && s->labels)
		return report_set(report, STATUS_BAD_REQUEST, "%s has payloads of its own: leave out --labels", s->options.files[s->file]);
	if (told->payloads.size) status = copy(&b->payload_sizes, &told->payload_sizes);
	if (status == STATUS_OK) status = copy(&b->payloads, &told->payloads);
	if (status == STATUS_OK && told->keys.size) status = copy(&b->key_sizes, &told->key_sizes);
	if (status == STATUS_OK) status = copy(&b->keys, &told->keys);
	return status == STATUS_OK ? status : no_memory(report);
}

/* ---- labels ---- */

static enum status source_labels(struct item_source *s, struct item_batch *b, uint32_t n, struct report *report)
{
	for (uint32_t i = 0; s->labels && i < n; i++) {
		const char *label = NULL;
		size_t before = b->payloads.size;
		enum status status = labels_next(s->labels, &label, report);
		if (status != STATUS_OK) return status;
		if (!label)
			return report_set(
				report, STATUS_BAD_REQUEST, "%s has fewer labels than there are vectors", s->options.labels);
		status = payload_from_label(label, &b->payloads);
		uint32_t size = (uint32_t)(b->payloads.size - before);
		if (status == STATUS_OK) status = buf_append(&b->payload_sizes, &size, sizeof(size));
		if (status != STATUS_OK)
			return report_set(report, status, "the label '%.40s' cannot be stored: %s", label, status_text(status));
	}
	return STATUS_OK;
}

/* Nothing may be left over: too many ids or labels are a mistake like too few. */
static enum status source_ended(struct item_source *s, struct report *report)
{
	const char *label = NULL;
	bool end = true;
	uint64_t ignored;
	enum status status = s->labels ? labels_next(s->labels, &label, report) : STATUS_OK;
	if (status == STATUS_OK && label)
		return report_set(report, STATUS_BAD_REQUEST,
			"%s has more labels than there are vectors: all vectors were imported", s->options.labels);
	if (status == STATUS_OK && s->ids) status = id_file_next(s->ids, &ignored, &end, report);
	if (status == STATUS_OK && !end)
		return report_set(report, STATUS_BAD_REQUEST, "%s has more ids than there are vectors: all vectors were imported",
			s->options.ids);
	return status;
}

enum status item_source_read(struct item_source *s, size_t max_bytes, struct item_batch *b, struct report *report)
{
	uint32_t n = 0;
	for (;;) {
		size_t row_bytes = dtype_row_bytes(dataset_dtype(s->dataset), s->options.dim), rows = max_bytes / row_bytes;
		uint32_t most = s->labels ? LABELLED_ROWS_MAX : BATCH_ITEMS_MAX;
		uint32_t max_rows = rows < 1 ? 1 : rows > most ? most : (uint32_t)rows;
		enum status status = source_rows(s, max_rows, b, &n, report);
		if (status != STATUS_OK) return status;
		if (n || s->file + 1 == s->options.file_count) break;
		status = source_open_file(s, s->file + 1, report);
		if (status != STATUS_OK) return status;
	}
	b->count = n;
	if (n == 0) return source_ended(s, report);
	enum status status = source_ids(s, b, n, report);
	if (status == STATUS_OK) status = source_told(s, dataset_items(s->dataset), b, report);
	return status == STATUS_OK ? source_labels(s, b, n, report) : status;
}

/* ---- labels of queries ---- */

enum status item_labels_load(const char *path, uint32_t count, char ***ret, struct report *report)
{
	struct labels *labels = NULL;
	char **texts = calloc(count ? count : 1, sizeof(*texts));
	if (!texts) return no_memory(report);
	enum status status = labels_open(path, &labels, report);
	for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
		const char *label = NULL;
		status = labels_next(labels, &label, report);
		if (status == STATUS_OK && !label)
			status = report_set(report, STATUS_BAD_REQUEST, "%s has fewer labels than there are queries", path);
		if (status == STATUS_OK && !(texts[i] = strdup(label))) status = no_memory(report);
	}
	if (status == STATUS_OK) {
		*ret = texts;
		texts = NULL;
	}
	for (uint32_t i = 0; texts && i < count; i++) free(texts[i]);
	free(texts);
	labels_close(&labels);
	return status;
}
