/* log.c - a line is formatted on the stack and written with one write(2). */
#include "common/log.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

/* A pipe takes PIPE_BUF (4,096) bytes whole; a longer write could be mixed with another process's lines. */
enum { TEXT_MAX_BYTES = 2048, LINE_MAX_BYTES = 4096 };

static const char *program_name = "grove";
static _Atomic int lowest = LOG_INFO;
static bool as_json;
static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_init(const char *program)
{
	const char *format = getenv("GROVE_LOG_FORMAT"), *level = getenv("GROVE_LOG_LEVEL");

	program_name = program;
	as_json = format ? !strcmp(format, "json") : !isatty(STDERR_FILENO);
	for (int i = LOG_DEBUG; level && i <= LOG_ERROR; i++)
		if (!strcmp(level, level_names[i])) log_set_level((enum log_level)i);
}

void log_set_level(enum log_level level) { atomic_store_explicit(&lowest, (int)level, memory_order_relaxed); }

/* Append text as the inside of a JSON string; stops where no room is left for an escape. */
static size_t json_escape(char *out, size_t room, const char *text)
{
	size_t used = 0;

	for (const unsigned char *c = (const unsigned char *)text; *c && used + 7 < room; c++) {
		if (*c == '"' || *c == '\\') {
			out[used++] = '\\';
			out[used++] = (char)*c;
		} else if (*c < 0x20) {
			used += (size_t)snprintf(out + used, room - used, "\\u%04x", *c);
		} else {
			out[used++] = (char)*c;
		}
	}
	return used;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	if ((int)level < atomic_load_explicit(&lowest, memory_order_relaxed)) return;

	char text[TEXT_MAX_BYTES], line[LINE_MAX_BYTES];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);

	uint64_t now = clock_wall_us();
	time_t seconds = (time_t)(now / 1000000);
	struct tm utc;
	gmtime_r(&seconds, &utc);
	char when[32];
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &utc);

	size_t used;
	if (as_json) {
		used = (size_t)snprintf(line, sizeof(line), "{\"time\":\"%s.%06uZ\",\"level\":\"%s\",\"program\":\"%s\",\"pid\":%d,\"message\":\"", when,
			(unsigned)(now % 1000000), level_names[level], program_name, (int)getpid());
		used += json_escape(line + used, sizeof(line) - used - 3, text);
		memcpy(line + used, "\"}\n", 3);
		used += 3;
	} else {
		for (char *c = text; *c; c++)
			if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = ' ';
		used = (size_t)snprintf(line, sizeof(line), "%s.%03uZ %-5s %s[%d]: %s\n", when, (unsigned)(now / 1000 % 1000), level_names[level],
			program_name, (int)getpid(), text);
	}
	ssize_t ignored = write(STDERR_FILENO, line, used);
	(void)ignored;
}
