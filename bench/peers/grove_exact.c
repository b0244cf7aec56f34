/* grove_exact.c - exact search, by Grove's engine: what every other way has to beat. */
#include <stdlib.h>

#include "bench/peers/grove_segment.h"
#include "worker/engine/exact.h"
#include "worker/engine/sliced.h"

static const char *const searches[] = {"all=1", NULL};
static const struct peer_build builds[] = {{"rows=1", (1 << METRIC_COUNT) - 1, searches}, {NULL, 0, NULL}};

struct index { const struct peer_set *set; struct rows rows; struct hit *hits; };

static void build(const struct peer_set *set, const char *params, const char *folder) {}

static void *open_index(const struct peer_set *set, const char *params, const char *folder)
{
	struct index *it = calloc(1, sizeof(*it));
	struct sliced *sliced;

	if (!it) peer_die("not enough memory");
	it->set = set;
	it->rows = grove_rows(set);
	if (sliced_make(&it->rows, &sliced) != STATUS_OK) peer_die("not enough memory");
	it->rows.sliced = sliced;
	return it;
}

static void effort(void *index, const char *params, size_t k)
{
	struct index *it = index;

	free(it->hits);
	it->hits = malloc(k * sizeof(*it->hits));
	if (!it->hits) peer_die("not enough memory");
}

static size_t search(void *index, const void *from, size_t k, int64_t *ret_rows)
{
	struct index *it = index;
	struct query query = grove_query(it->set, from);
	struct search_work work = {0};
	struct topk top;

	topk_init(&top, it->hits, k);
	exact_search(&it->rows, &query, 1, NULL, &top, &work);
	topk_sort(&top);
	for (size_t i = 0; i < top.count; i++) ret_rows[i] = (int64_t)top.hits[i].id;
	return top.count;
}

const struct peer peer = {"grove-exact", "Grove " GROVE_VERSION, builds, build, open_index, effort, search, NULL};
