/* Every set of kernels equals the scalar one to the bit, over every length, alignment and unpleasant value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cursor.h"
#include "common/prng.h"
#include "common/vec_kernels.h"

#ifdef GROVE_AVX512_BY_SIMDE
extern const struct vec_kernels vec_kernels_avx512_by_simde;
#endif

enum { LONGEST = 4200 };

static const struct vec_kernels *sets[4];
static size_t set_count;

static void collect_sets(void)
{
	static const char *const names[] = {"avx2", "avx512", "neon"};

	for (size_t i = 0; i < 3; i++) {
		const struct vec_kernels *k = vec_kernels_by_name(names[i]);
		if (k) sets[set_count++] = k;
	}
#ifdef GROVE_AVX512_BY_SIMDE
	if (!vec_kernels_by_name("avx512")) sets[set_count++] = &vec_kernels_avx512_by_simde;
#endif
	for (size_t i = 0; i < set_count; i++) fprintf(stderr, "kernels tested: %s\n", sets[i]->name);
}

static void same_bits(float a, float b, const char *what, const char *set, size_t n)
{
	if (isnan(a) && isnan(b)) return; /* which NaN is not defined; it becomes +inf */
	if (memcmp(&a, &b, sizeof(a))) {
		fprintf(stderr, "%s of %s at length %zu: %a, not %a\n", what, set, n, (double)b, (double)a);
		fail();
	}
}

static void compare(const float *a, const float *b, size_t n)
{
	const struct vec_kernels *s = &vec_kernels_scalar;

	for (size_t i = 0; i < set_count; i++) {
		same_bits(s->dot(a, b, n), sets[i]->dot(a, b, n), "dot", sets[i]->name, n);
		same_bits(s->l2(a, b, n), sets[i]->l2(a, b, n), "l2", sets[i]->name, n);
		same_bits(s->l1(a, b, n), sets[i]->l1(a, b, n), "l1", sets[i]->name, n);
		assert_int_equal(s->hamming((const uint8_t *)a, (const uint8_t *)b, n), sets[i]->hamming((const uint8_t *)a, (const uint8_t *)b, n));
	}
}

static float some_float(struct prng *p)
{
	switch (prng_below(p, 12)) {
	case 0: return 0.0f;
	case 1: return -0.0f;
	case 2: return (float)ldexp(prng_unit(p), -140); /* subnormal */
	case 3: return (float)ldexp(prng_unit(p), 100);
	case 4: return -(float)prng_below(p, 256);
	default: return (float)(prng_unit(p) * 2 - 1);
	}
}

static void every_length_and_alignment_gives_the_same_bits(void **state)
{
	struct prng p;
	static const size_t lengths[] = {512, 784, 785, 1000, 1023, 1536, 3072, 4096, 4099};

	prng_seed(&p, 1);
	/* Exactly sized heap blocks, so that a sanitizer sees a load past the end. */
	for (size_t n = 0; n <= 300 + sizeof(lengths) / sizeof(lengths[0]); n++) {
		size_t length = n <= 300 ? n : lengths[n - 301];
		for (size_t shift = 0; shift < 64; shift += length > 300 ? 21 : 4) {
			uint8_t *block_a = malloc(shift + 4 * length + 1), *block_b = malloc(64 - shift + 4 * length + 1);
			assert_non_null(block_a);
			assert_non_null(block_b);
			float *a = (float *)(void *)(block_a + shift), *b = (float *)(void *)(block_b + (64 - shift));
			for (size_t i = 0; i < length; i++) {
				store_f32(a + i, some_float(&p));
				store_f32(b + i, some_float(&p));
			}
			compare(a, b, length);
			free(block_a);
			free(block_b);
		}
	}
}

static void overflow_and_infinity_sort_last(void **state)
{
	float big[3] = {3e38f, -3e38f, 3e38f}, one[3] = {1, 1, 1}, odd[3] = {3e38f, 3e38f, -3e38f};

	assert_true(isinf(vec_raw(METRIC_EUCLIDEAN, big, 0, one, 0, 3)));
	assert_true(vec_raw(METRIC_DOT, big, 0, big, 0, 3) == INFINITY);
	assert_true(vec_raw(METRIC_DOT, big, 0, odd, 0, 3) > 0);
	assert_false(isnan(vec_raw(METRIC_ANGULAR, big, vec_norm2(METRIC_ANGULAR, big, 3), one, 3, 3)));
	assert_true(vec_raw(METRIC_ANGULAR, big, vec_norm2(METRIC_ANGULAR, big, 3), big, vec_norm2(METRIC_ANGULAR, big, 3), 3) == INFINITY);
}

