/* sliced.c - blocks are asked, all rows of a register at once, whether any row is near enough to enter; the few that are get counted from the row itself
 * and pushed. Until the heap is full every row enters, and they are all counted from the rows. */
#include "worker/engine/sliced.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"

enum { WORD = 64, BLOCK_WORDS = SLICED_ROWS / WORD };

size_t sliced_planes(enum metric m, uint32_t dim)
{
	return m != METRIC_HAMMING || dim > SLICED_DIM_MAX ? 0 : ((size_t)dim + SLICED_STEP - 1) / SLICED_STEP * SLICED_STEP;
}

/* Rows become columns: bit c of word r goes to bit r of word c. Quarters that lie across are exchanged, of 64 x 64 bits, then of 32 x 32, and so on. */
static void transpose(uint64_t bits[WORD])
{
	uint64_t low = UINT32_MAX;

	for (unsigned half = WORD / 2; half; half /= 2, low ^= low << half)
		for (unsigned r = 0; r < WORD; r = (r + half + 1) & ~half) {
			uint64_t across = (bits[r] >> half ^ bits[r + half]) & low;
			bits[r + half] ^= across;
			bits[r] ^= across << half;
		}
}

/* One less in the inverted counts of the rows of `ones`: first their lowest digit, which stands last. */
static void count_down(uint64_t *counts, size_t height, uint64_t ones)
{
	for (size_t d = 0; d <= height && ones; d++) {
		uint64_t *digit = &counts[(d ? d - 1 : height) * BLOCK_WORDS], old = *digit;
		*digit = old ^ ones;
		ones &= ~old;
	}
}

static void block_make(const struct rows *rows, uint32_t first, size_t planes, uint64_t *ret)
{
	uint64_t bits[WORD];
	size_t height = sliced_height(planes);

	for (uint32_t word = 0; word < BLOCK_WORDS; word++) {
		uint64_t *counts = ret + planes * BLOCK_WORDS + word;
		for (size_t d = 0; d <= height; d++) counts[d * BLOCK_WORDS] = UINT64_MAX;
		counts[(height + 1) * BLOCK_WORDS] = 0;
		for (size_t plane = 0; plane < planes; plane += WORD) {
			for (uint32_t r = 0; r < WORD; r++) {
				uint32_t row = first + word * WORD + r;
				bits[r] = 0;
				if (row < rows->n) memcpy(&bits[r], (const uint8_t *)rows_row(rows, row) + plane / 8, sizeof(bits[r]));
			}
			transpose(bits);
			for (size_t b = 0; b < WORD && plane + b < planes; b++) {
				ret[(plane + b) * BLOCK_WORDS + word] = bits[b];
				count_down(counts, height, bits[b]);
			}
		}
	}
}

enum status sliced_make(const struct rows *rows, uint8_t **ret)
{
	size_t planes = sliced_planes(rows->metric, rows->dim), block = sliced_block_planes(planes) * (SLICED_ROWS / 8);
	size_t blocks = ((size_t)rows->n + SLICED_ROWS - 1) / SLICED_ROWS;

	if (!planes || !blocks) {
		*ret = NULL;
		return STATUS_OK;
	}
	uint8_t *made = aligned_alloc(CODE_ALIGN, blocks * block);
	if (!made) return STATUS_NO_MEMORY;
	for (size_t i = 0; i < blocks; i++) block_make(rows, (uint32_t)(i * SLICED_ROWS), planes, (uint64_t *)(void *)(made + i * block));
	*ret = made;
	return STATUS_OK;
}

/* Rows of one block: those of near[BLOCK_WORDS], in their order. Where they may be many, the kernel counts all the block's at once. */
static void offer(const struct rows *rows, uint32_t block, const uint64_t *near, bool many, const struct query *query, struct topk *top)
{
	uint32_t apart[SLICED_ROWS], first = block * SLICED_ROWS, n = rows->n - first < SLICED_ROWS ? rows->n - first : SLICED_ROWS;

	if (many) code_kernels()->bits(query->row, rows_row(rows, first), rows->stride, n, apart);
	for (uint32_t word = 0; word < BLOCK_WORDS; word++)
		for (uint64_t left = near[word]; left; left &= left - 1) {
			uint32_t at = word * WORD + (uint32_t)__builtin_ctzll(left);
			if (at >= n) return;
			if (!many) code_kernels()->bits(query->row, rows_row(rows, first + at), rows->stride, 1, &apart[at]);
			if (topk_admits(top, (float)apart[at])) topk_push(top, (struct hit){.id = rows->ids[first + at], .raw = (float)apart[at]});
		}
}

void sliced_search(const struct rows *rows, uint32_t first, uint32_t end, const uint64_t *live, const struct query *query, struct topk *top)
{
	size_t planes = sliced_planes(rows->metric, rows->dim), block = sliced_block_planes(planes) * (SLICED_ROWS / 8);
	struct sliced_query sliced;
	uint64_t near[BLOCK_WORDS];

	if (top->capacity == 0) return;
	sliced_query_init(&sliced, query->row, planes);
	for (uint32_t at = first; at < end; at++) {
		uint32_t most = top->count < top->capacity ? UINT32_MAX : (uint32_t)top->hits[0].raw;
		bool all = most >= planes;
		if (all)
			memset(near, 0xff, sizeof(near));
		else
			at += (uint32_t)code_kernels()->near(&sliced, rows->sliced + at * block, end - at, most, near);
		if (at == end) return;
		for (uint32_t word = 0; live && word < BLOCK_WORDS; word++) near[word] &= live[(at - first) * BLOCK_WORDS + word];
		offer(rows, at, near, all, query, top);
	}
}
