/* A shard against a plain model: whatever is put, replaced, deleted, built and reopened, it holds and finds exactly what it should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/prng.h"
#include "tests/support/shard_fixture.h"
#include "tests/support/watched.h"
#include "worker/store/segment.h"

enum { DIM = 12, IDS = 300 };

static uint64_t test_seed(void)
{
	const char *text = getenv("GROVE_SEED");
	return text ? strtoull(text, NULL, 10) : 1;
}

static void setup_shard(struct shard_fixture *f, enum metric m) { fixture_open_sim(f, m, DIM); }

static void change_at_random(struct shard_fixture *f, struct prng *p, int steps)
{
	static const struct model_mix mix = {60, 90, 95};

	for (int step = 0; step < steps; step++) {
		model_change_random(f, p, &mix, IDS);
		if (step % 20 == 0) model_check(f, p);
	}
	model_check(f, p);
}

static void thousands_of_random_changes_agree_with_a_plain_model(void **state)
{
	for (int m = 0; m < METRIC_COUNT; m++) {
		struct shard_fixture f;
		struct prng p;
		fprintf(stderr, "metric %s, seed %llu\n", metric_name((enum metric)m), (unsigned long long)test_seed());
		prng_seed3(&p, test_seed(), (uint64_t)m, 0);
		setup_shard(&f, (enum metric)m);
		change_at_random(&f, &p, 1000);
		fixture_close(&f);
	}
}

static void so_they_do_on_real_files(void **state)
{
	struct shard_fixture f;
	struct prng p;

	prng_seed3(&p, test_seed(), 0, 6);
	fixture_open_posix(&f, METRIC_ANGULAR, DIM);
	change_at_random(&f, &p, 100);
	fixture_close(&f);
}

static void sparse_ids_to_the_end_of_their_range_are_kept(void **state)
{
	static const uint64_t ids[] = {0, 1, (uint64_t)1 << 53, ((uint64_t)1 << 53) + 1, UINT64_MAX - 1, UINT64_MAX};
	struct shard_fixture f;
	struct prng p;

	prng_seed(&p, 1);
	setup_shard(&f, METRIC_EUCLIDEAN);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < 6; i++) model_put(&f, &p, ids[i]);
		if (round == 1) fixture_build(&f, 2);
		if (round == 2) fixture_reopen(&f, true);
		model_check(&f, &p);
	}
	fixture_close(&f);
}

static void an_empty_shard_answers_builds_and_reopens(void **state)
{
	struct shard_fixture f;
	struct prng p;

	prng_seed(&p, 1);
	setup_shard(&f, METRIC_DOT);
	model_check(&f, &p);
	fixture_build(&f, 3);
	fixture_reopen(&f, true);
	model_check(&f, &p);
	model_put_random(&f, &p, 5, IDS);
	fixture_build(&f, 3);
	for (uint64_t id = 0; id < IDS; id++) model_delete(&f, id);
	fixture_build(&f, 3); /* everything is gone */
	model_check(&f, &p);
	fixture_reopen(&f, false);
	model_check(&f, &p);
	fixture_close(&f);
}

static void writes_during_a_build_are_in_the_answer_and_stay(void **state)
{
	for (uint64_t seed = 0; seed < (threads_watched() ? 3 : 10); seed++) {
		struct shard_fixture f;
		struct prng p;
		prng_seed3(&p, test_seed(), seed, 1);
		setup_shard(&f, METRIC_EUCLIDEAN);
		for (int i = 0; i < 30; i++) model_put_random(&f, &p, 100, 3000);
		fixture_build_start(&f, 10);
		for (int i = 0; i < 20; i++) {
			model_put_random(&f, &p, 10, 3000);
			model_delete_random(&f, &p, 10, 3000);
		}
		assert_int_equal(fixture_build_wait(&f), STATUS_OK);
		model_check(&f, &p);
		fixture_reopen(&f, seed % 2);
		model_check(&f, &p);
		fixture_build(&f, 2);
		model_check(&f, &p);
		fixture_close(&f);
	}
}

