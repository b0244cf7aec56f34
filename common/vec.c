/* vec.c - names, sizes, the choice of kernels, and distances as vec.h defines them. */
#include "common/vec.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/codes.h"
#include "common/cursor.h"
#include "common/topk.h"
#include "common/vec_kernels.h"

static const char *const metric_names[METRIC_COUNT] = {"angular", "euclidean", "manhattan", "hamming", "dot"};

const char *metric_name(enum metric m) { return (unsigned)m < METRIC_COUNT ? metric_names[m] : "unknown"; }

bool metric_by_name(const char *name, enum metric *ret)
{
	for (int m = 0; m < METRIC_COUNT; m++)
		if (!strcmp(metric_names[m], name)) {
			*ret = (enum metric)m;
			return true;
		}
	return false;
}

enum dtype metric_dtype(enum metric m) { return m == METRIC_HAMMING ? DTYPE_BITS : DTYPE_F32; }

size_t dtype_row_bytes(enum dtype t, uint32_t dim)
{
	switch (t) {
	case DTYPE_F32: return 4 * (size_t)dim;
	case DTYPE_U8: return dim;
	case DTYPE_BITS: return ((size_t)dim + 7) / 8;
	}
	return 0;
}

/* ---- the choice ---- */

const struct vec_kernels *vec_kernels_by_name(const char *name)
{
	if (!strcmp(name, "scalar")) return &vec_kernels_scalar;
#if defined(__x86_64__)
	if (!strcmp(name, "avx2") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt")) return &vec_kernels_avx2;
	if (!strcmp(name, "avx512") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
		return &vec_kernels_avx512;
	/* What these add to AVX-512 is for codes (codes.h). */
	if ((!strcmp(name, "vnni") || !strcmp(name, "vpopcnt")) && code_kernels_by_name(name)) return &vec_kernels_avx512;
#elif defined(__aarch64__)
	if (!strcmp(name, "neon")) return &vec_kernels_neon;
#endif
	return NULL;
}

static const struct vec_kernels *chosen;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void choose(void)
{
	static const char *const best_first[] = {"avx512", "avx2", "neon", "scalar"};
	const char *wanted = getenv("GROVE_KERNELS");

	if (wanted && *wanted) {
		chosen = vec_kernels_by_name(wanted);
		if (!chosen) {
			fprintf(stderr, "GROVE_KERNELS=%s: this processor cannot run that set; use scalar, or leave it unset\n", wanted);
			exit(EXIT_FAILURE);
		}
	}
	for (size_t i = 0; !chosen && i < sizeof(best_first) / sizeof(best_first[0]); i++) chosen = vec_kernels_by_name(best_first[i]);
}

const struct vec_kernels *vec_kernels(void)
{
	pthread_once(&once, choose);
	return chosen;
}

/* ---- distances ---- */

float vec_norm2(enum metric m, const void *row, uint32_t dim)
{
	return m == METRIC_ANGULAR || m == METRIC_DOT ? vec_kernels()->dot(row, row, dim) : 0.0f;
}

static float angular(float dot, float a_norm2, float b_norm2)
{
	float norms = a_norm2 * b_norm2;

	/* Norms whose product leaves the range of float are multiplied as roots: never 0 or infinite unless a norm is. */
	if (!(norms >= 1e-30f && norms <= 1e30f)) {
		if (!(a_norm2 > 0 && b_norm2 > 0)) return 2.0f;
		float raw = 2.0f - 2.0f * (dot / sqrtf(a_norm2) / sqrtf(b_norm2));
		return raw < 0.0f ? 0.0f : raw; /* not fmaxf(): what overflowed is a NaN, and stays one */
	}
	float raw = 2.0f - 2.0f * (dot / sqrtf(norms));
	return raw < 0.0f ? 0.0f : raw;
}

float vec_raw(enum metric m, const void *a, float a_norm2, const void *b, float b_norm2, uint32_t dim)
{
	const struct vec_kernels *k = vec_kernels();

	switch (m) {
	case METRIC_ANGULAR: return hit_raw(angular(k->dot(a, b, dim), a_norm2, b_norm2));
	case METRIC_EUCLIDEAN: return hit_raw(k->l2(a, b, dim));
	case METRIC_MANHATTAN: return hit_raw(k->l1(a, b, dim));
	case METRIC_HAMMING: return (float)k->hamming(a, b, dtype_row_bytes(DTYPE_BITS, dim));
	case METRIC_DOT: return hit_raw(-k->dot(a, b, dim));
	}
	return INFINITY;
}

float vec_shown(enum metric m, float raw)
{
	if (m == METRIC_ANGULAR || m == METRIC_EUCLIDEAN) return sqrtf(raw);
	return m == METRIC_DOT ? -raw : raw;
}

bool vec_all_finite(const float *row, size_t n)
{
	/* All ones in the exponent: an infinity or a NaN. On integers, so that a compiler can do many at once. */
	const uint8_t *bytes = (const uint8_t *)row;
	uint32_t bad = 0;

	for (size_t i = 0; i < n; i++) bad |= (load_u32(bytes + 4 * i) & 0x7f800000u) == 0x7f800000u;
	return !bad;
}

void vec_store(enum dtype t, const uint8_t *bytes, uint32_t dim, void *out)
{
	size_t size = dtype_row_bytes(t, dim);

	if (t == DTYPE_U8) {
		float *row = out;
		for (uint32_t i = 0; i < dim; i++) row[i] = bytes[i];
		return;
	}
	memcpy(out, bytes, size);
	if (t == DTYPE_BITS && dim % 8) ((uint8_t *)out)[size - 1] &= (uint8_t)((1u << dim % 8) - 1);
}
