/* Builds back to back while several writers put and delete, readers look, builds are cancelled, the disk fills up and empties, memory fails,
 * and in every other round the power goes. What must be found is known at any time: each writer owns its ids, numbers what it sends for each of them, and
 * notes what was acknowledged. A reader must find at least what was acknowledged before it looked, and nothing newer than
 * what was sent by the time that it had looked. At the end, and after the next start, every id is exactly what its last answer says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cursor.h"
#include "common/log.h"
#include "tests/support/io_sim.h"
#include "tests/support/shard_fixture.h"

enum { DIM = 6, WRITERS = 3, READERS = 2, IDS_OF_ONE = 90, IDS = WRITERS * IDS_OF_ONE, BATCH = 12, STEPS = 40, ROUNDS = 8, ROUNDS_FULL = 200 };

/* Versions of an id ascend; odd ones are deletions, 0 is before the first. */
struct fate {
	_Atomic uint64_t acked, sent, deleted; /* the last one acknowledged, sent, and sent to delete */
	uint64_t unknown;                      /* sent last, and its outcome is unknown */
};

struct scene {
	struct shard_fixture f;
	uint64_t seed;
	bool cut; /* the power may go in this round */
	_Atomic bool over;
	_Atomic uint32_t breaches, rejected, builds, looks;
	_Atomic uint64_t writes;
	struct fate fates[IDS];
};

/* Threads do not leave by cmocka's jumps: they count, and the test looks at the end. */
#define CLAIM(scene, condition) claim(scene, condition, #condition)
static bool claim(struct scene *s, bool holds, const char *what)
{
	if (!holds && atomic_fetch_add(&s->breaches, 1) < 10) fprintf(stderr, "breach: %s\n", what);
	return holds;
}

static bool deletion(uint64_t version) { return version % 2 == 1; }

static void nap_us(uint32_t us)
{
	struct timespec t = {.tv_sec = 0, .tv_nsec = (long)us * 1000};
	nanosleep(&t, NULL);
}

/* ---- writers ---- */

struct actor { struct scene *scene; uint32_t number; pthread_t thread; };

/* One write of distinct ids. False when the shard has stopped. */
static bool write_batch(struct scene *s, struct prng *p, uint32_t writer, uint64_t *last_version)
{
	uint64_t ids[BATCH] = {0}, versions[BATCH] = {0};
	uint8_t results[BATCH];
	bool delete = prng_below(p, 3) == 0;
	uint32_t n = 1 + prng_below(p, BATCH), first = prng_below(p, IDS_OF_ONE);

	for (uint32_t i = 0; i < n; i++) {
		ids[i] = ((first + 7 * i) % IDS_OF_ONE) * WRITERS + writer;
		*last_version += 2;
		versions[i] = *last_version + delete;
		if (delete) atomic_store(&s->fates[ids[i]].deleted, versions[i]);
		atomic_store(&s->fates[ids[i]].sent, versions[i]);
	}
	enum status status = fixture_write(&s->f, delete ? WRITE_DELETE : WRITE_UPSERT, n, ids, versions, results);
	bool all = true;
	for (uint32_t i = 0; i < n; i++) {
		struct fate *fate = &s->fates[ids[i]];
		all &= results[i] == ITEM_OK;
		if (results[i] == ITEM_OK) atomic_store(&fate->acked, versions[i]);
		if (results[i] == ITEM_UNKNOWN) fate->unknown = versions[i];
		if (results[i] == ITEM_REJECTED) atomic_fetch_add(&s->rejected, 1);
		CLAIM(s, s->cut || results[i] != ITEM_UNKNOWN);
	}
	CLAIM(s, all == (status == STATUS_OK));
	CLAIM(s, status == STATUS_OK || status == STATUS_DISK_FULL || s->cut);
	atomic_fetch_add(&s->writes, n);
	return status == STATUS_OK || status == STATUS_DISK_FULL;
}

static void *write_for_ever(void *arg)
{
	struct actor *a = arg;
	uint64_t version = 0;
	struct prng p;

	prng_seed3(&p, a->scene->seed, 1, a->number);
	while (!atomic_load(&a->scene->over) && write_batch(a->scene, &p, a->number, &version)) continue;
	return NULL;
}

/* ---- readers ---- */

/* Is this a state that the id may be in, for one who looked between `acked` and now? `version` 0: not there. */
static bool possible(struct fate *fate, uint64_t acked, uint64_t version)
{
	if (version == 0) return acked == 0 || deletion(acked) || atomic_load(&fate->deleted) > acked;
	return !deletion(version) && version >= acked && version <= atomic_load(&fate->sent);
}

