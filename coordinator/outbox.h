/* outbox.h - the searches that one turn of the loop has for one worker: they leave together in core_tick(), as one message (proto/bundle.h).
 *
 * Each stays a part of its own request, with its own deadline and answer. Until it has left, its part counts as sent; if the message is not
 * taken, the part becomes unsent, and its request hears of it as if that had been known at once. */
#ifndef COORDINATOR_OUTBOX_H
#define COORDINATOR_OUTBOX_H

#include "coordinator/core_state.h"

/* False is no error: what cannot be held, for want of room or memory, or because the worker has a new connection, is sent by the caller. */
MUST_CHECK bool outbox_hold(struct core *c, struct member *member, uint64_t message_id, const struct encoded *e, uint64_t bytes);
uint64_t outbox_bytes(const struct member *member);
/* Send all of all workers. May end requests. */
void outboxes_flush(struct core *c);
void outboxes_free(struct core *c);

#endif
