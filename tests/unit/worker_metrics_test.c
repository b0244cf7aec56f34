/* worker_metrics: what a worker counts is what it did. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "common/log.h"
#include "tests/support/exposition.h"
#include "tests/support/worker_bench.h"
#include "worker/links.h"

enum { DIM = 6, ITEMS = 300, QUERIES = 9 };

static enum status ask(struct bench *b, struct cluster_request r)
{
	struct answer a = bench_ask(b, &r);
	enum status status = a.reply.error.status;

	answer_release(&a);
	return status;
}

static enum status build(struct bench *b, struct uuid shard)
{
	return ask(b, (struct cluster_request){.kind = CLUSTER_BUILD, .build = {.shard = shard, .epoch = 1, .trees = 2, .seed = 1}});
}

static enum status delete_some(struct bench *b, struct uuid shard, uint32_t n)
{
	uint8_t ids[8 * ITEMS];

	for (uint32_t i = 0; i < n; i++) store_u64(ids + 8 * (size_t)i, i);
	return ask(b, (struct cluster_request){.kind = CLUSTER_WRITE,
		.write = {.shard = shard, .epoch = 1, .kind = WRITE_DELETE, .client = 1, .client_request = b->next_id + 1, .items = {.n = n, .ids = ids}}});
}

/* Searches exactly; the candidates that the answer tells. */
static uint64_t search(struct bench *b, struct uuid *shards, uint32_t count)
{
	float queries[QUERIES * DIM];
	uint64_t candidates = 0;

	for (uint32_t q = 0; q < QUERIES; q++) bench_row(q, DIM, queries + (size_t)q * DIM);
	struct cluster_request r = {.kind = CLUSTER_SEARCH,
		.search = {.spec = {.k = 3, .mode = SEARCH_EXACT}, .nq = QUERIES, .dtype = DTYPE_F32, .dim = DIM, .vectors = (const uint8_t *)queries,
			.shard_count = count, .shards = shards}};
	struct answer a = bench_ask(b, &r);
	assert_int_equal(a.reply.error.status, STATUS_OK);
	for (uint32_t q = 0; q < QUERIES; q++) candidates += load_u64(a.reply.search.candidates + 8 * (size_t)q);
	answer_release(&a);
	return candidates;
}

static void searches_writes_syncs_and_builds_are_counted(void **state)
{
	struct bench b;
	struct uuid shards[2];
	struct worker_metrics *m = &b.metrics;

	bench_open(&b, 2);
	for (uint32_t i = 0; i < 2; i++) {
		shards[i] = bench_make(&b, i, 2, METRIC_EUCLIDEAN, DIM);
		bench_fill(&b, shards[i], i, 2, 0, ITEMS, DIM);
	}
	assert_int_equal(counter_value(&m->upserts), ITEMS);
	assert_int_equal(histogram_count(&m->sync_seconds), 2); /* one for each message */
	assert_int_equal(shard_table_memtable_rows(b.parts.table), ITEMS);
	for (int round = 1; round <= 3; round++) {
		assert_int_equal(search(&b, shards, 2), ITEMS * QUERIES);
		assert_int_equal(counter_value(&m->queries), round * QUERIES);
		assert_int_equal(counter_value(&m->candidates), round * ITEMS * QUERIES);
		assert_int_equal(histogram_count(&m->search_seconds), round);
	}
	assert_int_equal(build(&b, shards[0]), STATUS_OK);
	assert_int_equal(build(&b, shards[1]), STATUS_OK);
	assert_int_equal(counter_value(&m->builds), 2);
	assert_int_equal(histogram_count(&m->build_seconds), 2);
	assert_true(m->build_seconds.sum > 0);
	assert_int_equal(shard_table_memtable_rows(b.parts.table), 0);
	assert_int_equal(delete_some(&b, shards[0], 7), STATUS_OK);
	assert_int_equal(counter_value(&m->deletes), 7);
	bench_fill(&b, shards[1], 1, 2, 1000, 40, DIM);
	uint64_t later = shard_table_memtable_rows(b.parts.table);
	assert_true(later > 0 && later == counter_value(&m->upserts) - ITEMS);
	uint64_t syncs = histogram_count(&m->sync_seconds);

	/* The log's replay fills the memtables again and is no write; opened shards are watched too. */
	bench_reopen(&b, 1);
	assert_int_equal(shard_table_memtable_rows(b.parts.table), later);
	assert_int_equal(counter_value(&m->upserts), ITEMS + later);
	uint64_t ends = histogram_count(&m->sync_seconds) - syncs;
	assert_int_equal(delete_some(&b, shards[0], 1), STATUS_OK);
	assert_int_equal(histogram_count(&m->sync_seconds), syncs + ends + 1);
	bench_remove(&b);
}

