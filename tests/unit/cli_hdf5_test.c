/* cli_hdf5_test.c - HDF5 files, in the layout of ann-benchmarks and in others, and what is refused of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <math.h>

#include "client/cli/item_source.h"
#include "client/cli/truth_file.h"
#include "common/limits.h"
#include "common/prng.h"
#include "tests/support/hdf5_file.h"
#include "tests/unit/cli_files.h"

static const float nine[9] = {0, 1, 2, 3, 4, 5, 6, 7, 8};

static const char *named(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

/* A file whose `train` is 3 x 3. */
static const char *nine_file(const char *name, struct hdf5_form form, hid_t memory, const void *values)
{
	hid_t file_id = hdf5_file_make(named(name), false);
	hdf5_file_add(file_id, "train", form, 3, 3, memory, values);
	H5Fclose(file_id);
	return path;
}

static void expect_nine_of(const char *name)
{
	float out[OUT_MAX];
	uint32_t rows = 0, dim = 0;
	struct report report = {.status = STATUS_OK};
	if (read_all(named(name), NULL, out, &rows, &dim, &report) != STATUS_OK) fail_msg("%s", report.text);
	assert_int_equal(rows, 3);
	assert_int_equal(dim, 3);
	assert_memory_equal(out, nine, sizeof(nine));
}

static void refused_file(const char *name, const char *part, const char *sentence)
{
	float rows[OUT_MAX];
	struct dataset *d = NULL;
	struct report report = {.status = STATUS_OK};
	uint32_t n = 1;
	enum status status = dataset_open_for(&(struct dataset_expected){.part = part}, named(name), "hdf5", &d, &report);
	while (status == STATUS_OK && n) {
		n = 0;
		status = dataset_read(d, 1, rows, &n, &report);
	}
	dataset_close(&d);
	assert_int_not_equal(status, STATUS_OK);
	if (!strstr(report.text, sentence) || !strstr(report.text, name)) fail_msg("'%s' does not say '%s' and name %s", report.text, sentence, name);
}

static void every_layout_and_type_of_the_dataset_is_read(void **state)
{
	const uint8_t bytes[9] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
	const struct hdf5_form forms[] = {{.type = H5T_IEEE_F32LE}, {.type = H5T_IEEE_F32BE}, {.type = H5T_IEEE_F64LE}, {.type = H5T_STD_U8LE},
		{.type = H5T_IEEE_F32LE, .compact = true}, {.type = H5T_IEEE_F32LE, .chunk = {2, 3}, .deflate = true},
		{.type = H5T_IEEE_F64BE, .chunk = {1, 2}}, {.type = H5T_STD_U8LE, .chunk = {2, 2}, .deflate = true}};
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		nine_file("a.hdf5", forms[i], H5T_NATIVE_FLOAT, nine);
		expect_nine_of("a.hdf5");
	}
	nine_file("a.h5", forms[3], H5T_NATIVE_UCHAR, bytes);
	expect_nine_of("a.h5");
	nine_file("named-otherwise", forms[0], H5T_NATIVE_FLOAT, nine); /* by its first bytes */
	expect_nine_of("named-otherwise");
}

static void bools_are_bytes_of_0_and_1(void **state)
{
	static const uint8_t values[4] = {0, 1, 1, 0};
	struct dataset *d = NULL;
	struct report report;
	uint8_t out[4];
	uint32_t n = 0;
	int8_t no = 0, yes = 1;
	hid_t type = H5Tenum_create(H5T_NATIVE_INT8);
	H5Tenum_insert(type, "FALSE", &no);
	H5Tenum_insert(type, "TRUE", &yes);
	hid_t file_id = hdf5_file_make(named("bool.hdf5"), false);
	hdf5_file_add(file_id, "train", (struct hdf5_form){.type = type}, 2, 2, type, values);
	H5Fclose(file_id);
	H5Tclose(type);
	assert_int_equal(dataset_open(path, NULL, &d, &report), STATUS_OK);
	assert_int_equal(dataset_dtype(d), DTYPE_U8);
	assert_int_equal(dataset_read(d, 2, out, &n, &report), STATUS_OK);
	assert_memory_equal(out, values, 4);
	dataset_close(&d);
}

