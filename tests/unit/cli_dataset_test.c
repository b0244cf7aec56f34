/* cli_dataset_test.c - files of vectors, labels and ids: what is read, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "client/cli/item_source.h"
#include "client/grove.h"
#include "common/limits.h"
#include "tests/unit/cli_files.h"

static size_t npy(uint8_t *out, int version, const char *dict, const void *body, size_t n)
{
	size_t head = version == 1 ? 10 : 12, size = strlen(dict);
	memcpy(out, "\x93NUMPY", 6);
	out[6] = (uint8_t)version;
	out[7] = 0;
	memset(out + 8, 0, 4);
	out[8] = (uint8_t)size;
	out[9] = (uint8_t)(size >> 8);
	memcpy(out + head, dict, size);
	memcpy(out + head + size, body, n);
	return head + size + n;
}

static const uint8_t idx_bytes[] = {0, 0, 8, 2, 0, 0, 0, 3, 0, 0, 0, 3, 0, 1, 2, 3, 4, 5, 6, 7, 8};

static void idx_of_bytes_and_of_floats_is_read(void **state)
{
	uint8_t floats[16 + 36] = {
		0, 0, 0x0d, 3, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 3}; /* 3 x 1 x 3: the last two make the vector */
	for (int i = 0; i < 9; i++) {
		float v = (float)i;
		uint8_t raw[4];
		memcpy(raw, &v, 4);
		for (int b = 0; b < 4; b++) floats[16 + 4 * i + b] = raw[3 - b];
	}
	expect_nine("a.idx", idx_bytes, sizeof(idx_bytes));
	expect_nine("a-idx3-ubyte", idx_bytes, sizeof(idx_bytes));
	expect_nine("named-otherwise", idx_bytes, sizeof(idx_bytes)); /* by its first bytes */
	expect_nine("f.idx", floats, sizeof(floats));
}

static void damaged_idx_is_refused(void **state)
{
	uint8_t copy[32];
	refused("cut.idx", idx_bytes, sizeof(idx_bytes) - 1, "cut off");
	refused("head.idx", idx_bytes, 3, "too early");
	refused("empty.idx", idx_bytes, 0, "empty");
	memcpy(copy, idx_bytes, sizeof(idx_bytes));
	copy[sizeof(idx_bytes)] = 9;
	refused("long.idx", copy, sizeof(idx_bytes) + 1, "bytes");
	copy[2] = 0x0b;
	refused("type.idx", copy, sizeof(idx_bytes), "0x0b");
	copy[2] = 8;
	copy[0] = 1;
	refused("magic.idx", copy, sizeof(idx_bytes), "no idx file");
	const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, 1, 7};
	refused("labels.idx", labels, sizeof(labels), "dimensions");
	const uint8_t huge[] = {
		0, 0, 8, 4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	refused("huge.idx", huge, sizeof(huge), "65536");
}

static void npy_of_every_version_and_type_is_read(void **state)
{
	uint8_t out[256], bytes[9];
	float f[9];
	double g[9];
	for (int i = 0; i < 9; i++) {
		f[i] = (float)i;
		g[i] = i;
		bytes[i] = (uint8_t)i;
	}
	expect_nine("a.npy", out, npy(out, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3), }\n", f, sizeof(f)));
	expect_nine("b.npy", out, npy(out, 2, "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 3), }\n", g, sizeof(g)));
	expect_nine("c.npy", out,
		npy(out, 3, "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 3, 1), }\n", bytes, sizeof(bytes)));
}

static void npy_of_other_kinds_is_refused(void **state)
{
	uint8_t out[256];
	const float f[9] = {0};
	const char *const rest = "'fortran_order': False, 'shape': (3, 3), }\n";
	char dict[128];
	snprintf(dict, sizeof(dict), "{'descr': '<i8', %s", rest);
	refused("i8.npy", out, npy(out, 1, dict, f, sizeof(f)), "'<i8'");
	refused("order.npy", out, npy(out, 1, "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 3), }\n", f, sizeof(f)),
		"Fortran");
	refused("flat.npy", out, npy(out, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (9,), }\n", f, sizeof(f)),
		"shape");
	refused("none.npy", out, npy(out, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3), }\n", f, 0),
		"no vectors");
	refused("huge.npy", out,
		npy(out, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999, 3), }\n", f, sizeof(f)),
		"cut off");
	refused("wrap.npy", out,
		npy(out, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (6148914691236517206, 3), }\n", f, 36),
		"no file can hold");
	refused("wide.npy", out, npy(out, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 65537), }\n", f, sizeof(f)),
		"65536");
	refused("nodict.npy", out, npy(out, 1, "nonsense", f, sizeof(f)), "type");
	refused("version.npy", out, npy(out, 4, "{}", f, 0), "version");
}

