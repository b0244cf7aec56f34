/* sliced_search.c - blocks are asked, all rows of a register at once, whether any row is near enough to enter; the few that may be get counted from the row
 * itself and pushed. Until the heap is full every row enters.
 *
 * Queries are taken in groups, and a run of blocks that stays in the first levels of cache meets all of a group before the next run. Blocks are in an order
 * of their own, so whether a row lives is asked only of one that is near. */
#include "worker/engine/sliced.h"

#include <string.h>

enum {
	WORD = 64,
	BLOCK_WORDS = SLICED_ROWS / WORD,
	GROUP = 32,           /* queries */
	RUN_TOGETHER = 8,     /* blocks */
	RUN_ALONE = 32,
	HOME = 16,            /* blocks that a query sees first */
	WAITING = 16,         /* of one query */
	PULSE_BLOCKS = 32,    /* of one query, between two questions to the pulse */
};

/* One query on its way: what has been near and waits to be looked at, and the blocks that were sought first. */
struct seeker {
	struct sliced_query sliced;
	const struct query *query;
	struct topk *top;
	uint32_t home, home_end, waiting[WAITING], waiting_count;
};

/* Rows that wait are looked at together: each is in three places of memory that nothing else has asked for. */
static void settle(const struct rows *rows, struct seeker *seeker)
{
	const struct code_kernels *kernels = code_kernels();
	struct topk *top = seeker->top;
	uint32_t apart, row[WAITING], count = seeker->waiting_count;

	for (uint32_t i = 0; i < count; i++) {
		row[i] = rows->sliced->order[seeker->waiting[i]];
		__builtin_prefetch(rows_row(rows, row[i]));
		__builtin_prefetch(&rows->ids[row[i]]);
	}
	for (uint32_t i = 0; i < count; i++) {
		kernels->bits(seeker->query->row, rows_row(rows, row[i]), rows->stride, 1, &apart);
		if (topk_admits(top, (float)apart) && rows_live(rows, row[i])) topk_push(top, (struct hit){.id = rows->ids[row[i]], .raw = (float)apart});
	}
	seeker->waiting_count = 0;
}

/* Rows of one block: those of near[BLOCK_WORDS]. */
static void offer(const struct rows *rows, uint32_t block, const uint64_t *near, struct seeker *seeker)
{
	for (uint32_t word = 0; word < BLOCK_WORDS; word++)
		for (uint64_t left = near[word]; left; left &= left - 1) {
			uint32_t place = block * SLICED_ROWS + word * WORD + (uint32_t)__builtin_ctzll(left);
			if (place >= rows->n) return;
			__builtin_prefetch(&rows->sliced->order[place]);
			seeker->waiting[seeker->waiting_count++] = place;
			if (seeker->waiting_count == WAITING) settle(rows, seeker);
		}
}

/* Blocks [at, end). At home rows do not wait, for the nearest of them make the others too far. `word` words of block `at` have been offered. */
static void seek(const struct rows *rows, uint32_t at, uint32_t end, bool home, struct seeker *seeker)
{
	const struct sliced *s = rows->sliced;
	size_t size = sliced_block_bytes(s->planes);
	struct topk *top = seeker->top;
	uint64_t near[BLOCK_WORDS];
	uint32_t word = 0;

	while (at < end) {
		bool all = top->count < top->capacity || top->hits[0].raw >= (float)s->planes;
		if (all) {
			memset(near, 0, sizeof(near));
			near[word++] = UINT64_MAX;
			offer(rows, at, near, seeker);
			settle(rows, seeker);
			at += word / BLOCK_WORDS;
			word %= BLOCK_WORDS;
			continue;
		}
		uint32_t found = at + (uint32_t)code_kernels()->near(&seeker->sliced, s->bytes + at * size, end - at, (uint32_t)top->hits[0].raw, near);
		if (found == end) return;
		if (found == at) memset(near, 0, word * sizeof(*near));
		offer(rows, found, near, seeker);
		if (home) settle(rows, seeker);
		at = found + 1;
		word = 0;
	}
}

