/* starve.h - allocations that fail on demand, in the whole process: malloc and its kin are replaced in the test that links this.
 * Under a sanitizer, which has its own, starve_works() is false and nothing ever fails. */
#ifndef TESTS_SUPPORT_STARVE_H
#define TESTS_SUPPORT_STARVE_H

#include <stdbool.h>

bool starve_works(void);
/* The n-th allocation from now (0: the next) fails; `for_ever`: and all after it. */
void starve_begin(long n, bool for_ever);
/* No more failures. True if one happened. */
bool starve_end(void);

#endif