static void refused_writes_and_failed_builds_are_not_counted_as_done(void **state)
{
	struct bench b;
	char command[256], text[UUID_TEXT_SIZE];
	struct worker_metrics *m = &b.metrics;

	bench_open(&b, 1);
	struct uuid shard = bench_make(&b, 0, 1, METRIC_EUCLIDEAN, DIM);
	bench_fill(&b, shard, 0, 1, 0, ITEMS, DIM);
	struct cluster_request stale = {.kind = CLUSTER_WRITE,
		.write = {.shard = shard, .epoch = 9, .kind = WRITE_DELETE, .client = 1, .client_request = 77, .items = {.n = 1, .ids = (const uint8_t *)"12345678"}}};
	assert_int_equal(ask(&b, stale), STATUS_STALE);
	assert_int_equal(counter_value(&m->deletes), 0);
	/* A folder in the segment's place: the build fails after it froze the memtable, whose rows still wait for one. */
	log_set_level(LOG_ERROR + 1);
	uuid_text(shard, text);
	snprintf(command, sizeof(command), "mkdir '%s/shards/%s/seg-1.grove'", b.folder, text);
	assert_int_equal(system(command), 0);
	assert_true(build(&b, shard) != STATUS_OK);
	assert_int_equal(counter_value(&m->builds), 0);
	assert_int_equal(counter_value(&m->failed_builds), 1);
	assert_int_equal(shard_table_memtable_rows(b.parts.table), ITEMS);
	assert_int_equal(histogram_count(&m->build_seconds), 0);
	assert_int_equal(counter_value(&m->upserts), ITEMS);
	bench_remove(&b);
	log_set_level(LOG_INFO);
}

/* To a coordinator that never was there: each is kept for a while and then given up. */
static void answers_that_nobody_takes_are_counted_as_dropped(void **state)
{
	enum { ANSWERS = 5000 };
	const char *endpoints[] = {"tcp://127.0.0.1:1"};
	struct counter dropped = {0};
	struct links l = {.dropped = &dropped};
	struct report why = {0};
	struct replies *replies = NULL;

	assert_int_equal(links_open(&l, endpoints, 1, &why), STATUS_OK);
	assert_int_equal(replies_new(&replies), STATUS_OK);
	struct cluster_reply answer = {.id = 1, .to = CLUSTER_DROP};
	/* A DEALER that is not connected yet takes as many as fit below its limit; they wait in the socket. */
	for (int i = 0; i < ANSWERS; i++) {
		struct reply *reply = reply_new(0);
		assert_non_null(reply);
		replies_post(replies, &reply, &answer);
	}
	struct reply *list = replies_take(replies);
	uint64_t born = list->born_us;
	assert_int_equal(links_queue(&l, list), ANSWERS);
	assert_true(links_flush(&l, born));
	assert_int_equal(counter_value(&dropped), 0);
	assert_false(links_flush(&l, born + 2 * REPLY_KEEP_US + 10000000));
	uint64_t late = counter_value(&dropped);
	assert_in_range(late, 1, ANSWERS);
	/* One that could not be made goes nowhere at once, and one that waits at the end does. */
	struct reply *empty = reply_new(0);
	assert_non_null(empty);
	links_queue(&l, empty);
	assert_false(links_flush(&l, born));
	assert_int_equal(counter_value(&dropped), late + 1);
	struct reply *waiting = reply_new(0);
	assert_non_null(waiting);
	links_queue(&l, waiting);
	links_close(&l);
	assert_int_equal(counter_value(&dropped), late + 2);
	replies_free(&replies);
}

static void every_count_of_a_worker_has_a_name(void **state)
{
	static struct metrics registry;
	struct worker_metrics m = {.queries = {5}, .deletes = {3}, .memtable_rows = {8}};
	struct metrics_label who = {"worker", "w"};
	struct report why = {0};
	struct buf text;
	struct exposition e;

	assert_int_equal(metrics_init(&registry, &who, &why), STATUS_OK);
	assert_int_equal(worker_metrics_register(&m, &registry, &why), STATUS_OK);
	buf_init(&text, 0);
	assert_int_equal(metrics_write(&registry, &text), STATUS_OK);
	exposition_read(&e, (const char *)text.bytes, text.size);
	assert_int_equal(e.families, 11);
	assert_true(exposition_value(&e, "grove_worker_queries_total", "worker=w") == 5);
	assert_true(exposition_value(&e, "grove_worker_writes_total", "kind=delete") == 3);
	assert_true(exposition_value(&e, "grove_worker_writes_total", "kind=upsert") == 0);
	assert_true(exposition_value(&e, "grove_worker_memtable_rows", NULL) == 8);
	assert_true(exposition_value(&e, "grove_worker_wal_sync_seconds_count", NULL) == 0);
	exposition_release(&e);
	buf_release(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(searches_writes_syncs_and_builds_are_counted),
		cmocka_unit_test(refused_writes_and_failed_builds_are_not_counted_as_done),
		cmocka_unit_test(answers_that_nobody_takes_are_counted_as_dropped),
		cmocka_unit_test(every_count_of_a_worker_has_a_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
