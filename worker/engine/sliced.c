/* sliced.c - the order of sliced rows, and their blocks.
 *
 * Rows with as many ones need no counts of them beside their planes, and the planes of bits that all rows of a block have in common need not be read. So rows
 * are sorted by their ones, then by as many leading bits as leave a block or two of rows to each of their values: those that nearest to half of the rows have.
 * Values follow each other by Gray's code, so that a block across two of them still has all leading bits but one in common. */
#include "worker/engine/sliced.h"

#include <stdlib.h>
#include <string.h>

enum { WORD = 64, BLOCK_WORDS = SLICED_ROWS / WORD, SAMPLE = 4096, RUN_BLOCKS = 16, DIGIT_BITS = 8, DIGITS = 4, DIGIT_VALUES = 1 << DIGIT_BITS };

size_t sliced_planes(enum metric m, uint32_t dim)
{
	return m != METRIC_HAMMING || dim > SLICED_DIM_MAX ? 0 : ((size_t)dim + SLICED_STEP - 1) / SLICED_STEP * SLICED_STEP;
}

static uint32_t ones_of(const uint8_t *row, size_t planes)
{
	uint32_t ones = 0;

	for (size_t i = 0; i < planes; i += WORD) {
		uint64_t word; /* rows are whole words */
		memcpy(&word, row + i / 8, sizeof(word));
		ones += (uint32_t)__builtin_popcountll(word);
	}
	return ones;
}

/* Of some of the rows: how many have each bit, and how many there are of each number of ones. */
struct sample { uint32_t count, having[SLICED_DIM_MAX], with_ones[SLICED_DIM_MAX + 1]; };

static void sample_take(const struct rows *rows, size_t planes, struct sample *ret)
{
	*ret = (struct sample){.count = rows->n < SAMPLE ? rows->n : SAMPLE};
	for (uint32_t i = 0; i < ret->count; i++) {
		const uint8_t *row = rows_row(rows, (uint32_t)((uint64_t)i * rows->n / ret->count));
		ret->with_ones[ones_of(row, planes)]++;
		for (size_t b = 0; b < planes; b++) ret->having[b] += row[b / 8] >> b % 8 & 1;
	}
}

static void lead_choose(const struct rows *rows, size_t planes, struct sliced_lead *ret)
{
	bool taken[SLICED_DIM_MAX] = {false};
	struct sample sample;
	double alike = 0; /* rows that have as many ones as a row has, on average */

	*ret = (struct sliced_lead){0};
	sample_take(rows, planes, &sample);
	for (size_t ones = 0; ones <= planes; ones++) alike += (double)sample.with_ones[ones] * sample.with_ones[ones];
	alike *= (double)rows->n / sample.count / sample.count;
	for (; ret->count < SLICED_LEAD_MAX && alike >= RUN_BLOCKS * SLICED_ROWS * (double)(1u << ret->count); ret->count++) {
		size_t best = planes;
		uint32_t least = UINT32_MAX;
		for (size_t b = 0; b < planes; b++) {
			uint32_t twice = 2 * sample.having[b], off = twice > sample.count ? twice - sample.count : sample.count - twice;
			if (taken[b] || off >= least) continue;
			best = b;
			least = off;
		}
		taken[best] = true;
		ret->bits[ret->count] = (uint16_t)best;
	}
}

/* What rows are sorted by: the number of ones above the number that Gray's code gives the lead. */
static uint32_t key_of(const uint8_t *row, size_t planes, const struct sliced_lead *lead)
{
	uint32_t place = sliced_lead_of(lead, row);

	for (uint32_t half = 1; half < SLICED_LEAD_MAX; half *= 2) place ^= place >> half;
	return ones_of(row, planes) << lead->count | place;
}

/* Digit by digit, the least first; `other` is as large. */
static void sort_by_key(uint64_t *keyed, uint64_t *other, uint32_t n)
{
	for (unsigned digit = 0; digit < DIGITS; digit++) {
		uint32_t ends[DIGIT_VALUES] = {0}, sum = 0;
		unsigned shift = 32 + digit * DIGIT_BITS;
		for (uint32_t i = 0; i < n; i++) ends[keyed[i] >> shift & (DIGIT_VALUES - 1)]++;
		for (uint32_t v = 0; v < DIGIT_VALUES; v++) {
			uint32_t count = ends[v];
			ends[v] = sum;
			sum += count;
		}
		for (uint32_t i = 0; i < n; i++) other[ends[keyed[i] >> shift & (DIGIT_VALUES - 1)]++] = keyed[i];
		uint64_t *sorted = other;
		other = keyed;
		keyed = sorted;
	}
}

