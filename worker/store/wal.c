/* wal.c - the writer's side of wal.h: group commit, rotation, and what each failure means for what was promised.
 *
 * Invariant: bytes 0 .. end of the last file are durable, and hold exactly the records up to `durable`. Every path that cannot
 * keep it poisons the log. */
#include "worker/store/wal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"
#include "worker/store/store_path.h"
#include "worker/store/wal_replay.h"

enum { PENDING_KEPT_MAX = 8 << 20 };

struct wal {
	struct io *io;
	char *dir;
	struct uuid shard;
	struct wal_file *files; /* [count], the last is written to; sizes of the others are final */
	size_t count, room;
	struct io_file *file;
	uint64_t end;           /* of the last file */
	uint64_t durable, next; /* next - 1 - durable records wait in `pending` */
	uint64_t epoch;         /* of the last record, for the end mark */
	struct buf pending;
	bool ended;    /* the last record on disk is an end mark */
	bool poisoned;
	struct histogram *sync_seconds; /* or NULL */
};

static bool file_path(const struct wal *w, uint64_t first, char out[STORE_PATH_MAX])
{
	char name[WAL_NAME_SIZE];

	wal_file_name(first, name);
	return store_path(out, w->dir, name);
}

static enum status stopped(struct report *report, const struct wal *w)
{
	return report_set(report, STATUS_STOPPED, "the log in %s stopped after a failure of the disk: see the worker's log, then restart it",
		w->dir);
}

static enum status file_sync(struct wal *w)
{
	enum status status = STATUS_OK;
	uint64_t begin = clock_us();

	w->io->ops->phase(w->io, IO_PHASE_WAL_SYNC);
#ifndef GROVE_PLANT_NO_SYNC /* without it the power-cut test must fail: that is how we know that it would notice */
	status = w->io->ops->sync(w->io, w->file);
#endif
	w->io->ops->phase(w->io, IO_PHASE_IDLE);
	if (w->sync_seconds) histogram_observe(w->sync_seconds, clock_us() - begin);
	return status;
}

/* A new last file, beginning at w->next. The array has room. On failure the file may or may not have come into being. */
static enum status file_begin(struct wal *w, const char *path)
{
	struct wal_header header = {.shard = w->shard, .first = w->next, .number = w->count ? w->files[w->count - 1].number + 1 : 1};
	uint8_t bytes[WAL_HEADER_SIZE];
	struct io_file *file = NULL;
	enum status status;

	require(w->count < w->room);
	wal_header_encode(&header, bytes);
	status = io_replace(w->io, path, bytes, sizeof bytes);
	if (status == STATUS_OK) status = w->io->ops->open(w->io, path, IO_APPEND, &file);
	if (status != STATUS_OK) return status;
	if (w->file) w->io->ops->close(w->io, &w->file);
	if (w->count) w->files[w->count - 1].size = w->end;
	w->files[w->count++] = (struct wal_file){.first = header.first, .number = header.number, .size = WAL_HEADER_SIZE};
	w->file = file;
	w->end = WAL_HEADER_SIZE;
	w->ended = false;
	return STATUS_OK;
}

/* Remove the first n files. The oldest first, so that what is left has no hole. */
static enum status files_remove(struct wal *w, size_t n)
{
	size_t gone = 0;
	enum status status = STATUS_OK;

	for (; gone < n; gone++) {
		char path[STORE_PATH_MAX];
		status = file_path(w, w->files[gone].first, path) ? w->io->ops->remove(w->io, path) : STATUS_LIMIT;
		if (status == STATUS_NOT_FOUND) status = STATUS_OK;
		if (status != STATUS_OK) break;
	}
	memmove(w->files, w->files + gone, (w->count - gone) * sizeof *w->files);
	w->count -= gone;
	if (gone > 0) {
		enum status synced = w->io->ops->sync_dir(w->io, w->dir);
		if (synced != STATUS_OK) {
			w->poisoned = true;
			status = STATUS_IO;
		}
	}
	return status;
}

/* Make what was read durable: cut the tail, write anew what nobody claims durable, sync. */
static enum status file_settle(struct wal *w, uint64_t unsure)
{
	uint8_t *bytes = NULL;
	const size_t room = 1 << 20;
	enum status status = STATUS_OK;

	if (w->end < w->files[w->count - 1].size) status = w->io->ops->truncate(w->io, w->file, w->end);
	if (status == STATUS_OK && !(bytes = malloc(room))) status = STATUS_NO_MEMORY;
	for (uint64_t at = unsure; at < w->end && status == STATUS_OK;) {
		size_t n = w->end - at < room ? (size_t)(w->end - at) : room;
		status = w->io->ops->read(w->io, w->file, at, bytes, n);
		if (status == STATUS_OK) status = w->io->ops->write(w->io, w->file, at, bytes, n);
		at += n;
	}
	if (status == STATUS_OK) status = file_sync(w);
	free(bytes);
	return status;
}

static enum status existing_open(struct wal *w, struct wal_replay *p, size_t obsolete)
{
	char path[STORE_PATH_MAX];
	enum status status = wal_replay_files(p, w->files + obsolete, w->count - obsolete);

