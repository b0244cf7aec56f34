/* rows.h - what the engine searches: a borrowed block of rows, the queries against it, and when to stop.
 *
 * The engine is pure arithmetic: no files, sockets or clocks, threads only through a runner. All structs are plain views;
 * whoever fills them in keeps the memory alive and unchanged during the call. */
#ifndef ENGINE_ROWS_H
#define ENGINE_ROWS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/runner.h"
#include "common/status.h"
#include "common/topk.h"
#include "common/vec.h"

/* Which of 64 rows have died, bit r for row r, and the newest sequence at which one did: set before the bit. */
struct dead_word { _Atomic uint64_t rows, newest; };

struct sliced;

/* n rows of one element type, row r at base + r * stride (base aligned to 64, padding zero). */
struct rows {
	enum metric metric;
	uint32_t dim;
	uint32_t n;
	size_t stride;
	const uint8_t *base;
	const float *norm2; /* [n] vec_norm2 of each row, for angular and dot; NULL otherwise */
	const uint64_t *ids; /* [n] user ids */
	/* Row r is live at sequence `at` iff dead_at is NULL, or dead_at[r] == 0 (never died) or dead_at[r] > at. Written by the
	 * shard's writer thread meanwhile, hence atomic (relaxed is enough: `at` was published after). */
	const _Atomic uint64_t *dead_at;
	uint64_t at;
	const struct dead_word *dead_words; /* [n / 64, rounded up] the same by 64 rows; NULL: dead_at has to be asked row by row */
	const struct sliced *sliced; /* the same rows by bit (sliced.h); NULL: none */
};
static inline const void *rows_row(const struct rows *r, uint32_t i) { return r->base + (size_t)i * r->stride; }
static inline bool rows_live(const struct rows *r, uint32_t i)
{
	if (!r->dead_at) return true;
	uint64_t dead = atomic_load_explicit(&r->dead_at[i], memory_order_relaxed);
	return dead == 0 || dead > r->at;
}
/* Which of the rows 64 * word to 64 * word + 63 are live; those past the last are not. */
uint64_t rows_live_word(const struct rows *r, uint32_t word);
/* The least multiple of 64 bytes that holds a stored row of this metric; of 8 for hamming, whose rows are scanned as words. */
size_t rows_stride(enum metric m, uint32_t dim);
/* n rows of `size` bytes each (at least 1) in a new order, elsewhere: row i is put at new_of_old[i]. */
void rows_place(const void *from, size_t size, uint32_t n, const uint32_t *new_of_old, struct runner *runner, void *to);

/* Asked now and then inside the loops (at least every few thousand distances, or ten thousand of sliced bits): true means stop with the best so far.
 * Also the place where a thread shows that it is alive. NULL stop: never. */
struct pulse { bool (*stop)(void *arg); void *arg; };
static inline bool pulse_stop(const struct pulse *p) { return p && p->stop && p->stop(p->arg); }

/* One stored query row (aligned to 64, padded with zeros) with its norm. */
struct query { const void *row; float norm2; };
static inline struct query rows_query(const struct rows *r, uint32_t i) { return (struct query){rows_row(r, i), r->norm2 ? r->norm2[i] : 0}; }

/* What a search did, added to by each call. */
struct search_work { uint64_t candidates; /* distinct rows scored */ bool truncated; /* stopped by the pulse before its effort was spent */ };

#endif
