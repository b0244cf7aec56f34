/* cli_pipeline_test.c - many requests at once against a scripted server: repeats, windows, order, stopping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/pipeline.h"
#include "client/cli/query_run.h"
#include "common/clock.h"
#include "common/cursor.h"
#include "common/net.h"
#include "common/vec.h"
#include "proto/client_codec.h"

enum { JOBS = 40, QUERIES = 1000, HELD_MAX = 4 };

/* Refuses the first `refuse` upserts with `code`, then answers. Searches are answered in pairs, the later one first; a query's
 * hit is the number that is its vector. */
struct server {
	struct net *net;
	pthread_t thread;
	char endpoint[64];
	_Atomic int bound, stop, refuse, upserts;
	_Atomic int code;
};

static void reply_send(struct net_socket *socket, const struct net_message *m, const struct client_reply *reply)
{
	struct encoded e;
	memset(&e, 0, sizeof(e));
	if (client_reply_encode(reply, &e) == STATUS_OK && net_send(socket, &m->peer, false, e.frames, e.count) != STATUS_OK)
		return;
	encoded_release(&e);
}

static void search_answer(struct net_socket *socket, const struct net_message *m, const struct client_request *r)
{
	static uint8_t counts[BATCH_QUERIES_MAX * 4], ids[BATCH_QUERIES_MAX * 8], distances[BATCH_QUERIES_MAX * 4],
		coverage[BATCH_QUERIES_MAX * COVERAGE_BYTES];
	struct client_reply reply = {.id = r->id, .op = CLIENT_SEARCH};
	for (uint32_t q = 0; q < r->search.nq; q++) {
		store_u32(counts + 4 * q, 1);
		store_u64(ids + 8 * q, (uint64_t)load_f32(r->search.vectors + 4 * q));
		store_f32(distances + 4 * q, 0);
		coverage_store(&(struct coverage){.shards = 1, .answered = 1}, coverage + COVERAGE_BYTES * q);
	}
	reply.search = (struct client_hits){.nq = r->search.nq,
		.total = r->search.nq,
		.counts = counts,
		.ids = ids,
		.distances = distances,
		.coverage = coverage};
	reply_send(socket, m, &reply);
}

static void serve(struct server *s, struct net_socket *socket, const struct net_message *m)
{
	static const uint8_t fine[8];
	struct client_request r;
	struct report report;
	struct buf scratch;
	uint64_t id;
	buf_init(&scratch, 0);
	if (client_request_decode(m->frames, m->count, &scratch, &r, &id, &report) == STATUS_OK) {
		struct client_reply reply = {.id = r.id, .op = r.op};
		if (r.op == CLIENT_SEARCH) {
			search_answer(socket, m, &r);
		} else {
			if (r.op == CLIENT_HELLO) {
				reply.hello.version = CLIENT_PROTOCOL_VERSION;
				snprintf(reply.hello.server, sizeof(reply.hello.server), "scripted");
			} else if (s->upserts++ < s->refuse) {
				report_set(&reply.error, (enum status)s->code, "refused by the script");
			} else {
				reply.write.n = r.upsert.items.n;
				reply.write.results = fine;
			}
			reply_send(socket, m, &reply);
		}
	}
	buf_release(&scratch);
}

static void *server_main(void *context)
{
	struct server *s = context;
	struct net_socket *socket = NULL;
	struct report report;
	if (net_open(s->net, NET_ROUTER, CLIENT_FRAME_MAX, 1000, &socket) != STATUS_OK ||
		net_bind(socket, "tcp://127.0.0.1:*", &report) != STATUS_OK ||
		net_endpoint(socket, s->endpoint, sizeof(s->endpoint)) != STATUS_OK)
		return NULL;
	s->bound = 1;
	while (!s->stop) {
		struct net_message held[HELD_MAX];
		struct net_poll item = {.socket = socket, .fd = -1};
		size_t n = 0;
		if (net_wait(&item, 1, 5000) != STATUS_OK) break;
		memset(held, 0, sizeof(held));
		while (n < HELD_MAX && net_receive(socket, &held[n]) == STATUS_OK) n++;
		while (n) {
			serve(s, socket, &held[--n]);
			net_message_release(&held[n]);
		}
	}
	net_close(&socket);
	return NULL;
}

static grove_client *start(struct server *s, int refuse, int code)
{
	grove_client *client = NULL;
	char why[GROVE_TEXT_MAX] = "";
	memset(s, 0, sizeof(*s));
	s->refuse = refuse;
	s->code = code;
	assert_int_equal(net_new(&s->net), STATUS_OK);
	assert_int_equal(pthread_create(&s->thread, NULL, server_main, s), 0);
	while (!s->bound) clock_sleep_us(1000);
	if (grove_open(s->endpoint, 5000, &client, why, sizeof(why)) != GROVE_OK) fail_msg("%s", why);
	return client;
}

static void end(struct server *s, grove_client **client)
{
	grove_close(client);
	s->stop = 1;
	pthread_join(s->thread, NULL);
	net_free(&s->net);
}

struct put {
	struct job job; /* first */
	uint64_t id;
	int done, code, *in_flight_max;
};

static int put_submit(struct job *job, grove_client *client, grove_ticket *ret)
{
	struct put *p = (struct put *)job;
	static const float vector[1] = {1};
	grove_items items = {.count = 1, .dim = 1, .ids = &p->id, .vectors = vector};
	int code = grove_upsert_submit(client, "x", &items, ret);
	if ((int)grove_in_flight(client) > *p->in_flight_max) *p->in_flight_max = (int)grove_in_flight(client);
	return code;
}

