/* payload.c - payloads for people: {label: text} to msgpack, and any payload to one line of JSON.
 *
 * JSON has no bytes, no NaN and no keys but strings: bytes and extensions become base64, NaN and infinities null, and keys
 * that are numbers, booleans or nil are quoted. Integers are printed in full; a reader that keeps them as doubles loses
 * those above 2^53. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "common/limits.h"
#include "proto/client_codec.h"
#include "proto/msgpack_scan.h"

enum status payload_from_label(const char *label, struct buf *out)
{
	size_t size = strlen(label);
	/* A map of one pair, the key "label", then a str of 16 bits of length: short ones too, so that there is one form. */
	uint8_t head[] = {0x81, 0xa5, 'l', 'a', 'b', 'e', 'l', 0xda, (uint8_t)(size >> 8), (uint8_t)size};
	size_t before = out->size;

	if (size + sizeof(head) > PAYLOAD_MAX) return STATUS_LIMIT;
	if (!utf8_valid((const uint8_t *)label, size)) return STATUS_BAD_REQUEST;
	enum status status = buf_append(out, head, sizeof(head));
	if (status == STATUS_OK) status = buf_append(out, label, size);
	if (status != STATUS_OK) out->size = before;
	return status;
}

static enum status put_char(struct buf *out, char c) { return buf_append(out, &c, 1); }

static enum status put_string(struct buf *out, const uint8_t *bytes, size_t size)
{
	enum status status = put_char(out, '"');

	for (size_t i = 0; status == STATUS_OK && i < size; i++) {
		uint8_t c = bytes[i];
		if (c == '"' || c == '\\') status = buf_printf(out, "\\%c", c);
		else if (c == '\n') status = buf_append(out, "\\n", 2);
		else if (c < 0x20 || c == 0x7f) status = buf_printf(out, "\\u%04x", c);
		else status = put_char(out, (char)c);
	}
	return status == STATUS_OK ? put_char(out, '"') : status;
}

static enum status put_base64(struct buf *out, const uint8_t *bytes, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	enum status status = put_char(out, '"');

	for (size_t i = 0; status == STATUS_OK && i < size; i += 3) {
		uint32_t v = (uint32_t)bytes[i] << 16 | (i + 1 < size ? (uint32_t)bytes[i + 1] << 8 : 0) | (i + 2 < size ? bytes[i + 2] : 0);
		char four[4] = {digits[v >> 18], digits[v >> 12 & 63], i + 1 < size ? digits[v >> 6 & 63] : '=', i + 2 < size ? digits[v & 63] : '='};
		status = buf_append(out, four, sizeof(four));
	}
	return status == STATUS_OK ? put_char(out, '"') : status;
}

static enum status put_real(struct buf *out, double v)
{
	if (isfinite(v)) return buf_printf(out, "%.9g", v);
	return buf_append(out, "null", 4);
}

static enum status put_scalar(struct buf *out, const struct mp_value *v)
{
	switch (v->kind) {
	case MP_BOOL: return buf_printf(out, "%s", v->boolean ? "true" : "false");
	case MP_UINT: return buf_printf(out, "%" PRIu64, v->uint);
	case MP_NEGATIVE: return buf_printf(out, "%" PRId64, v->negative);
	case MP_FLOAT: case MP_DOUBLE: return put_real(out, v->real);
	case MP_STR: return put_string(out, v->bytes, v->size);
	case MP_BIN: case MP_EXT: return put_base64(out, v->bytes, v->size);
	case MP_NIL: case MP_ARRAY: case MP_MAP: break; /* containers are walked by the caller */
	}
	return buf_append(out, "null", 4);
}

static enum status put_key(struct buf *out, const struct mp_value *v)
{
	bool quoted = v->kind == MP_STR || v->kind == MP_BIN || v->kind == MP_EXT;
	enum status status = quoted ? STATUS_OK : put_char(out, '"');

	if (status == STATUS_OK) status = put_scalar(out, v);
	if (status == STATUS_OK && !quoted) status = put_char(out, '"');
	return status;
}

/* What stands before the next token of an open container. */
struct level { uint64_t left, done; bool map; };

static enum status put_separator(struct buf *out, const struct level *l)
{
	if (l->map && l->done % 2) return put_char(out, ':');
	return l->done ? put_char(out, ',') : STATUS_OK;
}

enum status payload_to_json(const uint8_t *bytes, size_t size, struct buf *out)
{
	struct level open[MSGPACK_DEPTH_MAX + 1];
	size_t before = out->size;
	struct mp_value v;
	struct reader r;
	int depth = 0;
	enum status status = msgpack_scan(bytes, size, false) ? STATUS_OK : STATUS_BAD_REQUEST;

	if (status != STATUS_OK) return status;
	reader_init(&r, bytes, size);
	while (status == STATUS_OK && mp_next(&r, &v)) {
		struct level *in = depth ? &open[depth] : NULL;
		bool key = in && in->map && in->done % 2 == 0;
		if (in) {
			status = put_separator(out, in);
			in->done++;
			in->left--;
		}
		if (status != STATUS_OK) break;
		if (v.kind == MP_MAP || v.kind == MP_ARRAY) {
			bool map = v.kind == MP_MAP;
			open[++depth] = (struct level){.left = (uint64_t)v.size * (map ? 2 : 1), .map = map};
			status = put_char(out, map ? '{' : '[');
		} else {
			status = key ? put_key(out, &v) : put_scalar(out, &v);
		}
		for (; status == STATUS_OK && depth && open[depth].left == 0; depth--) status = put_char(out, open[depth].map ? '}' : ']');
	}
	if (status != STATUS_OK) out->size = before;
	return status;
}
