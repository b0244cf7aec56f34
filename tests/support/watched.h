/* watched.h - whether a sanitizer watches, and slows all that is computed ten times and more. A test then repeats less, and one that is
 * all one thread's leaves itself out where only threads are watched: what the plain build shows needs no second showing, and a race or a
 * read past an end shows itself at the first repetitions or not at all. tests/run --full (GROVE_FULL) repeats everything under all of them. */
#ifndef TESTS_WATCHED_H
#define TESTS_WATCHED_H

#include <stdbool.h>
#include <stdlib.h>

#ifndef __has_feature /* gcc has names for them, clang a question */
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
enum { WATCHED_THREADS = 1 };
#else
enum { WATCHED_THREADS = 0 };
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
enum { WATCHED_MEMORY = 1 };
#else
enum { WATCHED_MEMORY = 0 };
#endif

static inline bool watched_shortly(void)
{
	const char *full = getenv("GROVE_FULL");
	return !full || !*full;
}
static inline bool threads_watched(void) { return WATCHED_THREADS && watched_shortly(); }
static inline bool memory_watched(void) { return WATCHED_MEMORY && watched_shortly(); }

#endif
