/* annoy.cpp - Annoy, from the headers that Debian's r-cran-rcppannoy carries. Built in memory, saved, and mapped, as its users do. */
#include <memory>
#include <vector>

#include "annoylib.h"
#include "kissrandom.h"

#include "bench/peers/peer.h"

namespace {

const char *const searches[] = {"search_k=50", "search_k=100", "search_k=200", "search_k=400", "search_k=800", "search_k=1600", "search_k=3200", "search_k=6400",
	"search_k=12800", "search_k=25600", "search_k=51200", "search_k=102400", "search_k=204800", "search_k=409600", "search_k=819200", nullptr};
const unsigned all_metrics = PEER_FLOATS | PEER_METRIC(METRIC_MANHATTAN) | PEER_METRIC(METRIC_HAMMING);
const struct peer_build builds[] = {
	{"trees=10", all_metrics, searches},
	{"trees=50", all_metrics, searches},
	{"trees=100", all_metrics, searches},
	{nullptr, 0, nullptr},
};

/* One of its index types behind one interface: floats, or words of 64 bits for hamming. */
struct index {
	size_t search_k = 0;
	std::vector<int32_t> found;
	virtual ~index() = default;
	virtual bool add(uint32_t i, const void *row) = 0;
	virtual bool finish(int trees, const char *path) = 0;
	virtual bool load(const char *path) = 0;
	virtual void search(const void *query, size_t k) = 0;
};

template <typename element, typename distance>
struct index_of : index {
	AnnoyIndex<int32_t, element, distance, Kiss64Random, AnnoyIndexSingleThreadedBuildPolicy> trees;
	explicit index_of(uint32_t elements) : trees((int)elements) {}
	bool add(uint32_t i, const void *row) override { return trees.add_item((int32_t)i, static_cast<const element *>(row)); }
	bool finish(int count, const char *path) override { return trees.build(count) && trees.save(path); }
	bool load(const char *path) override { return trees.load(path); }
	void search(const void *query, size_t k) override
	{
		found.clear();
		trees.get_nns_by_vector(static_cast<const element *>(query), k, (int)search_k, &found, nullptr);
	}
};

index *index_new(const peer_set *set)
{
	switch (set->metric) {
	case METRIC_ANGULAR: return new index_of<float, Angular>(set->dim);
	case METRIC_EUCLIDEAN: return new index_of<float, Euclidean>(set->dim);
	case METRIC_MANHATTAN: return new index_of<float, Manhattan>(set->dim);
	case METRIC_DOT: return new index_of<float, DotProduct>(set->dim);
	case METRIC_HAMMING: return new index_of<uint64_t, Hamming>(set->dim / 64);
	}
	return nullptr;
}

void build(const peer_set *set, const char *params, const char *folder)
{
	std::unique_ptr<index> it(index_new(set));
	char *path = peer_path(folder, "index");
	bool done = true;

	for (uint32_t i = 0; done && i < set->n; i++) done = it->add(i, peer_row(set, i));
	if (!done || !it->finish((int)peer_number(params, "trees", 10), path)) peer_die("the index could not be built");
	free(path);
}

void *open(const peer_set *set, const char *, const char *folder)
{
	index *it = index_new(set);
	char *path = peer_path(folder, "index");
	if (!it->load(path)) peer_die("the index could not be loaded");
	free(path);
	return it;
}

void effort(void *from, const char *params, size_t)
{
	static_cast<index *>(from)->search_k = (size_t)peer_number(params, "search_k", 100);
}

size_t search(void *from, const void *query, size_t k, int64_t *ret_rows)
{
	index *it = static_cast<index *>(from);
	it->search(query, k);
	std::copy(it->found.begin(), it->found.end(), ret_rows);
	return it->found.size();
}

}

extern "C" const struct peer peer = {"annoy", "1.17 (r-cran-rcppannoy)", builds, build, open, effort, search, nullptr};
