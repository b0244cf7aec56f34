/* uuid.c - RFC 9562 version 4. */
#include "common/uuid.h"

#include <stdio.h>
#include <string.h>

#include "common/prng.h"

struct uuid uuid_new(void)
{
	struct uuid u;

	prng_entropy(u.bytes, sizeof(u.bytes));
	u.bytes[6] = (u.bytes[6] & 0x0f) | 0x40;
	u.bytes[8] = (u.bytes[8] & 0x3f) | 0x80;
	return u;
}

bool uuid_equal(struct uuid a, struct uuid b) { return !memcmp(a.bytes, b.bytes, sizeof(a.bytes)); }

bool uuid_is_zero(struct uuid u) { return uuid_equal(u, (struct uuid){0}); }

void uuid_text(struct uuid u, char out[UUID_TEXT_SIZE])
{
	char *at = out;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10) *at++ = '-';
		at += sprintf(at, "%02x", u.bytes[i]);
	}
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9') return c - '0';
	if (c >= 'a' && c <= 'f') return c - 'a' + 10;
	if (c >= 'A' && c <= 'F') return c - 'A' + 10;
	return -1;
}

bool uuid_parse(const char *text, struct uuid *ret)
{
	struct uuid u;

	for (int i = 0; i < 16; i++) {
		if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-') return false;
		int high = hex_digit(text[0]);
		int low = high < 0 ? -1 : hex_digit(text[1]);
		if (low < 0) return false;
		u.bytes[i] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	if (*text) return false;
	*ret = u;
	return true;
}
