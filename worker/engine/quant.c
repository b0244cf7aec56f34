/* quant.c - see quant.h. */
#include "worker/engine/quant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/prng.h"

enum { SAMPLE_VALUES = 1 << 17, SAMPLE_ROW_VALUES = 128, MEDIAN_ROWS = 127, PIECE_ROWS = 2048 };

/* Beyond these quantiles a component is an outlier. Products of outliers decide what is largest, so dot keeps nearly all. */
static const double TAIL = 0.0005, TAIL_DOT = 0.00002;

/* dot of codes is at most 2^30 (codes.h): makes every score positive. */
static const int32_t DOT_ORIGIN = 1 << 30;

uint32_t quant_stride(enum metric m, uint32_t dim)
{
	return m == METRIC_HAMMING ? 0 : (dim + CODE_ALIGN - 1) / CODE_ALIGN * CODE_ALIGN;
}

static double unit_scale(enum metric m, float norm2)
{
	double scale = m == METRIC_ANGULAR ? 1 / sqrt((double)norm2) : 1;

	return isfinite(scale) ? scale : 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

/* Values of a sample of rows, each taken from its column's shift if there are any, ascending. */
static void sample_values(const struct rows *rows, const float *shift, double *values, size_t wanted)
{
	uint32_t per_row = rows->dim < SAMPLE_ROW_VALUES ? rows->dim : SAMPLE_ROW_VALUES;
	struct prng chance;

	prng_seed(&chance, rows->n);
	for (size_t count = 0; count < wanted;) {
		uint32_t row = prng_below(&chance, rows->n);
		const float *v = rows_row(rows, row);
		double scale = unit_scale(rows->metric, rows->norm2 ? rows->norm2[row] : 0);
		for (uint32_t i = 0; i < per_row && count < wanted; i++) {
			uint32_t column = per_row == rows->dim ? i : prng_below(&chance, rows->dim);
			values[count++] = scale * (double)v[column] - (shift ? (double)shift[column] : 0);
		}
	}
	qsort(values, wanted, sizeof(*values), by_value);
}

struct range { double low, high; };

static struct range range_of(const double *values, size_t count, double tail)
{
	size_t cut = (size_t)(tail * (double)count);

	if (values[count - 1 - cut] > values[cut]) return (struct range){values[cut], values[count - 1 - cut]};
	return (struct range){values[0], values[count - 1]}; /* nearly all the same: the few that differ are all there is to tell */
}

static double width_of(struct range r) { return r.high - r.low; }

/* The median of each column, of a sample of rows. */
static void column_medians(const struct rows *rows, float *ret)
{
	uint32_t sample[MEDIAN_ROWS];
	double values[MEDIAN_ROWS];
	struct prng chance;

	prng_seed(&chance, ~(uint64_t)rows->n);
	for (uint32_t i = 0; i < MEDIAN_ROWS; i++) sample[i] = prng_below(&chance, rows->n);
	for (uint32_t column = 0; column < rows->dim; column++) {
		for (uint32_t i = 0; i < MEDIAN_ROWS; i++)
			values[i] = unit_scale(rows->metric, rows->norm2 ? rows->norm2[sample[i]] : 0) * (double)((const float *)rows_row(rows, sample[i]))[column];
		qsort(values, MEDIAN_ROWS, sizeof(*values), by_value);
		ret[column] = isfinite((float)values[MEDIAN_ROWS / 2]) ? (float)values[MEDIAN_ROWS / 2] : 0;
	}
}

enum status quant_fit(const struct rows *rows, struct quant *ret)
{
	uint32_t per_row = rows->dim < SAMPLE_ROW_VALUES ? rows->dim : SAMPLE_ROW_VALUES;
	size_t wanted = (size_t)rows->n * per_row < SAMPLE_VALUES ? (size_t)rows->n * per_row : SAMPLE_VALUES;
	double tail = rows->metric == METRIC_DOT ? TAIL_DOT : TAIL;

	if (rows->metric == METRIC_HAMMING || wanted == 0) {
		*ret = (struct quant){0};
		return STATUS_OK;
	}
	double *values = malloc(wanted * sizeof(*values));
	float *shift = malloc(rows->dim * sizeof(*shift));
	if (!values || !shift) {
		free(values);
		free(shift);
		return STATUS_NO_MEMORY;
	}
	sample_values(rows, NULL, values, wanted);
	struct range range = range_of(values, wanted, tail);
	column_medians(rows, shift);
	sample_values(rows, shift, values, wanted);
	struct range shifted = range_of(values, wanted, tail);
	free(values);
	/* Medians cost what a common zero gives: where all columns begin at 0, say. A bit gained is worth it. */
	if (width_of(shifted) * 2 < width_of(range)) {
		range = shifted;
	} else {
		free(shift);
		shift = NULL;
	}
	*ret = (struct quant){.low = range.low, .scale = range.high > range.low ? CODE_MAX / width_of(range) : 0, .shift = shift};
	if (!isfinite(ret->scale)) ret->scale = 0;
	return STATUS_OK;
}

enum status quant_copy(const struct quant *q, uint32_t dim, struct quant *ret)
{
	float *shift = NULL;

	if (q->shift) {
		shift = malloc(dim * sizeof(*shift));
		if (!shift) return STATUS_NO_MEMORY;
		memcpy(shift, q->shift, dim * sizeof(*shift));
	}
	*ret = (struct quant){q->low, q->scale, shift};
	return STATUS_OK;
}

void quant_release(struct quant *q)
{
	free((void *)(uintptr_t)q->shift);
	*q = (struct quant){0};
}

void quant_encode(const struct quant *q, enum metric m, uint32_t dim, const void *row, float norm2, uint8_t *out)
{
	double by = unit_scale(m, norm2) * q->scale, from = q->low * q->scale - 0.5;
	const float *v = row;

	for (uint32_t i = 0; i < dim; i++) {
		double code = (q->shift ? (double)v[i] * by - (double)q->shift[i] * q->scale : (double)v[i] * by) - from;
		out[i] = (uint8_t)(code >= CODE_MAX ? CODE_MAX : code > 0 ? (int)code : 0);
	}
	memset(out + dim, 0, quant_stride(m, dim) - dim);
}

struct encoding { const struct quant *quant; const struct rows *rows; uint8_t *out; };

static void encode_piece(void *arg, size_t piece)
{
	const struct encoding *e = arg;
	const struct rows *rows = e->rows;
	uint32_t first = (uint32_t)piece * PIECE_ROWS, end = rows->n - first < PIECE_ROWS ? rows->n : first + PIECE_ROWS;
	size_t stride = quant_stride(rows->metric, rows->dim);

	for (uint32_t i = first; i < end; i++)
		quant_encode(e->quant, rows->metric, rows->dim, rows_row(rows, i), rows->norm2 ? rows->norm2[i] : 0, e->out + i * stride);
}

void quant_encode_rows(const struct quant *q, const struct rows *rows, struct runner *runner, uint8_t *out)
{
	struct encoding encoding = {q, rows, out};

	runner->run(runner, ((size_t)rows->n + PIECE_ROWS - 1) / PIECE_ROWS, encode_piece, &encoding);
}

void quant_encode_query(const struct quant *q, enum metric m, uint32_t dim, const struct query *query, uint8_t *out)
{
	const float *v = query->row;
	float most = 0;

	if (m != METRIC_DOT) {
		quant_encode(q, m, dim, query->row, query->norm2, out);
		return;
	}
	for (uint32_t i = 0; i < dim; i++)
		if (fabsf(v[i]) > most) most = fabsf(v[i]);
	memset(out, 0, quant_stride(m, dim));
	for (uint32_t i = 0; i < dim && most > 0; i++) {
		double code = (double)v[i] / (double)most * CODE_MAX;
		((int8_t *)out)[i] = (int8_t)(code < 0 ? code - 0.5 : code + 0.5);
	}
}

void quant_score(const struct codes *c, const uint8_t *query, const uint32_t *which, size_t n, uint32_t *ret)
{
	if (c->metric != METRIC_DOT) {
		quant_apart(c, query, which, n, ret);
		return;
	}
	code_kernels()->dot((const int8_t *)query, c->base, c->stride, which, n, (int32_t *)ret);
	for (size_t i = 0; i < n; i++) ret[i] = (uint32_t)DOT_ORIGIN - ret[i];
}

void quant_apart(const struct codes *c, const uint8_t *row, const uint32_t *which, size_t n, uint32_t *ret)
{
	const struct code_kernels *k = code_kernels();

	(c->metric == METRIC_MANHATTAN ? k->l1 : k->l2)(row, c->base, c->stride, which, n, ret);
}
