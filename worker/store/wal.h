/* wal.h - the write-ahead log of one shard: files wal-<first sequence, 20 digits>.log in the shard's folder.
 *
 * File:   a header block of 64 bytes: 0 magic "GROVEWAL" | 8 version u32 | 12 required features u32 | 16 optional features u32 | 20 zero u32
 *         | 24 shard uuid[16] | 40 first sequence u64 | 48 file number u64 (one more than the file before it) | 56 zero u32 | 60 crc32c u32
 *         of bytes 0 .. 59; then records. Preallocated space is not used: the file ends at its last record. A file gets its name only when its
 *         header is durable (temp, sync, rename, sync of the folder), so a bad header is always corruption.
 * Record: 0 length u32 of bytes 8.. | 4 crc32c u32 of bytes 8.. | 8 shard uuid[16] | 24 epoch u64 | 32 sequence u64
 *         | 40 durable u64 (the highest sequence known durable when this was written, so below its own) | 48 client u64 | 56 request u64
 *         | 64 kind u8 (1 upsert, 2 delete, 3 clean end) | 65 dtype u8 | 66 key length u16 | 68 dim u32 | 72 payload length u32 | 76 zero u32
 *         | 80 id u64 | key | vector | payload
 * Valid iff the length fits the file, the crc matches, uuid is the shard's, and sequence == previous + 1. Reading stops at the first
 * invalid record. If any record in any log file of the shard - also one found by scanning forward for valid ones after the bad place - or the manifest claims a
 * durable sequence >= the bad record's, it is corruption: STATUS_CORRUPT, naming file and offset (promise P14). A log file's
 * header claims all sequences before its first. Otherwise it is the
 * unacknowledged tail: cut, even if good-looking records follow. A clean-end record says that the log was closed in order:
 * it claims all before it. It bears the next sequence without using it up (replicas share sequences, not ends), and may stand in mid-log.
 *
 * Writing: wal_append() gathers records in memory, wal_commit() writes and syncs them once (group commit). A failed write
 * other than STATUS_DISK_FULL, or any failed sync, poisons the log: every later call returns STATUS_STOPPED, nothing is retried
 * (P13). After STATUS_DISK_FULL the file is truncated back to its last durable end, and that synced, so what was rejected cannot come
 * back; writing may go on later (P12).
 * Opening rewrites the records that nobody claims durable in place before it syncs: after a sync that failed in an earlier life, the
 * page cache may hold what the disk does not, and only pages written anew are written out.
 * One thread (the shard's writer). */
#ifndef STORE_WAL_H
#define STORE_WAL_H

#include "common/io.h"
#include "common/metrics.h"
#include "common/uuid.h"
#include "common/vec.h"

enum wal_kind { WAL_UPSERT = 1, WAL_DELETE = 2, WAL_END = 3 };

/* Bytes that may wait for a commit; wal_append() past it: STATUS_LIMIT. More than one full message between workers takes. */
#define WAL_PENDING_MAX ((size_t)128 << 20)

/* One change. Pointers are borrowed: in wal_append until it returns, in a replay callback until that returns. Not aligned. */
struct wal_record {
	uint64_t epoch, sequence, durable, client, request;
	enum wal_kind kind;
	uint64_t id;
	enum dtype dtype;
	uint32_t dim; /* 0 for a delete */
	const uint8_t *vector;
	const uint8_t *key;
	uint16_t key_size;
	const uint8_t *payload;
	uint32_t payload_size;
};

struct wal;

/* The first, empty file of a new shard's log; nothing if there is a log already. Before the shard's first manifest: so a shard without a log
 * has lost it. */
MUST_CHECK enum status wal_create(struct io *io, const char *dir, struct uuid shard, struct report *report);

/* Replay every valid record with sequence > `after` in order, cut the tail, remove files that hold only records <= after, and open
 * for appending. No file at all is STATUS_CORRUPT. `apply` is given upserts and deletes, perhaps before later damage is found: after any failure forget what it was given. `apply` failing stops the open with its
 * status. `manifest_durable` is the highest sequence that the manifest knows durable. The first sequence to write is *ret_next. */
MUST_CHECK enum status wal_open(struct io *io, const char *dir, struct uuid shard, uint64_t after, uint64_t manifest_durable,
	enum status (*apply)(void *arg, const struct wal_record *r), void *arg, struct wal **ret, uint64_t *ret_next, struct report *report);
/* With `clean`, writes and syncs an end mark first. Forgets what was not committed. */
void wal_close(struct wal **wal, bool clean);

/* Sets nothing in *r: the caller numbers (sequence == wal_next) and dates it; `durable` is filled in by the log. STATUS_NO_MEMORY,
 * STATUS_LIMIT (commit first), STATUS_STOPPED: not appended, what was before still waits. */
MUST_CHECK enum status wal_append(struct wal *wal, const struct wal_record *r);
/* All appended records are durable when this returns STATUS_OK. On any other status none of them may be acknowledged, nothing
 * waits any more, and wal_next is what it was after the last commit. STATUS_DISK_FULL: certainly not applied; else unknown. */
MUST_CHECK enum status wal_commit(struct wal *wal, struct report *report);
/* From now on the duration of each sync of records is observed there; NULL: nowhere. */
void wal_watch_syncs(struct wal *wal, struct histogram *seconds);
void wal_discard(struct wal *wal); /* forget what was appended since the last commit */
uint64_t wal_next(const struct wal *wal); /* the sequence that the next append must bear */
uint64_t wal_durable(const struct wal *wal);
uint64_t wal_bytes(const struct wal *wal); /* of all its files */

/* Begin a new file: later records go there. Nothing may wait for a commit. On STATUS_DISK_FULL or STATUS_NO_MEMORY the log goes on in the old file;
 * another failure poisons it. wal_remove_through() removes the files whose records are all <= sequence. */
MUST_CHECK enum status wal_rotate(struct wal *wal, struct report *report);
MUST_CHECK enum status wal_remove_through(struct wal *wal, uint64_t sequence);

#endif
