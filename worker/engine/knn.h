/* knn.h - the nearest neighbours of every row, nearly all of them, from the forest: rows that share a node of at most KNN_GROUP_MAX rows in any
 * tree are compared, all pairs. Private to the engine.
 *
 * Deterministic: one tree after the other; in a tree every row stands in one group, whose thread alone writes the row's list. */
#ifndef ENGINE_KNN_H
#define ENGINE_KNN_H

#include "worker/engine/forest.h"
#include "worker/engine/quant.h"

enum {
	KNN_K = 32,          /* neighbours kept for each row: 48 made graphs of a fifth more edges and no better searches */
	KNN_GROUP_MAX = 512, /* rows of a group */
	KNN_TREES_MAX = 16,
	KNN_NEAREST = 10,    /* of which a tree is asked how many of them are new */
};

/* A neighbour: its distance (quant_apart) in the upper half, its row in the lower, so that keys sort by (distance, row). */
typedef uint64_t knn_key;
static inline knn_key knn_key_of(uint32_t apart, uint32_t row) { return (uint64_t)apart << 32 | row; }
static inline uint32_t knn_apart(knn_key k) { return (uint32_t)(k >> 32); }
static inline uint32_t knn_row(knn_key k) { return (uint32_t)k; }

/* lists[r * KNN_K ..] ascending, counts[r] of them; the caller's memory, [n x KNN_K] and [n]. Uses the first `trees` trees of f, at most KNN_TREES_MAX,
 * and none after a tree that brought fewer than one in `settled` of all rows' KNN_NEAREST nearest; 0: all of them.
 * `progress` (may be NULL) counts up to trees * n. STATUS_CANCELLED by the pulse. Memory besides: 4 x KNN_TREES_MAX bytes a row, some MiB a thread. */
MUST_CHECK enum status knn_build(const struct codes *codes, const struct forest_view *f, uint32_t trees, uint32_t settled, struct runner *runner,
	_Atomic uint64_t *progress, const struct pulse *pulse, knn_key *lists, uint8_t *counts);

/* Sorts ascending; for short runs. */
void knn_sort(knn_key *keys, size_t n);
/* The `keep` least of n come first, in no order; returns the largest of them. 1 <= keep <= n. */
knn_key knn_select(knn_key *keys, size_t n, size_t keep);

#endif