static void values_that_are_not_finite_are_refused_with_their_row(void **state)
{
	uint8_t out[256];
	float f[9] = {0, 1, 2, 3, 4, 5, 6, NAN, 8};
	refused("nan.npy", out, npy(out, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3), }\n", f, sizeof(f)),
		"row 2");
	double g[3] = {1, 1e300, 2};
	refused("wide.npy", out, npy(out, 1, "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 3), }\n", g, sizeof(g)),
		"row 0");
}

static void fvecs_is_read_and_uneven_rows_are_refused(void **state)
{
	struct {
		int32_t dim;
		float v[3];
	} rows[3] = {{3, {0, 1, 2}}, {3, {3, 4, 5}}, {3, {6, 7, 8}}};
	expect_nine("a.fvecs", rows, sizeof(rows));
	refused("cut.fvecs", rows, sizeof(rows) - 2, "whole rows");
	rows[1].dim = 4;
	refused("uneven.fvecs", rows, sizeof(rows), "row 1");
	rows[0].dim = -1;
	refused("negative.fvecs", rows, sizeof(rows), "65536");
	refused("head.fvecs", rows, 3, "too early");
}

static void bvecs_is_read_and_uneven_rows_are_refused(void **state)
{
	uint8_t rows[] = {3, 0, 0, 0, 0, 1, 2, 3, 0, 0, 0, 3, 4, 5, 3, 0, 0, 0, 6, 7, 8};
	const uint8_t none[4] = {0};
	expect_nine("a.bvecs", rows, sizeof(rows));
	refused("cut.bvecs", rows, sizeof(rows) - 2, "whole rows");
	refused("none.bvecs", none, sizeof(none), "vectors of 0 numbers");
	refused("head.bvecs", rows, 3, "no bvecs file");
	rows[7] = 4;
	refused("uneven.bvecs", rows, sizeof(rows), "row 1");
}

static void fbin_and_u8bin_are_read_and_damaged_ones_refused(void **state)
{
	struct {
		uint32_t rows, dim;
		float v[9];
	} f = {3, 3, {0, 1, 2, 3, 4, 5, 6, 7, 8}};
	uint8_t b[] = {3, 0, 0, 0, 3, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};
	expect_nine("a.fbin", &f, sizeof(f));
	expect_nine("a.u8bin", b, sizeof(b));
	refused("cut.fbin", &f, sizeof(f) - 1, "cut off");
	refused("head.fbin", &f, 7, "too early");
	refused("cut.u8bin", b, sizeof(b) - 1, "cut off");
	f.v[4] = INFINITY;
	refused("inf.fbin", &f, sizeof(f), "row 1");
	f.rows = UINT32_MAX;
	f.dim = DIM_MAX;
	refused("huge.fbin", &f, sizeof(f), "cut off");
	f.dim = UINT32_MAX;
	refused("wide.fbin", &f, sizeof(f), "65536");
	b[0] = 0;
	refused("none.u8bin", b, sizeof(b), "no vectors");
}

static void csv_is_read_with_any_separator_and_heading(void **state)
{
	static const char *const texts[] = {
		"0,1,2\n3,4,5\n6,7,8\n", "x,y,z\n0;1;2\r\n\n3 4\t5\r\n  6, 7 , 8", "0 1 2\n3 4 5\n6 7 8e0\n", "\xef\xbb\xbf" "0,1,2\n3,4,5\n6,7,8\n",
		"\xef\xbb\xbf\n0,1,2\n3,4,5\n6,7,8"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) expect_nine("a.csv", texts[i], strlen(texts[i]));
	expect_nine("a.tsv", texts[0], strlen(texts[0]));
}

