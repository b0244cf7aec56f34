/* sliced.h - rows of few bits once more, by bit instead of by row (codes.h): what exact search of short codes reads. Derived from the rows when a segment
 * is opened; as many bytes as the rows have, and four a row for the order: by the number of ones, then by leading bits, so that rows of a block are alike. */
#ifndef ENGINE_SLICED_H
#define ENGINE_SLICED_H

#include "common/codes.h"
#include "worker/engine/rows.h"

struct sliced {
	size_t planes;
	uint32_t blocks;
	struct sliced_lead lead;
	uint32_t *order; /* [n] the row at each place */
	uint8_t *bytes;  /* of the blocks */
};

/* Planes of a block; 0: rows of this metric and dimension are not sliced. */
size_t sliced_planes(enum metric m, uint32_t dim);
/* STATUS_OK with *ret NULL where rows are not sliced, or there are none. */
MUST_CHECK enum status sliced_make(const struct rows *rows, struct sliced **ret);
void sliced_free(struct sliced **sliced);
/* The block where a row like this one stands, or would. */
uint32_t sliced_home(const struct rows *rows, const uint8_t *row);
/* exact_search() of rows that have them. */
void sliced_search(const struct rows *rows, const struct query *queries, size_t nq, const struct pulse *pulse, struct topk *tops, struct search_work *works);

#endif
