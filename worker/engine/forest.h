/* forest.h - a forest of random-projection trees (Dasgupta & Freund 2008; splits by 2-means as in Annoy) over the codes of rows, and
 * best-first search over all its trees with one budget of candidates.
 *
 * A tree splits its rows by hyperplanes between two sampled means until at most FOREST_LEAF_MAX are left. Deterministic: one random
 * stream for each (seed, tree, node), so the same rows in the same order give the same bytes for any number of threads.
 * Differs from Annoy: rows are scored once however many trees find them (a visited bitmap, so search_k counts distinct rows);
 * planes divide codes (quant.h) and have directions of whole numbers, which costs a fourth of the memory and a third of the time of
 * floats; angular planes need not pass through the origin, since the codes are those of rows at unit length;
 * a split worse than 90/10 is replaced by a cut at the median of the projections, identical rows are halved, so depth is bounded;
 * hamming picks the most balanced of a few sampled bits.
 *
 * The forest of a segment is five flat arrays, written to the segment and mapped back as they are (little-endian). */
#ifndef ENGINE_FOREST_H
#define ENGINE_FOREST_H

#include "worker/engine/packed.h"
#include "worker/engine/quant.h"

enum { FOREST_LEAF_MAX = 64 };
#define FOREST_NO_BIT UINT32_MAX /* hamming: a split whose rows were halved, since no bit tells them apart */

/* 16 bytes. Nodes stand in preorder: the left child of a split is the next node. */
struct forest_node {
	uint32_t at;    /* a split: its right child; a leaf: its first place in the tree's order */
	uint32_t count; /* rows of a leaf; 0 for a split */
	float offset;   /* margin = (direction . code + offset) x unit; left is margin < 0, right > 0, 0 either. hamming: the bit number as u32 in the same bytes */
	float unit;     /* 1 / |direction|, so that margins of different planes compare; 0: leaves, hamming, rows that were halved */
};
_Static_assert(sizeof(struct forest_node) == 16, "part of the segment format");

/* The flat arrays. Node numbers run through all trees; the split at node i has its direction at dir + dir_of[i] * dir_size. */
struct forest_view {
	uint32_t n, trees, nodes, dirs;
	const uint32_t *roots;           /* [trees] */
	const struct forest_node *node;  /* [nodes] */
	/* [nodes] direction number of a split; UINT32_MAX: leaves, hamming, and rows that were halved (margin 0) */
	const uint32_t *dir_of;
	const int8_t *dir;               /* [dirs x dir_size]; dot: then the further component, a float */
	uint32_t dir_size;               /* forest_dir_size() */
	struct packed order;             /* row numbers in leaf order, n of each tree, tree by tree */
	bool renumbered;                 /* tree 0's are 0, 1, 2, ..., and left out */
	float dot_max_norm2;             /* dot: the largest norm2, for the further component sqrt(max - norm2) */
	struct quant quant;              /* of the codes that the planes divide */
};

/* The row at a place of a tree's order. */
static inline uint32_t forest_row(const struct forest_view *f, uint32_t tree, uint32_t place)
{
	if (f->renumbered && tree == 0) return place;
	return (uint32_t)packed_at(&f->order, (size_t)(tree - f->renumbered) * f->n + place);
}

/* Bytes of a direction: one for each component, for dot then a float for the further one, rounded up to 64; 0 for hamming. */
static inline uint32_t forest_dir_size(enum metric m, uint32_t dim) { return quant_stride(m, m == METRIC_DOT ? dim + (uint32_t)sizeof(float) : dim); }

struct forest_params { uint32_t trees; uint64_t seed; };

struct forest; /* a built forest in memory */

/* Build over rows and their codes by this quant (copied), in the same order (liveness is ignored: pass only rows to keep). Of the rows themselves only the bits of hamming
 * are read, and the norms of dot. Trees and the upper splits of each run on the runner.
 * `progress` (may be NULL) counts up to trees * n. Stopped by the pulse, which several threads may ask at once: STATUS_CANCELLED.
 * n may be 0 (no nodes). Memory: a packed row number x n x trees, the directions twice, and 12 bytes x n (dot: 16) for each tree that grows
 * at the same time (one, where n is large). */
MUST_CHECK enum status forest_build(const struct rows *rows, const struct codes *codes, const struct quant *quant,
	const struct forest_params *params, struct runner *runner, _Atomic uint64_t *progress, const struct pulse *pulse, struct forest **ret);
void forest_free(struct forest **f);
struct forest_view forest_as_view(const struct forest *f);
/* Renumber the rows so that tree 0's order becomes 0, 1, 2, ..., once; ret_new_of_old[n] tells how (the caller then moves the rows).
 * Meanwhile the orders are in memory twice. STATUS_NO_MEMORY leaves the forest as it is. */
MUST_CHECK enum status forest_renumber(struct forest *f, struct runner *runner, uint32_t *ret_new_of_old);

/* Keep the first `trees` trees, at most as many as there are. */
void forest_keep(struct forest *f, uint32_t trees);

/* STATUS_OK if every number in it is in range and every tree reaches every row exactly once: a view over mapped bytes must pass
 * before it is searched. Plain and slow (reads everything). STATUS_CORRUPT: it is no forest; STATUS_NO_MEMORY tells nothing of it. */
MUST_CHECK enum status forest_verify(const struct forest_view *f, enum metric metric, uint32_t dim);
/* Whether that is STATUS_OK. */
bool forest_check(const struct forest_view *f, enum metric metric, uint32_t dim);

/* Per-thread memory of searches over forests of up to n rows; grows by itself. */
struct forest_scratch;
MUST_CHECK enum status forest_scratch_new(struct forest_scratch **ret);
void forest_scratch_free(struct forest_scratch **s);

/* Inspect leaves best-first over all trees until `budget` distinct live rows were scored (the leaf at hand is finished, so at
 * most one leaf more), or everything was. budget >= n answers exactly. STATUS_NO_MEMORY leaves top and work untouched. */
MUST_CHECK enum status forest_search(const struct forest_view *f, const struct rows *rows, const struct query *query,
	uint64_t budget, const struct pulse *pulse, struct forest_scratch *scratch, struct topk *top, struct search_work *work);

/* The same leaves in the same order, but their rows are scored by their codes (quant.h, in the order of rows), and of those the nearest
 * FOREST_RERANK_LEAST, 4 k or a 32nd of the budget, whatever is most, exactly. What it misses of forest_search()'s hits are those that the codes misjudge. */
enum { FOREST_RERANK_LEAST = 64, FOREST_RERANK_TIMES = 4, FOREST_RERANK_BUDGET = 32 };
MUST_CHECK enum status forest_search_coded(const struct forest_view *f, const struct rows *rows, const struct codes *codes,
	const struct query *query, uint64_t budget, const struct pulse *pulse, struct forest_scratch *scratch, struct topk *top, struct search_work *work);

/* The leaves of tree 0 (f->n > 0) that forest_search() would inspect first if it were the only tree: at most `wanted`, in that order; their first
 * places in the order and their numbers of rows. Returns how many through ret_count. */
struct forest_leaf { uint32_t first, count; };
MUST_CHECK enum status forest_leaves(const struct forest_view *f, const struct rows *rows, const struct query *query,
	struct forest_scratch *scratch, uint32_t wanted, struct forest_leaf *ret_leaves, uint32_t *ret_count);

#endif
