/* Whatever call fails, and wherever the power goes, in the life of a shard: what was acknowledged is there after the next start, what was
 * rejected is not, what is unknown is there whole or not at all, and no search says otherwise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "tests/support/io_sim.h"
#include "tests/support/shard_fixture.h"

enum { DIM = 6, IDS = 40, BATCH = 8, MAYBE_MAX = 64 };

/* What may be true of an id: the newest certain state, and those that may have come after it. Version 0: not there. */
struct truth { uint64_t certain; uint64_t maybe[MAYBE_MAX]; uint32_t maybe_count; };

struct life {
	struct io_sim *sim;
	struct io *io;
	struct shard_fixture f;
	struct truth ids[IDS];
	uint64_t version;
	struct prng chance;
	bool open;
	uint64_t opened; /* times */
	bool synced_again; /* in the first life; later ones may sync such a file, since opening wrote its bytes anew */
};

static uint64_t test_seed(void)
{
	const char *text = getenv("GROVE_SEED");
	return text ? strtoull(text, NULL, 10) : 1;
}

static int cut_seeds(void) { return getenv("GROVE_FULL") && *getenv("GROVE_FULL") ? 20 : 3; }

static void learn(struct life *l, uint64_t id, uint64_t version, uint8_t result)
{
	struct truth *t = &l->ids[id];

	if (result == ITEM_OK) {
		t->certain = version;
		t->maybe_count = 0;
	} else if (result == ITEM_UNKNOWN) {
		assert_true(t->maybe_count < MAYBE_MAX);
		t->maybe[t->maybe_count++] = version;
	}
}

static void write_some(struct life *l, enum write_kind kind, uint32_t n)
{
	uint64_t ids[BATCH] = {0}, versions[BATCH] = {0};
	uint8_t results[BATCH];

	if (!l->open) return;
	for (uint32_t i = 0; i < n; i++) {
		ids[i] = prng_below(&l->chance, IDS);
		versions[i] = ++l->version;
	}
	enum status status = fixture_write(&l->f, kind, n, ids, versions, results);
	bool all = true;
	for (uint32_t i = 0; i < n; i++) {
		learn(l, ids[i], kind == WRITE_UPSERT ? versions[i] : 0, results[i]);
		all &= results[i] == ITEM_OK;
	}
	assert_int_equal(status == STATUS_OK, all);
}

static void build_some(struct life *l)
{
	struct shard_report said;

	if (!l->open) return;
	shard_report(l->f.shard, &said);
	if (said.state == SHARD_STOPPED) return;
	fixture_build_start(&l->f, 2);
	enum status ignored = fixture_build_wait(&l->f); /* may fail; what counts is what is there */
	(void)ignored;
}

static void reopen(struct life *l, bool clean)
{
	struct report report = {0};

	if (l->open) shard_close(&l->f.shard, clean);
	if (l->opened++ == 0) l->synced_again = io_sim_syncs_after_failure(l->sim) > 0;
	l->open = shard_open(l->io, "shards/one", &l->f.shard, &report) == STATUS_OK;
}

static void script(struct life *l)
{
	write_some(l, WRITE_UPSERT, BATCH);
	write_some(l, WRITE_DELETE, 3);
	write_some(l, WRITE_UPSERT, BATCH);
	build_some(l);
	write_some(l, WRITE_UPSERT, BATCH);
	write_some(l, WRITE_DELETE, 4);
	reopen(l, true);
	write_some(l, WRITE_UPSERT, 5);
	build_some(l);
	write_some(l, WRITE_DELETE, 5);
	reopen(l, false);
	write_some(l, WRITE_UPSERT, BATCH);
}

static bool allowed(const struct truth *t, uint64_t version)
{
	if (version == t->certain) return true;
	for (uint32_t i = 0; i < t->maybe_count; i++)
		if (version == t->maybe[i]) return true;
	return false;
}

