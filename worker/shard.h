/* shard.h - one shard of an index: a WAL, memtables, immutable segments; exact about what it holds.
 *
 * Threads. One writer thread per shard (inside) numbers, logs, syncs, applies and publishes; shard_submit() hands it work
 * through a bounded queue. Search threads pin a snapshot and never wait for the writer. Builds run on a thread of the shard's own, started
 * by the first of them, and get their cores through the runner; their result is installed by the writer thread.
 *
 * Snapshots. A search sees exactly the writes up to one sequence: rows carry the sequence at which they died, so an item
 * that is replaced meanwhile appears once, old or new, never both and never neither (promise P4). A pin only delays freeing.
 *
 * Failure. A shard that meets corruption or an I/O error stops itself: state SHARD_STOPPED, everything answers STATUS_STOPPED
 * or CORRUPT with the reason; other shards go on (P13, P14, P19). */
#ifndef WORKER_SHARD_H
#define WORKER_SHARD_H

#include "common/io.h"
#include "common/metrics.h"
#include "common/runner.h"
#include "proto/message.h"
#include "worker/engine/rows.h"
#include "worker/store/manifest.h"

struct shard;

/* Bounds of a shard's own: past them the answer is STATUS_BUSY. Searches and writes in queue. */
enum { SHARD_WRITES_PENDING_MAX = 256 };
#define SHARD_WRITE_BYTES_PENDING_MAX ((size_t)256 << 20)
/* Writes stop with STATUS_DISK_FULL below this much free space: min(256 MiB, 5 % of the file system); deletes may use half of it. */
#define DISK_RESERVE_BYTES ((uint64_t)256 << 20)

/* A new shard in folder `dir` of io (made). The manifest is durable when this returns. */
MUST_CHECK enum status shard_create(struct io *io, const char *dir, const struct shard_identity *identity, struct report *report);
/* Opens what is there: manifest, segments (every checksum verified), log replayed. Fails only for want of memory or where there is no manifest
 * that can be read (STATUS_CORRUPT); damage below that gives a stopped shard which says why. Blocks while it reads. */
MUST_CHECK enum status shard_open(struct io *io, const char *dir, struct shard **ret, struct report *report);
/* Cancels a build, and waits until its `done` and those of all queued writes have returned; clean: end mark in the log. The shard is
 * gone then: no search may hold a snapshot, and no other thread may be in a call or make one. Only the `done` of what is waited for may
 * still make calls; builds and writes are refused. Not to be called from a `done`. */
void shard_close(struct shard **shard, bool clean);
/* After shard_close: removes the folder and all in it. */
MUST_CHECK enum status shard_destroy(struct io *io, const char *dir);

const struct shard_identity *shard_identity(const struct shard *s);
void shard_report(struct shard *s, struct shard_report *ret); /* any thread, never blocks for long */
/* Observe there how long the log's syncs take. Once, before the first write; it outlives the shard. */
void shard_watch_syncs(struct shard *s, struct histogram *seconds);
uint64_t shard_memtable_rows(struct shard *s); /* any thread: that no build has taken up, dead ones included */
uint64_t shard_pulse(const struct shard *s, bool *ret_busy);  /* the writer's progress counter, and whether it has work */

/* A write and where its outcome goes. `done` runs on the writer thread (or on the caller's, if the queue refused it). */
struct shard_write {
	enum write_kind kind;
	uint64_t epoch, client, request;
	struct items items; /* borrowed until done */
	void (*done)(struct shard_write *w);
	void *arg;
	/* set before done: */
	struct report report;   /* OK: all items ok. Otherwise results[] tells, per item; STALE, BUSY, DISK_FULL: all rejected */
	uint8_t *results;       /* the caller's, [items.n], enum item_result */
	uint64_t out_epoch, out_sequence;
};
/* Never blocks. An item is rejected when its key clashes with that of the same id, alone. Deleting what is not there is ok,
 * and so is a delete by key where the id's item has another key or none: it stays. */
void shard_submit(struct shard *s, struct shard_write *w);

/* A pinned state: what a search or get sees. Release soon; files and memory of old states live until then. */
struct snapshot;
MUST_CHECK enum status snapshot_pin(struct shard *s, struct snapshot **ret, struct report *report); /* STOPPED, CORRUPT with the reason */
void snapshot_release(struct snapshot **snap);
uint64_t snapshot_items(const struct snapshot *snap);    /* live */
uint64_t snapshot_sequence(const struct snapshot *snap);

/* Per-thread memory for searching any shard. */
struct search_scratch;
MUST_CHECK enum status search_scratch_new(struct search_scratch **ret);
void search_scratch_free(struct search_scratch **s);

/* The k best of the shard (memtables exact, segments by mode) for nq stored queries, offered to tops. budget is this shard's
 * search_k; it is split over segments, each at least one leaf and k; budget >= items searches exactly. */
MUST_CHECK enum status snapshot_search(struct snapshot *snap, const struct search_spec *spec, const struct query *queries, size_t nq,
	const struct pulse *pulse, struct search_scratch *scratch, struct topk *tops, struct search_work *works);

/* About how many rows such a search of one query scores: what it costs. */
uint64_t snapshot_rows_scored(const struct snapshot *snap, const struct search_spec *spec);

/* The share of those of the k nearest items of the index that are in this shard which such a search is predicted to find; 0: nothing is known. */
float snapshot_predict(const struct snapshot *snap, const struct search_spec *spec);

/* The live item with that id; false if none. Pointers live as long as the snapshot. Vector: a stored row. */
struct item_view { uint64_t id, sequence; const void *vector; struct blob key, payload; };
bool snapshot_get(const struct snapshot *snap, uint64_t id, struct item_view *ret);

/* The live items from an id on, in ascending order of ids: memtables and segments as one. Memtables may have to be sorted first; what was sorted
 * stays for the next scan. A step that came upon too many dead rows, or whose pulse stopped it, is SCAN_PAUSED: go on from *ret_from, which is
 * above all ids that were given; it was at least one id of the shard further than before. One thread; the snapshot has to live as long. */
enum { SCAN_ROWS_MAX = 1 << 18, /* looked at by one scan before it pauses */
	SCAN_SORT_ROWS_MAX = 1 << 17 /* sorted by one scan_open() */ };
enum scan_step { SCAN_ITEM, SCAN_PAUSED, SCAN_END };
struct scan;
/* BUSY: it sorted SCAN_SORT_ROWS_MAX rows and there are more; call it again, after letting others have their turn. TIMEOUT: the pulse stopped it. */
MUST_CHECK enum status scan_open(const struct snapshot *snap, uint64_t from, const struct pulse *pulse, struct scan **ret);
enum scan_step scan_next(struct scan *s, struct item_view *ret_item, uint64_t *ret_from);
void scan_close(struct scan **s);

/* Compact everything into one segment with a new forest. trees 0: the index's own. done runs on the builder's thread, once for each
 * build that was taken. One build at a time: a second is STATUS_BUSY until the first one's done is called. done itself may begin the
 * next, which runs when it has returned. The runner must live until done. */
MUST_CHECK enum status shard_build(struct shard *s, uint32_t trees, uint64_t seed, struct runner *runner,
	void (*done)(void *arg, const struct report *report, uint64_t items), void *arg);
void shard_build_cancel(struct shard *s); /* the build that was taken and has not ended; none: nothing happens */

#endif
