/* client_codec.h - the client protocol's bytes to structs and back (CLIENT.md). The only place that sees msgpack.
 *
 * Decoding pre-scans the msgpack without allocating: depth <= MSGPACK_DEPTH_MAX and every count <= the bytes that are left,
 * so a few bytes cannot claim gigabytes. It then checks meaning: limits, finite floats, frame sizes that agree, UTF-8,
 * payloads that are one msgpack map. What needs the index (its dimension, its dtype, search_k's default) is checked by
 * client_check_against(). Pure: no sockets, no clocks. Any thread. */
#ifndef PROTO_CLIENT_CODEC_H
#define PROTO_CLIENT_CODEC_H

#include "common/buf.h"
#include "common/net.h"
#include "proto/message.h"

/* An encoded message: frames point into `memory`. */
struct encoded { size_t count; struct net_frame frames[FRAMES_MAX]; struct buf memory; };
void encoded_release(struct encoded *e); /* zeroed ones too */

/* Server side. On failure *ret_id still has the request id when it could be read (0 otherwise) and *report the reason.
 * `scratch` receives ids computed from keys; it must live as long as *ret. */
MUST_CHECK enum status client_request_decode(const struct net_frame *frames, size_t count, struct buf *scratch,
	struct client_request *ret, uint64_t *ret_id, struct report *report);
/* Dimension and element type against the index they are meant for. */
MUST_CHECK enum status client_check_against(const struct client_request *r, const struct index_spec *index, struct report *report);
MUST_CHECK enum status client_reply_encode(const struct client_reply *r, struct encoded *ret);

/* Client side. Encoding checks the limits too, so that an oversized message gets a sentence and not a dropped connection. */
MUST_CHECK enum status client_request_encode(const struct client_request *r, struct encoded *ret, struct report *report);
MUST_CHECK enum status client_reply_decode(const struct net_frame *frames, size_t count, struct client_reply *ret, struct report *report);
void client_reply_release(struct client_reply *r);

const char *client_op_name(enum client_op op); /* as on the wire */
/* True if the bytes are one well-formed msgpack value within the limits, a map if `map`, with nothing after it. */
bool msgpack_scan(const uint8_t *bytes, size_t size, bool map);
/* Payloads: a JSON object's text to msgpack and back are the client's business; the common case {label: text} is here. */
MUST_CHECK enum status payload_from_label(const char *label, struct buf *out);
/* A payload as one line of JSON (for people and --json); floats as %.9g, bytes as base64. */
MUST_CHECK enum status payload_to_json(const uint8_t *bytes, size_t size, struct buf *out);

#endif
