/* read_npy.c - NumPy's format (dataset.h, npy_head.h): a head, then the elements. */
#include "client/cli/dataset_format.h"

#include <string.h>

#include "client/cli/npy_head.h"

static enum status npy_descr(struct dataset *d, const char *descr, struct report *report)
{
	static const struct {
		const char *text;
		enum dtype dtype;
		uint8_t element;
		bool swap;
	} known[] = {{"<f4", DTYPE_F32, 4, false}, {">f4", DTYPE_F32, 4, true}, {"<f8", DTYPE_F32, 8, false}, {"|u1", DTYPE_U8, 1, false},
		{"|b1", DTYPE_U8, 1, false}};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(descr, known[i].text) != 0) continue;
		d->dtype = known[i].dtype;
		d->element = known[i].element;
		d->swap = known[i].swap;
		return STATUS_OK;
	}
	return report_set(report, STATUS_UNSUPPORTED, "%s has elements of type '%s': float32, float64, uint8 and bool can be read", bytes_path(d->file), descr);
}

static enum status npy_open(struct dataset *d, struct report *report)
{
	struct npy_head head;
	enum status status = npy_head_read(d->file, &head, report);
	if (status == STATUS_OK) status = npy_descr(d, head.descr, report);
	if (status != STATUS_OK) return status;
	if (head.dimensions < 2)
		return report_set(report, STATUS_BAD_REQUEST, "%s is no table of vectors: its shape must be (number, dimension)", bytes_path(d->file));
	return dataset_set_shape(d, head.sizes[0], head.sizes[1], head.bytes, report);
}

const struct dataset_format dataset_npy = {"npy", npy_open, dataset_read_counted, NULL};
