/* Every set of kernels over codes equals the plain one to the bit, and touches nothing beside what it is given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/code_kernels.h"
#include "common/limits.h"
#include "tests/support/codes_check.h"

#ifdef GROVE_AVX512_BY_SIMDE
extern const struct code_kernels code_kernels_avx512_by_simde, code_kernels_vnni_by_simde, code_kernels_vpopcnt_by_simde;
static const struct code_kernels *const emulated[] = {&code_kernels_avx512_by_simde, &code_kernels_vnni_by_simde, &code_kernels_vpopcnt_by_simde};
#endif

static const char *const names[] = {"avx2", "avx512", "vnni", "vpopcnt", "neon"};
enum { NAMES = sizeof(names) / sizeof(names[0]) };

static const struct code_kernels *sets[NAMES];
static size_t set_count;
static uint64_t seed;

static void collect_sets(void)
{
	const char *wanted = getenv("GROVE_SEED");

	seed = wanted ? strtoull(wanted, NULL, 10) : 1;
	for (size_t i = 0; i < NAMES; i++) {
		const struct code_kernels *set = code_kernels_by_name(names[i]);
		if (set) sets[set_count++] = set;
	}
#ifdef GROVE_AVX512_BY_SIMDE
	for (size_t i = 0; i < sizeof(emulated) / sizeof(emulated[0]); i++)
		if (!code_kernels_by_name(emulated[i]->name)) sets[set_count++] = emulated[i];
#endif
	for (size_t i = 0; i < set_count; i++) fprintf(stderr, "kernels tested: %s, seed %llu\n", sets[i]->name, (unsigned long long)seed);
}

static void sets_have_the_names_they_are_asked_for_by(void **state)
{
	for (size_t i = 0; i < NAMES; i++) {
		const struct code_kernels *set = code_kernels_by_name(names[i]);
		if (set) assert_string_equal(set->name, names[i]);
	}
	assert_string_equal(code_kernels_by_name("scalar")->name, "scalar");
	assert_null(code_kernels_by_name("abacus"));
}

static void rows_of_every_length_and_number_give_the_same_sums(void **state)
{
	for (size_t i = 0; i < set_count; i++) assert_true(codes_check_rows(sets[i], seed));
}

static void long_rows_give_the_same_sums_at_their_bounds(void **state)
{
	for (size_t i = 0; i < set_count; i++) assert_true(codes_check_long_rows(sets[i], seed));
}

static void bits_of_every_length_and_number_are_counted_the_same(void **state)
{
	for (size_t i = 0; i < set_count; i++) assert_true(codes_check_bits(sets[i], seed));
}

static void rows_of_sliced_bits_are_near_where_their_bits_say_so(void **state)
{
	assert_true(codes_check_sliced(&code_kernels_scalar, seed));
	for (size_t i = 0; i < set_count; i++) assert_true(codes_check_sliced(sets[i], seed));
}

static void plain_sums_are_what_their_names_say(void **state)
{
	static _Alignas(CODE_ALIGN) uint8_t query[DIM_MAX], row[DIM_MAX], few[CODE_ALIGN] = {1, 5, 127}, other[CODE_ALIGN] = {4, 3, 0};
	static _Alignas(CODE_ALIGN) const int8_t turned[CODE_ALIGN] = {-1, 5, 127};
	const struct code_kernels *k = &code_kernels_scalar;
	uint32_t sum;
	int32_t product;

	k->l2(few, other, CODE_ALIGN, NULL, 1, &sum);
	assert_int_equal(sum, 9 + 4 + 127 * 127);
	k->l1(few, other, CODE_ALIGN, NULL, 1, &sum);
	assert_int_equal(sum, 3 + 2 + 127);
	k->dot(turned, other, CODE_ALIGN, NULL, 1, &product);
	assert_int_equal(product, -4 + 15);
	k->bits(few, other, CODE_ALIGN, 1, &sum);
	assert_int_equal(sum, 2 + 2 + 7);
	memset(query, -CODE_MAX, sizeof(query));
	memset(row, CODE_MAX, sizeof(row));
	k->dot((const int8_t *)query, row, sizeof(row), NULL, 1, &product);
	assert_int_equal(product, -DIM_MAX * CODE_MAX * CODE_MAX);
}

/* code_kernels() chooses once, so each choice has a process of its own. */
static bool chosen_with(const char *wanted, const char *name)
{
	pid_t child = fork();

	if (child == 0) {
		setenv("GROVE_KERNELS", wanted, 1);
		_exit(strcmp(code_kernels()->name, name) ? 1 : 0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status) == 0;
}

static void set_that_was_asked_for_is_used(void **state)
{
	assert_true(chosen_with("scalar", "scalar"));
	for (size_t i = 0; i < NAMES; i++)
		if (code_kernels_by_name(names[i])) assert_true(chosen_with(names[i], names[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_that_was_asked_for_is_used), /* first: nothing is chosen yet */
		cmocka_unit_test(sets_have_the_names_they_are_asked_for_by),
		cmocka_unit_test(plain_sums_are_what_their_names_say),
		cmocka_unit_test(rows_of_every_length_and_number_give_the_same_sums),
		cmocka_unit_test(long_rows_give_the_same_sums_at_their_bounds),
		cmocka_unit_test(rows_of_sliced_bits_are_near_where_their_bits_say_so),
		cmocka_unit_test(bits_of_every_length_and_number_are_counted_the_same),
	};

	collect_sets();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