/* The shard serves, and holds nothing but what may be true. From here on that is certain. */
static bool whole(struct life *l)
{
	struct shard_report said;
	struct report report = {0};
	struct snapshot *snap = NULL;
	bool good = true;

	shard_report(l->f.shard, &said);
	if (said.state != SHARD_SERVING || snapshot_pin(l->f.shard, &snap, &report) != STATUS_OK) {
		fprintf(stderr, "the shard does not serve: %s\n", report.text);
		return false;
	}
	free(l->f.items);
	l->f.items = NULL;
	l->f.count = l->f.room = 0;
	for (uint64_t id = 0; id < IDS; id++) {
		struct item_view item;
		bool there = snapshot_get(snap, id, &item);
		uint64_t version = there ? load_u64(item.payload.bytes) : 0;
		if (!allowed(&l->ids[id], version)) {
			fprintf(stderr, "id %d is at version %d, acknowledged at %d with %u unknown after it\n", (int)id, (int)version, (int)l->ids[id].certain,
				l->ids[id].maybe_count);
			good = false;
		}
		l->ids[id] = (struct truth){.certain = version};
		if (there) model_set(&l->f, id, version, true);
	}
	snapshot_release(&snap);
	if (good) model_check(&l->f, &l->chance); /* vectors, payloads, searches, counts */
	return good;
}

static void begin(struct life *l, uint64_t seed)
{
	*l = (struct life){.sim = io_sim_new(seed)};
	prng_seed3(&l->chance, test_seed(), seed, 1);
	pthread_mutex_init(&l->f.lock, NULL);
	pthread_cond_init(&l->f.ended, NULL);
	l->io = io_sim_io(l->sim);
	assert_int_equal(fixture_open_on(&l->f, l->io, METRIC_EUCLIDEAN, DIM), STATUS_OK);
	l->open = true;
}

static void end(struct life *l)
{
	if (l->open) shard_close(&l->f.shard, true);
	free(l->f.items);
	pthread_mutex_destroy(&l->f.lock);
	pthread_cond_destroy(&l->f.ended);
	io_sim_free(&l->sim);
}

/* One life with a fault in its n-th call; false when the script ended before it came. */
static bool survives(uint64_t n, enum status fault, bool forever, bool *ret_good)
{
	struct life l;

	begin(&l, n);
	io_sim_fail_at(l.sim, SIM_ANY, n, fault, forever);
	script(&l);
	bool happened = io_sim_heal(l.sim);
	if (l.synced_again) fprintf(stderr, "a file was synced again after its sync had failed\n");
	reopen(&l, false);
	*ret_good = !l.synced_again && l.open && whole(&l);
	/* And it goes on. */
	if (*ret_good) {
		write_some(&l, WRITE_UPSERT, BATCH);
		build_some(&l);
		*ret_good = whole(&l);
	}
	if (!*ret_good) fprintf(stderr, "seed %llu, call %llu failed with %s, %s\n", (unsigned long long)test_seed(), (unsigned long long)n, status_name(fault), forever ? "for ever" : "once");
	end(&l);
	return happened;
}

static bool survives_cut(uint64_t n, uint64_t seed, bool *ret_good, uint64_t cuts[IO_PHASE_COUNT])
{
	struct life l;

	begin(&l, n);
	io_sim_cut_at(l.sim, n);
	script(&l);
	if (l.open) shard_close(&l.f.shard, false);
	l.open = false;
	bool happened = io_sim_heal(l.sim);
	for (int p = 0; p < IO_PHASE_COUNT; p++) cuts[p] += io_sim_phase_cuts(l.sim, (enum io_phase)p);
	io_sim_power_on(l.sim, seed);
	reopen(&l, false);
	*ret_good = l.open && whole(&l);
	if (*ret_good) {
		write_some(&l, WRITE_UPSERT, BATCH);
		*ret_good = whole(&l);
	}
	if (!*ret_good) fprintf(stderr, "seed %llu, power cut in call %llu, what survived by seed %llu\n", (unsigned long long)test_seed(), (unsigned long long)n, (unsigned long long)seed);
	end(&l);
	return happened;
}