static void a_forest_searched_to_its_end_finds_what_exact_search_finds(void **state)
{
	enum { K = 25, QUERIES = 30 };
	static _Alignas(64) uint8_t query[256];

	for (int m = 0; m < METRIC_COUNT; m++) {
		struct shard_fixture f;
		struct prng p;
		struct snapshot *snap = NULL;
		struct search_scratch *scratch = NULL;
		struct report report = {0};
		prng_seed3(&p, test_seed(), (uint64_t)m, 5);
		setup_shard(&f, (enum metric)m);
		for (int i = 0; i < 20; i++) model_put_random(&f, &p, 100, 3000);
		fixture_build(&f, 3);
		model_delete_random(&f, &p, 100, 3000);
		for (int i = 0; i < 3; i++) model_put_random(&f, &p, 100, 3000);
		assert_int_equal(snapshot_pin(f.shard, &snap, &report), STATUS_OK);
		assert_int_equal(search_scratch_new(&scratch), STATUS_OK);
		for (int i = 0; i < QUERIES; i++) {
			struct hit hits[2][K];
			/* Less than the items, so that the forest is asked; more than the segment's, so that it is asked for all. */
			struct search_spec spec[2] = {{.k = K, .mode = SEARCH_EXACT}, {.k = K, .mode = SEARCH_FOREST, .search_k = (uint32_t)snapshot_items(snap) - 1}};
			struct topk top[2];
			memset(query, 0, sizeof(query));
			fixture_vector(&f, prng_u64(&p), 0, query);
			struct query q = {query, vec_norm2(f.metric, query, DIM)};
			for (int s = 0; s < 2; s++) {
				struct search_work work = {0};
				topk_init(&top[s], hits[s], K);
				assert_int_equal(snapshot_search(snap, &spec[s], &q, 1, NULL, scratch, &top[s], &work), STATUS_OK);
				assert_int_equal(work.candidates, snapshot_items(snap));
				assert_true(snapshot_predict(snap, &spec[s]) == (s == 0)); /* nothing is known of a forest */
				topk_sort(&top[s]);
			}
			assert_int_equal(top[0].count, K);
			assert_int_equal(top[1].count, K);
			for (int h = 0; h < K; h++) assert_int_equal(hit_cmp(&hits[0][h], &hits[1][h]), 0);
		}
		search_scratch_free(&scratch);
		snapshot_release(&snap);
		fixture_close(&f);
	}
}

static void a_key_belongs_to_one_id_and_is_kept(void **state)
{
	struct shard_fixture f;

	setup_shard(&f, METRIC_EUCLIDEAN);
	assert_int_equal(fixture_put_key(&f, 5, "red"), ITEM_OK);
	assert_int_equal(fixture_put_key(&f, 5, "red"), ITEM_OK);
	assert_int_equal(fixture_put_key(&f, 5, "blue"), ITEM_REJECTED);
	fixture_build(&f, 1);
	assert_int_equal(fixture_put_key(&f, 5, "blue"), ITEM_REJECTED);
	assert_true(fixture_has_key(&f, 5, "red"));
	fixture_reopen(&f, true);
	assert_true(fixture_has_key(&f, 5, "red"));
	assert_int_equal(fixture_put_two_keys(&f, 9, "one", "two"), 1); /* in one write: the first is in, the second is not */
	assert_true(fixture_has_key(&f, 9, "one"));
	fixture_close(&f);
}

static void another_epoch_or_dimension_is_rejected_and_changes_nothing(void **state)
{
	struct shard_fixture f;
	struct prng p;

	prng_seed(&p, 2);
	setup_shard(&f, METRIC_EUCLIDEAN);
	model_put_random(&f, &p, 50, IDS);
	assert_int_equal(fixture_put_epoch(&f, 1, 99), STATUS_STALE);
	assert_int_equal(fixture_put_dim(&f, 1, DIM + 1), STATUS_BAD_REQUEST);
	model_check(&f, &p);
	fixture_close(&f);
}

