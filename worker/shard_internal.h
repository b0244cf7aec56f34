/* shard_internal.h - what the files of a shard share: shard.c (life and reports), shard_writer.c (its one writer), shard_install.c
 * (what a build asks of that), shard_search.c and shard_scan.c (readers), compact.c (builds). Nobody else includes it.
 *
 * Parts and views. A part (a segment with its livemap, or a memtable) is counted by the views that hold it; a view is one immutable set of
 * parts, counted by the shard and by the snapshots that pinned it. A change of the set makes a new view; the old one goes with its last snapshot.
 *
 * `lock` guards what is marked (lock). It is held for a few assignments at a time, never during files or arithmetic. */
#ifndef WORKER_SHARD_INTERNAL_H
#define WORKER_SHARD_INTERNAL_H

#include <pthread.h>

#include "worker/shard.h"
#include "worker/store/livemap.h"
#include "worker/store/memtable.h"
#include "worker/store/segment.h"
#include "worker/store/wal.h"

/* Frozen memtables that wait for a build, and the active one. Builds that fail leave theirs; at the bound a build takes first what is frozen
 * already, and then the rest. */
enum { MEMTABLES_MAX = 16, SHARD_DIR_MAX = 256 };

/* What the recall that was last wanted of a segment takes: queries want the same again and again, and to find it takes hundreds of logarithms.
 * `k` is the segment's share of the neighbours. Zeroed it is nobody's. */
struct effort_memo { double k, predicted; float recall; uint32_t ef; /* 0: no effort that was measured is enough */ };

struct live_segment {
	_Atomic uint32_t refs;
	struct segment *segment;
	struct livemap live;
	uint64_t number;
	pthread_mutex_t memo_lock; /* held for a few assignments */
	struct effort_memo memo;   /* (memo_lock) */
};
struct live_memtable { _Atomic uint32_t refs; struct memtable *table; };

struct view {
	_Atomic uint32_t refs;
	uint32_t segment_count, memtable_count; /* the last memtable is the active one */
	struct live_segment *segments[MANIFEST_SEGMENTS_MAX];
	struct live_memtable *memtables[MEMTABLES_MAX];
	uint32_t frozen_rows[MEMTABLES_MAX]; /* of all but the last */
	uint64_t frozen_sequence;            /* the frozen memtables and the segments hold everything up to it */
};

struct build; /* compact.c */

struct snapshot { struct view *view; uint64_t sequence, items; uint32_t active_rows; };

/* A build's work, passed between the builder and the writer. */
struct installation {
	/* Told by the freeze: */
	uint64_t sequence;  /* everything up to it goes in */
	uint32_t memtables; /* so many of the oldest are replaced, and all segments */
	bool partial;       /* there was no room for one more: what came later needs another round */
	/* Given to the installation: */
	struct live_segment *segment; /* taken over on success */
	struct manifest_segment entry;
};

enum control { CONTROL_NONE, CONTROL_FREEZE, CONTROL_INSTALL };

struct shard {
	struct io *io;
	char dir[SHARD_DIR_MAX];
	struct shard_identity identity; /* fixed after open */
	struct manifest manifest;       /* writer only, once it runs */
	struct wal *wal;                /* writer only, once it runs; NULL in a shard that never came up */

	pthread_mutex_t lock;
	pthread_cond_t wake;     /* the writer's */
	pthread_cond_t answered; /* a control was carried out */
	pthread_cond_t ordered;  /* the builder's: a build, or the end */
	struct view *view;       /* (lock) */
	uint64_t sequence, durable, items, log_bytes; /* (lock) published */
	uint32_t active_rows;    /* (lock) published */
	enum shard_state state;  /* (lock) OPENING until the writer runs, then SERVING or BUILDING, or STOPPED for good */
	struct report reason;    /* (lock) why it stopped */
	struct shard_write *queue[SHARD_WRITES_PENDING_MAX]; /* (lock) a ring */
	uint32_t queue_first, queue_count;                   /* (lock) */
	size_t queue_bytes;      /* (lock) */
	bool closing;            /* (lock) nothing new is taken; the builder ends first, then the writer, which it needs */
	enum control control;    /* (lock) */
	struct installation *installation; /* (lock) */
	struct report control_report;      /* (lock) */

	pthread_t writer, builder;
	bool writer_runs;
	bool builder_runs;       /* (lock) started by the first build, joined by shard_close() and nobody else */
	struct build *build;     /* (lock) ordered or under way; NULL from just before its `done` */
	_Atomic uint64_t pulse;
	_Atomic bool writer_busy, build_cancelled;
	_Atomic uint64_t build_progress, build_total;
};

/* shard.c */
void shard_stop(struct shard *s, const struct report *why); /* first reason wins */
struct view *view_copy(const struct view *from);            /* with references on all parts; NULL: no memory */
void view_release(struct view **v);
struct live_segment *live_segment_new(struct segment **take);
void live_segment_release(struct live_segment **s);
MUST_CHECK enum status live_memtable_new(const struct shard_identity *id, struct live_memtable **ret);
void live_memtable_release(struct live_memtable **m);
/* One change that is in the log, applied to the view's active memtable (room reserved) and to what it replaces. Returns the change in live items. */
int shard_apply(struct view *v, const struct wal_record *r);
/* The live place of an id as the writer sees it. */
struct place { struct live_segment *segment; struct live_memtable *memtable; uint32_t row; bool found; };
struct place shard_locate(const struct view *v, uint64_t id);
struct segment_bytes place_key(const struct place *p);

/* shard_search.c: rows of the view's memtable i that the snapshot sees; whether it sees a row that died then. */
uint32_t snapshot_memtable_rows(const struct snapshot *snap, uint32_t i);
static inline bool snapshot_sees(const struct snapshot *snap, uint64_t dead_at) { return dead_at == 0 || dead_at > snap->sequence; }

/* shard_writer.c */
void *shard_writer_main(void *shard);
bool shard_stopped(struct shard *s);
/* What the log and the active memtable hold is what snapshots see from here on. Writer only. */
void shard_publish(struct shard *s, int64_t item_change);

/* shard_install.c */
/* Writer only: carry out what was asked, and answer. */
void shard_run_control(struct shard *s, enum control control, struct installation *in);
/* Ask the writer and wait. */
MUST_CHECK enum status shard_control(struct shard *s, enum control control, struct installation *installation, struct report *report);

#endif
