/* quant.h - codes: 7 bits for each component of a vector, one scale for all (common/codes.h has the kernels).
 *
 * code = round((x - low) * scale), clamped to 0..127; low and scale come from the quantiles of a sample, so a few outliers do not coarsen the
 * rest. angular: of rows at unit length. dot: of the rows as they are; the query is coded as signed bytes instead, since low only adds what is
 * the same for all rows of a query. Codes order rows nearly as their distances do; whoever answers scores the best again exactly.
 * hamming has no codes: its rows are bits already. */
#ifndef ENGINE_QUANT_H
#define ENGINE_QUANT_H

#include "common/codes.h"
#include "worker/engine/rows.h"

struct quant { double low, scale; }; /* scale 0: all components are the same, all codes 0 */

/* Bytes of a code row; 0 for hamming. */
uint32_t quant_stride(enum metric m, uint32_t dim);
/* The same for the same rows in the same order, whatever the machine. STATUS_NO_MEMORY. */
MUST_CHECK enum status quant_fit(const struct rows *rows, struct quant *ret);
/* One row; out holds quant_stride() bytes. norm2 as in rows->norm2, for angular. Never fails: what is out of range is clamped. */
void quant_encode(const struct quant *q, enum metric m, uint32_t dim, const void *row, float norm2, uint8_t *out);
/* A query as quant_score() wants it: as a row's, but for dot signed. */
void quant_encode_query(const struct quant *q, enum metric m, uint32_t dim, const struct query *query, uint8_t *out);

/* A block of code rows, of which the kernels are told which ones. */
struct codes { enum metric metric; uint32_t stride; const uint8_t *base; };
/* How far n rows are from a coded query, smaller is nearer; comparable with each other only. which NULL: rows 0 .. n-1. */
void quant_score(const struct codes *c, const uint8_t *query, const uint32_t *which, size_t n, uint32_t *ret);
/* How far n rows are from another row, in the geometry in which neighbours are told: L1 for manhattan, else L2. */
void quant_apart(const struct codes *c, const uint8_t *row, const uint32_t *which, size_t n, uint32_t *ret);

#endif
