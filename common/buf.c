/* buf.c - doubling growth, with a cap that is an error and not a clip. */
#include "common/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"

void buf_init(struct buf *b, size_t cap) { *b = (struct buf){.cap = cap}; }

void buf_release(struct buf *b)
{
	free(b->bytes);
	*b = (struct buf){.cap = b->cap};
}

void buf_reset(struct buf *b) { b->size = 0; }

enum status buf_reserve(struct buf *b, size_t more)
{
	size_t need, room;

	if (!size_add(b->size, more, &need)) return STATUS_NO_MEMORY;
	if (need <= b->room) return STATUS_OK;
	if (b->cap && need > b->cap) return STATUS_NO_MEMORY;
	room = b->room ? b->room : 256;
	while (room < need)
		if (!size_mul(room, 2, &room)) return STATUS_NO_MEMORY;
	if (b->cap && room > b->cap) room = b->cap;
	uint8_t *grown = realloc(b->bytes, room);
	if (!grown) return STATUS_NO_MEMORY;
	b->bytes = grown;
	b->room = room;
	return STATUS_OK;
}

enum status buf_append(struct buf *b, const void *bytes, size_t n)
{
	uint8_t *at;
	enum status status = buf_extend(b, n, &at);

	if (status == STATUS_OK && n) memcpy(at, bytes, n);
	return status;
}

enum status buf_extend(struct buf *b, size_t n, uint8_t **ret)
{
	enum status status = buf_reserve(b, n);

	if (status != STATUS_OK) return status;
	*ret = b->bytes + b->size;
	b->size += n;
	return STATUS_OK;
}

enum status buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list args, again;
	enum status status = STATUS_NO_MEMORY;

	va_start(args, fmt);
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (n >= 0) status = buf_reserve(b, (size_t)n + 1);
	if (status == STATUS_OK) {
		vsnprintf((char *)b->bytes + b->size, (size_t)n + 1, fmt, again);
		b->size += (size_t)n;
	}
	va_end(again);
	return status;
}

void buf_detach(struct buf *b, uint8_t **ret, size_t *ret_size)
{
	*ret = b->bytes;
	*ret_size = b->size;
	*b = (struct buf){.cap = b->cap};
}
