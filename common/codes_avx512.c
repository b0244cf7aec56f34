/* codes_avx512.c - codes for AVX-512, 64 at a time and four rows at once. Compiled three times, each time for one more instruction:
 *   avx512   F, BW, VL, DQ: products are summed in pairs of 16 bits, as in codes_avx2.c; bits are counted by a table of nibbles
 *   vnni     CODES_VNNI: dpbusd sums four products of bytes into 32 bits
 *   vpopcnt  CODES_VNNI and CODES_VPOPCNT: the bits of 64-bit words are counted by vpopcntq
 * With GROVE_AVX512_BY_SIMDE the tests compile this same source for any processor, so that it runs where there is no AVX-512. */
#include "common/code_kernels.h"

#ifdef GROVE_AVX512_BY_SIMDE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#undef _mm512_madd_epi16
#define _mm512_madd_epi16(a, b) simde_mm512_madd_epi16(a, b) /* SIMDe 0.7.4 gives this name the arguments of another */
#define SET(name) code_kernels_##name##_by_simde
extern const struct code_kernels code_kernels_avx512_by_simde, code_kernels_vnni_by_simde, code_kernels_vpopcnt_by_simde;
#else
#include <immintrin.h>
#define SET(name) code_kernels_##name
#endif
#include <stdbool.h>
#include <string.h>

enum { WIDTH = 64 };

static inline __m512i load(const uint8_t *bytes) { return _mm512_loadu_si512(bytes); }

/* ---- sums over codes ---- */

typedef __m512i (*step_fn)(__m512i sum, __m512i query, __m512i row);

/* sum + a b, a of 0..127. */
static inline __m512i add_products(__m512i sum, __m512i a, __m512i b)
{
#ifdef CODES_VNNI
	return _mm512_dpbusd_epi32(sum, a, b);
#else
	return _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(a, b), _mm512_set1_epi16(1)));
#endif
}

static inline __m512i step_l2(__m512i sum, __m512i query, __m512i row)
{
	__m512i apart = _mm512_abs_epi8(_mm512_sub_epi8(query, row));
	return add_products(sum, apart, apart);
}

/* Eight sums of 64 bits, each below 2^32. */
static inline __m512i step_l1(__m512i sum, __m512i query, __m512i row) { return _mm512_add_epi32(sum, _mm512_sad_epu8(query, row)); }

static inline __m512i step_dot(__m512i sum, __m512i query, __m512i row) { return add_products(sum, row, query); }

static inline __m512i fold2(__m512i a, __m512i b) { return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b)); }

