/* task.h - one accepted request: the message it came in, its meaning, its deadline, and the answer's envelope.
 * Embedded first in what carries it out; owned by one thread at a time. */
#ifndef WORKER_TASK_H
#define WORKER_TASK_H

#include "worker/pool.h"
#include "worker/replies.h"
#include "worker/shard_table.h"
#include "worker/worker_metrics.h"

/* What every task may use; filled in once, before the first request. */
struct worker_parts {
	struct shard_table *table;
	struct pool *pool;
	struct background *background;
	struct replies *replies;
	struct worker_metrics *metrics;
};

struct task {
	const struct worker_parts *parts;
	struct net_message message; /* the request points into it */
	struct cluster_request request;
	struct reply *reply;
	uint64_t deadline_us; /* clock_us(): the answer has to leave by then */
};

/* Answer with this, filling in its id and kind. Once; the task keeps its memory until task_release(). */
void task_answer(struct task *t, struct cluster_reply *answer);
/* Answer with an error alone. */
void task_refuse(struct task *t, const struct report *why);
void task_release(struct task *t);

/* When a search has to stop: told to the engine, and the place where its thread shows that it is alive. */
struct search_pulse { struct pulse pulse; uint64_t deadline_us; const _Atomic bool *closing; _Atomic uint64_t *progress; };
void search_pulse_init(struct search_pulse *p, uint64_t deadline_us, const _Atomic bool *closing, _Atomic uint64_t *progress);

/* The verbs (search.c, scan.c, verbs.c). Each takes the task's content, answers once, and leaves *take zeroed. Called by the loop. */
void search_start(struct task *take);
void get_start(struct task *take);
void scan_start(struct task *take);
void write_start(struct task *take);
void build_start(struct task *take);
void open_start(struct task *take, struct uuid cluster);
void drop_start(struct task *take);

#endif
