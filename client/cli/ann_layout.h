/* ann_layout.h - the files of Annoy, "file.ann": what stands where in a node.
 *
 * A file is an array of nodes of one size and nothing else: it names no metric, dimension or version. Little-endian.
 *   item     node i < n_items: `descendants` 1, or 0 for an id that was never added (all zero then, but for what dot has before the vector); the vector as it was given
 *   bucket   descendants <= capacity: that many ids from `children` on, over the vector's place
 *   split    descendants > capacity: two children, node numbers, and the vector is the normal of a plane
 *   root     descendants == n_items, whatever it has really. If it is a bucket, only as many of its ids count as there are items: the
 *            rest are zeros or what stood there before
 * At the end of the file stands a copy of each root, so n_items is what the last node has, and half of all nodes with as many are
 * copies. Vectors are float32; hamming packs element j into bit j % 64 of the word j / 64.
 *
 * An item has no children; the second is 0, and in the place of the first many versions have |v|^2, also of metrics that do not need it.
 *
 * Before the nodes newer files of scikit-plots have a head of 64 bytes: 0 magic u32 | 4 version u16, 1 | 6 bytes of an element u8 | 7 bytes of an
 * id u8 | 8 bytes of a node u32 | 12 dimension (hamming: words) u32 | 16 n_items u64 | 24 FNV-1a of the metric's name u32, or 0 | zeros.
 *
 * What differs is the node's head: it changed twice in Annoy's history, and scikit-plots' edition has ids of 64 bits. */
#ifndef CLIENT_CLI_ANN_LAYOUT_H
#define CLIENT_CLI_ANN_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "common/vec.h"

struct ann_layout {
	enum metric metric;
	const char *versions; /* as sentences name it */
	uint8_t id_bytes;     /* of `descendants` (at 0), of children and of ids: 4 or 8 */
	uint8_t children, vector; /* where they begin */
	uint8_t norm;         /* where float32 |v|^2 of an item is (0 in files before 1.12); 0: nowhere */
	uint8_t factor;       /* where dot's float32 sqrt(max |v|^2 - |v|^2) is; 0: nowhere */
	uint8_t built;        /* where a byte of 0 or 1 is; 0: nowhere */
};
enum { ANN_HEAD_BYTES = 64, ANN_HEAD_MAGIC = 0x414E4958, ANN_HEAD_VERSION = 1 };
enum { ANN_OFFSET_AT = 4 }; /* of a split of euclidean and manhattan, in what is written: float32, how far the plane is from zero */
extern const struct ann_layout ann_layouts[]; /* ended by versions NULL; of each metric first what ann_layout_written() gives */

/* That of Annoy 1.17.3, the release that is installed: what is written. */
const struct ann_layout *ann_layout_written(enum metric metric);

static inline size_t ann_vector_bytes(const struct ann_layout *l, uint32_t dim)
{
	return l->metric == METRIC_HAMMING ? ((size_t)dim + 63) / 64 * 8 : (size_t)dim * sizeof(float);
}
static inline size_t ann_node_bytes(const struct ann_layout *l, uint32_t dim)
{
	return l->vector + ann_vector_bytes(l, dim);
}
static inline uint32_t ann_metric_hash(enum metric metric)
{
	uint32_t hash = 2166136261U;
	for (const char *at = metric_name(metric); *at; at++) hash = (hash ^ (uint8_t)*at) * 16777619U;
	return hash;
}
/* The most ids that a bucket holds. */
static inline uint64_t ann_capacity(const struct ann_layout *l, uint32_t dim)
{
	return (ann_node_bytes(l, dim) - l->children) / l->id_bytes;
}

#endif
