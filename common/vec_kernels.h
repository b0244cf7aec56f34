/* vec_kernels.h - the sets of kernels that vec.c chooses from; each in a file of its own, compiled for its instruction set. */
#ifndef COMMON_VEC_KERNELS_H
#define COMMON_VEC_KERNELS_H

#include "common/vec.h"

extern const struct vec_kernels vec_kernels_scalar;
#if defined(__x86_64__)
extern const struct vec_kernels vec_kernels_avx2;
extern const struct vec_kernels vec_kernels_avx512;
uint32_t vec_hamming_popcnt(const uint8_t *a, const uint8_t *b, size_t n); /* of both: in vec_avx2.c */
#elif defined(__aarch64__)
extern const struct vec_kernels vec_kernels_neon;
#endif

#endif
