/* verb_index.c - the verbs on whole indexes: create, build, list, describe, drop; and status. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/build_watch.h"
#include "client/cli/cluster_view.h"
#include "client/cli/output.h"
#include "client/cli/session.h"
#include "client/cli/verbs.h"
#include "common/clock.h"
#include "common/limits.h"

static void index_show(const struct session *s, const grove_reply *reply)
{
	for (uint32_t i = 0; i < reply->index_count; i++) {
		if (!s->json) continue;
		index_json(stdout, &reply->indexes[i], reply->shards, reply->shard_count);
		fputc('\n', stdout);
	}
	if (!s->json && reply->index_count) indexes_print(stdout, reply->indexes, reply->index_count);
}

int verb_create(const struct arguments *a)
{
	grove_create_args args = {.name = a->positional[0]};
	struct session s = {.client = NULL};
	grove_reply *reply = NULL;
	const char *metric = arguments_text(a, "metric");
	if (!arguments_u32(a, "dim", 1, DIM_MAX, &args.dim) || !arguments_u32(a, "shards", 1, SHARDS_MAX, &args.shards) ||
		!arguments_u32(a, "trees", 1, TREES_MAX, &args.trees) || !arguments_u64(a, "seed", 0, UINT64_MAX, &args.seed))
		return EXIT_USAGE;
	if (!args.dim) return usage_error(a->command, "--dim is missing: how many numbers a vector has");
	if (!metric) return usage_error(a->command, "--metric is missing: angular, euclidean, manhattan, hamming or dot");
	if (grove_metric_by_name(metric, &args.metric) != GROVE_OK)
		return usage_error(a->command, "there is no metric '%s': angular, euclidean, manhattan, hamming or dot", metric);
	int exit_code = session_open(&s, a, GROVE_DEFAULT_TIMEOUT_MS);
	if (exit_code != EXIT_OK) goto out;
	int code = grove_create(s.client, &args, &reply);
	if (code != GROVE_OK)
		exit_code = session_fail(&s, code);
	else
		index_show(&s, reply);
out:
	grove_reply_free(&reply);
	session_close(&s);
	return exit_code;
}

int verb_build(const struct arguments *a)
{
	uint32_t trees = 0;
	struct session s = {.client = NULL};
	grove_reply *reply = NULL;
	if (!arguments_u32(a, "trees", 1, TREES_MAX, &trees)) return EXIT_USAGE;
	int exit_code = session_open(&s, a, DEADLINE_MAX_MS);
	if (exit_code != EXIT_OK) goto out;
	uint64_t started = clock_us();
	int code = build_run(&s, a->positional[0], trees, &reply);
	double seconds = (double)(clock_us() - started) / 1e6;
	if (code != GROVE_OK) {
		exit_code = session_fail(&s, code);
	} else {
		index_show(&s, reply);
		if (!s.json) output_message("built in %.1f s", seconds);
	}
out:
	grove_reply_free(&reply);
	session_close(&s);
	return exit_code;
}

int verb_list(const struct arguments *a)
{
	struct session s = {.client = NULL};
	grove_reply *reply = NULL;
	int exit_code = session_open(&s, a, GROVE_DEFAULT_TIMEOUT_MS);
	if (exit_code != EXIT_OK) goto out;
	int code = grove_list(s.client, &reply);
	if (code != GROVE_OK)
		exit_code = session_fail(&s, code);
	else if (reply->index_count == 0 && !s.json)
		output_message("no index yet: `grove create NAME --dim D --metric M` makes one");
	else
		index_show(&s, reply);
out:
	grove_reply_free(&reply);
	session_close(&s);
	return exit_code;
}

int verb_describe(const struct arguments *a)
{
	struct session s = {.client = NULL};
	grove_reply *reply = NULL;
	int exit_code = session_open(&s, a, GROVE_DEFAULT_TIMEOUT_MS);
	if (exit_code != EXIT_OK) goto out;
	int code = grove_describe(s.client, a->positional[0], &reply);
	if (code != GROVE_OK) {
		exit_code = session_fail(&s, code);
		goto out;
	}
	index_show(&s, reply);
	if (!s.json) {
		fputc('\n', stdout);
		shards_print(stdout, reply->shards, reply->shard_count);
	}
out:
	grove_reply_free(&reply);
	session_close(&s);
	return exit_code;
}

/* True if the user says yes, or nobody can be asked. */
static bool drop_confirmed(const struct arguments *a)
{
	char line[16];
	if (arguments_has(a, "yes") || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) return true;
	fprintf(stderr, "Drop the index '%s' and all its items? This cannot be undone. [y/N] ", a->positional[0]);
	return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

int verb_drop(const struct arguments *a)
{
	struct session s = {.client = NULL};
	if (!drop_confirmed(a)) {
		output_message("nothing was dropped");
		return EXIT_FAILED;
	}
	int exit_code = session_open(&s, a, GROVE_DEFAULT_TIMEOUT_MS);
	if (exit_code != EXIT_OK) goto out;
	int code = grove_drop(s.client, a->positional[0], NULL);
	if (code != GROVE_OK) {
		exit_code = session_fail(&s, code);
	} else if (s.json) {
		fputs("{\"dropped\":", stdout);
		json_string(stdout, a->positional[0]);
		fputs("}\n", stdout);
	} else {
		output_message("dropped '%s'", a->positional[0]);
	}
out:
	session_close(&s);
	return exit_code;
}

static void status_json(const grove_reply *reply)
{
	fputs("{\"workers\":[", stdout);
	for (uint32_t i = 0; i < reply->worker_count; i++) {
		if (i) fputc(',', stdout);
		worker_json(stdout, &reply->workers[i]);
	}
	fputs("],\"indexes\":[", stdout);
	for (uint32_t i = 0; i < reply->index_count; i++) {
		if (i) fputc(',', stdout);
		index_json(stdout, &reply->indexes[i], reply->shards, reply->shard_count);
	}
	fputs("]}\n", stdout);
}

static void status_print(const grove_reply *reply)
{
	if (reply->worker_count == 0)
		output_message("no worker has announced itself: start one with `grove-worker --data DIR --coordinator ENDPOINT`");
	else
		workers_print(stdout, reply->workers, reply->worker_count);
	if (reply->index_count == 0) return;
	fputc('\n', stdout);
	indexes_print(stdout, reply->indexes, reply->index_count);
}

int verb_status(const struct arguments *a)
{
	struct session s = {.client = NULL};
	grove_reply *reply = NULL;
	int exit_code = session_open(&s, a, GROVE_DEFAULT_TIMEOUT_MS);
	if (exit_code != EXIT_OK) goto out;
	int code = grove_status(s.client, &reply);
	if (code != GROVE_OK)
		exit_code = session_fail(&s, code);
	else if (s.json)
		status_json(reply);
	else
		status_print(reply);
out:
	grove_reply_free(&reply);
	session_close(&s);
	return exit_code;
}
