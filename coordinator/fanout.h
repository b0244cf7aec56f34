/* fanout.h - what one request still waits for: one part for each message sent to a worker.
 *
 *     ready --sent--> waiting --reply--> answered
 *       |                |-----worker dead or restarted--> gone
 *       |                `-----deadline------------------> late
 *       |                `-----its bundle was not taken--.
 *       `--not sent (no connection, its queue is full)----+-> unsent
 *
 * A part leaves `waiting` once; whatever comes later for it is ignored. The difference between unsent and gone or late is the
 * difference between rejected and unknown for a write. Pure: events are arguments; one thread. */
#ifndef COORDINATOR_FANOUT_H
#define COORDINATOR_FANOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/status.h"
#include "common/uuid.h"

enum { FANOUT_PARTS_MAX = 4096 }; /* one for each shard at most */

enum part_state { PART_READY, PART_WAITING, PART_ANSWERED, PART_UNSENT, PART_GONE, PART_LATE };
const char *part_state_name(enum part_state s);

struct fanout_part {
	struct uuid worker;
	uint64_t incarnation;
	enum part_state state;
	enum status why; /* of an unsent part: BUSY or UNAVAILABLE */
	uint64_t sent_bytes; /* to that worker up to and with this part: its answer proves that they were taken */
};

struct fanout { uint32_t count, waiting; struct fanout_part *parts; };

MUST_CHECK enum status fanout_init(struct fanout *f, uint32_t count); /* count >= 0; zeroed memory or released before */
void fanout_release(struct fanout *f);
void fanout_sent(struct fanout *f, uint32_t part, struct uuid worker, uint64_t incarnation);
void fanout_unsent(struct fanout *f, uint32_t part, enum status why);
/* It was to leave with others, and they could not be sent: true if the part was still waited for. */
bool fanout_taken_back(struct fanout *f, uint32_t part, enum status why);
/* True if the part was waiting for exactly this worker: the caller may use the reply. */
bool fanout_answered(struct fanout *f, uint32_t part, struct uuid worker);
/* The worker died (incarnation 0) or is another process now: gives up all parts of other incarnations. How many. */
uint32_t fanout_worker_gone(struct fanout *f, struct uuid worker, uint64_t incarnation_now);
uint32_t fanout_expire(struct fanout *f); /* the deadline: gives up all that wait */
static inline bool fanout_done(const struct fanout *f) { return f->waiting == 0; }
bool fanout_check(const struct fanout *f); /* the count of waiting parts is right, all states are legal */

#endif
