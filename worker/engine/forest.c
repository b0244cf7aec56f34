/* forest.c - building a forest tree by tree, putting the trees end to end, and checking one that comes from a file. */
#include "worker/engine/forest.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cursor.h"
#include "worker/engine/tree.h"

struct forest {
	uint32_t n, trees, nodes, dirs, dir_floats;
	uint32_t *roots;
	struct forest_node *node;
	uint32_t *dir_of;
	float *dir;
	uint32_t *order;
	float dot_max_norm2;
};

struct forest_job {
	const struct rows *rows;
	const struct forest_params *params;
	_Atomic uint64_t *progress;
	const struct pulse *pulse;
	struct forest *forest;
	struct tree *trees;
	enum status *statuses;
};

static void build_one(void *arg, size_t i)
{
	struct forest_job *job = arg;
	struct forest *f = job->forest;

	job->statuses[i] = tree_build(job->rows, job->params->seed, (uint32_t)i, f->dir_floats, f->dot_max_norm2, job->progress, job->pulse,
		f->order + i * (size_t)f->n, &job->trees[i]);
}

/* Move the trees' nodes and directions into the forest's flat arrays. */
static enum status join_trees(struct forest *f, struct tree *trees)
{
	uint64_t nodes = 0, dirs = 0;

	for (uint32_t t = 0; t < f->trees; t++) {
		nodes += trees[t].node_count;
		dirs += trees[t].dir_count;
	}
	if (nodes >= UINT32_MAX) return STATUS_LIMIT;
	f->node = malloc((nodes ? nodes : 1) * sizeof(*f->node));
	f->dir_of = malloc((nodes ? nodes : 1) * sizeof(*f->dir_of));
	f->dir = malloc((dirs ? dirs : 1) * sizeof(float) * (f->dir_floats ? f->dir_floats : 1));
	if (!f->node || !f->dir_of || !f->dir) return STATUS_NO_MEMORY;
	for (uint32_t t = 0; t < f->trees; t++) {
		struct tree *tree = &trees[t];
		f->roots[t] = f->nodes;
		for (uint32_t i = 0; i < tree->node_count; i++) {
			struct forest_node node = tree->nodes[i];
			if (!node.count) {
				node.left += f->nodes;
				node.right += f->nodes;
			}
			f->node[f->nodes + i] = node;
			f->dir_of[f->nodes + i] = tree->dir_of[i] == UINT32_MAX ? UINT32_MAX : tree->dir_of[i] + f->dirs;
		}
		if (tree->dir_count) memcpy(f->dir + (size_t)f->dirs * f->dir_floats, tree->dirs, (size_t)tree->dir_count * f->dir_floats * sizeof(float));
		f->nodes += tree->node_count;
		f->dirs += tree->dir_count;
		tree_release(tree);
	}
	return STATUS_OK;
}

enum status forest_build(const struct rows *rows, const struct forest_params *params, struct runner *runner, _Atomic uint64_t *progress,
	const struct pulse *pulse, struct forest **ret)
{
	struct forest *f = calloc(1, sizeof(*f));
	struct tree *trees = NULL;
	enum status *statuses = NULL, status = STATUS_NO_MEMORY;
	size_t places;

	if (!f) return STATUS_NO_MEMORY;
	f->n = rows->n;
	f->trees = rows->n ? params->trees : 0;
	f->dir_floats = split_floats(rows->metric, rows->dim);
	for (uint32_t i = 0; rows->metric == METRIC_DOT && i < rows->n; i++)
		if (rows->norm2[i] > f->dot_max_norm2) f->dot_max_norm2 = rows->norm2[i];
	if (!size_mul(f->n, f->trees, &places) || !size_mul(places, sizeof(uint32_t), &places)) goto out;
	f->roots = calloc(f->trees ? f->trees : 1, sizeof(*f->roots));
	f->order = malloc(places ? places : 1);
	trees = calloc(f->trees ? f->trees : 1, sizeof(*trees));
	statuses = calloc(f->trees ? f->trees : 1, sizeof(*statuses));
	if (!f->roots || !f->order || !trees || !statuses) goto out;

	struct forest_job job = {rows, params, progress, pulse, f, trees, statuses};
	runner->run(runner, f->trees, build_one, &job);
	status = STATUS_OK;
	for (uint32_t t = 0; t < f->trees && status == STATUS_OK; t++) status = statuses[t];
	if (status == STATUS_OK) status = join_trees(f, trees);
out:
	for (uint32_t t = 0; trees && t < f->trees; t++) tree_release(&trees[t]);
	free(trees);
	free(statuses);
	if (status == STATUS_OK)
		*ret = f;
	else
		forest_free(&f);
	return status;
}

