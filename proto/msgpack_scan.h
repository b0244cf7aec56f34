/* msgpack_scan.h - reading msgpack without allocating. Private to proto.
 *
 * msgpack-c's unpacker believes counts: the five bytes dd 0f ff ff ff make it ask for 8 GiB. So foreign msgpack is read
 * here, one token at a time, from a cursor that cannot overrun; a count is refused as soon as it exceeds the bytes that are
 * left. Pure; any thread. */
#ifndef PROTO_MSGPACK_SCAN_H
#define PROTO_MSGPACK_SCAN_H

#include "common/cursor.h"

enum mp_kind { MP_NIL, MP_BOOL, MP_UINT, MP_NEGATIVE, MP_FLOAT, MP_DOUBLE, MP_STR, MP_BIN, MP_EXT, MP_ARRAY, MP_MAP };

struct mp_value {
	enum mp_kind kind;
	union { bool boolean; uint64_t uint; int64_t negative; double real; };
	const uint8_t *bytes; /* str, bin, ext: in place */
	uint32_t size;        /* their bytes; an array's elements; a map's pairs */
};

/* One token: a scalar whole, or the head of an array or map. False if malformed, cut short, not UTF-8 (str), or if it counts
 * more than the bytes that are left could hold. */
bool mp_next(struct reader *r, struct mp_value *ret);
/* One whole value, containers with all they hold, at most `depth` of them inside one another; map keys may not be containers. */
bool mp_skip(struct reader *r, int depth);
/* RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF. */
bool utf8_valid(const uint8_t *bytes, size_t n);

#endif