	if (status != STATUS_OK) return status;
	w->end = p->end;
	w->durable = p->last;
	w->next = p->last + 1;
	w->epoch = p->epoch;
	w->ended = p->ended;
	const struct wal_file *last = &w->files[w->count - 1];
	if (!file_path(w, last->first, path)) return report_set(p->report, STATUS_LIMIT, "the path of the log in %s is too long", w->dir);
	status = w->io->ops->open(w->io, path, IO_APPEND, &w->file);
	bool header_only = last->size == WAL_HEADER_SIZE; /* that was durable before the file had its name */
	if (status == STATUS_OK && !header_only) status = file_settle(w, p->unsure);
	/* The names too: the life before may have ended between a rename (of a log file, or of the manifest that makes files obsolete) and
	 * the folder's sync. */
	if (status == STATUS_OK) status = w->io->ops->sync_dir(w->io, w->dir);
	if (status == STATUS_OK) {
		status = files_remove(w, obsolete);
		if (status == STATUS_DISK_FULL) status = STATUS_OK; /* to remove may need space: wal_remove_through() takes them later */
	}
	if (status != STATUS_OK) return report_set(p->report, status, "%s could not be made ready: %s", path, io_last_error());
	return STATUS_OK;
}

/* All but what the files say. *ret is to be closed, also after a failure. */
static enum status wal_new(struct io *io, const char *dir, struct uuid shard, struct wal **ret, struct report *report)
{
	struct wal *w = calloc(1, sizeof *w);
	enum status status;

	if (!w) return report_set(report, STATUS_NO_MEMORY, "no memory to open the log in %s", dir);
	*ret = w;
	buf_init(&w->pending, WAL_PENDING_MAX);
	w->io = io;
	w->shard = shard;
	w->dir = strdup(dir);
	if (!w->dir) return report_set(report, STATUS_NO_MEMORY, "no memory to open the log in %s", dir);
	status = wal_list(io, dir, &w->files, &w->count);
	if (status != STATUS_OK) return report_set(report, status, "the folder %s could not be listed: %s", dir, io_last_error());
	w->room = w->count + 1;
	return STATUS_OK;
}

enum status wal_create(struct io *io, const char *dir, struct uuid shard, struct report *report)
{
	char path[STORE_PATH_MAX];
	struct wal *w = NULL;
	enum status status = wal_new(io, dir, shard, &w, report);

	if (status != STATUS_OK || w->count > 0) goto out;
	w->next = 1;
	if (!file_path(w, w->next, path)) {
		status = report_set(report, STATUS_LIMIT, "the path of the log in %s is too long", dir);
		goto out;
	}
	status = file_begin(w, path);
	if (status != STATUS_OK) report_set(report, status, "%s could not be made: %s", path, io_last_error());
out:
	wal_close(&w, false);
	return status;
}

enum status wal_open(struct io *io, const char *dir, struct uuid shard, uint64_t after, uint64_t manifest_durable,
	enum status (*apply)(void *arg, const struct wal_record *r), void *arg, struct wal **ret, uint64_t *ret_next, struct report *report)
{
	struct wal_replay replay = {.io = io, .dir = dir, .shard = shard, .after = after, .apply = apply, .arg = arg, .report = report,
		.claimed = manifest_durable};
	struct wal *w = NULL;
	enum status status = wal_new(io, dir, shard, &w, report);

	if (status != STATUS_OK) goto out;
	if (w->count == 0) {
		status = report_set(report, STATUS_CORRUPT, "%s: the log is missing: restore the shard from a copy", dir);
		goto out;
	}
	status = existing_open(w, &replay, wal_obsolete(w->files, w->count, after));
	if (status != STATUS_OK) goto out;
	*ret_next = w->next;
	*ret = w;
	w = NULL;
out:
	wal_close(&w, false);
	return status;
}

/* Empty, and without the memory of an unusually large group. */
static void pending_reset(struct wal *w)
{
	buf_reset(&w->pending);
	if (w->pending.room <= PENDING_KEPT_MAX) return;
	buf_release(&w->pending);
	buf_init(&w->pending, WAL_PENDING_MAX);
}

void wal_discard(struct wal *w)
{
	pending_reset(w);
	w->next = w->durable + 1;
}

static enum status record_put(struct wal *w, const struct wal_record *r)
{
	size_t size = wal_record_size(r);
	uint8_t *out;
	enum status status;

	if (size > WAL_PENDING_MAX - w->pending.size) return STATUS_LIMIT;
	status = buf_extend(&w->pending, size, &out);
	if (status != STATUS_OK) return status;
	struct wal_record dated = *r;
	dated.durable = w->durable;
	wal_record_encode(&dated, w->shard, out);
	return STATUS_OK;
}

enum status wal_append(struct wal *w, const struct wal_record *r)
{
	enum status status;

	if (w->poisoned) return STATUS_STOPPED;
	require(r->kind == WAL_UPSERT || r->kind == WAL_DELETE);
	require(r->sequence == w->next);
	status = record_put(w, r);
	if (status != STATUS_OK) return status;
	w->epoch = r->epoch;
	w->next++;
	return STATUS_OK;
}

