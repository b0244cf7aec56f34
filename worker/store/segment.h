/* segment.h - an immutable part of a shard: rows, their forest, codes and graph, payloads and keys in one file, seg-<number>.grove, mapped into
 * memory. A segment is live when the manifest lists it, and only then: this module writes, checks and reads files.
 *
 * File: a header block of 4096 bytes, then the sections in the order of their numbers, each on a 4 KiB boundary, padded with zeros to the next.
 * Little-endian throughout. Header:
 *   0 magic "GROVESEG" | 8 version u32 | 12 required features u32 | 16 optional features u32 | 20 sections u32 (SEGMENT_SECTIONS)
 *   24 shard uuid[16] | 40 number u64 | 48 epoch u64 | 56 metric u32 | 60 dtype u32 of the stored rows | 64 dim u32 | 68 rows n u32
 *   72 trees u32 | 76 nodes u32 | 80 directions u32 | 84 bytes of a direction u32 | 88 stride u32 | 92 dot_max_norm2 f32 | 96 seed u64
 *   104 lowest sequence u64 | 112 highest sequence u64 (of rows and tombstones; both 0 if there are none)
 *   120 modulus u32 | 124 remainder u32 | 128 tombstones u64 | 136 file size u64
 *   144 low f64 | 152 scale f64 of the codes (quant.h) | 160 edges u32 | 164 efforts u32 (both 0: no graph) | 168 codes u32: 0 none, and no graph; 1; 2 with shifts | 172 zero u32
 *   176 section table: per section offset u64, size u64, crc32c u32 of its bytes and of the zeros up to the next boundary, zero u32
 *   zeros | 4092 crc32c u32 of bytes 0 .. 4091
 * So every byte of the file is under a checksum, padding too.
 *
 * Sections (an empty one has size 0 and the offset at which it would stand):
 *   0 IDS u64[n], rows in the leaf order of tree 0 | 1 SEQS packed[n], each less the lowest of the header
 *   2 PERM packed[n], rows by ascending id | 3 NORMS f32[n], squared
 *   norms, angular and dot only | 4 NODES 16 bytes[nodes] | 5 DIR_OF u32[nodes] | 6 DIRS i8[directions x bytes] | 7 ROOTS u32[trees]
 *   8 ORDER packed[(trees - 1) x n]: of tree 0 it is 0, 1, 2, ... (4 to 8: forest.h; empty if n is 0)
 *   9 CODES u8 rows of dim rounded up to 64, zero padded | 10 SHIFTS f32[dim], empty where there are none (quant.h)
 *   11 GRAPH u32[n + 1] | 12 EDGES packed[edges] (graph.h) | 13 EFFORTS 20 bytes[efforts] (tune.h)
 *   14 VECS rows of `stride` bytes, zero padded
 *   15 PAYLOAD u64 offsets[n + 1] from the section's first byte past them, then bytes | 16 KEYS the same (size 0 where no row has one)
 *   17 TOMBSTONES id u64, sequence u64: deletions that must outlive the log, by ascending id
 *
 * packed: whole numbers of as many bytes each as the largest possible needs (row numbers: n - 1; SEQS: highest less lowest sequence), and 8 zero bytes
 * behind the last (packed.h).
 *
 * A file is valid iff all sizes follow from the header's counts, all checksums match, PERM is a permutation by strictly
 * ascending id, sequences lie in the header's range, offsets ascend within the limits of payload and key, and
 * forest_check(), graph_verify() and tune_check() pass, and codes are at most 127. A search reads CODES, GRAPH, EDGES, NODES to ROOTS and the rows of
 * VECS that it scores exactly, so VECS may stay on disk. An unknown required feature or version: STATUS_UNSUPPORTED. Whether it is the right file is checked against
 * the shard's identity and its manifest entry (size, header crc), so a swapped or an older file is found.
 *
 * A read error of the disk under a mapping arrives as SIGBUS and ends the process (promise P15). */
#ifndef STORE_SEGMENT_H
#define STORE_SEGMENT_H

#include "common/io.h"
#include "worker/engine/ann.h"
#include "worker/engine/rows.h"
#include "worker/store/manifest.h"

enum { SEGMENT_SECTIONS = 18, SEGMENT_HEADER_SIZE = 4096, SEGMENT_NAME_SIZE = 40 };

struct segment_bytes { const uint8_t *bytes; uint32_t size; }; /* not aligned; NULL, 0: none */
struct segment_tombstone { uint64_t id, sequence; };

