/* timers.h - the deadlines of all running requests: an indexed binary heap, so that a request that ends early leaves nothing
 * behind (a list of stale entries would grow with the longest deadline times the request rate).
 *
 * Pure; memory is the caller's count of slots, taken once. One thread. */
#ifndef COORDINATOR_TIMERS_H
#define COORDINATOR_TIMERS_H

#include <stdint.h>

#include "common/status.h"

#define TIMER_NONE UINT32_MAX

struct timers {
	uint32_t slots, count;
	uint32_t *heap;      /* slot numbers; heap order by deadline */
	uint32_t *positions; /* of each slot in the heap; TIMER_NONE: not set */
	uint64_t *deadlines; /* of each slot */
};

MUST_CHECK enum status timers_init(struct timers *t, uint32_t slots);
void timers_release(struct timers *t);
void timers_set(struct timers *t, uint32_t slot, uint64_t deadline_us); /* set or moved */
void timers_clear(struct timers *t, uint32_t slot);                     /* not set: nothing happens */
uint64_t timers_next(const struct timers *t);                           /* UINT64_MAX: none */
/* The slot whose deadline is the earliest and <= now, cleared; TIMER_NONE if there is none. */
uint32_t timers_expired(struct timers *t, uint64_t now_us);

#endif
