/* meta_thread_test.c - commits handed to the store's thread come back as events, in order, each once, and with the truth about them
 * where the store does not know it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
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

/* ---- a store that fails ---- */

/* Before the real one, that fails commits (made or not) and reads, so many times each. */
struct faulty { struct meta_store base; struct meta_store *real; unsigned fail_before, fail_after; _Atomic unsigned fail_reads; };

static enum status faulty_get(struct meta_store *base, const char *key, struct meta_record *ret, struct report *report)
{
	struct faulty *f = (struct faulty *)base;
	if (atomic_load(&f->fail_reads)) {
		atomic_fetch_sub(&f->fail_reads, 1);
		return report_set(report, STATUS_IO, "the disk fails");
	}
	return f->real->ops->get(f->real, key, ret, report);
}

static void faulty_commit(struct meta_store *base, struct meta_commit *commit)
{
	struct faulty *f = (struct faulty *)base;
	if (f->fail_before) {
		f->fail_before--;
		report_set(&commit->report, STATUS_IO, "the disk failed before the commit");
		return;
	}
	f->real->ops->commit(f->real, commit);
	if (commit->report.status != STATUS_OK || !f->fail_after) return;
	f->fail_after--;
	commit->version = 0;
	report_set(&commit->report, STATUS_IO, "the disk failed after the commit");
}

static void faulty_close(struct meta_store **base)
{
	struct faulty *f = (struct faulty *)*base;
	f->real->ops->close(&f->real);
	*base = NULL;
}

static const struct meta_store_ops faulty_ops = {faulty_get, NULL, faulty_commit, faulty_close};

struct bench { char dir[40], path[64]; struct net *net; struct net_inbox *inbox; struct faulty store; struct meta_thread *thread; };

static void bench_open(struct bench *b)
{
	struct meta_store *store = &b->store.base;
	*b = (struct bench){.dir = "/tmp/grove-meta-thread-XXXXXX", .store = {.base = {&faulty_ops}}};
	assert_non_null(mkdtemp(b->dir));
	snprintf(b->path, sizeof(b->path), "%s/meta.sqlite", b->dir);
	assert_int_equal(net_new(&b->net), STATUS_OK);
	assert_int_equal(net_inbox_open(b->net, "answers", &b->inbox), STATUS_OK);
	assert_int_equal(meta_sqlite_open(b->path, &b->store.real, NULL), STATUS_OK);
	assert_int_equal(meta_thread_start(b->net, &store, "answers", &b->thread), STATUS_OK);
}

static void bench_close(struct bench *b)
{
	meta_thread_stop(&b->thread);
	net_inbox_close(&b->inbox);
	net_free(&b->net);
	unlink(b->path);
	rmdir(b->dir);
}

/* One change after another; a NULL value removes. */
static struct meta_commit *change_add(struct meta_commit *c, const char *key, uint64_t expected, const char *value)
{
	struct meta_change *change;
	if (!c) c = calloc(1, sizeof(*c));
	change = &c->changes[c->count++];
	snprintf(change->key, sizeof(change->key), "%s", key);
	change->expected = expected;
	change->remove = !value;
	change->value = value ? (uint8_t *)strdup(value) : NULL;
	change->size = value ? strlen(value) : 0;
	return c;
}

static enum status commit_wait(struct bench *b, struct meta_commit *c, uint64_t *ret_version)
{
	assert_int_equal(meta_thread_commit(b->thread, &c), STATUS_OK);
	c = answer_wait(b->inbox);
	enum status status = c->report.status;
	if (ret_version) *ret_version = c->version;
	meta_commit_free(&c);
	return status;
}