/* After a write that found the disk full: back to the durable end, durably, or not at all. */
static void file_undo(struct wal *w)
{
	enum status status = w->io->ops->truncate(w->io, w->file, w->end);

	if (status == STATUS_OK) status = file_sync(w);
	if (status != STATUS_OK) w->poisoned = true;
}

/* Write and sync what waits. */
static enum status pending_flush(struct wal *w, const char **ret_step)
{
	enum status status;

	*ret_step = "written";
	w->io->ops->phase(w->io, IO_PHASE_WAL_APPEND);
	status = w->io->ops->write(w->io, w->file, w->end, w->pending.bytes, w->pending.size);
	w->io->ops->phase(w->io, IO_PHASE_IDLE);
	if (status == STATUS_DISK_FULL) file_undo(w);
	else if (status != STATUS_OK) w->poisoned = true;
	if (status != STATUS_OK) return status;
	*ret_step = "synced";
	status = file_sync(w);
	if (status != STATUS_OK) {
		w->poisoned = true;
		return status;
	}
	w->end += w->pending.size;
	w->durable = w->next - 1;
	pending_reset(w);
	return STATUS_OK;
}

enum status wal_commit(struct wal *w, struct report *report)
{
	const char *step;
	char why[REPORT_TEXT_MAX];
	enum status status;

	if (w->poisoned) {
		wal_discard(w);
		return stopped(report, w);
	}
	if (w->pending.size == 0) return STATUS_OK;
	status = pending_flush(w, &step);
	if (status == STATUS_OK) {
		w->ended = false;
		return STATUS_OK;
	}
	wal_discard(w);
	snprintf(why, sizeof why, "%.300s", io_last_error());
	if (status == STATUS_DISK_FULL && w->poisoned)
		return report_set(report, STATUS_IO, "the log in %s could not be cut back on a full disk: %s", w->dir, why);
	if (status == STATUS_DISK_FULL)
		return report_set(report, status, "no space for the log in %s: free some, writes then go on by themselves", w->dir);
	return report_set(report, STATUS_IO, "the log in %s could not be %s, the shard stops: %s", w->dir, step, why);
}

void wal_watch_syncs(struct wal *w, struct histogram *seconds) { w->sync_seconds = seconds; }

uint64_t wal_next(const struct wal *w)
{
	return w->next;
}

uint64_t wal_durable(const struct wal *w)
{
	return w->durable;
}

uint64_t wal_bytes(const struct wal *w)
{
	uint64_t total = w->end;

	for (size_t i = 0; i + 1 < w->count; i++) total += w->files[i].size;
	return total;
}

enum status wal_rotate(struct wal *w, struct report *report)
{
	char path[STORE_PATH_MAX], why[REPORT_TEXT_MAX];
	enum status status;

	if (w->poisoned) return stopped(report, w);
	require(w->pending.size == 0);
	if (w->next == w->files[w->count - 1].first) return STATUS_OK; /* it holds no record yet */
	if (!file_path(w, w->next, path)) return report_set(report, STATUS_LIMIT, "the path of the log in %s is too long", w->dir);
	if (w->count == w->room) {
		struct wal_file *more = realloc(w->files, (w->room + 1) * sizeof *more);
		if (!more) return report_set(report, STATUS_NO_MEMORY, "no memory for another log file in %s", w->dir);
		w->files = more;
		w->room++;
	}
	status = file_begin(w, path);
	if (status == STATUS_OK) return STATUS_OK;
	snprintf(why, sizeof why, "%.300s", io_last_error());
	/* If its name came into being, later records in the old file would contradict it. */
	if (status == STATUS_DISK_FULL || status == STATUS_NO_MEMORY) {
		enum status undone = w->io->ops->remove(w->io, path);
		if (undone == STATUS_NOT_FOUND) undone = STATUS_OK;
		if (undone == STATUS_OK) undone = w->io->ops->sync_dir(w->io, w->dir);
		w->poisoned = undone != STATUS_OK;
	} else {
		w->poisoned = true;
	}
	if (w->poisoned) status = STATUS_IO;
	return report_set(report, status, "%s could not be made: %s", path, why);
}

enum status wal_remove_through(struct wal *w, uint64_t sequence)
{
	if (w->poisoned) return STATUS_STOPPED;
	return files_remove(w, wal_obsolete(w->files, w->count, sequence));
}

/* The end mark is a courtesy to the next open: failing to write it loses nothing. */
static void end_mark_write(struct wal *w)
{
	struct wal_record end = {.kind = WAL_END, .epoch = w->epoch};
	const char *step;

	wal_discard(w);
	end.sequence = w->next;
	if (record_put(w, &end) == STATUS_OK && pending_flush(w, &step) != STATUS_OK) w->poisoned = true;
}

void wal_close(struct wal **wal, bool clean)
{
	struct wal *w = *wal;

	if (!w) return;
	if (clean && !w->poisoned && !w->ended && w->file) end_mark_write(w);
	if (w->file) w->io->ops->close(w->io, &w->file);
	buf_release(&w->pending);
	free(w->files);
	free(w->dir);
	free(w);
	*wal = NULL;
}
