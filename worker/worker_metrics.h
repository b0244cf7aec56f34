/* worker_metrics.h - what a worker counts, from all its threads, and the names of it (common/metrics.h). */
#ifndef WORKER_WORKER_METRICS_H
#define WORKER_WORKER_METRICS_H

#include "common/metrics.h"

struct worker_metrics {
	struct counter queries, candidates;
	struct counter upserts, deletes; /* acknowledged items */
	struct counter builds, failed_builds;
	struct counter dropped_replies;
	struct histogram search_seconds, sync_seconds, build_seconds;
	struct gauge shards, items, memtable_rows; /* as of the last beat, or the stop */
};

MUST_CHECK enum status worker_metrics_register(const struct worker_metrics *w, struct metrics *m, struct report *report);

#endif
