/* neon_main.c - what vec_test, codes_test and crc32c_test say of x86, for aarch64, without cmocka (which is not there for a cross compiler). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/code_kernels.h"
#include "common/crc32c.h"
#include "common/prng.h"
#include "common/vec_kernels.h"
#include "tests/support/codes_check.h"

static int same(float a, float b) { return (a != a && b != b) || !memcmp(&a, &b, sizeof(a)); }

int main(void)
{
	const struct vec_kernels *plain = vec_kernels_by_name("scalar"), *neon = vec_kernels();
	struct prng p;

	if (strcmp(neon->name, "neon")) return puts("the kernels chosen are not neon"), 1;
	prng_seed(&p, 1);
	for (size_t n = 0; n <= 1100; n += n > 300 ? 7 : 1) {
		float *a = malloc(4 * n + 1), *b = malloc(4 * n + 1);
		if (!a || !b) return 1;
		for (size_t i = 0; i < n; i++) {
			a[i] = prng_below(&p, 9) ? (float)(prng_unit(&p) * 2 - 1) : -0.0f;
			b[i] = (float)(prng_unit(&p) * 2e3 - 1e3);
		}
		if (!same(plain->dot(a, b, n), neon->dot(a, b, n)) || !same(plain->l2(a, b, n), neon->l2(a, b, n)) ||
			!same(plain->l1(a, b, n), neon->l1(a, b, n)) ||
			plain->hamming((uint8_t *)a, (uint8_t *)b, n) != neon->hamming((uint8_t *)a, (uint8_t *)b, n))
			return printf("neon differs from scalar at length %zu\n", n), 1;
		free(a);
		free(b);
	}
	const struct code_kernels *codes = code_kernels();
	if (strcmp(codes->name, "neon")) return puts("the kernels over codes that are chosen are not neon"), 1;
	if (!codes_check_rows(codes, 1) || !codes_check_long_rows(codes, 1) || !codes_check_bits(codes, 1)) return 1;
	if (!codes_check_sliced(codes, 1) || !codes_check_sliced(&code_kernels_scalar, 1)) return 1;
	static uint8_t bytes[40000];
	for (size_t i = 0; i < sizeof(bytes); i++) bytes[i] = (uint8_t)prng_u64(&p);
	for (size_t n = 0; n < sizeof(bytes); n += 997)
		if (crc32c(7, bytes + n % 8, n / 2) != crc32c_plain(7, bytes + n % 8, n / 2)) return printf("crc32c differs at %zu\n", n), 1;
	puts("neon: equal");
	return 0;
}
