/* Several messages in one come out as they went in, and nothing else that looks like it comes out at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/prng.h"
#include "proto/bundle.h"

enum { MESSAGES = 40, SIZE_MAX_TRIED = 3000 };

struct message { size_t count, sizes[FRAMES_MAX]; uint8_t first[FRAMES_MAX]; };

static uint8_t some[BUNDLE_BYTES + 2];

static void random_message(struct prng *p, struct message *m, struct net_frame *frames)
{
	m->count = 1 + prng_below(p, FRAMES_MAX);
	for (size_t i = 0; i < m->count; i++) {
		size_t at = prng_below(p, 200);
		m->sizes[i] = prng_below(p, 3) ? prng_below(p, SIZE_MAX_TRIED) : 0;
		m->first[i] = some[at];
		frames[i] = (struct net_frame){some + at, m->sizes[i]};
	}
}

static void messages_come_out_as_they_went_in(void **state)
{
	struct bundle b = {0};
	struct message put[MESSAGES];
	struct net_frame frames[FRAMES_MAX], whole[2];
	struct bundle_reader r;
	struct report why;
	struct prng p;
	size_t count;

	prng_seed(&p, 1);
	for (int round = 0; round < 50; round++) {
		size_t n = 1 + prng_below(&p, MESSAGES);
		for (size_t i = 0; i < n; i++) {
			random_message(&p, &put[i], frames);
			assert_int_equal(bundle_add(&b, frames, put[i].count), STATUS_OK);
		}
		bundle_frames(&b, whole);
		assert_true(bundle_is(whole, 2));
		assert_int_equal(bundle_open(whole, 2, &r, &why), STATUS_OK);
		for (size_t i = 0; i < n; i++) {
			assert_true(bundle_next(&r, frames, &count));
			assert_int_equal(count, put[i].count);
			for (size_t f = 0; f < count; f++) {
				assert_int_equal(frames[f].size, put[i].sizes[f]);
				for (size_t at = 0; at < frames[f].size; at++) assert_int_equal(frames[f].bytes[at], (uint8_t)(put[i].first[f] + 7 * at));
			}
		}
		assert_false(bundle_next(&r, frames, &count));
		bundle_reset(&b);
	}
	bundle_release(&b);
}

static void what_is_full_or_too_large_is_refused_and_leaves_the_bundle_as_it_was(void **state)
{
	struct bundle b = {0};
	struct net_frame large = {some, BUNDLE_BYTES + 1}, two[2] = {{some, BUNDLE_BYTES}, {some, 1}}, most = {some, BUNDLE_BYTES}, one = {some, 1}, whole[2];
	struct bundle_reader r;
	struct report why;

	assert_int_equal(bundle_add(&b, &large, 1), STATUS_LIMIT);
	assert_int_equal(bundle_add(&b, two, 2), STATUS_LIMIT);
	assert_int_equal(b.count, 0);
	assert_int_equal(bundle_add(&b, &one, 1), STATUS_OK);
	assert_int_equal(bundle_add(&b, &large, 1), STATUS_LIMIT);
	assert_int_equal(bundle_add(&b, &most, 1), STATUS_OK); /* what is begun below the mark is finished */
	assert_int_equal(bundle_add(&b, &one, 1), STATUS_LIMIT);
	bundle_frames(&b, whole);
	assert_int_equal(bundle_open(whole, 2, &r, &why), STATUS_OK);
	assert_int_equal(r.left, 2);
	bundle_reset(&b);
	for (int i = 0; i < BUNDLE_MESSAGES_MAX; i++) assert_int_equal(bundle_add(&b, &one, 1), STATUS_OK);
	assert_int_equal(bundle_add(&b, &one, 1), STATUS_LIMIT);
	bundle_frames(&b, whole);
	assert_int_equal(bundle_open(whole, 2, &r, &why), STATUS_OK);
	assert_int_equal(r.left, BUNDLE_MESSAGES_MAX);
	bundle_release(&b);
}

/* Copies in blocks of their own, so that reading past an end is seen. */
static enum status open_copy(const struct net_frame *whole, size_t table, size_t bytes, int flip, uint8_t value)
{
	uint8_t *copies[2] = {malloc(table ? table : 1), malloc(bytes ? bytes : 1)};
	struct net_frame frames[2] = {{copies[0], table}, {copies[1], bytes}}, inside[FRAMES_MAX];
	struct bundle_reader r;
	struct report why = {0};
	size_t count, seen = 0;

	assert_true(copies[0] && copies[1]);
	memcpy(copies[0], whole[0].bytes, table < whole[0].size ? table : whole[0].size);
	memcpy(copies[1], whole[1].bytes, bytes < whole[1].size ? bytes : whole[1].size);
	if (flip >= 0) copies[0][flip] = value;
	enum status status = bundle_open(frames, 2, &r, &why);
	if (status == STATUS_OK) {
		while (bundle_next(&r, inside, &count))
			for (size_t i = 0; i < count; i++)
				for (size_t at = 0; at < inside[i].size; at++) seen += inside[i].bytes[at] | 1;
		assert_int_equal(r.left, 0);
		assert_true(bytes == 0 || seen > 0);
	} else {
		assert_int_equal(status, STATUS_BAD_REQUEST);
		assert_true(why.text[0]);
	}
	free(copies[0]);
	free(copies[1]);
	return status;
}

static void no_other_bytes_are_a_bundle(void **state)
{
	struct bundle b = {0};
	struct net_frame three[3] = {{some, 5}, {some, 0}, {some, 9}}, whole[2], more[3];
	struct bundle_reader r;
	struct report why;

	assert_int_equal(bundle_add(&b, three, 3), STATUS_OK);
	assert_int_equal(bundle_add(&b, three, 1), STATUS_OK);
	bundle_frames(&b, whole);
	assert_int_equal(open_copy(whole, whole[0].size, whole[1].size, -1, 0), STATUS_OK);
	for (size_t size = 0; size < whole[0].size; size++) assert_int_equal(open_copy(whole, size, whole[1].size, -1, 0), STATUS_BAD_REQUEST);
	for (size_t size = 0; size < whole[1].size; size++) assert_int_equal(open_copy(whole, whole[0].size, size, -1, 0), STATUS_BAD_REQUEST);
	memcpy(more, whole, sizeof(whole));
	more[2] = three[0];
	assert_int_equal(bundle_open(more, 3, &r, &why), STATUS_BAD_REQUEST);
	assert_int_equal(bundle_open(more, 1, &r, &why), STATUS_BAD_REQUEST);
	/* Every byte of the table, whatever it becomes: no crash, and only sizes that agree. */
	for (int at = 0; at < (int)whole[0].size; at++)
		for (int value = 0; value < 256; value++)
			if (value != whole[0].bytes[at]) assert_int_equal(open_copy(whole, whole[0].size, whole[1].size, at, (uint8_t)value), STATUS_BAD_REQUEST);
	bundle_release(&b);
	/* A header frame is none, nor is nothing. */
	assert_false(bundle_is((struct net_frame[]){{(const uint8_t *)"\x08\x01", 2}}, 1));
	assert_false(bundle_is((struct net_frame[]){{NULL, 0}}, 1));
	assert_false(bundle_is(NULL, 0));
}

static int set_up(void **state)
{
	for (size_t i = 0; i < sizeof(some); i++) some[i] = (uint8_t)(7 * i);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_come_out_as_they_went_in),
		cmocka_unit_test(what_is_full_or_too_large_is_refused_and_leaves_the_bundle_as_it_was),
		cmocka_unit_test(no_other_bytes_are_a_bundle),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
