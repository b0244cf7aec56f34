/* cli_ann_test.c - Annoy's index files: the items of every layout are read, and what is no such file is refused with a sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/dataset.h"
#include "client/cli/item_source.h"
#include "tests/support/watched.h"
#include "tests/unit/annoy_fixture.h"

enum { ROWS_MAX = 1024, DIM_MOST = 130, FLIPS = 10000 };

static char folder[] = "/tmp/grove-ann-XXXXXX";
static char path[64];
static uint64_t seed = 20251121;

static void file_write(const void *bytes, size_t n)
{
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

struct items {
	uint32_t n, trees;
	uint64_t numbers[ROWS_MAX];
	float rows[ROWS_MAX * DIM_MOST];
};
static struct items read_items;

/* `at_once` rows at a time; what is refused has a sentence that names the file. */
static enum status items_read(enum metric metric, uint32_t dim, uint32_t at_once, struct report *report)
{
	struct dataset *d = NULL;
	struct dataset_expected expected = {.metric = metric, .dim = dim};
	float rows[64 * DIM_MOST];
	uint32_t n = 1;
	struct items *items = &read_items;
	items->n = 0;
	enum status status = dataset_open_for(&expected, path, "ann", &d, report);
	if (status == STATUS_OK) {
		assert_int_equal(dataset_dim(d), dim);
		items->trees = dataset_trees(d);
	}
	while (status == STATUS_OK && n > 0) {
		n = 0;
		status = dataset_read(d, at_once, rows, &n, report);
		assert_true(items->n + n <= ROWS_MAX);
		for (uint32_t i = 0; i < n; i++, items->n++) {
			items->numbers[items->n] = dataset_numbers(d)[i];
			for (uint32_t e = 0; e < dim; e++)
				items->rows[items->n * dim + e] =
					metric == METRIC_HAMMING ? (float)((uint8_t *)rows)[i * dim + e] : rows[i * dim + e];
		}
	}
	if (status == STATUS_OK) assert_int_equal(dataset_rows(d), items->n);
	else if (status != report->status || !strstr(report->text, path) || strlen(report->text) < strlen(path) + 8)
		fail_msg("seed %lu: status %d, sentence '%s'", (unsigned long)seed, status, report->text);
	dataset_close(&d);
	return status;
}

static void expect_items(const struct annoy_file *f, uint32_t trees, uint32_t at_once)
{
	const struct ann_layout *l = f->layout;
	struct report report = {.status = STATUS_OK};
	uint32_t seen = 0;
	file_write(f->bytes, f->nodes * f->node);
	if (items_read(l->metric, f->dim, at_once, &report) != STATUS_OK)
		fail_msg("%s, %s, dim %u, %lu ids, %u trees: %s", metric_name(l->metric), l->versions, f->dim, (unsigned long)f->items, trees,
			report.text);
	assert_int_equal(read_items.trees, trees);
	for (uint64_t i = 0; i < f->items; i++) {
		const uint8_t *node = annoy_node(f, i);
		if (*node == 0) continue;
		assert_int_equal(read_items.numbers[seen], i);
		for (uint32_t e = 0; e < f->dim; e++) {
			float v = l->metric == METRIC_HAMMING ? (float)(node[l->vector + e / 8] >> (e % 8) & 1)
							      : load_f32(node + l->vector + 4 * (size_t)e);
			assert_true(read_items.rows[seen * f->dim + e] == v);
		}
		seen++;
	}
	assert_int_equal(read_items.n, seen);
}

static void items_and_trees_of_every_layout_are_read(void **state)
{
	static const uint32_t dims[] = {1, 3, 10, 64, DIM_MOST}, counts[] = {1, 2, 7, 40, 300}, trees[] = {1, 2, 7};
	for (const struct ann_layout *l = ann_layouts; l->versions; l++) {
		for (uint32_t c = 0; c < 75; c++) {
			struct annoy_file f;
			annoy_file_make(&f, l, dims[c % 5], counts[c / 5 % 5], c % 2 ? 3 : 0, trees[c / 25], seed + c);
			expect_items(&f, trees[c / 25], c % 3 ? 64 : 1);
			free(f.bytes);
		}
	}
}

