/* main.c - grove-worker: options, and nothing else. A flag wins over an environment variable, that over the configuration file, that
 * over the default. The file has the flags' names: data, coordinator, threads, insecure. Exit codes: 0 stopped cleanly, 1 failure, 2 usage. */
#include <argp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/config.h"
#include "common/log.h"
#include "common/net.h"
#include "common/open_files.h"
#include "common/vec.h"
#include "worker/pool.h"
#include "worker/server.h"

const char *argp_program_version = "grove-worker " GROVE_VERSION;

enum { EXIT_USAGE = 2, OPTION_INSECURE = 256, OPTION_CONFIG };

static const struct argp_option options[] = {
	{"data", 'd', "DIR", 0, "Folder of this worker's shards, made if missing (GROVE_WORKER_DATA)", 0},
	{"coordinator", 'c', "ENDPOINT", 0, "A coordinator to serve; may be given again (GROVE_WORKER_COORDINATOR, with commas between; default tcp://127.0.0.1:7601)", 0},
	{"threads", 't', "N", 0, "Search threads (GROVE_WORKER_THREADS; default: one for each core)", 0},
	{"config", OPTION_CONFIG, "FILE", 0, "Settings from a YAML file, names as the flags' (GROVE_WORKER_CONFIG)", 0},
	{"insecure", OPTION_INSECURE, NULL, 0, "Allow endpoints beyond this machine without keys: only on a network you trust (GROVE_INSECURE=1)", 0},
	{0},
};
static const char doc[] = "Holds shards of Grove indexes and searches them for its coordinators. Stop it with SIGTERM or Ctrl-C.\v"
			  "GROVE_LOG_LEVEL=debug|info|warn|error and GROVE_LOG_FORMAT=text|json govern the log on stderr, "
			  "GROVE_KERNELS=scalar|avx2|avx512|vnni|vpopcnt|neon the distance kernels. Exit codes: 0 stopped as asked, 1 failure, 2 usage.";

/* What was said by flags, and in the configuration file. */
struct command { struct server_options server; const char *threads, *config; bool insecure; };
struct file { char *data, *coordinator, *threads, *insecure; };

