/* ann_split.h - the planes of Annoy's trees (ann_layout.h), found as Annoy 1.17.3 finds them: between two centres that 200 items drawn by chance
 * have moved; for hamming one bit that not all items have alike. One owner, one thread. */
#ifndef CLIENT_CLI_ANN_SPLIT_H
#define CLIENT_CLI_ANN_SPLIT_H

#include <stdbool.h>

#include "client/cli/ann_layout.h"
#include "common/prng.h"
#include "common/status.h"

/* The item nodes, in the layout that is written; they stay the caller's. */
struct ann_items {
	const struct ann_layout *layout;
	uint32_t dim;
	const uint8_t *nodes;
};

struct ann_splitter;
MUST_CHECK enum status ann_splitter_new(const struct ann_items *items, uint64_t seed, struct ann_splitter **ret);
void ann_splitter_free(struct ann_splitter **s);
/* A plane for n items, at least 2, into `plane`: a whole node, whose vector and constants are set. It may have all of them on one side. */
void ann_split_make(struct ann_splitter *s, const uint32_t *ids, uint32_t n, uint8_t *plane);
/* The one for sides drawn by chance: ann_split_side() with it is such a draw, but for hamming. In dot not Annoy's: ann_split.c says why. */
void ann_split_none(const struct ann_splitter *s, uint8_t *plane);
/* On which side of the plane an item is; chance, if it lies in it. */
bool ann_split_side(struct ann_splitter *s, const uint8_t *plane, uint32_t id);
bool ann_split_flip(struct ann_splitter *s);

#endif
