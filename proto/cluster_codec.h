/* cluster_codec.h - the cluster protocol's bytes to structs and back: a protobuf header frame (cluster.proto), then raw
 * frames. The only place that sees protobuf-c. Unpacking uses an allocator with a byte cap; the header frame is at most
 * HEADER_MAX bytes; meaning is checked as in client_codec. A reply from a worker is checked as well: lists strictly sorted,
 * counts that add up. That it fits what was asked (k, queries, shards) is for whoever remembers that. Pure; any thread. */
#ifndef PROTO_CLUSTER_CODEC_H
#define PROTO_CLUSTER_CODEC_H

#include "common/net.h"
#include "proto/client_codec.h" /* struct encoded */
#include "proto/message.h"

MUST_CHECK enum status cluster_request_encode(const struct cluster_request *r, struct encoded *ret);
MUST_CHECK enum status cluster_request_decode(const struct net_frame *frames, size_t count, struct cluster_request *ret, struct report *report);
void cluster_request_release(struct cluster_request *r);

MUST_CHECK enum status cluster_reply_encode(const struct cluster_reply *r, struct encoded *ret);
/* On failure *ret_id has the request id when it could be read (0 otherwise). */
MUST_CHECK enum status cluster_reply_decode(const struct net_frame *frames, size_t count, struct cluster_reply *ret, uint64_t *ret_id, struct report *report);
void cluster_reply_release(struct cluster_reply *r);

/* Which of the two it is, without decoding the rest: CLUSTER_KIND_COUNT if it is neither. */
enum cluster_kind cluster_peek(const struct net_frame *frames, size_t count);

#endif
