/* memtable.c - chunks of rows, found through a directory of doubling blocks that never moves either: block b holds 2^b chunks. */
#include "worker/store/memtable.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"

enum {
	CHUNK_BYTES = 1 << 20,   /* of vectors, about */
	CHUNK_ROWS_MIN = 16,
	CHUNK_ROWS_MAX = 4096,
	DIRECTORY_BLOCKS = 32,
	HASH_FIRST = 1024,       /* slots */
	ARENA_BYTES = 64 * 1024, /* of keys and payloads, at least */
};
#define NO_ROW UINT32_MAX

struct chunk {
	uint8_t *vectors;
	float *norm2;
	uint64_t *ids, *sequences;
	_Atomic uint64_t *dead_at;
	uint32_t *previous;
	struct segment_bytes *keys, *payloads;
	_Atomic(uint16_t *) order; /* NULL until somebody asks: memtable_order() */
};

/* Slots hold row + 1, 0 is free. */
struct hash { struct hash *older; uint32_t mask; _Atomic uint32_t slots[]; };
struct arena { struct arena *older; size_t room, used; uint8_t bytes[]; };

struct memtable {
	enum metric metric;
	uint32_t dim, chunk_rows, count, chunk_count, ids; /* ids: distinct ones in the hash */
	size_t stride, row_bytes;
	struct chunk **directory[DIRECTORY_BLOCKS];
	_Atomic(struct hash *) hash;
	struct arena *arena;
	struct segment_tombstone *tombstones;
	uint64_t tombstone_count, tombstone_room;
	_Atomic size_t bytes;
};

enum status memtable_new(enum metric metric, uint32_t dim, struct memtable **ret)
{
	struct memtable *m = calloc(1, sizeof(*m));
	struct hash *hash = calloc(1, sizeof(*hash) + HASH_FIRST * sizeof(hash->slots[0]));

	if (!m || !hash) {
		free(m);
		free(hash);
		return STATUS_NO_MEMORY;
	}
	m->metric = metric;
	m->dim = dim;
	m->stride = rows_stride(metric, dim);
	m->row_bytes = dtype_row_bytes(metric_dtype(metric), dim);
	m->chunk_rows = CHUNK_ROWS_MIN;
	while (m->chunk_rows < CHUNK_ROWS_MAX && 2 * m->chunk_rows * m->stride <= CHUNK_BYTES) m->chunk_rows *= 2;
	hash->mask = HASH_FIRST - 1;
	atomic_init(&m->hash, hash);
	atomic_init(&m->bytes, sizeof(*m) + HASH_FIRST * sizeof(uint32_t));
	*ret = m;
	return STATUS_OK;
}

static void chunk_free(struct chunk *c)
{
	if (!c) return;
	free(c->vectors);
	free(c->norm2);
	free(c->ids);
	free(c->sequences);
	free((void *)c->dead_at);
	free(c->previous);
	free(c->keys);
	free(atomic_load(&c->order));
	free(c->payloads);
	free(c);
}

/* Place of chunk i in the directory. */
static void locate(uint32_t i, uint32_t *ret_block, uint32_t *ret_at)
{
	*ret_block = 31 - (uint32_t)__builtin_clz(i + 1);
	*ret_at = i + 1 - (1u << *ret_block);
}

static struct chunk *chunk_at(const struct memtable *m, uint32_t i)
{
	uint32_t block, at;

	locate(i, &block, &at);
	return m->directory[block][at];
}

static struct chunk *chunk_of(const struct memtable *m, uint32_t row) { return chunk_at(m, row / m->chunk_rows); }

void memtable_free(struct memtable **memtable)
{
	struct memtable *m = *memtable;

	if (!m) return;
	for (uint32_t i = 0; i < m->chunk_count; i++) chunk_free(chunk_at(m, i));
	for (uint32_t b = 0; b < DIRECTORY_BLOCKS; b++) free(m->directory[b]);
	for (struct hash *h = atomic_load(&m->hash), *older; h; h = older) {
		older = h->older;
		free(h);
	}
	for (struct arena *a = m->arena, *older; a; a = older) {
		older = a->older;
		free(a);
	}
	free(m->tombstones);
	free(m);
	*memtable = NULL;
}

