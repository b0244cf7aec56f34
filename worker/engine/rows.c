/* rows.c - the one size that everyone must agree on, and rows in another order. */
#include "worker/engine/rows.h"

#include <stdlib.h>
#include <string.h>

size_t rows_stride(enum metric m, uint32_t dim)
{
	size_t align = m == METRIC_HAMMING ? 8 : 64;
	return (dtype_row_bytes(metric_dtype(m), dim) + align - 1) & ~(align - 1);
}

/* Along each cycle of the permutation, with one row in hand. */
enum status rows_reorder(void *base, size_t size, uint32_t n, const uint32_t *new_of_old)
{
	uint8_t *rows = base, *hand = malloc(2 * size), *moved = calloc((size_t)n + 1, 1);

	if (!hand || !moved) {
		free(hand);
		free(moved);
		return STATUS_NO_MEMORY;
	}
	for (uint32_t start = 0; start < n; start++) {
		uint32_t to = new_of_old[start];
		if (moved[start] || to == start) continue;
		memcpy(hand, rows + start * size, size);
		while (!moved[to]) {
			memcpy(hand + size, rows + to * size, size);
			memcpy(rows + to * size, hand, size);
			memcpy(hand, hand + size, size);
			moved[to] = 1;
			to = new_of_old[to];
		}
	}
	free(hand);
	free(moved);
	return STATUS_OK;
}