static void every_call_fails_once_or_for_ever_and_nothing_acknowledged_is_lost(void **state)
{
	static const enum status faults[] = {STATUS_IO, STATUS_DISK_FULL, STATUS_NO_MEMORY};
	uint64_t total = 0;

	for (size_t fault = 0; fault < 3; fault++)
		for (int forever = 0; forever < 2; forever++) {
			uint64_t n = 0;
			bool good = true;
			while (survives(n++, faults[fault], forever, &good)) assert_true(good);
			assert_true(good);
			assert_true(n > 60);
			total += n;
		}
	fprintf(stderr, "| %llu calls of a shard's disk failed, once or for ever, seed %llu\n", (unsigned long long)total, (unsigned long long)test_seed());
}

static void the_power_goes_in_every_call_and_nothing_acknowledged_is_lost(void **state)
{
	uint64_t cuts[IO_PHASE_COUNT] = {0};
	bool good = true;
	uint64_t n = 0, total = 0;

	for (int seed = 0; seed < cut_seeds(); seed++)
		for (n = 0; survives_cut(n, test_seed() + (uint64_t)seed * 1000 + n, &good, cuts); n++, total++) assert_true(good);
	assert_true(good);
	fprintf(stderr, "| %llu power cuts, seed %llu; fell inside: append %llu, sync %llu, segment write %llu, manifest %llu\n", (unsigned long long)total,
		(unsigned long long)test_seed(),
		(unsigned long long)cuts[IO_PHASE_WAL_APPEND], (unsigned long long)cuts[IO_PHASE_WAL_SYNC], (unsigned long long)cuts[IO_PHASE_SEGMENT_WRITE],
		(unsigned long long)cuts[IO_PHASE_MANIFEST_RENAME]);
#if !defined(GROVE_PLANT_NO_SYNC) && !defined(GROVE_PLANT_EARLY_ACK)
	for (int p = IO_PHASE_WAL_APPEND; p < IO_PHASE_COUNT; p++) assert_true(cuts[p] > 0);
#endif
}

static void a_full_disk_rejects_and_space_heals(void **state)
{
	struct life l;

	begin(&l, 5);
	write_some(&l, WRITE_UPSERT, BATCH);
	io_sim_capacity(l.sim, 3000); /* less than the reserve */
	for (int i = 0; i < 20; i++) write_some(&l, WRITE_UPSERT, BATCH);
	build_some(&l);
	struct shard_report said;
	shard_report(l.f.shard, &said);
	assert_int_not_equal(said.state, SHARD_STOPPED);
	uint64_t before = l.version;
	bool any = false;
	for (uint64_t id = 0; id < IDS; id++) any |= l.ids[id].certain == before;
	assert_false(any); /* the last write was rejected */
	io_sim_capacity(l.sim, UINT64_MAX);
	write_some(&l, WRITE_UPSERT, BATCH);
	build_some(&l);
	assert_true(whole(&l));
	reopen(&l, false);
	assert_true(whole(&l));
	end(&l);
}

int main(void)
{
#if defined(GROVE_PLANT_NO_SYNC) || defined(GROVE_PLANT_EARLY_ACK)
	const struct CMUnitTest tests[] = {cmocka_unit_test(the_power_goes_in_every_call_and_nothing_acknowledged_is_lost)}; /* must fail */
	(void)every_call_fails_once_or_for_ever_and_nothing_acknowledged_is_lost;
	(void)a_full_disk_rejects_and_space_heals;
#else
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call_fails_once_or_for_ever_and_nothing_acknowledged_is_lost),
		cmocka_unit_test(the_power_goes_in_every_call_and_nothing_acknowledged_is_lost),
		cmocka_unit_test(a_full_disk_rejects_and_space_heals),
	};
#endif

	return cmocka_run_group_tests(tests, NULL, NULL);
}
