/* prng.h - the one door for chance. xoshiro256** seeded by splitmix64 (Blackman & Vigna 2018). The same seed gives the same
 * stream on every machine. A stream is plain memory: one owner. */
#ifndef COMMON_PRNG_H
#define COMMON_PRNG_H

#include <stddef.h>
#include <stdint.h>

struct prng { uint64_t s[4]; };

void prng_seed(struct prng *p, uint64_t seed);
/* An independent stream for (seed, a, b): one for each (seed, tree, node), whatever thread asks. */
void prng_seed3(struct prng *p, uint64_t seed, uint64_t a, uint64_t b);
uint64_t prng_u64(struct prng *p);
uint32_t prng_below(struct prng *p, uint32_t n); /* 0 .. n-1, unbiased (Lemire 2019); n >= 1 */
double prng_unit(struct prng *p);                /* [0, 1) with 53 bits */
/* From the kernel's entropy, for uuids and seeds that nobody named. The only non-deterministic door. */
void prng_entropy(void *out, size_t bytes);

#endif
