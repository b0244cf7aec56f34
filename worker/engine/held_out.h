/* held_out.h - a graph as it would be without some of its rows, each on its own: what those that point to a row would point to instead.
 *
 * A row that is asked for its own neighbours must not be there, else it leads to them. But only left out it leaves a hole: its neighbours
 * hide each other behind it (graph.h), so they have no edges where a graph that never knew the row has some, and too little is found: of the ten
 * nearest up to .06 less at small efforts. So each list that has the row gets in its place what the row alone hid from it, of the rows that the build
 * would have looked at: those among the KNN_K nearest of the list's own row, and those that point to it. With all that the row hid, as Singh et al.
 * 2021, "FreshDiskANN", algorithm 4, has it, up to .1 too much is found (200,000 of sift, 10,000 queries); with the nearest of it alone, .03. */
#ifndef ENGINE_HELD_OUT_H
#define ENGINE_HELD_OUT_H

#include "worker/engine/graph.h"

struct held_out;

/* `rows` are `count` different rows of the graph, ascending. The same for any number of threads. STATUS_NO_MEMORY. */
MUST_CHECK enum status held_out_new(const struct codes *codes, const struct graph_view *graph, const uint32_t *rows, uint32_t count,
	struct runner *runner, struct held_out **ret);
void held_out_free(struct held_out **h);
/* Without rows[i]; lives as long as h. */
struct graph_absence held_out_absence(const struct held_out *h, uint32_t i);

#endif
