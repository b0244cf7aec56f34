/* manifest.h - what is durable and live in a shard: one small file, "manifest", replaced atomically (temp, sync, rename, sync of
 * the folder). The rename is the commit of every change of the segment set.
 *
 * Layout (little-endian): magic "GROVEMAN" | version u32 | required features u32 | optional features u32 | size u32 of the whole
 * | shard uuid[16] | cluster uuid[16] | epoch u64 | index id u64 | number u32 | shards u32 | metric u32 | dim u32 | trees u32
 * | replicas u32 | seed u64 | name[64] | sequence u64 (all records <= it are in the segments) | durable u64 | next segment number u64
 * | segment count u32 | zero u32 | per segment: number u64, modulus u32, remainder u32, size u64, crc32c u32 of its header, rows u32
 * | crc32c u32 of all before. */
#ifndef STORE_MANIFEST_H
#define STORE_MANIFEST_H

#include "common/io.h"
#include "common/limits.h"
#include "common/uuid.h"
#include "common/vec.h"

enum { MANIFEST_SEGMENTS_MAX = 64 };

struct manifest_segment { uint64_t number; uint32_t modulus, remainder; uint64_t size; uint32_t header_crc, rows; };

/* Who a shard is: fixed when it is made, but for the epoch. */
struct shard_identity {
	struct uuid shard, cluster;
	uint64_t epoch, index_id;
	uint32_t number, shards; /* this shard's number, of so many */
	enum metric metric;
	uint32_t dim, trees, replicas;
	uint64_t seed;
	char name[NAME_MAX_BYTES + 1]; /* of the index, for messages and for rebuilding a lost catalogue */
};

struct manifest {
	struct shard_identity identity;
	uint64_t sequence, durable, next_segment;
	uint32_t segment_count;
	struct manifest_segment segments[MANIFEST_SEGMENTS_MAX];
};

/* STATUS_NOT_FOUND: no manifest in dir. STATUS_CORRUPT / UNSUPPORTED: with the file and reason in *report. */
MUST_CHECK enum status manifest_load(struct io *io, const char *dir, struct manifest *ret, struct report *report);
/* On failure the old or the new one may be there after a crash: only a later success or a load tells. But STATUS_NO_MEMORY changed nothing.
 * STATUS_BAD_REQUEST: it holds what manifest_load would refuse. */
MUST_CHECK enum status manifest_store(struct io *io, const char *dir, const struct manifest *m, struct report *report);

#endif
