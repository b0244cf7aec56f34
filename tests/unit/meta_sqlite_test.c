/* meta_sqlite_test.c - the embedded metadata store: compare-and-set, reopening, and a process killed between commits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "coordinator/meta.h"

struct fixture { char dir[64], path[96]; };

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	snprintf(f->dir, sizeof(f->dir), "/tmp/grove-meta-XXXXXX");
	if (!mkdtemp(f->dir)) return -1;
	snprintf(f->path, sizeof(f->path), "%s/meta.sqlite", f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
	char path[128];
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", f->path, endings[i]);
		unlink(path);
	}
	rmdir(f->dir);
	free(f);
	return 0;
}

static struct meta_store *open_store(const struct fixture *f)
{
	struct meta_store *s = NULL;
	struct report report = {.status = STATUS_OK};
	if (meta_sqlite_open(f->path, &s, &report) != STATUS_OK) fail_msg("%s", report_text(&report));
	return s;
}

static void change_put(struct meta_commit *c, const char *key, uint64_t expected, const char *value)
{
	struct meta_change *change = &c->changes[c->count++];
	snprintf(change->key, sizeof(change->key), "%s", key);
	change->expected = expected;
	change->remove = !value;
	change->value = value ? (uint8_t *)strdup(value) : NULL;
	change->size = value ? strlen(value) : 0;
}

/* One change alone; the new version or, on failure, 0 with the status in *ret. */
static uint64_t set(struct meta_store *s, const char *key, uint64_t expected, const char *value, enum status *ret)
{
	struct meta_commit *c = calloc(1, sizeof(*c));
	change_put(c, key, expected, value);
	s->ops->commit(s, c);
	uint64_t version = c->version;
	*ret = c->report.status;
	meta_commit_free(&c);
	return version;
}

static void assert_value(struct meta_store *s, const char *key, const char *value, uint64_t version)
{
	struct meta_record r;
	assert_int_equal(s->ops->get(s, key, &r, NULL), STATUS_OK);
	assert_int_equal(r.size, strlen(value));
	assert_memory_equal(r.value, value, r.size);
	assert_int_equal(r.version, version);
	free(r.value);
}

static void a_change_at_the_wrong_version_is_a_conflict_and_changes_nothing(void **state)
{
	struct meta_store *s = open_store(*state);
	enum status status;
	uint64_t first = set(s, "a", 0, "one", &status);
	assert_int_equal(status, STATUS_OK);
	assert_int_equal(set(s, "a", 0, "again", &status), 0);
	assert_int_equal(status, STATUS_CONFLICT);
	assert_value(s, "a", "one", first);
	uint64_t second = set(s, "a", first, "two", &status);
	assert_true(second > first);
	assert_int_equal(set(s, "a", first, "late", &status), 0);
	assert_int_equal(status, STATUS_CONFLICT);
	assert_value(s, "a", "two", second);
	s->ops->close(&s);
}

static void a_version_never_repeats_even_when_the_key_was_removed(void **state)
{
	struct meta_store *s = open_store(*state);
	enum status status;
	uint64_t first = set(s, "a", 0, "one", &status);
	assert_true(set(s, "a", first, NULL, &status) > first);
	assert_int_equal(s->ops->get(s, "a", &(struct meta_record){{0}, 0, NULL, 0}, NULL), STATUS_NOT_FOUND);
	uint64_t second = set(s, "a", 0, "one", &status);
	assert_true(second > first + 1);
	assert_int_equal(set(s, "a", first, "late", &status), 0);
	assert_int_equal(status, STATUS_CONFLICT);
	s->ops->close(&s);
}

static void several_changes_are_all_made_or_none(void **state)
{
	struct meta_store *s = open_store(*state);
	enum status status;
	uint64_t a = set(s, "a", 0, "one", &status);
	struct meta_commit *c = calloc(1, sizeof(*c));
	change_put(c, "b", 0, "new");
	change_put(c, "a", a + 5, NULL);
	s->ops->commit(s, c);
	assert_int_equal(c->report.status, STATUS_CONFLICT);
	assert_non_null(strstr(c->report.text, "'a'"));
	meta_commit_free(&c);
	assert_int_equal(s->ops->get(s, "b", &(struct meta_record){{0}, 0, NULL, 0}, NULL), STATUS_NOT_FOUND);
	c = calloc(1, sizeof(*c));
	change_put(c, "b", 0, "new");
	change_put(c, "a", a, NULL);
	s->ops->commit(s, c);
	assert_int_equal(c->report.status, STATUS_OK);
	assert_value(s, "b", "new", c->version);
	meta_commit_free(&c);
	assert_int_equal(s->ops->get(s, "a", &(struct meta_record){{0}, 0, NULL, 0}, NULL), STATUS_NOT_FOUND);
	s->ops->close(&s);
}

