/* buf.h - a growing byte buffer. Growth fails with STATUS_NO_MEMORY past `cap` (0: no cap of its own). One owner. */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

struct buf { uint8_t *bytes; size_t size, room, cap; };

void buf_init(struct buf *b, size_t cap);
void buf_release(struct buf *b); /* any state, twice too */
void buf_reset(struct buf *b);   /* size 0, memory kept */
MUST_CHECK enum status buf_reserve(struct buf *b, size_t more);
MUST_CHECK enum status buf_append(struct buf *b, const void *bytes, size_t n);
/* Grow by n bytes and point at them (uninitialised); valid until the next growth. */
MUST_CHECK enum status buf_extend(struct buf *b, size_t n, uint8_t **ret);
MUST_CHECK enum status buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3); /* keeps a NUL past size */
/* Hand the memory over: *ret is malloc'ed and the caller's, b is empty. */
void buf_detach(struct buf *b, uint8_t **ret, size_t *ret_size);

#endif