static void the_same_items_build_the_same_forest_however_they_came(void **state)
{
	struct shard_fixture a, b;
	struct prng p;
	uint8_t *bytes_a, *bytes_b;
	size_t n_a, n_b;

	prng_seed(&p, 3);
	setup_shard(&a, METRIC_ANGULAR);
	setup_shard(&b, METRIC_ANGULAR);
	for (uint64_t id = 0; id < 500; id++) fixture_put_plain(&a, id, id);
	for (uint64_t id = 500; id-- > 0;) fixture_put_plain(&b, id, id);
	fixture_build(&a, 4);
	fixture_build(&b, 2);
	fixture_build(&b, 4); /* from a segment this time */
	fixture_search_bytes(&a, &bytes_a, &n_a);
	fixture_search_bytes(&b, &bytes_b, &n_b);
	assert_int_equal(n_a, n_b);
	assert_memory_equal(bytes_a, bytes_b, n_a); /* answers of the forests at a small effort: equal only if the trees are */
	free(bytes_a);
	free(bytes_b);
	fixture_close(&a);
	fixture_close(&b);
}

/* All of the segment but its header, which bears its number. */
static uint8_t *segment_body(struct shard_fixture *f, size_t *ret_size)
{
	char path[128];
	uint8_t *bytes;

	fixture_path(f, "seg-", path);
	assert_int_equal(io_slurp(f->io, path, (size_t)64 << 20, &bytes, ret_size), STATUS_OK);
	assert_true(*ret_size > SEGMENT_HEADER_SIZE);
	*ret_size -= SEGMENT_HEADER_SIZE;
	memmove(bytes, bytes + SEGMENT_HEADER_SIZE, *ret_size);
	return bytes;
}

static void the_same_writes_build_the_same_bytes_whatever_was_built_before(void **state)
{
	for (int m = 0; m < METRIC_COUNT; m++) {
		struct shard_fixture f[2];
		uint8_t *body[2];
		size_t size[2];
		for (int i = 0; i < 2; i++) {
			setup_shard(&f[i], (enum metric)m);
			for (uint64_t id = 0; id < 300; id++) {
				fixture_put_plain(&f[i], id * 7919, id);
				if (i == 1 && id == 100) fixture_build(&f[i], 2);
				if (i == 1 && id == 200) fixture_reopen(&f[i], true);
			}
			fixture_build(&f[i], 4);
			body[i] = segment_body(&f[i], &size[i]);
		}
		assert_int_equal(size[0], size[1]);
		assert_memory_equal(body[0], body[1], size[0]);
		for (int i = 0; i < 2; i++) {
			free(body[i]);
			fixture_close(&f[i]);
		}
	}
}

static void a_cancelled_build_leaves_the_shard_as_it_was(void **state)
{
	struct shard_fixture f;
	struct prng p;

	prng_seed(&p, 4);
	setup_shard(&f, METRIC_EUCLIDEAN);
	for (int i = 0; i < 40; i++) model_put_random(&f, &p, 100, 5000);
	for (int i = 0; i < 20; i++) { /* more often than memtables may be frozen */
		fixture_build_start(&f, 200);
		shard_build_cancel(f.shard);
		enum status status = fixture_build_wait(&f);
		assert_true(status == STATUS_CANCELLED || status == STATUS_OK);
		model_put_random(&f, &p, 5, 5000);
	}
	model_check(&f, &p);
	fixture_build(&f, 2);
	assert_int_equal(fixture_bytes(&f, "wal-"), 64); /* everything is in the segment: the log is an empty file's header */
	model_check(&f, &p);
	fixture_reopen(&f, true);
	model_check(&f, &p);
	fixture_close(&f);
}

/* ---- readers beside the writer ---- */

enum { WATCHED = 64, READERS = 2 };
struct watch { struct shard_fixture *f; _Atomic bool stop; _Atomic int wrong; _Atomic uint64_t rounds; };

