/* dataset.c - choosing the format of a file, and what the formats share: the door for rows, which are checked here. */
#include "client/cli/dataset_format.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cursor.h"
#include "common/limits.h"

static const struct dataset_format *const formats[] = {
	&dataset_idx, &dataset_npy, &dataset_fvecs, &dataset_bvecs, &dataset_fbin, &dataset_u8bin, &dataset_hdf5, &dataset_jsonl, &dataset_ann, &dataset_csv};
enum { FORMATS = sizeof(formats) / sizeof(formats[0]) };

static const struct dataset_format *format_by_name(const char *name)
{
	for (size_t i = 0; i < FORMATS; i++) {
		if (strcmp(formats[i]->name, name) == 0) return formats[i];
	}
	return NULL;
}

/* By the ending, a last .gz aside; idx files are also called ...-idx3-ubyte. */
static const struct dataset_format *format_by_path(const char *path)
{
	const char *base = strrchr(path, '/');
	char name[256];
	snprintf(name, sizeof(name), "%s", base ? base + 1 : path);
	char *end = strrchr(name, '.');
	if (end && strcmp(end, ".gz") == 0) *end = 0;
	end = strrchr(name, '.');
	if (end && (strcmp(end, ".tsv") == 0 || strcmp(end, ".txt") == 0)) return &dataset_csv;
	if (end && strcmp(end, ".h5") == 0) return &dataset_hdf5;
	const struct dataset_format *format = end ? format_by_name(end + 1) : NULL;
	if (!format && strstr(name, "-idx") && strstr(name, "-ubyte")) format = &dataset_idx;
	return format;
}

static const struct dataset_format *format_by_bytes(const uint8_t *bytes, size_t n)
{
	if (n >= 6 && memcmp(bytes, "\x93NUMPY", 6) == 0) return &dataset_npy;
	if (n >= 4 && bytes[0] == 0 && bytes[1] == 0 && (bytes[2] == 0x08 || bytes[2] == 0x0d) && bytes[3] >= 2)
		return &dataset_idx;
	if (n >= 8 && memcmp(bytes, "\x89HDF\r\n\x1a\n", 8) == 0) return &dataset_hdf5;
	if (n >= 1 && bytes[0] == '{') return &dataset_jsonl;
	return NULL;
}

static enum status format_choose(struct dataset *d, const char *format, struct report *report)
{
	uint8_t first[8];
	size_t n = 0;
	enum status status = bytes_peek(d->file, first, sizeof(first), &n, report);
	if (status != STATUS_OK) return status;
	if (n == 0) return report_set(report, STATUS_BAD_REQUEST, "%s is empty", bytes_path(d->file));
	d->format = format ? format_by_name(format) : format_by_path(bytes_path(d->file));
	if (format && !d->format)
		return report_set(report, STATUS_USAGE, "there is no format '%s': " DATASET_FORMATS, format);
	if (!d->format) d->format = format_by_bytes(first, n);
	if (!d->format)
		return report_set(report, STATUS_UNSUPPORTED,
			"the format of %s cannot be told from its name: say --format " DATASET_FORMATS,
			bytes_path(d->file));
	return STATUS_OK;
}

static enum status stdin_open(struct bytes_file **ret, struct report *report)
{
	int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (fd == -1) return report_set(report, STATUS_IO, "cannot read standard input: %s", strerror(errno));
	return bytes_open_fd(fd, "standard input", ret, report);
}

void dataset_items_each(struct dataset_items *items, void (*each)(struct buf *))
{
	struct buf *const bufs[] = {&items->ids, &items->key_sizes, &items->keys, &items->payload_sizes, &items->payloads};
	for (size_t i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++) each(bufs[i]);
}

static void buf_empty(struct buf *b)
{
	buf_init(b, 0);
}

enum status dataset_open(const char *path, const char *format, struct dataset **ret, struct report *report)
{
	return dataset_open_for(NULL, path, format, ret, report);
}

