/* io_posix.c - POSIX files under one folder, by openat() and friends relative to it.
 *
 * The phase file (GROVE_PHASE_FILE, one for each process) is PHASE_SLOTS bytes in a shared mapping: each thread that tells a phase owns
 * one byte, taken when it first does; its value is enum io_phase. A reader that maps the file sees, also after a kill, what each
 * thread was in. It is a window for tests, not data: nothing is ever read back. With GROVE_PHASE_DWELL_US besides, an append to a
 * log is written in two halves with so many microseconds between them, so that a kill can be aimed into it. */
#include "common/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/clock.h"

enum { PHASE_SLOTS = 64, PATH_BYTES_MAX = 400, EAGER_BYTES = 1 << 17 };

struct io_posix { struct io io; int root; };
struct io_file { int fd; bool created; char path[PATH_BYTES_MAX]; };

static int root_of(struct io *io) { return ((struct io_posix *)io)->root; }

static enum status failed(const char *what, const char *path)
{
	int error = errno;

	io_set_last_error("%s %s: %s", what, *path ? path : ".", strerror(error));
	switch (error) {
	case ENOENT: return STATUS_NOT_FOUND;
	case EEXIST: return STATUS_EXISTS;
	case ENOSPC:
	case EDQUOT: return STATUS_DISK_FULL;
	case ENOMEM: return STATUS_NO_MEMORY;
	default: return STATUS_IO;
	}
}

/* Relative, without "..", and not too long. */
static bool path_allowed(const char *path)
{
	if (path[0] == '/' || strlen(path) >= PATH_BYTES_MAX) return false;
	for (const char *at = path; (at = strstr(at, "..")); at += 2)
		if ((at == path || at[-1] == '/') && (at[2] == 0 || at[2] == '/')) return false;
	return true;
}

static enum status refuse_path(const char *path)
{
	io_set_last_error("refused the path '%.100s': paths are relative, without '..', and shorter than %d bytes", path, PATH_BYTES_MAX);
	return STATUS_IO;
}

static enum status posix_open(struct io *io, const char *path, enum io_mode mode, struct io_file **ret)
{
	static const int flags[] = {[IO_READ] = O_RDONLY, [IO_CREATE] = O_RDWR | O_CREAT | O_EXCL, [IO_APPEND] = O_RDWR | O_CREAT};
	struct io_file *f;

	if (!path_allowed(path)) return refuse_path(path);
	f = malloc(sizeof(*f));
	if (!f) return STATUS_NO_MEMORY;
	f->created = mode == IO_CREATE;
	snprintf(f->path, sizeof(f->path), "%s", path);
	while ((f->fd = openat(root_of(io), path, flags[mode] | O_CLOEXEC, 0600)) == -1 && errno == EINTR) continue;
	if (f->fd == -1) {
		enum status status = failed("open", path);
		free(f);
		return status;
	}
	*ret = f;
	return STATUS_OK;
}

static void posix_close(struct io *io, struct io_file **file)
{
	if (!*file) return;
	close((*file)->fd);
	free(*file);
	*file = NULL;
}

static enum status posix_size(struct io *io, struct io_file *f, uint64_t *ret)
{
	struct stat s;

	if (fstat(f->fd, &s) == -1) return failed("stat", f->path);
	*ret = (uint64_t)s.st_size;
	return STATUS_OK;
}

static enum status posix_read(struct io *io, struct io_file *f, uint64_t offset, void *bytes, size_t n)
{
	uint8_t *at = bytes;

	while (n > 0) {
		ssize_t got = pread(f->fd, at, n, (off_t)offset);
		if (got == -1 && errno == EINTR) continue;
		if (got == -1) return failed("read", f->path);
		if (got == 0) {
			io_set_last_error("read %s: the file ends early, at byte %llu", f->path, (unsigned long long)offset);
			return STATUS_IO;
		}
		at += got;
		offset += (uint64_t)got;
		n -= (size_t)got;
	}
	return STATUS_OK;
}

static _Thread_local enum io_phase phase_now;
static uint64_t phase_dwell_us;

static enum status write_all(struct io_file *f, uint64_t offset, const void *bytes, size_t n)
{
	const uint8_t *at = bytes;

	while (n > 0) {
		ssize_t put = pwrite(f->fd, at, n, (off_t)offset);
		if (put == -1 && errno == EINTR) continue;
		if (put == -1) return failed("write", f->path);
		if (put == 0) {
			io_set_last_error("write %s: nothing more is taken at byte %llu", f->path, (unsigned long long)offset);
			return STATUS_IO;
		}
		at += put;
		offset += (uint64_t)put;
		n -= (size_t)put;
	}
	return STATUS_OK;
}