/* Blocks [first, end), without those at home, which have been sought. */
static void seek_abroad(const struct rows *rows, uint32_t first, uint32_t end, struct seeker *seeker)
{
	uint32_t before = seeker->home < end ? seeker->home : end, after = seeker->home_end > first ? seeker->home_end : first;

	seek(rows, first, before, false, seeker);
	seek(rows, after, end, false, seeker);
}

/* Of the rows at these blocks' numbers, for rows do not live block by block. */
static uint32_t count_live(const struct rows *rows, uint32_t first, uint32_t end)
{
	uint32_t rows_end = rows->n / SLICED_ROWS < end ? rows->n : end * SLICED_ROWS, count = 0;

	if (!rows->dead_at) return rows_end - first * SLICED_ROWS;
	for (uint32_t at = first * SLICED_ROWS; at < rows_end; at += WORD) count += (uint32_t)__builtin_popcountll(rows_live_word(rows, at / WORD));
	return count;
}

/* When the pulse is asked: before the first distance, then after each PULSE_BLOCKS of one query. */
struct beat { const struct pulse *pulse; uint32_t silent; };

static bool beat_stop(struct beat *beat, uint32_t blocks)
{
	bool due = beat->silent >= PULSE_BLOCKS;

	beat->silent = (due ? 0 : beat->silent) + blocks;
	return due && pulse_stop(beat->pulse);
}

static void seek_home(const struct rows *rows, const struct query *query, struct topk *top, struct seeker *ret)
{
	const struct sliced *s = rows->sliced;
	uint32_t home = sliced_home(rows, query->row);

	ret->query = query;
	ret->top = top;
	ret->waiting_count = 0;
	ret->home = home < HOME / 2 ? 0 : home - HOME / 2;
	ret->home_end = s->blocks - home < HOME / 2 ? s->blocks : home + HOME / 2;
	sliced_query_init(&ret->sliced, query->row, s->planes, &s->lead);
	if (top->capacity) seek(rows, ret->home, ret->home_end, true, ret);
}

/* How many of the queries have seen everything: nq, unless it was stopped. */
static size_t group_search(const struct rows *rows, const struct query *queries, size_t nq, struct beat *beat, struct topk *tops, struct search_work *works)
{
	const struct sliced *s = rows->sliced;
	struct seeker seekers[GROUP];
	uint32_t run = nq > 1 ? RUN_TOGETHER : RUN_ALONE;
	size_t whole = nq;

	for (size_t q = 0; q < nq; q++) {
		if (beat_stop(beat, HOME)) return 0;
		seek_home(rows, &queries[q], &tops[q], &seekers[q]);
	}
	for (uint32_t first = 0, end; first < s->blocks && whole == nq; first = end) {
		end = s->blocks - first < run ? s->blocks : first + run;
		uint32_t live = count_live(rows, first, end);
		for (size_t q = 0; q < nq; q++) {
			if (beat_stop(beat, end - first)) {
				whole = end == s->blocks ? q : 0;
				break;
			}
			works[q].candidates += live;
			if (tops[q].capacity) seek_abroad(rows, first, end, &seekers[q]);
		}
	}
	for (size_t q = 0; q < nq; q++) settle(rows, &seekers[q]);
	return whole;
}

void sliced_search(const struct rows *rows, const struct query *queries, size_t nq, const struct pulse *pulse, struct topk *tops, struct search_work *works)
{
	struct beat beat = {pulse, PULSE_BLOCKS};

	for (size_t q = 0, n; q < nq; q += n) {
		n = nq - q < GROUP ? nq - q : GROUP;
		size_t whole = group_search(rows, queries + q, n, &beat, tops + q, works + q);
		if (whole == n) continue;
		for (size_t t = q + whole; t < nq; t++) works[t].truncated = true;
		return;
	}
}