/* The rows' numbers below their keys, in order. Half of the memory is for the sorting. */
static uint64_t *order_rows(const struct rows *rows, const struct sliced *s)
{
	uint64_t *keyed = malloc(2 * (size_t)rows->n * sizeof(*keyed));

	if (!keyed) return NULL;
	for (uint32_t i = 0; i < rows->n; i++) keyed[i] = (uint64_t)key_of(rows_row(rows, i), s->planes, &s->lead) << 32 | i;
	sort_by_key(keyed, keyed + rows->n, rows->n);
	return keyed;
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

/* From the keys of n rows. */
static void head_make(const struct sliced *s, const uint64_t *keyed, uint32_t n, struct sliced_head *ret)
{
	*ret = (struct sliced_head){.all = UINT32_MAX, .least = UINT16_MAX};
	for (uint32_t r = 0; r < n; r++) {
		uint32_t key = (uint32_t)(keyed[r] >> 32), place = key & ((1u << s->lead.count) - 1), lead = place ^ place >> 1;
		uint16_t rest = (uint16_t)((key >> s->lead.count) - (uint32_t)__builtin_popcount(lead));
		ret->all &= lead;
		ret->any |= lead;
		if (rest < ret->least) ret->least = rest;
		if (rest > ret->most) ret->most = rest;
	}
}

static void block_make(const struct rows *rows, const struct sliced *s, const uint64_t *keyed, uint32_t block)
{
	uint8_t *to = s->bytes + block * sliced_block_bytes(s->planes);
	uint32_t first = block * SLICED_ROWS, n = rows->n - first < SLICED_ROWS ? rows->n - first : SLICED_ROWS;
	uint64_t bits[WORD];

	memset(to, 0, sliced_block_bytes(s->planes));
	head_make(s, keyed + first, n, (struct sliced_head *)(void *)to);
	for (uint32_t word = 0; word < BLOCK_WORDS; word++)
		for (size_t plane = 0; plane < s->planes; plane += WORD) {
			for (uint32_t r = 0; r < WORD; r++) {
				uint32_t place = word * WORD + r;
				bits[r] = 0;
				if (place < n) memcpy(&bits[r], (const uint8_t *)rows_row(rows, s->order[first + place]) + plane / 8, sizeof(bits[r]));
			}
			transpose(bits);
			for (size_t b = 0; b < WORD && plane + b < s->planes; b++)
				memcpy(to + sliced_plane_at(plane + b) + word * sizeof(bits[b]), &bits[b], sizeof(bits[b]));
		}
}

enum status sliced_make(const struct rows *rows, struct sliced **ret)
{
	size_t planes = sliced_planes(rows->metric, rows->dim);
	struct sliced *s = NULL;
	uint64_t *keyed = NULL;
	enum status status = STATUS_OK;

	if (!planes || !rows->n) goto out;
	status = STATUS_NO_MEMORY;
	s = calloc(1, sizeof(*s));
	if (!s) goto out;
	s->planes = planes;
	s->blocks = (uint32_t)(((size_t)rows->n + SLICED_ROWS - 1) / SLICED_ROWS);
	s->order = malloc(rows->n * sizeof(*s->order));
	s->bytes = aligned_alloc(CODE_ALIGN, s->blocks * sliced_block_bytes(planes));
	if (!s->order || !s->bytes) goto out;
	lead_choose(rows, planes, &s->lead);
	keyed = order_rows(rows, s);
	if (!keyed) goto out;
	for (uint32_t i = 0; i < rows->n; i++) s->order[i] = (uint32_t)keyed[i];
	for (uint32_t i = 0; i < s->blocks; i++) block_make(rows, s, keyed, i);
	status = STATUS_OK;
out:
	free(keyed);
	if (status != STATUS_OK) {
		sliced_free(&s);
	} else {
		*ret = s;
	}
	return status;
}

uint32_t sliced_home(const struct rows *rows, const uint8_t *row)
{
	const struct sliced *s = rows->sliced;
	uint32_t key = key_of(row, s->planes, &s->lead), low = 0, high = s->blocks;

	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		if (key_of(rows_row(rows, s->order[middle * SLICED_ROWS]), s->planes, &s->lead) <= key)
			low = middle;
		else
			high = middle;
	}
	return low;
}

void sliced_free(struct sliced **sliced)
{
	struct sliced *s = *sliced;

	if (!s) return;
	free(s->order);
	free(s->bytes);
	free(s);
	*sliced = NULL;
}
