/* grow.c - see grow.h. A round of pieces never begins another: a runner need not nest. */
#include "worker/engine/grow.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/cursor.h"

enum {
	RUN_ROWS = 2048,         /* projected by one piece, and between two questions to the pulse */
	SUBTREES_PER_THREAD = 8, /* so that threads end at about the same time */
};

uint32_t growth_trees(uint32_t n, uint32_t trees, size_t threads)
{
	uint64_t subtrees = n / SUBTREE_ROWS, wanted = (uint64_t)threads * SUBTREES_PER_THREAD;

	if (subtrees == 0 || threads >= trees || wanted / subtrees >= trees) return trees;
	uint32_t least = (uint32_t)(wanted / subtrees) + 1;
	return least > threads ? least : (uint32_t)threads; /* the root of a tree is one piece: each thread has one */
}

void growth_release(struct growth *g)
{
	for (uint32_t i = 0; i < g->upper_count; i++) tree_release(&g->uppers[i].subtree);
	free(g->uppers);
	free(g->dirs);
	free(g->projections);
	free(g->reordered);
	free(g->now);
	free(g->runs);
	*g = (struct growth){0};
}

/* The place of a branch's rows in arrays of [trees x n]. */
static size_t place_of(const struct growth *g, const struct branch *b)
{
	return (size_t)(b->tree - g->first_tree) * g->build->space.rows->n + b->first;
}

static int8_t *direction_of(const struct growth *g, const struct upper *u)
{
	return g->dirs + (size_t)u->dir * g->build->space.dir_size;
}

/* Another piece found the pulse stopped, or this one does. */
static bool stopped(struct growth *g)
{
	if (atomic_load_explicit(&g->cancelled, memory_order_relaxed)) return true;
	if (!pulse_stop(g->build->pulse)) return false;
	atomic_store_explicit(&g->cancelled, true, memory_order_relaxed);
	return true;
}

/* ---- pieces ---- */

static void choose_piece(void *arg, size_t i)
{
	struct growth *g = arg;
	struct upper *u = &g->uppers[g->now[i]];
	struct split_scratch *scratch;

	if (stopped(g)) return;
	u->status = split_scratch_new(&g->build->space, &scratch);
	if (u->status != STATUS_OK) return;
	branch_chance(&u->branch, g->build->seed, &u->chance);
	split_choose(&g->build->space, g->order + place_of(g, &u->branch), u->branch.count, &u->chance, scratch, direction_of(g, u),
		&u->split);
	split_scratch_free(&scratch);
}

static void project_piece(void *arg, size_t i)
{
	struct growth *g = arg;
	const struct run_of_rows *run = &g->runs[i];
	const struct upper *u = &g->uppers[run->upper];
	size_t place = place_of(g, &u->branch) + run->from;

	if (stopped(g)) return;
	split_project(&g->build->space, &u->split, direction_of(g, u), g->order + place, run->count, g->projections + place);
}

static void divide_piece(void *arg, size_t i)
{
	struct growth *g = arg;
	struct upper *u = &g->uppers[g->now[i]];
	size_t place = place_of(g, &u->branch);
	struct branch children[2];

	if (stopped(g)) return;
	uint32_t left = split_divide(g->order + place, u->branch.count, g->projections + place, &u->chance, g->reordered + place,
		&u->split);
	require(left > 0 && left < u->branch.count);
	branch_children(&u->branch, left, children);
	for (int side = 0; side < 2; side++) g->uppers[u->children[side]].branch = children[side];
}

static void subtree_piece(void *arg, size_t i)
{
	struct growth *g = arg;
	struct upper *u = &g->uppers[g->now[i]];
	size_t n = g->build->space.rows->n;

	if (stopped(g)) return;
	u->status = tree_build(g->build, &u->branch, g->order + (u->branch.tree - g->first_tree) * n, &u->subtree);
	if (u->status == STATUS_CANCELLED) atomic_store_explicit(&g->cancelled, true, memory_order_relaxed);
}

/* Let the runner do n pieces, and say how they went. */
static enum status run_pieces(struct growth *g, struct runner *runner, size_t n, void (*piece)(void *arg, size_t i))
{
	if (n == 0) return STATUS_OK;
	runner->run(runner, n, piece, g);
	if (atomic_load(&g->cancelled)) return STATUS_CANCELLED;
	for (uint32_t i = 0; i < g->now_count; i++)
		if (g->uppers[g->now[i]].status != STATUS_OK) return g->uppers[g->now[i]].status;
	return STATUS_OK;
}

/* ---- levels ---- */

static enum status resize(void **array, size_t count, size_t bytes)
{
	size_t size;

