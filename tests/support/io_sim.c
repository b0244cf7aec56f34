/* io_sim.c - the operations of an io over a sim_disk: counting, failing, cutting the power. */
#include "tests/support/io_sim.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/prng.h"
#include "tests/support/sim_disk.h"

enum { PAGE = 4096 };

struct io_file {
	struct io_sim *sim;
	struct inode *inode;
	uint64_t life; /* a handle dies with its power-on period */
	bool writable, holds_lock;
};

struct fault { bool armed, happened, forever; unsigned ops; uint64_t left; enum status status; };

struct io_sim {
	struct io io;
	pthread_mutex_t lock;
	struct prng prng;
	struct sim_disk disk;
	struct fault fail, cut;
	bool dead;
	uint64_t life, capacity, calls[SIM_OP_COUNT], syncs_after_failure;
	uint64_t phase_calls[IO_PHASE_COUNT], phase_cuts[IO_PHASE_COUNT];
	enum io_phase phase;
	unsigned open_handles, open_maps;
};

/* --- counting and failing --- */

static bool fault_is_due(struct fault *f, enum io_sim_op op)
{
	if (!f->armed || !(f->ops & SIM_ONLY(op))) return false;
	if (f->happened) return f->forever;
	if (f->left-- > 0) return false;
	f->happened = true;
	return true;
}

/* Begins each call, with the lock held from here to leave(). Not OK: the call is to fail so; *ret_half: half done. */
static enum status enter(struct io_sim *sim, enum io_sim_op op, bool *ret_half)
{
	static const char *const names[SIM_OP_COUNT] = {"open", "size", "read", "write", "truncate", "sync", "map", "rename", "remove", "make_dir",
		"remove_dir", "sync_dir", "list", "free_bytes", "lock"};

	pthread_mutex_lock(&sim->lock);
	*ret_half = false;
	if (sim->dead) {
		io_set_last_error("%s: the power is off", names[op]);
		return STATUS_IO;
	}
	sim->calls[op]++;
	sim->phase_calls[sim->phase]++;
	if (fault_is_due(&sim->cut, op)) {
		sim->phase_cuts[sim->phase]++;
		sim->dead = *ret_half = true;
		io_set_last_error("%s: the power went", names[op]);
		return STATUS_IO;
	}
	if (fault_is_due(&sim->fail, op)) {
		*ret_half = true;
		io_set_last_error("%s: told to fail", names[op]);
		return sim->fail.status;
	}
	return STATUS_OK;
}

static enum status leave(struct io_sim *sim, enum status status)
{
	pthread_mutex_unlock(&sim->lock);
	return status;
}

static enum status handle_enter(struct io_file *f, enum io_sim_op op, bool *ret_half)
{
	enum status status = enter(f->sim, op, ret_half);

	if (status == STATUS_OK && f->life != f->sim->life) {
		io_set_last_error("a handle from before the power cut");
		status = STATUS_IO;
	}
	return status;
}

static struct io_sim *sim_of(struct io *io) { return (struct io_sim *)io; }

/* --- the operations --- */

static enum status sim_open(struct io *io, const char *path, enum io_mode mode, struct io_file **ret)
{
	struct io_sim *sim = sim_of(io);
	bool half;
	enum status status = enter(sim, SIM_OPEN, &half);
	struct entry *e = entry_find(&sim->disk, path);

	if (status != STATUS_OK) return leave(sim, status);
	if (e && e->now && e->now->is_dir) return leave(sim, STATUS_IO);
	if (mode == IO_CREATE && e && e->now) return leave(sim, STATUS_EXISTS);
	if ((mode == IO_READ && !(e && e->now)) || !folder_is_there(&sim->disk, path)) return leave(sim, STATUS_NOT_FOUND);
	if (!e || !e->now) entry_bind(e = entry_make(&sim->disk, path), must_calloc(1, sizeof(struct inode)));
	struct io_file *f = must_calloc(1, sizeof *f);
	*f = (struct io_file){.sim = sim, .inode = inode_keep(e->now), .life = sim->life, .writable = mode != IO_READ};
	sim->open_handles++;
	*ret = f;
	return leave(sim, STATUS_OK);
}

static void sim_close(struct io *io, struct io_file **file)
{
	struct io_sim *sim = sim_of(io);

	if (!*file) return;
	pthread_mutex_lock(&sim->lock);
	if ((*file)->holds_lock && (*file)->life == sim->life) (*file)->inode->locked = false;
	inode_drop((*file)->inode);
	sim->open_handles--;
	pthread_mutex_unlock(&sim->lock);
	free(*file);
	*file = NULL;
}

