/* placement.c - see placement.h. At most SHARDS_MAX x MEMBERS_MAX comparisons, once per create: a plain scan is enough. */
#include "coordinator/placement.h"

void placement_choose(uint32_t *loads, size_t workers, uint32_t shards, uint32_t *out)
{
	for (uint32_t s = 0; s < shards; s++) {
		size_t best = 0;
		for (size_t w = 1; w < workers; w++)
			if (loads[w] < loads[best]) best = w;
		loads[best]++;
		out[s] = (uint32_t)best;
	}
}