static uint32_t get_all(struct scene *s, struct snapshot *snap, uint64_t versions[IDS])
{
	uint8_t row[4 * DIM];
	uint32_t found = 0;

	for (uint64_t id = 0; id < IDS; id++) {
		struct item_view item;
		versions[id] = 0;
		if (!snapshot_get(snap, id, &item)) continue;
		found++;
		if (!CLAIM(s, item.id == id && item.payload.size == 8)) continue;
		versions[id] = load_u64(item.payload.bytes);
		fixture_vector(&s->f, id, versions[id], row);
		CLAIM(s, !memcmp(item.vector, row, sizeof(row)));
	}
	return found;
}

/* An exact search for all finds what get finds, each item once, at its distance. */
static void check_search(struct scene *s, struct snapshot *snap, struct search_scratch *scratch, struct prng *p, const uint64_t versions[IDS], uint32_t live)
{
	static _Thread_local _Alignas(64) uint8_t query[64], row[64];
	struct search_spec spec = {.k = IDS + 5, .mode = SEARCH_EXACT};
	struct search_work work = {0};
	struct hit hits[IDS + 5];
	struct topk top;
	struct query q = {query, 0};
	bool seen[IDS] = {false};

	fixture_vector(&s->f, prng_u64(p), 0, query);
	topk_init(&top, hits, IDS + 5);
	CLAIM(s, snapshot_search(snap, &spec, &q, 1, NULL, scratch, &top, &work) == STATUS_OK);
	CLAIM(s, top.count == live && snapshot_items(snap) == live);
	for (size_t i = 0; i < top.count; i++) {
		uint64_t id = hits[i].id;
		if (!CLAIM(s, id < IDS && !seen[id] && versions[id])) continue;
		seen[id] = true;
		fixture_vector(&s->f, id, versions[id], row);
		CLAIM(s, hits[i].raw == vec_raw(METRIC_EUCLIDEAN, row, 0, query, 0, DIM));
	}
}

static void *read_for_ever(void *arg)
{
	struct actor *a = arg;
	struct scene *s = a->scene;
	struct search_scratch *scratch = NULL;
	uint64_t acked[IDS], versions[IDS], later[IDS];
	struct prng p;

	prng_seed3(&p, s->seed, 2, a->number);
	CLAIM(s, search_scratch_new(&scratch) == STATUS_OK);
	while (scratch && !atomic_load(&s->over)) {
		struct snapshot *snap = NULL;
		struct report report = {0};
		for (uint32_t id = 0; id < IDS; id++) acked[id] = atomic_load(&s->fates[id].acked);
		if (snapshot_pin(s->f.shard, &snap, &report) != STATUS_OK) {
			if (!CLAIM(s, s->cut)) fprintf(stderr, "the shard stopped: %s\n", report_text(&report));
			break;
		}
		uint32_t live = get_all(s, snap, versions);
		for (uint32_t id = 0; id < IDS; id++)
			if (!CLAIM(s, possible(&s->fates[id], acked[id], versions[id])))
				fprintf(stderr, "id %u: found %d, acknowledged %d\n", id, (int)versions[id], (int)acked[id]);
		check_search(s, snap, scratch, &p, versions, live);
		nap_us(prng_below(&p, 300));
		CLAIM(s, get_all(s, snap, later) == live && !memcmp(versions, later, sizeof(later)));
		snapshot_release(&snap);
		atomic_fetch_add(&s->looks, 1);
	}
	search_scratch_free(&scratch);
	return NULL;
}

/* ---- builds ---- */

static void *build_for_ever(void *arg)
{
	struct scene *s = ((struct actor *)arg)->scene;

	while (!atomic_load(&s->over)) {
		enum status status = fixture_build_try(&s->f, 2);
		CLAIM(s, status == STATUS_OK || status == STATUS_CANCELLED || status == STATUS_DISK_FULL || status == STATUS_NO_MEMORY || s->cut);
		if (status == STATUS_OK) atomic_fetch_add(&s->builds, 1);
		if (status == STATUS_IO || status == STATUS_STOPPED || status == STATUS_CORRUPT) break;
	}
	return NULL;
}

/* ---- rounds ---- */