static inline __m128i fold4(__m512i a, __m512i b, __m512i c, __m512i d)
{
	__m512i ab = fold2(a, b), cd = fold2(c, d);
	__m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
	__m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
	return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

static inline const uint8_t *row_of(const uint8_t *base, size_t stride, const uint32_t *which, size_t i)
{
	return base + (which ? which[i] : i) * stride;
}

static inline __attribute__((always_inline)) __m128i sums_of_four(step_fn step, const uint8_t *query, size_t stride, const uint8_t *r0,
	const uint8_t *r1, const uint8_t *r2, const uint8_t *r3)
{
	__m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0;

	for (size_t j = 0; j < stride; j += WIDTH) {
		__m512i q = load(query + j);
		s0 = step(s0, q, load(r0 + j));
		s1 = step(s1, q, load(r1 + j));
		s2 = step(s2, q, load(r2 + j));
		s3 = step(s3, q, load(r3 + j));
	}
	return fold4(s0, s1, s2, s3);
}

static inline __attribute__((always_inline)) void run_stride(step_fn step, const uint8_t *query, const uint8_t *base, size_t stride,
	const uint32_t *which, size_t n, uint32_t *ret)
{
	size_t i = 0;

#define ROW(at) row_of(base, stride, which, at)
	for (; n - i >= 4; i += 4) {
		__m128i sums = sums_of_four(step, query, stride, ROW(i), ROW(i + 1), ROW(i + 2), ROW(i + 3));
		_mm_storeu_si128((__m128i *)(void *)(ret + i), sums);
	}
	if (i == n) return;
	/* A rest repeats its first row. */
	uint32_t four[4];
	__m128i sums = sums_of_four(step, query, stride, ROW(i), ROW(i + 1 < n ? i + 1 : i), ROW(i + 2 < n ? i + 2 : i), ROW(i));
#undef ROW
	_mm_storeu_si128((__m128i *)(void *)four, sums);
	memcpy(ret + i, four, (n - i) * sizeof(*ret));
}

/* For the shortest rows, which are most common, a loop without a loop inside. */
static inline __attribute__((always_inline)) void run(step_fn step, const uint8_t *query, const uint8_t *base, size_t stride,
	const uint32_t *which, size_t n, uint32_t *ret)
{
	if (stride == 64)
		run_stride(step, query, base, 64, which, n, ret);
	else if (stride == 128)
		run_stride(step, query, base, 128, which, n, ret);
	else
		run_stride(step, query, base, stride, which, n, ret);
}

static void avx512_l2(const uint8_t *query, const uint8_t *base, size_t stride, const uint32_t *which, size_t n, uint32_t *ret)
{
	run(step_l2, query, base, stride, which, n, ret);
}

static void avx512_l1(const uint8_t *query, const uint8_t *base, size_t stride, const uint32_t *which, size_t n, uint32_t *ret)
{
	run(step_l1, query, base, stride, which, n, ret);
}

static void avx512_dot(const int8_t *query, const uint8_t *base, size_t stride, const uint32_t *which, size_t n, int32_t *ret)
{
	run(step_dot, (const uint8_t *)query, base, stride, which, n, (uint32_t *)ret);
}

/* ---- bits that differ: a count for each word of 64 bits, then neighbouring counts are added until one is left of each row ---- */

static inline __m512i counts(__m512i a, __m512i b)
{
	__m512i differ = _mm512_xor_si512(a, b);
#ifdef CODES_VPOPCNT
	return _mm512_popcnt_epi64(differ);
#else
	const __m512i ones = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4)), low = _mm512_set1_epi8(15);
	__m512i least = _mm512_shuffle_epi8(ones, _mm512_and_si512(differ, low));
	__m512i most = _mm512_shuffle_epi8(ones, _mm512_and_si512(_mm512_srli_epi16(differ, 4), low));
	return _mm512_sad_epu8(_mm512_add_epi8(least, most), _mm512_setzero_si512());
#endif
}

/* Words 0 + 1, 2 + 3 ... of a, then those of b. */
static inline __m512i pairs(__m512i a, __m512i b)
{
	const __m512i even = _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0), odd = _mm512_set_epi64(15, 13, 11, 9, 7, 5, 3, 1);
	return _mm512_add_epi64(_mm512_permutex2var_epi64(a, even, b), _mm512_permutex2var_epi64(a, odd, b));
}

static inline uint32_t bits_of_words(const uint8_t *query, const uint8_t *row, size_t from, size_t stride)
{
	uint64_t sum = 0, x, y;

	for (size_t j = from; j < stride; j += 8) {
		memcpy(&x, query + j, 8);
		memcpy(&y, row + j, 8);
		sum += (uint64_t)__builtin_popcountll(x ^ y);
	}
	return (uint32_t)sum;
}

/* Eight rows; `whole` is 8, 16, 32, or a multiple of 64 that begins rows of `stride` bytes. */
static inline __attribute__((always_inline)) __m512i bits_of_eight(__m512i repeated, const uint8_t *query, const uint8_t *rows,
	size_t whole, size_t stride)
{
	__m512i c[8];

	if (whole < WIDTH) {
		for (size_t r = 0; r < whole / 8; r++) c[r] = counts(repeated, load(rows + r * WIDTH));
		if (whole == 8) return c[0];
		return whole == 16 ? pairs(c[0], c[1]) : pairs(pairs(c[0], c[1]), pairs(c[2], c[3]));
	}
	for (int r = 0; r < 8; r++) c[r] = _mm512_setzero_si512();
	for (size_t j = 0; j < whole; j += WIDTH) {
		__m512i q = load(query + j);
		for (size_t r = 0; r < 8; r++) c[r] = _mm512_add_epi64(c[r], counts(q, load(rows + r * stride + j)));
	}
	return pairs(pairs(pairs(c[0], c[1]), pairs(c[2], c[3])), pairs(pairs(c[4], c[5]), pairs(c[6], c[7])));
}

