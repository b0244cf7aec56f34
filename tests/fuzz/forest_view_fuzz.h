/* forest_view_fuzz.h - a forest as bytes, for the fuzz target and the maker of its corpus: twelve u32 (metric, dim, n, trees,
 * nodes, dirs, dir_size, dot_max_norm2, seed of the rows, low, scale, renumbered), then the arrays in the order of forest_view: roots, node,
 * dir_of, dir, order. */
#ifndef FUZZ_FOREST_VIEW_H
#define FUZZ_FOREST_VIEW_H

#include "common/prng.h"
#include "worker/engine/forest.h"

enum { VIEW_NUMBERS = 12, VIEW_HEADER = 4 * VIEW_NUMBERS };

/* Rows that follow from the seed; memory for n x stride bytes. */
static inline void view_rows(enum metric m, uint32_t dim, uint32_t n, uint64_t seed, uint8_t *ret)
{
	size_t stride = rows_stride(m, dim);
	struct prng p;

	prng_seed(&p, seed);
	for (uint32_t r = 0; r < n; r++)
		for (uint32_t i = 0; i < dim; i++) {
			float v = (float)prng_below(&p, 4) + 10 * (float)(r % 3);
			if (m == METRIC_HAMMING)
				ret[r * stride + i / 8] |= (uint8_t)(((uint32_t)v & 1) << i % 8);
			else
				((float *)(void *)(ret + r * stride))[i] = v;
		}
}

#endif
