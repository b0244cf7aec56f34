/* livemap.c - relaxed stores: whoever must see a death sees the sequence that was published after it. */
#include "worker/store/livemap.h"

#include <stdlib.h>

#include "common/check.h"

enum status livemap_init(struct livemap *l, uint32_t n)
{
	*l = (struct livemap){.n = n};
	l->dead_at = calloc(n ? n : 1, sizeof(*l->dead_at));
	l->dead_words = calloc(n / 64 + 1, sizeof(*l->dead_words));
	if (l->dead_at && l->dead_words) return STATUS_OK;
	livemap_release(l);
	return STATUS_NO_MEMORY;
}

void livemap_release(struct livemap *l)
{
	free((void *)l->dead_at);
	free(l->dead_words);
	*l = (struct livemap){0};
}

void livemap_kill(struct livemap *l, uint32_t row, uint64_t sequence)
{
	struct dead_word *word = &l->dead_words[row / 64];

	require(sequence && !livemap_dead_at(l, row));
	atomic_store_explicit(&l->dead_at[row], sequence, memory_order_relaxed);
	if (sequence > atomic_load_explicit(&word->newest, memory_order_relaxed))
		atomic_store_explicit(&word->newest, sequence, memory_order_relaxed);
	atomic_fetch_or_explicit(&word->rows, (uint64_t)1 << row % 64, memory_order_release);
	atomic_fetch_add_explicit(&l->dead, 1, memory_order_relaxed);
}

uint64_t livemap_dead_at(const struct livemap *l, uint32_t row) { return atomic_load_explicit(&l->dead_at[row], memory_order_relaxed); }
