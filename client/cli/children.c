/* children.c - starting, restarting and stopping the processes of a local cluster. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cli/children.h"
#include "common/clock.h"

enum { EXIT_CANNOT_RUN = 127, STOP_LOOK_US = 20000 };

void child_own_folder(char out[CHILD_PATH_MAX])
{
	char path[CHILD_PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = 0;
	char *slash = strrchr(path, '/');
	if (slash) *slash = 0;
	memcpy(out, path, sizeof(path));
}

void child_find_program(const char *own, const char *room, const char *name, char out[CHILD_PATH_MAX])
{
	if (*own) {
		if (snprintf(out, CHILD_PATH_MAX, "%s/%s", own, name) < CHILD_PATH_MAX && access(out, X_OK) == 0) return;
		if (snprintf(out, CHILD_PATH_MAX, "%s/../../%s/%s", own, room, name) < CHILD_PATH_MAX && access(out, X_OK) == 0)
			return;
	}
	snprintf(out, CHILD_PATH_MAX, "%s", name);
}

enum status child_arguments(struct child *c, const char *const *args, size_t count)
{
	if (count + 1 > CHILD_ARGS_MAX) return STATUS_LIMIT;
	for (size_t i = 0; i <= count; i++) {
		c->args[i] = strdup(i ? args[i - 1] : c->program);
		if (!c->args[i]) return STATUS_NO_MEMORY;
	}
	return STATUS_OK;
}

void child_release(struct child *c)
{
	for (size_t i = 0; i <= CHILD_ARGS_MAX; i++) free(c->args[i]);
	memset(c->args, 0, sizeof(c->args));
}

/* In the child, between fork and exec: only what is async-signal-safe. */
_Noreturn static void child_become(const struct child *c, pid_t parent)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) _exit(EXIT_CANNOT_RUN);
	int nothing = open("/dev/null", O_RDONLY);
	if (nothing >= 0) dup2(nothing, STDIN_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO); /* our stdout is for our own lines */
	execvp(c->program, c->args);
	_exit(EXIT_CANNOT_RUN);
}

enum status child_start(struct child *c, uint64_t now_us, struct report *report)
{
	pid_t parent = getpid(), pid = fork();
	if (pid < 0) return report_set(report, STATUS_UNAVAILABLE, "cannot start %s: %s", c->name, strerror(errno));
	if (pid == 0) child_become(c, parent);
	c->pid = pid;
	c->started_us = now_us;
	c->state = CHILD_RUNNING;
	return STATUS_OK;
}

void child_died(struct child *c, uint64_t now_us)
{
	c->pid = 0;
	c->quick_deaths = now_us - c->started_us < QUICK_LIFE_US ? c->quick_deaths + 1 : 1;
	if (c->quick_deaths >= QUICK_DEATHS_MAX) {
		c->state = CHILD_GIVEN_UP;
		return;
	}
	uint64_t pause = PAUSE_FIRST_US;
	for (unsigned i = 1; i < c->quick_deaths && pause < PAUSE_MAX_US; i++) pause *= 2;
	c->resume_us = now_us + (pause < PAUSE_MAX_US ? pause : PAUSE_MAX_US);
	c->state = CHILD_PAUSING;
}

const char *death_text(int wait_status, char *out, size_t size)
{
	if (WIFSIGNALED(wait_status))
		snprintf(out, size, "was killed by signal %d (%s)", WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)));
	else if (WEXITSTATUS(wait_status) == EXIT_CANNOT_RUN)
		snprintf(out, size, "could not be run: is it installed beside `grove`?");
	else
		snprintf(out, size, "ended with exit status %d", WEXITSTATUS(wait_status));
	return out;
}

static size_t children_signal(struct child *children, size_t count, int signal_number)
{
	size_t running = 0;
	for (size_t i = count; i-- > 0;) {
		if (children[i].state != CHILD_RUNNING) continue;
		running++;
		if (signal_number) kill(children[i].pid, signal_number);
	}
	return running;
}

void children_stop(struct child *children, size_t count, uint64_t grace_us)
{
	uint64_t until = clock_us() + grace_us;
	bool killed = false;
	children_signal(children, count, SIGTERM);
	children_signal(children, count, SIGCONT); /* one that was stopped cannot end */
	while (children_signal(children, count, 0)) {
		for (size_t i = 0; i < count; i++) {
			int ignored;
			if (children[i].state == CHILD_RUNNING && waitpid(children[i].pid, &ignored, WNOHANG) != 0)
				children[i].state = CHILD_IDLE;
		}
		if (!killed && clock_us() >= until) {
			children_signal(children, count, SIGKILL);
			killed = true;
		}
		if (children_signal(children, count, 0)) clock_sleep_us(STOP_LOOK_US);
	}
}
