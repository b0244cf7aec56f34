/* cli_files.h - what the tests of the readers share: a folder of files made of bytes, which are read, or refused with a sentence.
 * Included behind cmocka.h, once in each program. */
#ifndef UNIT_CLI_FILES_H
#define UNIT_CLI_FILES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/dataset.h"

enum { OUT_MAX = 64 };

static char folder[] = "/tmp/grove-dataset-XXXXXX";
static char path[128];

static inline const char *file(const char *name, const void *bytes, size_t n)
{
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	fclose(f);
	return path;
}

static inline enum status read_all(
	const char *name, const char *format, float *out, uint32_t *ret_n, uint32_t *ret_dim, struct report *report)
{
	struct dataset *d = NULL;
	enum status status = dataset_open(name, format, &d, report);
	if (status != STATUS_OK) return status;
	*ret_dim = dataset_dim(d);
	*ret_n = 0;
	for (;;) {
		uint32_t n = 0;
		float rows[OUT_MAX];
		status = dataset_read(d, 2, rows, &n, report); /* two at a time: the seams show */
		if (status != STATUS_OK || n == 0) break;
		for (size_t i = 0; i < (size_t)n * *ret_dim && *ret_n * *ret_dim + i < OUT_MAX; i++)
			out[*ret_n * *ret_dim + i] = dataset_dtype(d) == DTYPE_U8 ? (float)((const uint8_t *)rows)[i] : rows[i];
		*ret_n += n;
	}
	dataset_close(&d);
	return status;
}

static inline void refused(const char *name, const void *bytes, size_t n, const char *sentence)
{
	float out[OUT_MAX];
	uint32_t rows, dim;
	struct report report = {.status = STATUS_OK};
	assert_int_not_equal(read_all(file(name, bytes, n), NULL, out, &rows, &dim, &report), STATUS_OK);
	if (!strstr(report.text, sentence) || !strstr(report.text, name))
		fail_msg("'%s' does not say '%s' and name %s", report.text, sentence, name);
}

/* Rows 0 1 2, 3 4 5, 6 7 8 in every format. */
static inline void expect_nine(const char *name, const void *bytes, size_t n)
{
	float out[OUT_MAX];
	uint32_t rows = 0, dim = 0;
	struct report report = {.status = STATUS_OK};
	if (read_all(file(name, bytes, n), NULL, out, &rows, &dim, &report) != STATUS_OK) fail_msg("%s", report.text);
	assert_int_equal(rows, 3);
	assert_int_equal(dim, 3);
	for (int i = 0; i < 9; i++) assert_true(out[i] == (float)i);
}

static inline int folder_make(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}
static inline int folder_remove(void **state)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

#endif