static bool put_done(struct job *job, int code, const char *message, grove_reply **reply)
{
	struct put *p = (struct put *)job;
	p->done++;
	p->code = code;
	return code == GROVE_OK;
}

/* Runs JOBS puts; how many ended well. Each taken job must end exactly once. */
static int run_puts(
	grove_client *client, uint32_t window, uint32_t patience_ms, bool repeat_writes, int *ret_taken, int *ret_in_flight)
{
	static struct put puts[JOBS];
	struct pipeline p;
	int ok = 0;
	*ret_taken = *ret_in_flight = 0;
	memset(puts, 0, sizeof(puts));
	pipeline_init(&p, client, window, patience_ms);
	for (int i = 0; i < JOBS; i++) {
		puts[i] = (struct put){.job = {.submit = put_submit, .done = put_done, .repeat_writes = repeat_writes},
			.id = (uint64_t)i,
			.in_flight_max = ret_in_flight};
		if (!pipeline_add(&p, &puts[i].job)) break;
		(*ret_taken)++;
	}
	pipeline_finish(&p);
	for (int i = 0; i < JOBS; i++) {
		assert_int_equal(puts[i].done, i < *ret_taken);
		ok += puts[i].done && puts[i].code == GROVE_OK;
	}
	return ok;
}

static void all_jobs_end_well_within_the_window(void **state)
{
	struct server s;
	int taken, in_flight;
	grove_client *client = start(&s, 0, 0);
	assert_int_equal(run_puts(client, 5, 5000, false, &taken, &in_flight), JOBS);
	assert_in_range(in_flight, 2, 5);
	assert_int_equal(s.upserts, JOBS);
	end(&s, &client);
}

static void busy_is_repeated_until_it_ends_well(void **state)
{
	struct server s;
	int taken, in_flight;
	grove_client *client = start(&s, 15, STATUS_BUSY);
	assert_int_equal(run_puts(client, 8, 10000, false, &taken, &in_flight), JOBS);
	assert_int_equal(s.upserts, JOBS + 15);
	end(&s, &client);
}

static void busy_for_longer_than_the_patience_ends_the_job_as_busy(void **state)
{
	struct server s;
	int taken, in_flight;
	grove_client *client = start(&s, 1000000, STATUS_BUSY);
	uint64_t before = clock_us();
	assert_int_equal(run_puts(client, 4, 300, false, &taken, &in_flight), 0);
	assert_in_range(clock_us() - before, 100000, 30000000); /* not for ever */
	assert_true(taken < JOBS); /* what was under way ended, no more was taken */
	end(&s, &client);
}

static void unknown_is_repeated_only_for_jobs_that_allow_it(void **state)
{
	struct server s;
	int taken, in_flight;
	grove_client *client = start(&s, 1, STATUS_UNKNOWN);
	assert_int_equal(run_puts(client, 4, 5000, true, &taken, &in_flight), JOBS);
	end(&s, &client);
	client = start(&s, 1, STATUS_UNKNOWN);
	assert_true(run_puts(client, 1, 5000, false, &taken, &in_flight) == 0);
	assert_int_equal(s.upserts, 1);
	end(&s, &client);
}

struct collected {
	uint32_t next;
	uint64_t batches;
};

static bool collect(void *context, uint32_t first, uint32_t count, int code, const char *message, const grove_reply *reply)
{
	struct collected *c = context;
	assert_int_equal(code, GROVE_OK);
	assert_int_equal(first, c->next);
	for (uint32_t q = 0; q < count; q++) assert_int_equal(reply->hits.ids[reply->hits.offsets[q]], first + q);
	c->next += count;
	c->batches++;
	return true;
}

static void answers_of_many_batches_come_in_the_order_of_their_queries(void **state)
{
	struct server s;
	static float vectors[QUERIES];
	struct collected c = {0, 0};
	grove_client *client = start(&s, 0, 0);
	struct session session = {.client = client, .timeout_ms = 5000};
	for (int i = 0; i < QUERIES; i++) vectors[i] = (float)i;
	struct query_run run = {.session = &session,
		.index = "x",
		.answer = collect,
		.context = &c,
		.args = {.queries = QUERIES, .dim = 1, .vectors = vectors, .k = 20000}}; /* a large k: 13 queries a batch */
	assert_true(query_run(&run));
	assert_int_equal(c.next, QUERIES);
	assert_true(c.batches > 50);
	end(&s, &client);
}

static void batches_meet_no_limit(void **state)
{
	for (uint32_t k = 1; k <= QUERY_HITS_MAX; k *= 2) {
		for (uint32_t dim = 1; dim <= DIM_MAX; dim *= 4) {
			grove_search_args args = {.dim = dim, .dtype = GROVE_F32, .k = k};
			uint64_t n = query_batch_size(&args);
			assert_true(n >= 1 && n <= BATCH_QUERIES_MAX && n * k <= QUERY_HITS_MAX);
			assert_true(n * dtype_row_bytes(DTYPE_F32, dim) <= CLIENT_FRAME_MAX);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_jobs_end_well_within_the_window),
		cmocka_unit_test(busy_is_repeated_until_it_ends_well),
		cmocka_unit_test(busy_for_longer_than_the_patience_ends_the_job_as_busy),
		cmocka_unit_test(unknown_is_repeated_only_for_jobs_that_allow_it),
		cmocka_unit_test(answers_of_many_batches_come_in_the_order_of_their_queries),
		cmocka_unit_test(batches_meet_no_limit),
	};
	return cmocka_run_group_tests_name("cli_pipeline", tests, NULL, NULL);
}
