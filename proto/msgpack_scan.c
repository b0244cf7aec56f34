/* msgpack_scan.c - see msgpack_scan.h. Bytes and their meaning: https://github.com/msgpack/msgpack/blob/master/spec.md */
#include "proto/msgpack_scan.h"

#include "common/limits.h"
#include "proto/client_codec.h"

bool utf8_valid(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n;) {
		uint8_t lead = bytes[i];
		if (lead < 0x80) {
			i++;
			continue;
		}
		size_t more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
		uint32_t point = more == 3 ? lead & 0x07 : more == 2 ? lead & 0x0f : lead & 0x1f;
		if (lead < 0xc2 || lead > 0xf4 || n - i <= more) return false;
		for (size_t j = 1; j <= more; j++) {
			if ((bytes[i + j] & 0xc0) != 0x80) return false;
			point = point << 6 | (bytes[i + j] & 0x3f);
		}
		if ((more == 2 && point < 0x800) || (more == 3 && (point < 0x10000 || point > 0x10ffff))) return false;
		if (point >= 0xd800 && point <= 0xdfff) return false;
		i += more + 1;
	}
	return true;
}

/* Big-endian, as msgpack has it. */
static uint64_t read_big(struct reader *r, size_t n)
{
	const uint8_t *at = reader_bytes(r, n);
	uint64_t v = 0;

	for (size_t i = 0; at && i < n; i++) v = v << 8 | at[i];
	return v;
}

static bool take_bytes(struct reader *r, enum mp_kind kind, uint64_t size, struct mp_value *v)
{
	if (r->failed || size > reader_left(r)) return false;
	v->kind = kind;
	v->size = (uint32_t)size;
	v->bytes = reader_bytes(r, (size_t)size);
	return kind != MP_STR || utf8_valid(v->bytes, v->size);
}

static bool take_container(struct reader *r, enum mp_kind kind, uint64_t count, struct mp_value *v)
{
	if (r->failed || count > reader_left(r) / (kind == MP_MAP ? 2 : 1)) return false;
	v->kind = kind;
	v->size = (uint32_t)count;
	return true;
}

static bool take_uint(struct reader *r, size_t width, struct mp_value *v)
{
	v->kind = MP_UINT;
	v->uint = read_big(r, width);
	return !r->failed;
}

static bool take_int(struct reader *r, size_t width, struct mp_value *v)
{
	uint64_t bits = read_big(r, width);
	bool negative = bits >> (width * 8 - 1) & 1;

	if (negative && width < 8) bits |= ~(uint64_t)0 << (width * 8);
	v->kind = negative ? MP_NEGATIVE : MP_UINT;
	v->uint = bits; /* the same bits as int64_t when negative */
	return !r->failed;
}

static bool take_real(struct reader *r, bool wide, struct mp_value *v)
{
	uint8_t bytes[8];

	if (wide) store_u64(bytes, read_big(r, 8));
	else store_u32(bytes, (uint32_t)read_big(r, 4));
	if (wide) __builtin_memcpy(&v->real, bytes, sizeof(v->real));
	else v->real = (double)load_f32(bytes);
	v->kind = wide ? MP_DOUBLE : MP_FLOAT;
	return !r->failed;
}

/* An extension's bytes are its type byte and its data. */
static bool take_ext(struct reader *r, uint64_t data, struct mp_value *v) { return take_bytes(r, MP_EXT, data + 1, v); }

bool mp_next(struct reader *r, struct mp_value *ret)
{
	struct mp_value v = {0};
	uint8_t head = reader_u8(r);
	bool good = !r->failed;

	if (!good) return false;
	if (head <= 0x7f) v.kind = MP_UINT, v.uint = head;
	else if (head <= 0x8f) good = take_container(r, MP_MAP, head & 0x0f, &v);
	else if (head <= 0x9f) good = take_container(r, MP_ARRAY, head & 0x0f, &v);
	else if (head <= 0xbf) good = take_bytes(r, MP_STR, head & 0x1f, &v);
	else if (head >= 0xe0) v.kind = MP_NEGATIVE, v.negative = (int8_t)head;
	else switch (head) {
	case 0xc0: v.kind = MP_NIL; break;
	case 0xc2: case 0xc3: v.kind = MP_BOOL; v.boolean = head & 1; break;
	case 0xc4: case 0xc5: case 0xc6: good = take_bytes(r, MP_BIN, read_big(r, (size_t)1 << (head - 0xc4)), &v); break;
	case 0xc7: case 0xc8: case 0xc9: good = take_ext(r, read_big(r, (size_t)1 << (head - 0xc7)), &v); break;
	case 0xca: case 0xcb: good = take_real(r, head == 0xcb, &v); break;
	case 0xcc: case 0xcd: case 0xce: case 0xcf: good = take_uint(r, (size_t)1 << (head - 0xcc), &v); break;
	case 0xd0: case 0xd1: case 0xd2: case 0xd3: good = take_int(r, (size_t)1 << (head - 0xd0), &v); break;
	case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: good = take_ext(r, (uint64_t)1 << (head - 0xd4), &v); break;
	case 0xd9: case 0xda: case 0xdb: good = take_bytes(r, MP_STR, read_big(r, (size_t)1 << (head - 0xd9)), &v); break;
	case 0xdc: case 0xdd: good = take_container(r, MP_ARRAY, read_big(r, head == 0xdc ? 2 : 4), &v); break;
	case 0xde: case 0xdf: good = take_container(r, MP_MAP, read_big(r, head == 0xde ? 2 : 4), &v); break;
	default: good = false; /* 0xc1 is never used */
	}
	if (good) *ret = v;
	return good;
}

bool mp_skip(struct reader *r, int depth)
{
	struct { uint64_t left; bool map; } open[MSGPACK_DEPTH_MAX + 1];
	int level = 0;
	struct mp_value v;

	if (depth > MSGPACK_DEPTH_MAX) depth = MSGPACK_DEPTH_MAX;
	do {
		if (!mp_next(r, &v)) return false;
		bool container = v.kind == MP_MAP || v.kind == MP_ARRAY;
		if (level) { /* the even ones of a map's tokens are keys */
			if (container && open[level].map && open[level].left % 2 == 0) return false;
			open[level].left--;
		}
		if (container) {
			if (level == depth) return false;
			level++;
			open[level].map = v.kind == MP_MAP;
			open[level].left = (uint64_t)v.size * (open[level].map ? 2 : 1);
		}
		while (level && open[level].left == 0) level--;
	} while (level);
	return true;
}

bool msgpack_scan(const uint8_t *bytes, size_t size, bool map)
{
	struct reader whole, head;
	struct mp_value first;

	if (size == 0) return false;
	reader_init(&whole, bytes, size);
	head = whole;
	if (!mp_next(&head, &first) || (map && first.kind != MP_MAP)) return false;
	return mp_skip(&whole, MSGPACK_DEPTH_MAX) && reader_left(&whole) == 0;
}
