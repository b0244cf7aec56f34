/* server.h - the worker's loop: sockets to its coordinators, beats, answers on their way out, and a clean stop. */
#ifndef WORKER_SERVER_H
#define WORKER_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "common/status.h"

enum {
	COORDINATORS_MAX = 16,
	BEAT_US = 250000,          /* every beat tells of all shards */
	BEAT_AGAIN_US = 50000,     /* after one that could not be sent */
	BEAT_REFUSED_US = 5000000, /* to a coordinator that refused us: it may be replaced by the right one */
	REPLY_KEEP_US = 2000000,   /* an answer that cannot be sent for so long is for a coordinator that is gone */
	STOP_SECONDS = 5,
};

struct server_options {
	const char *data; /* folder */
	const char *coordinators[COORDINATORS_MAX];
	size_t coordinator_count, threads;
};

/* Serves until SIGTERM or SIGINT; both have to be blocked before the first thread of the process starts. OK: stopped cleanly. */
MUST_CHECK enum status server_run(const struct server_options *options, struct report *report);

#endif
