/* shard_table.h - the shards that this worker holds: found at start, made, opened, used, dropped.
 *
 * Whoever works with a shard is counted as its user from shard_table_use() to shard_table_done(); dropping and closing wait until there is
 * none. A shard that cannot be opened stays in the table with the reason, so that the beats tell of it; the others are served (P19).
 *
 * Threads: use, done, reports, memtable_rows and stalled from any thread, and they never wait for a disk; load, open, drop and close read and sync files
 * and run one at a time (background.h). */
#ifndef WORKER_SHARD_TABLE_H
#define WORKER_SHARD_TABLE_H

#include <stdatomic.h>

#include "worker/liveness.h"
#include "worker/shard.h"

enum { SHARDS_HELD_MAX = 2 * SHARDS_MAX }; /* of all indexes together; a beat tells of each */

struct shard_table;

enum held_state { HELD_OPENING, HELD_OPEN, HELD_FAILED };

struct held {
	struct uuid uuid;
	enum held_state state;
	struct shard *shard;   /* HELD_OPEN: the user's until shard_table_done() */
	_Atomic bool closing;  /* searches stop with what they have */
	/* the table's: */
	uint32_t users;
	struct report failure; /* HELD_FAILED: why */
	struct shard_identity identity; /* zeros where the manifest cannot be read */
	struct stall stall;
};

MUST_CHECK enum status shard_table_new(struct io *io, struct shard_table **ret);
/* Before the first shard is opened: how long the syncs of all their logs take is observed there. It outlives the table. */
void shard_table_watch_syncs(struct shard_table *t, struct histogram *seconds);
/* After shard_table_close(). */
void shard_table_free(struct shard_table **t);

/* Put every shard in the folder "shards" into the table, still closed: state opening. Folders without a manifest are shards whose making
 * was cut short; they are left alone until they are made again or dropped. */
MUST_CHECK enum status shard_table_scan(struct shard_table *t, struct report *report);
/* Open what the scan found. Shards of a cluster other than `cluster` fail. */
void shard_table_load(struct shard_table *t, struct uuid cluster);
/* Open a shard, making it if it is not there and `create` is set; open already and the same: OK. STATUS_NOT_FOUND: not there;
 * STATUS_CONFLICT: there, but of another index. */
MUST_CHECK enum status shard_table_open(struct shard_table *t, const struct shard_identity *identity, bool create, struct report *report);
/* Stop its work, wait for its users, close it and remove its files. Not there: OK. */
MUST_CHECK enum status shard_table_drop(struct shard_table *t, struct uuid uuid, struct report *report);
/* No new users; searches stop with what they have; builds are cancelled. Never blocks for long. */
void shard_table_stop(struct shard_table *t);
/* After shard_table_stop(): waits for the users and closes every shard cleanly. */
void shard_table_close(struct shard_table *t);

/* NOT_FOUND; UNAVAILABLE while it is opened or closed; the reason of its failure. */
MUST_CHECK enum status shard_table_use(struct shard_table *t, struct uuid uuid, struct held **ret, struct report *report);
void shard_table_done(struct shard_table *t, struct held *held);
/* What a beat says of all; the array is the table's, valid until the next call. One thread. */
MUST_CHECK enum status shard_table_reports(struct shard_table *t, struct shard_report **ret, uint32_t *ret_count);
uint64_t shard_table_memtable_rows(struct shard_table *t); /* of all: shard_memtable_rows() */
/* True if the writer of a shard has had work without progress for STALL_WRITER_US; its uuid then. One thread. */
bool shard_table_stalled(struct shard_table *t, uint64_t now_us, struct uuid *ret);

#endif
