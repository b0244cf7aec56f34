/* vec.h - metrics, element types, and the distance kernels.
 *
 * Rows. A float row is `dim` float32; a bit row is `dim` bits packed least significant first into ceil(dim / 8) bytes, the
 * unused high bits of the last byte zero. No alignment is needed anywhere; rows aligned to 64 bytes are faster.
 *
 * The order of the sums is fixed, so that every kernel gives the same bits: 64 lanes, element i goes to lane i mod 64,
 * multiply first and add after (no fma), elements past the end are zeros (0 * 0 is added for them, up to the next multiple
 * of 64), and the 64 lanes are folded by halves (lane l += lane l + 32, then 16, 8, 4, 2, 1). vec_scalar.c spells this out
 * and is the definition; vec_avx2.c, vec_avx512.c and vec_neon.c are tested to be equal to it to the bit.
 *
 * Raw distance. What topk, the wire and the merge carry, smaller is nearer:
 *   angular    2 - 2 * (a.b / sqrt(a.a * b.b)), at least 0; 2 when either norm is zero      shown as sqrt(raw)
 *   euclidean  sum (a - b)^2                                                                 shown as sqrt(raw)
 *   manhattan  sum |a - b|                                                                   shown as raw
 *   hamming    number of differing bits                                                      shown as raw
 *   dot        -(a.b)                                                                        shown as -raw, largest first
 * A NaN or an infinity becomes +inf. */
#ifndef COMMON_VEC_H
#define COMMON_VEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum metric { METRIC_ANGULAR = 0, METRIC_EUCLIDEAN = 1, METRIC_MANHATTAN = 2, METRIC_HAMMING = 3, METRIC_DOT = 4 };
enum { METRIC_COUNT = 5 };
/* How elements travel and are stored. Numbers are part of every format. */
enum dtype { DTYPE_F32 = 0, DTYPE_U8 = 1, DTYPE_BITS = 2 };

const char *metric_name(enum metric m);                       /* "angular", ... */
bool metric_by_name(const char *name, enum metric *ret);      /* false: unknown, *ret untouched */
enum dtype metric_dtype(enum metric m);                       /* what rows are stored as: BITS for hamming, else F32 */
size_t dtype_row_bytes(enum dtype t, uint32_t dim);           /* 4 * dim, dim, ceil(dim / 8) */

/* One instruction set's kernels. Two rows of n elements (for `hamming`: n BYTES of packed bits). */
struct vec_kernels {
	const char *name; /* "scalar", "avx2", "avx512", "neon" */
	float (*dot)(const float *a, const float *b, size_t n);
	float (*l2)(const float *a, const float *b, size_t n); /* sum of squared differences */
	float (*l1)(const float *a, const float *b, size_t n);
	uint32_t (*hamming)(const uint8_t *a, const uint8_t *b, size_t n);
};

/* The kernels of this process: the best that the processor has, or the one that the environment variable GROVE_KERNELS
 * names (scalar, avx2, avx512, neon; vnni and vpopcnt, which are avx512 here and more in codes.h; a name that this processor
 * cannot run ends the process with a sentence). Chosen once, at the first call; any thread. */
const struct vec_kernels *vec_kernels(void);
/* The named set, or NULL if this processor cannot run it. For tests. */
const struct vec_kernels *vec_kernels_by_name(const char *name);

/* The squared norm of a row for angular and dot (0 for the other metrics, which need none). */
float vec_norm2(enum metric m, const void *row, uint32_t dim);
/* The raw distance of two stored rows; the norms are vec_norm2() of each. */
float vec_raw(enum metric m, const void *a, float a_norm2, const void *b, float b_norm2, uint32_t dim);
/* The distance that a user sees. */
float vec_shown(enum metric m, float raw);

bool vec_all_finite(const float *row, size_t n);
/* n elements of dtype t (unaligned bytes) into a stored row: F32 and BITS are copied, U8 is widened to float. For BITS the
 * stray bits of the last byte are cleared. `out` holds dtype_row_bytes(metric_dtype, dim). */
void vec_store(enum dtype t, const uint8_t *bytes, uint32_t dim, void *out);

#endif
