/* quant.h - codes: 7 bits for each component of a vector, one scale for all (common/codes.h has the kernels).
 *
 * code = round((x - low) * scale), clamped to 0..127; low and scale come from the quantiles of a sample, so a few outliers do not coarsen the
 * rest. Where columns lie far apart from each other, each is first shifted by its median, which changes no difference of rows. angular: of rows at unit length. dot: of the rows as they are; the query is coded as signed bytes instead, since low only adds what is
 * the same for all rows of a query. Codes order rows nearly as their distances do; whoever answers scores the best again exactly.
 * hamming has no codes: its rows are bits already. */
#ifndef ENGINE_QUANT_H
#define ENGINE_QUANT_H

#include "common/codes.h"
#include "worker/engine/rows.h"

struct quant {
	double low, scale;  /* scale 0: all components are the same, all codes 0 */
	const float *shift; /* [dim], taken from each component first; NULL: nothing is */
};

/* Bytes of a code row; 0 for hamming. */
uint32_t quant_stride(enum metric m, uint32_t dim);
/* The same for the same rows in the same order, whatever the machine. STATUS_NO_MEMORY. */
MUST_CHECK enum status quant_fit(const struct rows *rows, struct quant *ret);
/* A quant of its own. STATUS_NO_MEMORY. */
MUST_CHECK enum status quant_copy(const struct quant *q, uint32_t dim, struct quant *ret);
/* Of one that was fitted or copied. */
void quant_release(struct quant *q);
/* One row; out holds quant_stride() bytes. norm2 as in rows->norm2, for angular. Never fails: what is out of range is clamped. */
void quant_encode(const struct quant *q, enum metric m, uint32_t dim, const void *row, float norm2, uint8_t *out);
/* All rows in their order; out holds n x quant_stride() bytes. In pieces, on the runner. */
void quant_encode_rows(const struct quant *q, const struct rows *rows, struct runner *runner, uint8_t *out);
/* A query as quant_score() wants it: as a row's, but for dot signed. */
void quant_encode_query(const struct quant *q, enum metric m, uint32_t dim, const struct query *query, uint8_t *out);

/* A block of code rows, of which the kernels are told which ones. */
struct codes { enum metric metric; uint32_t stride; const uint8_t *base; };
/* How far n rows are from a coded query, smaller is nearer; comparable with each other only. which NULL: rows 0 .. n-1. */
void quant_score(const struct codes *c, const uint8_t *query, const uint32_t *which, size_t n, uint32_t *ret);
/* How far n rows are from another row, in the geometry in which neighbours are told: L1 for manhattan, else L2. */
void quant_apart(const struct codes *c, const uint8_t *row, const uint32_t *which, size_t n, uint32_t *ret);

#endif
