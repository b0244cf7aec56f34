/* rows.c - the one size that everyone must agree on. */
#include "worker/engine/rows.h"

size_t rows_stride(enum metric m, uint32_t dim) { return (dtype_row_bytes(metric_dtype(m), dim) + 63) & ~(size_t)63; }
