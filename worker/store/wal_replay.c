/* wal_replay.c - the reader's side of wal.h: valid records in order, then what the first invalid one means. */
#include "worker/store/wal_replay.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "worker/store/store_path.h"

/* A piece of the file in memory. Reads, no mapping: a disk error is then a status, not a signal. */
enum { WINDOW_ROOM = 1 << 20 };
_Static_assert((int)WINDOW_ROOM >= (int)WAL_RECORD_MAX, "a record must fit the window");

struct window {
	struct io *io;
	struct io_file *file;
	uint64_t size; /* of the file */
	uint64_t at;   /* offset of bytes[0] */
	size_t have, room;
	uint8_t *bytes;
};

static enum status window_open(struct window *w, struct io *io, const char *path)
{
	enum status status = io->ops->open(io, path, IO_READ, &w->file);

	w->io = io;
	if (status == STATUS_OK) status = io->ops->size(io, w->file, &w->size);
	if (status != STATUS_OK) return status;
	w->room = w->size < WINDOW_ROOM ? (size_t)w->size : WINDOW_ROOM;
	w->bytes = malloc(w->room + 1);
	return w->bytes ? STATUS_OK : STATUS_NO_MEMORY;
}

static void window_close(struct window *w)
{
	if (w->file) w->io->ops->close(w->io, &w->file);
	free(w->bytes);
	*w = (struct window){0};
}

/* At least WAL_RECORD_MAX bytes from `offset` on, or all up to the file's end. */
static enum status window_get(struct window *w, uint64_t offset, const uint8_t **ret, size_t *ret_n)
{
	uint64_t left = w->size - offset;
	size_t want = left < WAL_RECORD_MAX ? (size_t)left : WAL_RECORD_MAX;

	require(offset <= w->size);
	if (offset < w->at || offset + want > w->at + w->have) {
		size_t n = left < w->room ? (size_t)left : w->room;
		enum status status = w->io->ops->read(w->io, w->file, offset, w->bytes, n);
		w->have = 0;
		if (status != STATUS_OK) return status;
		w->at = offset;
		w->have = n;
	}
	*ret = w->bytes + (offset - w->at);
	*ret_n = w->have - (size_t)(offset - w->at);
	return STATUS_OK;
}

/* The highest durable sequence that any intact record from `offset` on claims. A record is found by its shard's uuid. */
static enum status claims_after(struct wal_replay *p, struct window *w, uint64_t offset)
{
	while (offset < w->size) {
		const uint8_t *bytes, *hit;
		struct wal_record r;
		size_t n, size;
		enum status status = window_get(w, offset, &bytes, &n);

		if (status != STATUS_OK) return status;
		if (n < WAL_RECORD_FIXED) return STATUS_OK;
		hit = memmem(bytes + WAL_UUID_AT, n - WAL_UUID_AT, p->shard.bytes, sizeof p->shard.bytes);
		if (!hit) {
			offset += n - WAL_UUID_AT - sizeof p->shard.bytes + 1;
			continue;
		}
		offset += (uint64_t)(hit - WAL_UUID_AT - bytes);
		status = window_get(w, offset, &bytes, &n);
		if (status != STATUS_OK) return status;
		if (wal_record_decode(bytes, n, p->shard, &r, &size) == WAL_GOOD && r.durable > p->claimed) p->claimed = r.durable;
		offset++;
	}
	return STATUS_OK;
}

static enum status record_take(struct wal_replay *p, const struct wal_record *r, uint64_t offset)
{
	enum status status = STATUS_OK;

	if (r->durable > p->claimed) p->claimed = r->durable;
	if (r->durable + 1 == r->sequence) p->unsure = offset;
	p->epoch = r->epoch;
	p->ended = r->kind == WAL_END;
	if (p->ended) return STATUS_OK;
	p->last = r->sequence;
	if (r->sequence > p->after) status = p->apply(p->arg, r);
	if (status != STATUS_OK)
		return report_set(p->report, status, "replaying the log in %s stopped at sequence %" PRIu64 ": %s", p->dir, r->sequence,
			status_text(status));
	return STATUS_OK;
}

static enum status read_failed(struct wal_replay *p, const char *path, enum status status)
{
	if (status == STATUS_NO_MEMORY) return report_set(p->report, status, "no memory to read %s", path);
	return report_set(p->report, status, "%s could not be read: %s", path, io_last_error());
}

/* All records up to the end or the first that is not the next one; p->end tells where that is. */
static enum status records_read(struct wal_replay *p, struct window *w, const char *path)
{
	p->end = p->unsure = WAL_HEADER_SIZE;
	for (;;) {
		const uint8_t *bytes;
		struct wal_record r;
		size_t n, size;
		enum status status = window_get(w, p->end, &bytes, &n);

		if (status != STATUS_OK) return read_failed(p, path, status);
		if (n == 0) return STATUS_OK;
		enum wal_verdict verdict = wal_record_decode(bytes, n, p->shard, &r, &size);
		if (verdict == WAL_STRANGE)
			return report_set(p->report, STATUS_CORRUPT,
				"%s: the record at offset %" PRIu64 " is intact but makes no sense: restore the shard from a copy", path, p->end);
		if (verdict != WAL_GOOD || r.sequence != p->last + 1) return STATUS_OK;
		status = record_take(p, &r, p->end);
		if (status != STATUS_OK) return status;
		p->end += size;
	}
}

