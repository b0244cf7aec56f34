/* The bytes of a segment: any part of a section is that part of the whole, and threads write what one thread writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/disk_fixture.h"
#include "tests/unit/engine_fixture.h"
#include "tests/unit/segment_fixture.h"
#include "worker/store/segment_image.h"

/* A part, between bytes that nobody may touch. */
static void part_is_of_the_whole(const struct segment_image *image, enum segment_section section, const uint8_t *whole, uint64_t from, size_t n)
{
	uint8_t *part = malloc(n + 2);

	assert_non_null(part);
	memset(part, 0xa5, n + 2);
	segment_image_fill(image, section, from, n, part + 1);
	assert_true(part[0] == 0xa5 && part[n + 1] == 0xa5);
	assert_memory_equal(part + 1, whole + from, n);
	free(part);
}

static void any_part_of_a_section_is_that_part_of_the_whole(void **state)
{
	struct prng chance;

	(void)state;
	prng_seed(&chance, 11);
	for (int metric = 0; metric < METRIC_COUNT; metric++) {
		struct some_rows *s = some_rows_new((enum metric)metric, 37, 700, 3, 5);
		struct segment_image image;
		s->sequences[4] += (uint64_t)1 << 33; /* five bytes each */
		assert_int_equal(segment_image_init(&image, &s->identity, &s->content), STATUS_OK);
		for (int i = 0; i < SEGMENT_SECTIONS; i++) {
			enum segment_section section = (enum segment_section)i;
			size_t padded = (size_t)segment_padded(image.header.place[i].size);
			uint8_t *whole = malloc(padded + 1);
			assert_non_null(whole);
			segment_image_fill(&image, section, 0, padded, whole);
			for (size_t at = (size_t)image.header.place[i].size; at < padded; at++) assert_int_equal(whole[at], 0);
			for (int tries = 0; padded && tries < 60; tries++) {
				size_t from = prng_below(&chance, (uint32_t)padded), most = padded - from;
				part_is_of_the_whole(&image, section, whole, from, 1 + prng_below(&chance, (uint32_t)(tries % 2 && most > 40 ? 40 : most)));
			}
			free(whole);
		}
		segment_image_release(&image);
		some_rows_free(&s);
	}
}

static uint8_t *file_of(const struct some_rows *s, struct runner *runner, const uint32_t *by_id, size_t *ret_size)
{
	struct segment_content content = s->content;
	struct manifest_segment entry;
	struct segment *segment = NULL;
	uint8_t *bytes;

	content.runner = runner;
	content.by_id = by_id;
	assert_int_equal(segment_write(io, "s", &s->identity, &content, &entry, NULL), STATUS_OK);
	assert_int_equal(segment_open(io, "s", &s->identity, &entry, runner, &segment, NULL), STATUS_OK);
	segment_close(&segment);
	assert_int_equal(io_slurp(io, "s/seg-7.grove", (size_t)1 << 30, &bytes, ret_size), STATUS_OK);
	return bytes;
}

static uint8_t long_payload[9000];
/* Some reach over several chunks of the writer's, taken together. */
static struct segment_bytes payload_of(void *arg, uint32_t i)
{
	(void)arg;
	return (struct segment_bytes){long_payload + i % 7, i % 3 ? 8000 + i % 900 : 0};
}

static void any_number_of_threads_writes_the_same_file(void **state)
{
	struct some_rows *s = some_rows_new(METRIC_ANGULAR, 120, 1000, 3, 6);
	uint32_t by_id[1000], place = 0;
	uint64_t last = 0;
	size_t size, other_size;

	(void)state;
	for (size_t i = 0; i < sizeof(long_payload); i++) long_payload[i] = (uint8_t)(i * 31 + i / 256);
	s->content.payload = payload_of;
	for (place = 0; place < s->n; place++) { /* the rows by ascending id, the slow way */
		uint32_t least = UINT32_MAX;
		for (uint32_t i = 0; i < s->n; i++)
			if ((place == 0 || s->ids[i] > last) && (least == UINT32_MAX || s->ids[i] < s->ids[least])) least = i;
		by_id[place] = least;
		last = s->ids[least];
	}
	uint8_t *file = file_of(s, runner_inline(), NULL, &size);
	assert_true(size > 20 * 262144);
	for (size_t threads = 1; threads <= 4; threads++) {
		struct runner runner = {run_threads, threads};
		uint8_t *other = file_of(s, &runner, threads % 2 ? by_id : NULL, &other_size);
		assert_int_equal(other_size, size);
		assert_memory_equal(other, file, size);
		free(other);
	}
	free(file);
	some_rows_free(&s);
}

