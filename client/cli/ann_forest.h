/* ann_forest.h - the trees of an index file of Annoy, written behind its items. */
#ifndef CLIENT_CLI_ANN_FOREST_H
#define CLIENT_CLI_ANN_FOREST_H

#include <stdio.h>

#include "client/cli/ann_split.h"

struct ann_forest {
	struct ann_items items;
	uint32_t rows;       /* item nodes, gaps too */
	uint32_t *ids;       /* those that are items; left in another order */
	uint32_t count;      /* of them, at least 1 */
	uint32_t trees;
	uint64_t seed;
	FILE *file;          /* at the end of the item nodes; it can be read too */
	uint32_t nodes_max;  /* of the whole file */
};
/* All trees, then the copies of their roots. STATUS_LIMIT: more than nodes_max; STATUS_IO: the file could not be read back; what could not be written
 * is left to ferror(). */
MUST_CHECK enum status ann_forest_write(const struct ann_forest *f);

#endif
