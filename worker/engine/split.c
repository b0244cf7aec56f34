/* split.c - 2-means on a sample (a few rounds of Lloyd), and cuts.
 *
 * The sampled points are taken relative to the first of them: a column that is the same in all rows is then exactly 0 and
 * cannot lend its rounding errors to the direction. Where their squares would leave the range of float, all are scaled by
 * one power of two, which changes no digit. Which mean is nearer needs one product: x is nearer to the right one iff x . (r
 * - l) > (|r|^2 - |l|^2) / 2.
 *
 * A plane that leaves less than a tenth on one side is moved to the median of its projections, where equal ones may be
 * divided; so rows that are mostly duplicates still part from the others. If that does not help either, the rows are halved
 * as they stand. Every split but a bit's leaves a tenth on each side, a bit's a thirty-second: depth stays logarithmic. */
#include "worker/engine/split.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	SAMPLE_ROWS = 48,
	MEANS_ROUNDS = 3,
	MEDIAN_ROWS = 255,
	BIT_TRIES = 16,
	BALANCE_PLANE = 10, /* the smaller side has at least a tenth */
	BALANCE_BIT = 32,   /* a rare bit still says more than halves do */
	PREFETCH_AHEAD = 2, /* rows */
};

/* Squares of differences outside of this would lose digits or overflow when summed. */
static const float SQUARE_LEAST = 1e-25f, SQUARE_MOST = 1e25f;

uint32_t split_floats(enum metric m, uint32_t dim)
{
	if (m == METRIC_HAMMING) return 0;
	return (dim + (m == METRIC_DOT) + 15) / 16 * 16;
}

void split_space_init(struct split_space *space, const struct rows *rows)
{
	*space = (struct split_space){.rows = rows, .floats = split_floats(rows->metric, rows->dim)};
	for (uint32_t i = 0; rows->metric == METRIC_DOT && i < rows->n; i++)
		if (rows->norm2[i] > space->dot_max_norm2) space->dot_max_norm2 = rows->norm2[i];
	if (!isfinite(space->dot_max_norm2)) space->dot_max_norm2 = 0;
}

enum status split_scratch_init(struct split_scratch *s, const struct split_space *space)
{
	size_t floats = space->floats;

	*s = (struct split_scratch){0};
	if (!floats) return STATUS_OK;
	/* One block: the sample, then the three vectors. Rows of 16 floats at least, so all of it is aligned to 64. */
	s->sample = aligned_alloc(64, (SAMPLE_ROWS + 3) * floats * sizeof(float));
	if (!s->sample) return STATUS_NO_MEMORY;
	s->means[0] = s->sample + SAMPLE_ROWS * floats;
	s->means[1] = s->means[0] + floats;
	s->apart = s->means[1] + floats;
	return STATUS_OK;
}

void split_scratch_release(struct split_scratch *s)
{
	free(s->sample);
	*s = (struct split_scratch){0};
}

/* ---- points ---- */

static float unit_scale(const struct rows *rows, uint32_t row)
{
	if (rows->metric != METRIC_ANGULAR) return 1.0f;
	float scale = 1.0f / sqrtf(rows->norm2[row]);
	return isfinite(scale) ? scale : 0.0f;
}

static float augmented(const struct split_space *space, uint32_t row)
{
	float rest = space->dot_max_norm2 - space->rows->norm2[row];
	return rest > 0 ? sqrtf(rest) : 0.0f;
}

static void point_of(const struct split_space *space, uint32_t row, float scale, float *restrict ret)
{
	const struct rows *rows = space->rows;
	const float *restrict v = rows_row(rows, row);
	uint32_t dim = rows->dim;

	scale *= unit_scale(rows, row);
	for (uint32_t i = 0; i < dim; i++) ret[i] = v[i] * scale;
	for (uint32_t i = dim; i < space->floats; i++) ret[i] = 0;
	if (rows->metric == METRIC_DOT) ret[dim] = augmented(space, row) * scale;
}

/* Along a direction, always finite: what overflows is very far, and what has no value is nowhere. */
static float projection(const struct split_space *space, const float *direction, uint32_t row)
{
	const struct rows *rows = space->rows;
	float p = vec_kernels()->dot(direction, rows_row(rows, row), rows->dim);

	if (rows->metric == METRIC_ANGULAR) p *= unit_scale(rows, row);
	if (rows->metric == METRIC_DOT) p += direction[rows->dim] * augmented(space, row);
	if (isfinite(p)) return p;
	return isnan(p) ? 0 : copysignf(FLT_MAX, p);
}

/* ---- the sample ---- */

struct sample {
	uint32_t rows[SAMPLE_ROWS];
	float *points;            /* row i of the sample minus row 0, times `scale` */
	float squares[SAMPLE_ROWS]; /* |points[i]|^2 */
	float scale;
};

static void subtract(float *restrict a, const float *restrict b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) a[i] -= b[i];
}

/* `first` is memory for one point. Returns the largest square, or NaN if a difference overflowed. */
static float sample_place(const struct split_space *space, float scale, float *first, struct sample *sample)
{
	uint32_t floats = space->floats;
	float most = 0;

	sample->scale = scale;
	point_of(space, sample->rows[0], scale, first);
	for (uint32_t i = 0; i < SAMPLE_ROWS; i++) {
		float *point = sample->points + (size_t)i * floats;
		point_of(space, sample->rows[i], scale, point);
		subtract(point, first, floats);
		sample->squares[i] = vec_kernels()->dot(point, point, floats);
		if (!(sample->squares[i] <= most)) most = sample->squares[i];
	}
	return most;
}

static float greatest_magnitude(const float *v, size_t n)
{
	float most = 0;

	for (size_t i = 0; i < n; i++)
		if (!(fabsf(v[i]) <= most)) most = fabsf(v[i]);
	return most;
}

