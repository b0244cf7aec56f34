/* Readers, a writer and builds at once on one shard. Every snapshot holds every item once: the old or the new, never both, never neither;
 * what it says does not change while it is held, and time does not run backwards from one snapshot to the next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "tests/support/shard_fixture.h"

/* Ids below KEPT are replaced and never deleted; those from there on come and go. */
enum { DIM = 6, KEPT = 150, IDS = 200, READERS = 2, BUILDS = 40, BATCH = 8, K = IDS + 9 };

struct scene {
	struct shard_fixture f;
	_Atomic bool over;
	_Atomic uint32_t breaches, rounds, writes;
};

/* Threads do not leave by cmocka's jumps: they count, and the test looks at the end. */
#define CLAIM(scene, condition) claim(scene, condition, #condition)
static void claim(struct scene *s, bool holds, const char *what)
{
	if (holds) return;
	if (atomic_fetch_add(&s->breaches, 1) < 10) fprintf(stderr, "breach: %s\n", what);
}

static uint64_t test_seed(void)
{
	const char *text = getenv("GROVE_SEED");
	return text ? strtoull(text, NULL, 10) : 1;
}

static void *replace_for_ever(void *arg)
{
	struct scene *s = arg;
	struct prng p;
	uint64_t ids[BATCH], versions[BATCH], version = IDS;
	uint8_t results[BATCH];

	prng_seed3(&p, test_seed(), 1, 1);
	while (!atomic_load(&s->over)) {
		bool delete = prng_below(&p, 4) == 0;
		uint32_t n = 1 + prng_below(&p, BATCH);
		for (uint32_t i = 0; i < n; i++) {
			ids[i] = delete || prng_below(&p, 3) == 0 ? KEPT + prng_below(&p, IDS - KEPT) : prng_below(&p, KEPT);
			versions[i] = ++version;
		}
		CLAIM(s, fixture_write(&s->f, delete ? WRITE_DELETE : WRITE_UPSERT, n, ids, versions, results) == STATUS_OK);
		atomic_fetch_add(&s->writes, 1);
	}
	return NULL;
}

/* Everything by id. Returns the number found; the version of each, or 0. */
static uint32_t get_all(struct scene *s, struct snapshot *snap, uint64_t versions[IDS])
{
	uint8_t row[4 * DIM];
	uint32_t found = 0;

	for (uint64_t id = 0; id < IDS; id++) {
		struct item_view item;
		versions[id] = 0;
		if (!snapshot_get(snap, id, &item)) continue;
		found++;
		CLAIM(s, item.id == id && item.payload.size == 8 && item.sequence <= snapshot_sequence(snap));
		versions[id] = load_u64(item.payload.bytes);
		fixture_vector(&s->f, id, versions[id], row);
		CLAIM(s, !memcmp(item.vector, row, sizeof(row))); /* of one piece with its payload */
	}
	return found;
}

static size_t search_all(struct scene *s, struct snapshot *snap, struct search_scratch *scratch, enum search_mode mode, uint32_t search_k, const struct query *q, struct hit *hits)
{
	struct search_spec spec = {.k = K, .mode = mode, .search_k = search_k};
	struct search_work work = {0};
	struct topk top;

	topk_init(&top, hits, K);
	CLAIM(s, snapshot_search(snap, &spec, q, 1, NULL, scratch, &top, &work) == STATUS_OK);
	CLAIM(s, !work.truncated);
	topk_sort(&top);
	return top.count;
}

/* The hits are the items that get finds, each once, at the distances of their vectors. */
static void check_hits(struct scene *s, const uint64_t versions[IDS], const struct query *q, const struct hit *hits, size_t count)
{
	static _Thread_local _Alignas(64) uint8_t row[64];
	bool seen[IDS] = {false};

	for (size_t i = 0; i < count; i++) {
		uint64_t id = hits[i].id;
		CLAIM(s, id < IDS);
		if (id >= IDS) continue;
		CLAIM(s, !seen[id]);
		CLAIM(s, versions[id] != 0);
		seen[id] = true;
		fixture_vector(&s->f, id, versions[id], row);
		CLAIM(s, hits[i].raw == vec_raw(METRIC_EUCLIDEAN, row, 0, q->row, 0, DIM));
	}
}

