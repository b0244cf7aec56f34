/* store_fixture.h - what the tests of worker/store share: files as bytes, and log records that can be told right from wrong
 * because everything in them follows from their sequence and a salt. */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/prng.h"
#include "worker/store/wal_format.h"

struct bytes { uint8_t *at; size_t n; };

static inline struct bytes file_bytes(struct io *io, const char *path)
{
	struct bytes b = {0};

	assert_int_equal(io_slurp(io, path, (size_t)1 << 30, &b.at, &b.n), STATUS_OK);
	return b;
}

static inline void file_put(struct io *io, const char *path, const void *bytes, size_t n)
{
	struct io_file *f = NULL;
	enum status status = io->ops->remove(io, path);

	assert_true(status == STATUS_OK || status == STATUS_NOT_FOUND);
	assert_int_equal(io->ops->open(io, path, IO_CREATE, &f), STATUS_OK);
	if (n) assert_int_equal(io->ops->write(io, f, 0, bytes, n), STATUS_OK);
	assert_int_equal(io->ops->sync(io, f), STATUS_OK);
	io->ops->close(io, &f);
}

static inline void file_poke(struct io *io, const char *path, uint64_t offset, uint8_t byte)
{
	struct io_file *f = NULL;

	assert_int_equal(io->ops->open(io, path, IO_APPEND, &f), STATUS_OK);
	assert_int_equal(io->ops->write(io, f, offset, &byte, 1), STATUS_OK);
	io->ops->close(io, &f);
}

/* All files of a folder gone, the folder made. */
static inline void folder_empty(struct io *io, const char *dir)
{
	char **names = NULL, path[300];
	size_t count = 0;

	assert_int_equal(io->ops->make_dir(io, dir), STATUS_OK);
	assert_int_equal(io->ops->list(io, dir, &names, &count), STATUS_OK);
	for (size_t i = 0; i < count; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		assert_int_equal(io->ops->remove(io, path), STATUS_OK);
	}
	io_names_free(&names, count);
}

static inline struct uuid uuid_of(uint8_t n)
{
	struct uuid u;

	for (int i = 0; i < 16; i++) u.bytes[i] = (uint8_t)(n + i * 7);
	return u;
}

/* Memory that a made record points into. */
struct record_room { uint8_t vector[64], key[KEY_MAX], payload[300]; };

/* The record of that sequence: every field follows from (sequence, salt). */
static inline struct wal_record record_make(uint64_t sequence, uint64_t salt, struct record_room *room)
{
	struct wal_record r = {.epoch = 3, .sequence = sequence, .kind = sequence % 5 == 0 ? WAL_DELETE : WAL_UPSERT};
	struct prng p;

	prng_seed3(&p, salt, sequence, 0);
	r.client = prng_u64(&p);
	r.request = prng_u64(&p);
	r.id = prng_u64(&p);
	if (r.kind == WAL_DELETE) return r;
	r.dtype = (enum dtype)prng_below(&p, 3);
	r.dim = 1 + prng_below(&p, 16);
	r.key_size = sequence % 3 == 0 ? (uint16_t)(1 + prng_below(&p, 20)) : 0;
	r.payload_size = sequence % 4 == 0 ? 1 + prng_below(&p, 40) : 0;
	for (size_t i = 0; i < sizeof room->vector; i++) room->vector[i] = (uint8_t)prng_u64(&p);
	for (size_t i = 0; i < r.key_size; i++) room->key[i] = (uint8_t)prng_u64(&p);
	for (size_t i = 0; i < r.payload_size; i++) room->payload[i] = (uint8_t)prng_u64(&p);
	r.vector = room->vector;
	r.key = room->key;
	r.payload = room->payload;
	return r;
}

static inline bool record_equal(const struct wal_record *a, const struct wal_record *b)
{
	if (a->epoch != b->epoch || a->sequence != b->sequence || a->client != b->client || a->request != b->request) return false;
	if (a->kind != b->kind || a->id != b->id || a->dtype != b->dtype || a->dim != b->dim) return false;
	if (a->key_size != b->key_size || a->payload_size != b->payload_size) return false;
	if (a->key_size && memcmp(a->key, b->key, a->key_size) != 0) return false;
	if (a->dim && memcmp(a->vector, b->vector, dtype_row_bytes(a->dtype, a->dim)) != 0) return false;
	return !a->payload_size || memcmp(a->payload, b->payload, a->payload_size) == 0;
}

/* What a replay gave: it must be from + 1, from + 2, ..., last, each record whole. `salt_of` (may be NULL: salt) tells which version. */
struct replayed {
	uint64_t last, count, salt;
	uint64_t (*salt_of)(void *arg, uint64_t sequence);
	void *arg;
	bool wrong;
};

static inline enum status replayed_apply(void *arg, const struct wal_record *r)
{
	struct replayed *got = arg;
	struct record_room room;
	struct wal_record want = record_make(r->sequence, got->salt_of ? got->salt_of(got->arg, r->sequence) : got->salt, &room);

	if (r->sequence != got->last + 1 || !record_equal(r, &want)) got->wrong = true;
	got->last = r->sequence;
	got->count++;
	return STATUS_OK;
}

/* Append the next n records, without a commit. */
static inline enum status records_append(struct wal *wal, uint32_t n, uint64_t salt)
{
	enum status status = STATUS_OK;

	for (uint32_t i = 0; i < n && status == STATUS_OK; i++) {
		struct record_room room;
		struct wal_record r = record_make(wal_next(wal), salt, &room);
		status = wal_append(wal, &r);
	}
	return status;
}

#endif
