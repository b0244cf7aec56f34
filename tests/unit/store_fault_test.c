/* Whatever call fails, and wherever the power goes, while a segment is written and committed by its manifest: the manifest is the old or
 * the new one, what it lists can be opened, and the next attempt succeeds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/io_sim.h"
#include "tests/unit/segment_fixture.h"

enum { CUT_SEEDS = 10 };

/* A shard's folder with segment 7 live; the change under test replaces it by segment 8. */
struct folder { struct io_sim *sim; struct io *io; struct some_rows *rows; struct manifest old, new; };

static void folder_begin(struct folder *f, uint64_t seed)
{
	f->sim = io_sim_new(seed);
	f->io = io_sim_io(f->sim);
	f->rows = some_rows_new(METRIC_DOT, 7, 150, 2, 5);
	assert_int_equal(f->io->ops->make_dir(f->io, "s"), STATUS_OK);
	assert_int_equal(f->io->ops->sync_dir(f->io, ""), STATUS_OK);
	f->old = (struct manifest){.identity = f->rows->identity, .sequence = 10, .durable = 10, .next_segment = 8, .segment_count = 1};
	f->rows->content.number = 7;
	assert_int_equal(segment_write(f->io, "s", &f->rows->identity, &f->rows->content, &f->old.segments[0], NULL), STATUS_OK);
	assert_int_equal(manifest_store(f->io, "s", &f->old, NULL), STATUS_OK);
	f->rows->content.number = 8;
	f->rows->sequences[0]++;
}

static void folder_end(struct folder *f)
{
	some_rows_free(&f->rows);
	io_sim_free(&f->sim);
}

/* Write segment 8, commit it, remove segment 7: a build's last steps. */
static enum status change(struct folder *f, bool *ret_committed)
{
	enum status status;

	*ret_committed = false;
	f->new = f->old;
	f->new.sequence = 20;
	f->new.next_segment = 9;
	status = segment_write(f->io, "s", &f->rows->identity, &f->rows->content, &f->new.segments[0], NULL);
	if (status != STATUS_OK) return status;
	status = manifest_store(f->io, "s", &f->new, NULL);
	if (status != STATUS_OK) return status;
	*ret_committed = true;
	return segment_sweep(f->io, "s", &f->new);
}

/* What a start finds; true if it is the new state. */
static bool state_is_whole(struct folder *f)
{
	struct manifest m;
	struct segment *segment = NULL;
	struct report report = {0};

	assert_int_equal(manifest_load(f->io, "s", &m, NULL), STATUS_OK);
	assert_true(m.sequence == 10 || m.sequence == 20);
	assert_int_equal(segment_sweep(f->io, "s", &m), STATUS_OK);
	if (segment_open(f->io, "s", &m.identity, &m.segments[0], runner_inline(), &segment, &report) != STATUS_OK) fail_msg("%s", report.text);
	assert_int_equal(segment_info(segment)->number, m.sequence == 10 ? 7 : 8);
	segment_close(&segment);
	return m.sequence == 20;
}

static bool failure_is_survived(uint64_t n, enum status fault, bool forever)
{
	struct folder f;
	bool committed;

	folder_begin(&f, n);
	uint64_t syncs = io_sim_syncs_after_failure(f.sim);
	io_sim_fail_at(f.sim, SIM_ANY, n, fault, forever);
	enum status status = change(&f, &committed);
	bool happened = io_sim_heal(f.sim);
	assert_true(happened || status == STATUS_OK);
	assert_int_equal(io_sim_syncs_after_failure(f.sim), syncs);
	bool is_new = state_is_whole(&f);
	assert_true(is_new || !committed);
	io_sim_power_on(f.sim, n + 7);
	assert_int_equal(state_is_whole(&f), is_new); /* the sweep before made it durable */
	assert_int_equal(change(&f, &committed), STATUS_OK);
	io_sim_power_on(f.sim, n + 8);
	assert_true(state_is_whole(&f));
	folder_end(&f);
	return happened;
}

