/* item_source.h - what an import sends: the vectors of several files one after the other, with ids and labels, in batches.
 *
 * Streams: at most one batch and the readers' buffers are in memory. One thread. */
#ifndef CLIENT_CLI_ITEM_SOURCE_H
#define CLIENT_CLI_ITEM_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/status.h"
#include "common/vec.h"

struct item_source_options {
	const char *const *files;
	size_t file_count;
	const char *format;      /* NULL: by each file's name */
	const char *part;        /* of files with several datasets; NULL: "train" */
	uint64_t start_id;       /* of the first vector; ids in an ann file are counted from it */
	bool numbered;           /* start_id was asked for: files whose items have ids of their own are refused */
	const char *ids, *labels; /* files, or NULL */
	uint32_t dim;            /* of the index: other files are refused */
	enum metric metric;      /* of the index; hamming: 0/1 numbers are packed */
};

/* Parallel arrays of `count` items, as grove_items takes them. Labels come as payloads {label: ...}; files
 * that say ids, keys and payloads themselves (dataset_items) bring those. */
struct item_batch {
	uint32_t count, dim, dtype; /* enum grove_dtype */
	struct buf rows;
	struct buf ids;           /* u64[count] */
	struct buf payload_sizes; /* u32[count]; empty: no payloads */
	struct buf payloads;
	struct buf key_sizes;     /* u32[count]; empty: no keys */
	struct buf keys;
};

void item_batch_init(struct item_batch *b);
void item_batch_release(struct item_batch *b);

struct item_source;
/* Opens the first file, and those of ids and labels. */
MUST_CHECK enum status item_source_open(const struct item_source_options *options, struct item_source **ret, struct report *report);
void item_source_close(struct item_source **s);
/* The next items, as many as have max_bytes of vectors (at least one); count 0 at the end. Too few or too many ids or labels are
 * an error. On failure the batch holds nothing of use. */
MUST_CHECK enum status item_source_read(struct item_source *s, size_t max_bytes, struct item_batch *b, struct report *report);
/* The trees of the first file; 0: it is no index. */
uint32_t item_source_trees(const struct item_source *s);
/* How many items the files say they have; 0: not known. */
uint64_t item_source_expected(const struct item_source *s);

/* The first `count` labels of a file as malloc'ed texts, in a malloc'ed array; too few are an error. */
MUST_CHECK enum status item_labels_load(const char *path, uint32_t count, char ***ret, struct report *report);

#endif
