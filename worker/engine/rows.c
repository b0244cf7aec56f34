/* rows.c - the one size that everyone must agree on, which rows live, and rows in another order. */
#include "worker/engine/rows.h"

#include <string.h>

size_t rows_stride(enum metric m, uint32_t dim)
{
	size_t align = m == METRIC_HAMMING ? 8 : 64;
	return (dtype_row_bytes(metric_dtype(m), dim) + align - 1) & ~(align - 1);
}

uint64_t rows_live_word(const struct rows *r, uint32_t word)
{
	uint32_t first = word * 64, count = r->n - first < 64 ? r->n - first : 64;
	uint64_t all = count < 64 ? ((uint64_t)1 << count) - 1 : UINT64_MAX, dead = all;

	if (!r->dead_at) return all;
	if (r->dead_words) {
		const struct dead_word *w = &r->dead_words[word];
		dead = atomic_load_explicit(&w->rows, memory_order_acquire); /* newest is at least theirs then */
		if (!dead || atomic_load_explicit(&w->newest, memory_order_relaxed) <= r->at) return all & ~dead;
	}
	for (uint64_t left = dead; left; left &= left - 1)
		if (rows_live(r, first + (uint32_t)__builtin_ctzll(left))) dead &= ~(left & -left);
	return all & ~dead;
}

/* ---- another order ---- */

enum { PIECE_BYTES = 1 << 18 };

struct placing { const uint8_t *from; uint8_t *to; size_t size; uint32_t n, piece_rows; const uint32_t *new_of_old; };

static void place_piece(void *arg, size_t piece)
{
	const struct placing *p = arg;
	uint32_t first = (uint32_t)piece * p->piece_rows, end = p->n - first < p->piece_rows ? p->n : first + p->piece_rows;

	for (uint32_t i = first; i < end; i++) memcpy(p->to + p->new_of_old[i] * p->size, p->from + i * p->size, p->size);
}

void rows_place(const void *from, size_t size, uint32_t n, const uint32_t *new_of_old, struct runner *runner, void *to)
{
	uint32_t piece_rows = size < PIECE_BYTES ? (uint32_t)(PIECE_BYTES / size) : 1;
	struct placing placing = {from, to, size, n, piece_rows, new_of_old};

	runner->run(runner, ((size_t)n + piece_rows - 1) / piece_rows, place_piece, &placing);
}
