/* prng.c - xoshiro256** 1.0 and splitmix64, after Blackman & Vigna, "Scrambled linear pseudorandom number generators" (2018). */
#include "common/prng.h"

#include <sys/random.h>

#include "common/check.h"

static uint64_t splitmix64(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

void prng_seed(struct prng *p, uint64_t seed)
{
	for (int i = 0; i < 4; i++) p->s[i] = splitmix64(&seed);
}

void prng_seed3(struct prng *p, uint64_t seed, uint64_t a, uint64_t b)
{
	uint64_t mixed = splitmix64(&seed) ^ a;
	mixed = splitmix64(&mixed) ^ b;
	prng_seed(p, splitmix64(&mixed));
}

static uint64_t rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

uint64_t prng_u64(struct prng *p)
{
	uint64_t *s = p->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

uint32_t prng_below(struct prng *p, uint32_t n)
{
	uint64_t product = (prng_u64(p) >> 32) * n;

	if ((uint32_t)product < n) {
		uint32_t threshold = (uint32_t)-n % n;
		while ((uint32_t)product < threshold) product = (prng_u64(p) >> 32) * n;
	}
	return (uint32_t)(product >> 32);
}

double prng_unit(struct prng *p) { return (double)(prng_u64(p) >> 11) * 0x1p-53; }

void prng_entropy(void *out, size_t bytes)
{
	uint8_t *at = out;

	while (bytes > 0) {
		ssize_t got = getrandom(at, bytes, 0);
		require(got > 0); /* only EINTR of a huge request could stop it, and ours are small */
		at += got;
		bytes -= (size_t)got;
	}
}