/* Every snapshot holds each of the ids once: whatever the writer replaces meanwhile. */
static void *watch_snapshots(void *arg)
{
	struct watch *w = arg;
	struct search_scratch *scratch = NULL;
	struct hit hits[2 * WATCHED];
	_Alignas(64) float query[16] = {0};

	if (search_scratch_new(&scratch) != STATUS_OK) return NULL;
	while (!atomic_load(&w->stop)) {
		struct snapshot *snap = NULL;
		struct report report = {0};
		struct topk top;
		struct search_work work = {0};
		struct search_spec spec = {.k = 2 * WATCHED, .mode = atomic_load(&w->rounds) % 2 ? SEARCH_EXACT : SEARCH_FOREST, .search_k = 10 * WATCHED};
		struct query q = {query, 0};
		if (snapshot_pin(w->f->shard, &snap, &report) != STATUS_OK) break;
		topk_init(&top, hits, 2 * WATCHED);
		if (snapshot_search(snap, &spec, &q, 1, NULL, scratch, &top, &work) != STATUS_OK) atomic_fetch_add(&w->wrong, 1);
		bool seen[WATCHED] = {false};
		for (size_t i = 0; i < top.count; i++) {
			if (hits[i].id >= WATCHED || seen[hits[i].id]) atomic_fetch_add(&w->wrong, 1);
			else seen[hits[i].id] = true;
		}
		if (top.count != WATCHED || snapshot_items(snap) != WATCHED) atomic_fetch_add(&w->wrong, 1);
		for (uint64_t id = 0; id < WATCHED; id++) {
			struct item_view item;
			if (!snapshot_get(snap, id, &item) || item.sequence > snapshot_sequence(snap)) atomic_fetch_add(&w->wrong, 1);
		}
		snapshot_release(&snap);
		atomic_fetch_add(&w->rounds, 1);
	}
	search_scratch_free(&scratch);
	return NULL;
}

static void an_item_that_is_replaced_is_in_every_snapshot_once(void **state)
{
	struct shard_fixture f;
	struct prng p;
	pthread_t readers[READERS];
	struct watch w = {.f = &f};

	prng_seed(&p, test_seed());
	setup_shard(&f, METRIC_EUCLIDEAN);
	for (uint64_t id = 0; id < WATCHED; id++) model_put(&f, &p, id);
	for (int i = 0; i < READERS; i++) assert_int_equal(pthread_create(&readers[i], NULL, watch_snapshots, &w), 0);
	for (int i = 0; i < 12; i++) {
		fixture_build_start(&f, 3);
		for (int j = 0; j < 30; j++) model_put_random(&f, &p, 20, WATCHED);
		assert_int_equal(fixture_build_wait(&f), STATUS_OK);
	}
	atomic_store(&w.stop, true);
	for (int i = 0; i < READERS; i++) pthread_join(readers[i], NULL);
	assert_int_equal(atomic_load(&w.wrong), 0);
	assert_true(atomic_load(&w.rounds) > 10);
	model_check(&f, &p);
	fixture_close(&f);
}

/* Stops at the question after `left` more. */
struct asking { long left; uint64_t asked; };

static bool stop_after(void *arg)
{
	struct asking *a = arg;
	a->asked++;
	return a->left-- <= 0;
}

/* However early a search is stopped: each query says whether it saw all that it should, and then has what it would have had. */
static void check_stops(struct snapshot *snap, const struct search_spec *spec, const struct query *queries, uint32_t nq)
{
	enum { NQ_MAX = 8, K = 10 };
	struct search_scratch *scratch = NULL;
	struct hit whole[NQ_MAX][K], hits[NQ_MAX][K];
	struct topk all[NQ_MAX], tops[NQ_MAX];
	struct search_work full[NQ_MAX] = {{0}};
	bool ended = false;

	assert_int_equal(search_scratch_new(&scratch), STATUS_OK);
	for (uint32_t q = 0; q < nq; q++) topk_init(&all[q], whole[q], K);
	assert_int_equal(snapshot_search(snap, spec, queries, nq, NULL, scratch, all, full), STATUS_OK);
	for (uint32_t q = 0; q < nq; q++) topk_sort(&all[q]);
	for (long left = 0; !ended; left = left < 8 ? left + 1 : left * 2) {
		struct search_work works[NQ_MAX] = {{0}};
		struct asking asking = {left, 0};
		struct pulse pulse = {stop_after, &asking};
		uint64_t candidates = 0;
		for (uint32_t q = 0; q < nq; q++) topk_init(&tops[q], hits[q], K);
		assert_int_equal(snapshot_search(snap, spec, queries, nq, &pulse, scratch, tops, works), STATUS_OK);
		ended = true;
		for (uint32_t q = 0; q < nq; q++) {
			candidates += works[q].candidates;
			ended = ended && !works[q].truncated;
			if (works[q].truncated) continue;
			topk_sort(&tops[q]);
			assert_int_equal(works[q].candidates, full[q].candidates);
			assert_int_equal(tops[q].count, all[q].count);
			for (size_t i = 0; i < all[q].count; i++) assert_int_equal(hit_cmp(&hits[q][i], &whole[q][i]), 0);
		}
		assert_true(ended == (asking.left >= 0));
		if (left == 0)
			for (uint32_t q = 0; q < nq; q++) assert_true(works[q].truncated && works[q].candidates == 0);
		assert_true(candidates <= 4096 * asking.asked); /* never long without a question */
	}
	search_scratch_free(&scratch);
}

