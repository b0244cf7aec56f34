/* codes_check.h - a set of kernels over codes beside the plain one, which is the definition. All rows, queries, lists and answers end where a
 * page that nobody may touch begins: a read or write past an end kills the test. Says on stderr what differs. Without cmocka, which a cross
 * compiler has not (tests/neon). */
#ifndef SUPPORT_CODES_CHECK_H
#define SUPPORT_CODES_CHECK_H

#include <stdbool.h>

#include "common/codes.h"

/* l2, l1 and dot: rows of 64 to 1,024 bytes, 0 to 40 of them, in a row and gathered. */
bool codes_check_rows(const struct code_kernels *set, uint64_t seed);
/* The same kernels with rows of up to 65,536 bytes, sums at their bounds among them. */
bool codes_check_long_rows(const struct code_kernels *set, uint64_t seed);
/* near: up to three blocks of every number of planes, and every distance as the most. */
bool codes_check_sliced(const struct code_kernels *set, uint64_t seed);
/* bits: rows of 8 to 1,024 bytes and of 65,536, at any address. */
bool codes_check_bits(const struct code_kernels *set, uint64_t seed);

#endif
