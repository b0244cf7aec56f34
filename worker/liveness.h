/* liveness.h - does a thread that has work get on with it? Pure.
 *
 * A worker whose search thread hangs would answer nothing and yet beat on, since its loop lives. So the loop looks at the progress
 * counters before each beat: where a busy one has stood still for too long, it does not beat, and the coordinator routes around us. */
#ifndef WORKER_LIVENESS_H
#define WORKER_LIVENESS_H

#include <stdbool.h>
#include <stdint.h>

enum {
	STALL_SEARCH_US = 2000000,  /* a search shows progress every few thousand distances: milliseconds */
	STALL_WRITER_US = 10000000, /* a sync of a slow disk may take seconds, and searches go on meanwhile */
};

/* Zeroed to begin. */
struct stall { uint64_t progress, since_us; bool busy; };

/* Note what was seen now; true if the thread has been busy without progress for at least limit_us. */
static inline bool stall_note(struct stall *s, uint64_t progress, bool busy, uint64_t now_us, uint64_t limit_us)
{
	if (!busy || !s->busy || progress != s->progress) *s = (struct stall){.progress = progress, .since_us = now_us, .busy = busy};
	return busy && now_us - s->since_us >= limit_us;
}

#endif