static inline __attribute__((always_inline)) void bits_by_eights(const uint8_t *query, const uint8_t *base, size_t whole,
	size_t stride, size_t n, uint32_t *ret)
{
	uint8_t copies[WIDTH] = {0};
	size_t i = 0;

	for (size_t at = 0; whole < WIDTH && at < WIDTH; at += whole) memcpy(copies + at, query, whole);
	__m512i repeated = load(copies);
	for (; n - i >= 8; i += 8) {
		const uint8_t *rows = base + i * stride;
		__m256i sums = _mm512_cvtepi64_epi32(bits_of_eight(repeated, query, rows, whole, stride));
		_mm256_storeu_si256((__m256i *)(void *)(ret + i), sums);
		for (size_t r = 0; r < 8 && whole < stride; r++) ret[i + r] += bits_of_words(query, rows + r * stride, whole, stride);
	}
	for (; i < n; i++) ret[i] = bits_of_words(query, base + i * stride, 0, stride);
}

static void avx512_bits(const uint8_t *query, const uint8_t *base, size_t stride, size_t n, uint32_t *ret)
{
	if (stride == 8)
		bits_by_eights(query, base, 8, 8, n, ret);
	else if (stride == 16)
		bits_by_eights(query, base, 16, 16, n, ret);
	else if (stride == 32)
		bits_by_eights(query, base, 32, 32, n, ret);
	else if (stride == 64)
		bits_by_eights(query, base, 64, 64, n, ret);
	else if (stride > WIDTH)
		bits_by_eights(query, base, stride / WIDTH * WIDTH, stride, n, ret);
	else
		for (size_t i = 0; i < n; i++) ret[i] = bits_of_words(query, base + i * stride, 0, stride);
}

/* ---- sliced bits, 512 rows at a time: an adder is two instructions, of which the numbers say what comes of each three bits ---- */

enum { WORD_BYTES = WIDTH, OF_THREE_ODD = 0x96, OF_THREE_TWO = 0xe8 };
typedef __m512i word_t;

static inline word_t word_load(const uint8_t *bytes) { return load(bytes); }
static inline word_t word_repeat(uint64_t a) { return _mm512_set1_epi64((long long)a); }
static inline word_t word_and(word_t a, word_t b) { return _mm512_and_si512(a, b); }
static inline word_t word_or(word_t a, word_t b) { return _mm512_or_si512(a, b); }
static inline word_t word_xor(word_t a, word_t b) { return _mm512_xor_si512(a, b); }
static inline word_t word_sum(word_t a, word_t b, word_t c) { return _mm512_ternarylogic_epi64(a, b, c, OF_THREE_ODD); }
static inline word_t word_carry(word_t a, word_t b, word_t c) { return _mm512_ternarylogic_epi64(a, b, c, OF_THREE_TWO); }
static inline bool word_full(word_t a) { return _mm512_cmpeq_epi64_mask(a, _mm512_set1_epi64(-1)) == 0xff; }
static inline void word_store(uint64_t *to, word_t a) { _mm512_storeu_si512(to, a); }

#define SLICED_NEAR avx512_near
#include "common/sliced_near.h"

#if defined(CODES_VPOPCNT)
const struct code_kernels SET(vpopcnt) = {"vpopcnt", avx512_l2, avx512_l1, avx512_dot, avx512_bits, avx512_near};
#elif defined(CODES_VNNI)
const struct code_kernels SET(vnni) = {"vnni", avx512_l2, avx512_l1, avx512_dot, avx512_bits, avx512_near};
#else
const struct code_kernels SET(avx512) = {"avx512", avx512_l2, avx512_l1, avx512_dot, avx512_bits, avx512_near};
#endif