static void csv_mistakes_are_told_with_their_line(void **state)
{
	static const struct {
		const char *text, *sentence;
	} cases[] = {{"1,2,3\n4,5\n", "line 2"}, {"1,2,3\na,b,c\n", "line 2"}, {"1,2,nan\n", "line 1"},
		{"1,2,3\n\n1,inf,3\n", "line 3"}, {"x,y\n", "no vectors"}, {"1,2\n3,4,\n", "line 2"}, {"1,2\n1e99,2\n", "line 2"},
		{"1,x\n1,2\n", "line 1"}, {"1,2\n\xef\xbb\xbf" "3,4\n", "line 2"}, {"\xef\xbb\xbf", "no vectors"}, {"1,2,3\n4,5,6,7\n", "4 numbers"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refused("bad.csv", cases[i].text, strlen(cases[i].text), cases[i].sentence);
	refused("zero.csv", "1,2\n3,4\0,5\n", 12, "zero byte");
}

static void compressed_files_are_read_and_cut_ones_refused(void **state)
{
	char command[512];
	float out[OUT_MAX];
	uint32_t rows = 0, dim = 0;
	struct report report;
	file("z.idx", idx_bytes, sizeof(idx_bytes));
	snprintf(command, sizeof(command), "gzip -c %s/z.idx > %s/z.idx.gz && head -c -12 %s/z.idx.gz > %s/cut.idx.gz", folder,
		folder, folder, folder);
	assert_int_equal(system(command), 0);
	snprintf(path, sizeof(path), "%s/z.idx.gz", folder);
	assert_int_equal(read_all(path, NULL, out, &rows, &dim, &report), STATUS_OK);
	assert_int_equal(rows, 3);
	assert_true(out[8] == 8);
	snprintf(path, sizeof(path), "%s/cut.idx.gz", folder);
	assert_int_not_equal(read_all(path, NULL, out, &rows, &dim, &report), STATUS_OK);
	assert_true(strstr(report.text, "cut.idx.gz: unexpected end of file") != NULL); /* and not a name that zlib made up */
}

static void unknown_formats_and_files_are_refused(void **state)
{
	struct report report;
	struct dataset *d = NULL;
	refused("a.unknown", "what is this", 12, "--format");
	assert_int_equal(dataset_open(file("b", idx_bytes, sizeof(idx_bytes)), "jpeg", &d, &report), STATUS_USAGE);
	assert_int_equal(dataset_open("/nonexistent/x.npy", NULL, &d, &report), STATUS_NOT_FOUND);
	assert_int_equal(dataset_open(folder, "csv", &d, &report), STATUS_IO);
	assert_null(d);
}

static void bits_are_packed_row_by_row(void **state)
{
	struct report report;
	uint8_t out[4];
	const uint8_t bytes[20] = {1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1};
	const float floats[2] = {0, 2};
	assert_int_equal(dataset_pack_bits(DTYPE_U8, bytes, 2, 10, out, &report), STATUS_OK);
	assert_memory_equal(out, "\x01\x01\x02\x02", 4);
	assert_int_equal(dataset_pack_bits(DTYPE_F32, floats, 1, 2, out, &report), STATUS_BAD_REQUEST);
	assert_non_null(strstr(report.text, "element 1"));
}

static void labels_come_from_idx_and_from_text(void **state)
{
	static const uint8_t idx[] = {0, 0, 8, 1, 0, 0, 0, 2, 9, 255};
	struct report report;
	struct labels *l = NULL;
	const char *label;
	for (int text = 0; text < 2; text++) {
		assert_int_equal(
			labels_open(text ? file("l.txt", "9\n255", 5) : file("l.idx", idx, sizeof(idx)), &l, &report), STATUS_OK);
		assert_int_equal(labels_next(l, &label, &report), STATUS_OK);
		assert_string_equal(label, "9");
		assert_int_equal(labels_next(l, &label, &report), STATUS_OK);
		assert_string_equal(label, "255");
		assert_int_equal(labels_next(l, &label, &report), STATUS_OK);
		assert_null(label);
		labels_close(&l);
	}
	assert_int_equal(labels_open(file("cut.idx", idx, 9), &l, &report), STATUS_OK);
	assert_int_equal(labels_next(l, &label, &report), STATUS_OK);
	assert_int_equal(labels_next(l, &label, &report), STATUS_CORRUPT);
	labels_close(&l);
	assert_int_equal(labels_open(file("long.idx", "\0\0\x08\1\0\0\0\1xy", 10), &l, &report), STATUS_OK);
	assert_int_equal(labels_next(l, &label, &report), STATUS_OK);
	assert_int_equal(labels_next(l, &label, &report), STATUS_CORRUPT);
	assert_non_null(strstr(report.text, "long.idx"));
	labels_close(&l);
	assert_int_equal(labels_open(file("zero.txt", "shirt\n\0boot\n", 12), &l, &report), STATUS_OK);
	assert_int_equal(labels_next(l, &label, &report), STATUS_OK);
	assert_int_equal(labels_next(l, &label, &report), STATUS_BAD_REQUEST);
	labels_close(&l);
}

/* Two files, ids and labels beside them, in batches of two rows. */
static void source_joins_files_ids_and_labels(void **state)
{
	char a[128], b[128], ids[128], labels[128];
	snprintf(a, sizeof(a), "%s", file("s1.csv", "0,1\n1,0\n1,1\n", 12));
	snprintf(b, sizeof(b), "%s", file("s2.csv", "0,0\n", 4));
	snprintf(ids, sizeof(ids), "%s", file("ids.txt", "9007199254740993\n18446744073709551615\n0\n5\n", 42));
	snprintf(labels, sizeof(labels), "%s", file("labels.txt", "a\nb\nc\nd\n", 8));
	const char *const files[] = {a, b};
	static const uint64_t expected[4] = {(UINT64_C(1) << 53) + 1, UINT64_MAX, 0, 5};
	for (int bits = 0; bits < 2; bits++) {
		struct item_source *s = NULL;
		struct item_batch batch;
		struct report report = {.status = STATUS_OK};
		struct item_source_options o = {
			.files = files, .file_count = 2, .ids = ids, .labels = labels, .dim = 2, .metric = bits ? METRIC_HAMMING : METRIC_EUCLIDEAN};
		uint32_t seen = 0;
		item_batch_init(&batch);
		if (item_source_open(&o, &s, &report) != STATUS_OK) fail_msg("%s", report.text);
		for (;;) {
			if (item_source_read(s, 16, &batch, &report) != STATUS_OK) fail_msg("%s", report.text);
			if (batch.count == 0) break;
			assert_int_equal(batch.dtype, bits ? GROVE_BITS : GROVE_F32);
			assert_int_equal(batch.payload_sizes.size, 4 * batch.count);
			for (uint32_t i = 0; i < batch.count; i++)
				assert_true(((const uint64_t *)(const void *)batch.ids.bytes)[i] == expected[seen + i]);
			if (bits && seen == 0) assert_memory_equal(batch.rows.bytes, "\x02\x01", 2);
			seen += batch.count;
		}
		assert_int_equal(seen, 4);
		item_batch_release(&batch);
		item_source_close(&s);
	}
}

static enum status drain(const struct item_source_options *o, struct report *report)
{
	struct item_source *s = NULL;
	struct item_batch batch;
	enum status status = item_source_open(o, &s, report);
	if (status != STATUS_OK) return status;
	item_batch_init(&batch);
	do {
		status = item_source_read(s, 1 << 20, &batch, report);
	} while (status == STATUS_OK && batch.count);
	item_batch_release(&batch);
	item_source_close(&s);
	return status;
}

static void ids_and_labels_must_be_as_many_as_vectors(void **state)
{
	static const struct {
		const char *ids, *labels, *sentence;
	} cases[] = {{"1\n", NULL, "fewer ids"}, {"1\n2\n3\n", NULL, "more ids"}, {"1\nx\n", NULL, "no id"},
		{"1\n18446744073709551616\n", NULL, "no id"}, {NULL, "a\n", "fewer labels"}, {NULL, "a\nb\nc\n", "more labels"}};
	char vectors[128], other[128];
	snprintf(vectors, sizeof(vectors), "%s", file("v.csv", "0,1\n1,0\n", 8));
	const char *const files[] = {vectors};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct report report = {.status = STATUS_OK};
		const char *text = cases[i].ids ? cases[i].ids : cases[i].labels;
		snprintf(other, sizeof(other), "%s", file("other.txt", text, strlen(text)));
		struct item_source_options o = {.files = files,
			.file_count = 1,
			.ids = cases[i].ids ? other : NULL,
			.labels = cases[i].labels ? other : NULL,
			.dim = 2};
		assert_int_not_equal(drain(&o, &report), STATUS_OK);
		if (!strstr(report.text, cases[i].sentence)) fail_msg("'%s' does not say: %s", report.text, cases[i].sentence);
	}
}

/* However short the vectors are: what travels in one message has a limit. */
static void long_labels_make_smaller_batches(void **state)
{
	enum { ROWS = 5000 };
	char vectors[128], labels[128], *rows = malloc(ROWS * 2), *lines = malloc(ROWS * (size_t)(LABEL_MAX + 1));
	struct report report = {.status = STATUS_OK};
	struct item_source *s = NULL;
	struct item_batch b = {.count = 1};
	size_t seen = 0;
	assert_non_null(rows);
	assert_non_null(lines);
	memset(lines, 'x', ROWS * (size_t)(LABEL_MAX + 1));
	for (size_t i = 0; i < ROWS; i++) {
		memcpy(rows + 2 * i, "1\n", 2);
		lines[(i + 1) * (LABEL_MAX + 1) - 1] = '\n';
	}
	snprintf(vectors, sizeof(vectors), "%s", file("many.csv", rows, ROWS * 2));
	snprintf(labels, sizeof(labels), "%s", file("long.txt", lines, ROWS * (size_t)(LABEL_MAX + 1)));
	const char *const files[] = {vectors};
	struct item_source_options o = {.files = files, .file_count = 1, .labels = labels, .dim = 1};
	assert_int_equal(item_source_open(&o, &s, &report), STATUS_OK);
	for (item_batch_init(&b), b.count = 1; b.count; seen += b.count) {
		if (item_source_read(s, 1 << 20, &b, &report) != STATUS_OK) fail_msg("%s", report.text);
		assert_true(b.rows.size + b.ids.size + b.payloads.size + b.payload_sizes.size < CLIENT_FRAME_MAX);
	}
	assert_int_equal(seen, ROWS);
	item_batch_release(&b);
	item_source_close(&s);
	free(rows);
	free(lines);
}

static void counted_ids_end_at_the_largest_and_dimensions_must_fit(void **state)
{
	struct report report = {.status = STATUS_OK};
	char vectors[128];
	snprintf(vectors, sizeof(vectors), "%s", file("v.csv", "0,1\n1,0\n", 8));
	const char *const files[] = {vectors};
	struct item_source_options o = {.files = files, .file_count = 1, .start_id = UINT64_MAX - 1, .dim = 2};
	assert_int_equal(drain(&o, &report), STATUS_OK);
	o.start_id = UINT64_MAX;
	assert_int_equal(drain(&o, &report), STATUS_LIMIT);
	o.start_id = 0;
	o.dim = 3;
	assert_int_equal(drain(&o, &report), STATUS_BAD_REQUEST);
	assert_non_null(strstr(report.text, "3 dimensions"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idx_of_bytes_and_of_floats_is_read),
		cmocka_unit_test(damaged_idx_is_refused),
		cmocka_unit_test(npy_of_every_version_and_type_is_read),
		cmocka_unit_test(npy_of_other_kinds_is_refused),
		cmocka_unit_test(values_that_are_not_finite_are_refused_with_their_row),
		cmocka_unit_test(fvecs_is_read_and_uneven_rows_are_refused),
		cmocka_unit_test(bvecs_is_read_and_uneven_rows_are_refused),
		cmocka_unit_test(fbin_and_u8bin_are_read_and_damaged_ones_refused),
		cmocka_unit_test(csv_is_read_with_any_separator_and_heading),
		cmocka_unit_test(csv_mistakes_are_told_with_their_line),
		cmocka_unit_test(compressed_files_are_read_and_cut_ones_refused),
		cmocka_unit_test(unknown_formats_and_files_are_refused),
		cmocka_unit_test(bits_are_packed_row_by_row),
		cmocka_unit_test(labels_come_from_idx_and_from_text),
		cmocka_unit_test(source_joins_files_ids_and_labels),
		cmocka_unit_test(ids_and_labels_must_be_as_many_as_vectors),
		cmocka_unit_test(long_labels_make_smaller_batches),
		cmocka_unit_test(counted_ids_end_at_the_largest_and_dimensions_must_fit),
	};
	return cmocka_run_group_tests_name("cli_dataset", tests, folder_make, folder_remove);
}
