/* write_ann.c - items to rows of the file; then the trees, which look at the rows through a mapping of the file. */
#include "client/cli/write_ann.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "client/cli/ann_forest.h"
#include "client/cli/export_format.h"
#include "common/buf.h"
#include "common/cursor.h"

struct ann_writer {
	struct ann_write what;
	const struct ann_layout *layout;
	size_t node_bytes, row_bytes;
	uint8_t *node;
	struct buf ids;   /* u32 each */
	uint64_t rows;    /* written, gaps too */
	float norm2_most; /* dot: the largest |v|^2 */
};

static enum status no_memory(struct report *report)
{
	return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
}

enum status ann_writer_new(const struct ann_write *what, struct ann_writer **ret, struct report *report)
{
	struct ann_writer *w = calloc(1, sizeof(*w));
	if (!w) return no_memory(report);
	w->what = *what;
	w->layout = ann_layout_written(what->metric);
	w->node_bytes = ann_node_bytes(w->layout, what->dim);
	w->row_bytes = dtype_row_bytes(metric_dtype(what->metric), what->dim);
	w->node = malloc(w->node_bytes);
	buf_init(&w->ids, 0);
	if (!w->node) {
		ann_writer_free(&w);
		return no_memory(report);
	}
	*ret = w;
	return STATUS_OK;
}

void ann_writer_free(struct ann_writer **w)
{
	if (!*w) return;
	free((*w)->node);
	buf_release(&(*w)->ids);
	free(*w);
	*w = NULL;
}

/* The file has a row for every id below the largest: past some number that is a mistake. */
static enum status id_check(const struct ann_writer *w, uint64_t id, struct report *report)
{
	uint64_t items = w->ids.size / sizeof(uint32_t) + 1;
	if (id < w->rows) return report_set(report, STATUS_BAD_REQUEST, "%s: the ids are not in ascending order", w->what.name);
	if (id >= ANN_NODES_MAX)
		return report_set(report, STATUS_LIMIT,
			"%s cannot be a file of Annoy: there is an item with the id %" PRIu64 ", and Annoy's ids are row numbers below %d. Items with keys have such ids; "
			"write .jsonl, or .npy and --ids, and number the rows", w->what.name, id, ANN_NODES_MAX);
	if (id / ANN_GAPS_MAX > items)
		return report_set(report, STATUS_LIMIT,
			"%s cannot be a file of Annoy: the %" PRIu64 ". item has the id %" PRIu64 ", and Annoy has a row for every id below; more than %d for each item are "
			"not written. Write .jsonl, or .npy and --ids, and number the rows", w->what.name, items, id, ANN_GAPS_MAX);
	return STATUS_OK;
}

enum status ann_writer_item(struct ann_writer *w, uint64_t id, const void *row, struct report *report)
{
	const struct ann_layout *l = w->layout;
	uint32_t number = (uint32_t)id;
	enum status status = id_check(w, id, report);
	if (status != STATUS_OK) return status;
	if (id > w->rows && fseeko(w->what.file, (off_t)(id * w->node_bytes), SEEK_SET) != 0)
		return report_set(report, STATUS_IO, "%s could not be written: %s", w->what.name, strerror(errno));
	memset(w->node, 0, w->node_bytes);
	store_u32(w->node, 1);
	memcpy(w->node + l->vector, row, w->row_bytes);
	if (l->norm || l->factor) {
		const float *v = (const float *)(const void *)(w->node + l->vector);
		float norm2 = vec_kernels()->dot(v, v, w->what.dim);
		store_f32(w->node + (l->norm ? l->norm : l->factor), norm2); /* dot: until all are known */
		if (norm2 > w->norm2_most) w->norm2_most = norm2;
	}
	fwrite(w->node, 1, w->node_bytes, w->what.file);
	w->rows = id + 1;
	return buf_append(&w->ids, &number, sizeof(number)) == STATUS_OK ? STATUS_OK : no_memory(report);
}

/* dot: every item gets the coordinate that makes all equally long. */
static void factors_set(const struct ann_writer *w, uint8_t *nodes)
{
	const uint32_t *ids = (const uint32_t *)(const void *)w->ids.bytes;
	for (size_t i = 0; w->layout->factor && i < w->ids.size / sizeof(*ids); i++) {
		uint8_t *at = nodes + ids[i] * w->node_bytes + w->layout->factor;
		float square = w->norm2_most - load_f32(at);
		store_f32(at, square > 0 ? sqrtf(square) : 0); /* a NaN, of two infinities, too */
	}
}

enum status ann_writer_finish(struct ann_writer *w, struct report *report)
{
	const struct ann_write *what = &w->what;
	if (w->rows == 0) return report_set(report, STATUS_BAD_REQUEST, "%s cannot be a file of Annoy: there are no items", what->name);
	size_t bytes = w->rows * w->node_bytes;
	if (fflush(what->file) != 0) return report_set(report, STATUS_IO, "%s could not be written: %s", what->name, strerror(errno));
	uint8_t *nodes = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(what->file), 0);
	if (nodes == MAP_FAILED) return report_set(report, STATUS_IO, "%s cannot be read back: %s", what->name, strerror(errno));
	factors_set(w, nodes);
	struct ann_forest forest = {.items = {.layout = w->layout, .dim = what->dim, .nodes = nodes},
		.rows = (uint32_t)w->rows,
		.ids = (uint32_t *)(void *)w->ids.bytes,
		.count = (uint32_t)(w->ids.size / sizeof(uint32_t)),
		.trees = what->trees,
		.seed = what->seed,
		.file = what->file,
		.nodes_max = ANN_NODES_MAX};
	enum status status = ann_forest_write(&forest);
	munmap(nodes, bytes);
	if (status == STATUS_NO_MEMORY) return no_memory(report);
	if (status == STATUS_LIMIT)
		return report_set(report, status, "%s cannot be a file of Annoy: it would have more than %d nodes; take fewer --trees", what->name, ANN_NODES_MAX);
	if (status == STATUS_OK && ferror(what->file)) status = STATUS_IO;
	if (status != STATUS_OK) return report_set(report, status, "%s could not be written: %s", what->name, strerror(errno));
	return STATUS_OK;
}

/* ---- as a format of grove export ---- */

static enum status ann_begin(const grove_index *index, struct export_file *file, void **ret, struct report *report)
{
	struct ann_write what = {.file = export_file_stream(file),
		.name = export_file_path(file),
		.metric = (enum metric)index->metric,
		.dim = index->dim,
		.trees = index->trees,
		.seed = index->seed};
	struct ann_writer *w = NULL;
	enum status status = ann_writer_new(&what, &w, report);
	if (status == STATUS_OK) *ret = w;
	return status;
}

static enum status ann_item(void *own, const struct stream_item *item, struct report *report)
{
	return ann_writer_item(own, item->id, item->vector, report);
}

static enum status ann_finish(void *own, struct report *report)
{
	return ann_writer_finish(own, report);
}

static void ann_end(void *own)
{
	struct ann_writer *w = own;
	ann_writer_free(&w);
}

const struct export_format export_ann = {
	.name = "ann", .seeks = true, .ids = true, .trees = true, .begin = ann_begin, .item = ann_item, .finish = ann_finish, .end = ann_end};