static void a_commit_that_failed_but_was_made_is_told_as_made_and_the_next_is_no_conflict(void **state)
{
	struct bench b;
	uint64_t version;
	bench_open(&b);
	b.store.fail_after = 3;
	assert_int_equal(commit_wait(&b, change_add(NULL, "index/a", 0, "made"), &version), STATUS_OK);
	assert_true(version == 1);
	assert_int_equal(commit_wait(&b, change_add(change_add(NULL, "index/a", version, NULL), "dropped/a", 0, "gone"), &version), STATUS_OK);
	assert_true(version == 2);
	assert_int_equal(commit_wait(&b, change_add(NULL, "dropped/a", version, NULL), NULL), STATUS_OK);
	assert_int_equal(b.store.fail_after, 0);
	assert_int_equal(commit_wait(&b, change_add(change_add(NULL, "index/a", 0, "again"), "dropped/a", 0, "again"), &version), STATUS_OK);
	assert_true(version == 4);
	bench_close(&b);
}

static void a_commit_that_was_not_made_is_told_as_failed_and_can_be_tried_again(void **state)
{
	struct bench b;
	uint64_t version;
	bench_open(&b);
	b.store.fail_before = 1;
	assert_int_equal(commit_wait(&b, change_add(NULL, "index/a", 0, "made"), NULL), STATUS_IO);
	assert_int_equal(commit_wait(&b, change_add(NULL, "index/a", 0, "made"), &version), STATUS_OK);
	b.store.fail_before = 1;
	assert_int_equal(commit_wait(&b, change_add(NULL, "index/a", version, "new"), NULL), STATUS_IO);
	b.store.fail_before = 1;
	assert_int_equal(commit_wait(&b, change_add(NULL, "index/a", version, NULL), NULL), STATUS_IO);
	assert_int_equal(commit_wait(&b, change_add(NULL, "index/a", version, "made"), &version), STATUS_OK);
	assert_int_equal(commit_wait(&b, change_add(NULL, "index/a", version - 1, "late"), NULL), STATUS_CONFLICT);
	bench_close(&b);
}

static void what_cannot_be_read_is_not_answered_until_it_can(void **state)
{
	struct bench b;
	struct meta_commit *first = change_add(NULL, "index/a", 0, "made"), *second = change_add(NULL, "index/a", 1, "next"), *answer;
	bench_open(&b);
	first->context = (void *)1;
	second->context = (void *)2;
	b.store.fail_after = 1;
	b.store.fail_reads = 2;
	assert_int_equal(meta_thread_commit(b.thread, &first), STATUS_OK);
	assert_int_equal(meta_thread_commit(b.thread, &second), STATUS_OK);
	for (uintptr_t i = 1; i <= 2; i++) {
		answer = answer_wait(b.inbox);
		assert_int_equal(b.store.fail_reads, 0);
		assert_int_equal((uintptr_t)answer->context, i);
		assert_int_equal(answer->report.status, STATUS_OK);
		assert_int_equal(answer->version, i);
		meta_commit_free(&answer);
	}
	bench_close(&b);
}

static void stopping_does_not_wait_for_a_store_that_cannot_be_read(void **state)
{
	struct bench b;
	struct meta_commit *commit = change_add(NULL, "index/a", 0, "made"), *answer;
	bench_open(&b);
	b.store.fail_after = 1;
	b.store.fail_reads = 1000000;
	assert_int_equal(meta_thread_commit(b.thread, &commit), STATUS_OK);
	uint64_t began = clock_us();
	meta_thread_stop(&b.thread);
	assert_true(clock_us() - began < 30000000); /* a million tries take longer */
	answer = net_take(b.inbox);
	assert_non_null(answer);
	assert_int_equal(answer->report.status, STATUS_IO);
	meta_commit_free(&answer);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_come_in_the_order_of_the_commits_and_stopping_waits_for_them),
		cmocka_unit_test(a_commit_that_failed_but_was_made_is_told_as_made_and_the_next_is_no_conflict),
		cmocka_unit_test(a_commit_that_was_not_made_is_told_as_failed_and_can_be_tried_again),
		cmocka_unit_test(what_cannot_be_read_is_not_answered_until_it_can),
		cmocka_unit_test(stopping_does_not_wait_for_a_store_that_cannot_be_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
