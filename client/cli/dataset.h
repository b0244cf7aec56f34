/* dataset.h - files of vectors, read as a stream: never more than what is asked for is in memory.
 *
 *   idx     the MNIST family: 00 00, type (08 bytes, 0D float32 big-endian), dimensions, each a u32 big-endian; all but the first
 *           make one vector
 *   npy     NumPy's, versions 1 to 3: shape (n, dim), C order, <f4, <f8 (narrowed), |u1, |b1
 *   fvecs   an i32 dimension before each row of float32, little-endian
 *   bvecs   the same with rows of bytes
 *   fbin    u32 rows and u32 dimension, then float32, little-endian
 *   u8bin   the same with bytes
 *   hdf5    a dataset of two dimensions in the root group: floats, bytes or bool.
 *   jsonl   a JSON object a line: {"id": 7, "vector": [0.5, 1, -2], "payload": {...}}, or "key" instead of the id; all lines have one of
 *           both, or none has. What `grove get --json` prints is a line, too
 *   ann     Annoy's index files (ann_layout.h): their items. Metric and dimension are not in the file
 *   csv     numbers separated by comma, semicolon, tab or blanks; a first line without any number is a heading
 *
 * The path "-" is standard input. All but ann and hdf5 may be gzip-compressed. Every value must be finite; a file that is shorter or longer than it says is refused, before its
 * first row where the size shows it. One owner, one thread. Sentences name the file and the row or line. */
#ifndef CLIENT_CLI_DATASET_H
#define CLIENT_CLI_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/status.h"
#include "common/vec.h"

#define DATASET_FORMATS "idx, npy, fvecs, bvecs, fbin, u8bin, hdf5, jsonl, ann or csv" /* as sentences and --help name them */

struct dataset;
/* format: one of DATASET_FORMATS; NULL: by the file's name, else by its first bytes. */
MUST_CHECK enum status dataset_open(const char *path, const char *format, struct dataset **ret, struct report *report);
/* The same where the index is known that the vectors are for (or near which they lie); ann needs it. part: of a file that holds several datasets
 * (hdf5), which one (NOT_FOUND: it has none of that name); NULL: "train". numbers (hdf5): the dataset has whole numbers, which come as vectors of
 * bytes, eight for each: i64 of this machine. */
struct dataset_expected {
	enum metric metric;
	uint32_t dim;
	const char *part;
	bool numbers;
};
MUST_CHECK enum status dataset_open_for(
	const struct dataset_expected *expected, const char *path, const char *format, struct dataset **ret, struct report *report);
void dataset_close(struct dataset **d);
uint32_t dataset_dim(const struct dataset *d);
enum dtype dataset_dtype(const struct dataset *d); /* DTYPE_F32 or DTYPE_U8: what dataset_read() gives */
uint64_t dataset_rows(const struct dataset *d);	   /* in the whole file; 0: not known */
/* The next rows, 1 to max_rows, into `out` (aligned for floats, dtype_row_bytes() each). *ret_n 0: the end. */
MUST_CHECK enum status dataset_read(struct dataset *d, uint32_t max_rows, void *out, uint32_t *ret_n, struct report *report);

/* What a file says of its items beside their vectors: of the rows of the last dataset_read(), in arrays side by side. */
struct dataset_items {
	bool named;		  /* each has an id or a key; else the reader numbers them */
	struct buf ids;		  /* u64 each */
	struct buf key_sizes, keys; /* u32 each, 0: none; the bytes end to end. An item with a key has its hash for an id */
	struct buf payload_sizes, payloads; /* the same; each one msgpack map */
};
/* NULL: the format has vectors alone. `named` is known from the start. */
const struct dataset_items *dataset_items(const struct dataset *d);
/* The numbers of the rows that dataset_read() gave last, for a file with gaps (ann, where they are ids); NULL: they follow one another. */
const uint64_t *dataset_numbers(const struct dataset *d);
/* The trees of an index in the file; 0: it is no index. */
uint32_t dataset_trees(const struct dataset *d);

/* n rows of 0/1 numbers into packed bits, least significant first, ceil(dim / 8) bytes a row. Any other number is refused. */
MUST_CHECK enum status dataset_pack_bits(
	enum dtype t, const void *rows, uint32_t n, uint32_t dim, uint8_t *out, struct report *report);

/* Labels: an idx file of one dimension (bytes), or text with one label a line. */
struct labels;
enum { LABEL_MAX = 4096 }; /* bytes of a label */
MUST_CHECK enum status labels_open(const char *path, struct labels **ret, struct report *report);
void labels_close(struct labels **l);
/* The next label, valid until the next call; *ret NULL: the end. */
MUST_CHECK enum status labels_next(struct labels *l, const char **ret, struct report *report);

#endif