/* For data near the ends of float's range: bring the largest difference to between 1 and 2. False if there is no difference. */
static bool sample_rescale(const struct split_space *space, float *first, struct sample *sample)
{
	size_t all = (size_t)SAMPLE_ROWS * space->floats;
	float most = greatest_magnitude(sample->points, all);
	int exponent;

	if (!isfinite(most)) {
		(void)sample_place(space, 0.25f, first, sample); /* no difference of two quarters overflows */
		most = greatest_magnitude(sample->points, all);
	}
	if (!(most > 0) || !isfinite(most)) return false;
	(void)frexpf(most, &exponent);
	float scale = ldexpf(1, exponent > 127 ? -126 : exponent < -125 ? 126 : 1 - exponent);
	for (size_t i = 0; i < all; i++) sample->points[i] *= scale;
	for (uint32_t i = 0; i < SAMPLE_ROWS; i++) {
		const float *point = sample->points + i * (size_t)space->floats;
		sample->squares[i] = vec_kernels()->dot(point, point, space->floats);
	}
	sample->scale *= scale;
	return true;
}

/* False if all sampled points are the same. */
static bool sample_take(const struct split_space *space, const uint32_t *order, uint32_t count, struct prng *chance,
	struct split_scratch *s, struct sample *sample)
{
	sample->points = s->sample;
	for (uint32_t i = 0; i < SAMPLE_ROWS; i++) {
		sample->rows[i] = order[prng_below(chance, count)];
		__builtin_prefetch(rows_row(space->rows, sample->rows[i]));
	}
	float most = sample_place(space, 1, s->apart, sample);
	return (most > SQUARE_LEAST && most < SQUARE_MOST) || sample_rescale(space, s->apart, sample);
}

/* ---- planes ---- */

static void add(float *restrict sum, const float *restrict v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) sum[i] += v[i];
}

static void multiply(float *v, float by, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) v[i] *= by;
}

/* s->apart = right mean - left mean. */
static void set_apart(struct split_scratch *s, uint32_t floats)
{
	memcpy(s->apart, s->means[1], floats * sizeof(float));
	subtract(s->apart, s->means[0], floats);
}

/* One round of Lloyd; false if one side would be empty (the means stay). */
static bool lloyd(const struct sample *sample, uint32_t floats, struct split_scratch *s)
{
	const struct vec_kernels *k = vec_kernels();
	bool right[SAMPLE_ROWS];
	uint32_t counts[2] = {0, 0};
	float middle = (k->dot(s->means[1], s->means[1], floats) - k->dot(s->means[0], s->means[0], floats)) / 2;

	for (uint32_t i = 0; i < SAMPLE_ROWS; i++) {
		right[i] = k->dot(s->apart, sample->points + (size_t)i * floats, floats) > middle;
		counts[right[i]]++;
	}
	if (!counts[0] || !counts[1]) return false;
	for (int side = 0; side < 2; side++) memset(s->means[side], 0, floats * sizeof(float));
	for (uint32_t i = 0; i < SAMPLE_ROWS; i++) add(s->means[right[i]], sample->points + (size_t)i * floats, floats);
	for (int side = 0; side < 2; side++) multiply(s->means[side], 1.0f / (float)counts[side], floats);
	set_apart(s, floats);
	return true;
}

/* False if the sampled rows cannot be told apart. */
static bool choose_plane(const struct split_space *space, const uint32_t *order, uint32_t count, struct prng *chance,
	struct split_scratch *s, float *direction, float *ret_offset)
{
	const struct vec_kernels *k = vec_kernels();
	uint32_t floats = space->floats, other;
	struct sample sample;

	if (!sample_take(space, order, count, chance, s, &sample)) return false;
	other = 1 + prng_below(chance, SAMPLE_ROWS - 1);
	for (uint32_t i = 1; i < SAMPLE_ROWS && !(sample.squares[other] > 0); i++) other = i;
	memset(s->means[0], 0, floats * sizeof(float));
	memcpy(s->means[1], sample.points + (size_t)other * floats, floats * sizeof(float));
	set_apart(s, floats);
	for (int round = 0; round < MEANS_ROUNDS && lloyd(&sample, floats, s); round++) continue;
	float length2 = k->dot(s->apart, s->apart, floats), scale = 1.0f / sqrtf(length2);
	if (!(length2 > 0) || !isfinite(scale)) return false;
	memcpy(direction, s->apart, floats * sizeof(float));
	multiply(direction, scale, floats);
	float middle = (k->dot(direction, s->means[0], floats) + k->dot(direction, s->means[1], floats)) / 2;
	*ret_offset = -(projection(space, direction, sample.rows[0]) + middle / sample.scale);
	return true;
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
	struct split_scratch *s, float *direction, struct split *ret)
{
	*ret = (struct split){.kind = SPLIT_HALVES};
	if (space->rows->metric == METRIC_HAMMING) {
		if (choose_bit(space->rows, order, count, chance, &ret->bit)) ret->kind = SPLIT_BIT;
	} else if (choose_plane(space, order, count, chance, s, direction, &ret->offset)) {
		ret->kind = SPLIT_PLANE;
	}
}

void split_project(const struct split_space *space, const struct split *split, const float *direction, const uint32_t *order,
	uint32_t count, float *projections)
{
	const struct rows *rows = space->rows;

	if (split->kind == SPLIT_HALVES) return;
	for (uint32_t i = 0; i < count; i++) {
		if (i + PREFETCH_AHEAD < count) __builtin_prefetch(rows_row(rows, order[i + PREFETCH_AHEAD]));
		projections[i] = split->kind == SPLIT_BIT ? (float)bit_set(rows, order[i], split->bit) : projection(space, direction, order[i]);
	}
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
