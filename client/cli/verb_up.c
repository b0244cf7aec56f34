/* verb_up.c - `grove up`: a coordinator and N workers as child processes on loopback, until Ctrl-C.
 *
 * One thread. Signals are blocked and taken with sigtimedwait(), so that no handler runs: SIGCHLD is a child's death, SIGINT,
 * SIGTERM and SIGHUP are the end. "ready" is printed once a status asked over the real protocol shows all workers alive. Before
 * that a child that is given up ends everything (the start failed); after it the others go on. */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "client/cli/children.h"
#include "client/cli/output.h"
#include "client/cli/verbs.h"
#include "client/grove.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/net.h"

enum {
	UP_WORKERS_MAX = 64,
	UP_LOOK_MS = 100, /* how often the children are looked after */
	UP_HELLO_MS = 200,
	UP_STATUS_MS = 1000,
	UP_SHARDS_US = 10 * 1000 * 1000,   /* how long all workers may be there before missing shards are only reported */
	UP_PATIENCE_US = 30 * 1000 * 1000, /* not ready by then: say so, and go on waiting */
	STOP_GRACE_US = 10 * 1000 * 1000,
	ENDPOINT_SIZE = 64,
};

struct up {
	uint32_t workers;
	bool json, ready, told_slow;
	char data[CHILD_PATH_MAX / 2];
	char endpoint[ENDPOINT_SIZE], workers_endpoint[ENDPOINT_SIZE];
	grove_client *client;
	uint64_t started_us, complete_since_us; /* since when all workers are alive; 0: not yet */
	size_t count;				/* children: the coordinator, then the workers */
	struct child *children;
};

/* ---- preparing ---- */

/* $XDG_DATA_HOME/grove, else ~/.local/share/grove. */
static bool default_data(char *out, size_t size)
{
	const char *xdg = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	int n = -1;
	if (xdg && xdg[0] == '/')
		n = snprintf(out, size, "%s/grove", xdg);
	else if (home && *home)
		n = snprintf(out, size, "%s/.local/share/grove", home);
	return n > 0 && (size_t)n < size;
}

/* The folder and those above it; the children make what is inside. */
static enum status make_folders(const char *path, struct report *report)
{
	struct io *io = NULL;
	enum status status = io_posix_open(path, &io, report);
	if (status == STATUS_OK) io_posix_close(&io);
	return status;
}

/* Is the address free? The children would say so too, but later and twice. */
static enum status endpoint_free(const char *endpoint, struct report *report)
{
	struct net *net = NULL;
	struct net_socket *socket = NULL;
	enum status status = net_new(&net);
	if (status == STATUS_OK) status = net_open(net, NET_ROUTER, CLIENT_FRAME_MAX, 1, &socket);
	if (status == STATUS_OK) status = net_bind(socket, endpoint, report);
	if (status == STATUS_EXISTS)
		report_set(report, status, "%s is in use by another process: stop it, or choose another port with --port P",
			endpoint);
	if (socket) net_close(&socket);
	if (net) net_free(&net);
	return status;
}

static enum status coordinator_prepare(struct up *up, const char *own)
{
	char data[CHILD_PATH_MAX];
	struct child *c = &up->children[0];
	snprintf(c->name, sizeof(c->name), "coordinator");
	child_find_program(own, "coordinator", "grove-coordinator", c->program);
	snprintf(data, sizeof(data), "%s/coordinator", up->data);
	const char *args[] = {"--data", data, "--listen", up->endpoint, "--workers-listen", up->workers_endpoint};
	return child_arguments(c, args, sizeof(args) / sizeof(args[0]));
}

static enum status worker_prepare(struct up *up, const char *own, size_t number)
{
	char data[CHILD_PATH_MAX];
	struct child *c = &up->children[number];
	snprintf(c->name, sizeof(c->name), "worker-%zu", number);
	child_find_program(own, "worker", "grove-worker", c->program);
	snprintf(data, sizeof(data), "%s/worker-%zu", up->data, number);
	const char *args[] = {"--data", data, "--coordinator", up->workers_endpoint};
	return child_arguments(c, args, sizeof(args) / sizeof(args[0]));
}

