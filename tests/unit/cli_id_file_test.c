/* Files of ids: text and npy, whole and damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/id_file.h"
#include "common/cursor.h"

static char path[64];

static int make_path(void **state)
{
	snprintf(path, sizeof(path), "/tmp/grove-ids-XXXXXX");
	int fd = mkstemp(path);
	return fd < 0 || close(fd);
}

static int remove_path(void **state) { return unlink(path); }

static void write_bytes(const void *bytes, size_t n)
{
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

/* The head of a version 1 file, then n ids. */
static void write_npy(const char *descr, const char *shape, const uint64_t *ids, size_t n)
{
	uint8_t out[512] = "\x93NUMPY\x01";
	int size = snprintf((char *)out + 10, 200, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }\n", descr, shape);
	store_u16(out + 8, (uint16_t)size);
	for (size_t i = 0; i < n; i++) store_u64(out + 10 + size + 8 * i, ids[i]);
	write_bytes(out, 10 + (size_t)size + 8 * n);
}

/* All of it: how many ids, or the status of what is wrong. */
static int read_all(uint64_t *out, struct report *report)
{
	struct id_file *f = NULL;
	int n = 0;
	bool end = false;
	enum status status = id_file_open(path, &f, report);
	while (status == STATUS_OK) {
		status = id_file_next(f, &out[n], &end, report);
		if (status != STATUS_OK || end) break;
		n++;
	}
	id_file_close(&f);
	return status == STATUS_OK ? n : status;
}

static const uint64_t some[] = {7, 0, UINT64_MAX};

static void text_and_npy_hold_the_same_ids(void **state)
{
	uint64_t got[8];
	struct report report;
	write_bytes("7\n0\n18446744073709551615\n", 25);
	assert_int_equal(read_all(got, &report), 3);
	assert_memory_equal(got, some, sizeof(some));
	write_bytes("7\n0\r\n18446744073709551615\n\n", 27);
	assert_int_equal(read_all(got, &report), 3);
	write_npy("<u8", "(3,)", some, 3);
	assert_int_equal(read_all(got, &report), 3);
	assert_memory_equal(got, some, sizeof(some));
	write_npy("<i8", "(2,)", some, 2);
	assert_int_equal(read_all(got, &report), 2);
	write_npy("<u8", "(0,)", some, 0);
	assert_int_equal(read_all(got, &report), 0);
}

static void refused(int status, const char *said)
{
	uint64_t got[8];
	struct report report;
	assert_int_equal(read_all(got, &report), status);
	assert_non_null(strstr(report.text, path));
	assert_non_null(strstr(report.text, said));
}

static void what_is_no_list_of_ids_is_refused_with_a_sentence(void **state)
{
	write_bytes("7\nx\n", 4);
	refused(STATUS_BAD_REQUEST, "'x'");
	write_bytes("7\n\n8\n", 5);
	refused(STATUS_BAD_REQUEST, "empty line");
	write_bytes("-1\n", 3);
	refused(STATUS_BAD_REQUEST, "'-1'");
	write_npy("<i8", "(3,)", some, 3);
	refused(STATUS_BAD_REQUEST, "-1");
	write_npy("<u8", "(4,)", some, 3);
	refused(STATUS_CORRUPT, "fewer");
	write_npy("<u8", "(2,)", some, 3);
	refused(STATUS_CORRUPT, "more");
	write_npy("<u8", "(3, 1)", some, 3);
	refused(STATUS_BAD_REQUEST, "one dimension");
	write_npy("<f4", "(3,)", some, 3);
	refused(STATUS_BAD_REQUEST, "numpy.uint64");
	write_npy("<u8", "()", some, 0);
	refused(STATUS_BAD_REQUEST, "shape");
	write_bytes("\x93NUMPY\x09\x00\x00\x00", 10);
	refused(STATUS_CORRUPT, "version");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(text_and_npy_hold_the_same_ids, make_path, remove_path),
		cmocka_unit_test_setup_teardown(what_is_no_list_of_ids_is_refused_with_a_sentence, make_path, remove_path),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
