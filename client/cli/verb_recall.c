/* verb_recall.c - `grove recall`: exact answers first (or the neighbours that the file of queries gives, with --truth), then the same queries at
 * growing efforts, each compared with the truth. In graph mode an
 * effort is a wanted recall, which each segment turns into work by what it measured at its build; so the table shows what that is worth: what
 * was wanted, what the segments predicted for the work they chose, and what was measured, side by side. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "client/cli/effort.h"
#include "client/cli/output.h"
#include "client/cli/progress.h"
#include "client/cli/query_run.h"
#include "client/cli/query_set.h"
#include "client/cli/recall.h"
#include "client/cli/truth_file.h"
#include "client/cli/verbs.h"
#include "common/clock.h"
#include "common/limits.h"

enum { RECALL_TIMEOUT_MS = 120000 }; /* exact search of a batch may take its time */

struct measure {
	struct session session;
	const char *index;
	grove_index info;
	struct query_set queries;
	uint32_t k, mode;
	struct truth *truth; /* one for each query; NULL: */
	struct truth_file given;
	/* the run under way */
	bool exact;
	struct recall recall;
	uint64_t candidates, answered;
	double predicted; /* summed over the queries */
	bool unpredicted; /* of some nothing was */
	int exit_code;
	struct progress bar;
};

struct effort_row {
	struct effort effort;
	double recall, predicted, qps, candidates; /* predicted 0: nothing was */
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
		else if (!m->truth)
			recall_add_ids(&m->recall, m->given.ids + (size_t)(first + q) * m->given.columns, m->given.counts[first + q], m->k, hits->ids + begin, n);
		else
			recall_add(&m->recall, &m->truth[first + q], hits->distances + begin, n, m->info.metric == GROVE_DOT);
	}
	m->answered += count;
	m->predicted += count * (double)hits->predicted;
	m->unpredicted = m->unpredicted || !(hits->predicted > 0);
	progress_update(&m->bar, m->answered, "queries");
	return true;
}

/* All queries once; no effort: exact. */
static bool measure_run(struct measure *m, const struct effort *effort, struct effort_row *ret)
{
	char label[64];
	struct query_run run = {.session = &m->session, .index = m->index, .answer = measure_answer, .context = m};
	run.args = (grove_search_args){.queries = m->queries.count,
		.dim = m->queries.dim,
		.dtype = m->queries.dtype,
		.vectors = m->queries.rows,
		.k = m->k,
		.mode = effort ? m->mode : GROVE_EXACT,
		.search_k = effort ? effort->search_k : 0,
		.recall = effort ? (float)effort->recall : 0};
	m->exact = !effort;
	m->recall = (struct recall){0, 0};
	m->candidates = m->answered = 0;
	m->predicted = 0;
	m->unpredicted = false;
	progress_begin(&m->bar, effort_text(run.args.mode, effort ? effort : &(struct effort){0, 0}, m->k, m->info.trees, label, sizeof(label)), m->queries.count);
	uint64_t started = clock_us();
	bool whole = query_run(&run);
	double seconds = (double)(clock_us() - started) / 1e6;
	progress_end(&m->bar);
	if (!whole) {
		if (m->exit_code == EXIT_OK) m->exit_code = EXIT_FAILED;
		return false;
	}
	*ret = (struct effort_row){.effort = effort ? *effort : (struct effort){0, 0},
		.recall = m->exact ? 1 : recall_ratio(&m->recall),
		.predicted = m->unpredicted ? 0 : m->predicted / m->queries.count,
		.qps = m->queries.count / seconds,
		.candidates = (double)m->candidates / m->queries.count};
	return true;
}

static void rows_json(const struct measure *m, const struct effort_row *exact, const struct effort_row *rows, uint32_t n)
{
	fputs("{\"index\":", stdout);
	json_string(stdout, m->index);
	fprintf(stdout, ",\"k\":%" PRIu32 ",\"queries\":%" PRIu32 ",\"items\":%" PRIu64 ",\"mode\":\"%s\",\"exact\":", m->k, m->queries.count,
		m->info.items, effort_mode_name(m->mode));
	if (m->truth) {
		fputs("{\"qps\":", stdout);
		json_float(stdout, exact->qps);
		fputc('}', stdout);
	} else {
		fputs("null", stdout);
	}
	fputs(",\"efforts\":[", stdout);
	for (uint32_t i = 0; i < n; i++) {
		fprintf(stdout, "%s{\"effort\":", i ? "," : "");
		json_float(stdout, rows[i].effort.recall > 0 ? rows[i].effort.recall : rows[i].effort.search_k);
		fputs(",\"recall\":", stdout);
		json_float(stdout, rows[i].recall);
		fputs(",\"predicted\":", stdout);
		json_float(stdout, rows[i].predicted > 0 ? rows[i].predicted : NAN); /* null */
		fputs(",\"qps\":", stdout);
		json_float(stdout, rows[i].qps);
		fputs(",\"candidates\":", stdout);
		json_float(stdout, rows[i].candidates);
		fputc('}', stdout);
	}
	fputs("]}\n", stdout);
}

