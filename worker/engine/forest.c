/* forest.c - trees grown some at a time and put end to end. Node numbers run through all trees in preorder, and so do the
 * numbers of the directions, whoever grew which part. */
#include "worker/engine/forest.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cursor.h"
#include "worker/engine/grow.h"

enum { PIECE_PLACES = 1 << 15 };

struct forest {
	uint32_t n, trees, nodes, dirs, dir_size;
	uint32_t *roots;
	struct forest_node *node;
	uint32_t *dir_of;
	int8_t *dir;
	uint8_t *order; /* packed */
	uint32_t order_width;
	bool renumbered;
	float dot_max_norm2;
	struct quant quant;
};

/* ---- joining ---- */

static void emit_subtree(struct forest *f, const struct tree *t)
{
	for (uint32_t i = 0; i < t->node_count; i++) {
		struct forest_node node = t->nodes[i];
		if (!node.count) node.at += f->nodes;
		f->node[f->nodes + i] = node;
		f->dir_of[f->nodes + i] = t->dir_of[i] == UINT32_MAX ? UINT32_MAX : t->dir_of[i] + f->dirs;
	}
	if (t->dir_count) memcpy(f->dir + (size_t)f->dirs * f->dir_size, t->dirs, (size_t)t->dir_count * f->dir_size);
	f->nodes += t->node_count;
	f->dirs += t->dir_count;
}

/* In preorder; returns the number of the node. The arrays have room. As deep as the tree. */
static uint32_t emit(struct forest *f, const struct growth *g, uint32_t upper)
{
	const struct upper *u = &g->uppers[upper];
	uint32_t number = f->nodes;

	if (!u->children[0]) {
		emit_subtree(f, &u->subtree);
		return number;
	}
	f->node[f->nodes] = branch_node(g->build, &u->split);
	f->dir_of[f->nodes] = UINT32_MAX;
	if (u->split.kind == SPLIT_PLANE) {
		memcpy(f->dir + (size_t)f->dirs * f->dir_size, g->dirs + (size_t)u->dir * f->dir_size, f->dir_size);
		f->dir_of[f->nodes] = f->dirs++;
	}
	f->nodes++;
	(void)emit(f, g, u->children[0]);
	f->node[number].at = emit(f, g, u->children[1]);
	return number;
}

static bool lengthen(void **array, uint64_t count, size_t bytes)
{
	size_t size;

	if (!size_mul(count ? count : 1, bytes ? bytes : 1, &size)) return false;
	void *longer = realloc(*array, size);
	if (longer) *array = longer;
	return longer;
}

/* Put what grew behind what the forest has. */
static enum status join(struct forest *f, const struct growth *g)
{
	uint64_t nodes = f->nodes, dirs = f->dirs;
	void *node = f->node, *dir_of = f->dir_of, *dir = f->dir;

	for (uint32_t i = 0; i < g->upper_count; i++) {
		const struct upper *u = &g->uppers[i];
		nodes += u->children[0] ? 1 : u->subtree.node_count;
		dirs += u->children[0] ? u->split.kind == SPLIT_PLANE : u->subtree.dir_count;
	}
	if (nodes >= UINT32_MAX) return STATUS_LIMIT;
	bool room = lengthen(&node, nodes, sizeof(*f->node)) && lengthen(&dir_of, nodes, sizeof(*f->dir_of)) &&
		lengthen(&dir, dirs, f->dir_size);
	f->node = node;
	f->dir_of = dir_of;
	f->dir = dir;
	if (!room) return STATUS_NO_MEMORY;
	for (uint32_t t = 0; t < g->trees; t++) f->roots[g->first_tree + t] = emit(f, g, t);
	return STATUS_OK;
}

/* Places of an order that are packed, or renumbered. */
struct packing {
	size_t count;
	const uint32_t *order;       /* [count]; NULL: `from` has them, and new_of_old what becomes of them */
	struct packed from;
	const uint32_t *new_of_old;
	uint8_t *to;
	uint32_t width;
};

static void pack_piece(void *arg, size_t piece)
{
	const struct packing *p = arg;
	size_t first = piece * PIECE_PLACES, end = p->count - first < PIECE_PLACES ? p->count : first + PIECE_PLACES;

	for (size_t i = first; p->order && i < end; i++) packed_put(p->to, p->width, i, p->order[i]);
	for (size_t i = first; !p->order && i < end; i++) packed_put(p->to, p->width, i, p->new_of_old[packed_at(&p->from, i)]);
}

static void pack(struct packing *p, struct runner *runner) { runner->run(runner, (p->count + PIECE_PLACES - 1) / PIECE_PLACES, pack_piece, p); }

/* What a growth found of the order of its trees. */
static void pack_order(struct forest *f, uint32_t first_tree, uint32_t trees, const uint32_t *order, struct runner *runner)
{
	struct packing packing = {.count = (size_t)trees * f->n, .order = order, .to = f->order + (size_t)first_tree * f->n * f->order_width,
		.width = f->order_width};

	pack(&packing, runner);
}