static enum status up_prepare(struct up *up, struct report *report)
{
	char own[CHILD_PATH_MAX];
	child_own_folder(own);
	up->count = (size_t)up->workers + 1;
	up->children = calloc(up->count, sizeof(*up->children));
	if (!up->children) return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	enum status status = coordinator_prepare(up, own);
	for (size_t i = 1; i < up->count && status == STATUS_OK; i++) status = worker_prepare(up, own, i);
	if (status != STATUS_OK) return report_set(report, status, "%s", status_text(status));
	status = make_folders(up->data, report);
	if (status == STATUS_OK) status = endpoint_free(up->endpoint, report);
	if (status == STATUS_OK) status = endpoint_free(up->workers_endpoint, report);
	return status;
}

/* ---- watching ---- */

static void child_bury(struct up *up, struct child *c, int wait_status)
{
	char how[128];
	child_died(c, clock_us());
	death_text(wait_status, how, sizeof(how));
	if (c->state == CHILD_GIVEN_UP)
		output_message(
			"%s %s, the %dth time in a row: given up. The messages above say why", c->name, how, QUICK_DEATHS_MAX);
	else
		output_message("%s %s: starting it again", c->name, how);
}

/* Collect the dead, restart those whose pause is over. False: nothing is left to go on with. */
static bool children_tend(struct up *up)
{
	size_t given_up = 0;
	for (size_t i = 0; i < up->count; i++) {
		struct child *c = &up->children[i];
		int wait_status;
		if (c->state == CHILD_RUNNING && waitpid(c->pid, &wait_status, WNOHANG) == c->pid) child_bury(up, c, wait_status);
		if (c->state == CHILD_PAUSING && clock_us() >= c->resume_us) {
			struct report report;
			if (child_start(c, clock_us(), &report) != STATUS_OK) {
				output_message("%s", report_text(&report));
				child_died(c, clock_us());
			}
		}
		given_up += c->state == CHILD_GIVEN_UP;
	}
	return up->ready ? given_up < up->count : given_up == 0;
}

static void ready_print(const struct up *up, uint32_t indexes)
{
	if (up->json) {
		fputs("{\"ready\":true,\"endpoint\":", stdout);
		json_string(stdout, up->endpoint);
		fputs(",\"data\":", stdout);
		json_string(stdout, up->data);
		fprintf(stdout, ",\"workers\":%" PRIu32 ",\"indexes\":%" PRIu32 ",\"pids\":[", up->workers, indexes);
		for (size_t i = 0; i < up->count; i++) fprintf(stdout, "%s%d", i ? "," : "", (int)up->children[i].pid);
		fputs("]}\n", stdout);
	} else {
		fprintf(stdout, "ready: %" PRIu32 " worker%s, %" PRIu32 " index%s at %s; Ctrl-C stops everything\n", up->workers,
			up->workers == 1 ? "" : "s", indexes, indexes == 1 ? "" : "es", up->endpoint);
	}
	fflush(stdout);
}

/* Ask the cluster itself whether all workers are there and all shards served. */
static void up_check_ready(struct up *up)
{
	char why[GROVE_TEXT_MAX];
	grove_reply *reply = NULL;
	uint32_t alive = 0, served = 0;
	if (!up->client && grove_open(up->endpoint, UP_HELLO_MS, &up->client, why, sizeof(why)) != GROVE_OK) return;
	if (grove_set_timeout(up->client, UP_STATUS_MS) == GROVE_OK && grove_status(up->client, &reply) == GROVE_OK) {
		for (uint32_t i = 0; i < reply->worker_count; i++) alive += reply->workers[i].state == GROVE_WORKER_ALIVE;
		for (uint32_t i = 0; i < reply->index_count; i++) served += reply->indexes[i].complete != 0;
		if (alive >= up->workers && !up->complete_since_us) up->complete_since_us = clock_us();
		bool waited = up->complete_since_us && clock_us() - up->complete_since_us > UP_SHARDS_US;
		up->ready = alive >= up->workers && (served == reply->index_count || waited);
		if (up->ready && served < reply->index_count)
			output_message("%" PRIu32 " of %" PRIu32
				       " indexes are not complete: `grove status` shows which shards are missing",
				reply->index_count - served, reply->index_count);
	}
	if (up->ready) {
		ready_print(up, reply->index_count);
		grove_close(&up->client);
	} else if (!up->told_slow && clock_us() - up->started_us > UP_PATIENCE_US) {
		up->told_slow = true;
		output_message("not ready yet: %" PRIu32 " of %" PRIu32 " workers are alive. Still waiting; Ctrl-C ends it",
			alive, up->workers);
	}
	grove_reply_free(&reply);
}