static void rows_print(const struct measure *m, const struct effort_row *exact, const struct effort_row *rows, uint32_t n)
{
	bool wanted = rows[0].effort.recall > 0;
	char recall_name[32], items[32], queries[32];
	const char *columns[] = {wanted ? ">wanted" : ">search_k", ">predicted", recall_name, ">candidates", ">queries/s"};
	snprintf(recall_name, sizeof(recall_name), ">recall@%" PRIu32, m->k);
	struct table *t = table_new(columns, 5);
	for (uint32_t i = 0; i < n + (m->truth != NULL); i++) {
		const struct effort_row *row = i < n ? &rows[i] : exact;
		char effort[32] = "exact", predicted[32] = "-", recall[32], qps[32], candidates[32];
		if (i < n && wanted) snprintf(effort, sizeof(effort), "%.7g", row->effort.recall);
		if (i < n && !wanted) count_text(row->effort.search_k, effort, sizeof(effort));
		if (row->predicted > 0) snprintf(predicted, sizeof(predicted), "%.4f", row->predicted);
		snprintf(recall, sizeof(recall), "%.4f", row->recall);
		count_text((uint64_t)(row->qps + 0.5), qps, sizeof(qps));
		count_text((uint64_t)(row->candidates + 0.5), candidates, sizeof(candidates));
		table_row(t, (const char *const[]){effort, predicted, recall, candidates, qps});
	}
	fprintf(stdout, "%s: %s queries against %s items, %s, %" PRIu32 " shards, mode %s\n", m->index,
		count_text(m->queries.count, queries, sizeof(queries)), count_text(m->info.items, items, sizeof(items)),
		grove_metric_name(m->info.metric), m->info.shards, effort_mode_name(m->mode));
	table_print(t, stdout);
	table_free(&t);
}

/* n 0: the default efforts. */
static int recall_run(struct measure *m, struct effort *efforts, uint32_t n)
{
	struct effort_row exact = {.qps = 0}, rows[EFFORTS_MAX];
	double found = 0;
	if (!m->given.ids) {
		m->truth = calloc(m->queries.count, sizeof(*m->truth));
		if (!m->truth) {
			output_message("out of memory for %" PRIu32 " queries", m->queries.count);
			return EXIT_FAILED;
		}
		if (!measure_run(m, NULL, &exact)) return m->exit_code;
	}
	if (n == 0) n = efforts_default(m->mode, m->k, m->info.trees, m->info.items, efforts);
	for (uint32_t i = 0; i < n; i++) {
		if (!measure_run(m, &efforts[i], &rows[i])) return m->exit_code;
		found += rows[i].recall;
	}
	if (m->given.ids && !(found > 0))
		output_message("no item that was found is among the neighbours that the file gives: they are numbers of its rows, so the items' ids "
			       "have to be these, as `grove import` of the same file makes them");
	if (m->session.json)
		rows_json(m, &exact, rows, n);
	else
		rows_print(m, &exact, rows, n);
	return EXIT_OK;
}

/* The efforts to try; *ret_n 0: the default ones. */
static int recall_parse(const struct arguments *a, struct measure *m, struct effort *efforts, uint32_t *ret_n)
{
	const char *text = arguments_text(a, "efforts");
	grove_search_args named = {0};
	struct effort one;
	uint32_t n = 0;
	if (!arguments_u32(a, "k", 1, QUERY_HITS_MAX, &m->k)) return EXIT_USAGE;
	if (!arguments_has(a, "queries")) return usage_error(a->command, "--queries is missing: a file of vectors");
	int exit_code = effort_options(a, &named, &one);
	if (exit_code != EXIT_OK) return exit_code;
	if (named.mode == GROVE_EXACT) return usage_error(a->command, "answers are compared with those of mode exact: --mode is graph or forest");
	if (one.recall > 0 || one.search_k) efforts[n++] = one;
	if (n && text) return usage_error(a->command, "--efforts is a list of what --recall or --search-k name one of: give one of the three");
	if (text && (n = efforts_parse(text, efforts)) == 0)
		return usage_error(a->command,
			"--efforts is a list of at most %d recalls above 0 and below 1, like .9,.99, or of budgets from 1 to %d, like 100,200,400: not '%s'",
			EFFORTS_MAX, SEARCH_K_MAX, text);
	if (n && named.mode == GROVE_FOREST && efforts[0].recall > 0)
		return usage_error(a->command, "--mode forest takes budgets, like --efforts 100,200,400");
	m->mode = named.mode;
	*ret_n = n;
	return EXIT_OK;
}

/* The truth that the file gives, if it is to be taken. */
static int recall_truth(const struct arguments *a, struct measure *m)
{
	struct report report = {.status = STATUS_OK};
	if (!arguments_has(a, "truth")) return EXIT_OK;
	enum status status = truth_file_load(arguments_text(a, "queries"), arguments_text(a, "truth"), m->k, m->queries.count, !arguments_has(a, "limit"),
		&m->given, &report);
	if (status == STATUS_OK) return EXIT_OK;
	output_message("%s", report_text(&report));
	return status == STATUS_LIMIT ? EXIT_USAGE : EXIT_FAILED;
}

int verb_recall(const struct arguments *a)
{
	struct measure m = {.index = a->positional[0], .k = 10};
	struct effort efforts[EFFORTS_MAX];
	uint32_t n = 0;
	int exit_code = recall_parse(a, &m, efforts, &n);
	if (exit_code != EXIT_OK) return exit_code;
	exit_code = session_open(&m.session, a, RECALL_TIMEOUT_MS);
	if (exit_code == EXIT_OK) exit_code = session_index(&m.session, m.index, &m.info);
	if (exit_code == EXIT_OK) exit_code = query_set_load(a, m.info.metric, m.info.dim, &m.queries);
	if (exit_code == EXIT_OK) exit_code = recall_truth(a, &m);
	if (exit_code != EXIT_OK) goto out;
	exit_code = recall_run(&m, efforts, n);
out:
	free(m.truth);
	truth_file_release(&m.given);
	query_set_release(&m.queries);
	session_close(&m.session);
	return exit_code;
}
