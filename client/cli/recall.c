/* recall.c - recall against exact answers. */
#include "client/cli/recall.h"

void recall_add(struct recall *r, const struct truth *truth, const float *distances, uint64_t count, bool largest_first)
{
	uint64_t right = 0;
	for (uint64_t i = 0; i < count; i++) right += largest_first ? distances[i] >= truth->last : distances[i] <= truth->last;
	r->right += right < truth->count ? right : truth->count;
	r->wanted += truth->count;
}

void recall_add_ids(struct recall *r, const uint64_t *given, uint32_t given_count, uint32_t k, const uint64_t *ids, uint64_t count)
{
	uint64_t right = 0;
	for (uint64_t i = 0; i < count; i++) {
		uint32_t at = 0;
		while (at < given_count && given[at] != ids[i]) at++;
		right += at < given_count;
	}
	r->right += right < k ? right : k;
	r->wanted += k;
}

double recall_ratio(const struct recall *r)
{
	return r->wanted ? (double)r->right / (double)r->wanted : 1;
}
