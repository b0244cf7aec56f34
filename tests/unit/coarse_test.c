/* Coarse codes never put two rows farther apart than the codes that they were made of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "tests/support/starve.h"
#include "tests/unit/engine_fixture.h"
#include "worker/engine/coarse.h"

enum { ROWS = 500, PAIRS = 20000 };

enum kind { EVEN, ENDS, SMOOTH, NEARLY_ONE, KINDS };

static uint8_t code_of(enum kind kind, struct prng *p, uint8_t before, uint32_t cluster)
{
	switch (kind) {
	case EVEN: return (uint8_t)prng_below(p, CODE_MAX + 1);
	case ENDS: return prng_below(p, 2) ? CODE_MAX : 0;
	case SMOOTH: {
		int code = before + (int)prng_below(p, 9) - 4;
		return (uint8_t)(code < 0 ? 0 : code > CODE_MAX ? CODE_MAX : code);
	}
	default: return (uint8_t)(40 + cluster + prng_below(p, 2));
	}
}

static struct codes codes_new(uint32_t dim, enum kind kind, uint64_t seed)
{
	struct codes c = {METRIC_EUCLIDEAN, quant_stride(METRIC_EUCLIDEAN, dim), NULL};
	uint8_t *base = aligned_alloc(CODE_ALIGN, (size_t)ROWS * c.stride);
	struct prng p;

	assert_non_null(base);
	memset(base, 0, (size_t)ROWS * c.stride);
	prng_seed(&p, seed);
	for (uint32_t r = 0; r < ROWS; r++)
		for (uint32_t i = 0; i < dim; i++)
			base[(size_t)r * c.stride + i] = code_of(kind, &p, i ? base[(size_t)r * c.stride + i - 1] : (uint8_t)prng_below(&p, CODE_MAX + 1), r % 3);
	c.base = base;
	return c;
}

/* How many of the pairs the coarse codes tell to be farther apart than half of what they are. */
static uint32_t pairs_hold(const struct codes *codes, const struct coarse *c, uint64_t seed)
{
	struct codes coarse = coarse_codes(c);
	uint8_t _Alignas(CODE_ALIGN) query[COARSE_STRIDE];
	uint32_t told = 0;
	struct prng p;

	prng_seed(&p, seed);
	for (int i = 0; i < PAIRS; i++) {
		uint32_t a = prng_below(&p, ROWS), b = prng_below(&p, ROWS), apart, coarsely;
		const uint8_t *row = codes->base + (size_t)a * codes->stride;
		quant_apart(codes, row, &b, 1, &apart);
		coarse_encode(c, row, query);
		assert_memory_equal(query, coarse.base + (size_t)a * COARSE_STRIDE, COARSE_STRIDE);
		quant_apart(&coarse, query, &b, 1, &coarsely);
		if (coarsely > coarse_most(c, apart)) print_message("seed %llu\n", (unsigned long long)seed);
		assert_true(coarsely <= coarse_most(c, apart));
		told += coarsely > coarse_most(c, apart / 2);
	}
	return told;
}

static void coarse_codes_put_no_pair_too_far(void **state)
{
	static const uint32_t dims[] = {3, 64, 65, 100, 128, 300, 784};

	(void)state;
	for (uint64_t i = 0; i < 7 * KINDS; i++) {
		struct codes codes = codes_new(dims[i % 7], (enum kind)(i / 7), i);
		struct runner many = {run_threads, 3};
		struct coarse *one = NULL, *three = NULL;
		assert_int_equal(coarse_new(&codes, ROWS, runner_inline(), &one), STATUS_OK);
		assert_int_equal(coarse_new(&codes, ROWS, &many, &three), STATUS_OK);
		assert_memory_equal(coarse_codes(one).base, coarse_codes(three).base, (size_t)ROWS * COARSE_STRIDE);
		uint32_t told = pairs_hold(&codes, one, i);
		if (i / 7 == SMOOTH) assert_true(told > PAIRS / 4);
		coarse_free(&one);
		coarse_free(&three);
		free((void *)(uintptr_t)codes.base);
	}
}

static void bound_grows_with_the_distance(void **state)
{
	struct codes codes = codes_new(100, SMOOTH, 1);
	struct coarse *c = NULL;

	(void)state;
	assert_int_equal(coarse_new(&codes, ROWS, runner_inline(), &c), STATUS_OK);
	for (uint32_t apart = 0; apart < UINT32_MAX / 2; apart += 1 + apart / 8) assert_true(coarse_most(c, apart) <= coarse_most(c, apart + 1));
	assert_true(coarse_most(c, UINT32_MAX) > coarse_most(c, 1000));
	coarse_free(&c);
	free((void *)(uintptr_t)codes.base);
}

static void no_memory_is_said(void **state)
{
	struct codes codes = codes_new(100, EVEN, 1);
	bool starved = true;

	(void)state;
	for (long n = 0; starve_works() && starved; n++) {
		struct coarse *c = NULL;
		starve_begin(n, n % 2);
		enum status status = coarse_new(&codes, ROWS, runner_inline(), &c);
		starved = starve_end();
		assert_int_equal(status, starved ? STATUS_NO_MEMORY : STATUS_OK);
		assert_true(starved == !c);
		coarse_free(&c);
	}
	free((void *)(uintptr_t)codes.base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(coarse_codes_put_no_pair_too_far), cmocka_unit_test(bound_grows_with_the_distance),
		cmocka_unit_test(no_memory_is_said)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
