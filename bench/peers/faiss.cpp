/* faiss.cpp - Faiss, from Debian's libfaiss-dev: a generic build of the library itself, without AVX, whatever this file is compiled with.
 * Compiled for the machine its HNSW is about as fast as hnswlib. angular: euclidean over normalised rows. */
#include <faiss/AutoTune.h>
#include <faiss/IndexBinaryFlat.h>
#include <faiss/IndexBinaryHNSW.h>
#include <faiss/index_factory.h>
#include <faiss/index_io.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "bench/peers/peer.h"

namespace {

const char *const graph_searches[] = {"efSearch=10", "efSearch=14", "efSearch=20", "efSearch=28", "efSearch=40", "efSearch=56", "efSearch=80", "efSearch=112",
	"efSearch=160", "efSearch=224", "efSearch=320", "efSearch=448", "efSearch=640", "efSearch=900", "efSearch=1280", "efSearch=2560", nullptr};
const char *const list_searches[] = {"nprobe=1", "nprobe=2", "nprobe=4", "nprobe=8", "nprobe=16", "nprobe=32", "nprobe=64", "nprobe=128", "nprobe=256",
	"nprobe=512", nullptr};
const char *const flat_searches[] = {"all=1", nullptr};
const struct peer_build builds[] = {
	{"HNSW=32 efC=100", PEER_FLOATS, graph_searches},
	{"IVF=1024", PEER_FLOATS, list_searches},
	{"binaryHNSW=16", PEER_METRIC(METRIC_HAMMING), graph_searches},
	{"binaryFlat=1", PEER_METRIC(METRIC_HAMMING), flat_searches},
	{nullptr, 0, nullptr},
};

struct index {
	enum metric metric;
	uint32_t dim;
	std::unique_ptr<faiss::Index> floats;
	std::unique_ptr<faiss::IndexBinary> bits;
	std::vector<float> room, distances;
	std::vector<int32_t> bit_distances;
	explicit index(const peer_set *set) : metric(set->metric), dim(set->dim), room(set->dim) {}
};

std::vector<float> all_rows(const peer_set *set)
{
	std::vector<float> rows((size_t)set->n * set->dim);
	for (uint32_t i = 0; i < set->n; i++) {
		float *to = rows.data() + (size_t)i * set->dim;
		if (set->metric == METRIC_ANGULAR)
			peer_normalised(peer_floats(set, i), set->dim, to);
		else
			std::memcpy(to, peer_row(set, i), set->row_bytes);
	}
	return rows;
}

void build(const peer_set *set, const char *params, const char *folder)
{
	char *path = peer_path(folder, "index");
	if (set->metric == METRIC_HAMMING) {
		std::unique_ptr<faiss::IndexBinary> bits;
		if (peer_number(params, "binaryHNSW", 0) > 0)
			bits.reset(new faiss::IndexBinaryHNSW((int)set->dim, (int)peer_number(params, "binaryHNSW", 16)));
		else
			bits.reset(new faiss::IndexBinaryFlat(set->dim));
		bits->add(set->n, set->rows);
		faiss::write_index_binary(bits.get(), path);
	} else {
		faiss::MetricType kind = set->metric == METRIC_DOT ? faiss::METRIC_INNER_PRODUCT : faiss::METRIC_L2;
		int links = (int)peer_number(params, "HNSW", 0), lists = (int)peer_number(params, "IVF", 0);
		std::string what = links ? "HNSW" + std::to_string(links) + ",Flat" : "IVF" + std::to_string(lists) + ",Flat";
		std::unique_ptr<faiss::Index> floats(faiss::index_factory((int)set->dim, what.c_str(), kind));
		std::vector<float> rows = all_rows(set);
		if (links) faiss::ParameterSpace().set_index_parameter(floats.get(), "efConstruction", peer_number(params, "efC", 100));
		floats->train(set->n, rows.data());
		floats->add(set->n, rows.data());
		faiss::write_index(floats.get(), path);
	}
	free(path);
}

void *open(const peer_set *set, const char *, const char *folder)
{
	index *it = new index(set);
	char *path = peer_path(folder, "index");
	if (set->metric == METRIC_HAMMING)
		it->bits.reset(faiss::read_index_binary(path));
	else
		it->floats.reset(faiss::read_index(path));
	free(path);
	return it;
}

void effort(void *from, const char *params, size_t k)
{
	index *it = static_cast<index *>(from);
	it->distances.resize(k);
	it->bit_distances.resize(k);
	if (!std::strncmp(params, "all", 3)) return;
	std::string name(params, std::strchr(params, '=') - params);
	double number = peer_number(params, name.c_str(), 1);
	if (it->floats)
		faiss::ParameterSpace().set_index_parameter(it->floats.get(), name, number);
	else
		dynamic_cast<faiss::IndexBinaryHNSW &>(*it->bits).hnsw.efSearch = (int)number;
}

size_t search(void *from, const void *query, size_t k, int64_t *ret_rows)
{
	index *it = static_cast<index *>(from);
	if (it->bits) {
		it->bits->search(1, static_cast<const uint8_t *>(query), (int64_t)k, it->bit_distances.data(), ret_rows);
	} else {
		const float *row = static_cast<const float *>(query);
		if (it->metric == METRIC_ANGULAR) {
			peer_normalised(row, it->dim, it->room.data());
			row = it->room.data();
		}
		it->floats->search(1, row, (int64_t)k, it->distances.data(), ret_rows);
	}
	size_t count = 0;
	while (count < k && ret_rows[count] >= 0) count++;
	return count;
}

}

extern "C" const struct peer peer = {"faiss", "1.7.3 (libfaiss-dev: generic build without AVX)", builds, build, open, effort, search, nullptr};