/* ---- room ---- */

static enum status add_chunk(struct memtable *m)
{
	struct chunk *c = calloc(1, sizeof(*c));
	uint32_t n = m->chunk_rows, block, at;

	if (!c) return STATUS_NO_MEMORY;
	c->vectors = aligned_alloc(64, n * m->stride);
	c->norm2 = calloc(n, sizeof(*c->norm2));
	c->ids = calloc(n, sizeof(*c->ids));
	c->sequences = calloc(n, sizeof(*c->sequences));
	c->dead_at = calloc(n, sizeof(*c->dead_at));
	c->previous = calloc(n, sizeof(*c->previous));
	c->keys = calloc(n, sizeof(*c->keys));
	c->payloads = calloc(n, sizeof(*c->payloads));
	locate(m->chunk_count, &block, &at);
	if (!m->directory[block]) m->directory[block] = calloc((size_t)1 << block, sizeof(*m->directory[block]));
	if (!c->vectors || !c->norm2 || !c->ids || !c->sequences || !c->dead_at || !c->previous || !c->keys || !c->payloads || !m->directory[block]) {
		chunk_free(c);
		return STATUS_NO_MEMORY;
	}
	m->directory[block][at] = c;
	m->chunk_count++;
	atomic_fetch_add(&m->bytes, n * (m->stride + sizeof(float) + 3 * sizeof(uint64_t) + sizeof(uint32_t) + 2 * sizeof(struct segment_bytes)));
	return STATUS_OK;
}

static uint32_t slot_of(uint64_t id, uint32_t mask)
{
	/* splitmix64's finaliser: sequential ids spread over the table. */
	id = (id ^ (id >> 30)) * 0xbf58476d1ce4e5b9u;
	id = (id ^ (id >> 27)) * 0x94d049bb133111ebu;
	return (uint32_t)(id ^ (id >> 31)) & mask;
}

/* The slot that holds `id`, or the free one where it belongs. */
static _Atomic uint32_t *hash_slot(const struct memtable *m, struct hash *h, uint64_t id)
{
	for (uint32_t i = slot_of(id, h->mask);; i = (i + 1) & h->mask) {
		uint32_t row = atomic_load_explicit(&h->slots[i], memory_order_acquire);
		if (row == 0 || memtable_id(m, row - 1) == id) return &h->slots[i];
	}
}

static enum status reserve_hash(struct memtable *m, uint32_t rows)
{
	struct hash *h = atomic_load(&m->hash);
	uint64_t size = (uint64_t)h->mask + 1;

	while (2 * ((uint64_t)m->ids + rows) > size) size *= 2;
	if (size == (uint64_t)h->mask + 1) return STATUS_OK;
	if (size > (uint64_t)1 << 32) return STATUS_NO_MEMORY;
	struct hash *grown = calloc(1, sizeof(*grown) + size * sizeof(grown->slots[0]));
	if (!grown) return STATUS_NO_MEMORY;
	grown->mask = (uint32_t)(size - 1);
	grown->older = h;
	for (uint64_t i = 0; i <= h->mask; i++) {
		uint32_t row = atomic_load_explicit(&h->slots[i], memory_order_relaxed);
		if (row) atomic_store_explicit(hash_slot(m, grown, memtable_id(m, row - 1)), row, memory_order_relaxed);
	}
	atomic_store_explicit(&m->hash, grown, memory_order_release);
	atomic_fetch_add(&m->bytes, size * sizeof(uint32_t));
	return STATUS_OK;
}

static enum status reserve_arena(struct memtable *m, size_t bytes)
{
	if (bytes == 0 || (m->arena && m->arena->room - m->arena->used >= bytes)) return STATUS_OK;
	size_t room = bytes > ARENA_BYTES ? bytes : ARENA_BYTES;
	struct arena *a = malloc(sizeof(*a) + room);
	if (!a) return STATUS_NO_MEMORY;
	*a = (struct arena){.older = m->arena, .room = room};
	m->arena = a;
	atomic_fetch_add(&m->bytes, room);
	return STATUS_OK;
}

