/* read_ann.c - the items of Annoy's index files (ann_layout.h). The trees are not taken: they are looked at to be sure of the rest.
 *
 * Nothing in the file says what it is, so every node is checked before the first row is given, for each layout of the metric whose node
 * size divides the file's: items and gaps as add_item() makes them, children and ids within the file, and behind all a copy of each
 * root. Exactly one layout has to pass. What cannot be seen is a metric or dimension with the same checks and node size as the right
 * one: euclidean and manhattan files are alike.
 *
 * The trees are not walked, so a circle in them does no harm. In memory: one window of nodes, and 4 bytes for each root. */
#include "client/cli/dataset_format.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/crc32c.h"
#include "common/cursor.h"
#include "common/limits.h"

#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
enum { WINDOW_BYTES = 1024 };
#else
enum { WINDOW_BYTES = 1024 * 1024 };
#endif
#define NORM_TOLERANCE 0.01 /* a sum of 65,536 squares in float32, in any order */

static uint64_t id_at(const struct ann_layout *l, const uint8_t *at)
{
	return l->id_bytes == 8 ? load_u64(at) : load_u32(at);
}

static bool zeros(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i]) return false;
	}
	return true;
}

static uint64_t window_nodes(const struct dataset *d, uint64_t first, uint64_t end)
{
	uint64_t fit = WINDOW_BYTES / ann_node_bytes(d->layout, d->dim);
	if (fit == 0) fit = 1;
	return fit < end - first ? fit : end - first;
}

/* Nodes first .. first + n into d->line. */
static enum status nodes_load(struct dataset *d, uint64_t first, uint64_t n, const uint8_t **ret, struct report *report)
{
	size_t node = ann_node_bytes(d->layout, d->dim);
	uint8_t *bytes;
	buf_reset(&d->line);
	if (buf_extend(&d->line, n * node, &bytes) != STATUS_OK)
		return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	*ret = bytes;
	return bytes_read_at(d->file, d->nodes_at + first * node, bytes, n * node, report);
}

/* ---- checks ---- */

static enum status bad_node(const struct dataset *d, uint64_t node, const char *what, struct report *report)
{
	return report_set(report, STATUS_CORRUPT,
		"%s is no %s index of Annoy with dimension %" PRIu32 ", or it is damaged: its node %" PRIu64 " %s", bytes_path(d->file),
		metric_name(d->layout->metric), d->dim, node, what);
}

/* Angular files of before 1.12 have 0 for the norm. A norm past float32's range is an infinity. */
static bool norm_right(const struct dataset *d, const uint8_t *node)
{
	float norm = load_f32(node + d->layout->norm);
	double sum = 0;
	for (uint32_t e = 0; e < d->dim; e++) {
		double v = load_f32(node + d->layout->vector + (size_t)e * sizeof(float));
		sum += v * v;
	}
	if (norm == 0 || isnan(sum) || isinf(sum)) return true; /* the row itself is refused when it is read */
	if (isinf(norm)) return sum > 1e38;
	return fabs(sum - norm) <= NORM_TOLERANCE * sum;
}

static const char *item_fault(const struct dataset *d, const uint8_t *node)
{
	const struct ann_layout *l = d->layout;
	size_t stray = d->dim % 64;
	if (!zeros(node + l->children + l->id_bytes, l->id_bytes)) return "is an item and has a child";
	if (l->norm && !norm_right(d, node)) return "has another norm than its vector";
	if (l->factor && load_f32(node + l->factor) < 0) return "has a factor below zero";
	if (l->built && node[l->built] > 1) return "has a flag that is neither 0 nor 1";
	if (l->metric == METRIC_HAMMING && stray && load_u64(node + ann_node_bytes(l, d->dim) - 8) >> stray)
		return "has bits past its dimension";
	return NULL;
}

static const char *tree_fault(const struct dataset *d, uint64_t number, const uint8_t *node, uint64_t descendants)
{
	const struct ann_layout *l = d->layout;
	uint64_t capacity = ann_capacity(l, d->dim);
	bool split = descendants > capacity;
	if (descendants < 1 || descendants > d->slots) return "has more items below it than there are, or none";
	if (!split && descendants == d->slots) return NULL; /* a root: which of its ids count is not known from it */
	for (uint64_t i = 0; i < (split ? 2 : descendants); i++) {
		uint64_t child = id_at(l, node + l->children + i * l->id_bytes);
		if (split && (child >= d->nodes || child == number)) return "has a child that is not in the file";
		if (!split && child >= d->slots) return "has an item that is not in the file";
	}
	return NULL;
}

/* Zeros; but what stands between the count and the vector, dot's build() sets of gaps, too. */
static bool gap_right(const struct dataset *d, const uint8_t *node)
{
	const struct ann_layout *l = d->layout;
	size_t head = l->factor ? l->id_bytes : l->vector;
	return zeros(node, head) && zeros(node + l->vector, ann_vector_bytes(l, d->dim));
}

struct roots {
	struct buf crcs;      /* of each node with as many descendants as there are items */
	uint64_t first, last; /* the first of those without a gap up to the last */
};

