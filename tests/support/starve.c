/* starve.c - a countdown in front of glibc's allocator. */
#include "tests/support/starve.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifdef SANITIZED

bool starve_works(void) { return false; }
void starve_begin(long n, bool for_ever) { (void)n, (void)for_ever; }
bool starve_end(void) { return false; }

#else

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static _Atomic bool active, sticky, failed;
static _Atomic long left;

static bool fails(void)
{
	if (!atomic_load_explicit(&active, memory_order_relaxed)) return false;
	long n = atomic_fetch_sub(&left, 1);
	if (n > 0 || (n < 0 && !atomic_load(&sticky))) return false;
	atomic_store(&failed, true);
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size) { return fails() ? NULL : __libc_malloc(size); }
void *calloc(size_t n, size_t size) { return fails() ? NULL : __libc_calloc(n, size); }
void *realloc(void *p, size_t size) { return fails() ? NULL : __libc_realloc(p, size); }
void *aligned_alloc(size_t alignment, size_t size) { return fails() ? NULL : __libc_memalign(alignment, size); }

bool starve_works(void) { return true; }

void starve_begin(long n, bool for_ever)
{
	atomic_store(&failed, false);
	atomic_store(&sticky, for_ever);
	atomic_store(&left, n);
	atomic_store(&active, true);
}

bool starve_end(void)
{
	atomic_store(&active, false);
	return atomic_load(&failed);
}

#endif
