/* read_bin.c - the formats fbin and u8bin (dataset.h), those of the big-ann benchmarks: rows and dimension, each a u32, then the elements,
 * little-endian. */
#include "client/cli/dataset_format.h"

#include "common/cursor.h"

enum { BIN_HEAD = 8 };

static enum status bin_open(struct dataset *d, enum dtype dtype, uint8_t element, struct report *report)
{
	uint8_t head[BIN_HEAD];
	enum status status = dataset_exactly(d, head, sizeof(head), report);
	if (status != STATUS_OK) return status;
	d->dtype = dtype;
	d->element = element;
	return dataset_set_shape(d, load_u32(head), load_u32(head + 4), sizeof(head), report);
}

static enum status fbin_open(struct dataset *d, struct report *report)
{
	return bin_open(d, DTYPE_F32, 4, report);
}

static enum status u8bin_open(struct dataset *d, struct report *report)
{
	return bin_open(d, DTYPE_U8, 1, report);
}

const struct dataset_format dataset_fbin = {"fbin", fbin_open, dataset_read_counted, NULL};
const struct dataset_format dataset_u8bin = {"u8bin", u8bin_open, dataset_read_counted, NULL};
