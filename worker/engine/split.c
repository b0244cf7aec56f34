/* split.c - 2-means on a sample of codes (a few rounds of Lloyd), and cuts.
 *
 * The direction is the difference of the two means, brought to whole numbers of at most CODE_MAX: rows are then projected by the
 * kernels over codes. Projections are linear, so the middle between the means is the middle between the mean projections of the
 * two sides, and which mean is nearer is which side of the middle.
 *
 * A plane that leaves less than a tenth on one side is moved to the median of its projections, where equal ones may be
 * divided; so rows that are mostly duplicates still part from the others. If that does not help either, the rows are halved
 * as they stand. Every split but a bit's leaves a tenth on each side, a bit's a thirty-second: depth stays logarithmic. */
#include "worker/engine/split.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/engine/forest.h"

enum {
	SAMPLE_ROWS = 48,
	MEANS_ROUNDS = 3,
	MEDIAN_ROWS = 255,
	BIT_TRIES = 16,
	BALANCE_PLANE = 10, /* the smaller side has at least a tenth */
	BALANCE_BIT = 32,   /* a rare bit still says more than halves do */
	LANES = 16,
	PROJECT_ROWS = 64,  /* projected in one call, the next as many being asked from memory */
};
_Static_assert(SAMPLE_ROWS * CODE_MAX <= UINT16_MAX, "sums of a sample are of 16 bits");

float split_extra(const int8_t *direction, uint32_t dim)
{
	float extra;

	memcpy(&extra, direction + dim, sizeof(extra));
	return extra;
}

static float longest_of(const struct rows *rows)
{
	float most = 0;

	for (uint32_t i = 0; rows->metric == METRIC_DOT && i < rows->n; i++)
		if (rows->norm2[i] > most) most = rows->norm2[i];
	return isfinite(most) ? most : 0;
}

enum status split_space_init(struct split_space *space, const struct rows *rows, const struct codes *codes, const struct quant *quant)
{
	*space = (struct split_space){.rows = rows, .codes = *codes, .longest = longest_of(rows), .dir_size = forest_dir_size(rows->metric, rows->dim)};
	if (rows->metric != METRIC_DOT) return STATUS_OK;
	space->extra = malloc((rows->n ? rows->n : 1) * sizeof(*space->extra));
	if (!space->extra) return STATUS_NO_MEMORY;
	for (uint32_t i = 0; i < rows->n; i++) {
		float extra = sqrtf(fmaxf(space->longest - rows->norm2[i], 0)) * (float)quant->scale;
		space->extra[i] = isfinite(extra) ? extra : 0;
	}
	return STATUS_OK;
}

void split_space_release(struct split_space *space)
{
	free(space->extra);
	*space = (struct split_space){0};
}

/* ---- the sample ---- */

enum side { LEFT, RIGHT, NEITHER };

struct split_scratch {
	uint8_t *codes;              /* [SAMPLE_ROWS x stride] */
	uint16_t *sums[2];           /* [stride] of the codes on each side */
	float *apart;                /* [stride] from the left mean to the right one */
	float extra[SAMPLE_ROWS];    /* dot; else 0 */
	float projections[SAMPLE_ROWS];
	enum side sides[SAMPLE_ROWS];
};

enum status split_scratch_new(const struct split_space *space, struct split_scratch **ret)
{
	size_t stride = space->codes.stride;
	struct split_scratch *s = calloc(1, sizeof(*s));

	if (!s) return STATUS_NO_MEMORY;
	*ret = s;
	if (space->rows->metric == METRIC_HAMMING) return STATUS_OK;
	s->codes = aligned_alloc(CODE_ALIGN, (SAMPLE_ROWS + 2 * sizeof(uint16_t) + sizeof(float)) * stride);
	if (!s->codes) {
		split_scratch_free(ret);
		return STATUS_NO_MEMORY;
	}
	s->apart = (float *)(void *)(s->codes + SAMPLE_ROWS * stride);
	s->sums[0] = (uint16_t *)(void *)(s->apart + stride);
	s->sums[1] = s->sums[0] + stride;
	return STATUS_OK;
}

void split_scratch_free(struct split_scratch **scratch)
{
	if (!*scratch) return;
	free((*scratch)->codes);
	free(*scratch);
	*scratch = NULL;
}

static void add(uint16_t *restrict sum, const uint8_t *restrict code, size_t n)
{
	for (size_t i = 0; i < n; i++) sum[i] = (uint16_t)(sum[i] + code[i]);
}

static void subtract(uint16_t *restrict sum, const uint8_t *restrict code, size_t n)
{
	for (size_t i = 0; i < n; i++) sum[i] = (uint16_t)(sum[i] - code[i]);
}

