/* status.c - the table of status.h as text. */
#include "common/status.h"

#include <stdio.h>
#include <string.h>

static const struct { enum status status; const char *name, *text; } table[] = {
#define STATUS_ROW(name, number, wire, text) {(number), wire, text},
	STATUS_MAP(STATUS_ROW)
#undef STATUS_ROW
};
enum { TABLE_SIZE = sizeof(table) / sizeof(table[0]) };

const char *status_name(enum status s)
{
	for (size_t i = 0; i < TABLE_SIZE; i++)
		if (table[i].status == s) return table[i].name;
	return "unknown_status";
}

const char *status_text(enum status s)
{
	for (size_t i = 0; i < TABLE_SIZE; i++)
		if (table[i].status == s) return table[i].text;
	return "a status that this version does not know: the other side is newer";
}

enum status status_by_name(const char *name)
{
	for (size_t i = 0; i < TABLE_SIZE; i++)
		if (!strcmp(table[i].name, name)) return table[i].status;
	return STATUS_UNSUPPORTED;
}

enum status report_set(struct report *r, enum status s, const char *fmt, ...)
{
	va_list args;

	if (!r) return s;
	r->status = s;
	va_start(args, fmt);
	int n = vsnprintf(r->text, sizeof(r->text), fmt, args);
	va_end(args);
	if (n < 0) r->text[0] = 0;
	if (n >= (int)sizeof(r->text)) {
		size_t end = sizeof(r->text) - 1;
		/* Step back to the first byte of the character that was cut. */
		size_t start = end;
		while (start > 0 && ((unsigned char)r->text[start - 1] & 0xc0) == 0x80) start--;
		if (start > 0 && ((unsigned char)r->text[start - 1] & 0xc0) == 0xc0) {
			unsigned char lead = (unsigned char)r->text[start - 1];
			size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
			if (end - (start - 1) < want) r->text[start - 1] = 0;
		}
	}
	return s;
}

const char *report_text(const struct report *r)
{
	return r->text[0] ? r->text : status_text(r->status);
}
