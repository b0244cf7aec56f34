/* tree.c - recursion over ranges of a tree's order. A split leaves at least a tenth on each side (a bit's: a thirty-second),
 * so the recursion is at most some hundreds deep. */
#include "worker/engine/tree.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cursor.h"

enum { ROOM_FIRST = 64 };

/* The memory of one thread that builds a branch. */
struct building {
	const struct build *build;
	struct split_scratch *scratch;
	int8_t *direction;   /* [dir_size] */
	float *projections;  /* [rows of the branch] */
	uint32_t *reordered; /* [rows of the branch] */
	uint32_t *order;     /* of the whole tree */
	struct tree *tree;
};

void tree_release(struct tree *t)
{
	free(t->nodes);
	free(t->dir_of);
	free(t->dirs);
	*t = (struct tree){0};
}

/* ---- branches ---- */

struct branch branch_root(uint32_t tree, uint32_t n) { return (struct branch){.tree = tree, .first = 0, .count = n, .path = 1}; }

void branch_children(const struct branch *b, uint32_t left, struct branch ret[2])
{
	for (uint64_t side = 0; side < 2; side++) ret[side] = (struct branch){.tree = b->tree,
		.path = (b->path * 2 + side) * 0x9e3779b97f4a7c15u + 1};
	ret[0].first = b->first;
	ret[0].count = left;
	ret[1].first = b->first + left;
	ret[1].count = b->count - left;
}

void branch_chance(const struct branch *b, uint64_t seed, struct prng *ret) { prng_seed3(ret, seed, b->tree, b->path); }

struct forest_node branch_node(const struct build *build, const struct split *split)
{
	struct forest_node node = {0};
	uint32_t bit = split->kind == SPLIT_BIT ? split->bit : FOREST_NO_BIT;

	if (split->kind == SPLIT_PLANE) {
		node.offset = split->offset;
		node.unit = split->unit;
	}
	if (build->space.rows->metric == METRIC_HAMMING) memcpy(&node.offset, &bit, sizeof(bit));
	return node;
}

/* ---- growing ---- */

/* Room for twice as many items of `bytes` each; *array stays as it was on failure. */
static enum status double_room(void **array, size_t bytes, uint32_t room)
{
	size_t size;

	if (room > UINT32_MAX / 2 || !size_mul(2 * (size_t)room, bytes, &size)) return STATUS_NO_MEMORY;
	void *grown = realloc(*array, size);
	if (!grown) return STATUS_NO_MEMORY;
	*array = grown;
	return STATUS_OK;
}

static enum status add_node(struct tree *t, uint32_t *ret)
{
	if (t->node_count == t->node_room) {
		uint32_t room = t->node_room ? t->node_room : ROOM_FIRST / 2;
		void *nodes = t->nodes, *dir_of = t->dir_of;
		enum status status = double_room(&nodes, sizeof(*t->nodes), room);
		t->nodes = nodes;
		if (status == STATUS_OK) status = double_room(&dir_of, sizeof(*t->dir_of), room);
		t->dir_of = dir_of;
		if (status != STATUS_OK) return status;
		t->node_room = 2 * room;
	}
	*ret = t->node_count++;
	t->nodes[*ret] = (struct forest_node){0};
	t->dir_of[*ret] = UINT32_MAX;
	return STATUS_OK;
}

static enum status add_direction(struct building *b, uint32_t node)
{
	struct tree *t = b->tree;
	size_t size = b->build->space.dir_size;

	if (t->dir_count == t->dir_room) {
		uint32_t room = t->dir_room ? t->dir_room : ROOM_FIRST / 2;
		void *dirs = t->dirs;
		enum status status = double_room(&dirs, size, room);
		if (status != STATUS_OK) return status;
		t->dirs = dirs;
		t->dir_room = 2 * room;
	}
	memcpy(t->dirs + t->dir_count * size, b->direction, size);
	t->dir_of[node] = t->dir_count++;
	return STATUS_OK;
}

static enum status build_node(struct building *b, const struct branch *branch, uint32_t *ret)
{
	const struct build *build = b->build;
	struct tree *t = b->tree;
	uint32_t *order = b->order + branch->first, left, node, child;
	struct branch children[2];
	struct prng chance;
	struct split split;

	if (pulse_stop(build->pulse)) return STATUS_CANCELLED;
	enum status status = add_node(t, &node);
	if (status != STATUS_OK) return status;
	*ret = node;
	if (branch->count <= FOREST_LEAF_MAX) {
		t->nodes[node] = (struct forest_node){.at = branch->first, .count = branch->count};
		if (build->progress) atomic_fetch_add_explicit(build->progress, branch->count, memory_order_relaxed);
		return STATUS_OK;
	}
	branch_chance(branch, build->seed, &chance);
	split_choose(&build->space, order, branch->count, &chance, b->scratch, b->direction, &split);
	split_project(&build->space, &split, b->direction, order, branch->count, b->projections);
	left = split_divide(order, branch->count, b->projections, &chance, b->reordered, &split);
	require(left > 0 && left < branch->count);
	t->nodes[node] = branch_node(build, &split);
	if (split.kind == SPLIT_PLANE) status = add_direction(b, node);
	branch_children(branch, left, children);
	if (status == STATUS_OK) status = build_node(b, &children[0], &child);
	if (status != STATUS_OK) return status;
	require(child == node + 1);
	status = build_node(b, &children[1], &child);
	if (status == STATUS_OK) t->nodes[node].at = child;
	return status;
}

enum status tree_build(const struct build *build, const struct branch *branch, uint32_t *order, struct tree *ret)
{
	struct building b = {.build = build, .order = order, .tree = ret};
	size_t count = branch->count ? branch->count : 1;
	uint32_t root;
	enum status status;

	*ret = (struct tree){0};
	status = split_scratch_new(&build->space, &b.scratch);
	b.direction = aligned_alloc(CODE_ALIGN, build->space.dir_size ? build->space.dir_size : CODE_ALIGN);
	b.projections = calloc(count, sizeof(float));
	b.reordered = calloc(count, sizeof(uint32_t));
	if (!b.direction || !b.projections || !b.reordered) status = STATUS_NO_MEMORY;
	if (status == STATUS_OK) status = build_node(&b, branch, &root);
	split_scratch_free(&b.scratch);
	free(b.direction);
	free(b.projections);
	free(b.reordered);
	return status;
}