static void distances_are_as_annoy_defines_them(void **state)
{
	float a[2] = {3, 4}, b[2] = {0, 5}, zero[2] = {0, 0};
	uint8_t x[2] = {0xff, 0x01}, y[2] = {0x0f, 0x00};

	assert_true(vec_shown(METRIC_EUCLIDEAN, vec_raw(METRIC_EUCLIDEAN, a, 0, b, 0, 2)) == sqrtf(10));
	assert_true(vec_shown(METRIC_MANHATTAN, vec_raw(METRIC_MANHATTAN, a, 0, b, 0, 2)) == 4);
	assert_true(vec_shown(METRIC_DOT, vec_raw(METRIC_DOT, a, 25, b, 25, 2)) == 20);
	assert_true(fabsf(vec_shown(METRIC_ANGULAR, vec_raw(METRIC_ANGULAR, a, 25, b, 25, 2)) - sqrtf(2 - 2 * 0.8f)) < 1e-6f);
	assert_true(vec_raw(METRIC_ANGULAR, a, 25, zero, 0, 2) == 2);
	assert_true(vec_raw(METRIC_HAMMING, x, 0, y, 0, 9) == 5);
}

static void tiny_and_huge_vectors_still_have_an_angle(void **state)
{
	float tiny[2] = {1e-20f, 0}, same[2] = {1e-18f, 0}, huge[2] = {0, 1e18f};

	float tt = vec_norm2(METRIC_ANGULAR, tiny, 2), ss = vec_norm2(METRIC_ANGULAR, same, 2), hh = vec_norm2(METRIC_ANGULAR, huge, 2);
	assert_true(vec_raw(METRIC_ANGULAR, tiny, tt, same, ss, 2) < 1e-3f);
	assert_true(fabsf(vec_raw(METRIC_ANGULAR, same, ss, huge, hh, 2) - 2) < 1e-6f);
}

static void stored_rows_are_what_was_sent(void **state)
{
	uint8_t bytes[3] = {0, 7, 255}, bits[2] = {0xff, 0xff}, out_bits[2];
	float out[3];

	vec_store(DTYPE_U8, bytes, 3, out);
	assert_true(out[0] == 0 && out[1] == 7 && out[2] == 255);
	vec_store(DTYPE_BITS, bits, 10, out_bits);
	assert_int_equal(out_bits[0], 0xff);
	assert_int_equal(out_bits[1], 0x03);
	assert_int_equal(dtype_row_bytes(DTYPE_BITS, 10), 2);
}

static void only_finite_rows_are_finite(void **state)
{
	float row[70] = {0};

	assert_true(vec_all_finite(row, 70));
	for (size_t i = 0; i < 70; i++) {
		row[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : -INFINITY;
		assert_false(vec_all_finite(row, 70));
		row[i] = 3e38f;
		assert_true(vec_all_finite(row, 70));
	}
}

/* vec_kernels() chooses once, so each choice has a process of its own. */
static int exit_code_with_kernels(const char *name)
{
	pid_t child = fork();

	if (child == 0) {
		setenv("GROVE_KERNELS", name, 1);
		freopen("/dev/null", "w", stderr);
		_exit(strcmp(vec_kernels()->name, name) ? 99 : 0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void set_that_was_asked_for_is_used_or_the_process_ends(void **state)
{
	assert_int_equal(exit_code_with_kernels("scalar"), 0);
	assert_int_equal(exit_code_with_kernels("abacus"), EXIT_FAILURE);
	for (size_t i = 0; i < set_count; i++)
		if (vec_kernels_by_name(sets[i]->name)) assert_int_equal(exit_code_with_kernels(sets[i]->name), 0);
	static const char *const others[] = {"avx2", "avx512", "vnni", "vpopcnt", "neon"};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (!vec_kernels_by_name(others[i])) assert_int_equal(exit_code_with_kernels(others[i]), EXIT_FAILURE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_that_was_asked_for_is_used_or_the_process_ends), /* first: nothing is chosen yet */
		cmocka_unit_test(every_length_and_alignment_gives_the_same_bits),
		cmocka_unit_test(overflow_and_infinity_sort_last),
		cmocka_unit_test(distances_are_as_annoy_defines_them),
		cmocka_unit_test(tiny_and_huge_vectors_still_have_an_angle),
		cmocka_unit_test(stored_rows_are_what_was_sent),
		cmocka_unit_test(only_finite_rows_are_finite),
	};

	collect_sets();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
