/* wal_replay.h - reading a shard's log from its files. Private to wal*.c. Changes nothing on disk. */
#ifndef STORE_WAL_REPLAY_H
#define STORE_WAL_REPLAY_H

#include "worker/store/wal_format.h"

struct wal_file { uint64_t first, number, size; };

struct wal_replay {
	/* given */
	struct io *io;
	const char *dir;
	struct uuid shard;
	uint64_t after;
	enum status (*apply)(void *arg, const struct wal_record *r);
	void *arg;
	struct report *report;
	/* found; `claimed` is given too: what the manifest knows durable */
	uint64_t claimed, last, epoch;
	bool ended;      /* the log's last record is a clean end */
	uint64_t end;    /* of the last file's valid records: past it is the tail to be cut */
	uint64_t unsure; /* offset in the last file from which on no record is claimed durable */
};

/* The log files of `dir` by first sequence, malloc'ed, with room for one more; their sizes and numbers are not filled in yet. */
MUST_CHECK enum status wal_list(struct io *io, const char *dir, struct wal_file **ret, size_t *ret_count);
/* How many of the first files hold only records <= after: their successor begins at or before after + 1. */
size_t wal_obsolete(const struct wal_file *files, size_t count, uint64_t after);
/* Read count >= 1 files that follow each other, the first beginning at or before after + 1; fills in their sizes and numbers. */
MUST_CHECK enum status wal_replay_files(struct wal_replay *p, struct wal_file *files, size_t count);

#endif
