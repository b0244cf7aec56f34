/* tree.c - recursion over ranges of the tree's order. A node's random stream is named by its path, (seed, tree, path), and not by who builds
 * it or when. split_rows() never leaves less than a tenth on a side unless it halves, so the recursion is at most about 200 deep. */
#include "worker/engine/tree.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"

struct building {
	const struct rows *rows;
	uint64_t seed;
	uint32_t number;
	_Atomic uint64_t *progress;
	const struct pulse *pulse;
	struct split_scratch scratch;
	struct tree *tree;
};

static enum status grow(void **array, size_t item, uint32_t count, uint32_t *room)
{
	if (count < *room) return STATUS_OK;
	uint32_t more = *room ? 2 * *room : 64;
	void *grown = more > *room ? realloc(*array, more * item) : NULL;
	if (!grown) return STATUS_NO_MEMORY;
	*array = grown;
	*room = more;
	return STATUS_OK;
}

static enum status add_node(struct tree *t, uint32_t *ret)
{
	uint32_t room = t->node_room;
	enum status status = grow((void **)&t->nodes, sizeof(*t->nodes), t->node_count, &room);

	if (status != STATUS_OK) return status;
	if (room != t->node_room) {
		uint32_t *dir_of = realloc(t->dir_of, room * sizeof(*dir_of));
		if (!dir_of) return STATUS_NO_MEMORY;
		t->dir_of = dir_of;
		t->node_room = room;
	}
	*ret = t->node_count++;
	t->nodes[*ret] = (struct forest_node){0};
	t->dir_of[*ret] = UINT32_MAX;
	return STATUS_OK;
}

static enum status add_direction(struct building *b, uint32_t node)
{
	struct tree *t = b->tree;
	size_t floats = b->scratch.floats;
	enum status status = grow((void **)&t->dirs, floats * sizeof(float), t->dir_count, &t->dir_room);

	if (status != STATUS_OK) return status;
	memcpy(t->dirs + t->dir_count * floats, b->scratch.direction, floats * sizeof(float));
	t->dir_of[node] = t->dir_count++;
	return STATUS_OK;
}

static uint64_t child_path(uint64_t path, uint64_t side) { return (path * 2 + side) * 0x9e3779b97f4a7c15u + 1; }

static enum status build_node(struct building *b, uint32_t first, uint32_t count, uint64_t path, uint32_t *ret)
{
	struct tree *t = b->tree;
	struct prng chance;
	struct split split;
	uint32_t node, left, right;
	enum status status;

	if (pulse_stop(b->pulse)) return STATUS_CANCELLED;
	status = add_node(t, &node);
	if (status != STATUS_OK) return status;
	*ret = node;
	if (count <= FOREST_LEAF_MAX) {
		t->nodes[node] = (struct forest_node){.left = first, .count = count};
		if (b->progress) atomic_fetch_add_explicit(b->progress, count, memory_order_relaxed);
		return STATUS_OK;
	}
	prng_seed3(&chance, b->seed, b->number, path);
	uint32_t left_count = split_rows(b->rows, t->order + first, count, &chance, &b->scratch, &split);
	require(left_count > 0 && left_count < count);
	if (split.kind == SPLIT_PLANE) status = add_direction(b, node);
	if (status == STATUS_OK) status = build_node(b, first, left_count, child_path(path, 0), &left);
	if (status == STATUS_OK) status = build_node(b, first + left_count, count - left_count, child_path(path, 1), &right);
	if (status != STATUS_OK) return status;
	t->nodes[node].left = left;
	t->nodes[node].right = right;
	uint32_t bit = split.kind == SPLIT_BIT ? split.bit : FOREST_NO_BIT;
	if (b->rows->metric == METRIC_HAMMING)
		memcpy(&t->nodes[node].offset, &bit, sizeof(bit));
	else
		t->nodes[node].offset = split.kind == SPLIT_PLANE ? split.offset : 0;
	return STATUS_OK;
}

enum status tree_build(const struct rows *rows, uint64_t seed, uint32_t number, uint32_t floats, float dot_max_norm2, _Atomic uint64_t *progress,
	const struct pulse *pulse, uint32_t *order, struct tree *ret)
{
	struct building b = {.rows = rows, .seed = seed, .number = number, .progress = progress, .pulse = pulse, .tree = ret};
	uint32_t root;
	enum status status;

	*ret = (struct tree){.order = order};
	for (uint32_t i = 0; i < rows->n; i++) order[i] = i;
	status = split_scratch_init(&b.scratch, rows, floats, dot_max_norm2);
	if (status == STATUS_OK) status = build_node(&b, 0, rows->n, 1, &root);
	split_scratch_release(&b.scratch);
	return status;
}

void tree_release(struct tree *t)
{
	free(t->nodes);
	free(t->dir_of);
	free(t->dirs);
	*t = (struct tree){0};
}
