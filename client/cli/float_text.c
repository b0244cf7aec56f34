/* float_text.c - nine digits are enough to tell floats apart, and a double has room for them: digits = v x 10^k as a whole number. Whether that
 * is right is not argued but tested: a whole number below 2^53 divided by a power of ten that a double holds exactly is rounded once, as is
 * reading the same digits from text; so if the quotient is v as a float, the text is v as well. What fails the test, and what is very large or
 * small, is left to printf. */
#include "client/cli/float_text.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { DIGITS = 9, POWER_MAX = 22 /* 10^22 is the last that a double holds exactly */ };

static const double powers[POWER_MAX + 1] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
	1e20, 1e21, 1e22};

static size_t by_printf(float v, char *out)
{
	char text[FLOAT_TEXT_MAX + 1];
	int n = snprintf(text, sizeof(text), "%.9g", (double)v);
	memcpy(out, text, (size_t)n);
	return (size_t)n;
}

/* digits / 10^k, k >= 0, without the zeros at the end of its fraction. */
static size_t put_decimal(uint64_t digits, int k, char *out)
{
	char text[24];
	size_t n = 0, used = 0;
	while (k > 0 && digits % 10 == 0) {
		digits /= 10;
		k--;
	}
	for (; digits || n <= (size_t)k; digits /= 10) text[n++] = (char)('0' + digits % 10);
	while (n-- > 0) {
		out[used++] = text[n];
		if (n && n == (size_t)k) out[used++] = '.';
	}
	return used;
}

size_t float_text(float v, char out[FLOAT_TEXT_MAX])
{
	double a = fabs((double)v);
	size_t sign = signbit(v) != 0;
	/* "-0" would be read as an integer, which has no sign of zero. */
	if (v == 0) {
		memcpy(out, "-0.0", 4);
		if (!sign) out[0] = '0';
		return sign ? 4 : 1;
	}
	if (a < 1e-4 || a >= 1e9) return by_printf(v, out);
	int k = DIGITS;
	while (k > 0 && a * powers[k] >= 1e9) k--; /* at most nine digits */
	while (k < DIGITS + 4 && a * powers[k + 1] < 1e9) k++;
	uint64_t digits = (uint64_t)llrint(a * powers[k]);
	if ((float)((double)digits / powers[k]) != fabsf(v)) return by_printf(v, out);
	if (sign) *out = '-';
	return sign + put_decimal(digits, k, out + sign);
}
