/* cluster_codec_wire.c - see cluster_codec_wire.h. protobuf-c unpacks into memory that is counted: a header of 64 KiB could
 * otherwise be made of thousands of unknown fields, each an allocation of its own. */
#include "proto/cluster_codec_wire.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.pb-c.h"
#include "common/cursor.h"
#include "proto/msgpack_scan.h"

enum { UNPACK_BYTES_MAX = 256 * 1024 };

struct allowance { size_t left; bool no_memory; };

static void *capped_alloc(void *data, size_t size)
{
	struct allowance *a = data;

	if (size > a->left) return NULL;
	void *p = malloc(size ? size : 1);
	if (p) a->left -= size;
	else a->no_memory = true;
	return p;
}

static void capped_free(void *data, void *p) { free(p); }

enum status wire_bad(struct report *report, const char *what)
{
	return report_set(report, STATUS_BAD_REQUEST, "a message between coordinator and worker is malformed: %s", what);
}

enum status wire_header(const struct net_frame *frames, size_t count, pb_header **ret, struct report *report)
{
	struct allowance allowance = {.left = UNPACK_BYTES_MAX};
	ProtobufCAllocator allocator = {capped_alloc, capped_free, &allowance};
	pb_header *h;

	if (count < 1 || count > FRAMES_MAX) return wire_bad(report, "the number of its frames");
	if (frames[0].size > HEADER_MAX) return report_set(report, STATUS_LIMIT, "a header frame of %zu bytes is longer than %d", frames[0].size, HEADER_MAX);
	if (frames_bulk(frames, count) > PEER_FRAME_MAX)
		return report_set(report, STATUS_LIMIT, "a message has more than %d bytes after its header", PEER_FRAME_MAX);
	h = grove__cluster__header__unpack(&allocator, frames[0].size, frames[0].bytes);
	if (!h && allowance.no_memory) return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	if (!h) return wire_bad(report, "its header");
	if (h->version != CLUSTER_PROTOCOL_VERSION) {
		report_set(report, STATUS_UNSUPPORTED, "a message is of cluster protocol version %" PRIu32 ", this program speaks %d: run the same version everywhere",
			h->version, CLUSTER_PROTOCOL_VERSION);
		wire_header_free(h);
		return STATUS_UNSUPPORTED;
	}
	if (h->end != 1 || h->kind < 1 || h->kind > CLUSTER_KIND_COUNT || h->remaining_us > (uint64_t)DEADLINE_MAX_MS * 1000) {
		wire_header_free(h);
		return wire_bad(report, "a field of its header");
	}
	*ret = h;
	return STATUS_OK;
}

void wire_header_free(pb_header *h)
{
	/* What capped_alloc gave came from malloc, so the default allocator may free it. */
	grove__cluster__header__free_unpacked(h, NULL);
}

void wire_put_header(struct frames *f, pb_header *h)
{
	uint8_t small[1024], *bytes = small;

	h->version = CLUSTER_PROTOCOL_VERSION;
	h->end = 1;
	size_t size = grove__cluster__header__get_packed_size(h);
	if (size > sizeof(small)) bytes = malloc(size);
	frames_begin(f);
	if (!bytes) {
		if (f->status == STATUS_OK) f->status = STATUS_NO_MEMORY;
		return;
	}
	grove__cluster__header__pack(h, bytes);
	frames_append(f, bytes, size);
	if (bytes != small) free(bytes);
}

enum status wire_uuid(ProtobufCBinaryData bytes, const char *what, struct uuid *ret, struct report *report)
{
	if (bytes.len != sizeof(ret->bytes)) return wire_bad(report, what);
	memcpy(ret->bytes, bytes.data, sizeof(ret->bytes));
	return STATUS_OK;
}

ProtobufCBinaryData wire_uuid_bytes(const struct uuid *u)
{
	return (ProtobufCBinaryData){sizeof(u->bytes), (uint8_t *)(uintptr_t)u->bytes};
}

enum status wire_text(const char *text, char *out, size_t size, const char *what, struct report *report)
{
	size_t n = text ? strlen(text) : 0;

	if (n >= size || !utf8_valid((const uint8_t *)text, n)) return wire_bad(report, what);
	if (n) memcpy(out, text, n);
	out[n] = 0;
	return STATUS_OK;
}

enum status wire_failure(const Grove__Cluster__Failure *in, struct report *ret, struct report *report)
{
	struct report r = {0};
	enum status status = STATUS_OK;

	if (in) {
		if (in->status >= 0) return wire_bad(report, "a failure whose status is none");
		r.status = (enum status)in->status;
		status = wire_text(in->text, r.text, sizeof(r.text), "the text of a status", report);
	}
	if (status == STATUS_OK) *ret = r;
	return status;
}

enum status wire_frame(const struct net_frame *frames, size_t count, size_t i, const char *what, uint64_t n, size_t record, const uint8_t **ret,
	struct report *report)
{
	struct net_frame frame = frame_at(frames, count, i);
	size_t want;

	if (!size_mul((size_t)n, record, &want) || frame.size != want) return wire_bad(report, what);
	*ret = want ? frame.bytes : NULL;
	return STATUS_OK;
}

enum status wire_blobs(const struct net_frame *frames, size_t count, size_t i, const char *what, bool sent, uint32_t n, uint32_t max, bool maps,
	struct blobs *ret, struct report *report)
{
	struct net_frame frame = frame_at(frames, count, i);
	struct blob_cursor c = {0};

	if (sent != (frame.size > 0) || !blobs_parse(frame.bytes, frame.size, n, max, ret)) return wire_bad(report, what);
	for (uint32_t at = 0; maps && at < ret->count; at++) {
		struct blob one = blobs_next(ret, &c);
		if (one.size && !msgpack_scan(one.bytes, one.size, true)) return wire_bad(report, what);
	}
	return STATUS_OK;
}

enum status wire_rows(const struct net_frame *frames, size_t count, size_t i, uint32_t n, uint32_t dtype, uint32_t dim, const uint8_t **ret,
	struct report *report)
{
	enum status status;

	if (dtype > DTYPE_BITS || dim > DIM_MAX) return wire_bad(report, "the type of its vectors");
	status = wire_frame(frames, count, i, "its vectors", n, dtype_row_bytes((enum dtype)dtype, dim), ret, report);
	if (status == STATUS_OK && dtype == DTYPE_F32 && !floats_finite(*ret, (size_t)n * dim)) status = wire_bad(report, "a vector that is not finite");
	return status;
}
