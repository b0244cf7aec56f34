/* tree.h - a tree, or the part of one below a node, built by one thread. Private to the engine. */
#ifndef ENGINE_TREE_H
#define ENGINE_TREE_H

#include "worker/engine/forest.h"
#include "worker/engine/split.h"

/* Numbers are the tree's own: the root is node 0, nodes and directions stand in preorder. Whoever joins trees shifts them. */
struct tree {
	struct forest_node *nodes;
	uint32_t *dir_of;
	int8_t *dirs; /* of split_space.dir_size bytes */
	uint32_t node_count, node_room, dir_count, dir_room;
};
void tree_release(struct tree *t);

/* What all parts of one build share. Any thread. */
struct build {
	struct split_space space;
	uint64_t seed;
	_Atomic uint64_t *progress; /* rows that stand in leaves; may be NULL */
	const struct pulse *pulse;
};

/* A node and the rows below it. Its stream of chance is named by (seed, tree, path), and not by who builds it or when. */
struct branch { uint32_t tree, first, count; uint64_t path; };
struct branch branch_root(uint32_t tree, uint32_t n);
/* Its two children, when its first `left` rows stand left. */
void branch_children(const struct branch *b, uint32_t left, struct branch ret[2]);
void branch_chance(const struct branch *b, uint64_t seed, struct prng *ret);
/* What a node of the forest says of a split; its children are not in it yet. */
struct forest_node branch_node(const struct build *build, const struct split *split);

/* Build the branch; `order` is its tree's, [n]. STATUS_CANCELLED by the pulse; on failure the tree may be half-built:
 * tree_release(). */
MUST_CHECK enum status tree_build(const struct build *build, const struct branch *branch, uint32_t *order, struct tree *ret);

#endif
