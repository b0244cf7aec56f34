/* recall.c - recall against exact answers, and the efforts that are tried. */
#include "client/cli/recall.h"
#include "common/limits.h"

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

uint32_t efforts_default(uint32_t k, uint32_t trees, uint64_t items, uint32_t out[EFFORTS_MAX])
{
	uint64_t effort = (uint64_t)k * (trees ? trees : 1);
	uint32_t n = 0;
	while (n < EFFORTS_DEFAULT_MAX && effort <= SEARCH_K_MAX) {
		out[n++] = (uint32_t)effort;
		if (effort >= items) break;
		effort *= 2;
	}
	return n;
}

uint32_t efforts_parse(const char *text, uint32_t out[EFFORTS_MAX])
{
	uint32_t n = 0;
	for (;;) {
		uint64_t v = 0;
		if (*text < '0' || *text > '9' || n == EFFORTS_MAX) return 0;
		for (; *text >= '0' && *text <= '9'; text++) {
			v = v * 10 + (uint64_t)(*text - '0');
			if (v > SEARCH_K_MAX) return 0;
		}
		if (v == 0) return 0;
		out[n++] = (uint32_t)v;
		if (*text == 0) return n;
		if (*text++ != ',') return 0;
	}
}
