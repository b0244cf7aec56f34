/* reach.c - a search of the graph in rounds over runs of rows. A run that has rows which were marked, but not yet looked at, follows them as far as
 * they lead within it; marks in other runs wait for the next round. Rows that are near stand in one run, so rounds are few, and the rows that
 * are marked in the end do not depend on who marked them. */
#include "worker/engine/reach.h"

#include <stdlib.h>

enum { RUN_ROWS = 1024, NOT_REACHED = 0, MARKED = 1, FOLLOWED = 2 };

struct round { struct reach *reach; _Atomic bool again; };

static size_t runs_of(const struct reach *r) { return ((size_t)r->graph->n + RUN_ROWS - 1) / RUN_ROWS; }

enum status reach_init(struct reach *r, const struct graph_view *g)
{
	*r = (struct reach){.graph = g, .reached = calloc((size_t)g->n + 1, 1), .stack = malloc(((size_t)g->n + 1) * sizeof(*r->stack))};
	r->waiting = calloc(runs_of(r) + 1, 1);
	if (r->reached && r->stack && r->waiting) return STATUS_OK;
	reach_release(r);
	return STATUS_NO_MEMORY;
}

void reach_release(struct reach *r)
{
	free((void *)r->reached);
	free(r->stack);
	free((void *)r->waiting);
	*r = (struct reach){0};
}

/* True for the one who marks it first. */
static bool mark(struct reach *r, uint32_t row)
{
	uint8_t none = NOT_REACHED;

	if (atomic_load_explicit(&r->reached[row], memory_order_relaxed) != NOT_REACHED) return false;
	return atomic_compare_exchange_strong(&r->reached[row], &none, MARKED);
}

/* From a marked row of the run `number` on, within the run. */
static void follow(struct round *round, uint32_t number, uint32_t row)
{
	struct reach *r = round->reach;
	const struct graph_view *g = r->graph;
	uint32_t stack[RUN_ROWS], depth = 0;

	stack[depth++] = row;
	while (depth > 0) {
		uint32_t at = stack[--depth];
		atomic_store_explicit(&r->reached[at], FOLLOWED, memory_order_relaxed);
		for (uint32_t i = g->first[at]; i < g->first[at + 1]; i++) {
			uint32_t next = graph_edge(g, i), its = next / RUN_ROWS;
			if (!mark(r, next)) continue;
			if (its == number) {
				stack[depth++] = next;
			} else {
				atomic_store(&r->waiting[its], 1);
				atomic_store_explicit(&round->again, true, memory_order_relaxed);
			}
		}
	}
}

static void run_piece(void *arg, size_t number)
{
	struct round *round = arg;
	struct reach *r = round->reach;
	uint32_t first = (uint32_t)number * RUN_ROWS, end = r->graph->n - first < RUN_ROWS ? r->graph->n : first + RUN_ROWS;

	if (!atomic_exchange(&r->waiting[number], 0)) return;
	for (uint32_t row = first; row < end; row++)
		if (atomic_load_explicit(&r->reached[row], memory_order_relaxed) == MARKED) follow(round, (uint32_t)number, row);
}

void reach_from(struct reach *r, uint32_t row, struct runner *runner)
{
	struct round round = {.reach = r};

	if (!mark(r, row)) return;
	atomic_store(&r->waiting[row / RUN_ROWS], 1);
	do {
		atomic_store(&round.again, false);
		runner->run(runner, runs_of(r), run_piece, &round);
	} while (atomic_load(&round.again));
}

void reach_few(struct reach *r, uint32_t row)
{
	const struct graph_view *g = r->graph;
	size_t depth = 0;

	if (!mark(r, row)) return;
	r->stack[depth++] = row;
	while (depth > 0) {
		uint32_t at = r->stack[--depth];
		atomic_store_explicit(&r->reached[at], FOLLOWED, memory_order_relaxed);
		for (uint32_t i = g->first[at]; i < g->first[at + 1]; i++) {
			uint32_t next = graph_edge(g, i);
			if (mark(r, next)) r->stack[depth++] = next;
		}
	}
}
