/* annoy_labels.cpp - the number that the MNIST tutorial prints, with Annoy itself: the reference of client/python/examples/mnist.py.
 *
 *     g++ -O3 -march=native -ffast-math -w -I/usr/lib/R/site-library/RcppAnnoy/include bench/tutorials/annoy_labels.cpp -lz -lpthread -o /tmp/annoy_labels
 *     /tmp/annoy_labels /usr/share/datasets/fashion-mnist 50000 10000 30 100 10
 *
 * Arguments: a folder with the four IDX files of MNIST, compressed; how many of the training and of the test images; trees; search_k;
 * and how many seeds: Annoy's own, 1, 2, ... The headers are those of Debian's r-cran-rcppannoy. Prints the share of test images whose
 * nearest image has their label. */
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>
#include <zlib.h>

#include "annoylib.h"
#include "kissrandom.h"

typedef AnnoyIndex<int32_t, float, Angular, Kiss64Random, AnnoyIndexSingleThreadedBuildPolicy> annoy;

static std::vector<uint8_t> read_idx(const std::string &path, size_t header)
{
	gzFile file = gzopen(path.c_str(), "rb");
	std::vector<uint8_t> all;
	uint8_t part[65536];
	int n = file ? 0 : -1;

	while (file && (n = gzread(file, part, sizeof part)) > 0) all.insert(all.end(), part, part + n);
	if (n < 0 || all.size() < header) {
		fprintf(stderr, "%s cannot be read\n", path.c_str());
		exit(1);
	}
	gzclose(file);
	all.erase(all.begin(), all.begin() + (long)header);
	return all;
}

struct images {
	std::vector<float> rows;
	std::vector<uint8_t> labels;
	images(const std::string &folder, const std::string &kind, size_t n)
	{
		std::vector<uint8_t> pixels = read_idx(folder + "/" + kind + "-images-idx3-ubyte.gz", 16);
		labels = read_idx(folder + "/" + kind + "-labels-idx1-ubyte.gz", 8);
		if (n > labels.size() || pixels.size() != labels.size() * 784) {
			fprintf(stderr, "%s does not have so many images\n", folder.c_str());
			exit(1);
		}
		rows.assign(pixels.begin(), pixels.begin() + (long)n * 784);
		labels.resize(n);
	}
	const float *row(size_t i) const { return &rows[i * 784]; }
	size_t n() const { return labels.size(); }
};

static double with_annoy(annoy &index, const images &train, const images &test, int search_k)
{
	size_t right = 0;

	for (size_t q = 0; q < test.n(); q++) {
		std::vector<int32_t> found;
		index.get_nns_by_vector(test.row(q), 1, search_k, &found, nullptr);
		right += !found.empty() && train.labels[(size_t)found[0]] == test.labels[q];
	}
	return (double)right / (double)test.n();
}

int main(int argc, char **argv)
{
	double sum = 0, least = 1, most = 0;

	if (argc != 7) {
		fprintf(stderr, "annoy_labels FOLDER TRAIN TEST TREES SEARCH_K SEEDS\n");
		return 2;
	}
	images train(argv[1], "train", strtoul(argv[2], nullptr, 10)), test(argv[1], "t10k", strtoul(argv[3], nullptr, 10));
	int seeds = atoi(argv[6]);

	for (int seed = 0; seed < seeds; seed++) {
		annoy index(784);
		if (seed) index.set_seed(seed);
		for (size_t i = 0; i < train.n(); i++) index.add_item((int32_t)i, train.row(i));
		index.build(atoi(argv[4]));
		double share = with_annoy(index, train, test, atoi(argv[5]));
		sum += share;
		least = std::min(least, share);
		most = std::max(most, share);
		fprintf(stderr, "seed %d: %.4f\n", seed, share);
	}
	printf("search_k=%s, %d seeds: mean %.4f, %.4f to %.4f\n", argv[5], seeds, sum / seeds, least, most);
	return 0;
}
