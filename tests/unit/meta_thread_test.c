/* meta_thread_test.c - commits handed to the store's thread come back as events, in order, each once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coordinator/meta.h"

enum { COMMITS = 200 };

static struct meta_commit *counter_commit(uintptr_t number, uint64_t expected)
{
	struct meta_commit *c = calloc(1, sizeof(*c));
	snprintf(c->changes[0].key, sizeof(c->changes[0].key), "counter");
	c->changes[0].expected = expected;
	c->changes[0].value = (uint8_t *)strdup("value");
	c->changes[0].size = 5;
	c->count = 1;
	c->context = (void *)number;
	return c;
}

static struct meta_commit *answer_wait(struct net_inbox *inbox)
{
	struct net_poll poll = {.inbox = inbox, .fd = -1};
	struct meta_commit *answer;
	while (!(answer = net_take(inbox))) assert_int_equal(net_wait(&poll, 1, 10000000), STATUS_OK);
	return answer;
}

static void answers_come_in_the_order_of_the_commits_and_stopping_waits_for_them(void **state)
{
	char dir[] = "/tmp/grove-meta-thread-XXXXXX", path[64];
	struct net *net = NULL;
	struct net_inbox *inbox = NULL;
	struct meta_store *store = NULL;
	struct meta_thread *thread = NULL;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/meta.sqlite", dir);
	assert_int_equal(net_new(&net), STATUS_OK);
	assert_int_equal(net_inbox_open(net, "answers", &inbox), STATUS_OK);
	assert_int_equal(meta_sqlite_open(path, &store, NULL), STATUS_OK);
	assert_int_equal(meta_thread_start(net, &store, "answers", &thread), STATUS_OK);
	assert_null(store);
	/* Each expects the version before it: all go through, since one thread takes them in order. */
	for (uintptr_t i = 0; i < COMMITS; i++) {
		struct meta_commit *c = counter_commit(i, i);
		assert_int_equal(meta_thread_commit(thread, &c), STATUS_OK);
		assert_null(c);
	}
	for (uintptr_t i = 0; i < COMMITS / 2; i++) {
		struct meta_commit *c = answer_wait(inbox);
		assert_int_equal((uintptr_t)c->context, i);
		assert_int_equal(c->report.status, STATUS_OK);
		assert_int_equal(c->version, i + 1);
		meta_commit_free(&c);
	}
	meta_thread_stop(&thread);
	assert_null(thread);
	for (uintptr_t i = COMMITS / 2; i < COMMITS; i++) {
		struct meta_commit *c = answer_wait(inbox);
		assert_int_equal((uintptr_t)c->context, i);
		meta_commit_free(&c);
	}
	assert_null(net_take(inbox));
	/* All of them are in the file. */
	assert_int_equal(meta_sqlite_open(path, &store, NULL), STATUS_OK);
	struct meta_record record;
	assert_int_equal(store->ops->get(store, "counter", &record, NULL), STATUS_OK);
	assert_int_equal(record.version, COMMITS);
	free(record.value);
	store->ops->close(&store);
	net_inbox_close(&inbox);
	net_free(&net);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_come_in_the_order_of_the_commits_and_stopping_waits_for_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
