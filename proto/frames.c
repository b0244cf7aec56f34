/* frames.c - see frames.h. Offsets and not pointers are kept until the end, because the memory moves as it grows. */
#include "proto/frames.h"

#include "common/check.h"
#include "common/cursor.h"

void encoded_release(struct encoded *e)
{
	buf_release(&e->memory);
	*e = (struct encoded){0};
}

void frames_init(struct frames *f, size_t bulk_max)
{
	*f = (struct frames){.bulk_max = bulk_max};
	buf_init(&f->memory, 0);
}

void frames_begin(struct frames *f)
{
	require(f->count < FRAMES_MAX);
	f->offsets[f->count++] = f->memory.size;
}

void frames_append(struct frames *f, const void *bytes, size_t size)
{
	if (f->status != STATUS_OK) return;
	size_t used = f->count == 1 ? f->memory.size : f->memory.size - f->offsets[1];
	size_t max = f->count == 1 ? (size_t)HEADER_MAX : f->bulk_max;
	if (size > max - used) f->status = STATUS_LIMIT;
	else f->status = buf_append(&f->memory, bytes, size);
}

void frames_put(struct frames *f, const void *bytes, size_t count, size_t record)
{
	size_t size;

	frames_begin(f);
	if (!size_mul(count, record, &size)) {
		if (f->status == STATUS_OK) f->status = STATUS_LIMIT;
		return;
	}
	if (size) frames_append(f, bytes, size);
}

void frames_put_blobs(struct frames *f, const struct blobs *b, uint32_t n)
{
	size_t total = 0;

	frames_begin(f);
	if (b->count == 0 || f->status != STATUS_OK) return;
	for (uint32_t i = 0; i < b->count; i++) total += load_u32(b->lengths + (size_t)i * 4);
	if (b->count != n || total != b->bytes_size) {
		f->status = STATUS_BAD_REQUEST;
		return;
	}
	frames_append(f, b->lengths, (size_t)n * 4);
	if (total) frames_append(f, b->bytes, total);
}

enum status frames_finish(struct frames *f, struct encoded *ret)
{
	enum status status = f->status;

	if (status != STATUS_OK) {
		buf_release(&f->memory);
		return status;
	}
	struct encoded e = {.count = f->count};
	for (size_t i = 0; i < f->count; i++) {
		size_t end = i + 1 < f->count ? f->offsets[i + 1] : f->memory.size;
		e.frames[i].size = end - f->offsets[i];
		e.frames[i].bytes = f->memory.bytes + f->offsets[i];
	}
	while (e.count > 1 && e.frames[e.count - 1].size == 0) e.count--;
	e.memory = f->memory;
	f->memory = (struct buf){0};
	*ret = e;
	return STATUS_OK;
}

struct net_frame frame_at(const struct net_frame *frames, size_t count, size_t i)
{
	return i < count ? frames[i] : (struct net_frame){0};
}

size_t frames_bulk(const struct net_frame *frames, size_t count)
{
	size_t sum = 0;

	for (size_t i = 1; i < count; i++)
		if (!size_add(sum, frames[i].size, &sum)) return SIZE_MAX;
	return sum;
}

bool ids_ascend(const uint8_t *ids, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (load_u64(ids + 8 * (i - 1)) >= load_u64(ids + 8 * i)) return false;
	return true;
}

bool floats_finite(const uint8_t *bytes, size_t n)
{
	uint32_t bad = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t bits;
		__builtin_memcpy(&bits, bytes + i * 4, sizeof(bits));
		bad |= (bits & 0x7f800000u) == 0x7f800000u;
	}
	return !bad;
}
