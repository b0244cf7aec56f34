/* pipeline.h - many requests at once: keeps a window of them in flight, so that the cluster never waits for us.
 *
 * A job is one request that can be sent again. Refusals that did no harm (BUSY; and for jobs that say so, UNAVAILABLE and a quick
 * UNKNOWN, as a repeated upsert changes nothing) are repeated with a growing pause until the job's time is up; BUSY also halves
 * the window. Any other answer, good or bad, ends the job: job->done is called with it.
 *
 * One thread. A job's memory is its owner's: from pipeline_add() until done() has returned it must stay. */
#ifndef CLIENT_CLI_PIPELINE_H
#define CLIENT_CLI_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "client/grove.h"

struct job {
	/* Send (again): a grove_*_submit() with this job's arguments. */
	int (*submit)(struct job *job, grove_client *client, grove_ticket *ret);
	/* The end: the code, its sentence, and the reply (*reply may be NULL; taken by setting it to NULL, else freed after the
	 * return). False stops the pipeline: no more jobs are taken, those under way are finished. */
	bool (*done)(struct job *job, int code, const char *message, grove_reply **reply);
	bool repeat_writes;
	/* pipeline.c's own */
	grove_ticket ticket;
	uint64_t give_up_us, not_before_us, pause_us;
};

enum { PIPELINE_WINDOW_MAX = 32 };
struct pipeline {
	grove_client *client;
	uint32_t window, window_max;
	uint64_t patience_us;
	bool stopped;
	uint32_t count;
	struct job *jobs[PIPELINE_WINDOW_MAX];
};

/* window: 1 .. PIPELINE_WINDOW_MAX. patience_ms: for how long a refused job is repeated. */
void pipeline_init(struct pipeline *p, grove_client *client, uint32_t window, uint32_t patience_ms);
/* Blocks while the window is full. False: stopped, the job was not taken (and its done() will not be called). */
bool pipeline_add(struct pipeline *p, struct job *job);
/* Wait until every job has ended. False: the pipeline was stopped. */
bool pipeline_finish(struct pipeline *p);

#endif
