/* quant.c - see quant.h. */
#include "worker/engine/quant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/prng.h"

enum { SAMPLE_VALUES = 1 << 17, SAMPLE_ROW_VALUES = 128 };

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

enum status quant_fit(const struct rows *rows, struct quant *ret)
{
	uint32_t per_row = rows->dim < SAMPLE_ROW_VALUES ? rows->dim : SAMPLE_ROW_VALUES;
	size_t count = 0, wanted = (size_t)rows->n * per_row < SAMPLE_VALUES ? (size_t)rows->n * per_row : SAMPLE_VALUES;
	double tail = rows->metric == METRIC_DOT ? TAIL_DOT : TAIL;
	struct prng chance;

	*ret = (struct quant){0};
	if (rows->metric == METRIC_HAMMING || wanted == 0) return STATUS_OK;
	double *values = malloc(wanted * sizeof(*values));
	if (!values) return STATUS_NO_MEMORY;
	prng_seed(&chance, rows->n);
	while (count < wanted) {
		uint32_t row = prng_below(&chance, rows->n);
		const float *v = rows_row(rows, row);
		double scale = unit_scale(rows->metric, rows->norm2 ? rows->norm2[row] : 0);
		for (uint32_t i = 0; i < per_row && count < wanted; i++)
			values[count++] = scale * (double)v[per_row == rows->dim ? i : prng_below(&chance, rows->dim)];
	}
	qsort(values, count, sizeof(*values), by_value);
	size_t cut = (size_t)(tail * (double)count);
	double low = values[cut], high = values[count - 1 - cut];
	if (!(high > low)) { /* nearly all the same: the few that differ are all there is to tell */
		low = values[0];
		high = values[count - 1];
	}
	ret->low = low;
	ret->scale = high > low ? CODE_MAX / (high - low) : 0;
	if (!isfinite(ret->scale)) ret->scale = 0;
	free(values);
	return STATUS_OK;
}

void quant_encode(const struct quant *q, enum metric m, uint32_t dim, const void *row, float norm2, uint8_t *out)
{
	double by = unit_scale(m, norm2) * q->scale, from = q->low * q->scale - 0.5;
	const float *v = row;

	for (uint32_t i = 0; i < dim; i++) {
		double code = (double)v[i] * by - from;
		out[i] = (uint8_t)(code >= CODE_MAX ? CODE_MAX : code > 0 ? (int)code : 0);
	}
	memset(out + dim, 0, quant_stride(m, dim) - dim);
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
