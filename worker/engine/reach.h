/* reach.h - which rows of a graph a row leads to. Private to the engine. */
#ifndef ENGINE_REACH_H
#define ENGINE_REACH_H

#include "worker/engine/graph.h"

/* reached[n]: not 0 where a search has come. Begin with zeros. */
struct reach { const struct graph_view *graph; _Atomic uint8_t *reached; uint32_t *stack; _Atomic uint8_t *waiting; };
MUST_CHECK enum status reach_init(struct reach *r, const struct graph_view *g);
void reach_release(struct reach *r);
/* Mark `row` and all that it leads to. Rows that were marked before are not looked at again. */
void reach_from(struct reach *r, uint32_t row, struct runner *runner);
/* The same by the caller's thread: for what leads to few. The plain twin. */
void reach_few(struct reach *r, uint32_t row);

#endif
