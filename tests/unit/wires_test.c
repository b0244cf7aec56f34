/* What holds for every message of both protocols: decoding gives back what was encoded, from any alignment; a message with
 * a frame cut short or left out is refused or means the same; damaged bytes are refused or mean something that can be sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "tests/support/wires.h"

static uint64_t seed(void)
{
	const char *text = getenv("GROVE_SEED");
	return text ? strtoull(text, NULL, 10) : 1;
}

/* Frames in blocks of their own, `shift` bytes off an aligned address and with nothing after them, so that a sanitizer sees every overrun. */
struct copy { size_t count; struct net_frame frames[FRAMES_MAX]; uint8_t *blocks[FRAMES_MAX]; };

static void copy_frames(const struct encoded *e, size_t shift, struct copy *c)
{
	c->count = e->count;
	for (size_t i = 0; i < e->count; i++) {
		c->blocks[i] = malloc(e->frames[i].size + shift + 1);
		assert_non_null(c->blocks[i]);
		uint8_t *at = c->blocks[i] + shift;
		if (e->frames[i].size) memcpy(at, e->frames[i].bytes, e->frames[i].size);
		uint8_t *exact = realloc(c->blocks[i], e->frames[i].size + shift + (e->frames[i].size + shift == 0));
		assert_non_null(exact);
		c->blocks[i] = exact;
		c->frames[i] = (struct net_frame){exact + shift, e->frames[i].size};
	}
}

static void copy_release(struct copy *c)
{
	for (size_t i = 0; i < c->count; i++) free(c->blocks[i]);
}

typedef void check_fn(const struct wire *w, struct message *made, const struct encoded *e, struct prng *p);

static void for_random_messages(const char *claim, int rounds, check_fn *check)
{
	struct maker maker;
	struct prng p;

	prng_seed(&p, seed());
	for (int i = 0; i < WIRE_COUNT; i++) {
		const struct wire *w = &wires[i];
		maker_init(&maker, seed() * 31 + (uint64_t)i);
		for (int round = 0; round < rounds; round++) {
			for (int kind = w->first; kind <= w->last; kind++) {
				struct message made = {0};
				struct encoded e = {0};
				w->make(&maker, kind, &made);
				enum status status = w->encode(&made, &e);
				if (status != STATUS_OK)
					fail_msg("%s: %s of kind %d, round %d, seed %llu does not encode: %s %s", claim, w->name, kind, round,
						(unsigned long long)seed(), status_name(status), made.report.text);
				check(w, &made, &e, &p);
				encoded_release(&e);
			}
			maker_reset(&maker);
		}
	}
}

static void expect_same(const struct wire *w, struct message *made, const struct net_frame *frames, size_t count, const char *what)
{
	struct message back = {0};
	enum status status = w->decode(frames, count, &back);

	if (status != STATUS_OK) fail_msg("%s of a valid %s is refused: %s %s (seed %llu)", what, w->name, status_name(status), back.report.text, (unsigned long long)seed());
	if (!w->equal(made, &back)) fail_msg("%s of a valid %s comes back different (seed %llu)", what, w->name, (unsigned long long)seed());
	w->release(&back);
}

static void check_round(const struct wire *w, struct message *made, const struct encoded *e, struct prng *p)
{
	expect_same(w, made, e->frames, e->count, "decoding");
}

static void decoding_gives_back_what_was_encoded(void **state) { for_random_messages("round trip", 300, check_round); }

static void check_shifts(const struct wire *w, struct message *made, const struct encoded *e, struct prng *p)
{
	for (size_t shift = 0; shift < 8; shift++) {
		struct copy c;
		copy_frames(e, shift, &c);
		expect_same(w, made, c.frames, c.count, "a shifted copy");
		copy_release(&c);
	}
}

static void frames_may_start_at_any_address(void **state) { for_random_messages("alignment", 20, check_shifts); }

static void check_prefixes(const struct wire *w, struct message *made, const struct encoded *e, struct prng *p)
{
	for (size_t i = 0; i < e->count; i++) {
		for (size_t size = 0; size < e->frames[i].size; size++) {
			struct message back = {0};
			struct net_frame frames[FRAMES_MAX];
			uint8_t *exact = malloc(size ? size : 1);
			assert_non_null(exact);
			if (size) memcpy(exact, e->frames[i].bytes, size);
			memcpy(frames, e->frames, sizeof(frames));
			frames[i] = (struct net_frame){exact, size};
			if (w->decode(frames, e->count, &back) == STATUS_OK) {
				if (!w->equal(made, &back)) fail_msg("%s with %zu of %zu bytes of frame %zu is taken for another (seed %llu)", w->name, size,
					e->frames[i].size, i, (unsigned long long)seed());
				w->release(&back);
			} else {
				if (!back.report.text[0]) fail_msg("%s cut short is refused without a sentence", w->name);
				buf_release(&back.scratch);
			}
			free(exact);
		}
	}
}

static void a_frame_cut_short_is_refused_or_means_the_same(void **state) { for_random_messages("prefixes", 4, check_prefixes); }

static void check_left_out(const struct wire *w, struct message *made, const struct encoded *e, struct prng *p)
{
	for (size_t count = 0; count < e->count; count++) {
		struct message back = {0};
		if (w->decode(e->frames, count, &back) == STATUS_OK) {
			if (!w->equal(made, &back)) fail_msg("%s with %zu of %zu frames is taken for another", w->name, count, e->count);
			w->release(&back);
		} else {
			buf_release(&back.scratch);
		}
	}
}

