/* memtable.h - the writes since the last segment: rows in the order of their sequences, searched exactly.
 *
 * Threads: one writer; any number of readers without locks. Rows are only appended and never move; what changes in them is the sequence of
 * their death, which is atomic. A reader uses rows below the count that its snapshot was published with, so everything else in
 * them was written before it looked. An id's newest row is found by a hash of row numbers; each row names the one before it of the same id,
 * so that an older snapshot finds its own. A hash that became too small is kept until the memtable goes: readers may stand in it. */
#ifndef STORE_MEMTABLE_H
#define STORE_MEMTABLE_H

#include "worker/engine/rows.h"
#include "worker/store/segment.h"

struct memtable;

MUST_CHECK enum status memtable_new(enum metric metric, uint32_t dim, struct memtable **ret);
void memtable_free(struct memtable **m);

/* Writer only. Room for so many more rows, bytes of keys and payloads, and tombstones: then the calls below cannot fail. */
MUST_CHECK enum status memtable_reserve(struct memtable *m, uint32_t rows, size_t blob_bytes, uint32_t tombstones);
/* Writer only, within what was reserved. `vector` is dtype_row_bytes() of the stored type, unaligned; returns the row. */
uint32_t memtable_append(struct memtable *m, uint64_t id, uint64_t sequence, const uint8_t *vector, struct segment_bytes key, struct segment_bytes payload);
void memtable_bury(struct memtable *m, uint64_t id, uint64_t sequence); /* remember a deletion for the next segment */

uint32_t memtable_count(const struct memtable *m); /* writer: rows so far */
size_t memtable_bytes(const struct memtable *m);   /* any thread: memory in use */
const struct segment_tombstone *memtable_tombstones(const struct memtable *m, uint64_t *ret_count); /* in order of sequence; once nothing writes */

/* Readers. The newest row of that id below `limit`, live or dead, or -1. */
int64_t memtable_find(const struct memtable *m, uint64_t id, uint32_t limit);
uint64_t memtable_id(const struct memtable *m, uint32_t row);
uint64_t memtable_sequence(const struct memtable *m, uint32_t row);
uint64_t memtable_dead_at(const struct memtable *m, uint32_t row); /* 0: alive */
void memtable_kill(struct memtable *m, uint32_t row, uint64_t sequence); /* writer only */
const void *memtable_vector(const struct memtable *m, uint32_t row);
struct segment_bytes memtable_key(const struct memtable *m, uint32_t row);
struct segment_bytes memtable_payload(const struct memtable *m, uint32_t row);
/* Rows lie in chunks of so many; chunk c holds rows from c times that on. */
uint32_t memtable_chunk_rows(const struct memtable *m);
/* The places in a chunk whose rows are all below the reader's limit, by ascending (id, row). Sorted by the first who asks, and kept as long as
 * the memtable; *ret_made: it was by this call. */
MUST_CHECK enum status memtable_order(const struct memtable *m, uint32_t chunk, const uint16_t **ret, bool *ret_made);
/* The same for the first n rows of a chunk, into the caller's memory. */
void memtable_sort(const struct memtable *m, uint32_t chunk, uint32_t n, uint16_t *out);
/* Rows first .. below `limit`, up to the end of first's chunk, as the engine takes them, alive at `at`. n is 0 from limit on. */
struct rows memtable_rows(const struct memtable *m, uint32_t first, uint32_t limit, uint64_t at);

#endif