static error_t parse_option(int key, char *value, struct argp_state *state)
{
	struct command *c = state->input;
	struct server_options *s = &c->server;

	switch (key) {
	case 'd': s->data = value; return 0;
	case 'c':
		if (s->coordinator_count == COORDINATORS_MAX) argp_error(state, "more than %d coordinators", COORDINATORS_MAX);
		s->coordinators[s->coordinator_count++] = value;
		return 0;
	case 't': c->threads = value; return 0;
	case OPTION_CONFIG: c->config = value; return 0;
	case OPTION_INSECURE: c->insecure = true; return 0;
	case ARGP_KEY_ARG: argp_error(state, "unexpected argument '%s'", value); return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

/* The first that was given: flag, environment, file, default. */
static const char *choose(const char *flag, const char *variable, const char *file, const char *otherwise)
{
	const char *value = flag ? flag : getenv(variable);

	if (value && *value) return value;
	return file && *file ? file : otherwise;
}

static size_t cores(void)
{
	cpu_set_t set;
	int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

	return count < POOL_THREADS_MAX ? (size_t)count : POOL_THREADS_MAX;
}

static enum status set_threads(struct server_options *s, const char *text, struct report *report)
{
	char *end;

	s->threads = cores();
	if (!text) return STATUS_OK;
	s->threads = strtoul(text, &end, 10);
	if (*text >= '0' && *text <= '9' && !*end && s->threads >= 1 && s->threads <= POOL_THREADS_MAX) return STATUS_OK;
	return report_set(report, STATUS_USAGE, "threads is '%s', it can be a number from 1 to %d", text, POOL_THREADS_MAX);
}

/* "a,b c" into its words; *ret_copy keeps them. */
static enum status set_coordinators(struct server_options *s, const char *list, char **ret_copy, struct report *report)
{
	char *rest, *copy = strdup(list);

	if (!copy) return STATUS_NO_MEMORY;
	*ret_copy = copy;
	for (char *word = strtok_r(copy, ", ", &rest); word; word = strtok_r(NULL, ", ", &rest)) {
		if (s->coordinator_count == COORDINATORS_MAX) return report_set(report, STATUS_USAGE, "more than %d coordinators", COORDINATORS_MAX);
		s->coordinators[s->coordinator_count++] = word;
	}
	if (s->coordinator_count) return STATUS_OK;
	return report_set(report, STATUS_USAGE, "coordinator is '%s': name at least one endpoint", list);
}

static enum status complete(struct command *c, struct file *file, char **ret_copy, struct report *report)
{
	const struct config_setting known[] = {
		{"data", &file->data}, {"coordinator", &file->coordinator}, {"threads", &file->threads}, {"insecure", &file->insecure}};
	struct server_options *s = &c->server;
	const char *path = choose(c->config, "GROVE_WORKER_CONFIG", NULL, NULL);
	enum status status = path ? config_load(path, known, sizeof(known) / sizeof(known[0]), report) : STATUS_OK;

	if (status != STATUS_OK) return status;
	if (file->insecure && strcmp(file->insecure, "true") != 0 && strcmp(file->insecure, "false") != 0)
		return report_set(report, STATUS_USAGE, "%s: insecure is '%s', it can be true or false", path, file->insecure);
	c->insecure |= !strcmp(choose(NULL, "GROVE_INSECURE", "0", NULL), "1") || (file->insecure && !strcmp(file->insecure, "true"));
	s->data = choose(s->data, "GROVE_WORKER_DATA", file->data, NULL);
	if (!s->data) return report_set(report, STATUS_USAGE, "--data DIR is missing: name the folder for this worker's shards");
	status = set_threads(s, choose(c->threads, "GROVE_WORKER_THREADS", file->threads, NULL), report);
	if (status == STATUS_OK && s->coordinator_count == 0)
		status = set_coordinators(s, choose(NULL, "GROVE_WORKER_COORDINATOR", file->coordinator, "tcp://127.0.0.1:7601"), ret_copy, report);
	if (status != STATUS_OK) return status;
	for (size_t i = 0; i < s->coordinator_count; i++)
		if (!c->insecure && !net_is_local(s->coordinators[i]))
			return report_set(report, STATUS_USAGE, "the coordinator %s is beyond this machine and there are no keys: anyone on the way could read and "
				"change everything. Use a loopback address, or add --insecure on a network that you trust", s->coordinators[i]);
	return STATUS_OK;
}

static int serve(const struct server_options *options_)
{
	struct report report = {0};
	sigset_t set;

	log_init("grove-worker");
	umask(077);
	/* Before any thread: they inherit this, and the loop reads both from a signalfd. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file past the process's size limit is a failed write (EFBIG) of one shard, not the end of all */
	(void)open_files_raise();
	(void)vec_kernels(); /* a set that cannot run here ends the process now and not at the first search */
	enum status status = server_run(options_, &report);
	if (status == STATUS_OK) return EXIT_SUCCESS;
	report.status = status;
	fprintf(stderr, "grove-worker: %s\n", report_text(&report));
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {options, parse_option, NULL, doc, NULL, NULL, NULL};
	struct command c = {0};
	struct file file = {0};
	struct report report = {0};
	char *copy = NULL;
	int code = EXIT_USAGE;

	argp_err_exit_status = EXIT_USAGE;
	if (argp_parse(&argp, argc, argv, 0, NULL, &c) != 0) return EXIT_USAGE;
	enum status status = complete(&c, &file, &copy, &report);
	if (status == STATUS_OK) {
		code = serve(&c.server);
	} else {
		report.status = status;
		fprintf(stderr, "grove-worker: %s\n", report_text(&report));
	}
	free(copy);
	free(file.data);
	free(file.coordinator);
	free(file.threads);
	free(file.insecure);
	return code;
}