static void the_dataset_is_chosen_by_its_name(void **state)
{
	const struct hdf5_form form = {.type = H5T_IEEE_F32LE};
	struct dataset *d = NULL;
	struct report report;
	uint32_t n = 0;
	float row[2];
	hid_t file_id = hdf5_file_make(named("parts.hdf5"), false);
	hdf5_file_add(file_id, "train", form, 4, 2, H5T_NATIVE_FLOAT, nine);
	hdf5_file_add(file_id, "test", form, 2, 2, H5T_NATIVE_FLOAT, nine + 4);
	hdf5_file_add(file_id, "neighbors", (struct hdf5_form){.type = H5T_STD_I32LE}, 2, 2, H5T_NATIVE_FLOAT, nine);
	H5Fclose(file_id);
	assert_int_equal(dataset_open_for(&(struct dataset_expected){.part = "test"}, path, NULL, &d, &report), STATUS_OK);
	assert_true(dataset_rows(d) == 2);
	assert_int_equal(dataset_read(d, 1, row, &n, &report), STATUS_OK);
	assert_true(row[0] == 4 && row[1] == 5);
	dataset_close(&d); /* while the program still has a row to give */
	assert_int_equal(dataset_open(path, NULL, &d, &report), STATUS_OK);
	assert_true(dataset_rows(d) == 4);
	dataset_close(&d);
	refused_file("parts.hdf5", "queries", "it has: neighbors, test, train");
	refused_file("parts.hdf5", "neighbors", "neither floats");
	refused_file("parts.hdf5", "/train", "no dataset '/train'");
}

static enum status truth_of(const char *name, uint32_t k, struct truth_file *ret)
{
	struct report report = {.status = STATUS_OK};
	enum status status = truth_file_load(named(name), "neighbors", k, 2, true, ret, &report);
	assert_true(status == STATUS_OK || strstr(report.text, name));
	return status;
}

static void neighbours_of_a_file_are_numbers_and_ties_are_told_by_its_distances(void **state)
{
	static const int64_t ids[8] = {7, INT64_MAX, 0, 1, 2, -1, 4, 5};
	static const float distances[8] = {0, 1, 1, 1, 0, 1, 2, 2}, nan_row[8] = {0, 0, 0, 0, 0, NAN, 0, 0};
	const struct hdf5_form form = {.type = H5T_STD_I64BE, .chunk = {1, 3}}, floats = {.type = H5T_IEEE_F64LE};
	struct truth_file t;
	hid_t file_id = hdf5_file_make(named("alone.hdf5"), false);
	hdf5_file_add(file_id, "neighbors", form, 2, 4, H5T_NATIVE_INT64, ids);
	H5Fclose(file_id);
	assert_int_equal(truth_of("alone.hdf5", 2, &t), STATUS_OK);
	assert_memory_equal(t.ids, ids, sizeof(ids));
	assert_true(t.columns == 4 && t.counts[0] == 2 && t.counts[1] == 2); /* nothing is known of ties */
	truth_file_release(&t);
	assert_int_equal(truth_of("alone.hdf5", 5, &t), STATUS_LIMIT);

	file_id = hdf5_file_make(named("tied.hdf5"), false);
	hdf5_file_add(file_id, "neighbors", (struct hdf5_form){.type = H5T_STD_I32LE}, 2, 4, H5T_NATIVE_INT64, ids);
	hdf5_file_add(file_id, "distances", floats, 2, 4, H5T_NATIVE_FLOAT, distances);
	H5Fclose(file_id);
	assert_int_equal(truth_of("tied.hdf5", 2, &t), STATUS_OK);
	assert_true(t.counts[0] == 4 && t.counts[1] == 2);
	truth_file_release(&t);
	assert_int_equal(truth_of("tied.hdf5", 4, &t), STATUS_OK);
	assert_true(t.counts[0] == 4 && t.counts[1] == 4);
	truth_file_release(&t);

	file_id = hdf5_file_make(named("wrong.hdf5"), false);
	hdf5_file_add(file_id, "neighbors", form, 2, 4, H5T_NATIVE_INT64, ids);
	hdf5_file_add(file_id, "distances", floats, 2, 3, H5T_NATIVE_FLOAT, distances);
	H5Fclose(file_id);
	assert_int_equal(truth_of("wrong.hdf5", 2, &t), STATUS_BAD_REQUEST);
	file_id = hdf5_file_make(named("nan.hdf5"), false);
	hdf5_file_add(file_id, "neighbors", form, 2, 4, H5T_NATIVE_INT64, ids);
	hdf5_file_add(file_id, "distances", floats, 2, 4, H5T_NATIVE_FLOAT, nan_row);
	H5Fclose(file_id);
	assert_int_equal(truth_of("nan.hdf5", 2, &t), STATUS_BAD_REQUEST);
	file_id = hdf5_file_make(named("floats.hdf5"), false);
	hdf5_file_add(file_id, "neighbors", floats, 2, 4, H5T_NATIVE_FLOAT, distances);
	H5Fclose(file_id);
	assert_int_equal(truth_of("floats.hdf5", 2, &t), STATUS_UNSUPPORTED);
}

