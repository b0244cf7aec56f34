/* progress.h - a bar on stderr for long work; nothing at all unless stderr is a terminal. */
#ifndef CLIENT_CLI_PROGRESS_H
#define CLIENT_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *label;
	uint64_t total, started_us, drawn_us; /* total 0: not known, only the count is shown */
	bool shown;
};

void progress_begin(struct progress *p, const char *label, uint64_t total);
/* Redraws at most ten times a second. `unit` "items" adds a rate; NULL does not. */
void progress_update(struct progress *p, uint64_t done, const char *unit);
void progress_end(struct progress *p); /* removes the bar; twice is fine */

#endif
