/* code_kernels.h - the sets of kernels that codes.c chooses from; each in a file compiled for its instruction set. */
#ifndef COMMON_CODE_KERNELS_H
#define COMMON_CODE_KERNELS_H

#include "common/codes.h"

extern const struct code_kernels code_kernels_scalar;
#if defined(__x86_64__)
extern const struct code_kernels code_kernels_avx2, code_kernels_avx512, code_kernels_vnni, code_kernels_vpopcnt;
#elif defined(__aarch64__)
extern const struct code_kernels code_kernels_neon;
#endif

#endif
