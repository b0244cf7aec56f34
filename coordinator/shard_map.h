/* shard_map.h - which indexes exist, which shards they have, and which worker holds each.
 *
 * The map mirrors the metadata store: it is filled from it at start and changed only after a compare-and-set there went
 * through. Beside the stored facts each shard carries what its worker's beats said last (never stored). Pure: no clocks, no
 * sockets; one thread.
 *
 * Stored records (all integers little-endian, a CRC-32C of everything before it as the last four bytes):
 *   "index/NAME"       "GRVI" u16 format=1 u16 metric u64 id u32 dim u32 shards u32 replicas u32 trees u64 seed
 *                      u8 name size, name; then for each shard, in order of its number:
 *                      16 shard uuid, u64 epoch, 16 worker uuid, u8 made
 *   "dropped/ID"       (ID: 16 hexadecimal digits) "GRVT" u16 format=1 u16 zero u64 index id u32 count; then for each shard:
 *                      16 shard uuid, 16 worker uuid. Stays until every worker confirmed; the name is free at once.
 *   "cluster"          "GRVC" u16 format=1 u16 zero, 16 cluster uuid
 *
 * made: the worker confirmed that the shard exists. From then on it is only ever opened, never made again: a made shard that
 * its worker no longer has is lost, and said to be, instead of coming back empty. */
#ifndef COORDINATOR_SHARD_MAP_H
#define COORDINATOR_SHARD_MAP_H

#include "common/buf.h"
#include "proto/message.h"

#define MAP_CLUSTER_KEY "cluster"
#define MAP_INDEX_PREFIX "index/"
#define MAP_DROPPED_PREFIX "dropped/"
enum { MAP_KEY_SIZE = 80 }; /* longest key and its NUL */

struct map_shard {
	struct uuid id, worker;
	uint32_t number;
	uint64_t epoch;
	bool made;
	/* From the beats: */
	bool heard;       /* `report` has been filled at least once since this process started */
	bool present;     /* the worker's last beat lists it */
	bool confirmed;   /* the worker has it, but `made` is not stored yet */
	enum status lost; /* not OK: the worker refused to open it, and why */
	struct shard_report report;
	uint64_t asked_us; /* when it was last asked to open it; 0: never */
	bool asking;       /* that is not answered yet: opening a large shard takes a while */
};

struct map_index {
	struct index_spec spec;
	uint64_t version; /* of the stored record */
	bool changing;    /* a commit about this index is under way: the next one waits for it */
	struct report trouble; /* why a shard was not opened, or not stored as made, when it was last tried; OK: nothing was refused */
	struct map_shard *shards; /* [spec.shards], by number */
};

struct dropped_shard { struct uuid id, worker; bool gone, asking; uint64_t asked_us; };
struct map_dropped {
	uint64_t index_id, version;
	bool changing;
	uint32_t count;
	struct dropped_shard *shards;
};

struct map_slot { struct map_index *index; uint32_t number; };
struct shard_map {
	struct map_index **indexes; /* by name */
	size_t index_count;
	struct map_dropped **dropped;
	size_t dropped_count;
	struct map_slot *slots; /* open-addressed by shard uuid; a power of two, at most half full */
	size_t slot_count;
};

void shard_map_init(struct shard_map *m);
void shard_map_release(struct shard_map *m);

/* One stored record into the map; a key of no known kind is left alone. CORRUPT names the record. */
MUST_CHECK enum status shard_map_load(struct shard_map *m, const char *key, uint64_t version, const uint8_t *value, size_t size,
	struct report *report);

struct map_index *shard_map_find(const struct shard_map *m, const char *name);
struct map_index *shard_map_find_id(const struct shard_map *m, uint64_t index_id);
/* The shard of that uuid, or NULL; *ret_index (may be NULL) its index. */
struct map_shard *shard_map_shard(const struct shard_map *m, struct uuid shard, struct map_index **ret_index);
/* How many shards the worker holds, over all indexes. */
uint32_t shard_map_load_of(const struct shard_map *m, struct uuid worker);

/* A new index, its shards given by the caller's filling of ->shards. */
MUST_CHECK enum status map_index_new(const struct index_spec *spec, struct map_index **ret);
void map_index_free(struct map_index **index);
/* Takes the index. The name must be free (require). */
MUST_CHECK enum status shard_map_add(struct shard_map *m, struct map_index **take);
void shard_map_remove(struct shard_map *m, struct map_index *index); /* and frees it */
/* The tombstone of an index, not yet in the map. */
MUST_CHECK enum status map_dropped_new(const struct map_index *index, struct map_dropped **ret);
void map_dropped_free(struct map_dropped **dropped);
MUST_CHECK enum status shard_map_add_dropped(struct shard_map *m, struct map_dropped **take);
void shard_map_remove_dropped(struct shard_map *m, struct map_dropped *dropped);

void index_key(const char *name, char out[MAP_KEY_SIZE]);
void dropped_key(uint64_t index_id, char out[MAP_KEY_SIZE]);
/* Records to bytes. index_record_encode stores `made` for shards that are made or confirmed. */
MUST_CHECK enum status index_record_encode(const struct map_index *index, struct buf *out);
MUST_CHECK enum status dropped_record_encode(const struct map_dropped *dropped, struct buf *out);
MUST_CHECK enum status cluster_record_encode(struct uuid cluster, struct buf *out);
MUST_CHECK enum status cluster_record_decode(const uint8_t *value, size_t size, struct uuid *ret);

/* Invariants, for tests and after loading: sorted unique names, shard numbers in order, every shard found by its uuid. */
bool shard_map_check(const struct shard_map *m);

#endif
