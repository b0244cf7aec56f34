/* A hand-over through a mailbox as ThreadSanitizer sees it. libzmq is not instrumented, so the release and acquire that net.c announces are
 * all that orders the two threads: without them the twin would be reported too, and with too much of them the plant would not.
 * With GROVE_PLANT_RACE the sender writes to what it has given away, and the test has to fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>

#include "common/net.h"

enum { ROUNDS = 200 };

struct parcel { unsigned content; };

static struct net *net;

static void *reader_run(void *arg)
{
	struct net_inbox *in = arg;
	unsigned sum = 0;

	for (unsigned taken = 0; taken < ROUNDS;) {
		struct net_poll item = {.inbox = in, .fd = -1};
		if (net_wait(&item, 1, UINT64_MAX) != STATUS_OK) return NULL;
		for (struct parcel *p; (p = net_take(in)); taken++) {
			sum += p->content;
			p->content = 0;
#ifndef GROVE_PLANT_RACE
			free(p); /* the plant keeps it, so that what is found is the race and not the heap */
#endif
		}
	}
	net_inbox_close(&in);
	return (void *)(uintptr_t)sum;
}

static void a_parcel_belongs_to_its_reader_alone(void **state)
{
	struct net_inbox *in = NULL;
	struct net_outbox *out = NULL;
	pthread_t reader;
	void *sum;

	assert_int_equal(net_new(&net), STATUS_OK);
	assert_int_equal(net_inbox_open(net, "parcels", &in), STATUS_OK);
	assert_int_equal(net_outbox_open(net, "parcels", &out), STATUS_OK);
	assert_int_equal(pthread_create(&reader, NULL, reader_run, in), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct parcel *p = malloc(sizeof(*p));
		assert_non_null(p);
		p->content = i;
		void *take = p;
		assert_int_equal(net_post(out, &take), STATUS_OK);
#ifdef GROVE_PLANT_RACE
		p->content = i;
#endif
	}
	assert_int_equal(pthread_join(reader, &sum), 0);
#ifndef GROVE_PLANT_RACE /* what the sum is then is chance; only the sanitizer's verdict counts */
	assert_int_equal((uintptr_t)sum, ROUNDS * (ROUNDS - 1) / 2);
#endif
	net_outbox_close(&out);
	net_free(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_parcel_belongs_to_its_reader_alone)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
