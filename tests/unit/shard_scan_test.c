/* A scan of a shard against a plain model: an array of items, sorted. Whatever lies in memtables, frozen ones and segments, the pages of a scan
 * hold each live item once, in the order of ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/shard_fixture.h"
#include "tests/support/watched.h"

enum { DIM = 5, IDS = 400 };

static uint64_t test_seed(void)
{
	const char *text = getenv("GROVE_SEED");
	return text ? strtoull(text, NULL, 10) : 1;
}

static struct prng stream(uint64_t name)
{
	struct prng p;

	prng_seed3(&p, test_seed(), name, 0);
	return p;
}

/* ---- reading by pages ---- */

static bool stop_now(void *arg) { return true; }

/* At most `limit` items from `from` on, as a worker does it: a snapshot for each page. True: there is more, from *from on. */
static bool read_page(struct shard_fixture *f, uint64_t *from, uint32_t limit, const struct pulse *pulse, void (*take)(void *arg, const struct item_view *item),
	void *arg)
{
	struct snapshot *snapshot = NULL;
	struct scan *scan = NULL;
	struct report report;
	struct item_view item;
	uint64_t begun = *from;
	enum scan_step step;

	assert_int_equal(snapshot_pin(f->shard, &snapshot, &report), STATUS_OK);
	enum status status;
	while ((status = scan_open(snapshot, *from, pulse, &scan)) == STATUS_BUSY) continue;
	assert_int_equal(status, STATUS_OK);
	for (uint32_t n = 0; (step = scan_next(scan, &item, from)) == SCAN_ITEM; n++) {
		assert_true(item.id >= begun);
		if (n == limit) {
			*from = item.id;
			break;
		}
		take(arg, &item);
	}
	if (step == SCAN_PAUSED) assert_true(*from > begun);
	scan_close(&scan);
	snapshot_release(&snapshot);
	return step != SCAN_END;
}

struct seen { struct shard_fixture *f; uint64_t ids[4 * IDS], last; uint32_t n; };

static void see(void *arg, const struct item_view *item)
{
	struct seen *s = arg;
	const struct model_item *known = model_find(s->f, item->id);
	size_t row = dtype_row_bytes(metric_dtype(s->f->metric), s->f->dim);
	uint8_t want[DIM * 4 + 64];

	if (s->n && item->id <= s->last) fail_msg("id %llu after %llu", (unsigned long long)item->id, (unsigned long long)s->last);
	if (!known || !known->live) fail_msg("id %llu is not there", (unsigned long long)item->id);
	fixture_vector(s->f, item->id, known->version, want);
	assert_memory_equal(item->vector, want, row);
	assert_true(s->n < sizeof(s->ids) / sizeof(s->ids[0]));
	s->ids[s->n++] = s->last = item->id;
}

static uint32_t model_live(const struct shard_fixture *f, uint64_t from)
{
	uint32_t n = 0;

	for (size_t i = 0; i < f->count; i++) n += f->items[i].live && f->items[i].id >= from;
	return n;
}

/* All pages, from an id on: as many items as the model has, so with ascending ids and each of them known to it they are all of them. */
static void check_scan(struct shard_fixture *f, uint64_t from, uint32_t limit, const struct pulse *pulse)
{
	static struct seen seen;
	uint32_t want = model_live(f, from);

	seen = (struct seen){.f = f};
	while (read_page(f, &from, limit, pulse, see, &seen)) continue;
	assert_int_equal(seen.n, want);
}

static void change_at_random(struct shard_fixture *f, struct prng *p, int steps)
{
	static const struct model_mix mix = {60, 93, 97};

	for (int step = 0; step < steps; step++) {
		model_change_random(f, p, &mix, IDS);
		if (step % 5) continue;
		check_scan(f, 0, 1 + prng_below(p, IDS), NULL);
		check_scan(f, prng_below(p, IDS + 10), 1 + prng_below(p, 7), NULL);
	}
}

static void pages_agree_with_a_plain_model_after_random_changes(void **state)
{
	for (int m = 0; m < METRIC_COUNT; m++) {
		struct shard_fixture f;
		struct prng p = stream((uint64_t)m);
		fprintf(stderr, "metric %s, seed %llu\n", metric_name((enum metric)m), (unsigned long long)test_seed());
		fixture_open_sim(&f, (enum metric)m, DIM);
		change_at_random(&f, &p, 600);
		fixture_close(&f);
	}
}

static void an_empty_shard_has_no_page(void **state)
{
	struct shard_fixture f;
	struct prng p = stream(10);

	fixture_open_sim(&f, METRIC_EUCLIDEAN, DIM);
	check_scan(&f, 0, 1, NULL);
	model_put(&f, &p, 7);
	model_delete(&f, 7);
	check_scan(&f, 0, 1, NULL);
	fixture_build(&f, 1);
	check_scan(&f, 0, 1, NULL);
	fixture_close(&f);
}