static void old_angular_files_have_no_norms(void **state)
{
	struct annoy_file f;
	annoy_file_make(&f, ann_layout_written(METRIC_ANGULAR), 5, 50, 4, 3, seed);
	for (uint64_t i = 0; i < f.items; i++) store_u32(annoy_node(&f, i) + 4, 0);
	expect_items(&f, 3, 64);
	free(f.bytes);
}

/* 1.11 to 1.13 have them for every metric but hamming. */
static void other_files_have_norms_in_place_of_a_child(void **state)
{
	static const enum metric metrics[] = {METRIC_EUCLIDEAN, METRIC_MANHATTAN, METRIC_DOT};
	for (size_t m = 0; m < 3; m++) {
		struct annoy_file f;
		const struct ann_layout *l = ann_layout_written(metrics[m]);
		annoy_file_make(&f, l, 5, 50, 4, 3, seed);
		for (uint64_t i = 0; i < f.items; i++) {
			if (*annoy_node(&f, i)) store_f32(annoy_node(&f, i) + l->children, 1.5f);
		}
		expect_items(&f, 3, 64);
		free(f.bytes);
	}
}

/* Put scikit-plots' head before the file that is on the disk. */
static void head_write(const struct annoy_file *f, enum metric named, uint64_t items)
{
	uint8_t *bytes = calloc(1, ANN_HEAD_BYTES + f->nodes * f->node);
	assert_non_null(bytes);
	store_u32(bytes, ANN_HEAD_MAGIC);
	store_u16(bytes + 4, 1);
	bytes[6] = f->layout->metric == METRIC_HAMMING ? 8 : 4;
	bytes[7] = f->layout->id_bytes;
	store_u32(bytes + 8, (uint32_t)f->node);
	store_u32(bytes + 12, f->dim);
	store_u64(bytes + 16, items);
	store_u32(bytes + 24, ann_metric_hash(named));
	memcpy(bytes + ANN_HEAD_BYTES, f->bytes, f->nodes * f->node);
	file_write(bytes, ANN_HEAD_BYTES + f->nodes * f->node);
	free(bytes);
}

static void refused_as(enum metric metric, uint32_t dim, const char *sentence)
{
	struct report report = {.status = STATUS_OK};
	assert_int_not_equal(items_read(metric, dim, 64, &report), STATUS_OK);
	if (!strstr(report.text, sentence)) fail_msg("'%s' does not say '%s'", report.text, sentence);
}

static void a_head_of_scikit_plots_is_skipped_and_has_to_be_right(void **state)
{
	assert_int_equal(ann_metric_hash(METRIC_ANGULAR), 0xf5ec47e9);
	for (const struct ann_layout *l = ann_layouts; l->versions; l++) {
		struct annoy_file f;
		struct report report = {.status = STATUS_OK};
		enum metric other = l->metric == METRIC_DOT ? METRIC_ANGULAR : METRIC_DOT;
		annoy_file_make(&f, l, 5, 50, 4, 3, seed);
		head_write(&f, l->metric, 50);
		if (items_read(l->metric, 5, 64, &report) != STATUS_OK) fail_msg("%s", report.text);
		assert_int_equal(read_items.trees, 3);
		refused_as(other, 5, "of another metric");
		refused_as(l->metric, 70, "another metric or dimension");
		for (size_t n = ANN_HEAD_BYTES + f.nodes * f.node; n-- > 0;) {
			assert_int_equal(truncate(path, (off_t)n), 0);
			assert_int_not_equal(items_read(l->metric, 5, 64, &report), STATUS_OK);
		}
		head_write(&f, l->metric, 49);
		refused_as(l->metric, 5, "other items than the file's head");
		free(f.bytes);
	}
}

static void every_truncation_is_refused(void **state)
{
	for (const struct ann_layout *l = ann_layouts; l->versions; l++) {
		struct annoy_file f;
		annoy_file_make(&f, l, 6, 40, 5, 2, seed);
		file_write(f.bytes, f.nodes * f.node);
		for (size_t n = f.nodes * f.node; n-- > 0;) {
			struct report report = {.status = STATUS_OK};
			assert_int_equal(truncate(path, (off_t)n), 0);
			if (items_read(l->metric, 6, 64, &report) == STATUS_OK) fail_msg("%s: %zu bytes are read", l->versions, n);
		}
		free(f.bytes);
	}
}

