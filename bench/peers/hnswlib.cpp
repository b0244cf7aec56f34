/* hnswlib.cpp - hnswlib, from Debian's libhnswlib-dev. angular: inner product of normalised rows, as its own "cosine" is. dot: inner
 * product as it is (augmented=0), or euclidean with one more component that makes all rows equally long (augmented=1). */
#include <hnswlib/hnswlib.h>

#include <cmath>
#include <memory>
#include <vector>

#include "bench/peers/peer.h"

namespace {

const char *const searches[] = {"ef=10", "ef=14", "ef=20", "ef=28", "ef=40", "ef=56", "ef=80", "ef=112", "ef=160", "ef=224", "ef=320", "ef=448",
	"ef=640", "ef=900", "ef=1280", "ef=1800", "ef=2560", "ef=3600", "ef=5120", nullptr};
const unsigned all_metrics = PEER_FLOATS;
const struct peer_build builds[] = {
	{"M=16 efC=200 augmented=0", all_metrics, searches},
	{"M=32 efC=200 augmented=0", all_metrics, searches},
	{"M=16 efC=200 augmented=1", PEER_METRIC(METRIC_DOT), searches},
	{nullptr, 0, nullptr},
};

struct form { /* how rows and queries are given to it */
	enum metric metric;
	uint32_t dim;
	bool augmented;
	double longest2 = 0;
	std::vector<float> room;

	form(const peer_set *set, const char *params) : metric(set->metric), dim(set->dim), augmented(peer_number(params, "augmented", 0) != 0), room(dim + 1)
	{
		for (uint32_t i = 0; augmented && i < set->n; i++) longest2 = std::max(longest2, norm2(peer_floats(set, i)));
	}
	double norm2(const float *row) const
	{
		double sum = 0;
		for (uint32_t i = 0; i < dim; i++) sum += (double)row[i] * row[i];
		return sum;
	}
	const float *row(const float *from, bool query)
	{
		if (metric == METRIC_ANGULAR) {
			peer_normalised(from, dim, room.data());
			return room.data();
		}
		if (!augmented) return from;
		std::copy(from, from + dim, room.begin());
		room[dim] = query ? 0 : (float)std::sqrt(std::max(0.0, longest2 - norm2(from)));
		return room.data();
	}
	hnswlib::SpaceInterface<float> *space() const
	{
		if (metric == METRIC_EUCLIDEAN || augmented) return new hnswlib::L2Space(dim + augmented);
		return new hnswlib::InnerProductSpace(dim);
	}
};

struct index {
	form rows;
	std::unique_ptr<hnswlib::SpaceInterface<float>> space;
	std::unique_ptr<hnswlib::HierarchicalNSW<float>> graph;
	index(const peer_set *set, const char *params) : rows(set, params), space(rows.space()) {}
};

void build(const peer_set *set, const char *params, const char *folder)
{
	index it(set, params);
	it.graph.reset(new hnswlib::HierarchicalNSW<float>(it.space.get(), set->n, (size_t)peer_number(params, "M", 16), (size_t)peer_number(params, "efC", 200)));
	for (uint32_t i = 0; i < set->n; i++) it.graph->addPoint(it.rows.row(peer_floats(set, i), false), i);
	char *path = peer_path(folder, "index");
	it.graph->saveIndex(path);
	free(path);
}

void *open(const peer_set *set, const char *params, const char *folder)
{
	index *it = new index(set, params);
	char *path = peer_path(folder, "index");
	it->graph.reset(new hnswlib::HierarchicalNSW<float>(it->space.get(), path));
	free(path);
	return it;
}

void effort(void *from, const char *params, size_t)
{
	static_cast<index *>(from)->graph->setEf((size_t)peer_number(params, "ef", 10));
}

size_t search(void *from, const void *query, size_t k, int64_t *ret_rows)
{
	index *it = static_cast<index *>(from);
	auto found = it->graph->searchKnn(it->rows.row(static_cast<const float *>(query), true), k);
	size_t count = found.size();
	for (size_t i = count; i-- > 0; found.pop()) ret_rows[i] = (int64_t)found.top().second;
	return count;
}

}

extern "C" const struct peer peer = {"hnswlib", "0.6.2 (libhnswlib-dev)", builds, build, open, effort, search, nullptr};