static void ids_to_the_end_of_their_range_come_once(void **state)
{
	static const uint64_t ids[] = {UINT64_MAX, 0, (uint64_t)1 << 63, UINT64_MAX - 1, 1};
	struct shard_fixture f;
	struct prng p = stream(11);

	fixture_open_sim(&f, METRIC_EUCLIDEAN, DIM);
	for (int built = 0; built < 2; built++) {
		for (size_t i = 0; i < 5; i++) model_put(&f, &p, ids[i]);
		for (uint32_t limit = 1; limit < 7; limit++) check_scan(&f, 0, limit, NULL);
		check_scan(&f, UINT64_MAX, 1, NULL);
		model_delete(&f, UINT64_MAX);
		check_scan(&f, 0, 2, NULL);
		check_scan(&f, UINT64_MAX, 1, NULL);
		fixture_build(&f, 1);
	}
	fixture_close(&f);
}

static void expect_next(void *arg, const struct item_view *item) { assert_int_equal(item->id, (*(uint64_t *)arg)++); }

/* More rows than one chunk of a memtable holds, in no order, some of them replaced: the order of chunks is kept between pages. */
static void a_memtable_of_many_chunks_comes_in_order(void **state)
{
	struct shard_fixture f;
	struct prng p = stream(12);
	uint64_t from = 0, next = 0;

	fixture_open_sim(&f, METRIC_EUCLIDEAN, 2000); /* 128 rows a chunk */
	for (uint32_t i = 0; i < 1000; i++) model_put(&f, &p, (i * 7919u) % 1000);
	for (uint32_t i = 0; i < 1000; i += 3) model_put(&f, &p, i);
	while (read_page(&f, &from, 90, NULL, expect_next, &next)) continue;
	assert_int_equal(next, 1000);
	fixture_close(&f);
}

static void count_items(void *arg, const struct item_view *item) { ++*(uint32_t *)arg; }

/* What is in order already is read a piece at a time; only the sorting of a memtable may have to be asked for again. */
static void a_pulse_that_stops_pauses_and_every_pause_is_further_on(void **state)
{
	struct shard_fixture f;
	struct pulse stopped = {.stop = stop_now};
	struct snapshot *snapshot = NULL;
	struct scan *scan = NULL;
	struct report report;
	static uint64_t ids[5000], versions[5000];
	static uint8_t results[5000];
	uint32_t n = 0, pages = 1;
	uint64_t from = 0;

	fixture_open_sim(&f, METRIC_HAMMING, DIM);
	for (uint32_t i = 0; i < 5000; i++) ids[i] = (uint64_t)i << 40;
	assert_int_equal(fixture_write(&f, WRITE_UPSERT, 5000, ids, versions, results), STATUS_OK);
	assert_int_equal(snapshot_pin(f.shard, &snapshot, &report), STATUS_OK);
	assert_int_equal(scan_open(snapshot, 0, &stopped, &scan), STATUS_TIMEOUT);
	assert_null(scan);
	snapshot_release(&snapshot);
	fixture_build(&f, 1);
	while (read_page(&f, &from, UINT32_MAX, &stopped, count_items, &n)) pages++;
	assert_int_equal(n, 5000);
	assert_int_equal(pages, 40);
	fixture_close(&f);
}

/* ---- dead rows ---- */

enum { DEAD = SCAN_ROWS_MAX + 50000 };

/* One id that was replaced more often than a scan looks at rows, and one above it: the scan pauses between the two at the most. */
static void an_id_that_was_replaced_for_ever_does_not_hold_a_scan(void **state)
{
	struct shard_fixture f;
	struct prng p = stream(14);
	uint32_t n = 0, pages = 1;
	uint64_t from = 0;
	static uint64_t ids[2000], versions[2000];
	static uint8_t results[2000];

	fixture_open_sim(&f, METRIC_HAMMING, DIM);
	for (uint32_t i = 0; i < 2000; i++) ids[i] = 5;
	for (uint32_t done = 0; done < DEAD; done += 2000) {
		for (uint32_t i = 0; i < 2000; i++) versions[i] = ++f.version;
		assert_int_equal(fixture_write(&f, WRITE_UPSERT, 2000, ids, versions, results), STATUS_OK);
	}
	model_put(&f, &p, 9);
	model_put(&f, &p, 8);
	while (read_page(&f, &from, 10, NULL, count_items, &n)) pages++;
	assert_int_equal(n, 3);
	assert_int_equal(pages, 2);
	fixture_close(&f);
}

/* Deleted and not yet built away: a page looks at so many and says where to go on, though it has nothing to give. */
static void deleted_rows_are_passed_over_a_bounded_number_at_a_time(void **state)
{
	struct shard_fixture f;
	uint32_t n = 0, pages = 1;
	uint64_t from = 0;
	static uint64_t ids[2000], versions[2000];
	static uint8_t results[2000];

	fixture_open_sim(&f, METRIC_HAMMING, DIM);
	for (int kind = WRITE_UPSERT; kind <= WRITE_DELETE; kind++) {
		for (uint64_t done = 0; done < 2ull * SCAN_ROWS_MAX + 2000; done += 2000) {
			for (uint32_t i = 0; i < 2000; i++) ids[i] = done + i;
			assert_int_equal(fixture_write(&f, (enum write_kind)kind, 2000, ids, versions, results), STATUS_OK);
		}
	}
	fixture_put_plain(&f, UINT64_MAX, 1);
	while (read_page(&f, &from, 10, NULL, count_items, &n)) pages++;
	assert_int_equal(n, 1);
	assert_int_equal(pages, 3);
	fixture_close(&f);
}

