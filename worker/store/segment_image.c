/* segment_image.c - see segment_image.h. Sections are arrays as they stand in memory, arrays that are packed or measured on the way, rows, or bytes
 * behind a table of where they end; of each any run of bytes can be asked, so that threads fill parts of the file in any order. */
#include "worker/store/segment_image.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/limits.h"

/* ---- what has a size ---- */

typedef struct segment_bytes (*bytes_of_row)(void *arg, uint32_t i);

struct sizing { const struct segment_content *content; bytes_of_row get; uint32_t max; uint64_t *ends; };

enum { PIECE_ROWS = 4096 };

static void size_piece(void *arg, size_t piece)
{
	const struct sizing *s = arg;
	uint32_t n = s->content->n, first = (uint32_t)piece * PIECE_ROWS, end = n - first < PIECE_ROWS ? n : first + PIECE_ROWS;

	for (uint32_t i = first; i < end; i++) {
		s->ends[i + 1] = s->get(s->content->arg, i).size;
		require(s->ends[i + 1] <= s->max);
	}
}

/* NULL if no row has any. */
static enum status ends_new(const struct segment_content *c, bytes_of_row get, uint32_t max, uint64_t **ret)
{
	if (!get) return STATUS_OK;
	struct sizing sizing = {c, get, max, malloc(((size_t)c->n + 1) * sizeof(*sizing.ends))};
	if (!sizing.ends) return STATUS_NO_MEMORY;
	c->runner->run(c->runner, ((size_t)c->n + PIECE_ROWS - 1) / PIECE_ROWS, size_piece, &sizing);
	sizing.ends[0] = 0;
	for (uint32_t i = 0; i < c->n; i++) sizing.ends[i + 1] += sizing.ends[i];
	if (sizing.ends[c->n])
		*ret = sizing.ends;
	else
		free(sizing.ends);
	return STATUS_OK;
}

static uint64_t table_size(const struct segment_content *c) { return ((uint64_t)c->n + 1) * sizeof(uint64_t); }
static uint64_t blobs_size(const struct segment_content *c, const uint64_t *ends) { return ends ? table_size(c) + ends[c->n] : 0; }

static int perm_cmp(const void *a, const void *b, void *ids)
{
	uint64_t x = ((const uint64_t *)ids)[*(const uint32_t *)a], y = ((const uint64_t *)ids)[*(const uint32_t *)b];

	return (x > y) - (x < y);
}

static enum status perm_new(const struct segment_content *c, uint32_t **ret)
{
	uint32_t *perm = malloc(((size_t)c->n + 1) * sizeof(*perm));

	if (!perm) return STATUS_NO_MEMORY;
	for (uint32_t i = 0; i < c->n; i++) perm[i] = c->by_id ? c->by_id[i] : i;
	if (!c->by_id) qsort_r(perm, c->n, sizeof(*perm), perm_cmp, (void *)(uintptr_t)c->ids);
	for (uint32_t i = 1; i < c->n; i++) require(c->ids[perm[i - 1]] < c->ids[perm[i]]);
	*ret = perm;
	return STATUS_OK;
}

static void header_from_content(const struct shard_identity *identity, const struct segment_content *c, struct segment_header *h)
{
	uint64_t lo = UINT64_MAX, hi = 0;

	require((c->n == 0 && c->ann.forest.nodes == 0) || c->ann.forest.n == c->n);
	require(!c->ann.forest.trees || c->ann.forest.renumbered);
	require(c->modulus >= 1 && c->remainder < c->modulus);
	for (uint64_t i = 1; i < c->tombstone_count; i++) require(c->tombstones[i - 1].id < c->tombstones[i].id);
	for (uint64_t i = 0; i < (uint64_t)c->n + c->tombstone_count; i++) {
		uint64_t sequence = i < c->n ? c->sequences[i] : c->tombstones[i - c->n].sequence;
		if (sequence < lo) lo = sequence;
		if (sequence > hi) hi = sequence;
	}
	*h = (struct segment_header){
		.shard = identity->shard,
		.number = c->number,
		.epoch = c->epoch,
		.metric = (uint32_t)identity->metric,
		.dtype = (uint32_t)metric_dtype(identity->metric),
		.dim = identity->dim,
		.n = c->n,
		.trees = c->n ? c->ann.forest.trees : 0,
		.nodes = c->ann.forest.nodes,
		.dirs = c->ann.forest.dirs,
		.dir_size = c->ann.forest.dir_size,
		.stride = (uint32_t)rows_stride(identity->metric, identity->dim),
		.dot_max_norm2 = c->ann.forest.dot_max_norm2,
		.seed = c->seed,
		.first_sequence = lo == UINT64_MAX ? 0 : lo,
		.last_sequence = hi,
		.modulus = c->modulus,
		.remainder = c->remainder,
		.tombstones = c->tombstone_count,
		.quant = c->ann.forest.quant,
		.edges = c->ann.graph.edges,
		.efforts = c->ann.tune.count,
		.codes = !c->n || !c->ann.codes.base ? CODES_NONE : c->ann.forest.quant.shift ? CODES_SHIFTED : CODES_PLAIN,
	};
}

enum status segment_image_init(struct segment_image *image, const struct shard_identity *identity, const struct segment_content *content)
{
	struct segment_header *h = &image->header;

	*image = (struct segment_image){.content = content};
	header_from_content(identity, content, h);
	enum status status = ends_new(content, content->payload, PAYLOAD_MAX, &image->payload_ends);
	if (status == STATUS_OK) status = ends_new(content, content->key, KEY_MAX, &image->key_ends);
	if (status == STATUS_OK) status = perm_new(content, &image->by_id);
	h->place[SECTION_PAYLOAD].size = blobs_size(content, image->payload_ends);
	h->place[SECTION_KEYS].size = blobs_size(content, image->key_ends);
	if (status == STATUS_OK && !segment_layout(h)) status = STATUS_LIMIT;
	if (status != STATUS_OK) segment_image_release(image);
	return status;
}