static enum status sim_size(struct io *io, struct io_file *f, uint64_t *ret)
{
	bool half;
	enum status status = handle_enter(f, SIM_SIZE, &half);

	if (status == STATUS_OK) *ret = f->inode->size;
	return leave(f->sim, status);
}

static enum status sim_read(struct io *io, struct io_file *f, uint64_t offset, void *bytes, size_t n)
{
	bool half;
	enum status status = handle_enter(f, SIM_READ, &half);

	if (status == STATUS_OK && (offset > f->inode->size || n > f->inode->size - offset)) {
		io_set_last_error("read past the end");
		status = STATUS_IO;
	}
	if (status == STATUS_OK && n) memcpy(bytes, f->inode->now + offset, n);
	return leave(f->sim, status);
}

static enum status sim_write(struct io *io, struct io_file *f, uint64_t offset, const void *bytes, size_t n)
{
	struct io_sim *sim = f->sim;
	bool half;
	enum status status = handle_enter(f, SIM_WRITE, &half);

	require(f->writable);
	if (half && n) inode_write(f->inode, offset, bytes, prng_below(&sim->prng, (uint32_t)n + 1));
	if (status != STATUS_OK) return leave(sim, status);
	uint64_t used = bytes_used(&sim->disk), end = offset + n;
	uint64_t more = end > f->inode->size ? end - f->inode->size : 0, space = sim->capacity > used ? sim->capacity - used : 0;
	if (more > space) {
		uint64_t fits = n - (more - space);
		if (more - space < n) inode_write(f->inode, offset, bytes, (size_t)fits);
		io_set_last_error("write: no space left");
		return leave(sim, STATUS_DISK_FULL);
	}
	inode_write(f->inode, offset, bytes, n);
	return leave(sim, STATUS_OK);
}

static enum status sim_truncate(struct io *io, struct io_file *f, uint64_t size)
{
	bool half;
	enum status status = handle_enter(f, SIM_TRUNCATE, &half);

	require(f->writable);
	if (status == STATUS_OK && coin(&f->sim->prng)) inode_sync(f->inode, false);
	if (status == STATUS_OK) inode_truncate(f->inode, (size_t)size);
	return leave(f->sim, status);
}

static enum status sim_sync(struct io *io, struct io_file *f)
{
	struct io_sim *sim = f->sim;
	bool half;
	enum status status = handle_enter(f, SIM_SYNC, &half);

	if (f->inode->sync_failed) sim->syncs_after_failure++;
	if (status == STATUS_OK) {
		inode_sync(f->inode, false);
		f->inode->sync_failed = false;
	} else if (half && !sim->dead) { /* in a power cut the dirty sectors stay dirty: each may have been written */
		inode_sync(f->inode, true);
		f->inode->sync_failed = true;
	}
	return leave(sim, status);
}

static enum status sim_map(struct io *io, struct io_file *f, const uint8_t **ret, size_t *ret_size)
{
	bool half;
	enum status status = handle_enter(f, SIM_MAP, &half);
	uint8_t *copy = NULL;

	if (status != STATUS_OK) return leave(f->sim, status);
	if (f->inode->size) {
		copy = aligned_alloc(PAGE, (f->inode->size + PAGE - 1) / PAGE * PAGE);
		require(copy);
		memcpy(copy, f->inode->now, f->inode->size);
		f->sim->open_maps++;
	}
	*ret = copy;
	*ret_size = f->inode->size;
	return leave(f->sim, STATUS_OK);
}

static void sim_unmap(struct io *io, const uint8_t *bytes, size_t size)
{
	struct io_sim *sim = sim_of(io);

	if (!bytes) return;
	pthread_mutex_lock(&sim->lock);
	sim->open_maps--;
	pthread_mutex_unlock(&sim->lock);
	free((void *)(uintptr_t)bytes);
}

static enum status sim_rename(struct io *io, const char *from, const char *to)
{
	struct io_sim *sim = sim_of(io);
	bool half;
	enum status status = enter(sim, SIM_RENAME, &half);
	struct entry *e = entry_find(&sim->disk, from);

	if (status == STATUS_OK && !(e && e->now)) status = STATUS_NOT_FOUND;
	if (status != STATUS_OK && !(sim->dead && half && coin(&sim->prng) && e && e->now)) return leave(sim, status);
	struct inode *inode = inode_keep(e->now);
	entry_bind(e, NULL);
	entry_bind(entry_make(&sim->disk, to), inode);
	inode_drop(inode);
	entries_prune(&sim->disk);
	return leave(sim, status);
}

