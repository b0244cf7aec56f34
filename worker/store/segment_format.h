/* segment_format.h - the header block of a segment as a struct, and where its sections stand. Private to segment*.c and
 * their tests; the layout in words is in segment.h. */
#ifndef STORE_SEGMENT_FORMAT_H
#define STORE_SEGMENT_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/status.h"
#include "common/uuid.h"
#include "common/vec.h"
#include "worker/store/segment.h"

enum { SEGMENT_VERSION = 4, SEGMENT_ALIGN = 4096, SEGMENT_TABLE_AT = 176, SEGMENT_TABLE_ENTRY = 24, SEGMENT_CRC_AT = 4092 };

enum segment_section {
	SECTION_IDS, SECTION_SEQS, SECTION_PERM, SECTION_NORMS, SECTION_NODES, SECTION_DIR_OF, SECTION_DIRS, SECTION_ROOTS, SECTION_ORDER,
	SECTION_CODES, SECTION_SHIFTS, SECTION_GRAPH, SECTION_EDGES, SECTION_EFFORTS, SECTION_VECS, SECTION_PAYLOAD, SECTION_KEYS, SECTION_TOMBSTONES,
};
_Static_assert(SECTION_TOMBSTONES + 1 == SEGMENT_SECTIONS, "the table in segment.h");

struct segment_place { uint64_t offset, size; uint32_t crc; };

struct segment_header {
	struct uuid shard;
	uint64_t number, epoch;
	uint32_t metric, dtype, dim, n, trees, nodes, dirs, dir_size, stride;
	float dot_max_norm2;
	uint64_t seed, first_sequence, last_sequence;
	uint32_t modulus, remainder;
	uint64_t tombstones, file_size;
	struct quant quant; /* its shift stands in SHIFTS */
	uint32_t edges, efforts;
	enum segment_codes { CODES_NONE, CODES_PLAIN, CODES_SHIFTED, CODES_KINDS } codes;
	struct segment_place place[SEGMENT_SECTIONS];
};

const char *segment_section_name(enum segment_section s);
/* Fills in file_size and each section's offset and size from the counts; the sizes of PAYLOAD and KEYS must stand in place[] already.
 * False: past what 64 bits can count. */
bool segment_layout(struct segment_header *h);
/* To the next boundary. */
uint64_t segment_padded(uint64_t size);
/* Returns the checksum in the block's last bytes. */
uint32_t segment_header_encode(const struct segment_header *h, uint8_t out[SEGMENT_HEADER_SIZE]);
/* Checksum, magic, version, features, and that layout and table agree. STATUS_CORRUPT, STATUS_UNSUPPORTED; what is wrong in *ret_fault. */
MUST_CHECK enum status segment_header_decode(const uint8_t *bytes, size_t size, struct segment_header *ret, const char **ret_fault);

#endif