	if (!size_mul(count ? count : 1, bytes ? bytes : 1, &size)) return STATUS_NO_MEMORY;
	void *resized = realloc(*array, size);
	if (!resized) return STATUS_NO_MEMORY;
	*array = resized;
	return STATUS_OK;
}

/* Gather into g->now the uppers from `first` on that are wide, or those that are not. */
static enum status gather(struct growth *g, uint32_t first, bool wide)
{
	void *now = g->now;
	enum status status = resize(&now, g->upper_count - first, sizeof(*g->now));

	g->now = now;
	g->now_count = 0;
	for (uint32_t i = first; i < g->upper_count && status == STATUS_OK; i++)
		if ((g->uppers[i].branch.count > SUBTREE_ROWS) == wide) g->now[g->now_count++] = i;
	return status;
}

/* Directions, children and runs of rows for the splits in g->now. */
static enum status prepare_level(struct growth *g)
{
	void *uppers = g->uppers, *dirs = g->dirs, *runs = g->runs;
	uint32_t first_child = g->upper_count;
	size_t run_count = 0;
	enum status status = resize(&uppers, (size_t)g->upper_count + 2 * (size_t)g->now_count, sizeof(*g->uppers));

	g->uppers = uppers;
	for (uint32_t i = 0; i < g->now_count; i++) run_count += (g->uppers[g->now[i]].branch.count + RUN_ROWS - 1) / RUN_ROWS;
	if (status == STATUS_OK) status = resize(&dirs, (size_t)g->dir_count + g->now_count, g->build->space.dir_size);
	g->dirs = dirs;
	if (status == STATUS_OK) status = resize(&runs, run_count, sizeof(*g->runs));
	g->runs = runs;
	if (status != STATUS_OK) return status;
	g->run_count = 0;
	for (uint32_t i = 0; i < g->now_count; i++) {
		struct upper *u = &g->uppers[g->now[i]];
		u->dir = g->dir_count++;
		for (int side = 0; side < 2; side++) {
			u->children[side] = first_child + 2 * i + (uint32_t)side;
			g->uppers[u->children[side]] = (struct upper){0};
		}
		for (uint32_t from = 0; from < u->branch.count; from += RUN_ROWS) {
			uint32_t rest = u->branch.count - from;
			g->runs[g->run_count++] = (struct run_of_rows){g->now[i], from, rest < RUN_ROWS ? rest : RUN_ROWS};
		}
	}
	g->upper_count += 2 * g->now_count;
	return STATUS_OK;
}

static enum status split_levels(struct growth *g, struct runner *runner)
{
	for (uint32_t first = 0; first < g->upper_count;) {
		uint32_t end = g->upper_count;
		enum status status = gather(g, first, true);
		if (status == STATUS_OK) status = prepare_level(g);
		if (status == STATUS_OK) status = run_pieces(g, runner, g->now_count, choose_piece);
		if (status == STATUS_OK) status = run_pieces(g, runner, g->run_count, project_piece);
		if (status == STATUS_OK) status = run_pieces(g, runner, g->now_count, divide_piece);
		if (status != STATUS_OK) return status;
		first = end;
	}
	return STATUS_OK;
}

enum status growth_run(struct growth *g, const struct build *build, struct runner *runner, uint32_t first_tree, uint32_t trees,
	uint32_t *order)
{
	uint32_t n = build->space.rows->n;
	void *projections = NULL, *reordered = NULL;
	enum status status = STATUS_OK;

	*g = (struct growth){.build = build, .first_tree = first_tree, .trees = trees, .order = order};
	g->uppers = calloc(trees, sizeof(*g->uppers));
	if (!g->uppers) return STATUS_NO_MEMORY;
	for (; g->upper_count < trees; g->upper_count++) {
		g->uppers[g->upper_count].branch = branch_root(first_tree + g->upper_count, n);
		for (uint32_t i = 0; i < n; i++) order[(size_t)g->upper_count * n + i] = i;
	}
	if (n > SUBTREE_ROWS) {
		status = resize(&projections, (size_t)n * trees, sizeof(float));
		g->projections = projections;
		if (status == STATUS_OK) status = resize(&reordered, (size_t)n * trees, sizeof(uint32_t));
		g->reordered = reordered;
		if (status == STATUS_OK) status = split_levels(g, runner);
		free(g->projections);
		free(g->reordered);
		g->projections = NULL;
		g->reordered = NULL;
	}
	if (status == STATUS_OK) status = gather(g, 0, false);
	if (status == STATUS_OK) status = run_pieces(g, runner, g->now_count, subtree_piece);
	return status;
}
