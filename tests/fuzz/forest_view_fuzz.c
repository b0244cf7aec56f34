/* forest_view_fuzz.c - bytes as a forest over rows. What forest_check() lets through is searched: inside its arrays (each is
 * a heap block of its exact size, so a sanitizer sees one step beside it), to an end, and with every row reached. */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cursor.h"
#include "tests/fuzz/forest_view_fuzz.h"

enum { DIM_MAX = 100, N_MAX = 1000, TREES_MAX = 8, NODES_MAX = 4000, DIRS_MAX = 500, DIR_SIZE_MAX = 128, HITS = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

/* The next `bytes` of the input in a block of their own; past its end, zeros. */
static void *take(const uint8_t **input, size_t *left, size_t bytes)
{
	size_t have = bytes < *left ? bytes : *left;
	uint8_t *block = calloc(1, bytes ? bytes : 1);

	require(block);
	memcpy(block, *input, have);
	*input += have;
	*left -= have;
	return block;
}

/* Rows with everything that a search reads. */
struct data { struct rows rows; uint8_t *base; float *norm2; uint64_t *ids; };

static void data_init(struct data *d, enum metric m, uint32_t dim, uint32_t n, uint32_t seed)
{
	size_t stride = rows_stride(m, dim);

	*d = (struct data){.base = aligned_alloc(64, (n * stride + 127) & ~(size_t)63), .norm2 = calloc(n + 1, sizeof(float)), .ids = calloc(n + 1, 8)};
	require(d->base && d->norm2 && d->ids);
	memset(d->base, 0, n * stride);
	view_rows(m, dim, n, seed, d->base);
	d->rows = (struct rows){.metric = m, .dim = dim, .n = n, .stride = stride, .base = d->base, .norm2 = d->norm2, .ids = d->ids};
	for (uint32_t i = 0; i < n; i++) {
		d->norm2[i] = vec_norm2(m, rows_row(&d->rows, i), dim);
		d->ids[i] = i;
	}
}

static void search(const struct forest_view *f, const struct rows *rows)
{
	struct forest_scratch *scratch = NULL;

	require(forest_scratch_new(&scratch) == STATUS_OK);
	for (uint32_t budget = 1; budget < rows->n; budget += rows->n / 2) {
		uint32_t row = budget % rows->n;
		struct query query = {rows_row(rows, row), rows->norm2[row]};
		struct search_work work = {0};
		struct hit hits[HITS];
		struct topk top;
		topk_init(&top, hits, HITS);
		require(forest_search(f, rows, &query, budget, NULL, scratch, &top, &work) == STATUS_OK);
		require(work.candidates >= budget && work.candidates <= rows->n && work.candidates < budget + FOREST_LEAF_MAX);
	}
	forest_scratch_free(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	uint32_t number[VIEW_NUMBERS];
	struct forest_view f = {0};
	struct data data;

	if (size < VIEW_HEADER) return 0;
	for (int i = 0; i < VIEW_NUMBERS; i++) number[i] = load_u32(input + 4 * i);
	if (number[0] >= METRIC_COUNT || !number[1] || number[1] > DIM_MAX) return 0;
	f = (struct forest_view){.n = number[2], .trees = number[3], .nodes = number[4], .dirs = number[5], .dir_size = number[6]};
	float quant[2];
	memcpy(&f.dot_max_norm2, &number[7], sizeof(float));
	memcpy(quant, &number[9], sizeof(quant));
	f.quant = (struct quant){(double)quant[0], (double)quant[1], NULL};
	if (f.n > N_MAX || f.trees > TREES_MAX || f.nodes > NODES_MAX || f.dirs > DIRS_MAX || f.dir_size > DIR_SIZE_MAX) return 0;
	input += VIEW_HEADER;
	size -= VIEW_HEADER;
	uint32_t *roots = take(&input, &size, f.trees * sizeof(*roots));
	struct forest_node *node = take(&input, &size, f.nodes * sizeof(*node));
	uint32_t *dir_of = take(&input, &size, f.nodes * sizeof(*dir_of));
	int8_t *dir = take(&input, &size, (size_t)f.dirs * f.dir_size);
	f.renumbered = number[11] & 1 && f.trees > 0;
	f.order.width = packed_row_width(f.n);
	uint8_t *order = take(&input, &size, (size_t)packed_size((uint64_t)(f.trees - f.renumbered) * f.n, f.order.width));
	f.roots = roots;
	f.node = node;
	f.dir_of = dir_of;
	f.dir = dir;
	f.order.bytes = order;
	if (forest_check(&f, (enum metric)number[0], number[1]) && f.trees) {
		data_init(&data, (enum metric)number[0], number[1], f.n, number[8]);
		search(&f, &data.rows);
		free(data.base);
		free(data.norm2);
		free(data.ids);
	}
	free(roots);
	free(node);
	free(dir_of);
	free(dir);
	free(order);
	return 0;
}