/* Cancels, a disk that fills up and empties, and perhaps the end of the power. */
static void make_trouble(struct scene *s)
{
	struct prng p;
	uint32_t last = 0;

	prng_seed3(&p, s->seed, 3, 0);
	if (s->cut) last = prng_below(&p, STEPS);
	for (uint32_t step = 0; step < STEPS; step++) {
		nap_us(prng_below(&p, 4000));
		switch (prng_below(&p, 4)) {
		case 0:
			shard_build_cancel(s->f.shard);
			break;
		case 1:
			io_sim_capacity(s->f.sim, 1 + prng_below(&p, 400000));
			nap_us(prng_below(&p, 2000));
			io_sim_capacity(s->f.sim, UINT64_MAX);
			break;
		case 2:
			/* Calls whose failure for want of space or memory must not stop a shard. None that undoes what a full disk cut short: where that
			 * fails too, the shard does stop. */
			io_sim_fail_at(s->f.sim, SIM_ONLY(SIM_MAP) | SIM_ONLY(SIM_RENAME), prng_below(&p, 4), prng_below(&p, 2) ? STATUS_DISK_FULL : STATUS_NO_MEMORY,
				false);
			break;
		default:
			break;
		}
		if (!s->cut || step != last) continue;
		io_sim_cut_at(s->f.sim, prng_below(&p, 60));
		nap_us(20000); /* until it is met */
		return;
	}
}

/* Every id is what its last answer says; from there on that is certain. */
static void check_all(struct scene *s, struct prng *p)
{
	struct snapshot *snap = NULL;
	struct report report = {0};
	uint64_t versions[IDS];

	assert_int_equal(snapshot_pin(s->f.shard, &snap, &report), STATUS_OK);
	get_all(s, snap, versions);
	snapshot_release(&snap);
	for (uint64_t id = 0; id < IDS; id++) {
		struct fate *fate = &s->fates[id];
		uint64_t acked = atomic_load(&fate->acked), as_acked = deletion(acked) ? 0 : acked, as_unknown = deletion(fate->unknown) ? 0 : fate->unknown;
		if (versions[id] != as_acked && !(fate->unknown > acked && versions[id] == as_unknown)) {
			fprintf(stderr, "seed %llu, id %llu: found %d, acknowledged %d, unknown %d\n", (unsigned long long)s->seed, (unsigned long long)id, (int)versions[id],
				(int)acked, (int)fate->unknown);
			fail();
		}
		model_set(&s->f, id, versions[id], versions[id] != 0);
	}
	model_check(&s->f, p);
}

static void run_round(uint64_t seed, bool cut)
{
	struct scene *s = calloc(1, sizeof(*s));
	struct actor actors[WRITERS + READERS + 1];
	struct prng p;

	assert_non_null(s);
	s->seed = seed;
	s->cut = cut;
	prng_seed3(&p, seed, 4, 0);
	fixture_open_sim(&s->f, METRIC_EUCLIDEAN, DIM);
	for (uint32_t i = 0; i < WRITERS + READERS + 1; i++) {
		actors[i] = (struct actor){.scene = s, .number = i};
		assert_int_equal(pthread_create(&actors[i].thread, NULL, i < WRITERS ? write_for_ever : i < WRITERS + READERS ? read_for_ever : build_for_ever, &actors[i]), 0);
	}
	make_trouble(s);
	atomic_store(&s->over, true);
	for (uint32_t i = 0; i < WRITERS + READERS + 1; i++) pthread_join(actors[i].thread, NULL);
	if (!cut) check_all(s, &p);
	shard_close(&s->f.shard, !cut && seed % 4 == 1);
	(void)io_sim_heal(s->f.sim);
	if (cut) io_sim_power_on(s->f.sim, seed);
	struct report report = {0};
	assert_int_equal(shard_open(s->f.io, "shards/one", &s->f.shard, &report), STATUS_OK);
	check_all(s, &p);
	s->f.version = 1000000;
	model_put_random(&s->f, &p, 50, IDS);
	fixture_build(&s->f, 2);
	model_check(&s->f, &p);
	fprintf(stderr, "seed %llu: %llu items written, %u rejected, %u builds, %u looks%s\n", (unsigned long long)seed, (unsigned long long)atomic_load(&s->writes),
		atomic_load(&s->rejected), atomic_load(&s->builds), atomic_load(&s->looks), cut ? ", then the power went" : "");
	assert_int_equal(atomic_load(&s->breaches), 0);
	fixture_close(&s->f);
	free(s);
}

static void what_was_acknowledged_is_found_whatever_goes_on_beside_it(void **state)
{
	const char *seed = getenv("GROVE_SEED"), *full = getenv("GROVE_FULL");
	uint64_t first = seed ? strtoull(seed, NULL, 10) : 1, rounds = full && *full ? ROUNDS_FULL : ROUNDS;

	for (uint64_t i = first; i < first + rounds; i++) run_round(i, i % 2 == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_acknowledged_is_found_whatever_goes_on_beside_it)};

	log_set_level((enum log_level)(LOG_ERROR + 1)); /* every trouble of ours would be told */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
