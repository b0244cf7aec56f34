/* verb_recall.c - `grove recall`: exact answers first, then the same queries at growing efforts, each compared with the truth. */
#include <inttypes.h>
#include <stdlib.h>

#include "client/cli/output.h"
#include "client/cli/progress.h"
#include "client/cli/query_run.h"
#include "client/cli/query_set.h"
#include "client/cli/recall.h"
#include "client/cli/verbs.h"
#include "common/clock.h"
#include "common/limits.h"

enum { RECALL_TIMEOUT_MS = 120000 }; /* exact search of a batch may take its time */

struct measure {
	struct session session;
	const char *index;
	grove_index info;
	struct query_set queries;
	uint32_t k;
	struct truth *truth; /* one for each query */
	/* the run under way */
	bool exact;
	struct recall recall;
	uint64_t candidates, answered;
	int exit_code;
	struct progress bar;
};

struct effort_row {
	uint32_t effort;
	double recall, qps, candidates;
};

/* One batch's answers: the truth is kept, or they are compared with it. A measurement on part of the index would be none. */
static bool measure_answer(void *context, uint32_t first, uint32_t count, int code, const char *message, const grove_reply *reply)
{
	struct measure *m = context;
	if (code != GROVE_OK) {
		progress_end(&m->bar);
		output_message("%s", message);
		m->exit_code = exit_code_of(code);
		return false;
	}
	const grove_hits *hits = &reply->hits;
	for (uint32_t q = 0; q < count; q++) {
		uint64_t begin = hits->offsets[q], n = hits->offsets[q + 1] - begin;
		m->candidates += hits->coverage[q].candidates;
		m->info.items = hits->coverage[q].items_total; /* as searched; describe may lag behind a fresh import */
		if (m->exact)
			m->truth[first + q] =
				(struct truth){.count = (uint32_t)n, .last = n ? hits->distances[begin + n - 1] : 0};
		else
			recall_add(&m->recall, &m->truth[first + q], hits->distances + begin, n, m->info.metric == GROVE_DOT);
	}
	m->answered += count;
	progress_update(&m->bar, m->answered, "queries");
	return true;
}

/* All queries once; effort 0: exact. */
static bool measure_run(struct measure *m, uint32_t effort, struct effort_row *ret)
{
	char label[64];
	struct query_run run = {.session = &m->session, .index = m->index, .answer = measure_answer, .context = m};
	run.args = (grove_search_args){.queries = m->queries.count,
		.dim = m->queries.dim,
		.dtype = m->queries.dtype,
		.vectors = m->queries.rows,
		.k = m->k,
		.mode = effort ? GROVE_FOREST : GROVE_EXACT,
		.search_k = effort};
	m->exact = effort == 0;
	m->recall = (struct recall){0, 0};
	m->candidates = m->answered = 0;
	if (effort)
		snprintf(label, sizeof(label), "search_k %" PRIu32, effort);
	else
		snprintf(label, sizeof(label), "exact");
	progress_begin(&m->bar, label, m->queries.count);
	uint64_t started = clock_us();
	bool whole = query_run(&run);
	double seconds = (double)(clock_us() - started) / 1e6;
	progress_end(&m->bar);
	if (!whole) {
		if (m->exit_code == EXIT_OK) m->exit_code = EXIT_FAILED;
		return false;
	}
	*ret = (struct effort_row){.effort = effort,
		.recall = m->exact ? 1 : recall_ratio(&m->recall),
		.qps = m->queries.count / seconds,
		.candidates = (double)m->candidates / m->queries.count};
	return true;
}

