/* effort.c - see effort.h. */
#include "client/cli/effort.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/limits.h"
#include "proto/message.h"

static const char *const mode_texts[] = {[GROVE_GRAPH] = "graph", [GROVE_EXACT] = "exact", [GROVE_FOREST] = "forest"};
enum { MODES = sizeof(mode_texts) / sizeof(mode_texts[0]) };

const char *effort_mode_name(uint32_t mode)
{
	return mode < MODES ? mode_texts[mode] : "unknown";
}

static bool mode_by_name(const char *name, uint32_t *ret)
{
	for (uint32_t i = 0; i < MODES; i++) {
		if (strcmp(name, mode_texts[i]) != 0) continue;
		*ret = i;
		return true;
	}
	return false;
}

/* ".95", "0.95" or "1": digits and at most one point, so that what is measured and printed is what was typed. Returns how many bytes, 0: no
 * number there. */
static size_t number_parse(const char *text, double *ret)
{
	double value = 0, place = 1;
	size_t i = 0, digits = 0;
	bool point = false;
	for (; (text[i] >= '0' && text[i] <= '9') || (text[i] == '.' && !point); i++) {
		if (text[i] == '.') {
			point = true;
			continue;
		}
		if (++digits > 15) return 0;
		value = value * 10 + (text[i] - '0');
		if (point) place *= 10;
	}
	*ret = value / place; /* two whole numbers that a double has exactly: the nearest double to what was typed */
	return digits ? i : 0;
}

/* As the wire's float: what is so near to 1 that it would become 1 is not less than 1. */
static bool recall_good(double recall)
{
	return (float)recall > 0 && (float)recall < 1;
}

static bool option_recall(const struct arguments *a, double *ret)
{
	const char *text = arguments_text(a, "recall");
	double recall;
	if (!text) return true;
	size_t used = number_parse(text, &recall);
	if (used && !text[used] && recall_good(recall)) {
		*ret = recall;
		return true;
	}
	usage_error(a->command, "--recall is a number above 0 and below 1, like 0.95, not '%s': --exact finds everything", text);
	return false;
}

int effort_options(const struct arguments *a, grove_search_args *args, struct effort *ret)
{
	const char *mode_text = arguments_text(a, "mode");
	struct effort effort = {0, 0};
	uint32_t mode = arguments_has(a, "exact") ? GROVE_EXACT : GROVE_GRAPH;
	if (!arguments_u32(a, "search-k", 1, SEARCH_K_MAX, &effort.search_k) || !option_recall(a, &effort.recall)) return EXIT_USAGE;
	if (mode_text && !mode_by_name(mode_text, &mode))
		return usage_error(a->command, "there is no mode '%s': graph, forest and exact are", mode_text);
	if (arguments_has(a, "exact") && mode != GROVE_EXACT) return usage_error(a->command, "--exact is --mode exact: it goes without another mode");
	if (effort.search_k && effort.recall > 0) return usage_error(a->command, "--recall and --search-k are two ways to name one effort: give one of them");
	if (mode == GROVE_EXACT && effort.search_k) return usage_error(a->command, "--exact inspects every item: it goes without --search-k");
	if (mode == GROVE_EXACT && effort.recall > 0) return usage_error(a->command, "--exact finds everything: it goes without --recall");
	if (mode == GROVE_FOREST && effort.recall > 0) return usage_error(a->command, "--mode forest takes --search-k: --recall goes with --mode graph");
	args->mode = mode;
	args->search_k = effort.search_k;
	args->recall = (float)effort.recall;
	*ret = effort;
	return EXIT_OK;
}

const char *effort_text(uint32_t mode, const struct effort *effort, uint32_t k, uint32_t trees, char *out, size_t size)
{
	uint64_t budget = effort->search_k ? effort->search_k : (uint64_t)k * trees;
	if (mode == GROVE_EXACT)
		snprintf(out, size, "mode exact");
	else if (mode == GROVE_GRAPH && !effort->search_k)
		snprintf(out, size, "mode graph, recall %.7g", effort->recall > 0 ? effort->recall : (double)EFFORT_RECALL_DEFAULT);
	else
		snprintf(out, size, "mode %s, search_k %" PRIu64, effort_mode_name(mode), budget < SEARCH_K_MAX ? budget : SEARCH_K_MAX);
	return out;
}

uint32_t efforts_default(uint32_t mode, uint32_t k, uint32_t trees, uint64_t items, struct effort out[EFFORTS_MAX])
{
	static const double recalls[] = {.8, .9, .95, .98, .99, .995, .999};
	uint64_t search_k = (uint64_t)k * (trees ? trees : 1);
	uint32_t n = 0;
	if (mode == GROVE_GRAPH) {
		for (; n < sizeof(recalls) / sizeof(recalls[0]); n++) out[n] = (struct effort){.recall = recalls[n]};
		return n;
	}
	while (n < EFFORTS_DEFAULT_MAX && search_k <= SEARCH_K_MAX) {
		out[n++] = (struct effort){.search_k = (uint32_t)search_k};
		if (search_k >= items) break;
		search_k *= 2;
	}
	return n;
}

uint32_t efforts_parse(const char *text, struct effort out[EFFORTS_MAX])
{
	uint32_t n = 0;
	for (;;) {
		double value;
		size_t used = number_parse(text, &value);
		bool whole = !memchr(text, '.', used);
		if (used == 0 || n == EFFORTS_MAX || (whole ? value < 1 || value > SEARCH_K_MAX : !recall_good(value))) return 0;
		if (n && whole != (out[0].search_k > 0)) return 0;
		out[n++] = whole ? (struct effort){.search_k = (uint32_t)value} : (struct effort){.recall = value};
		text += used;
		if (*text == 0) return n;
		if (*text++ != ',') return 0;
	}
}