static enum status header_read(struct wal_replay *p, struct window *w, const char *path, struct wal_file *file)
{
	struct wal_header h;
	const uint8_t *bytes;
	size_t n;
	enum status status = window_get(w, 0, &bytes, &n);

	if (status != STATUS_OK) return read_failed(p, path, status);
	status = wal_header_decode(bytes, n, &h);
	if (status == STATUS_UNSUPPORTED)
		return report_set(p->report, status, "%s has a version or features of a newer Grove: use that", path);
	if (status != STATUS_OK)
		return report_set(p->report, status, "%s: the header does not match its checksum: restore the shard from a copy", path);
	if (!uuid_equal(h.shard, p->shard))
		return report_set(p->report, STATUS_CORRUPT, "%s is another shard's log: put the right file back", path);
	if (h.first != file->first)
		return report_set(p->report, STATUS_CORRUPT, "%s is another file of the log, renamed: put the right file back", path);
	file->number = h.number;
	file->size = w->size;
	return STATUS_OK;
}

static enum status file_replay(struct wal_replay *p, struct wal_file *file, bool is_last)
{
	char name[WAL_NAME_SIZE], path[STORE_PATH_MAX];
	struct window w = {0};
	enum status status;

	wal_file_name(file->first, name);
	if (!store_path(path, p->dir, name)) return report_set(p->report, STATUS_LIMIT, "the path %s/%s is too long", p->dir, name);
	status = window_open(&w, p->io, path);
	if (status != STATUS_OK) {
		status = read_failed(p, path, status);
		goto out;
	}
	status = header_read(p, &w, path, file);
	if (status != STATUS_OK) goto out;
	if (file->first - 1 > p->claimed) p->claimed = file->first - 1;
	status = records_read(p, &w, path);
	if (status != STATUS_OK) goto out;
	if (p->end < w.size) {
		status = claims_after(p, &w, p->end);
		if (status != STATUS_OK) {
			status = read_failed(p, path, status);
			goto out;
		}
	}
	if (p->end < w.size && !is_last)
		status = report_set(p->report, STATUS_CORRUPT,
			"%s: the record at offset %" PRIu64 " is bad, and later log files follow: restore the shard from a copy", path, p->end);
	else if (is_last && p->claimed > p->last)
		status = report_set(p->report, STATUS_CORRUPT,
			"%s: the record at offset %" PRIu64 " (sequence %" PRIu64 ") is bad or missing, but all up to %" PRIu64
			" were durable: restore the shard from a copy", path, p->end, p->last + 1, p->claimed);
out:
	window_close(&w);
	return status;
}

enum status wal_replay_files(struct wal_replay *p, struct wal_file *files, size_t count)
{
	if (p->after > p->claimed) p->claimed = p->after;
	if (files[0].first > p->after + 1)
		return report_set(p->report, STATUS_CORRUPT,
			"%s: the log begins at sequence %" PRIu64 ", those from %" PRIu64 " on are missing: restore the shard from a copy", p->dir,
			files[0].first, p->after + 1);
	p->last = files[0].first - 1;
	for (size_t i = 0; i < count; i++) {
		enum status status;
		if (files[i].first != p->last + 1)
			return report_set(p->report, STATUS_CORRUPT,
				"%s: the log file of sequence %" PRIu64 " is followed by one of %" PRIu64 ", not %" PRIu64
				": restore the shard from a copy", p->dir, files[i - 1].first, files[i].first, p->last + 1);
		status = file_replay(p, &files[i], i + 1 == count);
		if (status != STATUS_OK) return status;
		if (i > 0 && files[i].number != files[i - 1].number + 1)
			return report_set(p->report, STATUS_CORRUPT, "%s: the log files from sequence %" PRIu64 " and %" PRIu64
				" do not follow each other: restore the shard from a copy", p->dir, files[i - 1].first, files[i].first);
	}
	return STATUS_OK;
}

size_t wal_obsolete(const struct wal_file *files, size_t count, uint64_t after)
{
	size_t obsolete = 0;

	while (obsolete + 1 < count && files[obsolete + 1].first - 1 <= after) obsolete++;
	return obsolete;
}

enum status wal_list(struct io *io, const char *dir, struct wal_file **ret, size_t *ret_count)
{
	struct wal_file *files;
	char **names = NULL;
	size_t count = 0, found = 0;
	enum status status = io->ops->list(io, dir, &names, &count);

	if (status != STATUS_OK) return status;
	files = calloc(count + 1, sizeof *files);
	for (size_t i = 0; files && i < count; i++) /* names come sorted, and 20 digits sort as numbers */
		if (wal_file_name_parse(names[i], &files[found].first)) found++;
	io_names_free(&names, count);
	if (!files) return STATUS_NO_MEMORY;
	*ret = files;
	*ret_count = found;
	return STATUS_OK;
}
