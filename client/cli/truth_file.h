/* truth_file.h - the true neighbours of queries as a file gives them: an HDF5 file in the layout of ann-benchmarks, where a row of `neighbors`
 * has the numbers of the nearest rows of `train`, nearest first, for each row of `test`.
 *
 * The k first of a row are the truth. Of several items at the distance of the k-th any will do; which ones the file knows is told by its
 * `distances`, where it has them. They are compared with each other alone, so it does not matter how they are defined. */
#ifndef CLIENT_CLI_TRUTH_FILE_H
#define CLIENT_CLI_TRUTH_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/status.h"

struct truth_file {
	uint32_t queries, columns;
	uint64_t *ids;	  /* [queries x columns] */
	uint32_t *counts; /* of each query: ids of its row that are right, k or more */
};

/* The first `queries` rows of the dataset `name`; with `all` it must have no more. NOT_FOUND, BAD_REQUEST, LIMIT, ...: with a sentence. */
MUST_CHECK enum status truth_file_load(const char *path, const char *name, uint32_t k, uint32_t queries, bool all, struct truth_file *ret,
	struct report *report);
void truth_file_release(struct truth_file *t);

#endif