/* Whatever is flipped, the answer comes, and is a sentence or at most as many items as there are nodes. */
static void flipped_bits_are_refused_or_read(void **state)
{
	uint32_t refused = 0, layouts = 0, flips = memory_watched() ? FLIPS / 5 : FLIPS; /* the fuzzer of such files has 8,000 of them a second */

	for (const struct ann_layout *l = ann_layouts; l->versions; l++, layouts++) {
		struct annoy_file f;
		annoy_file_make(&f, l, 3, 40, 5, 2, seed);
		file_write(f.bytes, f.nodes * f.node);
		FILE *file = fopen(path, "r+b");
		assert_non_null(file);
		setbuf(file, NULL);
		for (uint32_t i = 0; i < flips; i++) {
			struct report report = {.status = STATUS_OK};
			size_t at = prng_below(&f.prng, (uint32_t)(f.nodes * f.node));
			uint8_t byte = f.bytes[at] ^ (uint8_t)(1 << prng_below(&f.prng, 8));
			assert_true(fseek(file, (long)at, SEEK_SET) == 0 && fwrite(&byte, 1, 1, file) == 1);
			if (items_read(l->metric, 3, 64, &report) != STATUS_OK) refused++;
			else assert_true(read_items.n <= f.nodes);
			assert_true(fseek(file, (long)at, SEEK_SET) == 0 && fwrite(f.bytes + at, 1, 1, file) == 1);
		}
		fclose(file);
		free(f.bytes);
	}
	assert_true(refused > layouts * flips / 4); /* of most of the others, planes and coordinates, nobody knows that they were otherwise */
}

/* One byte of a good euclidean file with dim 4: nodes of 32 bytes, 8 to a bucket; 40 items, and node 40 is a bucket. */
static void damage(struct annoy_file *f, uint64_t node, size_t at, uint8_t byte, const char *sentence)
{
	uint8_t *target = annoy_node(f, node) + at, before = *target;
	*target = byte;
	file_write(f->bytes, f->nodes * f->node);
	refused_as(f->layout->metric, f->dim, sentence);
	*target = before;
}

static void what_is_wrong_is_said(void **state)
{
	struct annoy_file f;
	annoy_file_make(&f, ann_layout_written(METRIC_EUCLIDEAN), 4, 40, 0, 2, seed);
	uint64_t last = f.nodes - 1, split = f.nodes - 3; /* the root of the second tree */
	damage(&f, 3, 0, 2, "node 3 is neither an item nor a gap");
	damage(&f, 3, 0, 0, "node 3 is neither an item nor a gap");
	damage(&f, 3, 13, 1, "node 3 is an item and has a child");
	damage(&f, 40, 8, 40, "node 40 has an item that is not in the file");
	damage(&f, 40, 0, 0, "node 40 has more items below it than there are, or none");
	damage(&f, split, 10, 1, "has a child that is not in the file");
	damage(&f, split, 0, 41, "has more items below it");
	damage(&f, last, 20, annoy_node(&f, last)[20] ^ 0x55, "the copies of its roots are not at its end");
	damage(&f, last, 3, 1, "counts more items than there are nodes");
	store_u32(annoy_node(&f, 7) + 16, 0x7fc00000);
	file_write(f.bytes, f.nodes * f.node);
	refused_as(METRIC_EUCLIDEAN, 4, "row 7");
	/* Which fault is found first depends on the coordinates. A metric whose nodes are as long may even find none: bits may be anything. */
	refused_as(METRIC_EUCLIDEAN, 5, "");
	file_write(f.bytes, 40 * f.node); /* items alone: build() was forgotten */
	refused_as(METRIC_EUCLIDEAN, 4, "is no euclidean index");
	free(f.bytes);
	annoy_file_make(&f, ann_layout_written(METRIC_ANGULAR), 4, 40, 0, 2, seed);
	damage(&f, 3, 6, annoy_node(&f, 3)[6] ^ 0x40, "node 3 has another norm than its vector");
	free(f.bytes);
	annoy_file_make(&f, ann_layout_written(METRIC_HAMMING), 4, 40, 0, 2, seed);
	damage(&f, 3, 16, 0x1f, "node 3 has bits past its dimension");
	free(f.bytes);
}

