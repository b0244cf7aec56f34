/* main.c - grove-coordinator: options, and nothing else. A flag wins over an environment variable, that over the
 * configuration file, that over the default. The file has the flags' names: data, listen, ipc, workers-listen, insecure. */
#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/config.h"
#include "common/log.h"
#include "common/net.h"
#include "common/open_files.h"
#include "coordinator/server.h"

enum { EXIT_USAGE = 2 };
enum { KEY_DATA = 'd', KEY_LISTEN = 'l', KEY_WORKERS = 'w', KEY_CONFIG = 'c', KEY_IPC = 256, KEY_INSECURE };

const char *argp_program_version = "grove-coordinator " GROVE_VERSION;

struct settings { struct server_options server; bool insecure; const char *config; };

/* What the configuration file said. */
struct file { char *data, *listen, *ipc, *workers_listen, *insecure; };

static const struct argp_option options[] = {
	{"data", KEY_DATA, "DIR", 0, "Data folder, made if missing (GROVE_COORDINATOR_DATA)", 0},
	{"listen", KEY_LISTEN, "ENDPOINT", 0, "Where clients connect (GROVE_COORDINATOR_LISTEN; default tcp://127.0.0.1:7600)", 0},
	{"ipc", KEY_IPC, "PATH", 0, "A local socket for clients as well (GROVE_COORDINATOR_IPC)", 0},
	{"workers-listen", KEY_WORKERS, "ENDPOINT", 0, "Where workers connect (GROVE_COORDINATOR_WORKERS_LISTEN; default tcp://127.0.0.1:7601)", 0},
	{"config", KEY_CONFIG, "FILE", 0, "Settings from a YAML file, names as the flags' (GROVE_COORDINATOR_CONFIG)", 0},
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
	case KEY_CONFIG: s->config = arg; return 0;
	case KEY_INSECURE: s->insecure = true; return 0;
	case ARGP_KEY_ARG: argp_error(state, "unexpected argument '%s'", arg); return EINVAL;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const char *from_environment(const char *name)
{
	const char *value = getenv(name);
	return value && *value ? value : NULL;
}

/* The first that was given: flag, environment, file, default. */
static const char *choose(const char *flag, const char *variable, const char *file, const char *otherwise)
{
	const char *value = flag ? flag : from_environment(variable);
	if (value) return value;
	return file && *file ? file : otherwise;
}

static enum status settings_complete(struct settings *s, struct file *file, struct report *report)
{
	const struct config_setting known[] = {{"data", &file->data}, {"listen", &file->listen}, {"ipc", &file->ipc},
		{"workers-listen", &file->workers_listen}, {"insecure", &file->insecure}};
	const char *path = choose(s->config, "GROVE_COORDINATOR_CONFIG", NULL, NULL);
	enum status status = path ? config_load(path, known, sizeof(known) / sizeof(known[0]), report) : STATUS_OK;
	if (status != STATUS_OK) return status;
	if (file->insecure && strcmp(file->insecure, "true") != 0 && strcmp(file->insecure, "false") != 0)
		return report_set(report, STATUS_USAGE, "%s: insecure is '%s', it can be true or false", path, file->insecure);
	s->server.data = choose(s->server.data, "GROVE_COORDINATOR_DATA", file->data, NULL);
	s->server.listen = choose(s->server.listen, "GROVE_COORDINATOR_LISTEN", file->listen, "tcp://127.0.0.1:7600");
	s->server.ipc = choose(s->server.ipc, "GROVE_COORDINATOR_IPC", file->ipc, NULL);
	s->server.workers_listen = choose(s->server.workers_listen, "GROVE_COORDINATOR_WORKERS_LISTEN", file->workers_listen, "tcp://127.0.0.1:7601");
	s->insecure = s->insecure || strcmp(choose(NULL, "GROVE_INSECURE", "0", NULL), "1") == 0 || (file->insecure && strcmp(file->insecure, "true") == 0);
	if (!s->server.data) return report_set(report, STATUS_USAGE, "--data DIR is missing: name the folder that keeps the cluster's map");
	return STATUS_OK;
}


static int endpoint_refused(const char *endpoint, const char *option)
{
	fprintf(stderr,
		"grove-coordinator: %s %s reaches beyond this machine and there are no keys: anyone who can connect could read and change\n"
		"everything. Use a loopback address, or add --insecure on a network that you trust.\n", option, endpoint);
	return EXIT_USAGE;
}

static int serve(const struct settings *settings)
{
	struct server *server = NULL;
	struct report report = {.status = STATUS_OK};
	log_init("grove-coordinator");
	umask(077); /* the ipc socket and the data are the owner's */
	(void)open_files_raise();
	enum status status = server_open(&settings->server, &server, &report);
	if (status == STATUS_OK) status = server_run(server, &report);
	server_close(&server);
	if (status == STATUS_OK) return EXIT_SUCCESS;
	report.status = status;
	fprintf(stderr, "grove-coordinator: %s\n", report_text(&report));
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	static const struct argp parser = {options, option_parse, NULL,
		"Runs the coordinator of a Grove cluster: the front door for clients, and the keeper of the map that says which worker holds "
		"which shard. Stop it with SIGTERM or Ctrl-C.\v"
		"Exit codes: 0 stopped as asked, 1 failure, 2 usage.", NULL, NULL, NULL};
	struct settings settings = {.insecure = false};
	struct file file = {NULL, NULL, NULL, NULL, NULL};
	struct report report = {.status = STATUS_OK};
	int code;
	argp_err_exit_status = EXIT_USAGE;
	if (argp_parse(&parser, argc, argv, 0, NULL, &settings) != 0) return EXIT_USAGE;
	if (settings_complete(&settings, &file, &report) != STATUS_OK) {
		fprintf(stderr, "grove-coordinator: %s\n", report_text(&report));
		code = EXIT_USAGE;
	} else if (!settings.insecure && !net_is_local(settings.server.listen)) {
		code = endpoint_refused(settings.server.listen, "--listen");
	} else if (!settings.insecure && !net_is_local(settings.server.workers_listen)) {
		code = endpoint_refused(settings.server.workers_listen, "--workers-listen");
	} else {
		code = serve(&settings);
	}
	free(file.data);
	free(file.listen);
	free(file.ipc);
	free(file.workers_listen);
	free(file.insecure);
	return code;
}