static enum status reserve_tombstones(struct memtable *m, uint32_t more)
{
	uint64_t room = m->tombstone_room ? m->tombstone_room : 64;

	while (room < m->tombstone_count + more) room *= 2;
	if (room == m->tombstone_room || more == 0) return STATUS_OK;
	struct segment_tombstone *grown = realloc(m->tombstones, room * sizeof(*grown));
	if (!grown) return STATUS_NO_MEMORY;
	atomic_fetch_add(&m->bytes, (room - m->tombstone_room) * sizeof(*grown));
	m->tombstones = grown;
	m->tombstone_room = room;
	return STATUS_OK;
}

enum status memtable_reserve(struct memtable *m, uint32_t rows, size_t blob_bytes, uint32_t tombstones)
{
	enum status status = STATUS_OK;

	if (rows >= NO_ROW - 1 - m->count) return STATUS_NO_MEMORY;
	while (status == STATUS_OK && (uint64_t)m->chunk_count * m->chunk_rows < (uint64_t)m->count + rows) status = add_chunk(m);
	if (status == STATUS_OK) status = reserve_hash(m, rows);
	if (status == STATUS_OK) status = reserve_arena(m, blob_bytes);
	if (status == STATUS_OK) status = reserve_tombstones(m, tombstones);
	return status;
}

/* ---- writing ---- */

static struct segment_bytes keep(struct memtable *m, struct segment_bytes blob)
{
	if (!blob.size) return (struct segment_bytes){0};
	require(m->arena && m->arena->room - m->arena->used >= blob.size);
	uint8_t *at = m->arena->bytes + m->arena->used;
	memcpy(at, blob.bytes, blob.size);
	m->arena->used += blob.size;
	return (struct segment_bytes){at, blob.size};
}

uint32_t memtable_append(struct memtable *m, uint64_t id, uint64_t sequence, const uint8_t *vector, struct segment_bytes key, struct segment_bytes payload)
{
	uint32_t row = m->count, at = row % m->chunk_rows;

	require(row / m->chunk_rows < m->chunk_count);
	struct chunk *c = chunk_of(m, row);
	uint8_t *stored = c->vectors + at * m->stride;
	memcpy(stored, vector, m->row_bytes);
	memset(stored + m->row_bytes, 0, m->stride - m->row_bytes);
	c->norm2[at] = vec_norm2(m->metric, stored, m->dim);
	c->ids[at] = id;
	c->sequences[at] = sequence;
	c->keys[at] = keep(m, key);
	c->payloads[at] = keep(m, payload);
	_Atomic uint32_t *slot = hash_slot(m, atomic_load_explicit(&m->hash, memory_order_relaxed), id);
	uint32_t before = atomic_load_explicit(slot, memory_order_relaxed);
	c->previous[at] = before ? before - 1 : NO_ROW;
	m->ids += before == 0;
	atomic_store_explicit(slot, row + 1, memory_order_release);
	return m->count++;
}

void memtable_bury(struct memtable *m, uint64_t id, uint64_t sequence)
{
	require(m->tombstone_count < m->tombstone_room);
	m->tombstones[m->tombstone_count++] = (struct segment_tombstone){id, sequence};
}

void memtable_kill(struct memtable *m, uint32_t row, uint64_t sequence)
{
	atomic_store_explicit(&chunk_of(m, row)->dead_at[row % m->chunk_rows], sequence, memory_order_relaxed);
}

/* ---- reading ---- */

uint32_t memtable_count(const struct memtable *m) { return m->count; }
size_t memtable_bytes(const struct memtable *m) { return atomic_load_explicit(&((struct memtable *)(uintptr_t)m)->bytes, memory_order_relaxed); }