static void metric_and_dimension_have_to_be_known_and_the_file_plain(void **state)
{
	struct annoy_file f;
	struct dataset *d = NULL;
	struct report report = {.status = STATUS_OK};
	char command[512];
	annoy_file_make(&f, ann_layout_written(METRIC_EUCLIDEAN), 4, 40, 0, 2, seed);
	file_write(f.bytes, f.nodes * f.node);
	free(f.bytes);
	assert_int_not_equal(dataset_open(path, NULL, &d, &report), STATUS_OK);
	assert_non_null(strstr(report.text, "--metric and --dim"));
	snprintf(command, sizeof(command), "gzip -c %s > %s.gz && mv %s.gz %s", path, path, path, path);
	assert_int_equal(system(command), 0);
	refused_as(METRIC_EUCLIDEAN, 4, "name the unpacked file");
	file_write("", 0);
	refused_as(METRIC_EUCLIDEAN, 4, "empty");
}

/* Items keep Annoy's ids, counted from --start-id; a second file goes on behind the largest. */
static void source_keeps_the_ids_of_the_file(void **state)
{
	struct annoy_file f;
	struct item_source *s = NULL;
	struct item_batch batch;
	struct report report = {.status = STATUS_OK};
	const char *const files[] = {path, path};
	uint64_t expected[2 * ROWS_MAX], count = 0, seen = 0;
	struct item_source_options o = {.files = files, .file_count = 2, .dim = 4, .metric = METRIC_EUCLIDEAN, .start_id = 1000};
	annoy_file_make(&f, ann_layout_written(METRIC_EUCLIDEAN), 4, 40, 3, 2, seed);
	file_write(f.bytes, f.nodes * f.node);
	for (uint64_t i = 0; i < 2 * f.items; i++) {
		if (*annoy_node(&f, i % f.items)) expected[count++] = 1000 + i;
	}
	free(f.bytes);
	item_batch_init(&batch);
	assert_int_equal(item_source_open(&o, &s, &report), STATUS_OK);
	assert_int_equal(item_source_trees(s), 2);
	assert_int_equal(item_source_expected(s), count);
	while (item_source_read(s, 100, &batch, &report) == STATUS_OK && batch.count) {
		for (uint32_t i = 0; i < batch.count; i++)
			assert_int_equal(((const uint64_t *)(const void *)batch.ids.bytes)[i], expected[seen++]);
	}
	assert_int_equal(seen, count);
	item_source_close(&s);
	o.start_id = UINT64_MAX - 20;
	assert_int_equal(item_source_open(&o, &s, &report), STATUS_OK);
	enum status status;
	do status = item_source_read(s, 100, &batch, &report);
	while (status == STATUS_OK && batch.count);
	assert_int_equal(status, STATUS_LIMIT);
	item_source_close(&s);
	item_batch_release(&batch);
}

static int folder_make(void **state)
{
	if (getenv("GROVE_SEED")) seed = strtoull(getenv("GROVE_SEED"), NULL, 10);
	if (!mkdtemp(folder)) return -1;
	snprintf(path, sizeof(path), "%s/items.ann", folder);
	return 0;
}
static int folder_remove(void **state)
{
	return unlink(path) == 0 ? rmdir(folder) : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_and_trees_of_every_layout_are_read),
		cmocka_unit_test(old_angular_files_have_no_norms),
		cmocka_unit_test(other_files_have_norms_in_place_of_a_child),
		cmocka_unit_test(a_head_of_scikit_plots_is_skipped_and_has_to_be_right),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(flipped_bits_are_refused_or_read),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(metric_and_dimension_have_to_be_known_and_the_file_plain),
		cmocka_unit_test(source_keeps_the_ids_of_the_file),
	};
	return cmocka_run_group_tests_name("cli_ann", tests, folder_make, folder_remove);
}
