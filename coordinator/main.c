/* main.c - grove-coordinator: options, and nothing else. Flags win over environment variables, those over the defaults. */
#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/log.h"
#include "common/net.h"
#include "coordinator/server.h"

enum { EXIT_USAGE = 2 };
enum { KEY_DATA = 'd', KEY_LISTEN = 'l', KEY_WORKERS = 'w', KEY_IPC = 256, KEY_INSECURE };

const char *argp_program_version = "grove-coordinator " GROVE_VERSION;

struct settings { struct server_options server; bool insecure; };

static const struct argp_option options[] = {
	{"data", KEY_DATA, "DIR", 0, "Data folder, made if missing (GROVE_COORDINATOR_DATA)", 0},
	{"listen", KEY_LISTEN, "ENDPOINT", 0, "Where clients connect (GROVE_COORDINATOR_LISTEN; default tcp://127.0.0.1:7600)", 0},
	{"ipc", KEY_IPC, "PATH", 0, "A local socket for clients as well (GROVE_COORDINATOR_IPC)", 0},
	{"workers-listen", KEY_WORKERS, "ENDPOINT", 0, "Where workers connect (GROVE_COORDINATOR_WORKERS_LISTEN; default tcp://127.0.0.1:7601)", 0},
	{"insecure", KEY_INSECURE, NULL, 0, "Allow endpoints beyond this machine without keys: only on a network you trust (GROVE_INSECURE=1)", 0},
	{0},
};

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
	struct settings *s = state->input;
	switch (key) {
	case KEY_DATA: s->server.data = arg; return 0;
	case KEY_LISTEN: s->server.listen = arg; return 0;
	case KEY_WORKERS: s->server.workers_listen = arg; return 0;
	case KEY_IPC: s->server.ipc = arg; return 0;
	case KEY_INSECURE: s->insecure = true; return 0;
	case ARGP_KEY_ARG: argp_error(state, "unexpected argument '%s'", arg); return EINVAL;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const char *from_environment(const char *name, const char *otherwise)
{
	const char *value = getenv(name);
	return value && *value ? value : otherwise;
}

static int endpoint_refused(const char *endpoint, const char *option)
{
	fprintf(stderr,
		"grove-coordinator: %s %s reaches beyond this machine and there are no keys: anyone who can connect could read and change\n"
		"everything. Use a loopback address, or add --insecure on a network that you trust.\n", option, endpoint);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	static const struct argp parser = {options, option_parse, NULL,
		"Runs the coordinator of a Grove cluster: the front door for clients, and the keeper of the map that says which worker holds "
		"which shard. Stop it with SIGTERM or Ctrl-C.\v"
		"Exit codes: 0 stopped as asked, 1 failure, 2 usage.", NULL, NULL, NULL};
	struct settings settings = {.server = {.data = from_environment("GROVE_COORDINATOR_DATA", NULL),
					     .listen = from_environment("GROVE_COORDINATOR_LISTEN", "tcp://127.0.0.1:7600"),
					     .ipc = from_environment("GROVE_COORDINATOR_IPC", NULL),
					     .workers_listen = from_environment("GROVE_COORDINATOR_WORKERS_LISTEN", "tcp://127.0.0.1:7601")},
		.insecure = strcmp(from_environment("GROVE_INSECURE", "0"), "1") == 0};
	struct server *server = NULL;
	struct report report = {.status = STATUS_OK};
	argp_err_exit_status = EXIT_USAGE;
	if (argp_parse(&parser, argc, argv, 0, NULL, &settings) != 0) return EXIT_USAGE;
	if (!settings.server.data) {
		fprintf(stderr, "grove-coordinator: --data DIR is missing: name the folder that keeps the cluster's map\n");
		return EXIT_USAGE;
	}
	if (!settings.insecure && !net_is_local(settings.server.listen)) return endpoint_refused(settings.server.listen, "--listen");
	if (!settings.insecure && !net_is_local(settings.server.workers_listen)) return endpoint_refused(settings.server.workers_listen, "--workers-listen");
	log_init("grove-coordinator");
	umask(077); /* the ipc socket and the data are the owner's */
	enum status status = server_open(&settings.server, &server, &report);
	if (status == STATUS_OK) status = server_run(server, &report);
	server_close(&server);
	if (status == STATUS_OK) return EXIT_SUCCESS;
	report.status = status;
	fprintf(stderr, "grove-coordinator: %s\n", report_text(&report));
	return EXIT_FAILURE;
}
