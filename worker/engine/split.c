/* split.c - 2-means on a sample, a few rounds of Lloyd. Distances to the two means need only dot products: |x - c|^2 orders like
 * |c|^2 / 2 - x.c. Rows are taken at unit length for angular; for dot they get the component sqrt(max - |x|^2), which turns the largest
 * product into the least distance (Bachrach et al. 2014). A plane that leaves less than a tenth on one side is moved to the median of its
 * projections; if that does not help, the rows are halved as they stand, so that depth stays logarithmic. */
#include "worker/engine/split.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	SAMPLE_ROWS = 48,
	MEANS_ROUNDS = 3,
	MEDIAN_ROWS = 255,
	BIT_TRIES = 16,
	BALANCE = 10, /* the smaller side has at least a tenth */
};

enum status split_scratch_init(struct split_scratch *s, const struct rows *rows, uint32_t floats, float dot_max_norm2)
{
	size_t n = rows->n ? rows->n : 1, f = floats ? floats : 1;

	*s = (struct split_scratch){.floats = floats, .dot_max_norm2 = dot_max_norm2};
	s->direction = calloc(f, sizeof(float));
	s->means[0] = calloc(f, sizeof(float));
	s->means[1] = calloc(f, sizeof(float));
	s->margins = calloc(n, sizeof(float));
	s->reordered = calloc(n, sizeof(uint32_t));
	if (s->direction && s->means[0] && s->means[1] && s->margins && s->reordered) return STATUS_OK;
	split_scratch_release(s);
	return STATUS_NO_MEMORY;
}

void split_scratch_release(struct split_scratch *s)
{
	free(s->direction);
	free(s->means[0]);
	free(s->means[1]);
	free(s->margins);
	free(s->reordered);
	*s = (struct split_scratch){0};
}

uint32_t split_floats(enum metric m, uint32_t dim)
{
	if (m == METRIC_HAMMING) return 0;
	return (dim + (m == METRIC_DOT) + 15) / 16 * 16;
}

static float scale_of(const struct rows *rows, uint32_t row)
{
	if (rows->metric != METRIC_ANGULAR) return 1.0f;
	return rows->norm2[row] > 0 ? 1.0f / sqrtf(rows->norm2[row]) : 0.0f;
}

static float augmented(const struct rows *rows, uint32_t row, float max_norm2)
{
	float rest = max_norm2 - rows->norm2[row];
	return rest > 0 ? sqrtf(rest) : 0.0f;
}

float split_project(const struct rows *rows, const float *direction, uint32_t row, float dot_max_norm2)
{
	float p = vec_kernels()->dot(direction, rows_row(rows, row), rows->dim);

	if (rows->metric == METRIC_ANGULAR) return p * scale_of(rows, row);
	if (rows->metric == METRIC_DOT) return p + direction[rows->dim] * augmented(rows, row, dot_max_norm2);
	return p;
}

/* ---- planes ---- */

static void add_row(const struct rows *rows, uint32_t row, const struct split_scratch *s, float *sum)
{
	const float *v = rows_row(rows, row);
	float scale = scale_of(rows, row);

	for (uint32_t i = 0; i < rows->dim; i++) sum[i] += scale * v[i];
	if (rows->metric == METRIC_DOT) sum[rows->dim] += augmented(rows, row, s->dot_max_norm2);
}

static void set_row(const struct rows *rows, uint32_t row, struct split_scratch *s, float *mean)
{
	memset(mean, 0, s->floats * sizeof(float));
	add_row(rows, row, s, mean);
}

/* One round of Lloyd; false if one side is empty (the means stay). */
static bool lloyd(const struct rows *rows, const uint32_t *sample, uint32_t n, struct split_scratch *s)
{
	bool right[SAMPLE_ROWS];
	uint32_t counts[2] = {0, 0};
	float half[2];

	for (int side = 0; side < 2; side++) half[side] = vec_kernels()->dot(s->means[side], s->means[side], s->floats) / 2;
	for (uint32_t i = 0; i < n; i++) {
		float to_left = half[0] - split_project(rows, s->means[0], sample[i], s->dot_max_norm2);
		float to_right = half[1] - split_project(rows, s->means[1], sample[i], s->dot_max_norm2);
		right[i] = to_right < to_left;
		counts[right[i]]++;
	}
	if (!counts[0] || !counts[1]) return false;
	for (int side = 0; side < 2; side++) memset(s->means[side], 0, s->floats * sizeof(float));
	for (uint32_t i = 0; i < n; i++) add_row(rows, sample[i], s, s->means[right[i]]);
	for (int side = 0; side < 2; side++)
		for (uint32_t i = 0; i < s->floats; i++) s->means[side][i] /= (float)counts[side];
	return true;
}

