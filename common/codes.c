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

uint32_t sliced_lead_of(const struct sliced_lead *lead, const uint8_t *row)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < lead->count; i++) found |= (uint32_t)(row[lead->bits[i] / 8] >> lead->bits[i] % 8 & 1) << i;
	return found;
}

void sliced_query_init(struct sliced_query *q, const uint8_t *row, size_t planes, const struct sliced_lead *lead)
{
	enum { ROUND = 4 };
	uint8_t ones[SLICED_DIM_MAX / 8], others[SLICED_DIM_MAX / 8];
	uint32_t rest = 0, count = 0;

	memcpy(ones, row, planes / 8);
	memset(others, 0xff, planes / 8);
	for (uint32_t i = 0; i < lead->count; i++) others[lead->bits[i] / 8] &= (uint8_t)~(1u << lead->bits[i] % 8);
	for (size_t i = 0; i < planes / 8; i++) rest += (uint32_t)__builtin_popcount(ones[i] & others[i]);
	*q = (struct sliced_query){.planes = (uint32_t)planes, .lead = sliced_lead_of(lead, row), .rest = rest, .zeros = rest > (planes - lead->count) / 2};
	for (size_t i = 0; i < planes / 8; i++)
		for (uint32_t left = (q->zeros ? ~(uint32_t)ones[i] : ones[i]) & others[i]; left; left &= left - 1)
			q->at[count++] = (uint16_t)sliced_plane_at(i * 8 + (uint32_t)__builtin_ctz(left));
	q->filled = q->zeros ? 0 : (ROUND - count % ROUND) % ROUND;
	for (; count % ROUND; count++) q->at[count] = (uint16_t)sliced_plane_at(planes);
	q->count = count;
}