static void a_search_of_any_mode_stops_when_told_and_says_so(void **state)
{
	enum { ITEMS = 3000, NQ = 8 };
	static const struct search_spec specs[] = {{.k = 10, .mode = SEARCH_EXACT}, {.k = 10, .mode = SEARCH_FOREST, .search_k = 1500},
		{.k = 10, .mode = SEARCH_GRAPH, .recall = 0.9f, .spread = 1}, {.k = 10, .mode = SEARCH_GRAPH, .search_k = 1500}};
	static const enum metric metrics[] = {METRIC_EUCLIDEAN, METRIC_DOT, METRIC_HAMMING};

	for (int m = 0; m < 3; m++) {
		struct shard_fixture f;
		struct snapshot *snap = NULL;
		struct report report = {0};
		struct prng p;
		_Alignas(64) uint8_t rows[NQ][64] = {{0}};
		struct query queries[NQ];
		prng_seed(&p, 3);
		fixture_open_sim(&f, metrics[m], metrics[m] == METRIC_HAMMING ? 64 : DIM);
		for (int i = 0; i < ITEMS / 100; i++) model_put_random(&f, &p, 100, 4 * ITEMS);
		fixture_build(&f, 3);
		for (int i = 0; i < 4; i++) model_put_random(&f, &p, 100, 4 * ITEMS); /* a memtable beside the segment */
		for (uint32_t q = 0; q < NQ; q++) {
			fixture_vector(&f, 1000000 + q, 1, rows[q]);
			queries[q] = (struct query){rows[q], vec_norm2(f.metric, rows[q], f.dim)};
		}
		assert_int_equal(snapshot_pin(f.shard, &snap, &report), STATUS_OK);
		for (size_t s = 0; s < sizeof(specs) / sizeof(specs[0]); s++) {
			check_stops(snap, &specs[s], queries, NQ);
			check_stops(snap, &specs[s], queries, 1);
		}
		snapshot_release(&snap);
		fixture_close(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_item_that_is_replaced_is_in_every_snapshot_once),
		cmocka_unit_test(thousands_of_random_changes_agree_with_a_plain_model),
		cmocka_unit_test(so_they_do_on_real_files),
		cmocka_unit_test(sparse_ids_to_the_end_of_their_range_are_kept),
		cmocka_unit_test(an_empty_shard_answers_builds_and_reopens),
		cmocka_unit_test(writes_during_a_build_are_in_the_answer_and_stay),
		cmocka_unit_test(a_forest_searched_to_its_end_finds_what_exact_search_finds),
		cmocka_unit_test(a_key_belongs_to_one_id_and_is_kept),
		cmocka_unit_test(another_epoch_or_dimension_is_rejected_and_changes_nothing),
		cmocka_unit_test(the_same_items_build_the_same_forest_however_they_came),
		cmocka_unit_test(the_same_writes_build_the_same_bytes_whatever_was_built_before),
		cmocka_unit_test(a_cancelled_build_leaves_the_shard_as_it_was),
		cmocka_unit_test(a_search_of_any_mode_stops_when_told_and_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
