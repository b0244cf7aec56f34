/* help.c - everything that is printed from the table of commands: the overview, a verb's page (examples first), and the
 * nearest word to a mistyped one. */
#include <string.h>

#include "client/cli/command.h"

enum { WORD_MAX = 31, NEAR_EDITS = 2 };

const struct command *command_find(const char *name)
{
	for (const struct command *c = commands; c->name; c++) {
		if (strcmp(c->name, name) == 0) return c;
	}
	return NULL;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;
	return m < c ? m : c;
}

unsigned word_distance(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b);
	unsigned d[WORD_MAX + 1][WORD_MAX + 1];
	if (na > WORD_MAX || nb > WORD_MAX) return WORD_MAX + 1;
	for (size_t i = 0; i <= na; i++) d[i][0] = (unsigned)i;
	for (size_t j = 0; j <= nb; j++) d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		for (size_t j = 1; j <= nb; j++) {
			unsigned replace = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
			d[i][j] = min3(replace, d[i - 1][j] + 1, d[i][j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < d[i][j])
				d[i][j] = d[i - 2][j - 2] + 1;
		}
	}
	return d[na][nb];
}

const char *word_nearest(const char *typed, const char *(*word)(const void *context, size_t i), const void *context)
{
	const char *best = NULL, *w;
	unsigned best_distance = NEAR_EDITS + 1;
	for (size_t i = 0; (w = word(context, i)); i++) {
		unsigned d = word_distance(typed, w);
		if (d < best_distance && d < strlen(w)) {
			best = w;
			best_distance = d;
		}
	}
	return best;
}

void help_overview(FILE *out)
{
	fprintf(out, "grove: a distributed nearest-neighbour index\n\n"
		     "  grove up --workers 2                                 start a local cluster, run until Ctrl-C\n"
		     "  grove create clothes --dim 784 --metric euclidean    make an index\n"
		     "  grove import clothes images.npy                      fill it\n"
		     "  grove build clothes                                  build its trees\n"
		     "  grove search clothes --id 7 -k 10                    the ten items nearest to item 7\n\n"
		     "Commands:\n");
	for (const struct command *c = commands; c->name; c++) fprintf(out, "  %-10s %s\n", c->name, c->summary);
	fprintf(out,
		"\n`grove COMMAND --help` shows examples and options. `grove --version` shows the version.\n"
		"The coordinator is found at --endpoint, else GROVE_ENDPOINT, else tcp://127.0.0.1:7600.\n"
		"Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 partial result, 69 unavailable or not answering in time,\n"
		"75 busy (try again).\n");
}

static void help_options(const struct option *o, FILE *out)
{
	for (; o->name; o++) {
		char left[64];
		char letter[8] = "    ";
		if (o->letter) snprintf(letter, sizeof(letter), "-%c, ", o->letter);
		snprintf(left, sizeof(left), "%s--%s%s%s", letter, o->name, o->value ? " " : "", o->value ? o->value : "");
		fprintf(out, "  %-28s %s\n", left, o->help);
	}
}

void help_command(const struct command *c, FILE *out)
{
	fprintf(out, "grove %s: %s\n\nExamples:\n", c->name, c->summary);
	for (const struct example *e = c->examples; e->line; e++) fprintf(out, "  %s\n      %s\n", e->line, e->what);
	fprintf(out, "\nUsage: grove %s %s\n", c->name, c->synopsis);
	if (c->options->name) {
		fprintf(out, "\nOptions:\n");
		help_options(c->options, out);
	}
	fprintf(out, "\nCommon options:\n");
	help_options(common_options, out);
}
