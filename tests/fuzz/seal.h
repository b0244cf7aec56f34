/* seal.h - make the checksums of a changed file good again, so that a test or a fuzzer reaches what lies behind them. Any bytes. */
#ifndef TESTS_SEAL_H
#define TESTS_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "common/crc32c.h"
#include "common/cursor.h"
#include "worker/store/segment_format.h"
#include "worker/store/wal_format.h"

static inline void seal_manifest(uint8_t *bytes, size_t n)
{
	if (n < 24) return;
	store_u32(bytes + 20, (uint32_t)n); /* its size */
	store_u32(bytes + n - 4, crc32c(0, bytes, n - 4));
}

/* The header, and the records as far as their lengths lead. */
static inline void seal_wal(uint8_t *bytes, size_t n)
{
	if (n < WAL_HEADER_SIZE) return;
	store_u32(bytes + 60, crc32c(0, bytes, 60));
	for (size_t at = WAL_HEADER_SIZE; n - at >= 8;) {
		size_t length = load_u32(bytes + at);
		if (length > n - at - 8) return;
		store_u32(bytes + at + 4, crc32c(0, bytes + at + 8, length));
		at += 8 + length;
	}
}

/* The sections that the table shows within the file, then the header. */
static inline void seal_segment(uint8_t *bytes, size_t n)
{
	if (n < SEGMENT_HEADER_SIZE) return;
	for (int i = 0; i < SEGMENT_SECTIONS; i++) {
		uint8_t *entry = bytes + SEGMENT_TABLE_AT + i * SEGMENT_TABLE_ENTRY;
		uint64_t offset = load_u64(entry), size = load_u64(entry + 8);
		if (offset > n || size > n) continue;
		size = segment_padded(size);
		if (size > n - offset) continue;
		store_u32(entry + 16, crc32c(0, bytes + offset, (size_t)size));
	}
	store_u32(bytes + SEGMENT_CRC_AT, crc32c(0, bytes, SEGMENT_CRC_AT));
}

#endif
