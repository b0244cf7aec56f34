/* forest_check.c - a forest that comes from a file is believed only after all of it was read. */
#include <stdlib.h>
#include <string.h>

#include "worker/engine/forest.h"

static bool mark(uint64_t *bits, uint32_t i)
{
	uint64_t bit = (uint64_t)1 << i % 64;

	if (bits[i / 64] & bit) return false;
	bits[i / 64] |= bit;
	return true;
}

static bool split_valid(const struct forest_view *f, enum metric metric, uint32_t dim, uint32_t node)
{
	uint32_t dir = f->dir_of[node], bit;

	if (metric != METRIC_HAMMING) return dir == UINT32_MAX || dir < f->dirs;
	memcpy(&bit, &f->node[node].offset, sizeof(bit));
	return dir == UINT32_MAX && (bit == FOREST_NO_BIT || bit < dim);
}

/* From root: every node at most once in the whole forest, and the leaves' runs tile 0 .. n-1 of this tree's order. */
static bool check_tree(const struct forest_view *f, enum metric metric, uint32_t dim, uint32_t root, uint64_t *seen_nodes,
	uint64_t *seen_places, uint32_t *stack)
{
	uint32_t depth = 0, covered = 0;

	stack[depth++] = root;
	while (depth > 0) {
		uint32_t i = stack[--depth];
		if (i >= f->nodes || !mark(seen_nodes, i)) return false;
		const struct forest_node *node = &f->node[i];
		if (!node->count) {
			if (!split_valid(f, metric, dim, i) || depth + 2 > f->nodes) return false;
			stack[depth++] = i + 1;
			stack[depth++] = node->at;
			continue;
		}
		if (node->count > FOREST_LEAF_MAX || node->at > f->n || node->count > f->n - node->at) return false;
		for (uint32_t p = node->at; p < node->at + node->count; p++)
			if (!mark(seen_places, p)) return false;
		covered += node->count;
	}
	return covered == f->n;
}

static bool check_order(const struct forest_view *f, uint32_t tree, uint64_t *seen)
{
#ifndef GROVE_PLANT_FOREST_VIEW /* for the fuzzer's own test: without this check a search reads rows that are not there */
	for (uint32_t i = 0; i < f->n; i++)
		if (forest_row(f, tree, i) >= f->n) return false;
#endif
	for (uint32_t i = 0; i < f->n; i++)
		if (!mark(seen, forest_row(f, tree, i))) return false;
	return true;
}

enum status forest_verify(const struct forest_view *f, enum metric metric, uint32_t dim)
{
	size_t words = ((size_t)f->n + 63) / 64 + 1, node_words = ((size_t)f->nodes + 63) / 64 + 1;
	uint64_t *nodes = NULL, *rows = NULL;
	uint32_t *stack = NULL;
	enum status status = STATUS_CORRUPT;

	if (!f->n || !f->trees) return f->nodes == 0 && f->trees == 0 ? STATUS_OK : STATUS_CORRUPT;
	if (f->dir_size != forest_dir_size(metric, dim)) return STATUS_CORRUPT;
	nodes = calloc(node_words, sizeof(*nodes));
	rows = calloc(words, sizeof(*rows));
	stack = calloc((size_t)f->nodes + 2, sizeof(*stack));
	if (!nodes || !rows || !stack) {
		status = STATUS_NO_MEMORY;
		goto out;
	}
	for (uint32_t t = 0; t < f->trees; t++) {
		memset(rows, 0, words * sizeof(*rows));
		if (!check_tree(f, metric, dim, f->roots[t], nodes, rows, stack)) goto out;
		memset(rows, 0, words * sizeof(*rows));
		if (!check_order(f, t, rows)) goto out;
	}
	status = STATUS_OK;
out:
	free(nodes);
	free(rows);
	free(stack);
	return status;
}

bool forest_check(const struct forest_view *f, enum metric metric, uint32_t dim) { return forest_verify(f, metric, dim) == STATUS_OK; }
