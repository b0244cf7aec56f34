/* packed.h - arrays of whole numbers, each of as many bytes (1 to 8) as the largest needs, little-endian, one after the other.
 *
 * A reader takes eight bytes at once and keeps those that are its own, so PACKED_SPARE bytes stand behind the last number. */
#ifndef ENGINE_PACKED_H
#define ENGINE_PACKED_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { PACKED_SPARE = 8 };

struct packed { const uint8_t *bytes; uint32_t width; };

/* Bytes for each of numbers up to `most`. */
static inline uint32_t packed_width(uint64_t most)
{
	uint32_t width = 1;

	while (width < 8 && most >> 8 * width) width++;
	return width;
}

/* Of row numbers below n. */
static inline uint32_t packed_row_width(uint32_t n) { return packed_width(n ? n - 1 : 0); }

/* Of all of them and what must stand behind; 0 for none. */
static inline uint64_t packed_size(uint64_t count, uint32_t width) { return count ? count * width + PACKED_SPARE : 0; }

static inline uint64_t packed_at(const struct packed *p, size_t i)
{
	uint64_t word;

	memcpy(&word, p->bytes + i * p->width, sizeof(word));
	return word & UINT64_MAX >> (64 - 8 * p->width);
}

static inline void packed_put(uint8_t *bytes, uint32_t width, size_t i, uint64_t number) { memcpy(bytes + i * width, &number, width); }

#endif
