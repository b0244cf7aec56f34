/* make_forest_corpus.c - write the seeds of the fuzz target forest_view: make_forest_corpus tests/fuzz/corpus. Built forests
 * over a few rows, one for each metric, and the forest over nothing. The same files every time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cursor.h"
#include "tests/fuzz/forest_view_fuzz.h"

static void seed_write(const char *folder, const char *name, enum metric m, uint32_t dim, uint32_t n, uint32_t trees, bool renumber)
{
	struct rows rows = {.metric = m, .dim = dim, .n = n, .stride = rows_stride(m, dim)};
	struct forest_params params = {trees, 1};
	struct forest *forest = NULL;
	uint8_t *base = aligned_alloc(64, (n * rows.stride + 127) & ~(size_t)63), header[VIEW_HEADER];
	float *norm2 = calloc(n + 1, sizeof(float));
	char path[1024];

	require(base && norm2);
	memset(base, 0, n * rows.stride + 64);
	view_rows(m, dim, n, n, base);
	rows.base = base;
	rows.norm2 = norm2;
	for (uint32_t i = 0; i < n; i++) norm2[i] = vec_norm2(m, rows_row(&rows, i), dim);
	uint32_t stride = quant_stride(m, dim);
	uint8_t *coded = stride ? aligned_alloc(CODE_ALIGN, ((size_t)n + 1) * stride) : NULL;
	struct codes codes = {m, stride, coded};
	struct quant quant;
	require(quant_fit(&rows, &quant) == STATUS_OK);
	if (coded) quant_encode_rows(&quant, &rows, runner_inline(), coded);
	require(forest_build(&rows, &codes, &quant, &params, runner_inline(), NULL, NULL, &forest) == STATUS_OK);
	uint32_t *new_of_old = calloc(n + 1, sizeof(*new_of_old));
	require(new_of_old);
	require(!renumber || forest_renumber(forest, runner_inline(), new_of_old) == STATUS_OK);
	struct forest_view f = forest_as_view(forest);
	uint32_t number[VIEW_NUMBERS] = {m, dim, n, f.trees, f.nodes, f.dirs, f.dir_size, 0, n};
	const float shown[2] = {(float)quant.low, (float)quant.scale};
	memcpy(&number[7], &f.dot_max_norm2, sizeof(float));
	memcpy(&number[9], shown, sizeof(shown));
	number[11] = f.renumbered;
	for (int i = 0; i < VIEW_NUMBERS; i++) store_u32(header + 4 * i, number[i]);
	snprintf(path, sizeof(path), "%s/forest_view/%s", folder, name);
	FILE *file = fopen(path, "wb");
	if (!file) {
		perror(path);
		exit(1);
	}
	fwrite(header, 1, sizeof(header), file);
	fwrite(f.roots, sizeof(*f.roots), f.trees, file);
	fwrite(f.node, sizeof(*f.node), f.nodes, file);
	fwrite(f.dir_of, sizeof(*f.dir_of), f.nodes, file);
	fwrite(f.dir, f.dir_size + !f.dir_size, f.dirs, file);
	fwrite(f.order.bytes, 1, (size_t)packed_size((uint64_t)(f.trees - f.renumbered) * n, f.order.width), file);
	require(!ferror(file) && fclose(file) == 0);
	forest_free(&forest);
	free(new_of_old);
	free(coded);
	quant_release(&quant);
	free(base);
	free(norm2);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: make_forest_corpus tests/fuzz/corpus\n");
		return 2;
	}
	seed_write(argv[1], "angular", METRIC_ANGULAR, 4, 150, 2, true);
	seed_write(argv[1], "euclidean", METRIC_EUCLIDEAN, 3, 200, 1, false);
	seed_write(argv[1], "manhattan", METRIC_MANHATTAN, 2, 65, 3, false);
	seed_write(argv[1], "hamming", METRIC_HAMMING, 20, 170, 2, true);
	seed_write(argv[1], "dot", METRIC_DOT, 5, 130, 2, false);
	seed_write(argv[1], "leaf", METRIC_DOT, 1, 1, 1, true);
	seed_write(argv[1], "empty", METRIC_EUCLIDEAN, 1, 0, 4, false);
	return 0;
}
