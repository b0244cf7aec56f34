/* children.h - the processes that `grove up` starts and watches.
 *
 * A child dies with its parent, however that dies (PR_SET_PDEATHSIG with SIGKILL; what is stored survives that by design), and
 * stands in a process group of its own, so that a terminal's Ctrl-C reaches the parent alone, which then stops them in order.
 *
 *     RUNNING --dies--> PAUSING --pause over--> RUNNING        after QUICK_DEATHS_MAX quick deaths in a row: GIVEN_UP
 *
 * The pause doubles with each quick death; a child that lived QUICK_LIFE_US starts from the beginning. The deciding half
 * (child_died) takes the time as an argument and is pure. */
#ifndef CLIENT_CLI_CHILDREN_H
#define CLIENT_CLI_CHILDREN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/status.h"

enum {
	CHILD_ARGS_MAX = 12,
	CHILD_PATH_MAX = 4096,
	QUICK_DEATHS_MAX = 5,
	QUICK_LIFE_US = 10 * 1000 * 1000,
	PAUSE_FIRST_US = 250 * 1000,
	PAUSE_MAX_US = 8 * 1000 * 1000,
};

enum child_state { CHILD_IDLE, CHILD_RUNNING, CHILD_PAUSING, CHILD_GIVEN_UP };

struct child {
	char name[32];
	char program[CHILD_PATH_MAX]; /* what execvp() gets */
	char *args[CHILD_ARGS_MAX + 1];
	enum child_state state;
	pid_t pid;
	uint64_t started_us, resume_us;
	unsigned quick_deaths;
};

/* Where the program NAME is: beside our own executable, else in its room of the build tree that we stand in, else whatever PATH
 * finds. `own` is the folder of our executable ("" if not known). */
void child_find_program(const char *own, const char *room, const char *name, char out[CHILD_PATH_MAX]);
/* The folder of our own executable, or "". */
void child_own_folder(char out[CHILD_PATH_MAX]);
/* Set the arguments (copied), args[0] included by us. At most CHILD_ARGS_MAX - 1. */
MUST_CHECK enum status child_arguments(struct child *c, const char *const *args, size_t count);
void child_release(struct child *c);

MUST_CHECK enum status child_start(struct child *c, uint64_t now_us, struct report *report);
/* It died at now_us: PAUSING (resume_us is set) or GIVEN_UP. */
void child_died(struct child *c, uint64_t now_us);
/* "ended with exit status 1", "was killed by signal 9 (Killed)" */
const char *death_text(int wait_status, char *out, size_t size);
/* SIGTERM to the running ones, SIGKILL to what is left after grace_us; waits for all. Last started is stopped first. */
void children_stop(struct child *children, size_t count, uint64_t grace_us);

#endif
