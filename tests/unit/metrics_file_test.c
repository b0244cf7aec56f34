/* metrics_file: the file is there from the start, whole whenever it is read, kept up to date, and says the last at the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/metrics_file.h"
#include "tests/support/exposition.h"

enum { PATIENCE_US = 20000000, TEXT_CAP = 1 << 20, HOUR_US = 2000000000 };

static char folder[64];
static struct io *io;
static struct metrics registry;
static struct counter counted;
static struct histogram durations;
static struct report why;

static int setup(void **state)
{
	struct metrics_series c = {.name = "c_total", .help = "c", .counter = &counted}, h = {.name = "h", .help = "h", .histogram = &durations};

	strcpy(folder, "/tmp/grove-metrics-XXXXXX");
	counted = (struct counter){0};
	durations = (struct histogram){0};
	log_set_level(LOG_ERROR); /* the warnings are wanted here */
	return !mkdtemp(folder) || io_posix_open(folder, &io, &why) != STATUS_OK || metrics_init(&registry, NULL, &why) != STATUS_OK
		|| metrics_add(&registry, &c, &why) != STATUS_OK || metrics_add(&registry, &h, &why) != STATUS_OK;
}

static int teardown(void **state)
{
	char command[128];

	io_posix_close(&io);
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

/* What the file says of c_total; -1 if there is none. */
static double file_says(void)
{
	struct exposition e;
	uint8_t *text;
	size_t size;
	enum status status = io_slurp(io, METRICS_FILE_NAME, TEXT_CAP, &text, &size);

	if (status == STATUS_NOT_FOUND) return -1;
	assert_int_equal(status, STATUS_OK);
	exposition_read(&e, (const char *)text, size);
	double value = exposition_value(&e, "c_total", NULL);
	assert_true(exposition_value(&e, "h_count", NULL) >= 0); /* the text goes on to its end */
	exposition_release(&e);
	free(text);
	return value;
}

static void wait_until_it_says(double value)
{
	for (uint64_t end = clock_us() + PATIENCE_US; file_says() < value; clock_sleep_us(1000)) assert_true(clock_us() < end);
}

static struct metrics_file *start(uint64_t pause_us)
{
	struct metrics_file *f = NULL;

	assert_int_equal(metrics_file_start(&registry, io, METRICS_FILE_NAME, pause_us, &f, &why), STATUS_OK);
	return f;
}

static void file_is_there_at_once_and_says_everything_at_the_stop(void **state)
{
	char **names;
	size_t count;
	struct metrics_file *f = start(HOUR_US);

	wait_until_it_says(0);
	counter_add(&counted, 41);
	metrics_file_stop(&f);
	assert_null(f);
	assert_true(file_says() == 41);
	assert_int_equal(io->ops->list(io, "", &names, &count), STATUS_OK);
	assert_int_equal(count, 1); /* no temporary file stays */
	io_names_free(&names, count);
	metrics_file_stop(&f); /* NULL is fine */
}

static void file_follows_and_is_whole_whenever_it_is_read(void **state)
{
	struct metrics_file *f = start(1000);

	wait_until_it_says(0);
	for (int i = 1; i <= 300; i++) {
		counter_add(&counted, 1);
		histogram_observe(&durations, (uint64_t)i);
		double said = file_says();
		assert_true(said >= 0 && said <= i);
		if (i % 100 == 0) wait_until_it_says(i);
	}
	metrics_file_stop(&f);
	assert_true(file_says() == 300);
}

static void rubbish_of_a_crash_does_not_matter(void **state)
{
	struct io_file *rubbish;

	assert_int_equal(io->ops->open(io, METRICS_FILE_NAME ".tmp", IO_CREATE, &rubbish), STATUS_OK);
	assert_int_equal(io->ops->write(io, rubbish, 0, "half a te", 9), STATUS_OK);
	io->ops->close(io, &rubbish);
	struct metrics_file *f = start(HOUR_US);
	metrics_file_stop(&f);
	assert_true(file_says() == 0);
}

/* A folder in the file's place: the rename fails, for root too. */
static void file_that_cannot_be_written_is_tried_again(void **state)
{
	assert_int_equal(io->ops->make_dir(io, METRICS_FILE_NAME), STATUS_OK);
	struct metrics_file *f = start(1000);
	clock_sleep_us(20000);
	assert_int_equal(io->ops->remove_dir(io, METRICS_FILE_NAME), STATUS_OK);
	wait_until_it_says(0);
	metrics_file_stop(&f);
}

static void path_past_the_bound_is_an_error(void **state)
{
	struct metrics_file *f = NULL;
	char path[300];

	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = 0;
	assert_int_equal(metrics_file_start(&registry, io, path, HOUR_US, &f, &why), STATUS_LIMIT);
	assert_null(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(file_is_there_at_once_and_says_everything_at_the_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(file_follows_and_is_whole_whenever_it_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(rubbish_of_a_crash_does_not_matter, setup, teardown),
		cmocka_unit_test_setup_teardown(file_that_cannot_be_written_is_tried_again, setup, teardown),
		cmocka_unit_test_setup_teardown(path_past_the_bound_is_an_error, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