/* s->direction becomes the unit normal of the plane between the means; false if they coincide. */
static bool find_plane(const struct rows *rows, const uint32_t *order, uint32_t count, struct prng *chance, struct split_scratch *s, float *ret_offset)
{
	uint32_t sample[SAMPLE_ROWS] = {0}, n = count < SAMPLE_ROWS ? count : SAMPLE_ROWS;
	float length2, middle = 0;

	for (uint32_t i = 0; i < n; i++) sample[i] = order[prng_below(chance, count)];
	set_row(rows, sample[0], s, s->means[0]);
	set_row(rows, sample[n > 1 ? 1 + prng_below(chance, n - 1) : 0], s, s->means[1]);
	for (int round = 0; round < MEANS_ROUNDS && lloyd(rows, sample, n, s); round++) continue;
	for (uint32_t i = 0; i < s->floats; i++) s->direction[i] = s->means[1][i] - s->means[0][i];
	length2 = vec_kernels()->dot(s->direction, s->direction, s->floats);
	if (!isfinite(length2) || length2 <= 0) return false;
	float scale = 1.0f / sqrtf(length2);
	if (!isfinite(scale)) return false;
	for (uint32_t i = 0; i < s->floats; i++) {
		s->direction[i] *= scale;
		middle += s->direction[i] * (s->means[0][i] / 2 + s->means[1][i] / 2);
	}
	if (!isfinite(middle)) return false;
	*ret_offset = -middle;
	return true;
}

static int by_value(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return x < y ? -1 : x > y;
}

/* Between the two middle projections of a sample. */
static float median_offset(const float *projections, uint32_t count, struct prng *chance)
{
	float sample[MEDIAN_ROWS];
	uint32_t n = count < MEDIAN_ROWS ? count : MEDIAN_ROWS;

	for (uint32_t i = 0; i < n; i++) sample[i] = projections[n == count ? i : prng_below(chance, count)];
	qsort(sample, n, sizeof(float), by_value);
	return -(sample[(n - 1) / 2] / 2 + sample[n / 2] / 2);
}

static uint32_t count_left(const float *projections, uint32_t count, float offset)
{
	uint32_t left = 0;

	for (uint32_t i = 0; i < count; i++) left += projections[i] + offset <= 0;
	return left;
}

static bool balanced(uint32_t left, uint32_t count)
{
	uint32_t least = left < count - left ? left : count - left;

	return least > 0 && least >= count / BALANCE;
}

/* A stable partition by s->margins[i] + offset <= 0. */
static void partition(uint32_t *order, uint32_t count, uint32_t left, float offset, struct split_scratch *s)
{
	uint32_t l = 0, r = left;

	for (uint32_t i = 0; i < count; i++) s->reordered[s->margins[i] + offset <= 0 ? l++ : r++] = order[i];
	memcpy(order, s->reordered, count * sizeof(*order));
}

static bool split_plane(const struct rows *rows, uint32_t *order, uint32_t count, struct prng *chance, struct split_scratch *s, struct split *ret, uint32_t *ret_left)
{
	float offset;

	if (!find_plane(rows, order, count, chance, s, &offset)) return false;
	for (uint32_t i = 0; i < count; i++) {
		s->margins[i] = split_project(rows, s->direction, order[i], s->dot_max_norm2);
		if (!isfinite(s->margins[i])) return false;
	}
	uint32_t left = count_left(s->margins, count, offset);
	if (!balanced(left, count)) {
		offset = median_offset(s->margins, count, chance);
		left = count_left(s->margins, count, offset);
		if (!isfinite(offset) || !balanced(left, count)) return false;
	}
	partition(order, count, left, offset, s);
	*ret = (struct split){.kind = SPLIT_PLANE, .offset = offset};
	*ret_left = left;
	return true;
}

/* ---- bits ---- */

static bool bit_set(const struct rows *rows, uint32_t row, uint32_t bit) { return ((const uint8_t *)rows_row(rows, row))[bit / 8] >> bit % 8 & 1; }

static bool split_bit(const struct rows *rows, uint32_t *order, uint32_t count, struct prng *chance, struct split_scratch *s, struct split *ret, uint32_t *ret_left)
{
	uint32_t sample[SAMPLE_ROWS], best = 0, best_distance = UINT32_MAX;

	for (uint32_t i = 0; i < SAMPLE_ROWS; i++) sample[i] = order[prng_below(chance, count)];
	for (int i = 0; i < BIT_TRIES; i++) {
		uint32_t bit = prng_below(chance, rows->dim), set = 0;
		for (uint32_t r = 0; r < SAMPLE_ROWS; r++) set += bit_set(rows, sample[r], bit);
		uint32_t distance = set > SAMPLE_ROWS / 2 ? set - SAMPLE_ROWS / 2 : SAMPLE_ROWS / 2 - set;
		if (distance < best_distance) {
			best_distance = distance;
			best = bit;
		}
	}
	uint32_t left = 0;
	for (uint32_t i = 0; i < count; i++) {
		s->margins[i] = bit_set(rows, order[i], best) ? 1.0f : 0.0f;
		left += s->margins[i] <= 0;
	}
	if (!balanced(left, count)) return false;
	partition(order, count, left, 0, s);
	*ret = (struct split){.kind = SPLIT_BIT, .bit = best};
	*ret_left = left;
	return true;
}

uint32_t split_rows(const struct rows *rows, uint32_t *order, uint32_t count, struct prng *chance, struct split_scratch *s, struct split *ret)
{
	uint32_t left;

	if (rows->metric == METRIC_HAMMING ? split_bit(rows, order, count, chance, s, ret, &left) : split_plane(rows, order, count, chance, s, ret, &left))
		return left;
	*ret = (struct split){.kind = SPLIT_HALVES};
	return count / 2;
}
