/* dataset_format.h - what one file format gives to dataset.c; nobody else includes it. */
#ifndef CLIENT_CLI_DATASET_FORMAT_H
#define CLIENT_CLI_DATASET_FORMAT_H

#include <sys/types.h>

#include "client/cli/ann_layout.h"
#include "client/cli/dataset.h"
#include "client/cli/read_bytes.h"

struct dataset {
	const struct dataset_format *format;
	struct bytes_file *file;
	uint32_t dim;
	enum dtype dtype;
	uint64_t rows; /* 0: not known */
	uint64_t read; /* rows given so far */
	/* the formats' own */
	uint8_t element; /* bytes of an element in the file */
	bool swap;	 /* big-endian floats */
	struct buf line; /* csv and jsonl: the line read ahead; ann: some nodes */
	uint64_t line_number;
	bool line_waits;
	pid_t reader;	  /* hdf5: the process that reads it; 0: none */
	bool has_items; /* jsonl: `items` is filled */
	struct dataset_items items;
	const struct dataset_expected *expected; /* while it is opened; may be NULL */
	const struct ann_layout *layout;	 /* ann: */
	uint64_t nodes, slots, node;		 /* of the file; of them items or gaps; the next one */
	uint64_t nodes_at; /* where they begin in the file */
	uint32_t trees;
	struct buf numbers; /* u64 of the rows read last */
};

struct dataset_format {
	const char *name;
	/* Read the head: dim, dtype and, if the file says so, rows. */
	enum status (*open)(struct dataset *d, struct report *report);
	/* Up to max_rows rows; *ret_n 0 at the end. */
	enum status (*read)(struct dataset *d, uint32_t max_rows, void *out, uint32_t *ret_n, struct report *report);
	void (*close)(struct dataset *d); /* or NULL */
};

extern const struct dataset_format dataset_idx, dataset_npy, dataset_fvecs, dataset_bvecs, dataset_fbin, dataset_u8bin, dataset_hdf5,
	dataset_jsonl, dataset_ann, dataset_csv;

void dataset_items_each(struct dataset_items *items, void (*each)(struct buf *));
/* Checked head: 1 <= dim <= DIM_MAX, and the plain file's size is head + rows x dim x element. */
MUST_CHECK enum status dataset_set_shape(struct dataset *d, uint64_t rows, uint64_t dim, size_t head, struct report *report);
/* n bytes or a sentence that the file ends too early. */
MUST_CHECK enum status dataset_exactly(struct dataset *d, void *out, size_t n, struct report *report);
/* The next line with anything on it in d->line, counted in d->line_number; *ret_end: there is none. */
MUST_CHECK enum status dataset_line(struct dataset *d, size_t max, bool *ret_end, struct report *report);
/* For formats that know their rows: that many, then the end of the file. */
MUST_CHECK enum status dataset_read_counted(
	struct dataset *d, uint32_t max_rows, void *out, uint32_t *ret_n, struct report *report);

#endif