static void rows_json(const struct measure *m, const struct effort_row *exact, const struct effort_row *rows, uint32_t n)
{
	fputs("{\"index\":", stdout);
	json_string(stdout, m->index);
	fprintf(stdout, ",\"k\":%" PRIu32 ",\"queries\":%" PRIu32 ",\"items\":%" PRIu64 ",\"exact\":{\"qps\":", m->k,
		m->queries.count, m->info.items);
	json_float(stdout, exact->qps);
	fputs("},\"efforts\":[", stdout);
	for (uint32_t i = 0; i < n; i++) {
		fprintf(stdout, "%s{\"effort\":%" PRIu32 ",\"recall\":", i ? "," : "", rows[i].effort);
		json_float(stdout, rows[i].recall);
		fputs(",\"predicted\":null,\"qps\":", stdout);
		json_float(stdout, rows[i].qps);
		fputs(",\"candidates\":", stdout);
		json_float(stdout, rows[i].candidates);
		fputc('}', stdout);
	}
	fputs("]}\n", stdout);
}

static void rows_print(const struct measure *m, const struct effort_row *exact, const struct effort_row *rows, uint32_t n)
{
	char recall_name[32], items[32], queries[32];
	const char *columns[] = {">search_k", recall_name, ">queries/s", ">candidates"};
	snprintf(recall_name, sizeof(recall_name), ">recall@%" PRIu32, m->k);
	struct table *t = table_new(columns, 4);
	for (uint32_t i = 0; i <= n; i++) {
		const struct effort_row *row = i < n ? &rows[i] : exact;
		char effort[32] = "exact", recall[32], qps[32], candidates[32];
		if (i < n) count_text(row->effort, effort, sizeof(effort));
		snprintf(recall, sizeof(recall), "%.4f", row->recall);
		count_text((uint64_t)(row->qps + 0.5), qps, sizeof(qps));
		count_text((uint64_t)(row->candidates + 0.5), candidates, sizeof(candidates));
		table_row(t, (const char *const[]){effort, recall, qps, candidates});
	}
	fprintf(stdout, "%s: %s queries against %s items, %s, %" PRIu32 " shards\n", m->index,
		count_text(m->queries.count, queries, sizeof(queries)), count_text(m->info.items, items, sizeof(items)),
		grove_metric_name(m->info.metric), m->info.shards);
	table_print(t, stdout);
	table_free(&t);
}

/* n 0: the default efforts. */
static int recall_run(struct measure *m, uint32_t *efforts, uint32_t n)
{
	struct effort_row exact, rows[EFFORTS_MAX];
	m->truth = calloc(m->queries.count, sizeof(*m->truth));
	if (!m->truth) {
		output_message("out of memory for %" PRIu32 " queries", m->queries.count);
		return EXIT_FAILED;
	}
	if (!measure_run(m, 0, &exact)) return m->exit_code;
	if (n == 0) n = efforts_default(m->k, m->info.trees, m->info.items, efforts);
	for (uint32_t i = 0; i < n; i++) {
		if (!measure_run(m, efforts[i], &rows[i])) return m->exit_code;
	}
	if (m->session.json)
		rows_json(m, &exact, rows, n);
	else
		rows_print(m, &exact, rows, n);
	return EXIT_OK;
}

int verb_recall(const struct arguments *a)
{
	struct measure m = {.index = a->positional[0], .k = 10};
	uint32_t efforts[EFFORTS_MAX], n = 0;
	const char *text = arguments_text(a, "efforts");
	if (!arguments_u32(a, "k", 1, QUERY_HITS_MAX, &m.k)) return EXIT_USAGE;
	if (!arguments_has(a, "queries")) return usage_error(a->command, "--queries is missing: a file of vectors");
	if (text && (n = efforts_parse(text, efforts)) == 0)
		return usage_error(a->command,
			"--efforts is a list of at most %d numbers from 1 to %d, like 100,200,400: not '%s'", EFFORTS_MAX,
			SEARCH_K_MAX, text);
	int exit_code = session_open(&m.session, a, RECALL_TIMEOUT_MS);
	if (exit_code == EXIT_OK) exit_code = session_index(&m.session, m.index, &m.info);
	if (exit_code == EXIT_OK) exit_code = query_set_load(a, m.info.metric, m.info.dim, &m.queries);
	if (exit_code != EXIT_OK) goto out;
	exit_code = recall_run(&m, efforts, n);
out:
	free(m.truth);
	query_set_release(&m.queries);
	session_close(&m.session);
	return exit_code;
}
