/* split.h - how a node's rows are divided in two: by the plane between two means, by the median along its normal, by a bit, or,
 * where rows cannot be told apart, by halves. Private to the engine.
 *
 * A split has three steps, so that the middle one, nearly all of the work, can be cut into pieces for many threads:
 * split_choose() from a sample, split_project() for every row, split_divide(). */
#ifndef ENGINE_SPLIT_H
#define ENGINE_SPLIT_H

#include "common/prng.h"
#include "worker/engine/rows.h"

enum split_kind {
	SPLIT_PLANE,  /* left is margin <= 0; after a cut at the median rows with margin 0 may stand on both sides */
	SPLIT_BIT,    /* left has the bit clear */
	SPLIT_HALVES, /* first half, second half: nothing tells them apart */
};

struct split { enum split_kind kind; float offset; uint32_t bit; };

/* The points that the planes divide. angular: rows at unit length. dot: rows with one more component, sqrt(max - |x|^2),
 * which turns the largest product into the least distance (Bachrach et al. 2014). Others: the rows as they are. */
struct split_space {
	const struct rows *rows;
	uint32_t floats;     /* of a point: forest_view.dir_floats; 0 for hamming */
	float dot_max_norm2; /* finite; 0: the further component is 0 for every row */
};
void split_space_init(struct split_space *space, const struct rows *rows);
/* Floats of a direction: dim, for dot one more, rounded up to 16; 0 for hamming. */
uint32_t split_floats(enum metric m, uint32_t dim);

/* Memory of one thread for split_choose(). */
struct split_scratch {
	float *sample;   /* points of the sampled rows, relative to the first of them */
	float *means[2]; /* [floats] */
	float *apart;    /* [floats] from the left mean to the right one */
};
MUST_CHECK enum status split_scratch_init(struct split_scratch *s, const struct split_space *space);
void split_scratch_release(struct split_scratch *s);

/* Choose how rows order[0 .. count) (count >= 2) are to be divided. The unit normal of a plane goes to direction[floats]. */
void split_choose(const struct split_space *space, const uint32_t *order, uint32_t count, struct prng *chance,
	struct split_scratch *s, float *direction, struct split *ret);
/* Where each row lies: along the direction (without the offset), or its bit. Nothing for halves. */
void split_project(const struct split_space *space, const struct split *split, const float *direction, const uint32_t *order,
	uint32_t count, float *projections);
/* Reorder the rows, left part first, and return how many stand left (1 .. count - 1). May move a plane to the median and may
 * fall back to halves: *split then says so. `reordered` is memory for count row numbers. */
uint32_t split_divide(uint32_t *order, uint32_t count, const float *projections, struct prng *chance, uint32_t *reordered,
	struct split *split);

#endif
