/* log.h - log lines on stderr: text on a terminal, one JSON object a line otherwise (GROVE_LOG_FORMAT=text|json overrides;
 * GROVE_LOG_LEVEL=debug|info|warn|error, default info). A line is written with one write(2), so threads never interleave. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include "common/status.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Once, before threads: the program's name in every line. */
void log_init(const char *program);
void log_set_level(enum log_level level);
void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)

#endif
