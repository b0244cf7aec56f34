/* Every allocation that a request makes in a worker fails once, and then all after it: the request is answered or dropped, nothing that
 * was acknowledged is lost, and the next request is served as if nothing had been. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/cursor.h"
#include "common/log.h"
#include "tests/support/starve.h"
#include "tests/support/worker_bench.h"

enum { DIM = 8, ITEMS = 300, NEVER_ENDS = 5000 };

/* A request as a coordinator would have encoded it, at an address of its own. */
struct sent { struct encoded encoded; struct net_message message; };

static void prepare(struct sent *s, struct cluster_request *r, uint64_t id)
{
	*s = (struct sent){0};
	r->id = id;
	r->remaining_us = REMAINING_US;
	assert_int_equal(cluster_request_encode(r, &s->encoded), STATUS_OK);
	s->message.count = s->encoded.count;
	for (size_t i = 0; i < s->encoded.count; i++) s->message.frames[i] = s->encoded.frames[i];
}

/* Its status; STATUS_UNKNOWN where it was dropped or could not be told. */
static enum status end_of(struct bench *b)
{
	struct cluster_reply reply;
	struct report why = {0};
	enum status status = STATUS_UNKNOWN;
	uint64_t id;

	if (atomic_load(&b->dispatch.open) == 0) return status;
	struct pollfd ready = {.fd = replies_fd(b->parts.replies), .events = POLLIN};
	assert_int_equal(poll(&ready, 1, 30000), 1);
	struct reply *taken = replies_take(b->parts.replies);
	starve_end();
	assert_non_null(taken);
	assert_null(taken->next);
	dispatch_answered(&b->dispatch, 1);
	if (taken->encoded.count) {
		assert_int_equal(cluster_reply_decode(taken->encoded.frames, taken->encoded.count, &reply, &id, &why), STATUS_OK);
		status = reply.error.status;
		cluster_reply_release(&reply);
	}
	reply_free(&taken);
	return status;
}

/* Send r again and again, one more allocation succeeding each time, until none fails; then it has to work. */
static void starve_request(struct bench *b, struct cluster_request *r, const char *name, void (*check)(struct bench *b), struct bench *arg)
{
	for (int for_ever = 0; for_ever <= 1; for_ever++) {
		bool failed = true;
		long n = 0;
		enum status status = STATUS_OK;
		for (; failed; n++) {
			struct sent s;
			assert_true(n < NEVER_ENDS);
			prepare(&s, r, ++b->next_id);
			if (r->kind == CLUSTER_WRITE) r->write.client_request++;
			starve_begin(n, for_ever);
			dispatch_message(&b->dispatch, 0, &s.message, clock_us());
			status = end_of(b);
			failed = starve_end();
			encoded_release(&s.encoded);
			if (check) check(arg);
		}
		assert_int_equal(status, STATUS_OK);
		printf("%s: %ld allocations, each failed %s\n", name, n - 1, for_ever ? "with all after it" : "once");
		assert_true(n > 2);
	}
}

static struct uuid shard;
static float query[3 * DIM];

static struct cluster_request search_request(void)
{
	return (struct cluster_request){.kind = CLUSTER_SEARCH,
		.search = {.spec = {.k = 5, .mode = SEARCH_EXACT, .with_payload = true}, .nq = 3, .dtype = DTYPE_F32, .dim = DIM,
			.vectors = (const uint8_t *)query, .shard_count = 1, .shards = &shard}};
}

static void still_answers_in_full(struct bench *b)
{
	struct cluster_request r = search_request();
	struct answer a = bench_ask(b, &r);

	assert_int_equal(a.reply.error.status, STATUS_OK);
	assert_int_equal(a.reply.search.shards[0].status, STATUS_OK);
	assert_true(a.reply.search.shards[0].items >= ITEMS);
	assert_int_equal(a.reply.search.total, 15);
	answer_release(&a);
}

static void bench_with_items(struct bench *b)
{
	if (!starve_works()) skip();
	bench_open(b, 2);
	for (uint32_t q = 0; q < 3; q++) bench_row(q, DIM, query + q * DIM);
	shard = bench_make(b, 0, 1, METRIC_EUCLIDEAN, DIM);
	assert_int_equal(bench_fill(b, shard, 0, 1, 0, ITEMS, DIM), ITEMS);
}

static void search_without_memory_is_told_and_the_next_is_whole(void **state)
{
	struct bench b;

	bench_with_items(&b);
	struct cluster_request r = search_request();
	starve_request(&b, &r, "search", still_answers_in_full, &b);
	bench_remove(&b);
}

static void get_without_memory_is_told(void **state)
{
	struct bench b;
	uint8_t ids[16] = {1, 0, 0, 0, 0, 0, 0, 0, 2};

	bench_with_items(&b);
	struct cluster_request r = {.kind = CLUSTER_GET, .get = {.shard = shard, .n = 2, .ids = ids}};
	starve_request(&b, &r, "get", still_answers_in_full, &b);
	bench_remove(&b);
}

static void scan_without_memory_is_told(void **state)
{
	struct bench b;

	bench_with_items(&b);
	struct cluster_request r = {.kind = CLUSTER_SCAN, .scan = {.shard = shard, .limit = 50, .with_vector = true, .with_payload = true}};
	starve_request(&b, &r, "scan", still_answers_in_full, &b);
	bench_remove(&b);
}

static void write_without_memory_leaves_the_shard_serving(void **state)
{
	struct bench b;
	uint8_t id[8];
	float row[DIM] = {9};

	bench_with_items(&b);
	store_u64(id, 100000);
	struct cluster_request r = {.kind = CLUSTER_WRITE,
		.write = {.shard = shard, .epoch = 1, .client = 3, .client_request = 1,
			.items = {.n = 1, .dtype = DTYPE_F32, .dim = DIM, .ids = id, .vectors = (uint8_t *)row}}};
	starve_request(&b, &r, "write", still_answers_in_full, &b);
	bench_reopen(&b, 2);
	still_answers_in_full(&b);
	bench_remove(&b);
}

static void open_without_memory_may_be_asked_again(void **state)
{
	struct bench b;

	if (!starve_works()) skip();
	bench_open(&b, 1);
	struct cluster_request r = {
		.kind = CLUSTER_OPEN,
		.open = {.shard = uuid_new(), .epoch = 1, .create = true,
			.index = {.id = 7, .name = "bench", .metric = METRIC_EUCLIDEAN, .dim = DIM, .shards = 1, .replicas = 1, .trees = 4, .seed = 1}},
	};
	starve_request(&b, &r, "open", NULL, NULL);
	bench_reopen(&b, 1);
	starve_request(&b, &r, "open of what is open", NULL, NULL);
	bench_remove(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(search_without_memory_is_told_and_the_next_is_whole),
		cmocka_unit_test(get_without_memory_is_told),
		cmocka_unit_test(scan_without_memory_is_told),
		cmocka_unit_test(write_without_memory_leaves_the_shard_serving),
		cmocka_unit_test(open_without_memory_may_be_asked_again),
	};

	log_set_level((enum log_level)(LOG_ERROR + 1)); /* every failure of ours would be told */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