static void read_once(struct scene *s, struct search_scratch *scratch, struct prng *p, uint64_t newest[IDS], uint64_t *last_sequence)
{
	static _Thread_local _Alignas(64) uint8_t query[64];
	struct hit exact[K], again[K], forest[K];
	uint64_t versions[IDS], later[IDS];
	struct snapshot *snap = NULL;
	struct report report = {0};
	struct query q = {query, 0};

	if (snapshot_pin(s->f.shard, &snap, &report) != STATUS_OK) {
		CLAIM(s, false);
		return;
	}
	CLAIM(s, snapshot_sequence(snap) >= *last_sequence);
	*last_sequence = snapshot_sequence(snap);
	fixture_vector(&s->f, 1000 + prng_below(p, 1000), 0, query);
	uint32_t live = get_all(s, snap, versions);
	size_t count = search_all(s, snap, scratch, SEARCH_EXACT, 0, &q, exact);
	CLAIM(s, live == snapshot_items(snap) && count == live);
	check_hits(s, versions, &q, exact, count);
	for (uint64_t id = 0; id < IDS; id++) {
		CLAIM(s, id >= KEPT || versions[id] != 0);
		CLAIM(s, versions[id] == 0 || versions[id] >= newest[id]);
		if (versions[id]) newest[id] = versions[id];
	}
	size_t approximate = search_all(s, snap, scratch, SEARCH_FOREST, 1 + prng_below(p, IDS), &q, forest);
	CLAIM(s, approximate <= live);
	check_hits(s, versions, &q, forest, approximate);
	/* Held for a while, it says the same. */
	CLAIM(s, get_all(s, snap, later) == live && !memcmp(versions, later, sizeof(later)));
	CLAIM(s, search_all(s, snap, scratch, SEARCH_EXACT, 0, &q, again) == count);
	for (size_t i = 0; i < count; i++) CLAIM(s, hit_cmp(&exact[i], &again[i]) == 0);
	snapshot_release(&snap);
	atomic_fetch_add(&s->rounds, 1);
}

static void *read_for_ever(void *arg)
{
	static _Atomic uint64_t number;
	struct scene *s = arg;
	struct search_scratch *scratch = NULL;
	uint64_t newest[IDS] = {0}, last_sequence = 0;
	struct prng p;

	prng_seed3(&p, test_seed(), 2, atomic_fetch_add(&number, 1));
	CLAIM(s, search_scratch_new(&scratch) == STATUS_OK);
	while (scratch && !atomic_load(&s->over)) read_once(s, scratch, &p, newest, &last_sequence);
	search_scratch_free(&scratch);
	return NULL;
}

static void fill(struct scene *s)
{
	uint64_t ids[IDS], versions[IDS];
	uint8_t results[IDS];

	for (uint64_t id = 0; id < IDS; id++) ids[id] = id;
	for (uint64_t id = 0; id < IDS; id++) versions[id] = id + 1;
	assert_int_equal(fixture_write(&s->f, WRITE_UPSERT, IDS, ids, versions, results), STATUS_OK);
}

static void replaced_items_appear_exactly_once_while_writing_and_building(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	pthread_t writer, readers[READERS];

	assert_non_null(s);
	fprintf(stderr, "seed %llu\n", (unsigned long long)test_seed());
	fixture_open_sim(&s->f, METRIC_EUCLIDEAN, DIM);
	fill(s);
	assert_int_equal(pthread_create(&writer, NULL, replace_for_ever, s), 0);
	for (int i = 0; i < READERS; i++) assert_int_equal(pthread_create(&readers[i], NULL, read_for_ever, s), 0);
	for (int i = 0; i < BUILDS; i++) {
		uint32_t writes = atomic_load(&s->writes), rounds = atomic_load(&s->rounds);
		fixture_build_start(&s->f, 2);
		if (i % 4 == 3) shard_build_cancel(s->f.shard);
		enum status status = fixture_build_wait(&s->f);
		CLAIM(s, status == STATUS_OK || (i % 4 == 3 && status == STATUS_CANCELLED));
		while (atomic_load(&s->writes) < writes + 20 || atomic_load(&s->rounds) < rounds + 5) sched_yield();
	}
	atomic_store(&s->over, true);
	pthread_join(writer, NULL);
	for (int i = 0; i < READERS; i++) pthread_join(readers[i], NULL);
	fprintf(stderr, "%u writes, %u snapshots, %d builds\n", atomic_load(&s->writes), atomic_load(&s->rounds), BUILDS);
	assert_int_equal(atomic_load(&s->breaches), 0);
	fixture_close(&s->f);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(replaced_items_appear_exactly_once_while_writing_and_building)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
