/* worker_bench.c - see worker_bench.h. */
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
#include "common/prng.h"
#include "tests/support/worker_bench.h"

static const struct uuid bench_cluster = {{0xc1}};

static struct reply *held_back; /* answers that came before the one waited for */
/* The bytes of requests that are not answered yet. */
static struct sent { struct sent *next; uint64_t id; struct encoded encoded; } *sent;

/* Once its answer is there nobody may look at a request's bytes. */
static void forget_sent(uint64_t id)
{
	for (struct sent **at = &sent, *s; (s = *at);) {
		if (id != 0 && s->id != id) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		encoded_release(&s->encoded);
		free(s);
	}
}

void bench_start(struct bench *b, size_t threads)
{
	struct report why = {0};

	assert_int_equal(io_posix_open(b->folder, &b->io, &why), STATUS_OK);
	assert_int_equal(pool_new(threads, &b->parts.pool), STATUS_OK);
	assert_int_equal(background_new(&b->parts.background), STATUS_OK);
	assert_int_equal(replies_new(&b->parts.replies), STATUS_OK);
	assert_int_equal(shard_table_new(b->io, &b->parts.table), STATUS_OK);
	b->parts.metrics = &b->metrics;
	shard_table_watch_syncs(b->parts.table, &b->metrics.sync_seconds);
	assert_int_equal(shard_table_scan(b->parts.table, &why), STATUS_OK);
	shard_table_load(b->parts.table, bench_cluster);
	b->dispatch = (struct dispatch){.parts = &b->parts, .cluster = bench_cluster};
}

void bench_open(struct bench *b, size_t threads)
{
	*b = (struct bench){.folder = "/tmp/grove-bench-XXXXXX"};
	assert_non_null(mkdtemp(b->folder));
	bench_start(b, threads);
}

void bench_close(struct bench *b)
{
	shard_table_stop(b->parts.table);
	background_free(&b->parts.background);
	shard_table_close(b->parts.table);
	pool_free(&b->parts.pool);
	for (struct reply *next; held_back; held_back = next) {
		next = held_back->next;
		reply_free(&held_back);
	}
	forget_sent(0);
	replies_free(&b->parts.replies);
	shard_table_free(&b->parts.table);
	io_posix_close(&b->io);
}

void bench_reopen(struct bench *b, size_t threads)
{
	bench_close(b);
	bench_start(b, threads);
}

void bench_remove(struct bench *b)
{
	char command[128];

	bench_close(b);
	snprintf(command, sizeof(command), "rm -rf '%s'", b->folder);
	assert_int_equal(system(command), 0);
}

void answer_release(struct answer *a)
{
	cluster_reply_release(&a->reply);
	reply_free(&a->memory);
}

uint64_t bench_send(struct bench *b, struct cluster_request *r)
{
	struct sent *s = calloc(1, sizeof(*s));
	struct net_message message = {0};

	assert_non_null(s);

	r->id = ++b->next_id;
	if (r->remaining_us == 0) r->remaining_us = REMAINING_US;
	if (r->remaining_us == UINT64_MAX) r->remaining_us = 0;
	assert_int_equal(cluster_request_encode(r, &s->encoded), STATUS_OK);
	s->id = r->id;
	s->next = sent;
	sent = s;
	message.count = s->encoded.count;
	for (size_t i = 0; i < message.count; i++) message.frames[i] = s->encoded.frames[i];
	dispatch_message(&b->dispatch, 0, &message, clock_us());
	assert_int_equal(message.count, 0);
	return r->id;
}

static bool fits(struct reply *reply, uint64_t id, struct answer *ret)
{
	struct report why = {0};
	uint64_t got = 0;
	struct cluster_reply decoded;

	assert_int_equal(cluster_reply_decode(reply->encoded.frames, reply->encoded.count, &decoded, &got, &why), STATUS_OK);
	if (decoded.id == id) {
		*ret = (struct answer){.reply = decoded, .memory = reply};
		return true;
	}
	cluster_reply_release(&decoded);
	return false;
}

struct answer bench_wait(struct bench *b, uint64_t id)
{
	struct answer answer = {0};

	for (;;) {
		for (struct reply **at = &held_back; *at; at = &(*at)->next) {
			struct reply *reply = *at, *next = reply->next;
			if (!fits(reply, id, &answer)) continue;
			*at = next;
			reply->next = NULL;
			forget_sent(id);
			return answer;
		}
		struct pollfd ready = {.fd = replies_fd(b->parts.replies), .events = POLLIN};
		assert_int_equal(poll(&ready, 1, 60000), 1);
		struct reply *list = replies_take(b->parts.replies), **end = &held_back;
		while (*end) end = &(*end)->next;
		*end = list;
		uint64_t count = 0;
		for (; list; list = list->next) count++;
		dispatch_answered(&b->dispatch, count);
	}
}

struct answer bench_ask(struct bench *b, struct cluster_request *r) { return bench_wait(b, bench_send(b, r)); }

struct uuid bench_make(struct bench *b, uint32_t number, uint32_t shards, enum metric metric, uint32_t dim)
{
	struct cluster_request r = {
		.kind = CLUSTER_OPEN,
		.open = {
			.shard = uuid_new(), .number = number, .epoch = 1, .create = true,
			.index = {.id = 7, .name = "bench", .metric = metric, .dim = dim, .shards = shards, .replicas = 1, .trees = 4, .seed = 1},
		},
	};
	struct answer a = bench_ask(b, &r);

	assert_int_equal(a.reply.error.status, STATUS_OK);
	answer_release(&a);
	return r.open.shard;
}

void bench_row(uint64_t id, uint32_t dim, float *out)
{
	struct prng p;

	prng_seed3(&p, 5, id % 1000, 0); /* every thousandth is a duplicate */
	for (uint32_t i = 0; i < dim; i++) out[i] = (float)prng_below(&p, 4);
}

uint32_t bench_fill(struct bench *b, struct uuid shard, uint32_t number, uint32_t shards, uint64_t first, uint32_t n, uint32_t dim)
{
	uint8_t *ids = malloc(8 * (size_t)n + 1);
	float *rows = malloc(4 * (size_t)n * dim + 4);
	uint32_t count = 0;

	assert_non_null(ids);
	assert_non_null(rows);
	for (uint64_t id = first; id < first + n; id++) {
		if (shard_of_id(id, shards) != number) continue;
		store_u64(ids + 8 * (size_t)count, id);
		bench_row(id, dim, rows + (size_t)count * dim);
		count++;
	}
	struct cluster_request r = {
		.kind = CLUSTER_WRITE,
		.write = {.shard = shard, .epoch = 1, .kind = WRITE_UPSERT, .client = 1, .client_request = b->next_id + 1,
			.items = {.n = count, .dtype = DTYPE_F32, .dim = dim, .ids = ids, .vectors = (uint8_t *)rows}},
	};
	if (count) {
		struct answer a = bench_ask(b, &r);
		assert_int_equal(a.reply.error.status, STATUS_OK);
		assert_int_equal(a.reply.write.n, count);
		for (uint32_t i = 0; i < count; i++) assert_int_equal(a.reply.write.results[i], ITEM_OK);
		answer_release(&a);
	}
	free(ids);
	free(rows);
	return count;
}
