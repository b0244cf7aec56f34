/* codes_avx2.c - codes, 32 at a time and four rows at once: the four sums are folded together, and four rows are on their way from memory while
 * a processor would wait for one. maddubs sums two products in 16 signed bits, 2 * 127 * 127 at most. */
#include "common/code_kernels.h"

#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

/* AHEAD: gathered rows are fetched this many before their turn; whoever has fetched them already loses next to nothing. */
enum { WIDTH = 32, AHEAD = 8 };

typedef __m256i (*step_fn)(__m256i sum, __m256i query, __m256i row);

static inline __m256i step_l2(__m256i sum, __m256i query, __m256i row)
{
	__m256i apart = _mm256_abs_epi8(_mm256_sub_epi8(query, row));
	return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(apart, apart), _mm256_set1_epi16(1)));
}

/* Four sums of 64 bits, each below 2^32. */
static inline __m256i step_l1(__m256i sum, __m256i query, __m256i row) { return _mm256_add_epi32(sum, _mm256_sad_epu8(query, row)); }

static inline __m256i step_dot(__m256i sum, __m256i query, __m256i row)
{
	return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(row, query), _mm256_set1_epi16(1)));
}

static inline __m256i load(const uint8_t *bytes) { return _mm256_loadu_si256((const __m256i *)(const void *)bytes); }

static inline __m256i fold2(__m256i a, __m256i b) { return _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b)); }

