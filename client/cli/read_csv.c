/* read_csv.c - numbers in text (dataset.h), a vector a line. The first line is read ahead to learn the dimension. */
#include "client/cli/dataset_format.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "common/limits.h"

enum { LINE_MAX_BYTES = DIM_MAX * 32 };

static bool is_separator(char c)
{
	return c == ',' || c == ';' || c == '\t' || c == ' ';
}

/* Numbers of the line into out (dim of them; NULL: only count): how many there are, or -1 if something is none.
 * *ret_any: whether any field is a number at all. */
static long csv_parse(const char *at, float *out, uint32_t dim, bool *ret_any)
{
	long count = 0;
	bool wrong = false;
	*ret_any = false;
	for (;;) {
		char *end;
		while (*at == ' ' || *at == '\t') at++;
		errno = 0;
		float v = strtof(at, &end);
		bool number = end != at && (*end == 0 || is_separator(*end)) && isfinite(v);
		if (number) {
			*ret_any = true;
			if (out && count < (long)dim) out[count] = v;
		} else {
			wrong = true;
			for (end = (char *)(uintptr_t)at; *end && !is_separator(*end); end++) continue;
		}
		count++;
		at = end;
		while (*at == ' ' || *at == '\t') at++;
		if (*at == ',' || *at == ';')
			at++;
		else if (*at == 0)
			return wrong ? -1 : count;
	}
}

static enum status csv_open(struct dataset *d, struct report *report)
{
	bool end = false, any = false;
	enum status status = dataset_line(d, LINE_MAX_BYTES, &end, report);
	if (status != STATUS_OK) return status;
	long count = end ? 0 : csv_parse((const char *)d->line.bytes, NULL, 0, &any);
	if (count == -1 && !any) { /* a heading */
		status = dataset_line(d, LINE_MAX_BYTES, &end, report);
		if (status != STATUS_OK) return status;
		count = end ? 0 : csv_parse((const char *)d->line.bytes, NULL, 0, &any);
	}
	if (end) return report_set(report, STATUS_BAD_REQUEST, "%s has no vectors", bytes_path(d->file));
	if (count == -1)
		return report_set(report, STATUS_BAD_REQUEST, "line %" PRIu64 " of %s has something that is no finite number",
			d->line_number, bytes_path(d->file));
	if (count > DIM_MAX)
		return report_set(report, STATUS_LIMIT, "%s has vectors of %ld numbers; 1 to %d are possible",
			bytes_path(d->file), count, DIM_MAX);
	d->dim = (uint32_t)count;
	d->dtype = DTYPE_F32;
	d->line_waits = true;
	return STATUS_OK;
}

static enum status csv_read(struct dataset *d, uint32_t max_rows, void *out, uint32_t *ret_n, struct report *report)
{
	uint32_t n = 0;
	for (; n < max_rows; n++) {
		bool end = false, any;
		enum status status = d->line_waits ? STATUS_OK : dataset_line(d, LINE_MAX_BYTES, &end, report);
		if (status != STATUS_OK) return status;
		d->line_waits = false;
		if (end) break;
		long count = csv_parse((const char *)d->line.bytes, (float *)out + (size_t)n * d->dim, d->dim, &any);
		if (count == -1)
			return report_set(report, STATUS_BAD_REQUEST,
				"line %" PRIu64 " of %s has something that is no finite number", d->line_number,
				bytes_path(d->file));
		if (count != (long)d->dim)
			return report_set(report, STATUS_BAD_REQUEST,
				"line %" PRIu64 " of %s has %ld numbers, the first has %" PRIu32, d->line_number,
				bytes_path(d->file), count, d->dim);
	}
	*ret_n = n;
	return STATUS_OK;
}

const struct dataset_format dataset_csv = {"csv", csv_open, csv_read, NULL};
