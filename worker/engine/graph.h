/* graph.h - a graph of near neighbours over the rows of a segment, made by its forest and entered through tree 0.
 *
 * Build: rows that share a small node of a tree are compared (knn.h); each row's neighbours are thinned so that no two of them lie in the same
 * direction (Subramanya et al. 2019, "DiskANN", algorithm 2: RobustPrune), reverse edges are added and the result is thinned again; at last every
 * row is made reachable from row 0. Differs from DiskANN: no search takes part in the build, since the forest has found the neighbours already.
 *
 * Search: the query descends tree 0 to a leaf, the leaf's rows are scored, and from there the nearest that were not yet expanded are expanded,
 * a few at a time, until the `ef` nearest all are (Malkov & Yashunin 2018, algorithm 2). All of it on codes (quant.h); the nearest of the pool are
 * scored again exactly.
 *
 * Rows stand in the leaf order of tree 0 (forest_renumber). Two flat arrays, written to the segment and mapped back as they are. */
#ifndef ENGINE_GRAPH_H
#define ENGINE_GRAPH_H

#include "worker/engine/forest.h"
#include "worker/engine/quant.h"

enum {
	GRAPH_DEGREE_MAX = 48,  /* but for the edges that make every row reachable */
	GRAPH_ROWS_MIN = 1000,  /* fewer rows are scanned: no graph */
	GRAPH_TREES_LEAST = 8,  /* trees that make a good graph; a forest of fewer grows more for the time of the build */
	GRAPH_TREES_MOST = 12,  /* more add nothing, */
	GRAPH_TREES_ANGULAR = 16, /* but on the sphere, where they save a query at recall .99 a quarter of its time: no fewer and no more */
	GRAPH_EF_MAX = 1 << 16,
};

struct graph_view {
	uint32_t n, edges;
	const uint32_t *first; /* [n + 1]: the neighbours of row r are to[first[r] .. first[r + 1]), nearest first */
	struct packed to;      /* [edges] */
};
static inline uint32_t graph_edge(const struct graph_view *g, uint32_t edge) { return (uint32_t)packed_at(&g->to, edge); }

/* Whether a segment of n rows of this metric has a graph: fewer rows are scanned, and so are the bits of hamming. Codes it has but for hamming. */
static inline bool graph_wanted(enum metric m, uint32_t n) { return m != METRIC_HAMMING && n >= GRAPH_ROWS_MIN; }

/* How many trees to grow, and of those at most to compare rows in, where a forest of `trees` is wanted. */
uint32_t graph_trees(enum metric m, uint32_t trees);

/* How much nearer than the row itself a kept neighbour must be to hide a candidate, in units of 1/16 of the distance that quant_apart() gives: a
 * squared one but for manhattan. More keeps more edges. On the sphere they are worth their memory (recall .99 of text at ef 120 instead of 210); among
 * squared distances of raw rows they cost as much time as they save. dot needs long edges, since the nearest by product are not near each other. */
static inline uint32_t graph_alpha16(enum metric m)
{
	switch (m) {
	case METRIC_DOT: return 64;
	case METRIC_ANGULAR: return 28;
	case METRIC_MANHATTAN: return 18;
	default: return 19;
	}
}

struct graph; /* a built graph in memory */

/* Build over n coded rows and their forest of at least graph_trees() trees, renumbered. The same codes and forest give the same graph for any number of threads. `progress` (may be
 * NULL) counts up to graph_build_steps(). STATUS_CANCELLED by the pulse, which several threads may ask at once; STATUS_LIMIT for 2^32 edges.
 * Memory: 8 x KNN_K + 4 x KNN_TREES_MAX bytes a row; after the neighbours 8 x KNN_K + 4 x GRAPH_DEGREE_MAX and about 150 more. */
MUST_CHECK enum status graph_build(const struct codes *codes, const struct forest_view *forest, struct runner *runner,
	_Atomic uint64_t *progress, const struct pulse *pulse, struct graph **ret);
uint64_t graph_build_steps(enum metric m, uint32_t n, uint32_t trees);
void graph_free(struct graph **g);
struct graph_view graph_as_view(const struct graph *g);

/* True if all numbers are in range and every row is reachable from row 0: a view over mapped bytes must pass before it is searched.
 * STATUS_CORRUPT: it does not; STATUS_NO_MEMORY tells nothing of it. */
MUST_CHECK enum status graph_verify(const struct graph_view *g, struct runner *runner);

/* What a search may cost. */
struct graph_effort {
	uint32_t ef;     /* rows of the pool that are expanded, at least 1; may be less than k */
	uint64_t budget; /* codes scored at most, but for one leaf more; as many as there are rows: exact search; 0: as many as ef takes */
};

/* What is searched. Rows, codes and graph are of one segment. */
struct graph_space {
	struct rows rows;
	struct codes codes;
	struct forest_view forest; /* whose quant is that of the codes */
	struct graph_view graph;
	uint64_t dead; /* about how many rows are dead: the pool grows accordingly */
};

/* A row that a search treats as not there, and what the rows that point to it have for neighbours then; for calibration (held_out.h). */
struct graph_absence {
	uint32_t row;
	const uint32_t *from;     /* [mended.n] ascending */
	struct graph_view mended; /* the neighbours of from[i] stand as those of row i */
};

/* Per-thread memory; grows by itself. */
struct graph_scratch;
MUST_CHECK enum status graph_scratch_new(struct graph_scratch **ret);
void graph_scratch_free(struct graph_scratch **s);

/* Offer the nearest live rows to top (capacity k >= 1), scored exactly; work->candidates counts codes scored. `absence` NULL: all rows
 * are there. STATUS_NO_MEMORY leaves top and work untouched. */
MUST_CHECK enum status graph_search(const struct graph_space *s, const struct query *query, const struct graph_effort *effort,
	const struct graph_absence *absence, const struct pulse *pulse, struct graph_scratch *scratch, struct topk *top, struct search_work *work);

#endif