static enum status sim_remove(struct io *io, const char *path)
{
	struct io_sim *sim = sim_of(io);
	bool half;
	enum status status = enter(sim, SIM_REMOVE, &half);
	struct entry *e = entry_find(&sim->disk, path);

	if (status == STATUS_OK && !(e && e->now && !e->now->is_dir)) status = STATUS_NOT_FOUND;
	if (status == STATUS_OK && coin(&sim->prng)) entry_sync(e);
	if (status == STATUS_OK) entry_bind(e, NULL);
	entries_prune(&sim->disk);
	return leave(sim, status);
}

static enum status sim_make_dir(struct io *io, const char *path)
{
	struct io_sim *sim = sim_of(io);
	bool half;
	enum status status = enter(sim, SIM_MAKE_DIR, &half);
	struct entry *e = entry_find(&sim->disk, path);

	if (status != STATUS_OK) return leave(sim, status);
	if (e && e->now) return leave(sim, e->now->is_dir ? STATUS_OK : STATUS_IO);
	if (!folder_is_there(&sim->disk, path)) return leave(sim, STATUS_NOT_FOUND);
	struct inode *inode = must_calloc(1, sizeof *inode);
	inode->is_dir = true;
	entry_bind(entry_make(&sim->disk, path), inode);
	return leave(sim, STATUS_OK);
}

static enum status sim_remove_dir(struct io *io, const char *path)
{
	struct io_sim *sim = sim_of(io);
	bool half;
	enum status status = enter(sim, SIM_REMOVE_DIR, &half);
	struct entry *e = entry_find(&sim->disk, path);

	if (status == STATUS_OK && !(e && e->now && e->now->is_dir)) status = STATUS_NOT_FOUND;
	for (size_t i = 0; i < sim->disk.count && status == STATUS_OK; i++)
		if (sim->disk.entries[i].now && stands_in(sim->disk.entries[i].path, path)) status = STATUS_IO;
	if (status == STATUS_OK) entry_bind(e, NULL);
	entries_prune(&sim->disk);
	return leave(sim, status);
}

static enum status sim_sync_dir(struct io *io, const char *path)
{
	struct io_sim *sim = sim_of(io);
	bool half;
	enum status status = enter(sim, SIM_SYNC_DIR, &half);

	for (size_t i = 0; i < sim->disk.count && status == STATUS_OK; i++) {
		struct entry *e = &sim->disk.entries[i];
		if (stands_in(e->path, path)) entry_sync(e);
	}
	entries_prune(&sim->disk);
	return leave(sim, status);
}

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static enum status sim_list(struct io *io, const char *path, char ***ret_names, size_t *ret_count)
{
	struct io_sim *sim = sim_of(io);
	bool half;
	enum status status = enter(sim, SIM_LIST, &half);
	struct entry *dir = entry_find(&sim->disk, path);
	size_t n = 0;

	if (status == STATUS_OK && path[0] && !(dir && dir->now && dir->now->is_dir)) status = STATUS_NOT_FOUND;
	if (status != STATUS_OK) return leave(sim, status);
	char **names = must_calloc(sim->disk.count + 1, sizeof *names);
	for (size_t i = 0; i < sim->disk.count; i++) {
		const char *slash = strrchr(sim->disk.entries[i].path, '/');
		if (!sim->disk.entries[i].now || !stands_in(sim->disk.entries[i].path, path)) continue;
		names[n] = strdup(slash ? slash + 1 : sim->disk.entries[i].path);
		require(names[n]);
		n++;
	}
	qsort(names, n, sizeof *names, by_bytes);
	*ret_names = names;
	*ret_count = n;
	return leave(sim, STATUS_OK);
}

static enum status sim_free_bytes(struct io *io, uint64_t *ret_free, uint64_t *ret_total)
{
	struct io_sim *sim = sim_of(io);
	bool half;
	enum status status = enter(sim, SIM_FREE_BYTES, &half);
	uint64_t used = bytes_used(&sim->disk);

	if (status != STATUS_OK) return leave(sim, status);
	*ret_free = sim->capacity > used ? sim->capacity - used : 0;
	*ret_total = sim->capacity;
	return leave(sim, STATUS_OK);
}

static enum status sim_lock(struct io *io, const char *path, struct io_file **ret)
{
	struct io_sim *sim = sim_of(io);
	struct io_file *f = NULL;
	bool half;
	enum status status = enter(sim, SIM_LOCK, &half);

