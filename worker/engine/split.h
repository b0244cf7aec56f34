/* split.h - how a node's rows are divided in two: by the plane between two means, by the median along its normal, by a bit, or,
 * where rows cannot be told apart, by halves. Private to the engine. */
#ifndef ENGINE_SPLIT_H
#define ENGINE_SPLIT_H

#include "common/prng.h"
#include "worker/engine/rows.h"

enum split_kind {
	SPLIT_PLANE,  /* left is margin <= 0 */
	SPLIT_BIT,    /* left has the bit clear */
	SPLIT_HALVES, /* first half, second half: nothing tells them apart */
};

struct split { enum split_kind kind; float offset; uint32_t bit; };

/* Memory of one building thread, for rows of one block. */
struct split_scratch {
	float *direction;    /* [floats] the result of a plane */
	float *means[2];     /* [floats] */
	float *margins;      /* [rows->n] */
	uint32_t *reordered; /* [rows->n] */
	uint32_t floats;     /* forest_view.dir_floats */
	float dot_max_norm2;
};
MUST_CHECK enum status split_scratch_init(struct split_scratch *s, const struct rows *rows, uint32_t floats, float dot_max_norm2);
void split_scratch_release(struct split_scratch *s);

/* Floats of a direction: dim, for dot one more, rounded up to 16; 0 for hamming. */
uint32_t split_floats(enum metric m, uint32_t dim);
/* direction . row (scaled to unit length for angular, with the augmented component for dot), without the offset. */
float split_project(const struct rows *rows, const float *direction, uint32_t row, float dot_max_norm2);

/* Divide rows order[0 .. count) (count >= 2): reorders them, left part first, and returns how many stand left (1 .. count - 1). */
uint32_t split_rows(const struct rows *rows, uint32_t *order, uint32_t count, struct prng *chance, struct split_scratch *s, struct split *ret);

#endif
