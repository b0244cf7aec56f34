/* codes_scalar.c - the definition of the kernels over codes. */
#include "common/code_kernels.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t *row_of(const uint8_t *base, size_t stride, const uint32_t *which, size_t i)
{
	return base + (which ? which[i] : i) * stride;
}

static void scalar_l2(const uint8_t *query, const uint8_t *base, size_t stride, const uint32_t *which, size_t n, uint32_t *ret)
{
	for (size_t i = 0; i < n; i++) {
		const uint8_t *row = row_of(base, stride, which, i);
		uint32_t sum = 0;
		for (size_t j = 0; j < stride; j++) {
			int difference = query[j] - row[j];
			sum += (uint32_t)(difference * difference);
		}
		ret[i] = sum;
	}
}

static void scalar_l1(const uint8_t *query, const uint8_t *base, size_t stride, const uint32_t *which, size_t n, uint32_t *ret)
{
	for (size_t i = 0; i < n; i++) {
		const uint8_t *row = row_of(base, stride, which, i);
		uint32_t sum = 0;
		for (size_t j = 0; j < stride; j++) sum += (uint32_t)abs(query[j] - row[j]);
		ret[i] = sum;
	}
}

static void scalar_dot(const int8_t *query, const uint8_t *base, size_t stride, const uint32_t *which, size_t n, int32_t *ret)
{
	for (size_t i = 0; i < n; i++) {
		const uint8_t *row = row_of(base, stride, which, i);
		int32_t sum = 0;
		for (size_t j = 0; j < stride; j++) sum += query[j] * row[j];
		ret[i] = sum;
	}
}

static void scalar_bits(const uint8_t *query, const uint8_t *base, size_t stride, size_t n, uint32_t *ret)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t sum = 0;
		for (size_t j = 0; j < stride; j++) sum += (uint32_t)__builtin_popcount((unsigned)(query[j] ^ base[i * stride + j]));
		ret[i] = sum;
	}
}

/* ---- sliced bits, 64 rows at a time ---- */

enum { WORD_BYTES = 8 };
typedef uint64_t word_t;

static inline word_t word_load(const uint8_t *bytes)
{
	word_t w;

	memcpy(&w, bytes, sizeof(w));
	return w;
}
static inline word_t word_repeat(uint64_t a) { return a; }
static inline word_t word_and(word_t a, word_t b) { return a & b; }
static inline word_t word_or(word_t a, word_t b) { return a | b; }
static inline word_t word_xor(word_t a, word_t b) { return a ^ b; }
static inline word_t word_sum(word_t a, word_t b, word_t c) { return a ^ b ^ c; }
static inline word_t word_carry(word_t a, word_t b, word_t c) { return (b & c) | ((b ^ c) & a); }
static inline bool word_full(word_t a) { return a == UINT64_MAX; }
static inline void word_store(uint64_t *to, word_t a) { *to = a; }

#define SLICED_NEAR scalar_near
#include "common/sliced_near.h"

const struct code_kernels code_kernels_scalar = {"scalar", scalar_l2, scalar_l1, scalar_dot, scalar_bits, scalar_near};
