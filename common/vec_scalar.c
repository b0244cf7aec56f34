/* vec_scalar.c - the definition of every kernel: 64 lanes, multiply then add, zeros past the end, folded by halves. */
#include "common/vec_kernels.h"

#include <math.h>
#include <string.h>

enum { LANES = 64 };

static float fold(float lane[LANES])
{
	for (int width = LANES / 2; width > 0; width /= 2)
		for (int l = 0; l < width; l++) lane[l] = lane[l] + lane[l + width];
	return lane[0];
}

/* Rows need no alignment: an element is loaded as bytes. */
static float element(const float *row, size_t i, size_t n)
{
	float v = 0.0f;

	if (i < n) memcpy(&v, (const char *)row + i * sizeof(v), sizeof(v));
	return v;
}

static float scalar_dot(const float *a, const float *b, size_t n)
{
	float lane[LANES] = {0};

	for (size_t start = 0; start < n; start += LANES)
		for (size_t l = 0; l < LANES; l++) {
			float product = element(a, start + l, n) * element(b, start + l, n);
			lane[l] = lane[l] + product;
		}
	return fold(lane);
}

static float scalar_l2(const float *a, const float *b, size_t n)
{
	float lane[LANES] = {0};

	for (size_t start = 0; start < n; start += LANES)
		for (size_t l = 0; l < LANES; l++) {
			float difference = element(a, start + l, n) - element(b, start + l, n);
			float square = difference * difference;
			lane[l] = lane[l] + square;
		}
	return fold(lane);
}

static float scalar_l1(const float *a, const float *b, size_t n)
{
	float lane[LANES] = {0};

	for (size_t start = 0; start < n; start += LANES)
		for (size_t l = 0; l < LANES; l++) {
			float difference = element(a, start + l, n) - element(b, start + l, n);
			lane[l] = lane[l] + fabsf(difference);
		}
	return fold(lane);
}

static uint32_t scalar_hamming(const uint8_t *a, const uint8_t *b, size_t n)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < n; i++) bits += (uint32_t)__builtin_popcount((unsigned)(a[i] ^ b[i]));
	return bits;
}

const struct vec_kernels vec_kernels_scalar = {"scalar", scalar_dot, scalar_l2, scalar_l1, scalar_hamming};
