/* cli_ann_write_test.c - index files for Annoy, as far as they can be looked at without it: items and trees are what was asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/dataset.h"
#include "client/cli/write_ann.h"
#include "client/cli/ann_layout.h"
#include "common/buf.h"
#include "common/cursor.h"
#include "common/prng.h"

static uint64_t seed = 20251122;
static const enum metric metrics[] = {METRIC_ANGULAR, METRIC_EUCLIDEAN, METRIC_MANHATTAN, METRIC_HAMMING, METRIC_DOT};

/* What a written file has to be. */
struct written {
	enum metric metric;
	uint32_t dim, count, trees;
	uint64_t *ids;
	uint8_t *rows;
	size_t row_bytes;
	FILE *file;
	struct buf bytes;
};

static enum status write_file(struct written *w, struct report *report)
{
	struct ann_writer *writer = NULL;
	struct ann_write what = {.file = w->file, .name = "x.ann", .metric = w->metric, .dim = w->dim, .trees = w->trees, .seed = seed};
	enum status status = ann_writer_new(&what, &writer, report);
	for (uint32_t i = 0; i < w->count && status == STATUS_OK; i++) status = ann_writer_item(writer, w->ids[i], w->rows + i * w->row_bytes, report);
	if (status == STATUS_OK) status = ann_writer_finish(writer, report);
	ann_writer_free(&writer);
	return status;
}

/* count items whose vectors are one of `kinds`; every id's successor is at most `gap` farther. */
static void written_make(struct written *w, enum metric metric, uint32_t dim, uint32_t count, uint32_t trees, uint32_t kinds, uint32_t gap)
{
	struct prng prng;
	prng_seed(&prng, seed + count);
	*w = (struct written){.metric = metric, .dim = dim, .count = count, .trees = trees, .row_bytes = dtype_row_bytes(metric_dtype(metric), dim)};
	w->ids = calloc(count, sizeof(*w->ids));
	w->rows = calloc(count, w->row_bytes);
	w->file = tmpfile();
	assert_true(w->ids && w->rows && w->file);
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *row = w->rows + i * w->row_bytes;
		w->ids[i] = (i ? w->ids[i - 1] + 1 : 0) + (gap ? prng_below(&prng, gap + 1) : 0);
		if (i >= kinds) {
			memcpy(row, w->rows + prng_below(&prng, kinds) * w->row_bytes, w->row_bytes);
			continue;
		}
		for (uint32_t e = 0; e < dim; e++) {
			float v = (float)(prng_unit(&prng) * 2 - 1);
			if (metric == METRIC_HAMMING) row[e / 8] |= (uint8_t)((v > 0) << (e % 8));
			else store_f32(row + 4 * (size_t)e, v);
		}
	}
	buf_init(&w->bytes, 0);
}

static void written_release(struct written *w)
{
	fclose(w->file);
	free(w->ids);
	free(w->rows);
	buf_release(&w->bytes);
}

static void written_load(struct written *w)
{
	uint8_t *bytes;
	assert_int_equal(fseek(w->file, 0, SEEK_END), 0);
	size_t size = (size_t)ftell(w->file);
	buf_reset(&w->bytes);
	assert_int_equal(buf_extend(&w->bytes, size, &bytes), STATUS_OK);
	assert_int_equal(fseek(w->file, 0, SEEK_SET), 0);
	assert_int_equal(fread(bytes, 1, size, w->file), size);
}

/* The items below a node are marked; no node is met twice. Returns how many there are. */
static uint64_t walk(const struct written *w, uint64_t number, uint64_t slots, uint8_t *seen, bool root)
{
	const struct ann_layout *l = ann_layout_written(w->metric);
	size_t node_bytes = ann_node_bytes(l, w->dim);
	const uint8_t *node = w->bytes.bytes + number * node_bytes;
	uint64_t below = load_u32(node), found = 0;
	assert_false(seen[number]);
	seen[number] = 1;
	if (number < slots) {
		assert_int_equal(below, 1);
		return 1;
	}
	bool bucket = below <= ann_capacity(l, w->dim);
	for (uint64_t i = 0; i < (bucket ? root ? w->count : below : 2); i++)
		found += walk(w, load_u32(node + l->children + 4 * i), slots, seen, false);
	assert_int_equal(root ? slots : found, below);
	return found;
}

/* What the reader finds, and every tree. */
static void expect_written(struct written *w)
{
	size_t node_bytes = ann_node_bytes(ann_layout_written(w->metric), w->dim);
	struct report report = {.status = STATUS_OK};
	struct dataset *d = NULL;
	struct dataset_expected expected = {.metric = w->metric, .dim = w->dim};
	char path[64];
	uint32_t n = 0, done = 0;
	uint8_t *rows = malloc(64 * w->dim * sizeof(float)), *bits = malloc(64 * w->row_bytes);
	if (write_file(w, &report) != STATUS_OK) fail_msg("%s", report.text);
	written_load(w);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fileno(w->file));
	if (dataset_open_for(&expected, path, "ann", &d, &report) != STATUS_OK) fail_msg("%s", report.text);
	assert_int_equal(dataset_trees(d), w->trees);
	assert_int_equal(dataset_rows(d), w->count);
	for (; dataset_read(d, 64, rows, &n, &report) == STATUS_OK && n; done += n) {
		assert_memory_equal(dataset_numbers(d), w->ids + done, n * sizeof(uint64_t));
		if (w->metric == METRIC_HAMMING) assert_int_equal(dataset_pack_bits(DTYPE_U8, rows, n, w->dim, bits, &report), STATUS_OK);
		assert_memory_equal(w->metric == METRIC_HAMMING ? bits : rows, w->rows + done * w->row_bytes, n * w->row_bytes);
	}
	assert_int_equal(done, w->count);
	uint64_t nodes = w->bytes.size / node_bytes, slots = w->ids[w->count - 1] + 1;
	for (uint32_t t = 0; t < w->trees; t++) {
		uint8_t *seen = calloc(nodes, 1);
		assert_int_equal(walk(w, nodes - w->trees + t, slots, seen, true), w->count);
		free(seen);
	}
	dataset_close(&d);
	free(rows);
	free(bits);
}

