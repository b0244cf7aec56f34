/* exact.h - exact search: the definition of the truth, with the signature that the other modes share. */
#ifndef ENGINE_EXACT_H
#define ENGINE_EXACT_H

#include "worker/engine/rows.h"

/* Offer every live row to the topk of each of nq queries. Tiled: a block of rows stays in cache for all queries; the result
 * is the same as one query at a time. works[q].truncated is set for the queries that did not see every row. */
void exact_search(const struct rows *rows, const struct query *queries, size_t nq, const struct pulse *pulse,
	struct topk *tops, struct search_work *works);

#endif
