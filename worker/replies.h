/* replies.h - finished answers on their way from whichever thread made them to the loop, which owns the sockets.
 *
 * Made when a request is accepted, so that handing an answer over never fails for want of memory. A mutex, a list and an eventfd
 * rather than an inbox of net.h: answers come from threads that the worker does not start (a shard's writer, a build) and that can
 * have no socket of their own. */
#ifndef WORKER_REPLIES_H
#define WORKER_REPLIES_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/cluster_codec.h"

struct reply {
	struct reply *next;
	uint32_t to;      /* number of the coordinator */
	uint64_t born_us; /* when it was handed over */
	bool tell_first;  /* it changed what the beats say: a beat goes before it */
	struct encoded encoded; /* count 0: could not be made; nothing is sent */
};

struct replies;

MUST_CHECK enum status replies_new(struct replies **ret);
void replies_free(struct replies **r); /* with what is still in it */
int replies_fd(const struct replies *r); /* readable once something came while nobody was awake */
struct reply *reply_new(uint32_t to); /* NULL: out of memory */
void reply_free(struct reply **reply);
/* Any thread: encode and hand over; *take becomes NULL. An answer past the limit of a message becomes an error that says so. */
void replies_post(struct replies *r, struct reply **take, const struct cluster_reply *answer);
/* The loop: all that is there, oldest first, as a list; NULL if none. */
struct reply *replies_take(struct replies *r);
/* The loop: it looks by itself before it waits, so that nobody need wake it. At first it is taken to wait. */
void replies_awake(struct replies *r);
/* The loop: it is about to wait for the file. False: something came meanwhile, take that first. */
bool replies_asleep(struct replies *r);

#endif
