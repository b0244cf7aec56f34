/* truth.h - how far the nearest of some rows are, by a scan over all rows: what searches of those rows are measured by. */
#ifndef ENGINE_TRUTH_H
#define ENGINE_TRUTH_H

#include "worker/engine/tune.h"

enum { TRUTH_ROWS_LEAST = 16 };

/* The raw distance of the nearest, of the tenth and of the hundredth, the row itself not counted. Of fewer rows: of the farthest. */
struct truth { float last[TUNE_KS]; };

/* Of rows[count] of the space, all of whose rows live; count is at least TRUTH_ROWS_LEAST. Of each the nearest by their codes are scored exactly. For some of
 * them that is compared with all rows scored exactly, and where it is not the same, so are those of all. The same for any number of threads.
 * STATUS_CANCELLED by the pulse, STATUS_NO_MEMORY. */
MUST_CHECK enum status truth_find(const struct graph_space *space, const uint32_t *rows, uint32_t count, struct runner *runner,
	const struct pulse *pulse, struct truth *ret);

#endif