/* What is to be written. All memory is the caller's and unchanged meanwhile. Row numbers are the new ones: tree 0's leaf
 * order. The callbacks are called by all threads, for any i and twice over; what they return must stay. */
struct segment_content {
	uint64_t number, epoch, seed;
	uint32_t modulus, remainder; /* the items of this shard: XXH3_64(id) mod modulus == remainder */
	uint32_t n;
	const uint64_t *ids;         /* [n], distinct */
	const uint32_t *by_id;       /* [n] rows by ascending id; NULL: found here */
	const uint64_t *sequences;   /* [n] */
	struct ann_view ann;         /* ann.forest.n == n; all zero when n is 0 */
	const struct segment_tombstone *tombstones; /* by ascending id, distinct */
	uint64_t tombstone_count;
	const void *(*row)(void *arg, uint32_t i); /* a stored row: dtype_row_bytes() bytes; padding is added here */
	struct segment_bytes (*payload)(void *arg, uint32_t i); /* NULL: no payloads */
	struct segment_bytes (*key)(void *arg, uint32_t i);     /* NULL: no keys */
	void *arg;
	struct runner *runner;
	const struct pulse *pulse; /* NULL: never stopped */
};

/* Writes to a temporary name, syncs, renames, syncs the folder. *ret is the entry for the manifest. Memory: 4 bytes a row, 8 for each of payloads and
 * keys, and 4 MiB.
 * On failure, STATUS_CANCELLED by the pulse among them, it removes what it made (segment_sweep takes what would not go). Blocks; any
 * one thread. */
MUST_CHECK enum status segment_write(struct io *io, const char *dir, const struct shard_identity *identity,
	const struct segment_content *content, struct manifest_segment *ret, struct report *report);

/* The same by parts, so that the bytes can go to the disk while the efforts are still measured. The content's pointers stay valid until the end, of its
 * efforts only the count is asked before the finish, and that only whether it is 0. One thread at a time, but for what the content's runner does. */
struct segment_writer;
MUST_CHECK enum status segment_writer_new(struct io *io, const char *dir, const struct shard_identity *identity, const struct segment_content *content,
	struct segment_writer **ret, struct report *report);
/* Some MiB more, on this thread alone; false: that was all, or it failed, which the finish says. `writer` is a segment_writer. */
bool segment_writer_step(void *writer);
/* What is left, and the names. Ends the writer, whatever comes of it. */
MUST_CHECK enum status segment_writer_finish(struct segment_writer **w, const struct tune_view *efforts, struct manifest_segment *ret, struct report *report);
/* Without a segment. NULL is fine. */
void segment_writer_free(struct segment_writer **w);

struct segment;

/* Map and verify everything (reads the whole file). STATUS_CORRUPT names the file and the section; a missing file that the
 * manifest lists is STATUS_CORRUPT too. */
MUST_CHECK enum status segment_open(struct io *io, const char *dir, const struct shard_identity *identity,
	const struct manifest_segment *entry, struct runner *runner, struct segment **ret, struct report *report);
void segment_close(struct segment **segment); /* unmaps; the file stays */

/* All below: any thread, never blocks but for page faults; pointers live until segment_close. */
struct segment_info {
	uint64_t number, epoch, seed, first_sequence, last_sequence, file_size;
	uint32_t n, trees, modulus, remainder;
};
const struct segment_info *segment_info(const struct segment *s);
struct rows segment_rows(const struct segment *s); /* dead_at and dead_words NULL and at 0: the caller knows what is live */
struct ann_view segment_ann(const struct segment *s);
uint64_t segment_sequence(const struct segment *s, uint32_t row);
struct packed segment_by_id(const struct segment *s); /* [n] row numbers in ascending order of id */
int64_t segment_find(const struct segment *s, uint64_t id); /* row, or -1 */
struct segment_bytes segment_payload(const struct segment *s, uint32_t row);
struct segment_bytes segment_key(const struct segment *s, uint32_t row);
const struct segment_tombstone *segment_tombstones(const struct segment *s, uint64_t *ret_count); /* by ascending id */

/* Bytes of section `i` of SEGMENT_SECTIONS without its padding, and its name: where a segment's memory is. */
uint64_t segment_section_size(const struct segment *s, int i, const char **ret_name);

/* "seg-7.grove" */
void segment_file_name(uint64_t number, char out[SEGMENT_NAME_SIZE]);
/* Remove what a crash left in the folder: temporary files (*.tmp, of the log and the manifest too), and segments that the manifest does not
 * list. Only when nothing else is at work in it. */
MUST_CHECK enum status segment_sweep(struct io *io, const char *dir, const struct manifest *m);

#endif
