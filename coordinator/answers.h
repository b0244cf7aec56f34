/* answers.h - the answers of one turn of the loop to clients that bundle their requests: those of a client leave together in core_tick(), as one
 * message (proto/bundle.h). A client that sends its requests one by one is answered so, at once.
 *
 * If the client may not have the bundle it is offered its answers one by one, so that those that may wait for it do. */
#ifndef COORDINATOR_ANSWERS_H
#define COORDINATOR_ANSWERS_H

#include "coordinator/core_state.h"

/* What it is an answer to: `row`, how it is counted; `op` and `request` for the error that takes its place; no such error is sent for one that is `bare`. */
struct answer { uint64_t request; enum client_op op; uint32_t row; enum status status; bool bare; };

/* False is no error: what cannot be held, for want of room or memory, is sent by the caller. */
MUST_CHECK bool answers_hold(struct core *c, const struct client_address *client, const struct answer *answer, const struct encoded *e);
void answers_flush(struct core *c);
bool answers_wait(const struct core *c);
void answers_free(struct core *c);

/* core.c: hand one over, count it, and send the error in its place if it may not wait. */
void answer_hand_over(struct core *c, const struct client_address *client, const struct answer *answer, const struct net_frame *frames, size_t count);

#endif
