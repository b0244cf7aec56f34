/* cli_children_test.c - the processes behind `grove up`: backoff, giving up, dying with the parent, stopping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cli/children.h"
#include "common/clock.h"

static void prepare(struct child *c, const char *program, const char *argument)
{
	memset(c, 0, sizeof(*c));
	snprintf(c->name, sizeof(c->name), "test");
	snprintf(c->program, sizeof(c->program), "%s", program);
	assert_int_equal(child_arguments(c, &argument, 1), STATUS_OK);
}

static void quick_deaths_pause_longer_and_longer_and_end_at_the_fifth(void **state)
{
	struct child c = {.state = CHILD_RUNNING};
	uint64_t now = 1000000, last_pause = 0;
	for (unsigned i = 1; i < QUICK_DEATHS_MAX; i++) {
		c.started_us = now;
		now += 1000;
		child_died(&c, now);
		assert_int_equal(c.state, CHILD_PAUSING);
		assert_true(c.resume_us - now > last_pause);
		assert_true(c.resume_us - now <= PAUSE_MAX_US);
		last_pause = c.resume_us - now;
		now = c.resume_us;
	}
	c.started_us = now;
	child_died(&c, now + 1000);
	assert_int_equal(c.state, CHILD_GIVEN_UP);
}

static void long_life_forgives_the_deaths_before(void **state)
{
	struct child c = {.state = CHILD_RUNNING};
	uint64_t now = 1000000;
	for (int i = 0; i < 50; i++) {
		c.started_us = now;
		now += QUICK_LIFE_US;
		child_died(&c, now);
		assert_int_equal(c.state, CHILD_PAUSING);
		assert_int_equal(c.resume_us - now, PAUSE_FIRST_US);
		now = c.resume_us;
	}
}

static void deaths_are_told_in_words(void **state)
{
	char text[128];
	assert_string_equal(death_text(W_EXITCODE(3, 0), text, sizeof(text)), "ended with exit status 3");
	assert_string_equal(death_text(W_EXITCODE(0, SIGKILL), text, sizeof(text)), "was killed by signal 9 (Killed)");
	assert_non_null(strstr(death_text(W_EXITCODE(127, 0), text, sizeof(text)), "could not be run"));
}

static void stop_ends_children_that_listen_and_those_that_do_not(void **state)
{
	struct child children[3];
	struct report report;
	prepare(&children[0], "/bin/sleep", "100");
	prepare(&children[1], "/bin/sleep", "100");
	memset(&children[2], 0, sizeof(children[2]));
	snprintf(children[2].program, sizeof(children[2].program), "/bin/sh");
	char path[] = "/tmp/grove-children-XXXXXX";
	int told = mkstemp(path);
	assert_true(told >= 0);
	const char *const deaf[] = {"-c", "trap '' TERM; echo deaf >$0; while :; do sleep 0.05; done", path};
	assert_int_equal(child_arguments(&children[2], deaf, 3), STATUS_OK);
	for (int i = 0; i < 3; i++) assert_int_equal(child_start(&children[i], clock_us(), &report), STATUS_OK);
	for (int i = 0; lseek(told, 0, SEEK_END) == 0; i++, clock_sleep_us(1000)) assert_true(i < 60000);
	close(told);
	unlink(path);
	kill(children[1].pid, SIGSTOP);
	uint64_t before = clock_us();
	children_stop(children, 3, 400000);
	assert_in_range(clock_us() - before, 390000, 30000000); /* the deaf one took the whole grace */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(kill(children[i].pid, 0), -1);
		assert_int_equal(errno, ESRCH);
		child_release(&children[i]);
	}
}

static void children_die_with_a_parent_that_is_killed(void **state)
{
	int ends[2];
	pid_t child_pid = 0;
	assert_int_equal(pipe(ends), 0);
	pid_t parent = fork();
	assert_true(parent >= 0);
	if (parent == 0) {
		struct child c;
		struct report report;
		prepare(&c, "/bin/sleep", "100");
		if (child_start(&c, clock_us(), &report) != STATUS_OK) _exit(1);
		clock_sleep_us(200000); /* until it has become sleep */
		if (write(ends[1], &c.pid, sizeof(c.pid)) != sizeof(c.pid)) _exit(1);
		for (;;) pause();
	}
	assert_int_equal(read(ends[0], &child_pid, sizeof(child_pid)), sizeof(child_pid));
	assert_int_equal(kill(child_pid, 0), 0);
	kill(parent, SIGKILL);
	waitpid(parent, NULL, 0);
	bool gone = false;
	for (int i = 0; i < 3000 && !gone; i++) {
		char path[64], text[256] = "";
		snprintf(path, sizeof(path), "/proc/%d/stat", (int)child_pid);
		FILE *f = fopen(path, "r");
		gone = !f || !fgets(text, sizeof(text), f) || strstr(text, ") Z "); /* a zombie is dead, if nobody buries it */
		if (f) fclose(f);
		clock_sleep_us(20000);
	}
	assert_true(gone);
	close(ends[0]);
	close(ends[1]);
}

static void programs_are_found_beside_us_or_in_the_build_tree_or_by_the_path(void **state)
{
	char out[CHILD_PATH_MAX], own[CHILD_PATH_MAX];
	child_own_folder(own);
	assert_int_equal(own[0], '/');
	child_find_program("/bin", "coordinator", "sh", out);
	assert_string_equal(out, "/bin/sh");
	child_find_program("/usr/share/doc", "bin", "env", out); /* /usr/share/doc/../../bin/env, as in a build tree */
	assert_string_equal(out, "/usr/share/doc/../../bin/env");
	child_find_program("/nowhere", "coordinator", "grove-coordinator", out);
	assert_string_equal(out, "grove-coordinator");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quick_deaths_pause_longer_and_longer_and_end_at_the_fifth),
		cmocka_unit_test(long_life_forgives_the_deaths_before),
		cmocka_unit_test(deaths_are_told_in_words),
		cmocka_unit_test(stop_ends_children_that_listen_and_those_that_do_not),
		cmocka_unit_test(children_die_with_a_parent_that_is_killed),
		cmocka_unit_test(programs_are_found_beside_us_or_in_the_build_tree_or_by_the_path),
	};
	return cmocka_run_group_tests_name("cli_children", tests, NULL, NULL);
}