static enum status node_check(struct dataset *d, uint64_t number, const uint8_t *node, struct roots *roots, struct report *report)
{
	size_t bytes = ann_node_bytes(d->layout, d->dim);
	uint64_t descendants = id_at(d->layout, node);
	const char *fault;
	if (number < d->slots) {
		if (descendants == 0 && gap_right(d, node)) return STATUS_OK;
		fault = descendants == 1 ? item_fault(d, node) : "is neither an item nor a gap";
		d->rows++;
	} else {
		fault = tree_fault(d, number, node, descendants);
	}
	if (fault) return bad_node(d, number, fault, report);
	if (number < d->slots || descendants != d->slots) return STATUS_OK;
	uint32_t crc = crc32c(0, node, bytes);
	if (number != roots->last + 1) roots->first = number;
	roots->last = number;
	if (buf_append(&roots->crcs, &crc, sizeof(crc)) != STATUS_OK)
		return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	return STATUS_OK;
}

static int crc_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

/* The last half of all roots are at the end, and are copies of the first half. */
static enum status roots_check(struct dataset *d, struct roots *roots, struct report *report)
{
	uint32_t *crcs = (uint32_t *)(void *)roots->crcs.bytes;
	size_t count = roots->crcs.size / sizeof(*crcs), half = count / 2;
	if (count) {
		qsort(crcs, half, sizeof(*crcs), crc_compare);
		qsort(crcs + half, count - half, sizeof(*crcs), crc_compare);
	}
	if (count == 0 || count % 2 || d->nodes - roots->first < half || memcmp(crcs, crcs + half, half * sizeof(*crcs)) != 0)
		return report_set(report, STATUS_CORRUPT,
			"%s is no %s index of Annoy with dimension %" PRIu32 ", or it is cut off: the copies of its roots are not at its end",
			bytes_path(d->file), metric_name(d->layout->metric), d->dim);
	if (half > UINT32_MAX) return report_set(report, STATUS_LIMIT, "%s has more than %u trees", bytes_path(d->file), UINT32_MAX);
	d->trees = (uint32_t)half;
	return STATUS_OK;
}

/* Every node of the file, whose size a node's divides, in d->layout. Sets slots, rows and trees. */
static enum status layout_check(struct dataset *d, struct report *report)
{
	struct roots roots = {.last = UINT64_MAX - 1};
	const uint8_t *bytes;
	size_t node = ann_node_bytes(d->layout, d->dim);
	d->rows = 0;
	d->trees = 0;
	enum status status = nodes_load(d, d->nodes - 1, 1, &bytes, report);
	if (status != STATUS_OK) return status;
	d->slots = id_at(d->layout, bytes);
	if (d->slots == 0) return report_set(report, STATUS_BAD_REQUEST, "%s has no vectors", bytes_path(d->file));
	if (d->slots >= d->nodes) return bad_node(d, d->nodes - 1, "counts more items than there are nodes", report);
	buf_init(&roots.crcs, 0);
	for (uint64_t first = 0, n; status == STATUS_OK && first < d->nodes; first += n) {
		n = window_nodes(d, first, d->nodes);
		status = nodes_load(d, first, n, &bytes, report);
		for (uint64_t i = 0; status == STATUS_OK && i < n; i++)
			status = node_check(d, first + i, bytes + i * node, &roots, report);
	}
	if (status == STATUS_OK) status = roots_check(d, &roots, report);
	if (status == STATUS_OK && d->rows == 0) status = report_set(report, STATUS_BAD_REQUEST, "%s has no vectors", bytes_path(d->file));
	buf_release(&roots.crcs);
	return status;
}

/* ---- opening and reading ---- */

static enum status no_layout(const struct dataset *d, uint64_t size, struct report *report)
{
	const struct ann_layout *l = ann_layout_written(d->expected->metric);
	return report_set(report, STATUS_CORRUPT,
		"%s has %" PRIu64 " bytes, which is no whole number of nodes of %zu bytes, those of a %s index of Annoy with dimension %" PRIu32
		": it was made with another metric or dimension, or is cut off",
		bytes_path(d->file), size, ann_node_bytes(l, d->dim), metric_name(l->metric), d->dim);
}

/* scikit-plots' head, if there is one: it has to speak of these vectors. *ret_head is NULL without, else `head`, looked at by head_fits(). */
static enum status head_read(struct dataset *d, uint64_t size, uint8_t *head, const uint8_t **ret_head, struct report *report)
{
	const char *path = bytes_path(d->file);
	if (size < ANN_HEAD_BYTES) return STATUS_OK;
	enum status status = bytes_read_at(d->file, 0, head, ANN_HEAD_BYTES, report);
	if (status != STATUS_OK || load_u32(head) != ANN_HEAD_MAGIC) return status;
	if (load_u16(head + 4) != ANN_HEAD_VERSION || !zeros(head + 28, ANN_HEAD_BYTES - 28))
		return report_set(report, STATUS_UNSUPPORTED, "%s has a head of scikit-plots of version %u; only %d can be read", path,
			load_u16(head + 4), ANN_HEAD_VERSION);
	if (load_u32(head + 24) && load_u32(head + 24) != ann_metric_hash(d->expected->metric))
		return report_set(report, STATUS_BAD_REQUEST, "%s is an index of another metric than %s, as its head says", path,
			metric_name(d->expected->metric));
	d->nodes_at = ANN_HEAD_BYTES;
	*ret_head = head;
	return STATUS_OK;
}