/* The first scan over many unbuilt rows has them sorted a piece at a time; the next one finds them in order. */
static void many_unbuilt_rows_are_sorted_a_bounded_number_at_a_time(void **state)
{
	struct shard_fixture f;
	struct snapshot *snapshot = NULL;
	struct scan *scan = NULL;
	struct report report;
	struct item_view item;
	static uint64_t ids[2000], versions[2000];
	static uint8_t results[2000];
	uint64_t from = 0;

	fixture_open_sim(&f, METRIC_HAMMING, DIM);
	for (uint64_t done = 0; done < 2 * SCAN_SORT_ROWS_MAX + 10000; done += 2000) {
		for (uint32_t i = 0; i < 2000; i++) ids[i] = (done + i) * 2654435761u; /* in no order */
		assert_int_equal(fixture_write(&f, WRITE_UPSERT, 2000, ids, versions, results), STATUS_OK);
	}
	assert_int_equal(snapshot_pin(f.shard, &snapshot, &report), STATUS_OK);
	for (int call = 0; call < 2; call++) {
		assert_int_equal(scan_open(snapshot, 0, NULL, &scan), STATUS_BUSY);
		assert_null(scan);
	}
	for (int call = 0; call < 2; call++) {
		assert_int_equal(scan_open(snapshot, 2654435761u, NULL, &scan), STATUS_OK);
		assert_int_equal(scan_next(scan, &item, &from), SCAN_ITEM);
		assert_int_equal(item.id, 2654435761u);
		scan_close(&scan);
	}
	snapshot_release(&snapshot);
	fixture_close(&f);
}

/* ---- while others write and build ---- */

/* Even ids stay and are replaced; odd ones come and go. */
struct writer { struct shard_fixture *f; _Atomic bool stop; _Atomic uint32_t rounds; };

static void *write_on(void *arg)
{
	struct writer *w = arg;
	struct prng p = stream(20);

	while (!atomic_load(&w->stop)) {
		for (int i = 0; i < 20; i++) {
			uint64_t id = prng_below(&p, IDS);
			if (id % 2 && prng_below(&p, 2)) model_delete(w->f, id);
			else model_put(w->f, &p, id);
		}
		atomic_fetch_add(&w->rounds, 1);
	}
	return NULL;
}

struct watch { uint8_t seen[IDS]; uint64_t last; uint32_t n; };

static void watch_item(void *arg, const struct item_view *item)
{
	struct watch *w = arg;

	assert_true(item->id < IDS && (!w->n || item->id > w->last));
	w->seen[item->id]++;
	w->last = item->id;
	w->n++;
}

static void what_stays_comes_exactly_once_while_others_write_and_build(void **state)
{
	struct shard_fixture f;
	struct prng p = stream(21);
	pthread_t thread;
	struct writer w = {.f = &f};

	fixture_open_sim(&f, METRIC_EUCLIDEAN, DIM);
	for (uint64_t id = 0; id < IDS; id++) model_put(&f, &p, id);
	assert_int_equal(pthread_create(&thread, NULL, write_on, &w), 0);
	for (int round = 0; round < 40 || atomic_load(&w.rounds) < 10; round++) { /* on a busy machine the writer may be slow */
		static struct watch watch;
		uint64_t from = 0;
		watch = (struct watch){0};
		fixture_build_start(&f, 2);
		while (read_page(&f, &from, 1 + prng_below(&p, 30), NULL, watch_item, &watch)) continue;
		for (uint32_t id = 0; id < IDS; id += 2)
			if (watch.seen[id] != 1) fail_msg("id %u, which stays, came %d times (seed %llu)", id, watch.seen[id], (unsigned long long)test_seed());
		assert_int_equal(fixture_build_wait(&f), STATUS_OK);
	}
	atomic_store(&w.stop, true);
	pthread_join(thread, NULL);
	check_scan(&f, 0, 17, NULL);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_agree_with_a_plain_model_after_random_changes),
		cmocka_unit_test(an_empty_shard_has_no_page),
		cmocka_unit_test(ids_to_the_end_of_their_range_come_once),
		cmocka_unit_test(a_memtable_of_many_chunks_comes_in_order),
		cmocka_unit_test(a_pulse_that_stops_pauses_and_every_pause_is_further_on),
		cmocka_unit_test(what_stays_comes_exactly_once_while_others_write_and_build),
	};
	const struct CMUnitTest bounds[] = { /* of very many rows that one thread writes and reads */
		cmocka_unit_test(an_id_that_was_replaced_for_ever_does_not_hold_a_scan),
		cmocka_unit_test(deleted_rows_are_passed_over_a_bounded_number_at_a_time),
		cmocka_unit_test(many_unbuilt_rows_are_sorted_a_bounded_number_at_a_time),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	return threads_watched() ? failed : failed + cmocka_run_group_tests(bounds, NULL, NULL);
}
