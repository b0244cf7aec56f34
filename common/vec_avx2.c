/* vec_avx2.c - the kernels for AVX2: 8 registers of 8 floats are the 64 lanes. A rest is loaded under a mask, so that missing elements
 * are zeros; all 8 registers take part in it, because the definition adds those zeros too (-0 + 0 is +0). */
#include "common/vec_kernels.h"

#include <immintrin.h>
#include <string.h>

enum { REGISTERS = 8, WIDTH = 8, LANES = REGISTERS * WIDTH };

typedef __m256 (*step_fn)(__m256 sum, __m256 a, __m256 b);

static inline __m256 step_dot(__m256 sum, __m256 a, __m256 b) { return _mm256_add_ps(sum, _mm256_mul_ps(a, b)); }

static inline __m256 step_l2(__m256 sum, __m256 a, __m256 b)
{
	__m256 d = _mm256_sub_ps(a, b);
	return _mm256_add_ps(sum, _mm256_mul_ps(d, d));
}

static inline __m256 step_l1(__m256 sum, __m256 a, __m256 b)
{
	return _mm256_add_ps(sum, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), _mm256_sub_ps(a, b)));
}

/* Ones in the first `n` of 8 elements. */
static inline __m256i mask_of(long n)
{
	return _mm256_cmpgt_epi32(_mm256_set1_epi32(n > WIDTH ? WIDTH : (int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline float fold(const __m256 sum[REGISTERS])
{
	__m256 a = _mm256_add_ps(sum[0], sum[4]), b = _mm256_add_ps(sum[1], sum[5]);
	__m256 c = _mm256_add_ps(sum[2], sum[6]), d = _mm256_add_ps(sum[3], sum[7]);
	__m256 all = _mm256_add_ps(_mm256_add_ps(a, c), _mm256_add_ps(b, d));
	__m128 four = _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
	__m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
	return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

static inline __attribute__((always_inline)) float run(step_fn step, const float *a, const float *b, size_t n)
{
	__m256 sum[REGISTERS];

	for (int r = 0; r < REGISTERS; r++) sum[r] = _mm256_setzero_ps();
	for (; n >= LANES; n -= LANES, a += LANES, b += LANES)
		for (int r = 0; r < REGISTERS; r++) sum[r] = step(sum[r], _mm256_loadu_ps(a + r * WIDTH), _mm256_loadu_ps(b + r * WIDTH));
	if (n > 0)
		for (int r = 0; r < REGISTERS; r++) {
			__m256i mask = mask_of((long)n - r * WIDTH);
			sum[r] = step(sum[r], _mm256_maskload_ps(a + r * WIDTH, mask), _mm256_maskload_ps(b + r * WIDTH, mask));
		}
	return fold(sum);
}

static float avx2_dot(const float *a, const float *b, size_t n) { return run(step_dot, a, b, n); }
static float avx2_l2(const float *a, const float *b, size_t n) { return run(step_l2, a, b, n); }
static float avx2_l1(const float *a, const float *b, size_t n) { return run(step_l1, a, b, n); }

static uint32_t avx2_hamming(const uint8_t *a, const uint8_t *b, size_t n)
{
	uint64_t bits = 0, x, y;

	for (; n >= 8; n -= 8, a += 8, b += 8) {
		memcpy(&x, a, 8);
		memcpy(&y, b, 8);
		bits += (uint64_t)__builtin_popcountll(x ^ y);
	}
	for (; n > 0; n--) bits += (uint64_t)__builtin_popcount((unsigned)(*a++ ^ *b++));
	return (uint32_t)bits;
}

const struct vec_kernels vec_kernels_avx2 = {"avx2", avx2_dot, avx2_l2, avx2_l1, avx2_hamming};
