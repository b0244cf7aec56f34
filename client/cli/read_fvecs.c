/* read_fvecs.c - the fvecs format (dataset.h): each row says its dimension again, and all must say the same. */
#include "client/cli/dataset_format.h"

#include <inttypes.h>

#include "common/cursor.h"
#include "common/limits.h"

static enum status fvecs_open(struct dataset *d, struct report *report)
{
	uint8_t head[4];
	size_t n = 0;
	uint64_t size;
	const char *path = bytes_path(d->file);
	enum status status = bytes_peek(d->file, head, sizeof(head), &n, report);
	if (status != STATUS_OK) return status;
	if (n < sizeof(head))
		return report_set(report, STATUS_CORRUPT, "%s ends too early: it is cut off or no fvecs file", path);
	uint32_t dim = load_u32(head);
	if (dim < 1 || dim > DIM_MAX)
		return report_set(
			report, STATUS_LIMIT, "%s has vectors of %" PRIu32 " numbers; 1 to %d are possible", path, dim, DIM_MAX);
	if (bytes_size(d->file, &size)) {
		uint64_t row = 4 + (uint64_t)4 * dim;
		if (size % row)
			return report_set(report, STATUS_CORRUPT,
				"%s is not made of whole rows of %" PRIu32 " numbers: it is cut off or damaged", path, dim);
		d->rows = size / row;
	}
	d->dim = dim;
	d->dtype = DTYPE_F32;
	d->element = 4;
	return STATUS_OK;
}

static enum status fvecs_read(struct dataset *d, uint32_t max_rows, void *out, uint32_t *ret_n, struct report *report)
{
	uint32_t n = 0;
	for (; n < max_rows; n++) {
		uint8_t head[4];
		size_t got = 0;
		enum status status = bytes_read(d->file, head, sizeof(head), &got, report);
		if (status != STATUS_OK) return status;
		if (got == 0) break;
		if (got < sizeof(head) || load_u32(head) != d->dim)
			return report_set(report, STATUS_CORRUPT,
				"row %" PRIu64 " of %s does not have %" PRIu32 " numbers as the first has", d->read + n,
				bytes_path(d->file), d->dim);
		status = dataset_exactly(d, (float *)out + (size_t)n * d->dim, (size_t)d->dim * 4, report);
		if (status != STATUS_OK) return status;
	}
	*ret_n = n;
	return STATUS_OK;
}

const struct dataset_format dataset_fvecs = {"fvecs", fvecs_open, fvecs_read};
