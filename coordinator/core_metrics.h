/* core_metrics.h - what the core counts: members of the core, decided by its events alone, so it stays pure. The shell gives them names and
 * writes them out, from whichever thread it likes (common/metrics.h). */
#ifndef COORDINATOR_CORE_METRICS_H
#define COORDINATOR_CORE_METRICS_H

#include "common/metrics.h"
#include "proto/message.h"

enum {
	REQUEST_INVALID = CLIENT_OP_COUNT, /* the row of what could not be read as a request */
	REQUEST_ROWS,
	STATUS_ROWS = 32, /* a status is minus its row */
	MEMBER_STATES = WORKER_DEAD + 1,
};

struct core_metrics {
	struct counter answers[REQUEST_ROWS][STATUS_ROWS];
	struct counter busy;                /* those that were STATUS_BUSY, of all kinds */
	struct counter queries, incomplete; /* in answered searches; answered searches that some shard is missing from */
	struct counter late_replies, bad_worker_messages;
	struct gauge members[MEMBER_STATES], under_way;
	struct histogram search_seconds, request_bytes;
};

void core_metrics_init(struct core_metrics *c);
void core_metrics_answered(struct core_metrics *c, uint32_t row, enum status status);
/* Of all statuses. */
uint64_t core_metrics_answers(const struct core_metrics *c, uint32_t row);
MUST_CHECK enum status core_metrics_register(const struct core_metrics *c, struct metrics *m, struct report *report);

#endif
