/* main.c - the program `grove`: finds the verb's row in the table of commands, parses its arguments, runs it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/command.h"
#include "client/cli/output.h"
#include "client/grove.h"
#include "common/log.h"

static const char *command_word(const void *context, size_t i)
{
	const struct command *table = context;
	return table[i].name;
}

static int unknown_command(const char *name)
{
	const char *near = word_nearest(name, command_word, commands);
	if (near)
		output_message("there is no command '%s': did you mean '%s'?", name, near);
	else
		output_message("there is no command '%s': `grove --help` lists them", name);
	return EXIT_USAGE;
}

static int command_run(const struct command *command, int argc, char **argv)
{
	struct arguments a;
	int exit_code = EXIT_USAGE;
	if (!arguments_parse(command, argc, argv, stderr, &a)) goto out;
	if (arguments_has(&a, "help")) {
		help_command(command, stdout);
		exit_code = EXIT_OK;
		goto out;
	}
	if (arguments_has(&a, "no-color")) setenv("NO_COLOR", "1", 1);
	exit_code = command->run(&a);
out:
	arguments_release(&a);
	return exit_code;
}

/* How many of the arguments before the verb belong to common options: `grove --endpoint E --json list` is allowed. */
static int leading_options(int argc, char **argv)
{
	int i = 1;
	while (i < argc && strncmp(argv[i], "--", 2) == 0 && argv[i][2]) {
		const struct option *o = common_options;
		while (o->name && strncmp(argv[i] + 2, o->name, strlen(o->name)) != 0) o++;
		if (!o->name || strcmp(o->name, "help") == 0) break;
		i += o->value && strcmp(argv[i] + 2, o->name) == 0 ? 2 : 1;
	}
	return i < argc ? i - 1 : argc - 1;
}

static int help_run(const char *name)
{
	const struct command *command = name ? command_find(name) : NULL;
	if (name && !command) return unknown_command(name);
	if (command)
		help_command(command, stdout);
	else
		help_overview(stdout);
	return EXIT_OK;
}

static int verb_run(int argc, char **argv)
{
	int leading = leading_options(argc, argv);
	const char *verb = argv[1 + leading];
	if (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0) return help_run(NULL);
	if (strcmp(verb, "help") == 0) return help_run(argv[2 + leading]);
	if (strcmp(verb, "--version") == 0) {
		printf("grove %s\n", grove_version());
		return EXIT_OK;
	}
	const struct command *command = command_find(verb);
	if (!command) return unknown_command(verb);
	for (int i = 1 + leading; i > 1; i--) argv[i] = argv[i - 1]; /* the leading options, where the verb was */
	return command_run(command, argc - 2, argv + 2);
}

int main(int argc, char **argv)
{
	log_init("grove");
	signal(SIGPIPE, SIG_DFL);
	if (argc < 2) {
		help_overview(stderr);
		return EXIT_USAGE;
	}
	int exit_code = verb_run(argc, argv);
	if (fflush(stdout) != 0 || ferror(stdout)) { /* a full disk behind a redirection */
		output_message("the output could not be written whole");
		return EXIT_FAILED;
	}
	return exit_code;
}