void segment_image_release(struct segment_image *image)
{
	free(image->by_id);
	free(image->payload_ends);
	free(image->key_ends);
	*image = (struct segment_image){0};
}

/* ---- filling ---- */

/* A run of bytes that is filled from its front. */
struct run { uint8_t *to; uint64_t from; size_t n; };

/* What of the `size` bytes at `bytes`, which stand at `at` in the section, falls into the run. All before them is there. */
static void put(struct run *r, uint64_t at, const void *bytes, uint64_t size)
{
	if (r->n == 0 || at + size <= r->from) return;
	uint64_t skip = r->from - at, count = size - skip < r->n ? size - skip : r->n;
	memcpy(r->to, (const uint8_t *)bytes + skip, count);
	*r = (struct run){r->to + count, r->from + count, r->n - count};
}

static void fill_sequences(const struct segment_image *image, struct run *r)
{
	const struct segment_header *h = &image->header;
	uint32_t width = packed_width(h->last_sequence - h->first_sequence);

	for (uint64_t i = r->from / width; r->n > 0 && i < h->n; i++) {
		uint64_t number = image->content->sequences[i] - h->first_sequence;
		put(r, i * width, &number, width);
	}
}

static void fill_by_id(const struct segment_image *image, struct run *r)
{
	uint32_t n = image->header.n, width = packed_row_width(n);

	for (uint64_t i = r->from / width; r->n > 0 && i < n; i++) put(r, i * width, &image->by_id[i], width);
}

static void fill_norms(const struct segment_image *image, struct run *r)
{
	const struct segment_header *h = &image->header;
	const struct segment_content *c = image->content;

	for (uint64_t i = r->from / sizeof(float); r->n > 0 && i < h->n; i++) {
		float norm2 = vec_norm2((enum metric)h->metric, c->row(c->arg, (uint32_t)i), h->dim);
		put(r, i * sizeof(norm2), &norm2, sizeof(norm2));
	}
}

static void fill_rows(const struct segment_image *image, struct run *r)
{
	static const uint8_t zeros[64];
	const struct segment_header *h = &image->header;
	const struct segment_content *c = image->content;
	uint64_t row_bytes = dtype_row_bytes((enum dtype)h->dtype, h->dim);

	require(h->stride - row_bytes <= sizeof(zeros));
	for (uint64_t i = r->from / h->stride; r->n > 0 && i < h->n; i++) {
		put(r, i * h->stride, c->row(c->arg, (uint32_t)i), row_bytes);
		put(r, i * h->stride + row_bytes, zeros, h->stride - row_bytes);
	}
}

/* The row that has byte `at` of all rows' bytes, if any has. */
static uint32_t row_at(const uint64_t *ends, uint32_t n, uint64_t at)
{
	uint32_t low = 0, high = n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (ends[middle + 1] <= at) low = middle + 1;
		else high = middle;
	}
	return low;
}

static void fill_blobs(const struct segment_image *image, const uint64_t *ends, bytes_of_row get, struct run *r)
{
	const struct segment_content *c = image->content;
	uint64_t table = table_size(c);

	put(r, 0, ends, table);
	for (uint32_t i = row_at(ends, c->n, r->from - table); r->n > 0 && i < c->n; i++)
		put(r, table + ends[i], get(c->arg, i).bytes, ends[i + 1] - ends[i]);
}

/* A section that is in memory as it is in the file; NULL for others. */
static const void *section_bytes(const struct segment_content *c, enum segment_section section)
{
	switch (section) {
	case SECTION_IDS: return c->ids;
	case SECTION_NODES: return c->ann.forest.node;
	case SECTION_DIR_OF: return c->ann.forest.dir_of;
	case SECTION_DIRS: return c->ann.forest.dir;
	case SECTION_ROOTS: return c->ann.forest.roots;
	case SECTION_ORDER: return c->ann.forest.order.bytes;
	case SECTION_CODES: return c->ann.codes.base;
	case SECTION_SHIFTS: return c->ann.forest.quant.shift;
	case SECTION_GRAPH: return c->ann.graph.first;
	case SECTION_EDGES: return c->ann.graph.to.bytes;
	case SECTION_EFFORTS: return c->ann.tune.efforts;
	case SECTION_TOMBSTONES: return c->tombstones;
	default: return NULL;
	}
}

void segment_image_fill(const struct segment_image *image, enum segment_section section, uint64_t from, size_t n, uint8_t *ret)
{
	uint64_t size = image->header.place[section].size;
	struct run run = {ret, from, n};

	if (from < size) {
		if (run.n > size - from) run.n = (size_t)(size - from);
		switch (section) {
		case SECTION_SEQS: fill_sequences(image, &run); break;
		case SECTION_PERM: fill_by_id(image, &run); break;
		case SECTION_NORMS: fill_norms(image, &run); break;
		case SECTION_VECS: fill_rows(image, &run); break;
		case SECTION_PAYLOAD: fill_blobs(image, image->payload_ends, image->content->payload, &run); break;
		case SECTION_KEYS: fill_blobs(image, image->key_ends, image->content->key, &run); break;
		default: put(&run, 0, section_bytes(image->content, section), size); break;
		}
	}
	/* The spare bytes behind packed numbers, and what is left up to the next boundary. */
	memset(run.to, 0, n - (size_t)(run.to - ret));
}
