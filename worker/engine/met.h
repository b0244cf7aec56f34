/* met.h - which rows a search has met: a bitmap over all of them, of which only the words that were touched are cleared. */
#ifndef ENGINE_MET_H
#define ENGINE_MET_H

#include <stdbool.h>
#include <stdlib.h>

#include "common/status.h"

struct met {
	uint64_t *bits;    /* [words], all zero between searches */
	uint32_t *touched; /* [words + 1]: those of them that are not zero */
	size_t words, count;
};

/* Room for n rows; what it was stays where there is no memory. */
MUST_CHECK static inline bool met_reserve(struct met *m, uint32_t n)
{
	size_t words = ((size_t)n + 63) / 64;

	if (words <= m->words) return true;
	uint64_t *bits = calloc(words, sizeof(*bits));
	uint32_t *touched = malloc((words + 1) * sizeof(*touched));
	if (!bits || !touched) {
		free(bits);
		free(touched);
		return false;
	}
	free(m->bits);
	free(m->touched);
	*m = (struct met){bits, touched, words, 0};
	return true;
}

static inline void met_release(struct met *m)
{
	free(m->bits);
	free(m->touched);
}

/* Whether the row was not met before: a coin flip to a processor, so it is counted with, not branched on. */
static inline bool first_meeting(struct met *m, uint32_t row)
{
	uint64_t *word = &m->bits[row / 64], old = *word, bit = (uint64_t)1 << row % 64;

	*word = old | bit;
	m->touched[m->count] = row / 64;
	m->count += !old;
	return !(old & bit);
}

static inline void met_forget(struct met *m)
{
	for (size_t i = 0; i < m->count; i++) m->bits[m->touched[i]] = 0;
	m->count = 0;
}

#endif