/* The sums follow: few rows move in a round but the first. */
static void move(const struct split_space *space, struct split_scratch *s, uint32_t i, enum side side)
{
	const uint8_t *code = s->codes + i * space->codes.stride;

	if (s->sides[i] == side) return;
	if (s->sides[i] != NEITHER) subtract(s->sums[s->sides[i]], code, space->codes.stride);
	add(s->sums[side], code, space->codes.stride);
	s->sides[i] = side;
}

/* False if all sampled rows are the same. Else two that differ stand on different sides, and the others on neither. */
static bool sample_take(const struct split_space *space, const uint32_t *order, uint32_t count, struct prng *chance, struct split_scratch *s)
{
	size_t stride = space->codes.stride;
	uint32_t rows[SAMPLE_ROWS], other;

	for (uint32_t i = 0; i < SAMPLE_ROWS; i++) {
		rows[i] = order[prng_below(chance, count)];
		__builtin_prefetch(space->codes.base + rows[i] * stride);
	}
	for (uint32_t i = 0; i < SAMPLE_ROWS; i++) {
		memcpy(s->codes + i * stride, space->codes.base + rows[i] * stride, stride);
		s->extra[i] = space->extra ? space->extra[rows[i]] : 0;
		s->sides[i] = NEITHER;
	}
	other = 1 + prng_below(chance, SAMPLE_ROWS - 1);
	for (uint32_t tries = 1; tries < SAMPLE_ROWS; tries++, other = other % (SAMPLE_ROWS - 1) + 1) {
		if (s->extra[other] == s->extra[0] && memcmp(s->codes + other * stride, s->codes, stride) == 0) continue;
		memset(s->sums[0], 0, 2 * stride * sizeof(uint16_t));
		move(space, s, 0, LEFT);
		move(space, s, other, RIGHT);
		return true;
	}
	return false;
}

/* ---- planes ---- */

/* n is a multiple of LANES, which the compiler takes at once; so it is in the loops below. Returns the greatest magnitude. */
static float means_apart(const uint16_t *restrict left, float left_part, const uint16_t *restrict right, float right_part, float *restrict apart, size_t n)
{
	float most[LANES] = {0}, greatest = 0;

	for (size_t i = 0; i < n; i += LANES)
		for (size_t j = 0; j < LANES; j++) {
			float between = (float)right[i + j] * right_part - (float)left[i + j] * left_part, magnitude = fabsf(between);
			apart[i + j] = between;
			most[j] = magnitude > most[j] ? magnitude : most[j];
		}
	for (size_t j = 0; j < LANES; j++) greatest = most[j] > greatest ? most[j] : greatest;
	return greatest;
}

/* To the nearest whole numbers, halves away from 0. */
static void round_all(const float *restrict v, float scale, int8_t *restrict ret, size_t n)
{
	for (size_t i = 0; i < n; i += LANES) {
		int32_t whole[LANES];
		for (size_t j = 0; j < LANES; j++) {
			float scaled = v[i + j] * scale;
			whole[j] = (int32_t)(scaled + copysignf(0.5f, scaled));
		}
		for (size_t j = 0; j < LANES; j++) ret[i + j] = (int8_t)whole[j];
	}
}

/* From the mean of the left side to that of the right one, which both have rows. False if the means are the same. */
static bool set_direction(const struct split_space *space, struct split_scratch *s, int8_t *direction)
{
	size_t stride = space->codes.stride;
	float part[2], extras[2] = {0, 0};
	uint32_t counts[2] = {0, 0};

	for (uint32_t i = 0; i < SAMPLE_ROWS; i++) {
		if (s->sides[i] == NEITHER) continue;
		extras[s->sides[i]] += s->extra[i];
		counts[s->sides[i]]++;
	}
	for (int side = 0; side < 2; side++) part[side] = 1.0f / (float)counts[side];
	float most = means_apart(s->sums[LEFT], part[LEFT], s->sums[RIGHT], part[RIGHT], s->apart, stride);
	float extra = extras[RIGHT] * part[RIGHT] - extras[LEFT] * part[LEFT];
	if (!(most > 0) && !(fabsf(extra) > 0)) return false;
	float scale = most > 0 ? CODE_MAX / most : 1;
	memset(direction + stride, 0, space->dir_size - stride);
	round_all(s->apart, scale, direction, stride);
	extra *= scale;
	if (!isfinite(extra)) extra = 0;
	if (space->extra) memcpy(direction + space->rows->dim, &extra, sizeof(extra));
	return true;
}

