/* codes_neon.c - codes for aarch64, 16 at a time and four rows at once. Products of bytes are of 16 bits, below 2^14, and are added by pairs
 * into 32. Without dotprod: what all of aarch64 has. */
#include "common/code_kernels.h"

#include <arm_neon.h>
#include <stdbool.h>

enum { WIDTH = 16 };

typedef uint32x4_t (*step_fn)(uint32x4_t sum, uint8x16_t query, uint8x16_t row);

static inline uint32x4_t step_l2(uint32x4_t sum, uint8x16_t query, uint8x16_t row)
{
	uint8x16_t apart = vabdq_u8(query, row);
	sum = vpadalq_u16(sum, vmull_u8(vget_low_u8(apart), vget_low_u8(apart)));
	return vpadalq_u16(sum, vmull_high_u8(apart, apart));
}

static inline uint32x4_t step_l1(uint32x4_t sum, uint8x16_t query, uint8x16_t row) { return vpadalq_u16(sum, vpaddlq_u8(vabdq_u8(query, row))); }

static inline uint32x4_t step_dot(uint32x4_t sum, uint8x16_t query, uint8x16_t row)
{
	int8x16_t q = vreinterpretq_s8_u8(query), x = vreinterpretq_s8_u8(row);
	int32x4_t signed_sum = vpadalq_s16(vreinterpretq_s32_u32(sum), vmull_s8(vget_low_s8(q), vget_low_s8(x)));
	return vreinterpretq_u32_s32(vpadalq_s16(signed_sum, vmull_high_s8(q, x)));
}

static inline uint32x4_t step_bits(uint32x4_t sum, uint8x16_t query, uint8x16_t row)
{
	return vpadalq_u16(sum, vpaddlq_u8(vcntq_u8(veorq_u8(query, row))));
}

static inline const uint8_t *row_of(const uint8_t *base, size_t stride, const uint32_t *which, size_t i)
{
	return base + (which ? which[i] : i) * stride;
}

/* Over the whole registers of a row; what is past them is the caller's. */
static inline __attribute__((always_inline)) void run(step_fn step, const uint8_t *query, const uint8_t *base, size_t stride,
	const uint32_t *which, size_t n, uint32_t *ret)
{
	size_t i = 0;

	for (; n - i >= 4; i += 4) {
		const uint8_t *r0 = row_of(base, stride, which, i), *r1 = row_of(base, stride, which, i + 1);
		const uint8_t *r2 = row_of(base, stride, which, i + 2), *r3 = row_of(base, stride, which, i + 3);
		uint32x4_t s0 = vdupq_n_u32(0), s1 = s0, s2 = s0, s3 = s0;
		for (size_t j = 0; j + WIDTH <= stride; j += WIDTH) {
			uint8x16_t q = vld1q_u8(query + j);
			s0 = step(s0, q, vld1q_u8(r0 + j));
			s1 = step(s1, q, vld1q_u8(r1 + j));
			s2 = step(s2, q, vld1q_u8(r2 + j));
			s3 = step(s3, q, vld1q_u8(r3 + j));
		}
		vst1q_u32(ret + i, vpaddq_u32(vpaddq_u32(s0, s1), vpaddq_u32(s2, s3)));
	}
	for (; i < n; i++) {
		const uint8_t *row = row_of(base, stride, which, i);
		uint32x4_t sum = vdupq_n_u32(0);
		for (size_t j = 0; j + WIDTH <= stride; j += WIDTH) sum = step(sum, vld1q_u8(query + j), vld1q_u8(row + j));
		ret[i] = vaddvq_u32(sum);
	}
}

static void neon_l2(const uint8_t *query, const uint8_t *base, size_t stride, const uint32_t *which, size_t n, uint32_t *ret)
{
	run(step_l2, query, base, stride, which, n, ret);
}

static void neon_l1(const uint8_t *query, const uint8_t *base, size_t stride, const uint32_t *which, size_t n, uint32_t *ret)
{
	run(step_l1, query, base, stride, which, n, ret);
}

static void neon_dot(const int8_t *query, const uint8_t *base, size_t stride, const uint32_t *which, size_t n, int32_t *ret)
{
	run(step_dot, (const uint8_t *)query, base, stride, which, n, (uint32_t *)ret);
}

/* Codes of 64 bits: two in a register. */
static void bits_of_words(const uint8_t *query, const uint8_t *base, size_t n, uint32_t *ret)
{
	uint8x16_t q = vcombine_u8(vld1_u8(query), vld1_u8(query));
	size_t i = 0;

	for (; n - i >= 4; i += 4, base += 2 * WIDTH) {
		uint16x8_t a = vpaddlq_u8(vcntq_u8(veorq_u8(q, vld1q_u8(base)))), b = vpaddlq_u8(vcntq_u8(veorq_u8(q, vld1q_u8(base + WIDTH))));
		vst1q_u32(ret + i, vpaddlq_u16(vpaddq_u16(a, b)));
	}
	for (; i < n; i++, base += 8) ret[i] = vaddv_u8(vcnt_u8(veor_u8(vget_low_u8(q), vld1_u8(base))));
}

static void neon_bits(const uint8_t *query, const uint8_t *base, size_t stride, size_t n, uint32_t *ret)
{
	if (stride == 8) {
		bits_of_words(query, base, n, ret);
		return;
	}
	run(step_bits, query, base, stride, NULL, n, ret);
	if (stride % WIDTH == 0) return;
	uint8x8_t last = vld1_u8(query + stride - 8);
	for (size_t i = 0; i < n; i++) ret[i] += vaddv_u8(vcnt_u8(veor_u8(last, vld1_u8(base + (i + 1) * stride - 8))));
}

/* ---- sliced bits, 128 rows at a time ---- */

enum { WORD_BYTES = WIDTH };
typedef uint64x2_t word_t;

static inline word_t word_load(const uint8_t *bytes) { return vreinterpretq_u64_u8(vld1q_u8(bytes)); }
static inline word_t word_repeat(uint64_t a) { return vdupq_n_u64(a); }
static inline word_t word_and(word_t a, word_t b) { return vandq_u64(a, b); }
static inline word_t word_or(word_t a, word_t b) { return vorrq_u64(a, b); }
static inline word_t word_xor(word_t a, word_t b) { return veorq_u64(a, b); }
static inline word_t word_sum(word_t a, word_t b, word_t c) { return word_xor(a, word_xor(b, c)); }
/* Where b and c differ, a decides; else either. */
static inline word_t word_carry(word_t a, word_t b, word_t c) { return vbslq_u64(word_xor(b, c), a, c); }
static inline bool word_full(word_t a) { return vminvq_u32(vreinterpretq_u32_u64(a)) == UINT32_MAX; }
static inline void word_store(uint64_t *to, word_t a) { vst1q_u64(to, a); }

#define SLICED_NEAR neon_near
#include "common/sliced_near.h"

const struct code_kernels code_kernels_neon = {"neon", neon_l2, neon_l1, neon_dot, neon_bits, neon_near};
