/* recall.c - recall against exact answers. */
#include "client/cli/recall.h"

void recall_add(struct recall *r, const struct truth *truth, const float *distances, uint64_t count, bool largest_first)
{
	uint64_t right = 0;
	for (uint64_t i = 0; i < count; i++) right += largest_first ? distances[i] >= truth->last : distances[i] <= truth->last;
	r->right += right < truth->count ? right : truth->count;
	r->wanted += truth->count;
}

double recall_ratio(const struct recall *r)
{
	return r->wanted ? (double)r->right / (double)r->wanted : 1;
}