/* Project the sample; returns the middle between the means of the sides. */
static float project_sample(const struct split_space *space, struct split_scratch *s, const int8_t *direction)
{
	int32_t products[SAMPLE_ROWS];
	float extra = space->extra ? split_extra(direction, space->rows->dim) : 0, sums[2] = {0, 0};
	uint32_t counts[2] = {0, 0};

	code_kernels()->dot(direction, s->codes, space->codes.stride, NULL, SAMPLE_ROWS, products);
	for (uint32_t i = 0; i < SAMPLE_ROWS; i++) {
		s->projections[i] = (float)products[i] + extra * s->extra[i];
		if (s->sides[i] == NEITHER) continue;
		sums[s->sides[i]] += s->projections[i];
		counts[s->sides[i]]++;
	}
	return (sums[LEFT] / (float)counts[LEFT] + sums[RIGHT] / (float)counts[RIGHT]) / 2;
}

/* One round of Lloyd; false if no row moves, or one side would be empty (the sides stay). */
static bool lloyd(const struct split_space *space, struct split_scratch *s, float middle)
{
	uint32_t right = 0, moved = 0;

	for (uint32_t i = 0; i < SAMPLE_ROWS; i++) right += s->projections[i] > middle;
	if (right == 0 || right == SAMPLE_ROWS) return false;
	for (uint32_t i = 0; i < SAMPLE_ROWS; i++) {
		enum side side = s->projections[i] > middle ? RIGHT : LEFT;
		moved += s->sides[i] != side;
		move(space, s, i, side);
	}
	return moved > 0;
}

static float unit_of(const struct split_space *space, const int8_t *direction)
{
	uint64_t whole = 0;

	for (uint32_t i = 0; i < space->rows->dim; i++) whole += (uint32_t)(direction[i] * direction[i]);
	double norm2 = (double)whole;
	if (space->extra) norm2 += (double)split_extra(direction, space->rows->dim) * (double)split_extra(direction, space->rows->dim);
	return norm2 > 0 ? (float)(1 / sqrt(norm2)) : 0;
}

/* False if the sampled rows cannot be told apart. */
static bool choose_plane(const struct split_space *space, const uint32_t *order, uint32_t count, struct prng *chance, struct split_scratch *s,
	int8_t *direction, struct split *ret)
{
	float middle;

	if (!sample_take(space, order, count, chance, s)) return false;
	for (int round = 0;; round++) {
		if (!set_direction(space, s, direction)) return false;
		middle = project_sample(space, s, direction);
		if (round == MEANS_ROUNDS || !lloyd(space, s, middle)) break;
	}
	ret->offset = -middle;
	ret->unit = unit_of(space, direction);
	return isfinite(middle) && ret->unit > 0;
}

/* ---- bits ---- */

static bool bit_set(const struct rows *rows, uint32_t row, uint32_t bit)
{
	return ((const uint8_t *)rows_row(rows, row))[bit / 8] >> bit % 8 & 1;
}

/* Rows of the sample on the smaller side. */
static uint32_t bit_minority(const struct rows *rows, const uint32_t *sample, uint32_t bit)
{
	uint32_t set = 0;

	for (uint32_t i = 0; i < SAMPLE_ROWS; i++) set += bit_set(rows, sample[i], bit);
	return set < SAMPLE_ROWS - set ? set : SAMPLE_ROWS - set;
}

/* The most balanced of a few bits; where none of them is any good, of all. False if no bit differs within the sample. */
static bool choose_bit(const struct rows *rows, const uint32_t *order, uint32_t count, struct prng *chance, uint32_t *ret_bit)
{
	uint32_t sample[SAMPLE_ROWS], best = 0, most = 0, start;

	for (uint32_t i = 0; i < SAMPLE_ROWS; i++) sample[i] = order[prng_below(chance, count)];
	for (int i = 0; i < BIT_TRIES; i++) {
		uint32_t bit = prng_below(chance, rows->dim), minority = bit_minority(rows, sample, bit);
		if (minority > most) {
			most = minority;
			best = bit;
		}
	}
	start = prng_below(chance, rows->dim);
	for (uint32_t i = 0; most < SAMPLE_ROWS / BALANCE_PLANE && i < rows->dim; i++) {
		uint32_t bit = i < rows->dim - start ? start + i : i - (rows->dim - start);
		uint32_t minority = bit_minority(rows, sample, bit);
		if (minority > most) {
			most = minority;
			best = bit;
		}
	}
	*ret_bit = best;
	return most > 0;
}

/* ---- the three steps ---- */

void split_choose(const struct split_space *space, const uint32_t *order, uint32_t count, struct prng *chance,
	struct split_scratch *s, int8_t *direction, struct split *ret)
{
	*ret = (struct split){.kind = SPLIT_HALVES};
	if (space->rows->metric == METRIC_HAMMING) {
		if (choose_bit(space->rows, order, count, chance, &ret->bit)) ret->kind = SPLIT_BIT;
	} else if (choose_plane(space, order, count, chance, s, direction, ret)) {
		ret->kind = SPLIT_PLANE;
	}
}