static void addresses_print(const struct up *up)
{
	if (up->json) return;
	fprintf(stdout, "coordinator  %s  pid %d\n", up->endpoint, (int)up->children[0].pid);
	for (size_t i = 1; i < up->count; i++)
		fprintf(stdout, "%-12s %s  pid %d\n", up->children[i].name, up->workers_endpoint, (int)up->children[i].pid);
	fprintf(stdout, "data         %s\n", up->data);
	if (strcmp(up->endpoint, GROVE_DEFAULT_ENDPOINT) != 0)
		fprintf(stdout, "use          export GROVE_ENDPOINT=%s\n", up->endpoint);
	fflush(stdout);
}

/* Until a signal ends it. */
static int up_run(struct up *up, const sigset_t *signals)
{
	struct report report;
	up->started_us = clock_us();
	for (size_t i = 0; i < up->count; i++) {
		if (child_start(&up->children[i], clock_us(), &report) != STATUS_OK) {
			output_message("%s", report_text(&report));
			return EXIT_FAILED;
		}
	}
	addresses_print(up);
	for (;;) {
		struct timespec pause = {.tv_nsec = UP_LOOK_MS * 1000000L};
		int signal_number = sigtimedwait(signals, NULL, &pause);
		if (signal_number > 0 && signal_number != SIGCHLD) return EXIT_OK;
		if (!children_tend(up)) {
			output_message(up->ready ? "no process is left" : "the cluster did not start");
			return EXIT_FAILED;
		}
		if (!up->ready) up_check_ready(up);
	}
}

int verb_up(const struct arguments *a)
{
	struct up up = {.workers = 2, .json = arguments_has(a, "json")};
	struct report report = {.status = STATUS_OK};
	const char *data = arguments_text(a, "data");
	uint32_t port = 7600;
	int exit_code = EXIT_FAILED;
	sigset_t signals;
	if (!arguments_u32(a, "workers", 1, UP_WORKERS_MAX, &up.workers) || !arguments_u32(a, "port", 1, 65534, &port))
		return EXIT_USAGE;
	if (data ? snprintf(up.data, sizeof(up.data), "%s", data) >= (int)sizeof(up.data)
		 : !default_data(up.data, sizeof(up.data)))
		return usage_error(a->command, "there is no default data folder here: name one with --data DIR");
	snprintf(up.endpoint, sizeof(up.endpoint), "tcp://127.0.0.1:%u", port);
	snprintf(up.workers_endpoint, sizeof(up.workers_endpoint), "tcp://127.0.0.1:%u", port + 1);
	setenv("GROVE_LOG_LEVEL", "warn", 0); /* for the children, unless the user says otherwise */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	if (up_prepare(&up, &report) != STATUS_OK) {
		output_message("%s", report_text(&report));
		goto out;
	}
	exit_code = up_run(&up, &signals);
	grove_close(&up.client);
	children_stop(up.children, up.count, STOP_GRACE_US);
	if (exit_code == EXIT_OK && !up.json) output_message("stopped");
out:
	for (size_t i = 0; up.children && i < up.count; i++) child_release(&up.children[i]);
	free(up.children);
	return exit_code;
}
