/* Whatever call fails, and wherever the power goes: what was acknowledged is there, what was rejected is not, what is unknown
 * is whole or absent, and a log that its own writer left is never taken for a damaged one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/io_sim.h"
#include "tests/unit/store_fixture.h"

enum { SEQUENCES_MAX = 400, STEPS = 16, SCRIPTS = 10, CUT_SEEDS = 6 };
enum fate { FATE_NONE, FATE_ACKED, FATE_UNKNOWN, FATE_REJECTED };

/* What the world outside knows of the log. */
struct world {
	struct io_sim *sim;
	struct io *io;
	struct wal *wal;
	struct prng prng;
	enum fate fate[SEQUENCES_MAX];
	uint64_t salt[SEQUENCES_MAX], salts; /* of the last attempt at each sequence */
	uint64_t acked, after, resyncs;
	bool made;
};

static uint64_t world_salt(void *arg, uint64_t sequence)
{
	struct world *w = arg;

	return sequence < SEQUENCES_MAX ? w->salt[sequence] : 0;
}

static enum status world_open(struct world *w)
{
	struct replayed got = {.last = w->after, .salt_of = world_salt, .arg = w};
	struct report report = {0};
	uint64_t next = 0;
	enum status status = w->made ? STATUS_OK : wal_create(w->io, "s", uuid_of(1), NULL);

	if (status != STATUS_OK) return status;
	if (!w->made) status = w->io->ops->sync_dir(w->io, "s"); /* as storing the manifest does */
	if (status != STATUS_OK) return status;
	w->made = true;
	status = wal_open(w->io, "s", uuid_of(1), w->after, w->after, replayed_apply, &got, &w->wal, &next, &report);
	assert_false(got.wrong);
	if (status == STATUS_CORRUPT) fail_msg("%s", report.text);
	if (status != STATUS_OK) return status;
	assert_true(next - 1 >= w->acked && next < SEQUENCES_MAX);
	for (uint64_t s = w->after + 1; s < next; s++) {
		assert_true(w->fate[s] == FATE_ACKED || w->fate[s] == FATE_UNKNOWN);
		w->fate[s] = FATE_ACKED; /* it was given back once: from now on it stays */
	}
	w->acked = next - 1;
	for (uint64_t s = next; s < SEQUENCES_MAX; s++) w->fate[s] = FATE_NONE;
	w->resyncs = io_sim_syncs_after_failure(w->sim);
	return STATUS_OK;
}

static struct world *world_new(uint64_t seed)
{
	struct world *w = calloc(1, sizeof *w);

	assert_non_null(w);
	w->sim = io_sim_new(seed);
	w->io = io_sim_io(w->sim);
	prng_seed(&w->prng, seed);
	assert_int_equal(w->io->ops->make_dir(w->io, "s"), STATUS_OK);
	assert_int_equal(w->io->ops->sync_dir(w->io, ""), STATUS_OK);
	return w;
}

static void world_free(struct world **w)
{
	wal_close(&(*w)->wal, false);
	io_sim_free(&(*w)->sim);
	free(*w);
	*w = NULL;
}

/* One attempt at a group; its fate by the answer. */
static enum status world_write(struct world *w, uint32_t n)
{
	uint64_t first = wal_next(w->wal);
	enum status status;

	assert_int_equal(first, w->acked + 1);
	w->salts++;
	for (uint32_t i = 0; i < n; i++) w->salt[first + i] = w->salts;
	status = records_append(w->wal, n, w->salts);
	if (status == STATUS_OK) status = wal_commit(w->wal, NULL);
	for (uint32_t i = 0; i < n; i++)
		w->fate[first + i] = status == STATUS_OK ? FATE_ACKED : status == STATUS_DISK_FULL ? FATE_REJECTED : FATE_UNKNOWN;
	if (status == STATUS_OK) w->acked += n;
	if (status == STATUS_OK) assert_int_equal(wal_durable(w->wal), w->acked);
	return status;
}

static enum status world_reopen(struct world *w, bool clean)
{
	wal_close(&w->wal, clean);
	return world_open(w);
}

