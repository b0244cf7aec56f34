/* bundle.c - see bundle.h. */
#include "proto/bundle.h"

#include "common/check.h"

enum { HEAD_BYTES = 8 };

void bundle_release(struct bundle *b)
{
	buf_release(&b->table);
	buf_release(&b->bytes);
	*b = (struct bundle){0};
}

void bundle_reset(struct bundle *b)
{
	b->count = 0;
	buf_reset(&b->table);
	buf_reset(&b->bytes);
}

enum status bundle_add(struct bundle *b, const struct net_frame *frames, size_t count)
{
	uint8_t record[4 + 4 * FRAMES_MAX];
	size_t head = b->count ? 0 : HEAD_BYTES, total = 0;
	struct writer w;

	require(count >= 1 && count <= FRAMES_MAX);
	writer_init(&w, record, sizeof(record));
	writer_u32(&w, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		if (frames[i].size > BUNDLE_BYTES) return STATUS_LIMIT;
		writer_u32(&w, (uint32_t)frames[i].size);
		total += frames[i].size;
	}
	if (total > BUNDLE_BYTES || b->bytes.size >= BUNDLE_BYTES || b->count == BUNDLE_MESSAGES_MAX) return STATUS_LIMIT;
	enum status status = buf_reserve(&b->table, head + writer_used(&w));
	if (status == STATUS_OK) status = buf_reserve(&b->bytes, total);
	if (status != STATUS_OK) return status;
	/* There is room: nothing fails from here on. */
	if (head) require(buf_append(&b->table, (const uint8_t[HEAD_BYTES]){0}, HEAD_BYTES) == STATUS_OK);
	require(buf_append(&b->table, record, writer_used(&w)) == STATUS_OK);
	for (size_t i = 0; i < count; i++)
		if (frames[i].size) require(buf_append(&b->bytes, frames[i].bytes, frames[i].size) == STATUS_OK);
	store_u32(b->table.bytes + 4, ++b->count);
	return STATUS_OK;
}

void bundle_frames(struct bundle *b, struct net_frame ret[2])
{
	require(b->count > 0);
	ret[0] = (struct net_frame){b->table.bytes, b->table.size};
	ret[1] = (struct net_frame){b->bytes.bytes, b->bytes.size};
}

bool bundle_is(const struct net_frame *frames, size_t count) { return count >= 1 && frames[0].size > 0 && frames[0].bytes[0] == 0; }

bool bundle_next(struct bundle_reader *r, struct net_frame ret[FRAMES_MAX], size_t *ret_count)
{
	if (r->left == 0) return false;
	uint32_t count = reader_u32(&r->table);
	size_t total = 0;
	if (count < 1 || count > FRAMES_MAX) r->table.failed = true;
	for (uint32_t i = 0; i < count && !r->table.failed && !r->bytes.failed; i++) {
		uint32_t size = reader_u32(&r->table);
		ret[i] = (struct net_frame){reader_bytes(&r->bytes, size), size};
		total += size;
	}
	if (total > PEER_FRAME_MAX) r->table.failed = true;
	if (r->table.failed || r->bytes.failed) return false;
	r->left--;
	*ret_count = count;
	return true;
}

enum status bundle_open(const struct net_frame *frames, size_t count, struct bundle_reader *ret, struct report *report)
{
	static const char malformed[] = "a bundle of messages between coordinator and worker is malformed: %s";
	struct bundle_reader r = {0};
	struct net_frame inside[FRAMES_MAX];
	size_t n;

	if (count != 2 || frames[0].size < HEAD_BYTES) return report_set(report, STATUS_BAD_REQUEST, malformed, "its frames");
	reader_init(&r.table, frames[0].bytes, frames[0].size);
	reader_init(&r.bytes, frames[1].bytes, frames[1].size);
	if (reader_u32(&r.table) != 0) return report_set(report, STATUS_BAD_REQUEST, malformed, "its first bytes");
	r.left = reader_u32(&r.table);
	if (r.left < 1 || r.left > BUNDLE_MESSAGES_MAX) return report_set(report, STATUS_BAD_REQUEST, malformed, "the number of its messages");
	struct bundle_reader checked = r;
	while (bundle_next(&checked, inside, &n)) continue;
	if (checked.left || reader_left(&checked.table) || reader_left(&checked.bytes)) return report_set(report, STATUS_BAD_REQUEST, malformed, "its sizes");
	*ret = r;
	return STATUS_OK;
}
