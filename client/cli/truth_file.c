/* truth_file.c - both datasets are read a block of rows at a time, as vectors are (dataset.h). */
#include "client/cli/truth_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/dataset.h"

#define DISTANCES "distances"
enum { READ_ROWS = 1024 };

static enum status out_of_memory(struct report *report)
{
	return report_set(report, STATUS_NO_MEMORY, "out of memory for the true neighbours: take fewer queries with --limit N");
}

/* Exactly n rows into `out`; more may follow. */
static enum status rows_read(struct dataset *d, uint32_t n, uint8_t *out, size_t row_bytes, struct report *report)
{
	for (uint32_t done = 0, got = 0; done < n; done += got) {
		enum status status = dataset_read(d, n - done < READ_ROWS ? n - done : READ_ROWS, out + done * row_bytes, &got, report);
		if (status != STATUS_OK) return status;
		if (got == 0) return report_set(report, STATUS_CORRUPT, "the true neighbours end too early: the file is damaged");
	}
	return STATUS_OK;
}

static enum status ids_load(const char *path, const char *name, uint32_t k, bool all, struct truth_file *t, struct report *report)
{
	struct dataset *d = NULL;
	enum status status = dataset_open_for(&(struct dataset_expected){.part = name, .numbers = true}, path, "hdf5", &d, report);
	if (status != STATUS_OK) return status;
	t->columns = dataset_dim(d) / (uint32_t)sizeof(*t->ids);
	if (dataset_rows(d) < t->queries || (all && dataset_rows(d) > t->queries)) {
		status = report_set(report, STATUS_BAD_REQUEST, "%s gives neighbours of %" PRIu64 " queries in '%s', and there are %" PRIu32 " queries", path,
			dataset_rows(d), name, t->queries);
		goto out;
	}
	if (t->columns < k) {
		status = report_set(report, STATUS_LIMIT, "%s gives %" PRIu32 " neighbours of each query: that is the most for -k", path, t->columns);
		goto out;
	}
	t->ids = calloc((size_t)t->queries * t->columns, sizeof(*t->ids));
	status = t->ids ? rows_read(d, t->queries, (uint8_t *)t->ids, t->columns * sizeof(*t->ids), report) : out_of_memory(report);
out:
	dataset_close(&d);
	return status;
}

/* How many of a row's ids are right. */
static enum status ties_count(const char *path, uint32_t k, struct truth_file *t, struct report *report)
{
	struct dataset *d = NULL;
	float *row = NULL;
	struct report absent = {.status = STATUS_OK};
	enum status status = dataset_open_for(&(struct dataset_expected){.part = DISTANCES}, path, "hdf5", &d, &absent);
	if (status == STATUS_NOT_FOUND) return STATUS_OK;
	if (status != STATUS_OK) return report_set(report, status, "%s", report_text(&absent));
	if (dataset_rows(d) < t->queries || dataset_dim(d) != t->columns || dataset_dtype(d) != DTYPE_F32) {
		status = report_set(report, STATUS_BAD_REQUEST, "%s has no float in '" DISTANCES "' for each neighbour that it gives", path);
		goto out;
	}
	row = calloc(t->columns, sizeof(*row));
	if (!row) status = out_of_memory(report);
	for (uint32_t q = 0; status == STATUS_OK && q < t->queries; q++) {
		status = rows_read(d, 1, (uint8_t *)row, t->columns * sizeof(*row), report);
		for (uint32_t *n = &t->counts[q]; status == STATUS_OK && *n < t->columns && row[*n] == row[k - 1];) ++*n;
	}
out:
	free(row);
	dataset_close(&d);
	return status;
}

enum status truth_file_load(const char *path, const char *name, uint32_t k, uint32_t queries, bool all, struct truth_file *ret, struct report *report)
{
	struct truth_file t = {.queries = queries};
	enum status status = ids_load(path, name, k, all, &t, report);
	if (status == STATUS_OK && !(t.counts = calloc(queries, sizeof(*t.counts)))) status = out_of_memory(report);
	for (uint32_t q = 0; status == STATUS_OK && q < queries; q++) t.counts[q] = k;
	if (status == STATUS_OK) status = ties_count(path, k, &t, report);
	if (status == STATUS_OK)
		*ret = t;
	else
		truth_file_release(&t);
	return status;
}

void truth_file_release(struct truth_file *t)
{
	free(t->ids);
	free(t->counts);
	*t = (struct truth_file){.queries = 0};
}
