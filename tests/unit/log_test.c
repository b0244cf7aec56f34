/* A log line is one line, whole, whatever stands in it and however many threads write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

/* Everything that `body` logs, as one string, through a pipe in the place of stderr. */
struct capture { int from, saved; char *text; size_t size, room; pthread_t thread; };

static void *drain(void *arg)
{
	struct capture *c = arg;

	for (ssize_t got; c->size + 1 < c->room && (got = read(c->from, c->text + c->size, c->room - 1 - c->size)) > 0;) c->size += (size_t)got;
	c->text[c->size] = 0;
	return NULL;
}

static void capture_start(struct capture *c)
{
	int ends[2];

	*c = (struct capture){.room = 1 << 20, .text = malloc(1 << 20), .saved = dup(STDERR_FILENO)};
	assert_non_null(c->text);
	assert_int_equal(pipe(ends), 0);
	c->from = ends[0];
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	assert_int_equal(pthread_create(&c->thread, NULL, drain, c), 0);
}

static void capture_stop(struct capture *c)
{
	dup2(c->saved, STDERR_FILENO);
	close(c->saved);
	pthread_join(c->thread, NULL);
	close(c->from);
}

static void json_line_escapes_what_must_be_escaped(void **state)
{
	struct capture c;

	setenv("GROVE_LOG_FORMAT", "json", 1);
	log_init("tester");
	capture_start(&c);
	log_info("a \"quoted\" back\\slash, a\nbreak and \x01");
	capture_stop(&c);
	assert_non_null(strstr(c.text, "\"level\":\"info\""));
	assert_non_null(strstr(c.text, "\"program\":\"tester\""));
	assert_non_null(strstr(c.text, "\"message\":\"a \\\"quoted\\\" back\\\\slash, a\\u000abreak and \\u0001\"}\n"));
	assert_ptr_equal(strchr(c.text, '\n'), c.text + c.size - 1);
	free(c.text);
}

static void text_line_has_no_control_characters(void **state)
{
	struct capture c;

	setenv("GROVE_LOG_FORMAT", "text", 1);
	log_init("tester");
	capture_start(&c);
	log_warn("one\ntwo \x1b[31mred");
	capture_stop(&c);
	assert_non_null(strstr(c.text, "warn  tester["));
	assert_ptr_equal(strchr(c.text, '\n'), c.text + c.size - 1);
	assert_null(strchr(c.text, 0x1b));
	free(c.text);
}

static void levels_below_the_lowest_are_silent(void **state)
{
	struct capture c;

	capture_start(&c);
	log_debug("not this");
	log_set_level(LOG_ERROR);
	log_warn("nor this");
	log_error("but this");
	log_set_level(LOG_INFO);
	capture_stop(&c);
	assert_null(strstr(c.text, "this\nnor"));
	assert_null(strstr(c.text, "not this"));
	assert_null(strstr(c.text, "nor this"));
	assert_non_null(strstr(c.text, "but this"));
	free(c.text);
}

enum { THREADS = 4, LINES = 200 };

static void *chatter(void *arg)
{
	char text[1500];

	memset(text, 'a' + (int)(intptr_t)arg, sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	for (int i = 0; i < LINES; i++) log_info("<%s>", text + 13 * i % 1400);
	return NULL;
}

static void lines_of_many_threads_stay_whole(void **state)
{
	pthread_t threads[THREADS];
	struct capture c;
	size_t lines = 0;

	setenv("GROVE_LOG_FORMAT", "json", 1);
	log_init("tester");
	capture_start(&c);
	for (intptr_t i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, chatter, (void *)i), 0);
	for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
	capture_stop(&c);
	assert_true(c.size < c.room - 1);
	for (char *line = c.text, *end; (end = strchr(line, '\n')); line = end + 1, lines++) {
		char *open = memchr(line, '<', (size_t)(end - line)), *close_ = memchr(line, '>', (size_t)(end - line));
		assert_true(line[0] == '{' && end[-1] == '}' && open && close_);
		for (char *at = open + 1; at < close_; at++) assert_int_equal(*at, open[1]);
	}
	assert_int_equal(lines, THREADS * LINES);
	free(c.text);
}

static void overlong_line_is_still_one_json_object(void **state)
{
	struct capture c;
	char *text = malloc(10000);

	assert_non_null(text);
	memset(text, '\x02', 9999);
	text[9999] = 0;
	capture_start(&c);
	log_info("%s", text);
	capture_stop(&c);
	assert_true(c.size <= 4096); /* PIPE_BUF: what a pipe takes whole */
	assert_string_equal(c.text + c.size - 3, "\"}\n");
	assert_int_equal(c.text[c.size - 4], '2');
	free(c.text);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_line_escapes_what_must_be_escaped),
		cmocka_unit_test(text_line_has_no_control_characters),
		cmocka_unit_test(levels_below_the_lowest_are_silent),
		cmocka_unit_test(lines_of_many_threads_stay_whole),
		cmocka_unit_test(overlong_line_is_still_one_json_object),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