static inline __m128i fold4(__m256i a, __m256i b, __m256i c, __m256i d)
{
	__m256i ab = fold2(a, b), cd = fold2(c, d);
	__m256i all = _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
	return _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

static inline __attribute__((always_inline)) __m128i sums_of_four(step_fn step, const uint8_t *query, size_t stride, const uint8_t *r0,
	const uint8_t *r1, const uint8_t *r2, const uint8_t *r3)
{
	__m256i s0 = _mm256_setzero_si256(), s1 = s0, s2 = s0, s3 = s0;

	for (size_t j = 0; j < stride; j += WIDTH) {
		__m256i q = load(query + j);
		s0 = step(s0, q, load(r0 + j));
		s1 = step(s1, q, load(r1 + j));
		s2 = step(s2, q, load(r2 + j));
		s3 = step(s3, q, load(r3 + j));
	}
	return fold4(s0, s1, s2, s3);
}

static inline const uint8_t *row_of(const uint8_t *base, size_t stride, const uint32_t *which, size_t i)
{
	return base + (which ? which[i] : i) * stride;
}

/* gcc 12 takes a function that does nothing but prefetch for one without effect, and drops its calls unless it is inlined first. */
static inline __attribute__((always_inline)) void prefetch(const uint8_t *row)
{
	__builtin_prefetch(row);
	__builtin_prefetch(row + CODE_ALIGN);
}

static inline __attribute__((always_inline)) void run_stride(step_fn step, const uint8_t *query, const uint8_t *base, size_t stride,
	const uint32_t *which, size_t n, uint32_t *ret)
{
	size_t i = 0;

#define ROW(at) row_of(base, stride, which, at)
	for (; n - i >= 4; i += 4) {
		for (size_t r = 0; r < 4 && which && n - i >= AHEAD + 4; r++) prefetch(ROW(i + AHEAD + r));
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

static void avx2_l2(const uint8_t *query, const uint8_t *base, size_t stride, const uint32_t *which, size_t n, uint32_t *ret)
{
	run(step_l2, query, base, stride, which, n, ret);
}

static void avx2_l1(const uint8_t *query, const uint8_t *base, size_t stride, const uint32_t *which, size_t n, uint32_t *ret)
{
	run(step_l1, query, base, stride, which, n, ret);
}

static void avx2_dot(const int8_t *query, const uint8_t *base, size_t stride, const uint32_t *which, size_t n, int32_t *ret)
{
	run(step_dot, (const uint8_t *)query, base, stride, which, n, (uint32_t *)ret);
}

/* ---- bits that differ: a count for each word of 64 bits, four rows at once ---- */

static inline __m256i counts(__m256i a, __m256i b)
{
	const __m256i low = _mm256_set1_epi8(15);
	const __m256i ones = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
	__m256i differ = _mm256_xor_si256(a, b);
	__m256i least = _mm256_shuffle_epi8(ones, _mm256_and_si256(differ, low));
	__m256i most = _mm256_shuffle_epi8(ones, _mm256_and_si256(_mm256_srli_epi16(differ, 4), low));
	return _mm256_sad_epu8(_mm256_add_epi8(least, most), _mm256_setzero_si256());
}

/* Words 0 + 1 of a, 0 + 1 of b, 2 + 3 of a, 2 + 3 of b. */
static inline __m256i pairs(__m256i a, __m256i b) { return _mm256_add_epi64(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b)); }

static inline __m128i low_half(__m256i a) { return _mm256_castsi256_si128(a); }
static inline __m128i high_half(__m256i a) { return _mm256_extracti128_si256(a, 1); }

/* `whole` is 8, 16, or a multiple of 32 that begins rows of `stride` bytes. */
static inline __attribute__((always_inline)) __m128i bits_of_four(__m256i repeated, const uint8_t *query, const uint8_t *rows,
	size_t whole, size_t stride)
{
	if (whole == 8) {
		__m256i c = counts(repeated, load(rows));
		return _mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(low_half(c)), _mm_castsi128_ps(high_half(c)), _MM_SHUFFLE(2, 0, 2, 0)));
	}
	if (whole == 16) {
		__m256i c = pairs(counts(repeated, load(rows)), counts(repeated, load(rows + WIDTH)));
		return _mm_or_si128(low_half(c), _mm_slli_epi64(high_half(c), 32));
	}
	__m256i c0 = _mm256_setzero_si256(), c1 = c0, c2 = c0, c3 = c0;
	for (size_t j = 0; j < whole; j += WIDTH) {
		__m256i q = load(query + j);
		c0 = _mm256_add_epi64(c0, counts(q, load(rows + j)));
		c1 = _mm256_add_epi64(c1, counts(q, load(rows + stride + j)));
		c2 = _mm256_add_epi64(c2, counts(q, load(rows + 2 * stride + j)));
		c3 = _mm256_add_epi64(c3, counts(q, load(rows + 3 * stride + j)));
	}
	/* Rows 0 and 2 are in the low words of both halves, 1 and 3 in the high ones. */
	__m256i c = _mm256_or_si256(pairs(c0, c2), _mm256_slli_epi64(pairs(c1, c3), 32));
	return _mm_add_epi32(low_half(c), high_half(c));
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

static inline __attribute__((always_inline)) void bits_by_fours(const uint8_t *query, const uint8_t *base, size_t whole,
	size_t stride, size_t n, uint32_t *ret)
{
	uint8_t copies[WIDTH] = {0};
	size_t i = 0;

	for (size_t at = 0; whole < WIDTH && at < WIDTH; at += whole) memcpy(copies + at, query, whole);
	__m256i repeated = load(copies);
	for (; n - i >= 4; i += 4) {
		const uint8_t *rows = base + i * stride;
		_mm_storeu_si128((__m128i *)(void *)(ret + i), bits_of_four(repeated, query, rows, whole, stride));
		for (size_t r = 0; r < 4 && whole < stride; r++) ret[i + r] += bits_of_words(query, rows + r * stride, whole, stride);
	}
	for (; i < n; i++) ret[i] = bits_of_words(query, base + i * stride, 0, stride);
}

static void avx2_bits(const uint8_t *query, const uint8_t *base, size_t stride, size_t n, uint32_t *ret)
{
	if (stride == 8)
		bits_by_fours(query, base, 8, 8, n, ret);
	else if (stride == 16)
		bits_by_fours(query, base, 16, 16, n, ret);
	else if (stride == 32)
		bits_by_fours(query, base, 32, 32, n, ret);
	else if (stride > WIDTH)
		bits_by_fours(query, base, stride / WIDTH * WIDTH, stride, n, ret);
	else
		for (size_t i = 0; i < n; i++) ret[i] = bits_of_words(query, base + i * stride, 0, stride);
}

/* ---- sliced bits, 256 rows at a time ---- */

enum { WORD_BYTES = WIDTH };
typedef __m256i word_t;

static inline word_t word_load(const uint8_t *bytes) { return load(bytes); }
static inline word_t word_repeat(uint64_t a) { return _mm256_set1_epi64x((long long)a); }
static inline word_t word_and(word_t a, word_t b) { return _mm256_and_si256(a, b); }
static inline word_t word_or(word_t a, word_t b) { return _mm256_or_si256(a, b); }
static inline word_t word_xor(word_t a, word_t b) { return _mm256_xor_si256(a, b); }
static inline word_t word_sum(word_t a, word_t b, word_t c) { return word_xor(a, word_xor(b, c)); }
static inline word_t word_carry(word_t a, word_t b, word_t c) { return word_or(word_and(b, c), word_and(word_xor(b, c), a)); }
static inline bool word_full(word_t a) { return _mm256_testc_si256(a, _mm256_set1_epi64x(-1)); }
static inline void word_store(uint64_t *to, word_t a) { _mm256_storeu_si256((__m256i *)(void *)to, a); }

#define SLICED_NEAR avx2_near
#include "common/sliced_near.h"

const struct code_kernels code_kernels_avx2 = {"avx2", avx2_l2, avx2_l1, avx2_dot, avx2_bits, avx2_near};
