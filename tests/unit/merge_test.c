/* merge_test.c - the merge equals a sort of the union, and coverage says exactly what was and was not searched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "common/prng.h"
#include "common/topk.h"
#include "coordinator/merge.h"

static const uint64_t seed = 161803;
enum { SHARDS = 6, WORKERS = 3, NQ_MAX = 5, K_MAX = 20, PER_SHARD = 30 };

/* What a whole small cluster holds for each query: hits by shard, sorted. */
struct world { uint32_t nq, k; struct hit hits[NQ_MAX][SHARDS][PER_SHARD]; uint32_t counts[NQ_MAX][SHARDS]; };

static int by_hit(const void *a, const void *b) { return hit_cmp(a, b); }

/* Few distances: ties everywhere. */
static void world_fill(struct world *w, struct prng *p)
{
	memset(w, 0, sizeof(*w));
	w->nq = 1 + prng_below(p, NQ_MAX);
	w->k = 1 + prng_below(p, K_MAX);
	for (uint32_t q = 0; q < w->nq; q++)
		for (uint32_t tries = prng_below(p, 100), id = 0; id < tries; id++) {
			uint32_t shard = shard_of_id(id, SHARDS);
			if (w->counts[q][shard] == PER_SHARD) continue;
			w->hits[q][shard][w->counts[q][shard]++] = (struct hit){id, (float)prng_below(p, 6)};
		}
	for (uint32_t q = 0; q < w->nq; q++)
		for (uint32_t s = 0; s < SHARDS; s++) qsort(w->hits[q][s], w->counts[q][s], sizeof(struct hit), by_hit);
}

/* A worker's reply for some of the shards; memory of its own. */
struct wire { struct cluster_reply reply; struct shard_outcome outcomes[SHARDS]; uint8_t answers[NQ_MAX * SHARDS], candidates[8 * NQ_MAX],
	counts[4 * NQ_MAX], ids[8 * NQ_MAX * K_MAX], raws[4 * NQ_MAX * K_MAX]; uint32_t numbers[SHARDS]; };

static void wire_fill(struct wire *r, const struct world *w, const uint32_t *numbers, uint32_t count, const uint8_t *answers)
{
	size_t total = 0;
	memset(r, 0, sizeof(*r));
	memcpy(r->numbers, numbers, count * sizeof(*numbers));
	for (uint32_t s = 0; s < count; s++) r->outcomes[s] = (struct shard_outcome){.items = 100 + numbers[s]};
	for (uint32_t q = 0; q < w->nq; q++) {
		struct hit all[SHARDS * PER_SHARD];
		size_t n = 0;
		for (uint32_t s = 0; s < count; s++) {
			uint8_t answer = r->answers[q * count + s] = answers ? answers[q * count + s] : ANSWER_DONE;
			if (answer == ANSWER_NONE) continue;
			memcpy(all + n, w->hits[q][numbers[s]], w->counts[q][numbers[s]] * sizeof(struct hit));
			n += w->counts[q][numbers[s]];
		}
		qsort(all, n, sizeof(struct hit), by_hit);
		if (n > w->k) n = w->k;
		store_u32(r->counts + 4 * q, (uint32_t)n);
		store_u64(r->candidates + 8 * q, 1000);
		for (size_t i = 0; i < n; i++, total++) {
			store_u64(r->ids + 8 * total, all[i].id);
			store_f32(r->raws + 4 * total, all[i].raw);
		}
	}
	r->reply.to = CLUSTER_SEARCH;
	r->reply.search.nq = w->nq;
	r->reply.search.shard_count = count;
	r->reply.search.shards = r->outcomes;
	r->reply.search.answers = r->answers;
	r->reply.search.candidates = r->candidates;
	r->reply.search.counts = r->counts;
	r->reply.search.total = total;
	r->reply.search.ids = r->ids;
	r->reply.search.raws = r->raws;
}

