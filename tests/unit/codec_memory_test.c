/* Out of memory while a message is encoded or decoded: a status, whatever allocation it was, and nothing lost. The allocator of
 * this program is its own, so a sanitizer cannot have one too: there the claim is skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/support/wires.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OTHER_ALLOCATOR 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define OTHER_ALLOCATOR 1
#endif
#endif

static long countdown = -1; /* allocations until one fails; negative: none does */
static long live, failed;

#ifndef OTHER_ALLOCATOR
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);

static int refused(void)
{
	if (countdown < 0 || countdown-- > 0) return 0;
	failed++;
	return 1;
}

void *malloc(size_t size)
{
	void *p = refused() ? NULL : __libc_malloc(size);
	live += p != NULL;
	return p;
}

void *calloc(size_t n, size_t size)
{
	void *p = refused() ? NULL : __libc_calloc(n, size);
	live += p != NULL;
	return p;
}

void *realloc(void *old, size_t size)
{
	void *p = refused() ? NULL : __libc_realloc(old, size);
	live += p != NULL && old == NULL;
	return p;
}

void free(void *p)
{
	live -= p != NULL;
	__libc_free(p);
}
#endif

/* Every allocation of one encoding and one decoding fails once; returns how many there were. */
static long each_allocation_fails_once(const struct wire *w, struct message *made)
{
	struct encoded good = {0};
	long n, tried = 0;

	assert_int_equal(w->encode(made, &good), STATUS_OK);
	for (n = 0, failed = 1; failed; n++) {
		struct encoded e = {0};
		long before = live;
		failed = 0;
		countdown = n;
		enum status status = w->encode(made, &e);
		countdown = -1;
		assert_int_equal(status, failed ? STATUS_NO_MEMORY : STATUS_OK);
		encoded_release(&e);
		assert_int_equal(live, before);
		tried += failed;
	}
	for (n = 0, failed = 1; failed; n++) {
		struct message back = {0};
		long before = live;
		failed = 0;
		countdown = n;
		enum status status = w->decode(good.frames, good.count, &back);
		countdown = -1;
		assert_int_equal(status, failed ? STATUS_NO_MEMORY : STATUS_OK);
		if (status == STATUS_OK) assert_true(w->equal(made, &back));
		if (status == STATUS_OK) w->release(&back);
		else buf_release(&back.scratch);
		assert_int_equal(live, before);
		tried += failed;
	}
	encoded_release(&good);
	return tried;
}

static void memory_that_runs_out_is_a_status_and_loses_nothing(void **state)
{
	struct maker maker;
	long tried = 0;

#ifdef OTHER_ALLOCATOR
	skip();
#endif
	for (int i = 0; i < WIRE_COUNT; i++) {
		maker_init(&maker, 5);
		for (int round = 0; round < 10; round++) {
			for (int kind = wires[i].first; kind <= wires[i].last; kind++) {
				struct message made = {0};
				wires[i].make(&maker, kind, &made);
				tried += each_allocation_fails_once(&wires[i], &made);
			}
			maker_reset(&maker);
		}
	}
	assert_true(tried > 400); /* the allocator is ours, and was asked */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_that_runs_out_is_a_status_and_loses_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
