/* client_internal.h - what the three files of the client library share; not installed.
 *
 * client.c   the handle: connection, slots, deadlines, waiting
 * request.c  the caller's arguments -> struct client_request -> a slot
 * reply.c    struct client_reply (unaligned frames) -> grove_reply (aligned, the caller's) */
#ifndef CLIENT_CLIENT_INTERNAL_H
#define CLIENT_CLIENT_INTERNAL_H

#include "client/grove.h"
#include "common/status.h"
#include "proto/message.h"

/* What of a request is needed to judge its answer. */
struct asked {
	enum client_op op;
	uint32_t count; /* items, ids or queries; of a scan the most items */
	uint32_t k;
};

/* Fill id, client and timeout of *r, encode it, put it into a free slot and try to send it. */
MUST_CHECK enum status client_submit(grove_client *client, struct client_request *r, struct asked asked, grove_ticket *ret);
/* Remember the sentence of a failed call; returns `s`. */
enum status client_fail(grove_client *client, enum status s, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The reply in the caller's shapes. STATUS_UNSUPPORTED: it does not fit what was asked. *ret is then untouched. */
MUST_CHECK enum status reply_from_wire(const struct client_reply *wire, struct asked asked, grove_reply **ret);
/* A reply that the server never gave: code, sentence, and for a write the same outcome for each item. NULL: no memory. */
grove_reply *reply_local(struct asked asked, enum status code, enum item_result outcome, const char *sentence);

#endif
