/* vec_neon.c - the kernels for aarch64: 16 registers of 4 floats are the 64 lanes; a rest is copied into zeros first. */
#include "common/vec_kernels.h"

#include <arm_neon.h>
#include <string.h>

enum { REGISTERS = 16, WIDTH = 4, LANES = REGISTERS * WIDTH };

typedef float32x4_t (*step_fn)(float32x4_t sum, float32x4_t a, float32x4_t b);

static inline float32x4_t step_dot(float32x4_t sum, float32x4_t a, float32x4_t b) { return vaddq_f32(sum, vmulq_f32(a, b)); }

static inline float32x4_t step_l2(float32x4_t sum, float32x4_t a, float32x4_t b)
{
	float32x4_t d = vsubq_f32(a, b);
	return vaddq_f32(sum, vmulq_f32(d, d));
}

static inline float32x4_t step_l1(float32x4_t sum, float32x4_t a, float32x4_t b) { return vaddq_f32(sum, vabsq_f32(vsubq_f32(a, b))); }

static inline float fold(float32x4_t sum[REGISTERS])
{
	for (int width = REGISTERS / 2; width > 0; width /= 2)
		for (int r = 0; r < width; r++) sum[r] = vaddq_f32(sum[r], sum[r + width]);
	float lane[WIDTH];
	vst1q_f32(lane, sum[0]);
	lane[0] = lane[0] + lane[2];
	lane[1] = lane[1] + lane[3];
	return lane[0] + lane[1];
}

static inline __attribute__((always_inline)) void block(step_fn step, float32x4_t sum[REGISTERS], const float *a, const float *b)
{
	for (int r = 0; r < REGISTERS; r++) sum[r] = step(sum[r], vld1q_f32(a + r * WIDTH), vld1q_f32(b + r * WIDTH));
}

static inline __attribute__((always_inline)) float run(step_fn step, const float *a, const float *b, size_t n)
{
	float32x4_t sum[REGISTERS];

	for (int r = 0; r < REGISTERS; r++) sum[r] = vdupq_n_f32(0);
	for (; n >= LANES; n -= LANES, a += LANES, b += LANES) block(step, sum, a, b);
	if (n > 0) {
		float rest_a[LANES] = {0}, rest_b[LANES] = {0};
		memcpy(rest_a, a, n * sizeof(float));
		memcpy(rest_b, b, n * sizeof(float));
		block(step, sum, rest_a, rest_b);
	}
	return fold(sum);
}

static float neon_dot(const float *a, const float *b, size_t n) { return run(step_dot, a, b, n); }
static float neon_l2(const float *a, const float *b, size_t n) { return run(step_l2, a, b, n); }
static float neon_l1(const float *a, const float *b, size_t n) { return run(step_l1, a, b, n); }

static uint32_t neon_hamming(const uint8_t *a, const uint8_t *b, size_t n)
{
	uint32_t bits = 0;

	for (; n >= 16; n -= 16, a += 16, b += 16) bits += vaddvq_u8(vcntq_u8(veorq_u8(vld1q_u8(a), vld1q_u8(b))));
	for (; n > 0; n--) bits += (uint32_t)__builtin_popcount((unsigned)(*a++ ^ *b++));
	return bits;
}

const struct vec_kernels vec_kernels_neon = {"neon", neon_dot, neon_l2, neon_l1, neon_hamming};
