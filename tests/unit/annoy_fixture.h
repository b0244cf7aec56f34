/* annoy_fixture.h - index files as Annoy writes them, in any layout (client/cli/ann_layout.h), with planes drawn by chance. */
#ifndef TESTS_UNIT_ANNOY_FIXTURE_H
#define TESTS_UNIT_ANNOY_FIXTURE_H

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/ann_layout.h"
#include "common/cursor.h"
#include "common/prng.h"

struct annoy_file {
	const struct ann_layout *layout;
	uint32_t dim;
	uint64_t items, nodes; /* items: gaps too */
	size_t node;           /* bytes of one */
	uint8_t *bytes;
	struct prng prng;
};

static inline uint8_t *annoy_node(const struct annoy_file *f, uint64_t i)
{
	return f->bytes + i * f->node;
}
static inline void annoy_id(const struct annoy_file *f, uint8_t *at, uint64_t id)
{
	if (f->layout->id_bytes == 8) store_u64(at, id);
	else store_u32(at, (uint32_t)id);
}
static inline uint64_t annoy_new_node(struct annoy_file *f)
{
	f->bytes = realloc(f->bytes, (f->nodes + 1) * f->node);
	assert(f->bytes);
	memset(annoy_node(f, f->nodes), 0, f->node);
	return f->nodes++;
}

static inline void annoy_item(struct annoy_file *f, uint64_t i)
{
	const struct ann_layout *l = f->layout;
	uint8_t *node = annoy_node(f, i);
	float norm2 = 0;
	annoy_id(f, node, 1);
	for (uint32_t e = 0; e < f->dim; e++) {
		float v = (float)(prng_unit(&f->prng) * 2 - 1);
		if (l->metric == METRIC_HAMMING) node[l->vector + e / 8] |= (uint8_t)((v > 0) << (e % 8));
		else store_f32(node + l->vector + 4 * (size_t)e, v);
		norm2 += v * v;
	}
	if (l->norm) store_f32(node + l->norm, norm2);
	if (l->factor) store_f32(node + l->factor, sqrtf((float)f->dim - norm2));
	if (l->built) node[l->built] = 1;
}

/* _make_tree(): children before their parent; `ids` is reordered. */
static inline uint64_t annoy_tree(struct annoy_file *f, uint64_t *ids, uint64_t n, bool root)
{
	const struct ann_layout *l = f->layout;
	uint64_t capacity = ann_capacity(l, f->dim), left = 0;
	if (n == 1 && !root) return ids[0];
	if (n <= capacity && (!root || f->items <= capacity || n == 1)) {
		uint64_t at = annoy_new_node(f);
		annoy_id(f, annoy_node(f, at), root ? f->items : n);
		for (uint64_t i = 0; i < n; i++) annoy_id(f, annoy_node(f, at) + l->children + i * l->id_bytes, ids[i]);
		return at;
	}
	while (left == 0 || left == n) {
		left = 0;
		for (uint64_t i = 0; i < n; i++) {
			if (prng_u64(&f->prng) >> 63) continue;
			uint64_t id = ids[i];
			ids[i] = ids[left];
			ids[left++] = id;
		}
	}
	uint64_t children[2] = {annoy_tree(f, ids, left, false), annoy_tree(f, ids + left, n - left, false)};
	uint64_t at = annoy_new_node(f);
	uint8_t *node = annoy_node(f, at);
	for (uint32_t e = 0; l->metric != METRIC_HAMMING && e < f->dim; e++)
		store_f32(node + l->vector + 4 * (size_t)e, (float)(prng_unit(&f->prng) * 2 - 1));
	annoy_id(f, node, root ? f->items : n);
	for (int c = 0; c < 2; c++) annoy_id(f, node + l->children + c * l->id_bytes, children[c]);
	return at;
}

/* Of `items` ids one in `gap_of` is a gap, but never the last; gap_of 0: none. free(f->bytes) is the caller's. */
static inline void annoy_file_make(
	struct annoy_file *f, const struct ann_layout *l, uint32_t dim, uint64_t items, uint32_t gap_of, uint32_t trees, uint64_t seed)
{
	uint64_t ids[1024], roots[16], n = 0;
	assert(items <= 1024 && trees <= 16);
	*f = (struct annoy_file){.layout = l, .dim = dim, .items = items, .node = ann_node_bytes(l, dim)};
	prng_seed(&f->prng, seed);
	for (uint64_t i = 0; i < items; i++) {
		annoy_new_node(f);
		if (gap_of && i + 1 < items && prng_below(&f->prng, gap_of) == 0) {
			if (l->factor) store_f32(annoy_node(f, i) + l->factor, sqrtf((float)dim)); /* dot's build() looks at gaps, too */
			if (l->built) annoy_node(f, i)[l->built] = 1;
			continue;
		}
		annoy_item(f, i);
		ids[n++] = i;
	}
	for (uint32_t t = 0; t < trees; t++) roots[t] = annoy_tree(f, ids, n, true);
	for (uint32_t t = 0; t < trees; t++) {
		uint64_t copy = annoy_new_node(f);
		memcpy(annoy_node(f, copy), annoy_node(f, roots[t]), f->node);
	}
}

#endif
