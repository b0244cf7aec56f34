/* sim_disk.h - files and names that exist twice: as they are now, and as they are on the platter. Private to io_sim.c, which says what
 * is modelled and holds the lock. Out of memory ends the program. */
#ifndef SUPPORT_SIM_DISK_H
#define SUPPORT_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/prng.h"

struct inode {
	unsigned refs;
	bool is_dir, locked, sync_failed;
	uint8_t *now, *platter; /* [room], zero past the sizes */
	bool *dirty;            /* [room / 512] written since the last sync, successful or not */
	size_t room, size, platter_size;
	bool size_dirty;
};

/* A name: what it is bound to now, and on the platter. NULL: nothing. */
struct entry { char *path; struct inode *now, *platter; };

struct sim_disk { struct entry *entries; size_t count, room; };

void *must_calloc(size_t n, size_t size);
bool coin(struct prng *p);

struct inode *inode_keep(struct inode *i);
void inode_drop(struct inode *i);
void inode_write(struct inode *i, uint64_t offset, const void *bytes, size_t n);
void inode_truncate(struct inode *i, size_t size);
/* With `lost` the kernel believes to have written and has not. */
void inode_sync(struct inode *i, bool lost);

struct entry *entry_find(struct sim_disk *disk, const char *path); /* or NULL */
struct entry *entry_make(struct sim_disk *disk, const char *path);
void entry_bind(struct entry *e, struct inode *inode);
void entry_sync(struct entry *e);   /* the platter knows it as it is now */
void entries_prune(struct sim_disk *disk); /* forget names that are bound to nothing: entries move */
bool stands_in(const char *path, const char *dir); /* directly */
bool folder_is_there(struct sim_disk *disk, const char *path); /* the one that `path` stands in */
uint64_t bytes_used(const struct sim_disk *disk);

void disk_settle(struct sim_disk *disk, struct prng *p); /* a power cut and its end */
void disk_release(struct sim_disk *disk);

#endif
