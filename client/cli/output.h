/* output.h - what goes to stdout: JSON written by ourselves (ids up to 2^64 - 1 stay exact), and columns for people.
 *
 * Messages go to stderr through output_message(), so that stdout stays data. */
#ifndef CLIENT_CLI_OUTPUT_H
#define CLIENT_CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/status.h"

/* A JSON string with its quotes; bytes that are no UTF-8 become U+FFFD. */
void json_string(FILE *out, const char *text);
/* The shortest of %.9g; null where JSON has no number (infinite, NaN). */
void json_float(FILE *out, double value);

/* A msgpack payload as JSON. */
MUST_CHECK enum status payload_show(const uint8_t *bytes, size_t size, FILE *out);

/* Colour on that stream? A terminal and no NO_COLOR in the environment (--no-color sets it). */
bool output_colour(FILE *stream);
/* "grove: ..." and a newline on stderr. */
void output_message(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "12.3 MiB" */
const char *bytes_text(uint64_t bytes, char *out, size_t size);
/* "60,000" */
const char *count_text(uint64_t count, char *out, size_t size);

/* A table of text cells; columns are as wide as their widest cell. Numbers are set to the right: name the column with '>' in
 * front. Cells are copied. Without memory the row is left out and table_print() says so. */
struct table;
struct table *table_new(const char *const *columns, size_t count);
void table_row(struct table *t, const char *const *cells);
void table_print(const struct table *t, FILE *out);
void table_free(struct table **t);

#endif
