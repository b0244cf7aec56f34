/* ann.h - all that a segment has besides its rows to be searched fast, made in one build: forest, codes, graph, and what effort gives what recall.
 *
 * Two steps, because the rows move in between: ann_build() finds their order, the caller brings them into it, ann_tune() measures on them. */
#ifndef ENGINE_ANN_H
#define ENGINE_ANN_H

#include "worker/engine/tune.h"

struct ann; /* built, in memory */

/* As flat arrays, to be written and mapped back. hamming: no codes, codes.base is NULL. hamming or few rows: graph and tune are empty. */
struct ann_view {
	struct forest_view forest; /* whose quant is that of the codes */
	struct codes codes;
	struct graph_view graph;
	struct tune_view tune;
};

/* Build over rows (liveness is ignored). The forest has params->trees trees; more grow and go again where a good graph needs them. ret_new_of_old[n]
 * tells the order of tree 0, in which all of it stands. The same rows in the same order and the same seed give the same bytes, for any number of
 * threads and on any kernels. `progress` (may be NULL) counts up to ann_build_steps(). STATUS_CANCELLED by the pulse.
 * Memory: forest.h's and graph.h's, and the codes. */
MUST_CHECK enum status ann_build(const struct rows *rows, const struct forest_params *params, struct runner *runner, _Atomic uint64_t *progress,
	const struct pulse *pulse, uint32_t *ret_new_of_old, struct ann **ret);
uint64_t ann_build_steps(enum metric m, uint32_t n, uint32_t trees);
/* Rows in the new order. */
MUST_CHECK enum status ann_tune(struct ann *a, const struct rows *rows, uint64_t seed, struct runner *runner, const struct pulse *pulse);
void ann_free(struct ann **a);
struct ann_view ann_as_view(const struct ann *a);

/* What graph_search() searches. */
struct graph_space ann_space(const struct ann_view *v, const struct rows *rows, uint64_t dead);

#endif
