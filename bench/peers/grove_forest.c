/* grove_forest.c - Grove's forest mode: trees and search_k as in Annoy. */
#include <stdlib.h>

#include "bench/peers/grove_segment.h"
#include "worker/engine/forest.h"

static const char *const searches[] = {"search_k=50", "search_k=100", "search_k=200", "search_k=400", "search_k=800", "search_k=1600", "search_k=3200",
	"search_k=6400", "search_k=12800", "search_k=25600", "search_k=51200", "search_k=102400", "search_k=204800", NULL};
enum { ALL = (1 << METRIC_COUNT) - 1 };
static const struct peer_build builds[] = {
	{"trees=10", ALL, searches},
	{"trees=50", ALL, searches},
	{NULL, 0, NULL},
};

struct index {
	const struct peer_set *set;
	struct rows rows;
	struct ann_view view;
	struct forest_scratch *scratch;
	uint64_t search_k;
	struct hit *hits;
};

static uint32_t trees_of(const char *params) { return (uint32_t)peer_number(params, "trees", 10); }
static void build(const struct peer_set *set, const char *params, const char *folder) { grove_segment_build(set, trees_of(params), false, folder); }

static void *open_index(const struct peer_set *set, const char *params, const char *folder)
{
	struct segment *segment = grove_segment_open(set, trees_of(params), folder);
	struct index *it = calloc(1, sizeof(*it));

	if (!it || forest_scratch_new(&it->scratch) != STATUS_OK) peer_die("not enough memory");
	it->set = set;
	it->rows = segment_rows(segment);
	it->view = segment_ann(segment);
	return it;
}

static void effort(void *index, const char *params, size_t k)
{
	struct index *it = index;

	it->search_k = (uint64_t)peer_number(params, "search_k", 100);
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
	enum status status = it->view.codes.base
		? forest_search_coded(&it->view.forest, &it->rows, &it->view.codes, &query, it->search_k, NULL, it->scratch, &top, &work)
		: forest_search(&it->view.forest, &it->rows, &query, it->search_k, NULL, it->scratch, &top, &work);
	if (status != STATUS_OK) peer_die("not enough memory");
	topk_sort(&top);
	for (size_t i = 0; i < top.count; i++) ret_rows[i] = (int64_t)top.hits[i].id;
	return top.count;
}

const struct peer peer = {"grove-forest", "Grove " GROVE_VERSION, builds, build, open_index, effort, search, NULL};
