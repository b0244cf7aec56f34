/* main.c - grove-worker: flags, environment, and the loop. Exit codes: 0 stopped cleanly, 1 failure, 2 usage. */
#include <argp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/net.h"
#include "common/vec.h"
#include "worker/pool.h"
#include "worker/server.h"

const char *argp_program_version = "grove-worker " GROVE_VERSION;

enum { EXIT_USAGE = 2, OPTION_INSECURE = 256 };

static const struct argp_option options[] = {
	{"data", 'd', "DIR", 0, "folder of this worker's shards, made if missing (GROVE_DATA)", 0},
	{"coordinator", 'c', "ENDPOINT", 0, "a coordinator to serve, may be given up to 16 times (GROVE_COORDINATOR; default tcp://127.0.0.1:7601)", 0},
	{"threads", 't', "N", 0, "search threads (GROVE_THREADS; default: one for each core)", 0},
	{"insecure", OPTION_INSECURE, NULL, 0, "allow endpoints beyond this host, without keys: for trusted networks only", 0},
	{0},
};
static const char doc[] = "Holds shards of Grove indexes and searches them for its coordinators.\v"
			  "GROVE_LOG_LEVEL=debug|info|warn|error and GROVE_LOG_FORMAT=text|json govern the log on stderr, GROVE_KERNELS=scalar|avx2|avx512|neon the "
			  "distance kernels. SIGTERM and SIGINT stop it cleanly.";

struct command { struct server_options server; bool insecure, coordinators_given; };

static size_t parse_threads(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	return *text >= '0' && *text <= '9' && !*end && n >= 1 && n <= POOL_THREADS_MAX ? n : 0;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
	struct command *c = state->input;
	struct server_options *s = &c->server;

	switch (key) {
	case 'd': s->data = value; return 0;
	case 'c':
		if (!c->coordinators_given) s->coordinator_count = 0; /* flags win over the environment */
		c->coordinators_given = true;
		if (s->coordinator_count == COORDINATORS_MAX) argp_error(state, "more than %d coordinators", COORDINATORS_MAX);
		s->coordinators[s->coordinator_count++] = value;
		return 0;
	case 't':
		s->threads = parse_threads(value);
		if (s->threads == 0) argp_error(state, "--threads %s: a number from 1 to %d is needed", value, POOL_THREADS_MAX);
		return 0;
	case OPTION_INSECURE: c->insecure = true; return 0;
	case ARGP_KEY_ARG: argp_error(state, "'%s' is no option", value); return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static size_t cores(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (size_t)CPU_COUNT(&set) : 1;
}

static int usage(const char *text, const char *value)
{
	fprintf(stderr, "grove-worker: %s%s\n", text, value);
	return EXIT_USAGE;
}

static void read_environment(struct command *c)
{
	const char *coordinator = getenv("GROVE_COORDINATOR");

	c->server.data = getenv("GROVE_DATA");
	c->server.coordinators[0] = coordinator && *coordinator ? coordinator : "tcp://127.0.0.1:7601";
	c->server.coordinator_count = 1;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {options, parse_option, NULL, doc, NULL, NULL, NULL};
	struct command c = {0};
	struct report report = {0};
	sigset_t set;

	argp_err_exit_status = EXIT_USAGE;
	read_environment(&c);
	argp_parse(&argp, argc, argv, 0, NULL, &c);
	const char *threads = getenv("GROVE_THREADS");
	if (c.server.threads == 0 && threads && *threads && (c.server.threads = parse_threads(threads)) == 0)
		return usage("GROVE_THREADS has to be a number from 1 to 1024, it is: ", threads);
	if (c.server.threads == 0) c.server.threads = cores();
	if (!c.server.data || !*c.server.data) return usage("--data DIR is needed: the folder for this worker's shards", "");
	for (size_t i = 0; i < c.server.coordinator_count; i++)
		if (!c.insecure && !net_is_local(c.server.coordinators[i]))
			return usage("a coordinator on another host needs --insecure, for trusted networks only: ", c.server.coordinators[i]);

	log_init("grove-worker");
	/* Before any thread: they inherit this, and the loop reads both from a signalfd. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	(void)vec_kernels(); /* a set that cannot run here ends the process now and not at the first search */
	if (server_run(&c.server, &report) == STATUS_OK) return EXIT_SUCCESS;
	log_error("%s", report_text(&report));
	return EXIT_FAILURE;
}
