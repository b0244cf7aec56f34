/* output.c - JSON values and columns on stdout, messages on stderr. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/output.h"
#include "proto/client_codec.h"

/* Bytes of the UTF-8 character at `s`, 0 if there is none. */
static size_t utf8_size(const unsigned char *s)
{
	size_t n = s[0] < 0x80			 ? 1
		   : s[0] >= 0xC2 && s[0] < 0xE0 ? 2
		   : s[0] >= 0xE0 && s[0] < 0xF0 ? 3
		   : s[0] >= 0xF0 && s[0] < 0xF5 ? 4
						 : 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xC0) != 0x80) return 0;
	}
	if (n == 3 && ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] >= 0xA0))) return 0; /* overlong; surrogate */
	if (n == 4 && ((s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] >= 0x90))) return 0; /* overlong; past U+10FFFF */
	return n;
}

void json_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (const unsigned char *s = (const unsigned char *)text; *s;) {
		size_t n = utf8_size(s);
		if (n == 0) {
			fputs("\\ufffd", out);
			n = 1;
		} else if (*s == '"' || *s == '\\') {
			fprintf(out, "\\%c", *s);
		} else if (*s < 0x20 || *s == 0x7F) {
			fprintf(out, "\\u%04x", *s);
		} else {
			fwrite(s, 1, n, out);
		}
		s += n;
	}
	fputc('"', out);
}

void json_float(FILE *out, double value)
{
	if (isfinite(value))
		fprintf(out, "%.9g", value);
	else
		fputs("null", out);
}

enum status payload_show(const uint8_t *bytes, size_t size, FILE *out)
{
	struct buf json;
	buf_init(&json, 0);
	enum status status = payload_to_json(bytes, size, &json);
	if (status == STATUS_OK) fwrite(json.bytes, 1, json.size, out);
	buf_release(&json);
	return status;
}

bool output_colour(FILE *stream)
{
	const char *env = getenv("NO_COLOR");
	return !(env && *env) && isatty(fileno(stream));
}

void output_message(const char *fmt, ...)
{
	va_list args;
	fputs("grove: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

const char *bytes_text(uint64_t bytes, char *out, size_t size)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	double v = (double)bytes;
	size_t u = 0;
	for (; v >= 1024 && u + 1 < sizeof(units) / sizeof(units[0]); u++) v /= 1024;
	snprintf(out, size, u ? "%.1f %s" : "%.0f %s", v, units[u]);
	return out;
}

const char *count_text(uint64_t count, char *out, size_t size)
{
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%" PRIu64, count);
	size_t at = 0;
	for (int i = 0; i < n && at + 2 < size; i++) {
		if (i && (n - i) % 3 == 0) out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = 0;
	return out;
}

/* ---- tables ---- */

struct table {
	size_t columns, rows, room;
	const char *const *names;
	char **cells; /* rows x columns */
	bool cut;
};

struct table *table_new(const char *const *columns, size_t count)
{
	struct table *t = calloc(1, sizeof(*t));
	if (t) *t = (struct table){.columns = count, .names = columns};
	return t;
}

static bool table_grow(struct table *t)
{
	if (t->rows < t->room) return true;
	size_t room = t->room ? t->room * 2 : 16;
	char **cells = realloc(t->cells, room * t->columns * sizeof(*cells));
	if (!cells) return false;
	t->cells = cells;
	t->room = room;
	return true;
}

void table_row(struct table *t, const char *const *cells)
{
	if (!t) return;
	if (!table_grow(t)) {
		t->cut = true;
		return;
	}
	for (size_t i = 0; i < t->columns; i++) {
		char *copy = strdup(cells[i]);
		if (!copy) t->cut = true;
		t->cells[t->rows * t->columns + i] = copy;
	}
	t->rows++;
}

/* Characters, not bytes. */
static size_t text_width(const char *text)
{
	size_t n = 0;
	for (; *text; text++) n += ((unsigned char)*text & 0xC0) != 0x80;
	return n;
}

static void table_cell(FILE *out, const char *text, size_t width, bool right, bool last)
{
	int pad = (int)(width - text_width(text));
	if (right) fprintf(out, "%*s", pad, "");
	fputs(text, out);
	if (!right && !last) fprintf(out, "%*s", pad, "");
	fputs(last ? "\n" : "  ", out);
}

void table_print(const struct table *t, FILE *out)
{
	if (!t || t->cut) output_message("out of memory: the table is not whole");
	if (!t) return;
	size_t *width = calloc(t->columns, sizeof(*width));
	if (!width) {
		output_message("out of memory: the table cannot be printed");
		return;
	}
	for (size_t c = 0; c < t->columns; c++) {
		width[c] = text_width(t->names[c] + (t->names[c][0] == '>'));
		for (size_t r = 0; r < t->rows; r++) {
			const char *cell = t->cells[r * t->columns + c];
			if (cell && text_width(cell) > width[c]) width[c] = text_width(cell);
		}
	}
	bool colour = output_colour(out);
	if (colour) fputs("\033[1m", out);
	for (size_t c = 0; c < t->columns; c++)
		table_cell(out, t->names[c] + (t->names[c][0] == '>'), width[c], t->names[c][0] == '>', c + 1 == t->columns);
	if (colour) fputs("\033[0m", out);
	for (size_t r = 0; r < t->rows; r++) {
		for (size_t c = 0; c < t->columns; c++) {
			const char *cell = t->cells[r * t->columns + c];
			table_cell(out, cell ? cell : "", width[c], t->names[c][0] == '>', c + 1 == t->columns);
		}
	}
	free(width);
}

void table_free(struct table **t)
{
	if (!t || !*t) return;
	for (size_t i = 0; i < (*t)->rows * (*t)->columns; i++) free((*t)->cells[i]);
	free((*t)->cells);
	free(*t);
	*t = NULL;
}