static void expect_answer(const struct world *w, const struct merge_answer *a, const bool *present)
{
	size_t at = 0;
	for (uint32_t q = 0; q < w->nq; q++) {
		struct hit all[SHARDS * PER_SHARD];
		size_t n = 0;
		for (uint32_t s = 0; s < SHARDS; s++) {
			if (!present[s]) continue;
			memcpy(all + n, w->hits[q][s], w->counts[q][s] * sizeof(struct hit));
			n += w->counts[q][s];
		}
		qsort(all, n, sizeof(struct hit), by_hit);
		if (n > w->k) n = w->k;
		assert_int_equal(load_u32(a->hits.counts + 4 * q), n);
		for (size_t i = 0; i < n; i++, at++) {
			assert_true(load_u64(a->hits.ids + 8 * at) == all[i].id);
			assert_true(load_f32(a->hits.distances + 4 * at) == vec_shown(METRIC_EUCLIDEAN, all[i].raw));
		}
	}
	assert_true(a->hits.total == at);
}

static void the_merge_equals_a_sort_of_the_union_whatever_the_split_and_the_order(void **state)
{
	static struct world w;
	static struct wire wires[WORKERS];
	struct prng p;
	print_message("seed %llu\n", (unsigned long long)seed);
	prng_seed(&p, seed);
	for (int round = 0; round < 400; round++) {
		struct merge_list lists[WORKERS] = {{0}};
		struct merge_answer a;
		bool all[SHARDS] = {true, true, true, true, true, true};
		uint32_t numbers[WORKERS][SHARDS], counts[WORKERS] = {0};
		size_t used = 0;
		world_fill(&w, &p);
		for (uint32_t s = 0; s < SHARDS; s++) {
			uint32_t worker = prng_below(&p, WORKERS);
			numbers[worker][counts[worker]++] = s;
		}
		uint32_t first = prng_below(&p, WORKERS); /* the order of arrival */
		for (uint32_t i = 0; i < WORKERS; i++) {
			uint32_t worker = (first + i) % WORKERS;
			if (counts[worker] == 0) continue;
			wire_fill(&wires[worker], &w, numbers[worker], counts[worker], NULL);
			assert_int_equal(merge_list_from(&wires[worker].reply, w.nq, w.k, numbers[worker], counts[worker], SHARDS, &lists[used], NULL), STATUS_OK);
			used++;
		}
		struct merge_request r = {METRIC_EUCLIDEAN, w.nq, w.k, SHARDS, lists, used, NULL, 0, 1.0f};
		assert_int_equal(merge_run(&r, &a, NULL), STATUS_OK);
		assert_int_equal(a.report.status, STATUS_OK);
		expect_answer(&w, &a, all);
		for (uint32_t q = 0; q < w.nq; q++) {
			struct coverage c;
			coverage_load(a.hits.coverage + COVERAGE_BYTES * q, &c);
			assert_true(coverage_complete(&c));
			assert_int_equal(c.items_total, 100 * SHARDS + 15);
			assert_int_equal(c.items_searched, c.items_total);
			assert_int_equal(c.candidates, 1000 * used);
		}
		assert_int_equal(a.hits.missing_count, 0);
		merge_answer_release(&a);
		for (size_t i = 0; i < used; i++) merge_list_release(&lists[i]);
	}
}

static void a_hit_that_two_lists_hold_is_returned_once(void **state)
{
	static struct world w;
	static struct wire wires[2];
	struct prng p;
	struct merge_list lists[2] = {{0}};
	struct merge_answer a;
	prng_seed(&p, seed);
	const uint32_t numbers[] = {0, 1, 2, 3, 4, 5};
	bool all[SHARDS] = {true, true, true, true, true, true};
	for (int round = 0; round < 50; round++) {
		world_fill(&w, &p);
		for (int i = 0; i < 2; i++) {
			wire_fill(&wires[i], &w, numbers, SHARDS, NULL);
			assert_int_equal(merge_list_from(&wires[i].reply, w.nq, w.k, numbers, SHARDS, SHARDS, &lists[i], NULL), STATUS_OK);
		}
		struct merge_request r = {METRIC_EUCLIDEAN, w.nq, w.k, SHARDS, lists, 2, NULL, 0, 1.0f};
		assert_int_equal(merge_run(&r, &a, NULL), STATUS_OK);
		expect_answer(&w, &a, all);
		merge_answer_release(&a);
		for (int i = 0; i < 2; i++) merge_list_release(&lists[i]);
	}
}