void forest_free(struct forest **forest)
{
	struct forest *f = *forest;

	if (!f) return;
	free(f->roots);
	free(f->node);
	free(f->dir_of);
	free(f->dir);
	free(f->order);
	free(f);
	*forest = NULL;
}

struct forest_view forest_as_view(const struct forest *f)
{
	return (struct forest_view){.n = f->n, .trees = f->trees, .nodes = f->nodes, .dirs = f->dirs, .roots = f->roots, .node = f->node,
		.dir_of = f->dir_of, .dir = f->dir, .dir_floats = f->dir_floats, .order = f->order, .dot_max_norm2 = f->dot_max_norm2};
}

void forest_renumber(struct forest *f, uint32_t *ret_new_of_old)
{
	size_t places = (size_t)f->n * f->trees;

	if (!f->trees) return;
	for (uint32_t i = 0; i < f->n; i++) ret_new_of_old[f->order[i]] = i;
	for (size_t i = 0; i < places; i++) f->order[i] = ret_new_of_old[f->order[i]];
}

/* ---- a forest from a file ---- */

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
static bool check_tree(const struct forest_view *f, enum metric metric, uint32_t dim, uint32_t root, uint64_t *seen_nodes, uint64_t *seen_places,
	uint32_t *stack)
{
	uint32_t depth = 0, covered = 0;

	stack[depth++] = root;
	while (depth > 0) {
		uint32_t i = stack[--depth];
		if (i >= f->nodes || !mark(seen_nodes, i)) return false;
		const struct forest_node *node = &f->node[i];
		if (!node->count) {
			if (!split_valid(f, metric, dim, i) || depth + 2 > f->nodes) return false;
			stack[depth++] = node->left;
			stack[depth++] = node->right;
			continue;
		}
		if (node->count > FOREST_LEAF_MAX || node->left > f->n || node->count > f->n - node->left) return false;
		for (uint32_t p = node->left; p < node->left + node->count; p++)
			if (!mark(seen_places, p)) return false;
		covered += node->count;
	}
	return covered == f->n;
}

static bool check_order(const struct forest_view *f, uint32_t tree, uint64_t *seen)
{
	const uint32_t *order = f->order + (size_t)tree * f->n;

	for (uint32_t i = 0; i < f->n; i++)
		if (order[i] >= f->n || !mark(seen, order[i])) return false;
	return true;
}

bool forest_check(const struct forest_view *f, enum metric metric, uint32_t dim)
{
	size_t words = ((size_t)f->n + 63) / 64 + 1, node_words = ((size_t)f->nodes + 63) / 64 + 1;
	uint64_t *nodes = NULL, *rows = NULL;
	uint32_t *stack = NULL;
	bool ok = false;

	if (!f->n || !f->trees) return f->nodes == 0 && f->trees == 0;
	if (f->dir_floats != split_floats(metric, dim)) return false;
	nodes = calloc(node_words, sizeof(*nodes));
	rows = calloc(words, sizeof(*rows));
	stack = calloc((size_t)f->nodes + 2, sizeof(*stack));
	if (!nodes || !rows || !stack) goto out;
	for (uint32_t t = 0; t < f->trees; t++) {
		memset(rows, 0, words * sizeof(*rows));
		if (!check_tree(f, metric, dim, f->roots[t], nodes, rows, stack)) goto out;
		memset(rows, 0, words * sizeof(*rows));
		if (!check_order(f, t, rows)) goto out;
	}
	ok = true;
out:
	free(nodes);
	free(rows);
	free(stack);
	return ok;
}