static bool head_fits(const uint8_t *head, const struct ann_layout *l, uint32_t dim)
{
	unsigned element = l->metric == METRIC_HAMMING ? 8 : 4;
	return !head || (head[6] == element && head[7] == l->id_bytes && load_u32(head + 8) == ann_node_bytes(l, dim));
}

static enum status ann_open(struct dataset *d, struct report *report)
{
	uint8_t head_bytes[ANN_HEAD_BYTES];
	const uint8_t *head = NULL;
	const struct ann_layout *found = NULL;
	struct dataset right = {0};
	struct report first = {.status = STATUS_OK};
	uint64_t size;
	if (!d->expected || d->expected->dim < 1 || d->expected->dim > DIM_MAX)
		return report_set(report, STATUS_BAD_REQUEST,
			"%s: a file of Annoy does not say its metric and dimension, so these have to be known: an index they fit, or --metric and --dim",
			bytes_path(d->file));
	if (!bytes_size(d->file, &size))
		return report_set(report, STATUS_UNSUPPORTED,
			"%s is compressed or no regular file: a file of Annoy is read from its end, so name the unpacked file", bytes_path(d->file));
	enum status opened = head_read(d, size, head_bytes, &head, report);
	if (opened != STATUS_OK) return opened;
	d->dim = d->expected->dim;
	d->dtype = d->expected->metric == METRIC_HAMMING ? DTYPE_U8 : DTYPE_F32;
	for (const struct ann_layout *l = ann_layouts; l->versions; l++) {
		struct report why = {.status = STATUS_OK};
		uint64_t bytes = size - d->nodes_at;
		if (l->metric != d->expected->metric || bytes == 0 || bytes % ann_node_bytes(l, d->dim) != 0 || !head_fits(head, l, d->dim)) continue;
		d->layout = l;
		d->nodes = bytes / ann_node_bytes(l, d->dim);
		enum status status = layout_check(d, &why);
		if (status == STATUS_OK && head && load_u64(head + 16) != d->slots)
			status = bad_node(d, d->nodes - 1, "counts other items than the file's head", &why);
		if (status == STATUS_NO_MEMORY || status == STATUS_IO) return report_set(report, status, "%s", report_text(&why));
		if (status != STATUS_OK && first.status == STATUS_OK) first = why;
		if (status == STATUS_OK && found)
			return report_set(report, STATUS_UNSUPPORTED, "%s can be read as a file of %s and of %s: which one is not told by it",
				bytes_path(d->file), found->versions, l->versions);
		if (status != STATUS_OK) continue;
		found = l;
		right = *d;
	}
	if (!found && first.status == STATUS_OK) return no_layout(d, size, report);
	if (!found) return report_set(report, first.status, "%s", report_text(&first));
	d->layout = found;
	d->nodes = right.nodes;
	d->slots = right.slots;
	d->rows = right.rows;
	d->trees = right.trees;
	return STATUS_OK;
}

static void item_take(const struct dataset *d, const uint8_t *node, uint8_t *out)
{
	const uint8_t *v = node + d->layout->vector;
	if (d->dtype == DTYPE_F32) {
		memcpy(out, v, (size_t)d->dim * sizeof(float));
		return;
	}
	for (uint32_t e = 0; e < d->dim; e++) out[e] = v[e / 8] >> (e % 8) & 1;
}

static enum status ann_read(struct dataset *d, uint32_t max_rows, void *out, uint32_t *ret_n, struct report *report)
{
	size_t node = ann_node_bytes(d->layout, d->dim), row = dtype_row_bytes(d->dtype, d->dim);
	uint32_t rows = 0;
	buf_reset(&d->numbers);
	while (rows < max_rows && d->node < d->slots) {
		const uint8_t *bytes;
		uint64_t n = window_nodes(d, d->node, d->slots);
		if (n > max_rows - rows) n = max_rows - rows;
		enum status status = nodes_load(d, d->node, n, &bytes, report);
		if (status != STATUS_OK) return status;
		for (uint64_t i = 0; i < n; i++, d->node++) {
			if (id_at(d->layout, bytes + i * node) == 0) continue;
			item_take(d, bytes + i * node, (uint8_t *)out + rows++ * row);
			if (buf_append(&d->numbers, &d->node, sizeof(d->node)) != STATUS_OK)
				return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
		}
	}
	if (d->read + rows > d->rows || (d->node == d->slots && d->read + rows != d->rows))
		return report_set(report, STATUS_CORRUPT, "%s changed while it was read", bytes_path(d->file));
	*ret_n = rows;
	return STATUS_OK;
}

const struct dataset_format dataset_ann = {"ann", ann_open, ann_read, NULL};
