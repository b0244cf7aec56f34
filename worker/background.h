/* background.h - one thread for what reads, syncs or removes whole shards (open, create, drop), so that the loop never waits for a disk.
 * One after another: an open queued behind a drop of the same shard finds it gone. Bounded. */
#ifndef WORKER_BACKGROUND_H
#define WORKER_BACKGROUND_H

#include "common/limits.h"
#include "common/status.h"

enum { BACKGROUND_JOBS_MAX = 2 * SHARDS_MAX };

struct background;
/* Intrusive: the caller's memory until `run` begins, which may free it. */
struct background_job { struct background_job *next; void (*run)(struct background_job *job); };

MUST_CHECK enum status background_new(struct background **ret);
/* The job at hand and all queued ones run to their end first. */
void background_free(struct background **b);
/* Any thread. STATUS_BUSY: BACKGROUND_JOBS_MAX are queued. */
MUST_CHECK enum status background_submit(struct background *b, struct background_job *job);

#endif