/* A new file is written to be synced as a whole: the disk begins meanwhile. Nothing is waited for, and an error is the sync's to tell. */
static void begin_to_sync(struct io_file *f, uint64_t offset, size_t n)
{
	if (f->created && n >= EAGER_BYTES) (void)sync_file_range(f->fd, (off_t)offset, (off_t)n, SYNC_FILE_RANGE_WRITE);
}

static enum status posix_write(struct io *io, struct io_file *f, uint64_t offset, const void *bytes, size_t n)
{
	size_t half = n / 2;
	enum status status;

	if (!phase_dwell_us || phase_now != IO_PHASE_WAL_APPEND) {
		status = write_all(f, offset, bytes, n);
		if (status == STATUS_OK) begin_to_sync(f, offset, n);
		return status;
	}
	status = write_all(f, offset, bytes, half);
	clock_sleep_us(phase_dwell_us);
	return status == STATUS_OK ? write_all(f, offset + half, (const uint8_t *)bytes + half, n - half) : status;
}

static enum status posix_truncate(struct io *io, struct io_file *f, uint64_t size)
{
	int rc;

	while ((rc = ftruncate(f->fd, (off_t)size)) == -1 && errno == EINTR) continue;
	return rc == -1 ? failed("truncate", f->path) : STATUS_OK;
}

/* Once: after a failure, EINTR included, nothing may be assumed (io.h). */
static enum status posix_sync(struct io *io, struct io_file *f) { return fdatasync(f->fd) == -1 ? failed("sync", f->path) : STATUS_OK; }

static enum status posix_map(struct io *io, struct io_file *f, const uint8_t **ret, size_t *ret_size)
{
	uint64_t size;
	void *bytes = NULL;
	enum status status = posix_size(io, f, &size);

	if (status != STATUS_OK) return status;
	if (size > 0) {
		bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, f->fd, 0);
		if (bytes == MAP_FAILED) return failed("map", f->path);
	}
	*ret = bytes;
	*ret_size = size;
	return STATUS_OK;
}

static void posix_unmap(struct io *io, const uint8_t *bytes, size_t size)
{
	if (bytes) munmap((void *)(uintptr_t)bytes, size);
}

static enum status posix_rename(struct io *io, const char *from, const char *to)
{
	if (!path_allowed(from) || !path_allowed(to)) return refuse_path(to);
	return renameat(root_of(io), from, root_of(io), to) == -1 ? failed("rename to", to) : STATUS_OK;
}

static enum status posix_remove(struct io *io, const char *path)
{
	if (!path_allowed(path)) return refuse_path(path);
	return unlinkat(root_of(io), path, 0) == -1 ? failed("remove", path) : STATUS_OK;
}

static enum status posix_make_dir(struct io *io, const char *path)
{
	if (!path_allowed(path)) return refuse_path(path);
	return mkdirat(root_of(io), path, 0700) == -1 && errno != EEXIST ? failed("make folder", path) : STATUS_OK;
}

static enum status posix_remove_dir(struct io *io, const char *path)
{
	if (!path_allowed(path)) return refuse_path(path);
	return unlinkat(root_of(io), path, AT_REMOVEDIR) == -1 ? failed("remove folder", path) : STATUS_OK;
}

static enum status posix_sync_dir(struct io *io, const char *path)
{
	enum status status = STATUS_OK;
	int fd;

	if (!path_allowed(path)) return refuse_path(path);
	fd = openat(root_of(io), *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1) return failed("open folder", path);
	if (fsync(fd) == -1) status = failed("sync folder", path);
	close(fd);
	return status;
}

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static enum status posix_list(struct io *io, const char *path, char ***ret_names, size_t *ret_count)
{
	enum status status = STATUS_OK;
	char **names = NULL;
	size_t count = 0, room = 0;
	struct dirent *entry;
	int fd;

	if (!path_allowed(path)) return refuse_path(path);
	fd = openat(root_of(io), *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1) return failed("open folder", path);
	DIR *dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return STATUS_NO_MEMORY;
	}
	while (status == STATUS_OK && (errno = 0, entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
		if (count == room) {
			room = room ? 2 * room : 16;
			char **grown = realloc(names, room * sizeof(*names));
			if (!grown) {
				status = STATUS_NO_MEMORY;
				break;
			}
			names = grown;
		}
		names[count] = strdup(entry->d_name);
		if (names[count])
			count++;
		else
			status = STATUS_NO_MEMORY;
	}
	if (status == STATUS_OK && errno) status = failed("list", path);
	closedir(dir);
	if (status != STATUS_OK) {
		io_names_free(&names, count);
		return status;
	}
	if (count) qsort(names, count, sizeof(*names), by_bytes);
	*ret_names = names;
	*ret_count = count;
	return STATUS_OK;
}

