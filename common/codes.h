/* codes.h - kernels over codes: rows of small integers that stand for vectors in the inner loops of the engine.
 *
 * A code row is `stride` bytes (a multiple of 64), each 0..127, what is past the dimension 0; row r stands at base + r * stride. Seven bits and
 * not eight, so that the products of two pairs fit the 16 bits that AVX2 sums them in. All sums are of integers, hence the same on every
 * instruction set in whatever order; codes_scalar.c is the definition.
 *
 * One query against n rows: rows 0 .. n-1 where `which` is NULL, else rows which[0 .. n). Right at any alignment, fastest at one of 64.
 * With DIM_MAX dimensions no sum leaves 31 bits.
 *
 * Sliced bits: rows of bits by bit and not by row, so that one instruction works on that bit of many rows. A block has SLICED_ROWS rows as planes of
 * SLICED_ROWS / 8 bytes: one plane for each bit, as many as the dimension rounded up to SLICED_STEP: bit r of plane b is bit b of row r. Then how many ones
 * a row has, inverted: sliced_height() planes of half their number, lowest digit first, and one that says whether it is even; and a plane of zeros. */
#ifndef COMMON_CODES_H
#define COMMON_CODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CODE_MAX = 127, CODE_ALIGN = 64 };
enum { SLICED_ROWS = 512, SLICED_STEP = 16, SLICED_DIM_MAX = 256 };

static inline size_t sliced_height(size_t planes) { return planes <= 64 ? 6 : 8; }
static inline size_t sliced_block_planes(size_t planes) { return planes + sliced_height(planes) + 2; }

/* A query of sliced bits: how many ones it has, and at what bytes of a block stand the planes where it has a one, or, if those are fewer, a zero;
 * filled up with the plane of zeros to a multiple of four. */
struct sliced_query { uint32_t planes, ones, count; bool zeros; uint16_t at[SLICED_DIM_MAX / 2]; };
void sliced_query_init(struct sliced_query *q, const uint8_t *row, size_t planes);

struct code_kernels {
	const char *name; /* "scalar", "avx2", "avx512", "vnni", "vpopcnt", "neon" */
	/* sum (q - x)^2 */
	void (*l2)(const uint8_t *query, const uint8_t *base, size_t stride, const uint32_t *which, size_t n, uint32_t *ret);
	/* sum |q - x| */
	void (*l1)(const uint8_t *query, const uint8_t *base, size_t stride, const uint32_t *which, size_t n, uint32_t *ret);
	/* sum q x, q of -127..127 */
	void (*dot)(const int8_t *query, const uint8_t *base, size_t stride, const uint32_t *which, size_t n, int32_t *ret);
	/* bits that differ: rows of any bytes, stride a multiple of 8, no alignment */
	void (*bits)(const uint8_t *query, const uint8_t *base, size_t stride, size_t n, uint32_t *ret);
	/* The first of n blocks of sliced bits with a row that differs from the query in at most `most` bits, and in ret[SLICED_ROWS / 64] which rows of it
	 * do, bit r % 64 of word r / 64 for row r; n, and nothing of use in ret, if there is none. most < planes <= SLICED_DIM_MAX. Blocks aligned to CODE_ALIGN. */
	size_t (*near)(const struct sliced_query *query, const uint8_t *blocks, size_t n, uint32_t most, uint64_t *ret);
};

/* The kernels of this process: the best that the processor has, or what GROVE_KERNELS names (vec.h); any thread. */
const struct code_kernels *code_kernels(void);
/* The named set, or NULL if this processor cannot run it. For tests. */
const struct code_kernels *code_kernels_by_name(const char *name);

#endif