static void every_tree_of_every_metric_has_every_item_once(void **state)
{
	static const uint32_t counts[] = {1, 2, 3, 8, 50, 2000}, dims[] = {1, 7, 64, 100};
	for (size_t m = 0; m < METRIC_COUNT; m++) {
		for (uint32_t c = 0; c < 24; c++) {
			struct written w;
			written_make(&w, metrics[m], dims[c % 4], counts[c / 4], 1 + c % 3, counts[c / 4], c % 2 ? 4 : 0);
			expect_written(&w);
			written_release(&w);
		}
	}
}

static void items_that_are_alike_are_divided_by_chance(void **state)
{
	for (size_t m = 0; m < METRIC_COUNT; m++) {
		for (uint32_t kinds = 1; kinds <= 2; kinds++) {
			struct written w;
			written_make(&w, metrics[m], 5, 3000, 2, kinds, 0);
			if (kinds == 1) memset(w.rows, 0, w.count * w.row_bytes);
			expect_written(&w);
			written_release(&w);
		}
	}
}

static void huge_numbers_end(void **state)
{
	for (size_t m = 0; m < METRIC_COUNT; m++) {
		struct written w;
		if (metrics[m] == METRIC_HAMMING) continue;
		written_make(&w, metrics[m], 4, 500, 2, 500, 0);
		for (uint32_t i = 0; i < 4 * w.count; i++) store_f32(w.rows + 4 * i, load_f32(w.rows + 4 * i) * 3e38f);
		expect_written(&w);
		written_release(&w);
	}
}

static void same_seed_same_file(void **state)
{
	struct written a, b;
	written_make(&a, METRIC_ANGULAR, 10, 1000, 3, 1000, 1);
	written_make(&b, METRIC_ANGULAR, 10, 1000, 3, 1000, 1);
	expect_written(&a);
	expect_written(&b);
	assert_int_equal(a.bytes.size, b.bytes.size);
	assert_memory_equal(a.bytes.bytes, b.bytes.bytes, a.bytes.size);
	written_release(&b);
	seed++;
	written_make(&b, METRIC_ANGULAR, 10, 1000, 3, 1000, 1);
	memcpy(b.rows, a.rows, a.count * a.row_bytes);
	memcpy(b.ids, a.ids, a.count * sizeof(*a.ids));
	expect_written(&b);
	assert_true(a.bytes.size != b.bytes.size || memcmp(a.bytes.bytes, b.bytes.bytes, a.bytes.size) != 0);
	written_release(&a);
	written_release(&b);
}

static void refused(struct written *w, enum status expected, const char *sentence)
{
	struct report report = {.status = STATUS_OK};
	assert_int_equal(write_file(w, &report), expected);
	if (!strstr(report.text, sentence) || !strstr(report.text, "x.ann")) fail_msg("'%s' does not say '%s'", report.text, sentence);
	rewind(w->file);
}

static void ids_that_are_no_row_numbers_are_refused(void **state)
{
	struct written w;
	written_make(&w, METRIC_EUCLIDEAN, 3, 10, 1, 10, 0);
	w.ids[9] = UINT64_MAX;
	refused(&w, STATUS_LIMIT, "18446744073709551615");
	w.ids[9] = ANN_NODES_MAX;
	refused(&w, STATUS_LIMIT, "below 2147483647");
	w.ids[9] = 11000;
	refused(&w, STATUS_LIMIT, "more than 1000 for each item");
	w.ids[9] = 8;
	refused(&w, STATUS_BAD_REQUEST, "ascending");
	w.count = 0;
	refused(&w, STATUS_BAD_REQUEST, "no items");
	w.count = 10;
	w.ids[9] = 10000;
	expect_written(&w);
	written_release(&w);
}

static void a_full_disk_is_told(void **state)
{
	struct written w;
	struct report report = {.status = STATUS_OK};
	written_make(&w, METRIC_EUCLIDEAN, 3, 10, 1, 10, 0);
	FILE *file = w.file;
	w.file = fopen("/dev/full", "r+b");
	assert_non_null(w.file);
	assert_int_equal(write_file(&w, &report), STATUS_IO);
	assert_non_null(strstr(report.text, strerror(ENOSPC)));
	fclose(w.file);
	w.file = file;
	written_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_tree_of_every_metric_has_every_item_once),
		cmocka_unit_test(items_that_are_alike_are_divided_by_chance),
		cmocka_unit_test(huge_numbers_end),
		cmocka_unit_test(same_seed_same_file),
		cmocka_unit_test(ids_that_are_no_row_numbers_are_refused),
		cmocka_unit_test(a_full_disk_is_told),
	};
	return cmocka_run_group_tests_name("cli_ann_write", tests, NULL, NULL);
}
