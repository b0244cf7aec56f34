/* ann.c - see ann.h. */
#include "worker/engine/ann.h"

#include <stdlib.h>

#include "common/cursor.h"

struct ann {
	struct forest *forest;
	enum metric metric;
	uint32_t stride;
	uint8_t *codes;
	struct graph *graph;
	struct tune_effort efforts[TUNE_EFFORTS_MAX];
	uint32_t effort_count;
};

static uint32_t trees_grown(enum metric m, uint32_t n, uint32_t trees)
{
	uint32_t needed = graph_wanted(m, n) ? graph_trees(m, trees) : 0;
	return trees > needed ? trees : needed;
}

uint64_t ann_build_steps(enum metric m, uint32_t n, uint32_t trees)
{
	uint32_t grown = trees_grown(m, n, trees);
	return (uint64_t)n * grown + (graph_wanted(m, n) ? graph_build_steps(m, n, grown) : 0);
}

static enum status code_rows(struct ann *a, const struct rows *rows, struct runner *runner, struct quant *ret)
{
	size_t size;

	a->stride = quant_stride(rows->metric, rows->dim);
	if (!size_mul(rows->n, a->stride, &size)) return STATUS_NO_MEMORY;
	if (size == 0) return STATUS_OK;
	a->codes = aligned_alloc(CODE_ALIGN, size);
	if (!a->codes) return STATUS_NO_MEMORY;
	enum status status = quant_fit(rows, ret);
	if (status == STATUS_OK) quant_encode_rows(ret, rows, runner, a->codes);
	return status;
}

/* Twice in memory for a moment, before the graph takes more. */
static enum status reorder_codes(struct ann *a, uint32_t n, const uint32_t *new_of_old, struct runner *runner)
{
	uint8_t *placed = aligned_alloc(CODE_ALIGN, (size_t)n * a->stride);

	if (!placed) return STATUS_NO_MEMORY;
	rows_place(a->codes, a->stride, n, new_of_old, runner, placed);
	free(a->codes);
	a->codes = placed;
	return STATUS_OK;
}

enum status ann_build(const struct rows *rows, const struct forest_params *params, struct runner *runner, _Atomic uint64_t *progress,
	const struct pulse *pulse, uint32_t *ret_new_of_old, struct ann **ret)
{
	struct forest_params grown = {trees_grown(rows->metric, rows->n, params->trees), params->seed};
	struct ann *a = calloc(1, sizeof(*a));
	struct quant quant = {0};
	enum status status;

	if (!a) return STATUS_NO_MEMORY;
	a->metric = rows->metric;
	status = code_rows(a, rows, runner, &quant);
	struct codes codes = {rows->metric, a->stride, a->codes};
	if (status == STATUS_OK) status = forest_build(rows, &codes, &quant, &grown, runner, progress, pulse, &a->forest);
	if (status == STATUS_OK) status = forest_renumber(a->forest, runner, ret_new_of_old);
	if (status == STATUS_OK && a->codes) status = reorder_codes(a, rows->n, ret_new_of_old, runner);
	codes.base = a->codes;
	if (status == STATUS_OK && graph_wanted(rows->metric, rows->n)) {
		struct forest_view forest = forest_as_view(a->forest);
		status = graph_build(&codes, &forest, runner, progress, pulse, &a->graph);
		if (status == STATUS_OK) forest_keep(a->forest, params->trees);
	}
	quant_release(&quant);
	if (status == STATUS_OK)
		*ret = a;
	else
		ann_free(&a);
	return status;
}

enum status ann_tune(struct ann *a, const struct rows *rows, uint64_t seed, struct runner *runner, const struct pulse *pulse)
{
	struct ann_view view = ann_as_view(a);
	struct graph_space space = ann_space(&view, rows, 0);

	return tune_measure(&space, seed, runner, pulse, a->efforts, &a->effort_count);
}

void ann_free(struct ann **ann)
{
	if (!*ann) return;
	forest_free(&(*ann)->forest);
	graph_free(&(*ann)->graph);
	free((*ann)->codes);
	free(*ann);
	*ann = NULL;
}

struct ann_view ann_as_view(const struct ann *a)
{
	struct ann_view v = {.forest = forest_as_view(a->forest), .codes = {a->metric, a->stride, a->codes},
		.tune = {a->effort_count, a->efforts}};

	if (a->graph) v.graph = graph_as_view(a->graph);
	return v;
}

struct graph_space ann_space(const struct ann_view *v, const struct rows *rows, uint64_t dead)
{
	return (struct graph_space){.rows = *rows, .codes = v->codes, .forest = v->forest, .graph = v->graph, .dead = dead};
}