	leave(sim, status);
	if (status == STATUS_OK) status = sim_open(io, path, IO_APPEND, &f);
	if (status != STATUS_OK) return status;
	pthread_mutex_lock(&sim->lock);
	bool taken = f->inode->locked;
	if (!taken) f->inode->locked = f->holds_lock = true;
	pthread_mutex_unlock(&sim->lock);
	if (taken) {
		sim_close(io, &f);
		return STATUS_LOCKED;
	}
	*ret = f;
	return STATUS_OK;
}

static void sim_phase(struct io *io, enum io_phase phase)
{
	struct io_sim *sim = sim_of(io);

	pthread_mutex_lock(&sim->lock);
	sim->phase = phase;
	pthread_mutex_unlock(&sim->lock);
}

static const struct io_ops sim_ops = {
	.open = sim_open, .close = sim_close, .size = sim_size, .read = sim_read, .write = sim_write, .truncate = sim_truncate, .sync = sim_sync,
	.map = sim_map, .unmap = sim_unmap, .rename = sim_rename, .remove = sim_remove, .make_dir = sim_make_dir,
	.remove_dir = sim_remove_dir, .sync_dir = sim_sync_dir, .list = sim_list, .free_bytes = sim_free_bytes, .lock = sim_lock,
	.phase = sim_phase,
};

/* --- the test's side --- */

struct io_sim *io_sim_new(uint64_t seed)
{
	struct io_sim *sim = must_calloc(1, sizeof *sim);

	sim->io.ops = &sim_ops;
	sim->capacity = (uint64_t)1 << 40;
	prng_seed(&sim->prng, seed);
	require(pthread_mutex_init(&sim->lock, NULL) == 0);
	return sim;
}

void io_sim_free(struct io_sim **sim)
{
	if (!*sim) return;
	require((*sim)->open_handles == 0 && (*sim)->open_maps == 0);
	disk_release(&(*sim)->disk);
	pthread_mutex_destroy(&(*sim)->lock);
	free(*sim);
	*sim = NULL;
}

struct io *io_sim_io(struct io_sim *sim) { return &sim->io; }

void io_sim_fail_at(struct io_sim *sim, unsigned ops, uint64_t n, enum status status, bool forever)
{
	pthread_mutex_lock(&sim->lock);
	sim->fail = (struct fault){.armed = true, .forever = forever, .ops = ops, .left = n, .status = status};
	pthread_mutex_unlock(&sim->lock);
}

void io_sim_cut_at(struct io_sim *sim, uint64_t n)
{
	pthread_mutex_lock(&sim->lock);
	sim->cut = (struct fault){.armed = true, .ops = SIM_ANY, .left = n};
	pthread_mutex_unlock(&sim->lock);
}

bool io_sim_heal(struct io_sim *sim)
{
	pthread_mutex_lock(&sim->lock);
	bool happened = sim->fail.happened || sim->cut.happened;
	sim->fail = sim->cut = (struct fault){0};
	pthread_mutex_unlock(&sim->lock);
	return happened;
}

void io_sim_power_on(struct io_sim *sim, uint64_t seed)
{
	struct prng p;

	prng_seed(&p, seed);
	pthread_mutex_lock(&sim->lock);
	disk_settle(&sim->disk, &p);
	sim->fail = sim->cut = (struct fault){0};
	sim->dead = false;
	sim->life++;
	sim->syncs_after_failure = 0;
	sim->phase = IO_PHASE_IDLE;
	pthread_mutex_unlock(&sim->lock);
}

void io_sim_capacity(struct io_sim *sim, uint64_t bytes)
{
	pthread_mutex_lock(&sim->lock);
	sim->capacity = bytes;
	pthread_mutex_unlock(&sim->lock);
}

static uint64_t counter(struct io_sim *sim, const uint64_t *which)
{
	pthread_mutex_lock(&sim->lock);
	uint64_t n = *which;
	pthread_mutex_unlock(&sim->lock);
	return n;
}

uint64_t io_sim_calls(struct io_sim *sim, enum io_sim_op op) { return counter(sim, &sim->calls[op]); }
uint64_t io_sim_syncs_after_failure(struct io_sim *sim) { return counter(sim, &sim->syncs_after_failure); }
uint64_t io_sim_phase_calls(struct io_sim *sim, enum io_phase phase) { return counter(sim, &sim->phase_calls[phase]); }
uint64_t io_sim_phase_cuts(struct io_sim *sim, enum io_phase phase) { return counter(sim, &sim->phase_cuts[phase]); }
