/* io.h - the one door for files: a table of functions, so that tests can put a disk behind it that fails, tears, or forgets
 * what was not synced (tests/support/io_sim.h).
 *
 * Paths are relative to the folder that the io was opened on ("shards/3/wal-1.log"); ".." and absolute paths are refused.
 * All functions return STATUS_OK or: STATUS_NOT_FOUND (open, remove, rename of a missing file), STATUS_EXISTS (exclusive
 * create), STATUS_DISK_FULL (ENOSPC, EDQUOT), STATUS_LOCKED (lock), STATUS_IO (anything else; io_last_error() says what).
 * EINTR and short transfers are finished inside; a short write that cannot be finished is an error, and then the file holds
 * an unknown part of it. After a failed sync nothing may be assumed about the file (promise P13): never sync it again.
 * A `struct io` may be used by several threads; one file handle by one thread at a time. */
#ifndef COMMON_IO_H
#define COMMON_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

struct io_file; /* an open file */

enum io_mode {
	IO_READ,   /* existing file, reading only */
	IO_CREATE, /* new file for writing; fails with EXISTS if there is one */
	IO_APPEND, /* existing or new, for writing at any offset and reading */
};

/* Where in a write's life a thread is: told to io->ops->phase, so that a test can see what a kill fell into. */
enum io_phase { IO_PHASE_IDLE, IO_PHASE_WAL_APPEND, IO_PHASE_WAL_SYNC, IO_PHASE_SEGMENT_WRITE, IO_PHASE_MANIFEST_RENAME, IO_PHASE_COUNT };

struct io;
struct io_ops {
	enum status (*open)(struct io *io, const char *path, enum io_mode mode, struct io_file **ret);
	void (*close)(struct io *io, struct io_file **file); /* NULL is fine; does not sync */
	enum status (*size)(struct io *io, struct io_file *f, uint64_t *ret);
	enum status (*read)(struct io *io, struct io_file *f, uint64_t offset, void *bytes, size_t n); /* all n or STATUS_IO */
	enum status (*write)(struct io *io, struct io_file *f, uint64_t offset, const void *bytes, size_t n);
	enum status (*truncate)(struct io *io, struct io_file *f, uint64_t size);
	enum status (*sync)(struct io *io, struct io_file *f); /* data and size are durable */
	/* Read-only bytes of a whole file (IO_READ); valid until unmap, whatever happens to the name. Size 0: NULL. */
	enum status (*map)(struct io *io, struct io_file *f, const uint8_t **ret, size_t *ret_size);
	void (*unmap)(struct io *io, const uint8_t *bytes, size_t size);
	enum status (*rename)(struct io *io, const char *from, const char *to); /* replaces `to` atomically; durable after sync_dir */
	enum status (*remove)(struct io *io, const char *path);
	enum status (*make_dir)(struct io *io, const char *path); /* present already: OK */
	enum status (*remove_dir)(struct io *io, const char *path); /* must be empty */
	enum status (*sync_dir)(struct io *io, const char *path); /* "" is the root */
	/* Names (not paths) in a folder, sorted by bytes, into a malloc'ed array of malloc'ed strings: io_names_free(). */
	enum status (*list)(struct io *io, const char *path, char ***ret_names, size_t *ret_count);
	enum status (*free_bytes)(struct io *io, uint64_t *ret_free, uint64_t *ret_total); /* what an ordinary user may still write */
	/* An exclusive lock on a file (made if missing) until the handle is closed or the process dies. */
	enum status (*lock)(struct io *io, const char *path, struct io_file **ret);
	void (*phase)(struct io *io, enum io_phase phase);
};

struct io { const struct io_ops *ops; };

/* The real one: POSIX files under `root` (made if missing, mode 0700). If the environment variable GROVE_PHASE_FILE names a
 * file, each phase() of a thread is recorded there (tests/system reads it after a kill). */
MUST_CHECK enum status io_posix_open(const char *root, struct io **ret, struct report *report);
void io_posix_close(struct io **io);

/* The text of this thread's last STATUS_IO / DISK_FULL: "write shards/3/wal-1.log: Input/output error". */
const char *io_last_error(void);
void io_set_last_error(const char *fmt, ...) PRINTF_LIKE(1, 2);
void io_names_free(char ***names, size_t count);

/* Built from the operations above. */
/* Temp file, write, sync, rename, sync of the folder: after a crash the old or the new content is there (promise P15). After
 * STATUS_NO_MEMORY it is the old; after another failure it may be either. */
MUST_CHECK enum status io_replace(struct io *io, const char *path, const void *bytes, size_t n);
/* A whole small file into malloc'ed memory; past `cap` bytes: STATUS_LIMIT. */
MUST_CHECK enum status io_slurp(struct io *io, const char *path, size_t cap, uint8_t **ret, size_t *ret_size);

#endif
