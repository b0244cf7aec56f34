/* read_idx.c - the idx format (dataset.h), and idx files as labels. */
#include "client/cli/dataset_format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cursor.h"

enum { IDX_DIMENSIONS_MAX = 8, IDX_U8 = 0x08, IDX_F32 = 0x0d };

static enum status idx_open(struct dataset *d, struct report *report)
{
	uint8_t head[4], sizes[4 * IDX_DIMENSIONS_MAX];
	const char *path = bytes_path(d->file);
	enum status status = dataset_exactly(d, head, sizeof(head), report);
	if (status != STATUS_OK) return status;
	if (head[0] || head[1])
		return report_set(report, STATUS_CORRUPT, "%s is no idx file: it does not begin with two zero bytes", path);
	if (head[2] != IDX_U8 && head[2] != IDX_F32)
		return report_set(report, STATUS_UNSUPPORTED,
			"%s has elements of type 0x%02x: bytes (0x08) and float32 (0x0d) can be read", path, head[2]);
	if (head[3] < 2 || head[3] > IDX_DIMENSIONS_MAX)
		return report_set(report, STATUS_BAD_REQUEST, "%s has %u dimensions: vectors need 2 to %d", path, head[3],
			IDX_DIMENSIONS_MAX);
	status = dataset_exactly(d, sizes, (size_t)4 * head[3], report);
	if (status != STATUS_OK) return status;
	uint64_t rows = __builtin_bswap32(load_u32(sizes)), dim = 1;
	for (size_t i = 1; i < head[3]; i++) {
		if (__builtin_mul_overflow(dim, (uint64_t)__builtin_bswap32(load_u32(sizes + 4 * i)), &dim)) dim = UINT64_MAX;
	}
	d->dtype = head[2] == IDX_U8 ? DTYPE_U8 : DTYPE_F32;
	d->element = head[2] == IDX_U8 ? 1 : 4;
	d->swap = head[2] == IDX_F32;
	return dataset_set_shape(d, rows, dim, 4 + (size_t)4 * head[3], report);
}

const struct dataset_format dataset_idx = {"idx", idx_open, dataset_read_counted, NULL};

/* ---- labels ---- */

struct labels {
	struct bytes_file *file;
	bool idx;
	uint64_t left; /* idx: labels to come */
	struct buf line;
	char number[8];
};

enum status labels_open(const char *path, struct labels **ret, struct report *report)
{
	uint8_t head[8];
	size_t n = 0;
	struct labels *l = calloc(1, sizeof(*l));
	if (!l) return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	buf_init(&l->line, 0);
	enum status status = bytes_open(path, &l->file, report);
	if (status == STATUS_OK) status = bytes_peek(l->file, head, sizeof(head), &n, report);
	if (status == STATUS_OK && n == 0) status = report_set(report, STATUS_BAD_REQUEST, "%s is empty", path);
	if (status == STATUS_OK && n == sizeof(head) && !head[0] && !head[1] && head[2] == IDX_U8 && head[3] == 1) {
		l->idx = true;
		l->left = __builtin_bswap32(load_u32(head + 4));
		status = bytes_read(l->file, head, sizeof(head), &n, report);
	}
	if (status == STATUS_OK)
		*ret = l;
	else
		labels_close(&l);
	return status;
}

void labels_close(struct labels **l)
{
	if (!*l) return;
	bytes_close(&(*l)->file);
	buf_release(&(*l)->line);
	free(*l);
	*l = NULL;
}

enum status labels_next(struct labels *l, const char **ret, struct report *report)
{
	uint8_t byte;
	size_t n = 0;
	bool end = false;
	enum status status;
	if (!l->idx) {
		status = bytes_line(l->file, LABEL_MAX, &l->line, &end, report);
		if (status == STATUS_OK) *ret = end ? NULL : (const char *)l->line.bytes;
		return status;
	}
	status = bytes_read(l->file, &byte, 1, &n, report);
	if (status != STATUS_OK) return status;
	if (l->left == 0) {
		if (n)
			return report_set(report, STATUS_CORRUPT, "%s has more labels than its head speaks of: it is damaged",
				bytes_path(l->file));
		*ret = NULL;
		return STATUS_OK;
	}
	if (n == 0)
		return report_set(report, STATUS_CORRUPT, "%s ends %" PRIu64 " labels too early", bytes_path(l->file), l->left);
	l->left--;
	snprintf(l->number, sizeof(l->number), "%u", byte);
	*ret = l->number;
	return STATUS_OK;
}
