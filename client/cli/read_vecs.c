/* read_vecs.c - the formats fvecs and bvecs (dataset.h): each row says its dimension again, and all must say the same. */
#include "client/cli/dataset_format.h"

#include <inttypes.h>

#include "common/cursor.h"
#include "common/limits.h"

static enum status vecs_open(struct dataset *d, enum dtype dtype, uint8_t element, struct report *report)
{
	uint8_t head[4];
	size_t n = 0;
	uint64_t size;
	const char *path = bytes_path(d->file);
	enum status status = bytes_peek(d->file, head, sizeof(head), &n, report);
	if (status != STATUS_OK) return status;
	if (n < sizeof(head))
		return report_set(report, STATUS_CORRUPT, "%s ends too early: it is cut off or no %s file", path,
			d->format->name);
	uint32_t dim = load_u32(head);
	if (dim < 1 || dim > DIM_MAX)
		return report_set(
			report, STATUS_LIMIT, "%s has vectors of %" PRIu32 " numbers; 1 to %d are possible", path, dim, DIM_MAX);
	if (bytes_size(d->file, &size)) {
		uint64_t row = 4 + (uint64_t)element * dim;
		if (size % row)
			return report_set(report, STATUS_CORRUPT,
				"%s is not made of whole rows of %" PRIu32 " numbers: it is cut off or damaged", path, dim);
		d->rows = size / row;
	}
	d->dim = dim;
	d->dtype = dtype;
	d->element = element;
	return STATUS_OK;
}

static enum status fvecs_open(struct dataset *d, struct report *report)
{
	return vecs_open(d, DTYPE_F32, 4, report);
}

static enum status bvecs_open(struct dataset *d, struct report *report)
{
	return vecs_open(d, DTYPE_U8, 1, report);
}

static enum status vecs_read(struct dataset *d, uint32_t max_rows, void *out, uint32_t *ret_n, struct report *report)
{
	size_t row = (size_t)d->dim * d->element;
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
		status = dataset_exactly(d, (uint8_t *)out + n * row, row, report);
		if (status != STATUS_OK) return status;
	}
	*ret_n = n;
	return STATUS_OK;
}

const struct dataset_format dataset_fvecs = {"fvecs", fvecs_open, vecs_read, NULL};
const struct dataset_format dataset_bvecs = {"bvecs", bvecs_open, vecs_read, NULL};
