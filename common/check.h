/* check.h - checks on ourselves.
 *
 * require() is for states where carrying on would damage data or lie to a user: always on, in every build; it logs the
 * reason and aborts (promise P19). assert() from <assert.h> is for inner loops and debug builds. Neither is for foreign
 * input: that is answered with a status. */
#ifndef COMMON_CHECK_H
#define COMMON_CHECK_H

#define require(cond)                                                                                                  \
	do {                                                                                                           \
		if (__builtin_expect(!(cond), 0)) check_failed(#cond, __FILE__, __LINE__);                             \
	} while (0)

_Noreturn void check_failed(const char *what, const char *file, int line);

#endif