/* ---- the life of a forest ---- */

/* The arrays whose sizes are known: orders, roots. */
static enum status order_room(struct forest *f)
{
	size_t places;

	f->order_width = packed_row_width(f->n);
	if (!size_mul(f->n, f->trees, &places) || !size_mul(places, f->order_width, &places)) return STATUS_NO_MEMORY;
	f->roots = calloc(f->trees ? f->trees : 1, sizeof(*f->roots));
	f->order = malloc(places + PACKED_SPARE);
	if (!f->roots || !f->order) return STATUS_NO_MEMORY;
	memset(f->order + places, 0, PACKED_SPARE);
	return STATUS_OK;
}

static enum status grow_all(struct forest *f, const struct build *build, struct runner *runner)
{
	uint32_t at_once = growth_trees(f->n, f->trees, runner->threads);
	uint32_t *order = NULL;
	enum status status = STATUS_OK;
	size_t size;

	if (size_mul((size_t)at_once * sizeof(*order), f->n, &size)) order = malloc(size ? size : 1);
	if (!order) return STATUS_NO_MEMORY;
	for (uint32_t t = 0; t < f->trees && status == STATUS_OK; t += at_once) {
		struct growth growth;
		if (at_once > f->trees - t) at_once = f->trees - t;
		status = growth_run(&growth, build, runner, t, at_once, order);
		if (status == STATUS_OK) status = join(f, &growth);
		if (status == STATUS_OK) pack_order(f, t, at_once, order, runner);
		growth_release(&growth);
	}
	free(order);
	return status;
}

enum status forest_build(const struct rows *rows, const struct codes *codes, const struct quant *quant,
	const struct forest_params *params, struct runner *runner, _Atomic uint64_t *progress, const struct pulse *pulse, struct forest **ret)
{
	struct build build = {.seed = params->seed, .progress = progress, .pulse = pulse};
	struct forest *f = calloc(1, sizeof(*f));
	enum status status = STATUS_NO_MEMORY;

	if (!f) return STATUS_NO_MEMORY;
	if (split_space_init(&build.space, rows, codes, quant) != STATUS_OK) goto out;
	f->n = rows->n;
	f->trees = rows->n ? params->trees : 0;
	f->dir_size = build.space.dir_size;
	f->dot_max_norm2 = build.space.longest;
	status = order_room(f);
	if (status == STATUS_OK) status = quant_copy(quant, rows->dim, &f->quant);
	if (status == STATUS_OK) status = grow_all(f, &build, runner);
out:
	split_space_release(&build.space);
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
	quant_release(&f->quant);
	free(f);
	*forest = NULL;
}

struct forest_view forest_as_view(const struct forest *f)
{
	return (struct forest_view){.n = f->n, .trees = f->trees, .nodes = f->nodes, .dirs = f->dirs, .roots = f->roots, .node = f->node,
		.dir_of = f->dir_of, .dir = f->dir, .dir_size = f->dir_size, .order = {f->order, f->order_width}, .renumbered = f->renumbered, .dot_max_norm2 = f->dot_max_norm2, .quant = f->quant};
}

enum status forest_renumber(struct forest *f, struct runner *runner, uint32_t *ret_new_of_old)
{
	const struct packed order = {f->order, f->order_width};
	size_t rest = f->trees ? (size_t)f->n * (f->trees - 1) : 0, size = rest * f->order_width + PACKED_SPARE;

	if (!f->trees) {
		for (uint32_t i = 0; i < f->n; i++) ret_new_of_old[i] = i;
		return STATUS_OK;
	}
	require(!f->renumbered);
	uint8_t *renumbered = malloc(size);
	if (!renumbered) return STATUS_NO_MEMORY;
	for (uint32_t i = 0; i < f->n; i++) ret_new_of_old[packed_at(&order, i)] = i;
	struct packing packing = {.count = rest, .from = {f->order + (size_t)f->n * f->order_width, f->order_width}, .new_of_old = ret_new_of_old,
		.to = renumbered, .width = f->order_width};
	pack(&packing, runner);
	memset(renumbered + size - PACKED_SPARE, 0, PACKED_SPARE);
	free(f->order);
	f->order = renumbered;
	f->renumbered = true;
	return STATUS_OK;
}

void forest_keep(struct forest *f, uint32_t trees)
{
	uint32_t dirs = 0;

	if (trees >= f->trees) return;
	f->nodes = trees ? f->roots[trees] : 0; /* trees stand one after the other, and so do their directions */
	for (uint32_t i = 0; i < f->nodes; i++) dirs += f->dir_of[i] != UINT32_MAX;
	f->dirs = dirs;
	f->trees = trees;
}
