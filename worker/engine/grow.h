/* grow.h - trees grown by many threads. Private to the engine.
 *
 * A node of more than SUBTREE_ROWS rows is split by all threads together, level by level over several trees: choose the
 * splits (a piece for each node), project (a piece for each run of rows), divide (a piece for each node). What is below is a
 * piece for one thread. Nothing in the result depends on which thread took which piece, or on how many trees grew at once. */
#ifndef ENGINE_GROW_H
#define ENGINE_GROW_H

#include "worker/engine/tree.h"

enum { SUBTREE_ROWS = 4096 };

/* A split made by all threads, or (children[0] is 0) the root of a subtree that one thread built. */
struct upper {
	struct branch branch;
	struct prng chance;
	struct split split;
	uint32_t dir;         /* of a split: its direction in growth.dirs */
	uint32_t children[2]; /* indexes of uppers; a child is never number 0 */
	struct tree subtree;
	enum status status;
};

struct growth {
	const struct build *build;
	uint32_t first_tree, trees;
	uint32_t *order;     /* [trees x n], the caller's memory */
	struct upper *uppers; /* the first `trees` are the roots */
	int8_t *dirs;
	uint32_t upper_count, dir_count;
	/* While it grows: */
	float *projections;  /* [trees x n] */
	uint32_t *reordered; /* [trees x n] */
	uint32_t *now;       /* the uppers that this run is about */
	struct run_of_rows { uint32_t upper, from, count; } *runs;
	uint32_t now_count, run_count;
	_Atomic bool cancelled;
};

/* How many trees are worth growing at once on so many threads. */
uint32_t growth_trees(uint32_t n, uint32_t trees, size_t threads);
/* Grow trees first_tree .. first_tree + trees - 1. On failure too: growth_release(). */
MUST_CHECK enum status growth_run(struct growth *g, const struct build *build, struct runner *runner, uint32_t first_tree,
	uint32_t trees, uint32_t *order);
void growth_release(struct growth *g);

#endif
