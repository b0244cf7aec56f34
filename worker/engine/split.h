/* split.h - how a node's rows are divided in two: by the plane between two means, by the median along its normal, by a bit, or,
 * where rows cannot be told apart, by halves. Private to the engine.
 *
 * A split has three steps, so that the middle one, nearly all of the work, can be cut into pieces for many threads:
 * split_choose() from a sample, split_project() for every row, split_divide(). */
#ifndef ENGINE_SPLIT_H
#define ENGINE_SPLIT_H

#include "common/prng.h"
#include "worker/engine/quant.h"

enum split_kind {
	SPLIT_PLANE,  /* left is margin <= 0; after a cut at the median rows with margin 0 may stand on both sides */
	SPLIT_BIT,    /* left has the bit clear */
	SPLIT_HALVES, /* first half, second half: nothing tells them apart */
};

struct split {
	enum split_kind kind;
	float offset, unit; /* of a plane: forest_node's */
	uint32_t bit;
};

/* The points that the planes divide: the rows' codes; dot: with one more component, sqrt(max - |x|^2), which turns the largest
 * product into the least distance (Bachrach et al. 2014). It is a float beside the codes, in their scale: as one of them it would
 * coarsen all the others. hamming: the bits of the rows. */
struct split_space {
	const struct rows *rows;
	struct codes codes;
	float longest;     /* the largest squared norm, dot only and if it is finite; else 0 */
	float *extra;      /* [n], dot only */
	uint32_t dir_size; /* bytes of a direction: forest_view's */
};
/* Codes in the order of rows. Keeps what it is given; STATUS_NO_MEMORY. */
MUST_CHECK enum status split_space_init(struct split_space *space, const struct rows *rows, const struct codes *codes,
	const struct quant *quant);
void split_space_release(struct split_space *space);

/* dot: the float behind a direction's components (forest_dir_size()). It stands where codes are padded with zeros, so kernels may run over it. */
float split_extra(const int8_t *direction, uint32_t dim);

/* Memory of one thread for split_choose(). */
struct split_scratch;
MUST_CHECK enum status split_scratch_new(const struct split_space *space, struct split_scratch **ret);
void split_scratch_free(struct split_scratch **s);

/* Choose how rows order[0 .. count) (count >= 2) are to be divided. A plane's normal goes to direction[dir_size]. */
void split_choose(const struct split_space *space, const uint32_t *order, uint32_t count, struct prng *chance,
	struct split_scratch *s, int8_t *direction, struct split *ret);
/* Where each row lies: along the direction (without the offset, longer than the unit), or its bit. Nothing for halves. */
void split_project(const struct split_space *space, const struct split *split, const int8_t *direction, const uint32_t *order,
	uint32_t count, float *projections);
/* Reorder the rows, left part first, and return how many stand left (1 .. count - 1). May move a plane to the median and may
 * fall back to halves: *split then says so. `reordered` is memory for count row numbers. */
uint32_t split_divide(uint32_t *order, uint32_t count, const float *projections, struct prng *chance, uint32_t *reordered,
	struct split *split);

#endif