const struct segment_tombstone *memtable_tombstones(const struct memtable *m, uint64_t *ret_count)
{
	*ret_count = m->tombstone_count;
	return m->tombstones;
}

int64_t memtable_find(const struct memtable *m, uint64_t id, uint32_t limit)
{
	struct hash *h = atomic_load_explicit(&((struct memtable *)(uintptr_t)m)->hash, memory_order_acquire);
	uint32_t found = atomic_load_explicit(hash_slot(m, h, id), memory_order_acquire);
	uint32_t row = found ? found - 1 : NO_ROW;

	while (row != NO_ROW && row >= limit) row = chunk_of(m, row)->previous[row % m->chunk_rows];
	return row == NO_ROW ? -1 : (int64_t)row;
}

uint64_t memtable_id(const struct memtable *m, uint32_t row) { return chunk_of(m, row)->ids[row % m->chunk_rows]; }
uint64_t memtable_sequence(const struct memtable *m, uint32_t row) { return chunk_of(m, row)->sequences[row % m->chunk_rows]; }
const void *memtable_vector(const struct memtable *m, uint32_t row) { return chunk_of(m, row)->vectors + row % m->chunk_rows * m->stride; }
struct segment_bytes memtable_key(const struct memtable *m, uint32_t row) { return chunk_of(m, row)->keys[row % m->chunk_rows]; }
struct segment_bytes memtable_payload(const struct memtable *m, uint32_t row) { return chunk_of(m, row)->payloads[row % m->chunk_rows]; }

uint64_t memtable_dead_at(const struct memtable *m, uint32_t row)
{
	return atomic_load_explicit(&chunk_of(m, row)->dead_at[row % m->chunk_rows], memory_order_relaxed);
}

uint32_t memtable_chunk_rows(const struct memtable *m) { return m->chunk_rows; }

static int by_id(const void *a, const void *b, void *ids)
{
	uint16_t x = *(const uint16_t *)a, y = *(const uint16_t *)b;
	uint64_t p = ((const uint64_t *)ids)[x], q = ((const uint64_t *)ids)[y];

	return p != q ? (p > q) - (p < q) : (x > y) - (x < y);
}

void memtable_sort(const struct memtable *m, uint32_t chunk, uint32_t n, uint16_t *out)
{
	for (uint32_t i = 0; i < n; i++) out[i] = (uint16_t)i;
	qsort_r(out, n, sizeof(*out), by_id, chunk_at(m, chunk)->ids);
}

/* Two readers may sort the same chunk; the second one's work is thrown away. */
enum status memtable_order(const struct memtable *m, uint32_t chunk, const uint16_t **ret, bool *ret_made)
{
	struct chunk *c = chunk_at(m, chunk);
	uint16_t *kept = atomic_load_explicit(&c->order, memory_order_acquire), *made = NULL;

	if (!kept) {
		made = malloc(m->chunk_rows * sizeof(*made));
		if (!made) return STATUS_NO_MEMORY;
		memtable_sort(m, chunk, m->chunk_rows, made);
		if (atomic_compare_exchange_strong(&c->order, &kept, made)) {
			atomic_fetch_add(&((struct memtable *)(uintptr_t)m)->bytes, m->chunk_rows * sizeof(*made));
			kept = made;
		} else {
			free(made);
		}
	}
	*ret = kept;
	*ret_made = made != NULL;
	return STATUS_OK;
}

struct rows memtable_rows(const struct memtable *m, uint32_t first, uint32_t limit, uint64_t at)
{
	struct rows rows = {.metric = m->metric, .dim = m->dim, .stride = m->stride, .at = at};

	if (first >= limit) return rows;
	const struct chunk *c = chunk_of(m, first);
	uint32_t start = first % m->chunk_rows, in_chunk = m->chunk_rows - start;
	rows.n = limit - first < in_chunk ? limit - first : in_chunk;
	rows.base = c->vectors + start * m->stride;
	rows.norm2 = c->norm2 + start;
	rows.ids = c->ids + start;
	rows.dead_at = c->dead_at + start;
	return rows;
}
