/* grove_graph.c - Grove's graph mode, by the size of the pool (graph.h). */
#include <stdlib.h>

#include "bench/peers/grove_segment.h"

static const char *const searches[] = {"ef=10", "ef=14", "ef=20", "ef=28", "ef=40", "ef=56", "ef=80", "ef=112", "ef=160", "ef=224", "ef=320", "ef=448",
	"ef=640", "ef=900", "ef=1280", NULL};
enum { ALL = (1 << METRIC_COUNT) - 1, NOT_BITS = ALL & ~(1 << METRIC_HAMMING) };
static const struct peer_build builds[] = {
	{"trees=10", NOT_BITS, searches},
	{NULL, 0, NULL},
};

struct index {
	const struct peer_set *set;
	struct graph_space space;
	struct graph_scratch *scratch;
	struct graph_effort effort;
	struct hit *hits;
};

static uint32_t trees_of(const char *params) { return (uint32_t)peer_number(params, "trees", 10); }
static void build(const struct peer_set *set, const char *params, const char *folder) { grove_segment_build(set, trees_of(params), true, folder); }

static void *open_index(const struct peer_set *set, const char *params, const char *folder)
{
	struct segment *segment = grove_segment_open(set, trees_of(params), folder);
	struct index *it = calloc(1, sizeof(*it));

	if (!it || graph_scratch_new(&it->scratch) != STATUS_OK) peer_die("not enough memory");
	it->set = set;
	struct ann_view view = segment_ann(segment);
	struct rows rows = segment_rows(segment);
	it->space = ann_space(&view, &rows, 0);
	return it;
}

static void effort(void *index, const char *params, size_t k)
{
	struct index *it = index;

	it->effort = (struct graph_effort){.ef = (uint32_t)peer_number(params, "ef", 40)};
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
	if (graph_search(&it->space, &query, &it->effort, NULL, NULL, it->scratch, &top, &work) != STATUS_OK) peer_die("not enough memory");
	topk_sort(&top);
	for (size_t i = 0; i < top.count; i++) ret_rows[i] = (int64_t)top.hits[i].id;
	return top.count;
}

/* The float rows: a search reads some forty of them. */
static uint64_t may_stay_on_disk(void *index)
{
	const struct index *it = index;
	return (uint64_t)it->space.rows.n * it->space.rows.stride;
}

const struct peer peer = {"grove-graph", "Grove " GROVE_VERSION, builds, build, open_index, effort, search, may_stay_on_disk};
