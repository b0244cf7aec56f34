/* vec_avx2.c - the kernels for AVX2: 8 registers of 8 floats are the 64 lanes. A rest is loaded under a mask, so that missing elements
 * are zeros. Registers wholly past the end are left alone: the definition adds +0 to their lanes, and no lane is ever -0, because it
 * began as +0 and a sum is -0 only where both terms are. The registers are eight variables and not an array, which gcc 12 keeps in
 * memory (and clears with rep stos): 15 ns a call. */
#include "common/vec_kernels.h"

#include <immintrin.h>
#include <string.h>

enum { WIDTH = 8, LANES = 64 };

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

/* A mask for a register of which `n` (1 or more) elements are there: 8 words from here. */
static const int32_t masks[2 * WIDTH] = {-1, -1, -1, -1, -1, -1, -1, -1};
static inline __m256i mask_of(size_t n) { return _mm256_loadu_si256((const __m256i *)(const void *)(masks + WIDTH - (n < WIDTH ? n : WIDTH))); }

static inline __attribute__((always_inline)) float run(step_fn step, const float *a, const float *b, size_t n)
{
	__m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;

#define WHOLE(s, r) s = step(s, _mm256_loadu_ps(a + (r) * WIDTH), _mm256_loadu_ps(b + (r) * WIDTH))
	for (; n >= LANES; n -= LANES, a += LANES, b += LANES) {
		WHOLE(s0, 0); WHOLE(s1, 1); WHOLE(s2, 2); WHOLE(s3, 3);
		WHOLE(s4, 4); WHOLE(s5, 5); WHOLE(s6, 6); WHOLE(s7, 7);
	}
#undef WHOLE
#define REST(s, r)                                                                                                     \
	if (n > (r) * WIDTH) {                                                                                         \
		__m256i mask = mask_of(n - (r) * WIDTH);                                                               \
		s = step(s, _mm256_maskload_ps(a + (r) * WIDTH, mask), _mm256_maskload_ps(b + (r) * WIDTH, mask));     \
	}
	REST(s0, 0) REST(s1, 1) REST(s2, 2) REST(s3, 3) REST(s4, 4) REST(s5, 5) REST(s6, 6) REST(s7, 7)
#undef REST
	__m256 x0 = _mm256_add_ps(s0, s4), x1 = _mm256_add_ps(s1, s5), x2 = _mm256_add_ps(s2, s6), x3 = _mm256_add_ps(s3, s7);
	__m256 all = _mm256_add_ps(_mm256_add_ps(x0, x2), _mm256_add_ps(x1, x3));
	__m128 four = _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
	__m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
	return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

static float avx2_dot(const float *a, const float *b, size_t n) { return run(step_dot, a, b, n); }
static float avx2_l2(const float *a, const float *b, size_t n) { return run(step_l2, a, b, n); }
static float avx2_l1(const float *a, const float *b, size_t n) { return run(step_l1, a, b, n); }

uint32_t vec_hamming_popcnt(const uint8_t *a, const uint8_t *b, size_t n)
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

const struct vec_kernels vec_kernels_avx2 = {"avx2", avx2_dot, avx2_l2, avx2_l1, vec_hamming_popcnt};
