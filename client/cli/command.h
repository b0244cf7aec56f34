/* command.h - the table of commands and the arguments of one of them.
 *
 * One row of the table (commands.c) is everything that is known of a verb: its help is printed from it, its arguments are
 * parsed by it, a mistyped verb or option is compared with it. A verb file has the row's `run` and the options that only it has.
 *
 * Options may stand anywhere: --name VALUE, --name=VALUE, -k VALUE, -kVALUE; `--` ends them. An option that takes a value always
 * takes the next argument, also one that begins with a dash. Given twice, the last one counts, unless it may be repeated. */
#ifndef CLIENT_CLI_COMMAND_H
#define CLIENT_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum exit_code { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NOT_FOUND = 3, EXIT_PARTIAL = 4, EXIT_UNAVAILABLE = 69, EXIT_BUSY = 75 };

struct option {
	const char *name;  /* without dashes */
	char letter;       /* 0: none */
	const char *value; /* what its value is called in the help; NULL: a switch */
	const char *help;
	bool repeats;
};

struct example { const char *line, *what; };

struct arguments;
struct command {
	const char *name, *synopsis, *summary;
	const struct example *examples; /* ended by a NULL line */
	const struct option *options;   /* ended by a NULL name */
	size_t positional_min, positional_max;
	int (*run)(const struct arguments *a);
};

struct given { const struct option *option; const char *value; };
struct arguments {
	const struct command *command;
	struct given *given;
	const char **positional;
	size_t given_count, positional_count;
};

extern const struct command commands[]; /* ended by a NULL name */
extern const struct option common_options[];

/* ---- arguments.c ---- */

/* Parse argv[0 .. argc) (without program and verb). False: a sentence was written to `err`. arguments_release() in any case. */
bool arguments_parse(const struct command *command, int argc, char **argv, FILE *err, struct arguments *ret);
void arguments_release(struct arguments *a);
/* The last value of an option ("" for a switch), NULL if it was not given. */
const char *arguments_text(const struct arguments *a, const char *name);
static inline bool arguments_has(const struct arguments *a, const char *name) { return arguments_text(a, name) != NULL; }
/* Numbers within [min, max]; not given: *ret untouched, true. False: a sentence was written to stderr. Exact up to 2^64 - 1. */
bool arguments_u64(const struct arguments *a, const char *name, uint64_t min, uint64_t max, uint64_t *ret);
bool arguments_u32(const struct arguments *a, const char *name, uint32_t min, uint32_t max, uint32_t *ret);
bool arguments_float(const struct arguments *a, const char *name, double min, double max, float *ret);
/* A whole decimal number, nothing before or after it. */
bool text_u64(const char *text, uint64_t *ret);
/* Write "grove VERB: ..." and how to get help; returns EXIT_USAGE. */
int usage_error(const struct command *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- help.c ---- */

const struct command *command_find(const char *name);
/* The known word nearest to a mistyped one, or NULL if none is near. `word(i)` gives the i-th known word, NULL past the end. */
const char *word_nearest(const char *typed, const char *(*word)(const void *context, size_t i), const void *context);
/* Edits (insert, delete, replace, swap neighbours) that turn one word into the other; words past 31 bytes count as far. */
unsigned word_distance(const char *a, const char *b);
void help_overview(FILE *out);
void help_command(const struct command *command, FILE *out);

#endif