static void missing_shards_are_listed_counted_and_kept_out_of_the_searched_items(void **state)
{
	static struct world w;
	static struct wire wire;
	struct prng p;
	struct merge_list list = {0};
	struct merge_answer a;
	struct coverage c;
	struct missing m;
	prng_seed(&p, seed);
	world_fill(&w, &p);
	const uint32_t numbers[] = {0, 2, 4};
	bool present[SHARDS] = {true, false, true, false, true, false};
	wire_fill(&wire, &w, numbers, 3, NULL);
	assert_int_equal(merge_list_from(&wire.reply, w.nq, w.k, numbers, 3, SHARDS, &list, NULL), STATUS_OK);
	const struct merge_missing missing[] = {{5, STATUS_UNAVAILABLE, true, 50}, {1, STATUS_TIMEOUT, true, 10}, {3, STATUS_CORRUPT, false, 0}};
	struct merge_request r = {METRIC_EUCLIDEAN, w.nq, w.k, SHARDS, &list, 1, missing, 3, 1.0f};
	assert_int_equal(merge_run(&r, &a, NULL), STATUS_OK);
	assert_int_equal(a.report.status, STATUS_INCOMPLETE);
	expect_answer(&w, &a, present);
	coverage_load(a.hits.coverage, &c);
	assert_int_equal(c.shards, 6);
	assert_int_equal(c.answered, 3);
	assert_int_equal(c.late, 1);
	assert_int_equal(c.failed, 2);
	assert_int_equal(c.items_searched, 306);
	assert_int_equal(c.items_total, 366);
	assert_int_equal(a.hits.missing_count, 3);
	for (uint32_t i = 0; i < 3; i++) {
		missing_load(a.hits.missing + MISSING_BYTES * i, &m);
		assert_int_equal(m.shard, 2 * i + 1);
		assert_int_equal(m.status, i == 0 ? STATUS_TIMEOUT : i == 1 ? STATUS_CORRUPT : STATUS_UNAVAILABLE);
		assert_int_equal(m.items, i == 0 ? 10 : i == 1 ? 0 : 50);
	}
	merge_answer_release(&a);
	merge_list_release(&list);
}

static void coverage_is_per_query_and_a_truncated_list_is_not_complete(void **state)
{
	static struct world w;
	static struct wire wire;
	struct prng p;
	struct merge_list list = {0};
	struct merge_answer a;
	struct coverage c;
	prng_seed(&p, seed);
	do world_fill(&w, &p);
	while (w.nq < 3);
	const uint32_t numbers[] = {0, 1, 2, 3, 4, 5};
	uint8_t answers[NQ_MAX * SHARDS] = {0};
	answers[1 * SHARDS + 2] = ANSWER_TRUNCATED;
	answers[2 * SHARDS + 3] = ANSWER_NONE;
	answers[2 * SHARDS + 4] = ANSWER_NONE;
	wire_fill(&wire, &w, numbers, SHARDS, answers);
	wire.outcomes[4].status = STATUS_STOPPED;
	assert_int_equal(merge_list_from(&wire.reply, w.nq, w.k, numbers, SHARDS, SHARDS, &list, NULL), STATUS_OK);
	struct merge_request r = {METRIC_EUCLIDEAN, w.nq, w.k, SHARDS, &list, 1, NULL, 0, 1.0f};
	assert_int_equal(merge_run(&r, &a, NULL), STATUS_OK);
	assert_int_equal(a.report.status, STATUS_INCOMPLETE);
	coverage_load(a.hits.coverage, &c);
	assert_true(coverage_complete(&c));
	coverage_load(a.hits.coverage + COVERAGE_BYTES, &c);
	assert_int_equal(c.answered, 5);
	assert_int_equal(c.late, 1);
	coverage_load(a.hits.coverage + 2 * COVERAGE_BYTES, &c);
	assert_int_equal(c.answered, 4);
	assert_int_equal(c.late, 1);
	assert_int_equal(c.failed, 1);
	assert_int_equal(a.hits.missing_count, 3);
	merge_answer_release(&a);
	merge_list_release(&list);
}

