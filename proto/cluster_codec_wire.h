/* cluster_codec_wire.h - what requests and replies of the cluster protocol share. Private to cluster_codec*. */
#ifndef PROTO_CLUSTER_CODEC_WIRE_H
#define PROTO_CLUSTER_CODEC_WIRE_H

#include "proto/cluster_codec.h"
#include "proto/frames.h"

/* Of the generated header, which only the .c files include. */
struct Grove__Cluster__Header;
struct Grove__Cluster__Failure;
struct ProtobufCBinaryData;
typedef struct Grove__Cluster__Header pb_header;

/* Unpack and check the header frame: size, memory, version, end mark. Freed with wire_header_free(). */
MUST_CHECK enum status wire_header(const struct net_frame *frames, size_t count, pb_header **ret, struct report *report);
void wire_header_free(pb_header *h);
/* Pack as the next (first) frame. Fills in version and end mark. */
void wire_put_header(struct frames *f, pb_header *h);

MUST_CHECK enum status wire_bad(struct report *report, const char *what);
MUST_CHECK enum status wire_uuid(struct ProtobufCBinaryData bytes, const char *what, struct uuid *ret, struct report *report);
struct ProtobufCBinaryData wire_uuid_bytes(const struct uuid *u);
/* A UTF-8 text of fewer than `size` bytes, or none. */
MUST_CHECK enum status wire_text(const char *text, char *out, size_t size, const char *what, struct report *report);
MUST_CHECK enum status wire_failure(const struct Grove__Cluster__Failure *in, struct report *ret, struct report *report);
/* The frame at i as n records of `record` bytes. */
MUST_CHECK enum status wire_frame(const struct net_frame *frames, size_t count, size_t i, const char *what, uint64_t n, size_t record,
	const uint8_t **ret, struct report *report);
MUST_CHECK enum status wire_blobs(const struct net_frame *frames, size_t count, size_t i, const char *what, bool sent, uint32_t n, uint32_t max,
	bool maps, struct blobs *ret, struct report *report);
/* Dimension, type and frames of rows that have to be finite. */
MUST_CHECK enum status wire_rows(const struct net_frame *frames, size_t count, size_t i, uint32_t n, uint32_t dtype, uint32_t dim,
	const uint8_t **ret, struct report *report);

#endif
