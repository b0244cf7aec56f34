/* codes.c - the choice of kernels. Whoever forces a set of vec.h by GROVE_KERNELS gets the set of the same name here, or the plain one. */
#include "common/codes.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/code_kernels.h"

const struct code_kernels *code_kernels_by_name(const char *name)
{
	if (!strcmp(name, "scalar")) return &code_kernels_scalar;
#if defined(__x86_64__)
	if (!strcmp(name, "avx2") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt")) return &code_kernels_avx2;
	bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
		__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("popcnt");
	bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
	if (!strcmp(name, "avx512") && avx512) return &code_kernels_avx512;
	if (!strcmp(name, "vnni") && vnni) return &code_kernels_vnni;
	if (!strcmp(name, "vpopcnt") && vnni && __builtin_cpu_supports("avx512vpopcntdq")) return &code_kernels_vpopcnt;
#elif defined(__aarch64__)
	if (!strcmp(name, "neon")) return &code_kernels_neon;
#endif
	return NULL;
}

static const struct code_kernels *chosen;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void choose(void)
{
	static const char *const best_first[] = {"vpopcnt", "vnni", "avx512", "avx2", "neon"};
	const char *wanted = getenv("GROVE_KERNELS");

	if (wanted && *wanted)
		chosen = code_kernels_by_name(wanted);
	else
		for (size_t i = 0; !chosen && i < sizeof(best_first) / sizeof(best_first[0]); i++) chosen = code_kernels_by_name(best_first[i]);
	if (!chosen) chosen = &code_kernels_scalar;
}

const struct code_kernels *code_kernels(void)
{
	pthread_once(&once, choose);
	return chosen;
}

void sliced_query_init(struct sliced_query *q, const uint8_t *row, size_t planes)
{
	enum { PLANE = SLICED_ROWS / 8, ROUND = 4 };
	uint32_t ones = 0, count = 0;

	for (size_t i = 0; i < planes / 8; i++) ones += (uint32_t)__builtin_popcount(row[i]);
	*q = (struct sliced_query){.planes = (uint32_t)planes, .ones = ones, .zeros = ones > planes / 2};
	for (size_t b = 0; b < planes; b++)
		if ((row[b / 8] >> b % 8 & 1) != q->zeros) q->at[count++] = (uint16_t)(b * PLANE);
	for (; count % ROUND; count++) q->at[count] = (uint16_t)((sliced_block_planes(planes) - 1) * PLANE);
	q->count = count;
}
