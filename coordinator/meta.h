/* meta.h - the metadata store: the few facts of a cluster that must survive everything (its identity, the indexes, which
 * worker holds which shard, what is being dropped). Never heartbeats, never anything per item.
 *
 * The interface is what SQLite and etcd both can do: keyed records with versions, all-or-nothing compare-and-set over a few
 * of them, listing by prefix. A version is the store's revision at the record's last change, so it never repeats, not even
 * when a key is removed and made again; 0 means "no such record".
 *
 * Threads. A store belongs to one thread at a time: main opens and lists it before the loop runs, then meta_thread_start()
 * hands it to a thread of its own. That thread takes commits from an inbox and posts each back as an event, so no sync of a
 * slow disk ever holds up the loop. */
#ifndef COORDINATOR_META_H
#define COORDINATOR_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/net.h"
#include "common/status.h"

enum { META_KEY_MAX = 127, META_CHANGES_MAX = 4, META_VALUE_MAX = 1024 * 1024 };

struct meta_record { char key[META_KEY_MAX + 1]; uint64_t version; uint8_t *value; size_t size; };
void meta_records_free(struct meta_record **records, size_t count);

struct meta_change {
	char key[META_KEY_MAX + 1];
	uint64_t expected; /* the record's version now; 0: there must be none */
	bool remove;
	uint8_t *value; /* malloc'ed, owned by the commit; NULL when removing */
	size_t size;
};

/* One compare-and-set: all changes or none. Travels to the store's thread and back by pointer. */
struct meta_commit {
	size_t count;
	struct meta_change changes[META_CHANGES_MAX];
	void *context; /* the asker's; untouched */
	/* filled in by the store: */
	struct report report; /* OK; CONFLICT: some record is not at the expected version, nothing was changed; IO, DISK_FULL,
	                       * CORRUPT and others: whether it was changed is known only by reading again, which the store's
	                       * thread does: through it nothing was changed, unless it is being stopped */
	uint64_t version; /* of all changed records */
};
void meta_commit_free(struct meta_commit **commit); /* not its context */

struct meta_store;
struct meta_store_ops {
	/* STATUS_NOT_FOUND: no such key. *ret->value is malloc'ed. */
	enum status (*get)(struct meta_store *s, const char *key, struct meta_record *ret, struct report *report);
	/* All records whose key begins with `prefix`, by key. */
	enum status (*list)(struct meta_store *s, const char *prefix, struct meta_record **ret, size_t *ret_count, struct report *report);
	void (*commit)(struct meta_store *s, struct meta_commit *commit);
	void (*close)(struct meta_store **s);
};
struct meta_store { const struct meta_store_ops *ops; };

/* The embedded store: a database file, made if missing, synced fully at every commit. A file of a newer schema is refused. */
MUST_CHECK enum status meta_sqlite_open(const char *path, struct meta_store **ret, struct report *report);

struct meta_thread;
/* Takes the store over. Answers arrive in `answers` (an inbox of the caller's thread, opened as `answers_name`). */
MUST_CHECK enum status meta_thread_start(struct net *net, struct meta_store **take, const char *answers_name, struct meta_thread **ret);
/* From the thread that started it. Never blocks. */
MUST_CHECK enum status meta_thread_commit(struct meta_thread *t, struct meta_commit **take);
/* Ends after the commits that were handed over before, closes the store and joins. */
void meta_thread_stop(struct meta_thread **t);

#endif
