/* tune.h - what effort gives what recall, learnt from rows of the segment itself.
 *
 * Some rows are taken for queries, each treated as not there while it asks (held_out.h); the truth is a scan. So a
 * prediction holds for queries that are like the rows. Plain grid search over one parameter, as MRPT tunes itself (Jaasaari et al. 2019), but the
 * curve is interpolated between its points. */
#ifndef ENGINE_TUNE_H
#define ENGINE_TUNE_H

#include "worker/engine/graph.h"

enum { TUNE_EFFORTS_MAX = 32, TUNE_KS = 3, TUNE_ROWS = 960 /* that are taken for queries; for k of 100 an eighth of them */ };
static const uint32_t tune_ks[TUNE_KS] = {1, 10, 100};

/* A point of the curve, 20 bytes; part of the segment format. */
struct tune_effort {
	uint32_t ef;
	float scored;          /* codes scored, the mean */
	float recall[TUNE_KS]; /* recall@k for each of tune_ks; ascending with ef; 0 where it was not measured so low */
};
_Static_assert(sizeof(struct tune_effort) == 20, "part of the segment format");

struct tune_view { uint32_t count; const struct tune_effort *efforts; };

/* Measure. Rows of the space in their final order, all live. ret_efforts[TUNE_EFFORTS_MAX], ascending. Without a graph: none. Deterministic for any
 * number of threads. STATUS_CANCELLED by the pulse. */
MUST_CHECK enum status tune_measure(const struct graph_space *space, uint64_t seed, struct runner *runner, const struct pulse *pulse,
	struct tune_effort *ret_efforts, uint32_t *ret_count);

/* Where a segment holds a part (0..1) of all rows, and it is chance which: of how many of its own nearest the recall is that it has of those of the k
 * nearest of all that it holds. A row is found by how near it is. The r-th nearest of all is as near as the (r x part)-th of the segment's, and the
 * k nearest of all are the (k + 1) x part / 2 -th in the mean; the K nearest of the segment are the (K + 1) / 2 -th. At least 1, less was not measured. */
double tune_share(double k, double part);

/* The least effort that is predicted to find `recall` (0..1) of the k nearest (not whole: a mean); false if none that was measured does, then
 * search exactly. */
bool tune_choose(const struct tune_view *t, double k, float recall, struct graph_effort *ret);

/* The recall of the k nearest that is predicted for an ef; 0: nothing was measured. */
double tune_predict(const struct tune_view *t, double k, double ef);

/* How many codes a search with such a pool scores, in the mean; roughly. */
uint64_t tune_scored(const struct tune_view *t, uint32_t ef);

/* Ascending, finite, in range: efforts from a file must pass before they are used. */
bool tune_check(const struct tune_view *t);

#endif
