/* make_man.c - writes grove(1): a template, in whose place of "@COMMANDS@" all verbs come and of "@COMMON@" the common options, from the
 * same table that --help prints. So the page cannot miss an option, and nobody has to write one twice.
 *
 * make_man TEMPLATE OUT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/command.h"

/* Plain text in a line of its own: nothing in it is a macro or an escape. A hyphen stays one that can be pasted into a shell. */
static void text_line(FILE *out, const char *text)
{
	if (*text == '.' || *text == '\'') fputs("\\&", out);
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else
			fputc(*text, out);
	}
	fputc('\n', out);
}

static void options_write(FILE *out, const struct option *o)
{
	if (!o->name) return;
	fputs(".Bl -tag -width Ds\n", out);
	for (; o->name; o++) {
		fputs(".It ", out);
		if (o->letter) fprintf(out, "Fl %c , ", o->letter);
		fprintf(out, "Fl -%s", o->name);
		if (o->value) fprintf(out, " Ar \"%s\"", o->value);
		fputc('\n', out);
		text_line(out, o->help);
	}
	fputs(".El\n", out);
}

static void display(FILE *out, const char *kind, const char *before, const char *middle, const char *text)
{
	char line[1024];
	snprintf(line, sizeof(line), "%s%s%s%s", before, middle, *text && *middle ? " " : "", text);
	fprintf(out, ".Bd -%s -offset indent -compact\n", kind);
	text_line(out, line);
	fputs(".Ed\n", out);
}

static void command_write(FILE *out, const struct command *c)
{
	fprintf(out, ".Ss %s\n", c->name);
	display(out, "filled", "grove ", c->name, c->synopsis);
	fputs(".Pp\n", out);
	text_line(out, c->summary);
	options_write(out, c->options);
	for (const struct example *e = c->examples; e->line; e++) {
		fputs(".Pp\n", out);
		char what[1024];
		snprintf(what, sizeof(what), "%s:", e->what);
		text_line(out, what);
		display(out, "literal", e->line, "", "");
	}
}

static void page_write(FILE *in, FILE *out)
{
	char line[4096];
	while (fgets(line, sizeof(line), in)) {
		if (strcmp(line, "@COMMANDS@\n") == 0) {
			for (const struct command *c = commands; c->name; c++) command_write(out, c);
		} else if (strcmp(line, "@COMMON@\n") == 0) {
			options_write(out, common_options);
		} else {
			fputs(line, out);
		}
	}
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: make_man TEMPLATE OUT\n");
		return 2;
	}
	FILE *in = fopen(argv[1], "r"), *out = fopen(argv[2], "w");
	if (!in || !out) {
		fprintf(stderr, "make_man: cannot open %s: %s\n", in ? argv[2] : argv[1], strerror(errno));
		return 1;
	}
	page_write(in, out);
	bool written = !ferror(in) && fflush(out) == 0 && !ferror(out);
	fclose(in);
	fclose(out);
	return written ? 0 : 1;
}
