/* exact.c - every live row against every query, tiled: a block of rows that fits the second-level cache meets all queries
 * before the next block is read, so that a batch costs memory bandwidth once. The order in which pairs are scored cannot
 * show: topk keeps the k least by (raw, id) whatever comes first. */
#include "worker/engine/exact.h"

#include "common/codes.h"

enum {
	BLOCK_BYTES = 192 * 1024, /* of rows: leaves room for a query and the heaps in 512 KiB */
	PULSE_PAIRS = 2048,       /* distances between two questions to the pulse */
	BITS_RUN = 512,
};

static uint32_t block_rows(const struct rows *rows)
{
	uint32_t n = (uint32_t)(BLOCK_BYTES / rows->stride);

	return n < 1 ? 1 : n > PULSE_PAIRS ? PULSE_PAIRS : n;
}

/* Bits: a run of rows at a time, by the kernel that scans them. */
static void score_bits(const struct rows *rows, uint32_t first, uint32_t end, const struct query *query, struct topk *top,
	struct search_work *work)
{
	uint32_t apart[BITS_RUN];

	for (; first < end; first += BITS_RUN) {
		uint32_t n = end - first < BITS_RUN ? end - first : BITS_RUN;
		code_kernels()->bits(query->row, rows_row(rows, first), rows->stride, n, apart);
		for (uint32_t i = 0; i < n; i++) {
			if (rows->dead_at && !rows_live(rows, first + i)) continue;
			work->candidates++;
			if (topk_admits(top, (float)apart[i])) topk_push(top, (struct hit){.id = rows->ids[first + i], .raw = (float)apart[i]});
		}
	}
}

static void score_block(const struct rows *rows, uint32_t first, uint32_t end, const struct query *query, struct topk *top,
	struct search_work *work)
{
	for (uint32_t i = first; i < end; i++) {
		if (!rows_live(rows, i)) continue;
		float raw = vec_raw(rows->metric, rows_row(rows, i), rows->norm2 ? rows->norm2[i] : 0, query->row, query->norm2, rows->dim);
		work->candidates++;
		if (topk_admits(top, raw)) topk_push(top, (struct hit){.id = rows->ids[i], .raw = raw});
	}
}

void exact_search(const struct rows *rows, const struct query *queries, size_t nq, const struct pulse *pulse,
	struct topk *tops, struct search_work *works)
{
	uint32_t step = block_rows(rows);
	uint64_t pairs = PULSE_PAIRS; /* ask before the first distance */

	for (uint32_t first = 0, end; first < rows->n; first = end) {
		end = rows->n - first < step ? rows->n : first + step;
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
			if (rows->metric == METRIC_HAMMING)
				score_bits(rows, first, end, &queries[q], &tops[q], &works[q]);
			else
				score_block(rows, first, end, &queries[q], &tops[q], &works[q]);
		}
	}
}
