/* sim_disk.c - what is dirty, what a sync keeps, what a power cut takes. */
#include "tests/support/sim_disk.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"

enum { SECTOR = 512 };

void *must_calloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	require(p);
	return p;
}

/* --- inodes --- */

void inode_drop(struct inode *i)
{
	if (!i || --i->refs > 0) return;
	free(i->now);
	free(i->platter);
	free(i->dirty);
	free(i);
}

struct inode *inode_keep(struct inode *i)
{
	if (i) i->refs++;
	return i;
}

static void inode_reserve(struct inode *i, size_t size)
{
	size_t room = i->room ? i->room : 8 * SECTOR;

	if (size <= i->room) return;
	while (room < size) room *= 2;
	uint8_t *now = must_calloc(room, 1), *platter = must_calloc(room, 1);
	bool *dirty = must_calloc(room / SECTOR, sizeof *dirty);
	if (i->room) {
		memcpy(now, i->now, i->room);
		memcpy(platter, i->platter, i->room);
		memcpy(dirty, i->dirty, i->room / SECTOR * sizeof *dirty);
	}
	free(i->now);
	free(i->platter);
	free(i->dirty);
	i->now = now;
	i->platter = platter;
	i->dirty = dirty;
	i->room = room;
}

void inode_write(struct inode *i, uint64_t offset, const void *bytes, size_t n)
{
	if (n == 0) return;
	inode_reserve(i, (size_t)offset + n);
	memcpy(i->now + offset, bytes, n);
	for (size_t s = (size_t)offset / SECTOR; s <= ((size_t)offset + n - 1) / SECTOR; s++) i->dirty[s] = true;
	if (offset + n > i->size) {
		for (size_t s = i->size / SECTOR; s < offset / SECTOR; s++) i->dirty[s] = true;
		i->size = (size_t)offset + n;
		i->size_dirty = true;
	}
}

void inode_truncate(struct inode *i, size_t size)
{
	inode_reserve(i, size);
	if (size < i->size) memset(i->now + size, 0, i->size - size);
	for (size_t s = size / SECTOR; s * SECTOR < i->size; s++) i->dirty[s] = true;
	i->size = size;
	i->size_dirty = true;
}

void inode_sync(struct inode *i, bool lost)
{
	for (size_t s = 0; s < i->room / SECTOR; s++) {
		if (i->dirty[s] && !lost) memcpy(i->platter + s * SECTOR, i->now + s * SECTOR, SECTOR);
		i->dirty[s] = false;
	}
	if (!lost && i->size_dirty) i->platter_size = i->size;
	if (!lost) i->size_dirty = false;
}

bool coin(struct prng *p) { return prng_u64(p) & 1; }

/* What is on the platter after the cut becomes all there is. */
static void inode_settle(struct inode *i, struct prng *p)
{
	size_t size = i->platter_size;

	for (size_t s = 0; s < i->room / SECTOR; s++)
		if (i->dirty[s] && coin(p)) memcpy(i->platter + s * SECTOR, i->now + s * SECTOR, SECTOR);
	if (i->size_dirty && coin(p)) {
		size = i->size;
		if (size > i->platter_size && coin(p)) size -= prng_below(p, (uint32_t)(size - i->platter_size) + 1);
	}
	if (i->room > size) memset(i->platter + size, 0, i->room - size);
	if (i->room) memcpy(i->now, i->platter, i->room);
	i->size = i->platter_size = size;
	for (size_t s = 0; s < i->room / SECTOR; s++) i->dirty[s] = false;
	i->size_dirty = i->sync_failed = i->locked = false;
}

/* --- names --- */

struct entry *entry_find(struct sim_disk *disk, const char *path)
{
	for (size_t i = 0; i < disk->count; i++)
		if (strcmp(disk->entries[i].path, path) == 0) return &disk->entries[i];
	return NULL;
}

struct entry *entry_make(struct sim_disk *disk, const char *path)
{
	struct entry *e = entry_find(disk, path);

	if (e) return e;
	if (disk->count == disk->room) {
		disk->room = disk->room ? disk->room * 2 : 16;
		disk->entries = realloc(disk->entries, disk->room * sizeof *disk->entries);
		require(disk->entries);
	}
	e = &disk->entries[disk->count++];
	*e = (struct entry){.path = strdup(path)};
	require(e->path);
	return e;
}

void entry_bind(struct entry *e, struct inode *inode)
{
	inode_keep(inode);
	inode_drop(e->now);
	e->now = inode;
}

void entry_sync(struct entry *e)
{
	inode_keep(e->now);
	inode_drop(e->platter);
	e->platter = e->now;
}

void entries_prune(struct sim_disk *disk)
{
	size_t kept = 0;

	for (size_t i = 0; i < disk->count; i++) {
		if (disk->entries[i].now || disk->entries[i].platter) disk->entries[kept++] = disk->entries[i];
		else free(disk->entries[i].path);
	}
	disk->count = kept;
}

/* Whether `path` stands directly in folder `dir`. */
bool stands_in(const char *path, const char *dir)
{
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	return strlen(dir) == n && strncmp(path, dir, n) == 0;
}

bool folder_is_there(struct sim_disk *disk, const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[600];

	if (!slash) return true;
	require((size_t)(slash - path) < sizeof dir);
	memcpy(dir, path, (size_t)(slash - path));
	dir[slash - path] = 0;
	struct entry *e = entry_find(disk, dir);
	return e && e->now && e->now->is_dir;
}

uint64_t bytes_used(const struct sim_disk *disk)
{
	uint64_t used = 0;

	for (size_t i = 0; i < disk->count; i++)
		if (disk->entries[i].now) used += disk->entries[i].now->size;
	return used;
}

/* A name whose folder went is gone too. */
static void orphans_unbind(struct sim_disk *disk)
{
	for (bool again = true; again;) {
		again = false;
		for (size_t i = 0; i < disk->count; i++) {
			struct entry *e = &disk->entries[i];
			if (!e->now || folder_is_there(disk, e->path)) continue;
			entry_bind(e, NULL);
			again = true;
		}
	}
}

void disk_settle(struct sim_disk *disk, struct prng *p)
{
	for (size_t i = 0; i < disk->count; i++) {
		struct entry *e = &disk->entries[i];
		if (e->now != e->platter && !coin(p)) entry_bind(e, e->platter);
	}
	orphans_unbind(disk);
	for (size_t i = 0; i < disk->count; i++) { /* two names of one inode: settling it twice changes nothing */
		struct entry *e = &disk->entries[i];
		if (e->now) inode_settle(e->now, p);
		entry_sync(e);
	}
	entries_prune(disk);
}

void disk_release(struct sim_disk *disk)
{
	for (size_t i = 0; i < disk->count; i++) {
		inode_drop(disk->entries[i].now);
		inode_drop(disk->entries[i].platter);
		free(disk->entries[i].path);
	}
	free(disk->entries);
	*disk = (struct sim_disk){0};
}
