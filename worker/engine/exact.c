/* exact.c - every live row against every query, tiled: a block of rows that fits the second-level cache meets all queries
 * before the next block is read, so that a batch costs memory bandwidth once. The order in which pairs are scored cannot
 * show: topk keeps the k least by (raw, id) whatever comes first. */
#include "worker/engine/exact.h"

#include "common/codes.h"
#include "worker/engine/sliced.h"

enum {
	BLOCK_BYTES = 192 * 1024, /* of rows: leaves room for a query and the heaps in 512 KiB */
	PULSE_PAIRS = 2048,       /* distances between two questions to the pulse */
	BITS_RUN = 512,
	BITS_GROUP = 32,
	WORD = 64,
};

/* Rows that are searched together. Of bits whole words. */
static uint32_t block_rows(const struct rows *rows)
{
	size_t n = BLOCK_BYTES / rows->stride, unit = rows->metric == METRIC_HAMMING ? WORD : 1;

	n = (n < PULSE_PAIRS ? n : PULSE_PAIRS) / unit * unit;
	return (uint32_t)(n ? n : unit);
}

/* The rows of a block that live, for all queries of a batch. */
struct live { uint32_t count; bool all; uint64_t words[PULSE_PAIRS / WORD]; };

static void live_find(const struct rows *rows, uint32_t first, uint32_t end, struct live *ret)
{
	ret->count = end - first;
	ret->all = !rows->dead_at;
	if (ret->all || rows->metric != METRIC_HAMMING) return;
	ret->count = 0;
	for (uint32_t at = first; at < end; at += WORD) {
		uint64_t word = rows_live_word(rows, at / WORD);
		ret->words[(at - first) / WORD] = word;
		ret->count += (uint32_t)__builtin_popcountll(word);
	}
}

/* Some of the rows at distances `apart` that may still be among the nearest: nearly none, once a few thousand have been seen, so most groups are
 * left after one look at all of it, which the compiler takes at once. Groups are the rows of half a word of `live`. */
static void offer_bits(const struct rows *rows, uint32_t first, const uint32_t *apart, uint32_t n, const uint64_t *live, struct topk *top)
{
	for (uint32_t at = 0, end; at < n; at = end) {
		int32_t most = top->count < top->capacity ? INT32_MAX : top->capacity ? (int32_t)top->hits[0].raw : -1, any = 0;
		end = n - at < BITS_GROUP ? n : at + BITS_GROUP;
		if (end - at == BITS_GROUP) {
			for (uint32_t i = 0; i < BITS_GROUP; i++) any |= (int32_t)apart[at + i] <= most;
			if (!any) continue;
		}
		for (uint32_t i = at; i < end; i++) {
			float raw = (float)apart[i];
			if (topk_admits(top, raw) && (!live || live[i / WORD] >> i % WORD & 1)) topk_push(top, (struct hit){.id = rows->ids[first + i], .raw = raw});
		}
	}
}

/* Bits: a run of rows at a time, by the kernel that scans them. */
static void score_bits(const struct rows *rows, uint32_t first, uint32_t end, const struct query *query, const uint64_t *live, struct topk *top)
{
	uint32_t apart[BITS_RUN];

	for (; first < end; first += BITS_RUN) {
		uint32_t n = end - first < BITS_RUN ? end - first : BITS_RUN;
		code_kernels()->bits(query->row, rows_row(rows, first), rows->stride, n, apart);
		offer_bits(rows, first, apart, n, live, top);
		if (live) live += BITS_RUN / WORD;
	}
}

static void score_rows(const struct rows *rows, uint32_t first, uint32_t end, const struct query *query, struct topk *top,
	struct search_work *work)
{
	for (uint32_t i = first; i < end; i++) {
		if (!rows_live(rows, i)) continue;
		float raw = vec_raw(rows->metric, rows_row(rows, i), rows->norm2 ? rows->norm2[i] : 0, query->row, query->norm2, rows->dim);
		work->candidates++;
		if (topk_admits(top, raw)) topk_push(top, (struct hit){.id = rows->ids[i], .raw = raw});
	}
}

static void score_block(const struct rows *rows, uint32_t first, uint32_t end, const struct live *live, const struct query *query, struct topk *top,
	struct search_work *work)
{
	const uint64_t *words = live->all ? NULL : live->words;

	if (rows->metric != METRIC_HAMMING) {
		score_rows(rows, first, end, query, top, work);
		return;
	}
	work->candidates += live->count;
	score_bits(rows, first, end, query, words, top);
}

void exact_search(const struct rows *rows, const struct query *queries, size_t nq, const struct pulse *pulse,
	struct topk *tops, struct search_work *works)
{
	uint32_t step = block_rows(rows);
	struct live live;
	uint64_t pairs = PULSE_PAIRS; /* ask before the first distance */

	if (rows->sliced) {
		sliced_search(rows, queries, nq, pulse, tops, works);
		return;
	}
	for (uint32_t first = 0, end; first < rows->n; first = end) {
		end = rows->n - first < step ? rows->n : first + step;
		live_find(rows, first, end, &live);
		for (size_t q = 0; q < nq; q++) {
			pairs += end - first;
			if (pairs >= PULSE_PAIRS) {
				pairs = 0;
				if (pulse_stop(pulse)) {
					/* Queries before q have seen this block; if it was the last, they are whole. */
					for (size_t t = end == rows->n ? q : 0; t < nq; t++) works[t].truncated = true;
					return;
				}
			}
			score_block(rows, first, end, &live, &queries[q], &tops[q], &works[q]);
		}
	}
}
