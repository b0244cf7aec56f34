/* codes_scalar.c - the definition of the kernels over codes. */
#include "common/code_kernels.h"

#include <stdlib.h>

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

const struct code_kernels code_kernels_scalar = {"scalar", scalar_l2, scalar_l1, scalar_dot, scalar_bits};