static void reopening_brings_everything_back_in_the_order_of_the_keys(void **state)
{
	struct meta_store *s = open_store(*state);
	enum status status;
	struct meta_record *records;
	size_t count;
	set(s, "index/b", 0, "2", &status);
	set(s, "index/a", 0, "1", &status);
	set(s, "indey", 0, "x", &status);
	uint64_t last = set(s, "cluster", 0, "c", &status);
	s->ops->close(&s);
	s = open_store(*state);
	assert_int_equal(s->ops->list(s, "index/", &records, &count, NULL), STATUS_OK);
	assert_int_equal(count, 2);
	assert_string_equal(records[0].key, "index/a");
	assert_string_equal(records[1].key, "index/b");
	meta_records_free(&records, count);
	assert_int_equal(s->ops->list(s, "", &records, &count, NULL), STATUS_OK);
	assert_int_equal(count, 4);
	meta_records_free(&records, count);
	assert_true(set(s, "more", 0, "m", &status) == last + 1);
	s->ops->close(&s);
}

/* The child commits 1, 2, 3, ... and tells each that was acknowledged through a pipe, until it is killed. */
static void child_commits(const struct fixture *f, int out)
{
	struct meta_store *s = open_store(f);
	struct meta_record r;
	enum status status = s->ops->get(s, "n", &r, NULL);
	uint64_t version = status == STATUS_OK ? r.version : 0;
	long n = status == STATUS_OK ? strtol((const char *)r.value, NULL, 10) : 0;
	for (;;) {
		char text[32];
		snprintf(text, sizeof(text), "%ld ", ++n);
		version = set(s, "n", version, text, &status);
		if (status != STATUS_OK || write(out, &n, sizeof(n)) != sizeof(n)) _exit(3);
	}
}

static void a_killed_process_loses_no_acknowledged_commit(void **state)
{
	struct fixture *f = *state;
	for (int round = 0; round < 8; round++) {
		int ends[2];
		long told = 0, heard = 0;
		struct meta_record r;
		assert_int_equal(pipe(ends), 0);
		pid_t pid = fork();
		if (pid == 0) child_commits(f, ends[1]);
		close(ends[1]);
		/* Killed at another moment each time: after some acknowledgements, in the middle of the next commit. */
		for (int i = 0; i < 3 + 7 * round && read(ends[0], &heard, sizeof(heard)) == sizeof(heard); i++) told = heard;
		kill(pid, SIGKILL);
		while (read(ends[0], &heard, sizeof(heard)) == sizeof(heard)) told = heard;
		close(ends[0]);
		waitpid(pid, NULL, 0);
		assert_true(told > 0);
		struct meta_store *s = open_store(f);
		assert_int_equal(s->ops->get(s, "n", &r, NULL), STATUS_OK);
		long found = strtol((const char *)r.value, NULL, 10);
		assert_true(found == told || found == told + 1);
		free(r.value);
		s->ops->close(&s);
	}
}

static void a_file_that_is_no_database_is_refused(void **state)
{
	struct fixture *f = *state;
	struct meta_store *s = NULL;
	struct report report = {.status = STATUS_OK};
	FILE *file = fopen(f->path, "w");
	for (int i = 0; i < 1000; i++) fputs("this is not a database\n", file);
	fclose(file);
	assert_int_equal(meta_sqlite_open(f->path, &s, &report), STATUS_CORRUPT);
	assert_null(s);
	assert_true(strlen(report.text) > 0);
}

static void a_second_process_cannot_open_the_same_store(void **state)
{
	struct meta_store *s = open_store(*state), *second = NULL;
	enum status status;
	set(s, "a", 0, "one", &status);
	assert_int_equal(meta_sqlite_open(((struct fixture *)*state)->path, &second, NULL), STATUS_LOCKED);
	s->ops->close(&s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_change_at_the_wrong_version_is_a_conflict_and_changes_nothing),
		TEST(a_version_never_repeats_even_when_the_key_was_removed),
		TEST(several_changes_are_all_made_or_none),
		TEST(reopening_brings_everything_back_in_the_order_of_the_keys),
		TEST(a_killed_process_loses_no_acknowledged_commit),
		TEST(a_file_that_is_no_database_is_refused),
		TEST(a_second_process_cannot_open_the_same_store),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
