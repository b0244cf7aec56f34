/* verb_search.c - `grove search`: one query or a file of them; JSON lines or tables; a contact sheet if asked for. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/effort.h"
#include "client/cli/output.h"
#include "client/cli/query_run.h"
#include "client/cli/query_set.h"
#include "client/cli/search_sheet.h"
#include "client/cli/search_view.h"
#include "client/cli/verbs.h"
#include "common/limits.h"

enum { QUERIES_TIMEOUT_MS = 60000 }; /* for a file of queries, where batches wait for each other */

struct search {
	struct session session;
	const char *index;
	struct query_set queries;
	grove_search_args args;
	struct effort effort;
	uint32_t trees;
	bool with_payload, explain;
	struct search_sheet *sheet; /* NULL: none wanted */
	uint32_t incomplete;
	int exit_code;
};

/* What a query cost, beside its answer: on stderr, so that stdout stays data. */
static void explain(const struct search *s, const grove_hits *hits, uint32_t q, const char *title)
{
	const grove_coverage *c = &hits->coverage[q];
	char effort[64], candidates[32], items[32], predicted[32] = "";
	if (hits->predicted > 0 && s->args.mode != GROVE_EXACT) snprintf(predicted, sizeof(predicted), " (predicted: %.4g)", (double)hits->predicted);
	output_message("%s: %s%s; %s of %s items scored, %" PRIu32 " of %" PRIu32 " shards", title,
		effort_text(s->args.mode, &s->effort, s->args.k, s->trees, effort, sizeof(effort)), predicted,
		count_text(c->candidates, candidates, sizeof(candidates)), count_text(c->items_searched, items, sizeof(items)), c->answered, c->shards);
}

static bool search_answer(void *context, uint32_t first, uint32_t count, int code, const char *message, const grove_reply *reply)
{
	struct search *s = context;
	if ((code != GROVE_OK && code != GROVE_INCOMPLETE) || !reply || reply->hits.queries != count) {
		output_message("%s", *message ? message : grove_code_text(code));
		s->exit_code = code == GROVE_OK ? EXIT_FAILED : exit_code_of(code);
		return false;
	}
	if (code == GROVE_INCOMPLETE && s->exit_code == EXIT_OK) output_message("%s", message);
	for (uint32_t q = 0; q < count; q++) {
		char title[128];
		query_set_title(&s->queries, first + q, title, sizeof(title));
		if (s->explain) explain(s, &reply->hits, q, title);
		enum status status = s->session.json ? hits_json(stdout, &reply->hits, q, first + q, s->with_payload)
						     : hits_print(stdout, &reply->hits, q, title);
		if (status == STATUS_OK && s->sheet) status = search_sheet_add(s->sheet, &reply->hits, q);
		if (!s->session.json && first + q + 1 < s->queries.count) fputc('\n', stdout);
		if (status != STATUS_OK) {
			output_message("the answer cannot be shown: %s", status_text(status));
			s->exit_code = EXIT_FAILED;
			return false;
		}
		s->incomplete += !hits_complete(&reply->hits, q);
	}
	if (s->incomplete) s->exit_code = EXIT_PARTIAL;
	return true;
}

/* The arguments that need no server. */
static int search_parse(const struct arguments *a, struct search *s)
{
	float min_coverage = 1;
	s->args.k = 10;
	if (!arguments_u32(a, "k", 1, QUERY_HITS_MAX, &s->args.k) ||
		!arguments_float(a, "min-coverage", 0, 1, &min_coverage))
		return EXIT_USAGE;
	int exit_code = effort_options(a, &s->args, &s->effort);
	if (exit_code != EXIT_OK) return exit_code;
	if (arguments_has(a, "id") + arguments_has(a, "vector") + arguments_has(a, "queries") != 1)
		return usage_error(a->command, "a search needs one of --id, --vector and --queries");
	if (arguments_has(a, "sheet") != arguments_has(a, "shape"))
		return usage_error(a->command, "--sheet and --shape go together: --sheet out.png --shape 28x28");
	s->args.min_coverage = min_coverage > 0 ? min_coverage : -1;
	s->with_payload = arguments_has(a, "with-payload");
	s->explain = arguments_has(a, "explain");
	return EXIT_OK;
}

static int search_run(struct search *s)
{
	struct query_run run = {.session = &s->session, .index = s->index, .answer = search_answer, .context = s};
	s->args.queries = s->queries.count;
	s->args.dim = s->queries.dim;
	s->args.dtype = s->queries.dtype;
	s->args.ids = s->queries.ids;
	s->args.vectors = s->queries.rows;
	s->args.with_payload = s->with_payload || !s->session.json; /* people are shown labels where there are some */
	run.args = s->args;
	if (!query_run(&run) && s->exit_code == EXIT_OK) s->exit_code = EXIT_FAILED;
	return s->exit_code;
}

int verb_search(const struct arguments *a)
{
	struct search s = {.index = a->positional[0]};
	grove_index info;
	int exit_code = search_parse(a, &s);
	if (exit_code != EXIT_OK) return exit_code;
	exit_code = session_open(&s.session, a, arguments_has(a, "queries") ? QUERIES_TIMEOUT_MS : GROVE_DEFAULT_TIMEOUT_MS);
	if (exit_code == EXIT_OK) exit_code = session_index(&s.session, s.index, &info);
	if (exit_code == EXIT_OK) exit_code = query_set_load(a, info.metric, info.dim, &s.queries);
	if (exit_code == EXIT_OK && arguments_has(a, "sheet"))
		exit_code = search_sheet_open(a, &s.session, &info, &s.queries, s.args.k, &s.sheet);
	if (exit_code != EXIT_OK) goto out;
	s.trees = info.trees;
	exit_code = search_run(&s);
	if (s.sheet && (exit_code == EXIT_OK || exit_code == EXIT_PARTIAL)) {
		int written = search_sheet_write(s.sheet);
		if (written != EXIT_OK) exit_code = written;
	}
out:
	search_sheet_free(&s.sheet);
	query_set_release(&s.queries);
	session_close(&s.session);
	return exit_code;
}
