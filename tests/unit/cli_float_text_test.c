/* Floats as text: read back, by way of a double as JSON readers do and directly, they are the same bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/float_text.h"
#include "common/prng.h"

static void comes_back(float v)
{
	char text[FLOAT_TEXT_MAX + 1], *end;
	size_t n = float_text(v, text);
	assert_true(n > 0 && n <= FLOAT_TEXT_MAX);
	text[n] = 0;
	float direct = strtof(text, &end), wide = (float)strtod(text, NULL);
	if (*end || memcmp(&direct, &v, 4) || memcmp(&wide, &v, 4)) fail_msg("%a became '%s'", (double)v, text);
	/* As JSON wants it: digits on both sides of a point, no plus sign, no leading zeros. */
	const char *t = text + (*text == '-');
	assert_true(*t >= '0' && *t <= '9' && !(t[0] == '0' && t[1] >= '0' && t[1] <= '9'));
	const char *point = strchr(t, '.');
	if (point) assert_true(point[1] >= '0' && point[1] <= '9');
}

static void any_bits_come_back(void **state)
{
	struct prng p;
	prng_seed(&p, 1);
	for (int i = 0; i < 2000000; i++) {
		uint32_t bits = (uint32_t)prng_u64(&p);
		float v;
		if (i % 2) bits = (bits & 0x807fffffu) | (uint32_t)(113 + prng_below(&p, 45)) << 23; /* 2^-14 to 2^31 */
		memcpy(&v, &bits, 4);
		if (isfinite(v)) comes_back(v);
	}
}

static void edges_come_back(void **state)
{
	const float some[] = {0, 1, 10, 0.1f, 0.5f, 100, 123456792.0f, 999999936.0f, 1e9f, 1e-4f, 9.99999975e-5f, 16777216, 16777218, 0.000123456789f, FLT_MAX, FLT_MIN, FLT_EPSILON, 1e-45f, 1e38f, 0.3f};
	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		float down = some[i], up = some[i];
		for (int step = 0; step < 300; step++) {
			if (isfinite(down)) comes_back(down);
			if (isfinite(up)) comes_back(-up);
			down = nextafterf(down, -INFINITY);
			up = nextafterf(up, INFINITY);
		}
	}
}

static void plain_numbers_look_plain(void **state)
{
	static const struct { float v; const char *text; } some[] = {{0, "0"}, {-0.0f, "-0.0"}, {1, "1"}, {-2.5f, "-2.5"}, {100, "100"}, {0.25f, "0.25"}, {300000, "300000"},
		{0.1f, "0.100000001"}, {123.5f, "123.5"}, {0.0078125f, "0.0078125"}};
	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		char text[FLOAT_TEXT_MAX + 1];
		text[float_text(some[i].v, text)] = 0;
		assert_string_equal(text, some[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_bits_come_back),
		cmocka_unit_test(edges_come_back),
		cmocka_unit_test(plain_numbers_look_plain),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