static void piece_does_little(void *arg, size_t i)
{
	(void)i;
	atomic_fetch_add((_Atomic size_t *)arg, 1);
}

static struct segment_writer *writer_before_efforts(const struct some_rows *s, struct runner *runner)
{
	struct segment_content content = s->content;
	struct segment_writer *w = NULL;

	content.runner = runner;
	content.ann.tune = (struct tune_view){content.ann.tune.count > 0, NULL};
	assert_int_equal(segment_writer_new(io, "s", &s->identity, &content, &w, NULL), STATUS_OK);
	return w;
}

/* Never begun, half done, or done by the time that the efforts are there. */
static void what_is_written_beside_other_work_is_the_same_file(void **state)
{
	struct some_rows *s = some_rows_new(METRIC_ANGULAR, 120, 1000, 3, 6);
	struct tune_effort efforts[3] = {{2, 10, {.1f, .1f, .1f}}, {4, 20, {.2f, .2f, .2f}}, {8, 40, {.4f, .4f, .4f}}};
	size_t size, other_size;

	(void)state;
	s->content.payload = payload_of;
	s->content.ann.tune = (struct tune_view){3, efforts};
	uint8_t *file = file_of(s, runner_inline(), NULL, &size), *other;
	for (size_t runs = 0; runs < 9; runs++) {
		struct runner runner = {run_threads, 1 + runs % 3};
		struct segment_writer *w = writer_before_efforts(s, &runner);
		struct runner_beside beside;
		struct manifest_segment entry;
		_Atomic size_t done = 0;
		runner_beside_init(&beside, &runner, segment_writer_step, w);
		for (size_t i = 0; i < runs; i++) beside.runner.run(&beside.runner, 2, piece_does_little, &done);
		assert_int_equal(atomic_load(&done), 2 * runs);
		assert_int_equal(segment_writer_finish(&w, &s->content.ann.tune, &entry, NULL), STATUS_OK);
		assert_null(w);
		assert_int_equal(io_slurp(io, "s/seg-7.grove", (size_t)1 << 30, &other, &other_size), STATUS_OK);
		assert_int_equal(other_size, size);
		assert_memory_equal(other, file, size);
		free(other);
	}
	free(file);
	some_rows_free(&s);
}

static void writer_that_is_given_up_leaves_nothing(void **state)
{
	struct some_rows *s = some_rows_new(METRIC_EUCLIDEAN, 120, 1000, 3, 6);
	char **names;
	size_t count;

	(void)state;
	for (int steps = 0; steps < 3; steps++) {
		struct segment_writer *w = writer_before_efforts(s, runner_inline());
		for (int i = 0; i < steps; i++) (void)segment_writer_step(w);
		segment_writer_free(&w);
		assert_null(w);
		assert_int_equal(io->ops->list(io, "s", &names, &count), STATUS_OK);
		assert_int_equal(count, 0);
		io_names_free(&names, count);
	}
	some_rows_free(&s);
}

static enum status write_fails(struct io *i, struct io_file *f, uint64_t offset, const void *bytes, size_t n)
{
	(void)i, (void)f, (void)bytes, (void)n;
	if (offset < 40000) return STATUS_OK;
	io_set_last_error("a disk that is full");
	return STATUS_DISK_FULL;
}

/* Whichever thread it was that wrote. */
static void what_went_wrong_with_the_disk_is_told(void **state)
{
	struct some_rows *s = some_rows_new(METRIC_EUCLIDEAN, 37, 100, 3, 6);
	struct runner runner = {run_threads, 4};
	struct report report = {0};
	struct manifest_segment entry;

	(void)state;
	s->content.runner = &runner;
	const struct io_ops *ops = io->ops;
	struct io_ops full = *ops;
	full.write = write_fails;
	io->ops = &full;
	enum status status = segment_write(io, "s", &s->identity, &s->content, &entry, &report);
	io->ops = ops;
	assert_int_equal(status, STATUS_DISK_FULL);
	assert_non_null(strstr(report.text, "a disk that is full"));
	some_rows_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_part_of_a_section_is_that_part_of_the_whole),
		cmocka_unit_test_setup(any_number_of_threads_writes_the_same_file, folder_set_up),
		cmocka_unit_test_setup(what_is_written_beside_other_work_is_the_same_file, folder_set_up),
		cmocka_unit_test_setup(writer_that_is_given_up_leaves_nothing, folder_set_up),
		cmocka_unit_test_setup(what_went_wrong_with_the_disk_is_told, folder_set_up),
	};

	return cmocka_run_group_tests(tests, disk_set_up, disk_tear_down);
}
