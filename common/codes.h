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
 * SLICED_ROWS / 8 bytes. The first is a head, of what its rows have in common (struct sliced_head); then comes one plane for each bit, as many as the dimension
 * rounded up to SLICED_STEP: bit r of plane b is bit b of row r; then a plane of zeros. Rows that have as many ones and the same leading bits, a few that
 * are chosen, stand together: then the head tells of them what else their planes would. Right in whatever order they stand. */
#ifndef COMMON_CODES_H
#define COMMON_CODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CODE_MAX = 127, CODE_ALIGN = 64 };
enum { SLICED_ROWS = 512, SLICED_STEP = 16, SLICED_DIM_MAX = 256, SLICED_LEAD_MAX = 16 };

static inline size_t sliced_block_bytes(size_t planes) { return (planes + 2) * (SLICED_ROWS / 8); }
static inline size_t sliced_plane_at(size_t b) { return (b + 1) * (SLICED_ROWS / 8); }

/* The leading bits: bits[i] of a row is bit i of its lead. */
struct sliced_lead { uint32_t count; uint16_t bits[SLICED_LEAD_MAX]; };
uint32_t sliced_lead_of(const struct sliced_lead *lead, const uint8_t *row);

/* Of the rows of a block: which leading bits all of them have, and which any; the fewest and the most ones that one has among its other bits. */
struct sliced_head { uint32_t all, any; uint16_t least, most; };

/* A query of sliced bits: its leading bits, how many ones the others have, and at what bytes of a block stand the planes of these where it has a one, or,
 * if those are fewer, a zero; filled up with the plane of zeros to a multiple of four. A row differs in a plane where it has the contrary; it has it in
 * `filled` that are none. */
struct sliced_query { uint32_t planes, lead, rest, count, filled; bool zeros; uint16_t at[SLICED_DIM_MAX / 2]; };
void sliced_query_init(struct sliced_query *q, const uint8_t *row, size_t planes, const struct sliced_lead *lead);

/* In how many of the query's planes a row of the block may differ, if it differs in at most `most` bits: for a row of x and a query of y ones, z of them of
 * this row alone, the bits that differ are y - x + 2 z. Below 0: no row of the block is so near. */
static inline int32_t sliced_room(const struct sliced_query *q, const struct sliced_head *head, uint32_t most)
{
	int32_t known = __builtin_popcount(q->lead & ~head->any) + __builtin_popcount(head->all & ~q->lead);
	int32_t ones = q->zeros ? (int32_t)q->rest - head->most : head->least - (int32_t)q->rest;
	int32_t room = (int32_t)most - known - ones;

	return room < 0 ? -1 : room / 2 + (int32_t)q->filled;
}

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
	/* The first of n blocks of sliced bits that has rows which differ from the query in no more of its planes than sliced_room() says, and in
	 * ret[SLICED_ROWS / 64] which, bit r % 64 of word r / 64 for row r: all that differ in at most `most` bits, and others only where their head says
	 * too little of them. n, and nothing of use in ret, if there is none. most < planes <= SLICED_DIM_MAX. Blocks aligned to CODE_ALIGN. */
	size_t (*near)(const struct sliced_query *query, const uint8_t *blocks, size_t n, uint32_t most, uint64_t *ret);
};

/* The kernels of this process: the best that the processor has, or what GROVE_KERNELS names (vec.h); any thread. */
const struct code_kernels *code_kernels(void);
/* The named set, or NULL if this processor cannot run it. For tests. */
const struct code_kernels *code_kernels_by_name(const char *name);

#endif
