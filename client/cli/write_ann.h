/* write_ann.h - an index file of Annoy 1.17.3 (ann_layout.h), trees included.
 *
 * Annoy's ids are row numbers: an id that is missing below the largest is a row of zeros, which takes its place in the file (but none on the disk).
 * In memory: 4 bytes for each id, a plane for each level of a tree. The items are read back from the file, through the page cache. */
#ifndef CLIENT_CLI_WRITE_ANN_H
#define CLIENT_CLI_WRITE_ANN_H

#include <stdint.h>
#include <stdio.h>

#include "common/status.h"
#include "common/vec.h"

enum {
	ANN_NODES_MAX = INT32_MAX, /* items, gaps and what the trees have: Annoy numbers nodes with 32 bits */
	ANN_GAPS_MAX = 1000,       /* for each item */
};

struct ann_write {
	FILE *file;       /* empty, for reading and writing, the caller's; its write errors are, too: ferror() */
	const char *name; /* in sentences */
	enum metric metric;
	uint32_t dim, trees;
	uint64_t seed; /* the same items, trees and seed give the same file */
};

struct ann_writer;
MUST_CHECK enum status ann_writer_new(const struct ann_write *what, struct ann_writer **ret, struct report *report);
void ann_writer_free(struct ann_writer **w);
/* Ids in ascending order. row: dim finite floats, or ceil(dim / 8) bytes of bits; any alignment. */
MUST_CHECK enum status ann_writer_item(struct ann_writer *w, uint64_t id, const void *row, struct report *report);
/* After the last item: the trees. */
MUST_CHECK enum status ann_writer_finish(struct ann_writer *w, struct report *report);

#endif
