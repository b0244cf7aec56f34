/* The simulated disk forgets what it may forget and keeps what it must: the fault tests rest on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/support/io_sim.h"

enum { SEEDS = 200 };

static struct io_sim *sim;
static struct io *io;

static int sim_set_up(void **state)
{
	sim = io_sim_new(1);
	io = io_sim_io(sim);
	return 0;
}

static int sim_tear_down(void **state)
{
	io_sim_free(&sim);
	return 0;
}

static struct io_file *file_open(const char *path, enum io_mode mode)
{
	struct io_file *f = NULL;

	assert_int_equal(io->ops->open(io, path, mode, &f), STATUS_OK);
	return f;
}

static void text_write(struct io_file *f, uint64_t at, const char *text)
{
	assert_int_equal(io->ops->write(io, f, at, text, strlen(text)), STATUS_OK);
}

/* Whether the file is there; its text. */
static bool text_read(const char *path, char out[64])
{
	uint8_t *bytes;
	size_t n;
	enum status status = io_slurp(io, path, 63, &bytes, &n);

	if (status == STATUS_NOT_FOUND) return false;
	assert_int_equal(status, STATUS_OK);
	memcpy(out, bytes, n);
	out[n] = 0;
	free(bytes);
	return true;
}

static void what_was_synced_survives_a_power_cut(void **state)
{
	char text[64];

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		assert_int_equal(io_replace(io, "kept", "whole", 5), STATUS_OK);
		io_sim_power_on(sim, seed);
		assert_true(text_read("kept", text));
		assert_string_equal(text, "whole");
	}
}

static void what_was_not_synced_may_go_or_stay(void **state)
{
	unsigned names = 0, bytes = 0, zeros = 0;
	char text[64];

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct io_file *f = file_open("new", IO_CREATE);
		text_write(f, 0, "abc");
		io->ops->close(io, &f);
		io_sim_power_on(sim, seed);
		if (!text_read("new", text)) continue;
		names++;
		bytes += strcmp(text, "abc") == 0;
		assert_int_equal(io->ops->open(io, "new", IO_READ, &f), STATUS_OK);
		uint64_t size;
		assert_int_equal(io->ops->size(io, f, &size), STATUS_OK);
		zeros += size == 3 && text[0] == 0;
		io->ops->close(io, &f);
		assert_int_equal(io->ops->remove(io, "new"), STATUS_OK);
		assert_int_equal(io->ops->sync_dir(io, ""), STATUS_OK);
	}
	assert_in_range(names, SEEDS / 4, SEEDS * 3 / 4);
	assert_in_range(bytes, 1, names - 1);
	assert_in_range(zeros, 1, names - 1);
}

static void a_rename_without_its_folders_sync_may_be_undone(void **state)
{
	unsigned renamed = 0;
	char text[64];

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		assert_int_equal(io_replace(io, "a", "old", 3), STATUS_OK);
		struct io_file *f = file_open("b", IO_APPEND);
		text_write(f, 0, "new");
		assert_int_equal(io->ops->sync(io, f), STATUS_OK);
		io->ops->close(io, &f);
		assert_int_equal(io->ops->sync_dir(io, ""), STATUS_OK);
		assert_int_equal(io->ops->rename(io, "b", "a"), STATUS_OK);
		io_sim_power_on(sim, seed);
		assert_true(text_read("a", text));
		assert_true(strcmp(text, "old") == 0 || strcmp(text, "new") == 0);
		renamed += strcmp(text, "new") == 0;
	}
	assert_in_range(renamed, SEEDS / 4, SEEDS * 3 / 4);
}

static void a_sync_after_a_failed_one_writes_nothing_of_the_old(void **state)
{
	char text[64];
	struct io_file *f = file_open("f", IO_CREATE);

	text_write(f, 0, "aaaa");
	assert_int_equal(io->ops->sync(io, f), STATUS_OK);
	assert_int_equal(io->ops->sync_dir(io, ""), STATUS_OK);
	text_write(f, 0, "bbbb");
	io_sim_fail_at(sim, SIM_ONLY(SIM_SYNC), 0, STATUS_IO, false);
	assert_int_equal(io->ops->sync(io, f), STATUS_IO);
	assert_true(io_sim_heal(sim));
	assert_int_equal(io->ops->sync(io, f), STATUS_OK);
	assert_int_equal(io_sim_syncs_after_failure(sim), 1);
	assert_true(text_read("f", text));
	assert_string_equal(text, "bbbb");
	io->ops->close(io, &f);
	io_sim_power_on(sim, 1);
	assert_true(text_read("f", text));
	assert_string_equal(text, "aaaa");
}

static void a_full_disk_takes_what_fits(void **state)
{
	char text[64];
	struct io_file *f = file_open("f", IO_CREATE);

	io_sim_capacity(sim, 6);
	text_write(f, 0, "abcd");
	assert_int_equal(io->ops->write(io, f, 4, "efgh", 4), STATUS_DISK_FULL);
	assert_true(text_read("f", text));
	assert_string_equal(text, "abcdef");
	assert_int_equal(io->ops->write(io, f, 0, "ABCDEF", 6), STATUS_OK); /* over itself needs no space */
	assert_int_equal(io->ops->truncate(io, f, 1), STATUS_OK);
	text_write(f, 1, "xy");
	io->ops->close(io, &f);
	assert_true(text_read("f", text));
	assert_string_equal(text, "Axy");
}

static void faults_come_when_they_were_asked_for(void **state)
{
	struct io_file *f = file_open("f", IO_CREATE);

	io_sim_fail_at(sim, SIM_ONLY(SIM_WRITE), 1, STATUS_IO, true);
	text_write(f, 0, "a");
	assert_int_equal(io->ops->sync(io, f), STATUS_OK);
	for (int i = 0; i < 3; i++) assert_int_equal(io->ops->write(io, f, 1, "b", 1), STATUS_IO);
	assert_true(io_sim_heal(sim));
	text_write(f, 1, "b");
	assert_false(io_sim_heal(sim));
	io->ops->phase(io, IO_PHASE_WAL_SYNC);
	io_sim_cut_at(sim, 1);
	assert_int_equal(io->ops->sync(io, f), STATUS_OK);
	assert_int_equal(io->ops->sync(io, f), STATUS_IO);
	assert_int_equal(io->ops->remove(io, "f"), STATUS_IO);
	assert_int_equal(io_sim_phase_cuts(sim, IO_PHASE_WAL_SYNC), 1);
	io_sim_power_on(sim, 1);
	assert_int_equal(io->ops->sync(io, f), STATUS_IO); /* a handle of the former life */
	io->ops->close(io, &f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, sim_set_up, sim_tear_down)
		CLAIM(what_was_synced_survives_a_power_cut),
		CLAIM(what_was_not_synced_may_go_or_stay),
		CLAIM(a_rename_without_its_folders_sync_may_be_undone),
		CLAIM(a_sync_after_a_failed_one_writes_nothing_of_the_old),
		CLAIM(a_full_disk_takes_what_fits),
		CLAIM(faults_come_when_they_were_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