static void every_call_fails_once_or_for_ever(void **state)
{
	const enum status faults[] = {STATUS_IO, STATUS_DISK_FULL, STATUS_NO_MEMORY};

	for (size_t fault = 0; fault < 6; fault++) {
		uint64_t n = 0;
		while (failure_is_survived(n, faults[fault / 2], fault % 2)) n++;
		assert_true(n > 12);
	}
}

static bool cut_is_survived(uint64_t n, uint64_t seed, uint64_t cuts[IO_PHASE_COUNT])
{
	struct folder f;
	bool committed;

	folder_begin(&f, n);
	io_sim_cut_at(f.sim, n);
	enum status status = change(&f, &committed);
	bool happened = io_sim_heal(f.sim);
	assert_true(happened || status == STATUS_OK);
	io_sim_power_on(f.sim, seed);
	bool is_new = state_is_whole(&f);
	assert_true(is_new || !committed);
	io_sim_power_on(f.sim, seed + 1000);
	assert_int_equal(state_is_whole(&f), is_new);
	for (int i = 0; i < IO_PHASE_COUNT; i++) cuts[i] += io_sim_phase_cuts(f.sim, (enum io_phase)i);
	folder_end(&f);
	return happened;
}

static void the_power_goes_in_every_call(void **state)
{
	uint64_t cuts[IO_PHASE_COUNT] = {0};

	for (uint64_t seed = 0; seed < CUT_SEEDS; seed++) {
		uint64_t n = 0;
		while (cut_is_survived(n, seed, cuts)) n++;
		assert_true(n > 12);
	}
	print_message("power cuts in segment write %" PRIu64 ", in manifest rename %" PRIu64 "\n", cuts[IO_PHASE_SEGMENT_WRITE],
		cuts[IO_PHASE_MANIFEST_RENAME]);
	assert_true(cuts[IO_PHASE_SEGMENT_WRITE] > 0 && cuts[IO_PHASE_MANIFEST_RENAME] > 0);
}

static void a_full_disk_leaves_the_old_state_and_later_goes_on(void **state)
{
	struct folder f;
	bool committed;
	struct report report = {0};

	folder_begin(&f, 1);
	uint64_t size = f.old.segments[0].size;
	for (uint64_t space = 0; space + 300 < size; space += size / 40) {
		struct manifest_segment entry = {.number = 77};
		io_sim_capacity(f.sim, size + 300 + space);
		assert_int_equal(segment_write(f.io, "s", &f.rows->identity, &f.rows->content, &entry, &report), STATUS_DISK_FULL);
		assert_int_equal(entry.number, 77);
		assert_non_null(strstr(report.text, "seg-8.grove"));
		assert_false(state_is_whole(&f));
	}
	io_sim_capacity(f.sim, 1 << 30);
	assert_int_equal(change(&f, &committed), STATUS_OK);
	assert_true(state_is_whole(&f));
	folder_end(&f);
}

static void a_segment_that_cannot_be_read_is_not_opened(void **state)
{
	struct folder f;

	folder_begin(&f, 1);
	for (uint64_t n = 0;; n++) {
		struct segment *segment = NULL;
		io_sim_fail_at(f.sim, SIM_ANY, n, STATUS_IO, false);
		enum status status = segment_open(f.io, "s", &f.rows->identity, &f.old.segments[0], runner_inline(), &segment, NULL);
		bool happened = io_sim_heal(f.sim);
		assert_int_equal(status, happened ? STATUS_IO : STATUS_OK);
		assert_int_equal(segment == NULL, happened);
		segment_close(&segment);
		if (!happened) break;
	}
	folder_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call_fails_once_or_for_ever),
		cmocka_unit_test(the_power_goes_in_every_call),
		cmocka_unit_test(a_full_disk_leaves_the_old_state_and_later_goes_on),
		cmocka_unit_test(a_segment_that_cannot_be_read_is_not_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
