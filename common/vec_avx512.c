/* vec_avx512.c - the kernels for AVX-512 (F, BW, VL, DQ): 4 registers of 16 floats are the 64 lanes, variables as in vec_avx2.c; a rest is
 * loaded under a mask.
 * With GROVE_AVX512_BY_SIMDE the tests compile this same source for any processor, so that it runs where there is no AVX-512. */
#include "common/vec_kernels.h"

#ifdef GROVE_AVX512_BY_SIMDE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <string.h>
typedef uint16_t __mmask16;
static inline __m512 _mm512_maskz_loadu_ps(__mmask16 mask, const float *p) /* SIMDe 0.7.4 has none */
{
	float kept[16] = {0};
	for (int i = 0; i < 16; i++)
		if (mask >> i & 1) memcpy(&kept[i], (const char *)p + 4 * i, 4);
	return _mm512_loadu_ps(kept);
}
#define vec_kernels_avx512 vec_kernels_avx512_by_simde
extern const struct vec_kernels vec_kernels_avx512_by_simde;
#else
#include <immintrin.h>
#endif
#include <string.h>

enum { WIDTH = 16, LANES = 64 };

typedef __m512 (*step_fn)(__m512 sum, __m512 a, __m512 b);

static inline __m512 step_dot(__m512 sum, __m512 a, __m512 b) { return _mm512_add_ps(sum, _mm512_mul_ps(a, b)); }

static inline __m512 step_l2(__m512 sum, __m512 a, __m512 b)
{
	__m512 d = _mm512_sub_ps(a, b);
	return _mm512_add_ps(sum, _mm512_mul_ps(d, d));
}

static inline __m512 step_l1(__m512 sum, __m512 a, __m512 b) { return _mm512_add_ps(sum, _mm512_abs_ps(_mm512_sub_ps(a, b))); }

/* Ones for the first `n` of 16 elements. */
static inline __mmask16 mask_of(size_t n) { return n >= WIDTH ? 0xffff : (__mmask16)((1u << n) - 1); }

static inline float fold(__m512 all)
{
	__m256 half[2];

	memcpy(half, &all, sizeof(half));
	__m256 eight = _mm256_add_ps(half[0], half[1]);
	__m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
	__m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
	return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* Registers wholly past the end are left alone: see vec_avx2.c. */
static inline __attribute__((always_inline)) float run(step_fn step, const float *a, const float *b, size_t n)
{
	__m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;

#define WHOLE(s, r) s = step(s, _mm512_loadu_ps(a + (r) * WIDTH), _mm512_loadu_ps(b + (r) * WIDTH))
	for (; n >= LANES; n -= LANES, a += LANES, b += LANES) {
		WHOLE(s0, 0); WHOLE(s1, 1); WHOLE(s2, 2); WHOLE(s3, 3);
	}
#undef WHOLE
#define REST(s, r)                                                                                                     \
	if (n > (r) * WIDTH) {                                                                                         \
		__mmask16 mask = mask_of(n - (r) * WIDTH);                                                             \
		s = step(s, _mm512_maskz_loadu_ps(mask, a + (r) * WIDTH), _mm512_maskz_loadu_ps(mask, b + (r) * WIDTH)); \
	}
	REST(s0, 0) REST(s1, 1) REST(s2, 2) REST(s3, 3)
#undef REST
	return fold(_mm512_add_ps(_mm512_add_ps(s0, s2), _mm512_add_ps(s1, s3)));
}

static float avx512_dot(const float *a, const float *b, size_t n) { return run(step_dot, a, b, n); }
static float avx512_l2(const float *a, const float *b, size_t n) { return run(step_l2, a, b, n); }
static float avx512_l1(const float *a, const float *b, size_t n) { return run(step_l1, a, b, n); }

const struct vec_kernels vec_kernels_avx512 = {"avx512", avx512_dot, avx512_l2, avx512_l1, vec_hamming_popcnt};