static enum status world_step(struct world *w)
{
	switch (prng_below(&w->prng, 10)) {
	case 0: return wal_rotate(w->wal, NULL);
	case 1: w->after = w->acked; return wal_remove_through(w->wal, w->after);
	case 2: return world_reopen(w, true);
	case 3: return world_reopen(w, false);
	case 4: {
		enum status status = records_append(w->wal, 2, 999);
		wal_discard(w->wal);
		return status;
	}
	default: return world_write(w, 1 + prng_below(&w->prng, 4));
	}
}

/* The process is gone, the machine runs on: what is in the page cache is still there. */
static void world_restart(struct world *w)
{
	assert_int_equal(io_sim_syncs_after_failure(w->sim), w->resyncs); /* a failed sync was never tried again */
	wal_close(&w->wal, false);
	(void)io_sim_heal(w->sim);
	assert_int_equal(world_open(w), STATUS_OK);
}

static void world_power_cut(struct world *w, uint64_t seed)
{
	wal_close(&w->wal, false);
	io_sim_power_on(w->sim, seed);
	assert_int_equal(world_open(w), STATUS_OK);
}

/* The script with the fault at call n; false if it has fewer calls. In the end the power goes too, and all is still there. */
static bool fault_is_survived(uint64_t script, uint64_t n, enum status fault, bool forever)
{
	struct world *w = world_new(script);
	bool happened = false;

	io_sim_fail_at(w->sim, SIM_ANY, n, fault, forever);
	if (world_open(w) != STATUS_OK) {
		happened = io_sim_heal(w->sim);
		assert_true(happened);
		assert_int_equal(world_open(w), STATUS_OK);
	}
	for (int step = 0; step < STEPS; step++) {
		enum status status = world_step(w);
		if (status == STATUS_OK) continue;
		if ((status == STATUS_DISK_FULL || status == STATUS_NO_MEMORY) && w->wal) continue; /* goes on by itself, when there is space */
		if (!happened) happened = io_sim_heal(w->sim);
		assert_true(happened);
		world_restart(w);
	}
	if (io_sim_heal(w->sim)) happened = true;
	if (world_write(w, 2) != STATUS_OK) { /* stopped by the fault in the last step, or by a full disk that could not be undone */
		assert_true(happened);
		world_restart(w);
		assert_int_equal(world_write(w, 2), STATUS_OK);
	}
	world_power_cut(w, script * 1000 + n);
	world_free(&w);
	return happened;
}

static void every_call_fails_once_or_for_ever(void **state)
{
	const enum status faults[] = {STATUS_IO, STATUS_DISK_FULL, STATUS_NO_MEMORY};

	for (uint64_t script = 0; script < SCRIPTS; script++) {
		for (size_t fault = 0; fault < 6; fault++) {
			uint64_t n = 0;
			while (fault_is_survived(script, n, faults[fault / 2], fault % 2)) n++;
			assert_true(n > STEPS);
		}
	}
}

/* False: the script has no call n. */
static bool cut_is_survived(uint64_t script, uint64_t n, uint64_t seed, uint64_t cuts[IO_PHASE_COUNT])
{
	struct world *w = world_new(script);
	bool happened = false;

	io_sim_cut_at(w->sim, n);
	if (world_open(w) != STATUS_OK) {
		happened = true;
		world_power_cut(w, seed);
	}
	for (int step = 0; step < STEPS; step++) {
		if (world_step(w) == STATUS_OK) continue;
		assert_false(happened);
		happened = true;
		world_power_cut(w, seed);
	}
	world_power_cut(w, seed + 1);
	assert_int_equal(world_write(w, 3), STATUS_OK);
	world_power_cut(w, seed + 2);
	for (int i = 0; i < IO_PHASE_COUNT; i++) cuts[i] += io_sim_phase_cuts(w->sim, (enum io_phase)i);
	world_free(&w);
	return happened;
}

static void the_power_goes_in_every_call(void **state)
{
	uint64_t cuts[IO_PHASE_COUNT] = {0};

	for (uint64_t script = 0; script < SCRIPTS; script++) {
		for (uint64_t seed = 0; seed < CUT_SEEDS; seed++) {
			uint64_t n = 0;
			while (cut_is_survived(script, n, script * 100 + seed * 10, cuts)) n++;
			assert_true(n > STEPS);
		}
	}
	print_message("power cuts in append %" PRIu64 ", in sync %" PRIu64 "\n", cuts[IO_PHASE_WAL_APPEND], cuts[IO_PHASE_WAL_SYNC]);
	assert_true(cuts[IO_PHASE_WAL_APPEND] > 0 && cuts[IO_PHASE_WAL_SYNC] > 0);
}

