/* arguments.c - parsing a verb's arguments by its row in the table. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <inttypes.h>

#include "client/cli/command.h"

/* The options of a verb, then the common ones. */
static const struct option *option_at(const struct command *command, size_t i)
{
	const struct option *o = command->options;
	for (; o->name; o++) {
		if (i-- == 0) return o;
	}
	for (o = common_options; o->name; o++) {
		if (i-- == 0) return o;
	}
	return NULL;
}

static const char *option_word(const void *context, size_t i)
{
	const struct option *o = option_at(context, i);
	return o ? o->name : NULL;
}

static const struct option *option_by_name(const struct command *command, const char *name, size_t size)
{
	const struct option *o;
	for (size_t i = 0; (o = option_at(command, i)); i++) {
		if (strlen(o->name) == size && memcmp(o->name, name, size) == 0) return o;
	}
	return NULL;
}

static const struct option *option_by_letter(const struct command *command, char letter)
{
	const struct option *o;
	for (size_t i = 0; (o = option_at(command, i)); i++) {
		if (o->letter == letter) return o;
	}
	return NULL;
}

static bool parse_failed(const struct command *command, FILE *err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static bool parse_failed(const struct command *command, FILE *err, const char *fmt, ...)
{
	va_list args;
	fprintf(err, "grove %s: ", command->name);
	va_start(args, fmt);
	vfprintf(err, fmt, args);
	va_end(args);
	fprintf(err, "\nusage: grove %s %s\n       grove %s --help shows more\n", command->name, command->synopsis,
		command->name);
	return false;
}

int usage_error(const struct command *command, const char *fmt, ...)
{
	char text[512];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	parse_failed(command, stderr, "%s", text);
	return EXIT_USAGE;
}

static bool unknown_option(const struct command *command, FILE *err, const char *text, size_t size)
{
	char name[64];
	snprintf(name, sizeof(name), "%.*s", (int)size, text);
	const char *near = word_nearest(name, option_word, command);
	if (near) return parse_failed(command, err, "there is no option --%s: did you mean --%s?", name, near);
	return parse_failed(command, err, "there is no option --%s", name);
}

/* One argument that begins with a dash; *i moves on when the value is the next argument. */
static bool parse_option(struct arguments *a, int argc, char **argv, int *i, FILE *err)
{
	const char *text = argv[*i], *value = NULL;
	const struct option *o;
	if (text[1] == '-') {
		const char *equals = strchr(text, '=');
		size_t size = equals ? (size_t)(equals - text - 2) : strlen(text + 2);
		o = option_by_name(a->command, text + 2, size);
		if (!o) return unknown_option(a->command, err, text + 2, size);
		if (equals) value = equals + 1;
	} else {
		o = option_by_letter(a->command, text[1]);
		if (!o) return parse_failed(a->command, err, "there is no option -%c", text[1]);
		if (text[2]) value = text + 2;
	}
	if (!o->value) {
		if (value) return parse_failed(a->command, err, "--%s takes no value", o->name);
		value = "";
	} else if (!value) {
		if (*i + 1 >= argc) return parse_failed(a->command, err, "--%s needs a value: %s", o->name, o->value);
		value = argv[++*i];
	}
	a->given[a->given_count++] = (struct given){.option = o, .value = value};
	return true;
}

bool arguments_parse(const struct command *command, int argc, char **argv, FILE *err, struct arguments *ret)
{
	*ret = (struct arguments){.command = command};
	ret->given = calloc((size_t)argc + 1, sizeof(*ret->given));
	ret->positional = calloc((size_t)argc + 1, sizeof(*ret->positional));
	if (!ret->given || !ret->positional) return parse_failed(command, err, "out of memory");
	bool ended = false;
	for (int i = 0; i < argc; i++) {
		if (!ended && strcmp(argv[i], "--") == 0) {
			ended = true;
		} else if (!ended && argv[i][0] == '-' && argv[i][1]) {
			if (!parse_option(ret, argc, argv, &i, err)) return false;
		} else {
			ret->positional[ret->positional_count++] = argv[i];
		}
	}
	if (arguments_has(ret, "help")) return true; /* whatever else is missing */
	if (ret->positional_count < command->positional_min) {
		const char *word = command->synopsis; /* it begins with the words that are not options, in their order */
		for (size_t i = 0; i < ret->positional_count; i++) word += strcspn(word, " ") + 1;
		return parse_failed(command, err, "%.*s is missing", (int)strcspn(word, " ."), word);
	}
	if (ret->positional_count > command->positional_max)
		return parse_failed(command, err, "'%s' is one argument too many", ret->positional[command->positional_max]);
	return true;
}

void arguments_release(struct arguments *a)
{
	free(a->given);
	free(a->positional);
	*a = (struct arguments){.command = NULL};
}

const char *arguments_text(const struct arguments *a, const char *name)
{
	const char *value = NULL;
	for (size_t i = 0; i < a->given_count; i++) {
		if (strcmp(a->given[i].option->name, name) == 0) value = a->given[i].value;
	}
	return value;
}

bool text_u64(const char *text, uint64_t *ret)
{
	uint64_t v = 0;
	if (!*text) return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9') return false;
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) || __builtin_add_overflow(v, (uint64_t)(*text - '0'), &v))
			return false;
	}
	*ret = v;
	return true;
}

bool arguments_u64(const struct arguments *a, const char *name, uint64_t min, uint64_t max, uint64_t *ret)
{
	const char *text = arguments_text(a, name);
	uint64_t v;
	if (!text) return true;
	if (!text_u64(text, &v) || v < min || v > max) {
		usage_error(a->command, "--%s is a whole number from %" PRIu64 " to %" PRIu64 ", not '%s'", name, min, max, text);
		return false;
	}
	*ret = v;
	return true;
}

bool arguments_u32(const struct arguments *a, const char *name, uint32_t min, uint32_t max, uint32_t *ret)
{
	uint64_t v = *ret;
	if (!arguments_u64(a, name, min, max, &v)) return false;
	if (arguments_has(a, name)) *ret = (uint32_t)v;
	return true;
}

bool arguments_float(const struct arguments *a, const char *name, double min, double max, float *ret)
{
	const char *text = arguments_text(a, name);
	char *end;
	if (!text) return true;
	errno = 0;
	double v = strtod(text, &end);
	if (end == text || *end || errno || !(v >= min && v <= max)) {
		usage_error(a->command, "--%s is a number from %g to %g, not '%s'", name, min, max, text);
		return false;
	}
	*ret = (float)v;
	return true;
}
