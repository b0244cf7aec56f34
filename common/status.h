/* status.h - the one error vocabulary of Grove.
 *
 * Zero is success, every failure is negative. Name, number, wire code and sentence stand in one table (STATUS_MAP), so they
 * cannot drift apart. A function that returns a status leaves its outputs untouched on failure unless its header says more.
 * The sentence in the table is general; `struct report` carries the particular one ("index 'shoes' has 784 dimensions, the
 * vectors have 128"). Any thread may use everything here. */
#ifndef COMMON_STATUS_H
#define COMMON_STATUS_H

#include <stdarg.h>
#include <stddef.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* X(NAME, number, wire name, sentence). The wire name is what CLIENT.md lists; numbers are never reused. */
#define STATUS_MAP(X)                                                                                                  \
	X(OK, 0, "ok", "success")                                                                                      \
	X(NO_MEMORY, -1, "no_memory", "out of memory: ask for less at once, or give the process more memory")          \
	X(BAD_REQUEST, -2, "bad_request", "the request is malformed: check it against proto/CLIENT.md")                \
	X(LIMIT, -3, "limit", "a limit is exceeded: the message names it")                                             \
	X(NOT_FOUND, -4, "not_found", "no such index or item: `grove list` shows the indexes")                         \
	X(EXISTS, -5, "exists", "an index of that name exists already: drop it first or choose another name")          \
	X(BUSY, -6, "busy", "too much work is queued: try again a little later")                                       \
	X(TIMEOUT, -7, "timeout", "the deadline passed: allow more time, or ask for less")                             \
	X(UNAVAILABLE, -8, "unavailable", "no worker can serve this now: `grove status` shows which are missing")      \
	X(INCOMPLETE, -9, "incomplete", "not every shard answered: the hits are partial")                              \
	X(DISK_FULL, -10, "disk_full", "the disk reserve is reached: free space, writes then go on by themselves")     \
	X(IO, -11, "io", "reading or writing a file failed: see the worker's log")                                     \
	X(CORRUPT, -12, "corrupt", "stored data does not match its checksum: see the worker's log for the file")       \
	X(LOCKED, -13, "locked", "the data folder is in use by another process: stop it or choose another folder")     \
	X(UNKNOWN, -14, "unknown", "the outcome is unknown: the write may be applied, now or later; it is safe to repeat")      \
	X(UNSUPPORTED, -15, "unsupported", "this version does not know that operation, version or format")             \
	X(CANCELLED, -16, "cancelled", "the work was cancelled before it ended")                                       \
	X(CONFLICT, -17, "conflict", "another change came first: read the present state and try again")                \
	X(STOPPED, -18, "stopped", "the shard stopped after a storage failure: see `grove status` and the worker's log")        \
	X(STALE, -19, "stale", "a newer epoch or version exists: refresh and try again")                               \
	X(USAGE, -20, "usage", "the call or command is wrong: see the manual")

enum status {
#define STATUS_ENUM(name, number, wire, text) STATUS_##name = (number),
	STATUS_MAP(STATUS_ENUM)
#undef STATUS_ENUM
};

/* Static strings, never NULL; unknown numbers give "unknown_status" and a sentence that says so. */
const char *status_name(enum status s);
const char *status_text(enum status s);
/* The status with that wire name; an unknown name is STATUS_UNSUPPORTED. */
enum status status_by_name(const char *name);

/* A status together with the sentence that tells the user what to do. Plain memory, no ownership. */
enum { REPORT_TEXT_MAX = 400 };
struct report {
	enum status status;
	char text[REPORT_TEXT_MAX]; /* UTF-8, NUL-terminated; empty means status_text(status) */
};

/* Fill *r (may be NULL) and return s, so that `return report_set(r, STATUS_LIMIT, "...", ...)` reads well.
 * A text past REPORT_TEXT_MAX - 1 bytes is cut at a character's boundary. */
enum status report_set(struct report *r, enum status s, const char *fmt, ...) PRINTF_LIKE(3, 4);
const char *report_text(const struct report *r);

#endif