static void a_failed_sync_stops_the_log_and_is_not_tried_again(void **state)
{
	struct world *w = world_new(1);
	struct record_room room;

	assert_int_equal(world_open(w), STATUS_OK);
	assert_int_equal(world_write(w, 2), STATUS_OK);
	io_sim_fail_at(w->sim, SIM_ONLY(SIM_SYNC), 0, STATUS_IO, false);
	assert_int_equal(world_write(w, 2), STATUS_IO);
	assert_true(io_sim_heal(w->sim));
	uint64_t syncs = io_sim_calls(w->sim, SIM_SYNC), writes = io_sim_calls(w->sim, SIM_WRITE);
	struct wal_record r = record_make(wal_next(w->wal), 1, &room);
	assert_int_equal(wal_append(w->wal, &r), STATUS_STOPPED);
	assert_int_equal(wal_commit(w->wal, NULL), STATUS_STOPPED);
	assert_int_equal(wal_rotate(w->wal, NULL), STATUS_STOPPED);
	assert_int_equal(wal_remove_through(w->wal, 1), STATUS_STOPPED);
	wal_close(&w->wal, true);
	assert_int_equal(io_sim_calls(w->sim, SIM_SYNC), syncs);
	assert_int_equal(io_sim_calls(w->sim, SIM_WRITE), writes);
	assert_int_equal(world_open(w), STATUS_OK); /* gives back the two that the failed sync left in the page cache */
	assert_int_equal(w->acked, 4);
	world_power_cut(w, 5); /* and they are durable now */
	assert_int_equal(w->acked, 4);
	world_free(&w);
}

static void one_sync_serves_a_whole_group(void **state)
{
	struct world *w = world_new(1);

	assert_int_equal(world_open(w), STATUS_OK);
	uint64_t syncs = io_sim_calls(w->sim, SIM_SYNC), writes = io_sim_calls(w->sim, SIM_WRITE);
	assert_int_equal(world_write(w, 100), STATUS_OK);
	assert_int_equal(io_sim_calls(w->sim, SIM_SYNC), syncs + 1);
	assert_int_equal(io_sim_calls(w->sim, SIM_WRITE), writes + 1);
	world_free(&w);
}

static void a_full_disk_rejects_and_later_goes_on(void **state)
{
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct world *w = world_new(seed);
		unsigned rejected = 0;

		assert_int_equal(world_open(w), STATUS_OK);
		io_sim_capacity(w->sim, 1500 + seed * 13);
		for (int i = 0; i < 30; i++) {
			enum status status = world_write(w, 1 + prng_below(&w->prng, 3));
			assert_true(status == STATUS_OK || status == STATUS_DISK_FULL);
			rejected += status == STATUS_DISK_FULL;
		}
		assert_true(rejected > 5);
		if (seed % 2) world_power_cut(w, seed); /* on a full disk */
		enum status status = wal_rotate(w->wal, NULL);
		assert_true(status == STATUS_OK || status == STATUS_DISK_FULL);
		io_sim_capacity(w->sim, 1 << 20);
		for (int i = 0; i < 10; i++) assert_int_equal(world_write(w, 2), STATUS_OK);
		world_power_cut(w, seed + 100);
		world_free(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call_fails_once_or_for_ever),
		cmocka_unit_test(the_power_goes_in_every_call),
		cmocka_unit_test(a_failed_sync_stops_the_log_and_is_not_tried_again),
		cmocka_unit_test(one_sync_serves_a_whole_group),
		cmocka_unit_test(a_full_disk_rejects_and_later_goes_on),
	};

#ifdef GROVE_PLANT_NO_SYNC /* the control: without the sync this one must notice */
	cmocka_set_test_filter("the_power_goes_in_every_call");
#endif
	return cmocka_run_group_tests(tests, NULL, NULL);
}