static enum status posix_free_bytes(struct io *io, uint64_t *ret_free, uint64_t *ret_total)
{
	struct statvfs s;

	if (fstatvfs(root_of(io), &s) == -1) return failed("ask the file system of", "");
	*ret_free = (uint64_t)s.f_bavail * s.f_frsize;
	*ret_total = (uint64_t)s.f_blocks * s.f_frsize;
	return STATUS_OK;
}

static enum status posix_lock(struct io *io, const char *path, struct io_file **ret)
{
	struct io_file *f = NULL;
	enum status status = posix_open(io, path, IO_APPEND, &f);

	if (status != STATUS_OK) return status;
	if (flock(f->fd, LOCK_EX | LOCK_NB) == -1) {
		status = errno == EWOULDBLOCK ? STATUS_LOCKED : failed("lock", path);
		posix_close(io, &f);
		return status;
	}
	*ret = f;
	return STATUS_OK;
}

/* ---- phases ---- */

static _Atomic unsigned char *phase_slots;
static _Atomic unsigned phase_threads;
static _Thread_local unsigned phase_slot = PHASE_SLOTS;

static void posix_phase(struct io *io, enum io_phase phase)
{
	_Atomic unsigned char *slots = phase_slots;

	if (!slots) return;
	phase_now = phase;
	if (phase_slot == PHASE_SLOTS) phase_slot = atomic_fetch_add(&phase_threads, 1);
	if (phase_slot < PHASE_SLOTS)
		atomic_store(&slots[phase_slot], (unsigned char)phase);
	else
		phase_slot = PHASE_SLOTS + 1; /* more threads than slots: the rest is not recorded */
}

static void phase_open(void)
{
	const char *path = getenv("GROVE_PHASE_FILE"), *dwell = getenv("GROVE_PHASE_DWELL_US");
	int fd;

	if (!path || phase_slots) return;
	if (dwell) phase_dwell_us = strtoull(dwell, NULL, 10);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1) return;
	if (ftruncate(fd, PHASE_SLOTS) == 0) {
		void *mapped = mmap(NULL, PHASE_SLOTS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (mapped != MAP_FAILED) phase_slots = mapped;
	}
	close(fd);
}

static const struct io_ops posix_ops = {
	.open = posix_open,
	.close = posix_close,
	.size = posix_size,
	.read = posix_read,
	.write = posix_write,
	.truncate = posix_truncate,
	.sync = posix_sync,
	.map = posix_map,
	.unmap = posix_unmap,
	.rename = posix_rename,
	.remove = posix_remove,
	.make_dir = posix_make_dir,
	.remove_dir = posix_remove_dir,
	.sync_dir = posix_sync_dir,
	.list = posix_list,
	.free_bytes = posix_free_bytes,
	.lock = posix_lock,
	.phase = posix_phase,
};

/* A folder that is made here is made durable: what is synced in it later must not go with its name. */
static bool make_folder(const char *path)
{
	char parent[4096];
	const char *slash = strrchr(path, '/');
	int fd;

	if (mkdir(path, 0700) == -1) return errno == EEXIST;
	snprintf(parent, sizeof(parent), "%.*s", !slash ? 1 : slash == path ? 1 : (int)(slash - path), slash ? path : ".");
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1) return false;
	bool synced = fsync(fd) == 0;
	int error = errno;
	close(fd);
	errno = error;
	return synced;
}

/* mkdir -p; on failure errno says why. */
static bool make_folders(const char *root)
{
	char path[4096];
	size_t n = strlen(root);

	if (n == 0 || n >= sizeof(path)) {
		errno = n ? ENAMETOOLONG : ENOENT;
		return false;
	}
	memcpy(path, root, n + 1);
	while (n > 1 && path[n - 1] == '/') path[--n] = 0;
	for (char *at = path + 1; *at; at++) {
		if (*at != '/') continue;
		*at = 0;
		if (!make_folder(path)) return false;
		*at = '/';
	}
	return make_folder(path);
}

enum status io_posix_open(const char *root, struct io **ret, struct report *report)
{
	struct io_posix *posix;

	if (!make_folders(root)) return report_set(report, STATUS_IO, "cannot make the folder %s: %s", root, strerror(errno));
	posix = malloc(sizeof(*posix));
	if (!posix) return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	posix->io.ops = &posix_ops;
	posix->root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (posix->root == -1) {
		enum status status = report_set(report, STATUS_IO, "cannot open the folder %s: %s", root, strerror(errno));
		free(posix);
		return status;
	}
	phase_open();
	*ret = &posix->io;
	return STATUS_OK;
}

void io_posix_close(struct io **io)
{
	if (!*io) return;
	close(root_of(*io));
	free(*io);
	*io = NULL;
}
