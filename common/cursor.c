/* cursor.c - memcpy in and out; every host of ours is little-endian. */
#include "common/cursor.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the formats are little-endian and so are the hosts");

void reader_init(struct reader *r, const void *bytes, size_t n)
{
	*r = (struct reader){.at = bytes, .end = n ? (const uint8_t *)bytes + n : bytes}; /* no bytes may be NULL */
}

size_t reader_left(const struct reader *r) { return r->failed ? 0 : (size_t)(r->end - r->at); }

const uint8_t *reader_bytes(struct reader *r, size_t n)
{
	if (r->failed || (size_t)(r->end - r->at) < n) {
		r->failed = true;
		return NULL;
	}
	const uint8_t *at = r->at;
	r->at += n;
	return at;
}

uint8_t reader_u8(struct reader *r)
{
	const uint8_t *at = reader_bytes(r, 1);
	return at ? *at : 0;
}

uint16_t reader_u16(struct reader *r)
{
	const uint8_t *at = reader_bytes(r, 2);
	return at ? load_u16(at) : 0;
}

uint32_t reader_u32(struct reader *r)
{
	const uint8_t *at = reader_bytes(r, 4);
	return at ? load_u32(at) : 0;
}

uint64_t reader_u64(struct reader *r)
{
	const uint8_t *at = reader_bytes(r, 8);
	return at ? load_u64(at) : 0;
}

void writer_init(struct writer *w, void *bytes, size_t n) { *w = (struct writer){.start = bytes, .at = bytes, .end = (uint8_t *)bytes + n}; }

size_t writer_used(const struct writer *w) { return (size_t)(w->at - w->start); }

static uint8_t *writer_take(struct writer *w, size_t n)
{
	if (w->failed || (size_t)(w->end - w->at) < n) {
		w->failed = true;
		return NULL;
	}
	uint8_t *at = w->at;
	w->at += n;
	return at;
}

void writer_bytes(struct writer *w, const void *bytes, size_t n)
{
	uint8_t *at = writer_take(w, n);
	if (at && n) memcpy(at, bytes, n);
}

void writer_zeros(struct writer *w, size_t n)
{
	uint8_t *at = writer_take(w, n);
	if (at && n) memset(at, 0, n);
}

void writer_u8(struct writer *w, uint8_t v) { writer_bytes(w, &v, sizeof(v)); }
void writer_u16(struct writer *w, uint16_t v) { writer_bytes(w, &v, sizeof(v)); }
void writer_u32(struct writer *w, uint32_t v) { writer_bytes(w, &v, sizeof(v)); }
void writer_u64(struct writer *w, uint64_t v) { writer_bytes(w, &v, sizeof(v)); }

uint16_t load_u16(const void *p) { uint16_t v; memcpy(&v, p, sizeof(v)); return v; }
uint32_t load_u32(const void *p) { uint32_t v; memcpy(&v, p, sizeof(v)); return v; }
uint64_t load_u64(const void *p) { uint64_t v; memcpy(&v, p, sizeof(v)); return v; }
float load_f32(const void *p) { float v; memcpy(&v, p, sizeof(v)); return v; }
void store_u16(void *p, uint16_t v) { memcpy(p, &v, sizeof(v)); }
void store_u32(void *p, uint32_t v) { memcpy(p, &v, sizeof(v)); }
void store_u64(void *p, uint64_t v) { memcpy(p, &v, sizeof(v)); }
void store_f32(void *p, float v) { memcpy(p, &v, sizeof(v)); }

bool size_add(size_t a, size_t b, size_t *ret)
{
	size_t sum;
	if (__builtin_add_overflow(a, b, &sum)) return false;
	*ret = sum;
	return true;
}

bool size_mul(size_t a, size_t b, size_t *ret)
{
	size_t product;
	if (__builtin_mul_overflow(a, b, &product)) return false;
	*ret = product;
	return true;
}
