/* ann_fixture.h - a block with all that a build makes over it, in its final order. */
#ifndef TESTS_ANN_FIXTURE_H
#define TESTS_ANN_FIXTURE_H

#include "tests/unit/engine_fixture.h"
#include "worker/engine/ann.h"

struct ann_block { struct block block; struct ann *ann; struct ann_view view; struct graph_space space; };

/* Takes the block over. */
static inline void ann_block_init(struct ann_block *a, struct block *take, uint32_t trees, uint64_t seed, struct runner *runner)
{
	struct forest_params params = {trees, seed};

	a->block = *take;
	a->ann = NULL;
	struct rows *rows = &a->block.rows;
	uint32_t *new_of_old = calloc((size_t)rows->n + 1, sizeof(*new_of_old));
	assert_non_null(new_of_old);
	assert_int_equal(ann_build(rows, &params, runner, NULL, NULL, new_of_old, &a->ann), STATUS_OK);
	block_reorder(&a->block, new_of_old, runner);
	assert_int_equal(ann_tune(a->ann, rows, seed, runner, NULL), STATUS_OK);
	free(new_of_old);
	a->view = ann_as_view(a->ann);
	a->space = ann_space(&a->view, rows, 0);
	assert_true(forest_check(&a->view.forest, rows->metric, rows->dim));
	assert_int_equal(graph_verify(&a->view.graph, runner_inline()), STATUS_OK);
	assert_true(tune_check(&a->view.tune));
}

static inline void ann_block_free(struct ann_block *a)
{
	ann_free(&a->ann);
	block_free(&a->block);
}

static inline int graph_scratch_setup(void **state)
{
	struct graph_scratch *s = NULL;

	assert_int_equal(graph_scratch_new(&s), STATUS_OK);
	*state = s;
	return 0;
}

static inline int graph_scratch_teardown(void **state)
{
	struct graph_scratch *s = *state;

	graph_scratch_free(&s);
	return 0;
}

/* The part of the k nearest that is found at an effort. */
static inline double graph_recall(const struct ann_block *a, const struct block *queries, size_t k, const float *truth,
	const struct graph_effort *effort, struct graph_scratch *scratch)
{
	struct hit *found = calloc(k, sizeof(*found));
	size_t right = 0, nq = queries->rows.n;

	assert_non_null(found);
	for (size_t q = 0; q < nq; q++) {
		struct query query = block_query(queries, (uint32_t)q);
		struct search_work work = {0};
		struct topk top;
		topk_init(&top, found, k);
		assert_int_equal(graph_search(&a->space, &query, effort, NULL, NULL, scratch, &top, &work), STATUS_OK);
		if (effort->budget) assert_true(work.candidates <= effort->budget + FOREST_LEAF_MAX);
		for (size_t i = 0; i < top.count; i++) right += found[i].raw <= truth[q];
	}
	free(found);
	return (double)right / (double)(k * nq);
}

#endif
