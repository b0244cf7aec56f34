/* cursor.h - reading and writing foreign bytes: a cursor that cannot overrun and remembers its first error.
 *
 * After an overrun every later read gives zeros and every later write does nothing; check `failed` once at the end. All
 * integers are little-endian and may be unaligned. A cursor borrows its bytes. */
#ifndef COMMON_CURSOR_H
#define COMMON_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reader { const uint8_t *at, *end; bool failed; };

void reader_init(struct reader *r, const void *bytes, size_t n);
size_t reader_left(const struct reader *r);
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
/* n bytes in place, or NULL (failed) if fewer are left; valid as long as the bytes under the cursor. */
const uint8_t *reader_bytes(struct reader *r, size_t n);

struct writer { uint8_t *start, *at, *end; bool failed; };

void writer_init(struct writer *w, void *bytes, size_t n);
size_t writer_used(const struct writer *w);
void writer_u8(struct writer *w, uint8_t v);
void writer_u16(struct writer *w, uint16_t v);
void writer_u32(struct writer *w, uint32_t v);
void writer_u64(struct writer *w, uint64_t v);
void writer_bytes(struct writer *w, const void *bytes, size_t n);
void writer_zeros(struct writer *w, size_t n);

/* Single values at an address of any alignment. */
uint16_t load_u16(const void *p);
uint32_t load_u32(const void *p);
uint64_t load_u64(const void *p);
float load_f32(const void *p);
void store_u16(void *p, uint16_t v);
void store_u32(void *p, uint32_t v);
void store_u64(void *p, uint64_t v);
void store_f32(void *p, float v);

/* a + b and a * b, false on overflow (*ret untouched). */
bool size_add(size_t a, size_t b, size_t *ret);
bool size_mul(size_t a, size_t b, size_t *ret);

#endif