static void shapes_that_are_no_vectors_are_refused(void **state)
{
	const struct hdf5_form floats = {.type = H5T_IEEE_F32LE}, chunks = {.type = H5T_IEEE_F32LE, .chunk = {1, 1}};
	hid_t file_id = hdf5_file_make(named("shapes.hdf5"), false);
	hdf5_file_add(file_id, "flat", floats, 9, 0, H5T_NATIVE_FLOAT, nine);
	hdf5_file_add(file_id, "none", floats, 0, 3, H5T_NATIVE_FLOAT, NULL);
	hdf5_file_add(file_id, "wide", floats, 1, DIM_MAX + 1, H5T_NATIVE_FLOAT, NULL);
	hdf5_file_add(file_id, "holes", chunks, 3, 3, H5T_NATIVE_FLOAT, NULL);
	hdf5_file_add(file_id, "unwritten", floats, 3, 3, H5T_NATIVE_FLOAT, NULL);
	hdf5_file_add(file_id, "endless", chunks, (hsize_t)1 << 60, 3, H5T_NATIVE_FLOAT, NULL);
	hdf5_file_add(file_id, "rows", chunks, (hsize_t)1 << 50, 3, H5T_NATIVE_FLOAT, NULL);
	hdf5_file_add(file_id, "band", (struct hdf5_form){.type = H5T_STD_U8LE, .chunk = {1 << 28, 2}}, 1 << 28, 2, H5T_NATIVE_UCHAR, NULL);
	hdf5_file_add(file_id, "int", (struct hdf5_form){.type = H5T_STD_I8LE}, 3, 3, H5T_NATIVE_FLOAT, nine);
	H5Gclose(H5Gcreate2(file_id, "group", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
	H5Fclose(file_id);
	static const char *const cases[][2] = {{"flat", "two dimensions"}, {"none", "no vectors"}, {"wide", "65536"}, {"holes", "not written whole"},
		{"unwritten", "not written whole"}, {"endless", "no file can hold"}, {"rows", "not written whole"}, {"band", "1 GiB"},
		{"int", "neither floats"}, {"group", "that is none"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) refused_file("shapes.hdf5", cases[i][0], cases[i][1]);
	const float inf[9] = {0, 1, 2, 3, 1e38f * 10, 5};
	nine_file("inf.hdf5", floats, H5T_NATIVE_FLOAT, inf);
	refused_file("inf.hdf5", NULL, "row 1");
}

/* A hostile file must not bring what other files hold into an index. */
static void a_file_that_reaches_for_other_files_is_refused(void **state)
{
	static const hsize_t dims[2] = {3, 3};
	char secret[128];
	snprintf(secret, sizeof(secret), "%s", nine_file("secret.hdf5", (struct hdf5_form){.type = H5T_IEEE_F32LE}, H5T_NATIVE_FLOAT, nine));
	hid_t file_id = hdf5_file_make(named("links.hdf5"), false), space = H5Screate_simple(2, dims, NULL);
	assert_true(H5Lcreate_external(secret, "train", file_id, "link", H5P_DEFAULT, H5P_DEFAULT) >= 0);
	assert_true(H5Lcreate_soft("link", file_id, "soft", H5P_DEFAULT, H5P_DEFAULT) >= 0);
	hid_t external = H5Pcreate(H5P_DATASET_CREATE), virtual = H5Pcreate(H5P_DATASET_CREATE);
	assert_true(H5Pset_external(external, secret, 0, 36) >= 0);
	assert_true(H5Pset_virtual(virtual, space, secret, "train", space) >= 0);
	H5Dclose(H5Dcreate2(file_id, "external", H5T_IEEE_F32LE, space, H5P_DEFAULT, external, H5P_DEFAULT));
	H5Dclose(H5Dcreate2(file_id, "virtual", H5T_IEEE_F32LE, space, H5P_DEFAULT, virtual, H5P_DEFAULT));
	H5Pclose(external);
	H5Pclose(virtual);
	H5Sclose(space);
	H5Fclose(file_id);
	refused_file("links.hdf5", "link", "a link in the place");
	refused_file("links.hdf5", "soft", "a link in the place");
	refused_file("links.hdf5", "external", "made of other files");
	refused_file("links.hdf5", "virtual", "made of other files");
}

static void what_is_no_plain_hdf5_file_is_refused(void **state)
{
	char command[512];
	file("not.hdf5", "\x89HDF\r\n\x1a\n and then nonsense", 26);
	refused_file("not.hdf5", NULL, "no HDF5 file");
	nine_file("z.hdf5", (struct hdf5_form){.type = H5T_IEEE_F32LE}, H5T_NATIVE_FLOAT, nine);
	snprintf(command, sizeof(command), "gzip -c %s/z.hdf5 > %s/z.hdf5.gz", folder, folder);
	assert_int_equal(system(command), 0);
	refused_file("z.hdf5.gz", NULL, "plain file");
}

static size_t children(void)
{
	size_t n = 0;
	char name[64], text[64] = "";
	snprintf(name, sizeof(name), "/proc/self/task/%d/children", (int)getpid());
	FILE *f = fopen(name, "r");
	assert_non_null(f);
	while (fscanf(f, "%63s", text) == 1) n++;
	fclose(f);
	return n;
}

/* libhdf5 itself may crash: whatever happens, it is the file that is told to be damaged, and no process is left behind. */
static void damaged_files_are_refused_or_read_and_never_end_us(void **state)
{
	enum { TRIES = 150 };
	uint64_t seed = getenv("GROVE_SEED") ? strtoull(getenv("GROVE_SEED"), NULL, 10) : 20261121;
	struct prng prng;
	uint8_t bytes[65536], copy[65536];
	uint32_t whole = 0;
	prng_seed(&prng, seed);
	nine_file("d.hdf5", (struct hdf5_form){.type = H5T_IEEE_F32LE, .chunk = {2, 3}, .deflate = true}, H5T_NATIVE_FLOAT, nine);
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	size_t size = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	for (uint32_t i = 0; i < TRIES; i++) {
		float out[OUT_MAX];
		uint32_t rows = 0, dim = 0;
		struct report report = {.status = STATUS_OK};
		size_t keep = i % 3 ? size : prng_below(&prng, (uint32_t)size);
		memcpy(copy, bytes, size);
		for (uint32_t n = prng_below(&prng, 8); n-- > 0;) copy[prng_below(&prng, (uint32_t)size)] = (uint8_t)prng_below(&prng, 256);
		enum status status = read_all(file("d.hdf5", copy, keep), "hdf5", out, &rows, &dim, &report);
		whole += status == STATUS_OK;
		if (status != STATUS_OK && !strstr(report.text, "d.hdf5")) fail_msg("seed %" PRIu64 ", try %u: %s", seed, i, report.text);
	}
	assert_true(whole > 0 && whole < TRIES);
	assert_int_equal(children(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_layout_and_type_of_the_dataset_is_read),
		cmocka_unit_test(bools_are_bytes_of_0_and_1),
		cmocka_unit_test(the_dataset_is_chosen_by_its_name),
		cmocka_unit_test(neighbours_of_a_file_are_numbers_and_ties_are_told_by_its_distances),
		cmocka_unit_test(shapes_that_are_no_vectors_are_refused),
		cmocka_unit_test(a_file_that_reaches_for_other_files_is_refused),
		cmocka_unit_test(what_is_no_plain_hdf5_file_is_refused),
		cmocka_unit_test(damaged_files_are_refused_or_read_and_never_end_us),
	};
	H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
	return cmocka_run_group_tests_name("cli_hdf5", tests, folder_make, folder_remove);
}