enum status dataset_open_for(
	const struct dataset_expected *expected, const char *path, const char *format, struct dataset **ret, struct report *report)
{
	enum status status;
	struct dataset *d = calloc(1, sizeof(*d));
	if (!d) return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	buf_init(&d->line, 0);
	buf_init(&d->numbers, 0);
	d->expected = expected;
	dataset_items_each(&d->items, buf_empty);
	status = strcmp(path, "-") == 0 ? stdin_open(&d->file, report) : bytes_open(path, &d->file, report);
	if (status == STATUS_OK) status = format_choose(d, format, report);
	if (status == STATUS_OK) status = d->format->open(d, report);
	d->expected = NULL;
	if (status == STATUS_OK)
		*ret = d;
	else
		dataset_close(&d);
	return status;
}

void dataset_close(struct dataset **d)
{
	if (!*d) return;
	if ((*d)->format && (*d)->format->close) (*d)->format->close(*d);
	bytes_close(&(*d)->file);
	buf_release(&(*d)->line);
	dataset_items_each(&(*d)->items, buf_release);
	buf_release(&(*d)->numbers);
	free(*d);
	*d = NULL;
}

uint32_t dataset_dim(const struct dataset *d)
{
	return d->dim;
}
enum dtype dataset_dtype(const struct dataset *d)
{
	return d->dtype;
}
uint64_t dataset_rows(const struct dataset *d)
{
	return d->rows;
}
const struct dataset_items *dataset_items(const struct dataset *d)
{
	return d->has_items ? &d->items : NULL;
}

const uint64_t *dataset_numbers(const struct dataset *d)
{
	return d->layout ? (const uint64_t *)(const void *)d->numbers.bytes : NULL;
}
uint32_t dataset_trees(const struct dataset *d)
{
	return d->trees;
}

enum status dataset_read(struct dataset *d, uint32_t max_rows, void *out, uint32_t *ret_n, struct report *report)
{
	uint32_t n = 0;
	enum status status = d->format->read(d, max_rows, out, &n, report);
	if (status != STATUS_OK) return status;
	for (uint32_t i = 0; d->dtype == DTYPE_F32 && i < n; i++) {
		if (!vec_all_finite((const float *)out + (size_t)i * d->dim, d->dim))
			return report_set(report, STATUS_BAD_REQUEST, "row %" PRIu64 " of %s has a NaN or an infinity",
				d->read + i, bytes_path(d->file));
	}
	d->read += n;
	*ret_n = n;
	return STATUS_OK;
}

/* ---- what the formats share ---- */

enum status dataset_set_shape(struct dataset *d, uint64_t rows, uint64_t dim, size_t head, struct report *report)
{
	const char *path = bytes_path(d->file);
	uint64_t size, body = 0, expected = 0;
	if (dim < 1 || dim > DIM_MAX)
		return report_set(
			report, STATUS_LIMIT, "%s has vectors of %" PRIu64 " numbers; 1 to %d are possible", path, dim, DIM_MAX);
	if (rows == 0) return report_set(report, STATUS_BAD_REQUEST, "%s has no vectors", path);
	if (__builtin_mul_overflow(rows, dim * d->element, &body) || __builtin_add_overflow(body, (uint64_t)head, &expected))
		return report_set(
			report, STATUS_CORRUPT, "%s says it has %" PRIu64 " vectors, which no file can hold", path, rows);
	if (bytes_size(d->file, &size) && size != expected)
		return report_set(report, STATUS_CORRUPT,
			"%s has %" PRIu64 " bytes, but its head speaks of %" PRIu64 ": it is cut off or damaged", path, size,
			expected);
	d->rows = rows;
	d->dim = (uint32_t)dim;
	return STATUS_OK;
}

enum status dataset_exactly(struct dataset *d, void *out, size_t n, struct report *report)
{
	size_t got = 0;
	enum status status = bytes_read(d->file, out, n, &got, report);
	if (status != STATUS_OK) return status;
	if (got < n)
		return report_set(report, STATUS_CORRUPT, "%s ends too early: it is cut off or no %s file", bytes_path(d->file),
			d->format->name);
	return STATUS_OK;
}