static inline __attribute__((always_inline)) void prefetch_codes(const struct codes *c, const uint32_t *which, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t at = 0; at < c->stride && at < 256; at += 64) __builtin_prefetch(c->base + (size_t)which[i] * c->stride + at);
}

static void project_plane(const struct split_space *space, const int8_t *direction, const uint32_t *order, uint32_t count, float *projections)
{
	const struct codes *codes = &space->codes;
	float extra = space->extra ? split_extra(direction, space->rows->dim) : 0;
	int32_t products[PROJECT_ROWS];

	for (uint32_t first = 0; first < count; first += PROJECT_ROWS) {
		uint32_t n = count - first < PROJECT_ROWS ? count - first : PROJECT_ROWS, rest = count - first - n;
		prefetch_codes(codes, order + first + n, rest < PROJECT_ROWS ? rest : PROJECT_ROWS);
		code_kernels()->dot(direction, codes->base, codes->stride, order + first, n, products);
		for (uint32_t i = 0; i < n; i++) projections[first + i] = (float)products[i];
		for (uint32_t i = 0; space->extra && i < n; i++) projections[first + i] += extra * space->extra[order[first + i]];
	}
}

void split_project(const struct split_space *space, const struct split *split, const int8_t *direction, const uint32_t *order,
	uint32_t count, float *projections)
{
	if (split->kind == SPLIT_PLANE) project_plane(space, direction, order, count, projections);
	if (split->kind == SPLIT_BIT)
		for (uint32_t i = 0; i < count; i++) projections[i] = (float)bit_set(space->rows, order[i], split->bit);
}

static int by_value(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return x < y ? -1 : x > y;
}

/* The middle projection of a sample. */
static float median_of(const float *projections, uint32_t count, struct prng *chance)
{
	float sample[MEDIAN_ROWS];
	uint32_t n = count < MEDIAN_ROWS ? count : MEDIAN_ROWS;

	for (uint32_t i = 0; i < n; i++) sample[i] = projections[n == count ? i : prng_below(chance, count)];
	qsort(sample, n, sizeof(float), by_value);
	return sample[n / 2];
}

static bool balanced(uint32_t left, uint32_t count, uint32_t balance)
{
	uint32_t least = left < count - left ? left : count - left;

	return least > 0 && least >= count / balance;
}

/* A stable partition: margin < 0 left, > 0 right, and of those on the plane the first `level` left. */
static void partition(uint32_t *order, const float *projections, float offset, uint32_t count, uint32_t left, uint32_t level,
	uint32_t *reordered)
{
	uint32_t l = 0, r = left;

	for (uint32_t i = 0; i < count; i++) {
		float margin = projections[i] + offset;
		bool goes_left = margin < 0 || (margin == 0 && level > 0);
		if (margin == 0 && level > 0) level--;
		reordered[goes_left ? l++ : r++] = order[i];
	}
	memcpy(order, reordered, count * sizeof(*order));
}

/* How many have a margin below 0, and how many lie on the plane. */
static uint32_t count_below(const float *projections, float offset, uint32_t count, uint32_t *ret_level)
{
	uint32_t below = 0, level = 0;

	for (uint32_t i = 0; i < count; i++) {
		float margin = projections[i] + offset;
		below += margin < 0;
		level += margin == 0;
	}
	*ret_level = level;
	return below;
}

uint32_t split_divide(uint32_t *order, uint32_t count, const float *projections, struct prng *chance, uint32_t *reordered,
	struct split *split)
{
	uint32_t level = 0, below = 0, left = 0, half = count / 2;
	float offset = split->kind == SPLIT_PLANE ? split->offset : 0;

	if (split->kind != SPLIT_HALVES) {
		below = count_below(projections, offset, count, &level);
		left = below + level;
	}
	if (split->kind == SPLIT_PLANE && !balanced(left, count, BALANCE_PLANE)) {
		offset = -median_of(projections, count, chance);
		below = count_below(projections, offset, count, &level);
		left = half < below ? below : half > below + level ? below + level : half;
	}
	if (split->kind == SPLIT_HALVES || !balanced(left, count, split->kind == SPLIT_BIT ? BALANCE_BIT : BALANCE_PLANE)) {
		*split = (struct split){.kind = SPLIT_HALVES};
		return half;
	}
	partition(order, projections, offset, count, left, left - below, reordered);
	if (split->kind == SPLIT_PLANE) split->offset = offset;
	return left;
}
