/* header_text.c - see header_text.h. */
#include "tests/support/header_text.h"

#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

static int append(void *out, const char *bytes, size_t size)
{
	require(buf_append(out, bytes, size) == STATUS_OK);
	return 0;
}

static void pack_value(msgpack_packer *p, const char *text, size_t size)
{
	bool digits = strspn(text, "-0123456789.") >= size && strcspn(text, "0123456789") < size;

	if (size == 4 && !memcmp(text, "true", 4)) msgpack_pack_true(p);
	else if (size == 5 && !memcmp(text, "false", 5)) msgpack_pack_false(p);
	else if (size == 3 && !memcmp(text, "nil", 3)) msgpack_pack_nil(p);
	else if (digits && memchr(text, '.', size)) msgpack_pack_double(p, strtod(text, NULL));
	else if (digits && text[0] == '-') msgpack_pack_int64(p, strtoll(text, NULL, 10));
	else if (digits) msgpack_pack_uint64(p, strtoull(text, NULL, 10));
	else msgpack_pack_str_with_body(p, text, size);
}

void header_from_text(const char *text, struct buf *out)
{
	msgpack_packer p;
	size_t pairs = 0;

	for (const char *c = text; *c; c++) pairs += *c == '=';
	msgpack_packer_init(&p, out, append);
	msgpack_pack_map(&p, pairs);
	for (const char *at = text + strspn(text, " "); *at; at += strspn(at, " ")) {
		size_t key = strcspn(at, "=");
		msgpack_pack_str_with_body(&p, at, key);
		at += key + 1;
		size_t value = strcspn(at, " ");
		pack_value(&p, at, value);
		at += value;
	}
}