enum status dataset_line(struct dataset *d, size_t max, bool *ret_end, struct report *report)
{
	for (;;) {
		enum status status = bytes_line(d->file, max, &d->line, ret_end, report);
		if (status != STATUS_OK || *ret_end) return status;
		static const uint8_t mark[3] = {0xef, 0xbb, 0xbf}; /* of UTF-8, before what spreadsheets write */
		if (d->line_number++ == 0 && d->line.size >= sizeof(mark) && memcmp(d->line.bytes, mark, sizeof(mark)) == 0) {
			d->line.size -= sizeof(mark);
			memmove(d->line.bytes, d->line.bytes + sizeof(mark), d->line.size + 1); /* the zero behind it, too */
		}
		const char *at = (const char *)d->line.bytes;
		while (*at == ' ' || *at == '\t') at++;
		if (*at) return STATUS_OK;
	}
}

/* Elements of the file in place into those of dtype: big-endian floats swapped, float64 narrowed. */
static void elements_convert(struct dataset *d, uint8_t *bytes, size_t n)
{
	for (size_t i = 0; d->swap && i < n; i++) store_u32(bytes + 4 * i, __builtin_bswap32(load_u32(bytes + 4 * i)));
	for (size_t i = 0; d->element == 8 && i < n; i++) { /* never writes past what is read */
		uint64_t bits = load_u64(bytes + 8 * i);
		double wide;
		memcpy(&wide, &bits, sizeof(wide));
		store_f32(bytes + 4 * i, (float)wide);
	}
}

enum status dataset_read_counted(struct dataset *d, uint32_t max_rows, void *out, uint32_t *ret_n, struct report *report)
{
	uint64_t left = d->rows - d->read;
	uint32_t n = left < max_rows ? (uint32_t)left : max_rows;
	size_t row = (size_t)d->dim * d->element, extra = 0;
	uint8_t byte;
	enum status status = STATUS_OK;
	if (d->element == 8) { /* twice as wide in the file: a row at a time through the line buffer */
		buf_reset(&d->line);
		uint8_t *wide;
		status = buf_extend(&d->line, row, &wide);
		if (status != STATUS_OK) return report_set(report, status, "%s", status_text(status));
		for (uint32_t i = 0; i < n && status == STATUS_OK; i++) {
			status = dataset_exactly(d, wide, row, report);
			elements_convert(d, wide, d->dim);
			memcpy((uint8_t *)out + i * (row / 2), wide, row / 2);
		}
	} else {
		status = dataset_exactly(d, out, n * row, report);
		if (status == STATUS_OK) elements_convert(d, out, (size_t)n * d->dim);
	}
	if (status == STATUS_OK && n == left) {
		status = bytes_read(d->file, &byte, 1, &extra, report);
		if (status == STATUS_OK && extra)
			status = report_set(report, STATUS_CORRUPT, "%s has more bytes than its head speaks of: it is damaged",
				bytes_path(d->file));
	}
	if (status == STATUS_OK) *ret_n = n;
	return status;
}

enum status dataset_pack_bits(enum dtype t, const void *rows, uint32_t n, uint32_t dim, uint8_t *out, struct report *report)
{
	size_t row_bytes = dtype_row_bytes(DTYPE_BITS, dim);
	memset(out, 0, n * row_bytes);
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t e = 0; e < dim; e++) {
			size_t at = (size_t)i * dim + e;
			float v = t == DTYPE_U8 ? (float)((const uint8_t *)rows)[at] : ((const float *)rows)[at];
			if (v != 0.0f && v != 1.0f)
				return report_set(report, STATUS_BAD_REQUEST,
					"element %u of vector %u is %g, but a hamming index has only 0 and 1", e, i, (double)v);
			out[i * row_bytes + e / 8] |= (uint8_t)((v != 0.0f) << (e % 8));
		}
	}
	return STATUS_OK;
}