static void frames_left_out_are_refused_or_mean_the_same(void **state) { for_random_messages("frames left out", 100, check_left_out); }

static void check_added(const struct wire *w, struct message *made, const struct encoded *e, struct prng *p)
{
	static const uint8_t more[] = {1, 2, 3};
	struct message back = {0};
	struct net_frame frames[FRAMES_MAX];

	if (e->count == FRAMES_MAX) return;
	memcpy(frames, e->frames, sizeof(frames));
	for (size_t i = e->count; i < FRAMES_MAX; i++) frames[i] = (struct net_frame){more, sizeof(more)};
	assert_int_not_equal(w->decode(frames, FRAMES_MAX, &back), STATUS_OK);
	buf_release(&back.scratch);
	for (size_t i = 0; i < e->count; i++) {
		uint8_t *longer = malloc(e->frames[i].size + 1);
		assert_non_null(longer);
		memcpy(frames, e->frames, sizeof(frames));
		if (frames[i].size) memcpy(longer, frames[i].bytes, frames[i].size);
		longer[frames[i].size] = 0x08; /* protobuf: the tag of a field whose value is missing */
		frames[i] = (struct net_frame){longer, frames[i].size + 1};
		back = (struct message){0};
		if (w->decode(frames, e->count, &back) == STATUS_OK) fail_msg("%s with a byte too many in frame %zu is accepted", w->name, i);
		buf_release(&back.scratch);
		free(longer);
	}
}

static void bytes_and_frames_too_many_are_refused(void **state) { for_random_messages("additions", 60, check_added); }

static void check_damage(const struct wire *w, struct message *made, const struct encoded *e, struct prng *p)
{
	for (int round = 0; round < 60; round++) {
		struct message back = {0}, again = {0};
		struct encoded second = {0};
		struct copy c;
		copy_frames(e, 0, &c);
		size_t i = prng_below(p, (uint32_t)c.count);
		for (uint32_t flips = 1 + prng_below(p, 3); c.frames[i].size && flips--;)
			c.blocks[i][prng_below(p, (uint32_t)c.frames[i].size)] ^= (uint8_t)(1u << prng_below(p, 8));
		if (w->decode(c.frames, c.count, &back) == STATUS_OK) {
			assert_int_equal(w->encode(&back, &second), STATUS_OK);
			assert_int_equal(w->decode(second.frames, second.count, &again), STATUS_OK);
			if (!w->equal(&back, &again)) fail_msg("%s, damaged and decoded, comes back different (seed %llu)", w->name, (unsigned long long)seed());
			w->release(&again);
			w->release(&back);
			encoded_release(&second);
		} else {
			buf_release(&back.scratch);
		}
		copy_release(&c);
	}
}

static void damaged_messages_are_refused_or_mean_something_that_can_be_sent(void **state) { for_random_messages("damage", 30, check_damage); }

static void garbage_is_refused_with_a_sentence(void **state)
{
	struct prng p;

	prng_seed(&p, seed());
	for (int round = 0; round < 20000; round++) {
		uint8_t bytes[64];
		size_t size = prng_below(&p, sizeof(bytes) + 1);
		for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)prng_u64(&p);
		struct net_frame frame = {bytes, size};
		for (int i = 0; i < WIRE_COUNT; i++) {
			struct message back = {0};
			assert_int_not_equal(wires[i].decode(&frame, 1, &back), STATUS_OK);
			assert_true(back.report.text[0]);
			buf_release(&back.scratch);
		}
	}
}

static void peeking_tells_the_kind(void **state)
{
	struct maker m;

	maker_init(&m, seed());
	for (int kind = CLUSTER_BEAT; kind <= CLUSTER_SCAN; kind++) {
		if (kind == CLUSTER_REPLY) continue;
		struct message made = {0};
		struct encoded e = {0};
		wires[WIRE_CLUSTER_REQUEST].make(&m, kind, &made);
		assert_int_equal(cluster_request_encode(&made.cluster_request, &e), STATUS_OK);
		assert_int_equal(cluster_peek(e.frames, e.count), kind);
		encoded_release(&e);
	}
	assert_int_equal(cluster_peek(NULL, 0), CLUSTER_KIND_COUNT);
	assert_int_equal(cluster_peek(&(struct net_frame){(const uint8_t *)"\x08\x00", 2}, 1), CLUSTER_KIND_COUNT);
	assert_int_equal(cluster_peek(&(struct net_frame){(const uint8_t *)"\x08\x0b", 2}, 1), CLUSTER_KIND_COUNT);
	assert_int_equal(cluster_peek(&(struct net_frame){(const uint8_t *)"\x08\x09", 2}, 1), CLUSTER_REPLY);
	maker_reset(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decoding_gives_back_what_was_encoded),
		cmocka_unit_test(frames_may_start_at_any_address),
		cmocka_unit_test(a_frame_cut_short_is_refused_or_means_the_same),
		cmocka_unit_test(frames_left_out_are_refused_or_mean_the_same),
		cmocka_unit_test(bytes_and_frames_too_many_are_refused),
		cmocka_unit_test(damaged_messages_are_refused_or_mean_something_that_can_be_sent),
		cmocka_unit_test(garbage_is_refused_with_a_sentence),
		cmocka_unit_test(peeking_tells_the_kind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
