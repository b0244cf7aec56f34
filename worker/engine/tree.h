/* tree.h - one tree of a forest, built by one thread. Private to the engine. */
#ifndef ENGINE_TREE_H
#define ENGINE_TREE_H

#include "worker/engine/forest.h"
#include "worker/engine/split.h"

/* Numbers are the tree's own: the root is node 0, directions count from 0. The caller shifts them into the forest. */
struct tree {
	struct forest_node *nodes;
	uint32_t *dir_of;
	float *dirs;
	uint32_t node_count, node_room, dir_count, dir_room;
	uint32_t *order; /* [rows->n], the caller's memory */
};

/* Build over all rows into `order`. STATUS_CANCELLED by the pulse; on failure the tree may be half-built: tree_release(). */
MUST_CHECK enum status tree_build(const struct rows *rows, uint64_t seed, uint32_t number, uint32_t floats, float dot_max_norm2,
	_Atomic uint64_t *progress, const struct pulse *pulse, uint32_t *order, struct tree *ret);
void tree_release(struct tree *t);

#endif
