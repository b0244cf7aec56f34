/* sliced.h - rows of few bits once more, by bit instead of by row (codes.h): what exact search of short codes reads. Derived from the rows when a segment
 * is opened; as many bytes as the rows have, and one a row for the number of its ones. */
#ifndef ENGINE_SLICED_H
#define ENGINE_SLICED_H

#include "common/codes.h"
#include "worker/engine/rows.h"

/* Planes of a block; 0: rows of this metric and dimension are not sliced. */
size_t sliced_planes(enum metric m, uint32_t dim);
/* STATUS_OK with *ret NULL where rows are not sliced, or there are none. To be freed by free(). */
MUST_CHECK enum status sliced_make(const struct rows *rows, uint8_t **ret);
/* The rows of blocks [first, end) of rows->sliced for one query, as exact_search() wants them. `live` holds a bit for each row from block `first` on; NULL: all
 * live. The candidates are counted by the caller. */
void sliced_search(const struct rows *rows, uint32_t first, uint32_t end, const uint64_t *live, const struct query *query, struct topk *top);

#endif