static enum status outcome_at(const struct merge_list *list, const struct merge_missing *missing, size_t n, const struct world *w, float min_coverage)
{
	struct merge_answer a;
	struct merge_request r = {METRIC_EUCLIDEAN, w->nq, w->k, SHARDS, list, list ? 1 : 0, missing, n, min_coverage};
	assert_int_equal(merge_run(&r, &a, NULL), STATUS_OK);
	enum status status = a.report.status;
	merge_answer_release(&a);
	return status;
}

static void predictions_weigh_as_much_as_their_items(void **state)
{
	static struct world w;
	static struct wire wire;
	struct prng p;
	prng_seed(&p, seed);
	world_fill(&w, &p);
	const uint32_t numbers[] = {0, 1, 2, 3, 4, 5};
	const struct { struct shard_outcome first, second; float predicted; } cases[] = {
		{{.items = 300, .predicted = 1}, {.items = 100, .predicted = 0.5f}, 0.875f},
		{{.items = 300, .predicted = 1}, {.items = 0, .predicted = 0.5f}, 1},
		{{.items = 300, .predicted = 1}, {.items = 0}, 1}, /* nothing there, nothing to predict */
		{{.items = 300, .predicted = 1}, {.items = 100}, 0}, /* of one nothing is known, so of all nothing */
		{{.items = 300, .predicted = 0.75f}, {.status = STATUS_STOPPED, .items = 100}, 0.75f},
		{{.items = 0}, {.items = 0}, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct merge_list list = {0};
		struct merge_answer a;
		wire_fill(&wire, &w, numbers, SHARDS, NULL);
		memset(wire.outcomes, 0, sizeof(wire.outcomes));
		wire.outcomes[1] = cases[i].first;
		wire.outcomes[4] = cases[i].second;
		assert_int_equal(merge_list_from(&wire.reply, w.nq, w.k, numbers, SHARDS, SHARDS, &list, NULL), STATUS_OK);
		struct merge_request r = {METRIC_EUCLIDEAN, w.nq, w.k, SHARDS, &list, 1, NULL, 0, 1.0f};
		assert_int_equal(merge_run(&r, &a, NULL), STATUS_OK);
		assert_true(a.hits.predicted == cases[i].predicted);
		merge_answer_release(&a);
		merge_list_release(&list);
	}
}

static void an_incomplete_answer_is_an_error_unless_less_was_asked_for(void **state)
{
	static struct world w;
	static struct wire wire;
	struct prng p;
	struct merge_list list = {0};
	prng_seed(&p, seed);
	world_fill(&w, &p);
	const uint32_t numbers[] = {0, 1, 2, 3, 4};
	wire_fill(&wire, &w, numbers, 5, NULL);
	assert_int_equal(merge_list_from(&wire.reply, w.nq, w.k, numbers, 5, SHARDS, &list, NULL), STATUS_OK);
	struct merge_missing missing = {5, STATUS_UNAVAILABLE, true, 510}; /* 510 of 1020 items were searched */
	assert_int_equal(outcome_at(&list, &missing, 1, &w, 1.0f), STATUS_INCOMPLETE);
	assert_int_equal(outcome_at(&list, &missing, 1, &w, 0.51f), STATUS_INCOMPLETE);
	assert_int_equal(outcome_at(&list, &missing, 1, &w, 0.5f), STATUS_OK);
	/* Not one item is missing, but a shard is: complete it is not. */
	missing.items = 0;
	assert_int_equal(outcome_at(&list, &missing, 1, &w, 1.0f), STATUS_INCOMPLETE);
	/* Nobody ever told how many items the missing shard has: then 5 of 6 shards count. */
	missing.counted = false;
	assert_int_equal(outcome_at(&list, &missing, 1, &w, 0.9f), STATUS_INCOMPLETE);
	assert_int_equal(outcome_at(&list, &missing, 1, &w, 0.8f), STATUS_OK);
	merge_list_release(&list);
}

static void busy_is_the_error_only_when_nothing_was_answered(void **state)
{
	static struct world w;
	static struct wire wire;
	struct prng p;
	struct merge_list list = {0};
	prng_seed(&p, seed);
	world_fill(&w, &p);
	struct merge_missing missing[SHARDS];
	for (uint32_t i = 0; i < SHARDS; i++) missing[i] = (struct merge_missing){i, i == 3 ? STATUS_BUSY : STATUS_UNAVAILABLE, true, 1};
	assert_int_equal(outcome_at(NULL, missing, SHARDS, &w, 1.0f), STATUS_BUSY);
	missing[3].status = STATUS_TIMEOUT;
	assert_int_equal(outcome_at(NULL, missing, SHARDS, &w, 1.0f), STATUS_INCOMPLETE);
	missing[3].status = STATUS_BUSY;
	const uint32_t numbers[] = {0};
	wire_fill(&wire, &w, numbers, 1, NULL);
	assert_int_equal(merge_list_from(&wire.reply, w.nq, w.k, numbers, 1, SHARDS, &list, NULL), STATUS_OK);
	assert_int_equal(outcome_at(&list, missing + 1, SHARDS - 1, &w, 1.0f), STATUS_INCOMPLETE);
	merge_list_release(&list);
}

static void a_reply_that_does_not_fit_the_question_is_refused(void **state)
{
	static struct world w;
	static struct wire wire;
	struct prng p;
	struct merge_list list = {0};
	struct report report = {.status = STATUS_OK};
	const uint32_t numbers[] = {0, 1, 2}, others[] = {3, 4, 5};
	prng_seed(&p, seed);
	do world_fill(&w, &p);
	while (w.nq < 2 || w.counts[0][0] < 2);
	wire_fill(&wire, &w, numbers, 3, NULL);
	assert_int_equal(merge_list_from(&wire.reply, w.nq + 1, w.k, numbers, 3, SHARDS, &list, &report), STATUS_BAD_REQUEST);
	assert_int_equal(merge_list_from(&wire.reply, w.nq, w.k, numbers, 2, SHARDS, &list, &report), STATUS_BAD_REQUEST);
	assert_int_equal(merge_list_from(&wire.reply, w.nq, w.k, others, 3, SHARDS, &list, &report), STATUS_BAD_REQUEST);
	assert_non_null(strstr(report.text, "not asked"));
	/* Hits of a shard that is said to have given none. */
	memset(wire.answers, ANSWER_NONE, sizeof(wire.answers));
	assert_int_equal(merge_list_from(&wire.reply, w.nq, w.k, numbers, 3, SHARDS, &list, &report), STATUS_BAD_REQUEST);
	memset(wire.answers, 7, sizeof(wire.answers));
	assert_int_equal(merge_list_from(&wire.reply, w.nq, w.k, numbers, 3, SHARDS, &list, &report), STATUS_BAD_REQUEST);
	memset(wire.answers, ANSWER_DONE, sizeof(wire.answers));
	store_f32(wire.raws, 1e9f);
	if (load_u32(wire.counts) > 1) assert_int_equal(merge_list_from(&wire.reply, w.nq, w.k, numbers, 3, SHARDS, &list, &report), STATUS_BAD_REQUEST);
	store_u32(wire.counts, w.k + 1);
	assert_int_equal(merge_list_from(&wire.reply, w.nq, w.k, numbers, 3, SHARDS, &list, &report), STATUS_BAD_REQUEST);
	assert_null(list.hits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_merge_equals_a_sort_of_the_union_whatever_the_split_and_the_order),
		cmocka_unit_test(a_hit_that_two_lists_hold_is_returned_once),
		cmocka_unit_test(missing_shards_are_listed_counted_and_kept_out_of_the_searched_items),
		cmocka_unit_test(coverage_is_per_query_and_a_truncated_list_is_not_complete),
		cmocka_unit_test(predictions_weigh_as_much_as_their_items),
		cmocka_unit_test(an_incomplete_answer_is_an_error_unless_less_was_asked_for),
		cmocka_unit_test(busy_is_the_error_only_when_nothing_was_answered),
		cmocka_unit_test(a_reply_that_does_not_fit_the_question_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
