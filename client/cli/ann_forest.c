/* ann_forest.c - Annoy's _make_tree(), without recursion: a stack of the nodes between the root and where we are.
 *
 * A node is written after its children, the smaller child first. Sides are tried with up to three planes until one has less than 95 % of the
 * items on either; where even the last has more than 99 % (items that are all alike), chance divides them. Differences to Annoy: the random
 * numbers, and the order of items within a bucket. */
#include "client/cli/ann_forest.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/cursor.h"

enum { PLANES_TRIED = 3 };
#define BALANCED 0.95
#define LOPSIDED 0.99

struct level {
	uint32_t first, count; /* of the ids */
	uint32_t left;         /* so many of them are on side 0 */
	uint8_t visited;       /* children */
	uint32_t children[2];
};

struct build {
	const struct ann_forest *f;
	struct ann_splitter *splitter;
	size_t node_bytes;
	uint64_t capacity;
	uint32_t nodes;    /* in the file so far */
	struct buf levels; /* struct level */
	struct buf planes; /* a node for each level */
	uint8_t *sides;    /* of the ids under way */
	uint8_t *bucket;   /* a node */
	enum status status;
};

static enum status node_write(struct build *b, const uint8_t *node)
{
	if (b->nodes >= b->f->nodes_max) return STATUS_LIMIT;
	fwrite(node, 1, b->node_bytes, b->f->file);
	b->nodes++;
	return ferror(b->f->file) ? STATUS_IO : STATUS_OK;
}

static uint32_t sides_draw(struct build *b, const uint8_t *plane, const uint32_t *ids, uint32_t n)
{
	uint32_t right = 0;
	for (uint32_t i = 0; i < n; i++) {
		b->sides[i] = plane ? ann_split_side(b->splitter, plane, ids[i]) : ann_split_flip(b->splitter);
		right += b->sides[i];
	}
	return right;
}

static double imbalance(uint32_t right, uint32_t n)
{
	double share = (double)right / n;
	return share > 0.5 ? share : 1 - share;
}

/* A plane for ids[0 .. n), which are put in order of their sides. Returns how many are on side 0. */
static uint32_t split(struct build *b, uint32_t *ids, uint32_t n, uint8_t *plane)
{
	uint32_t right = 0;
	for (int tried = 0; tried < PLANES_TRIED; tried++) {
		ann_split_make(b->splitter, ids, n, plane);
		right = sides_draw(b, plane, ids, n);
		if (imbalance(right, n) < BALANCED) break;
	}
	while (imbalance(right, n) > LOPSIDED) {
		ann_split_none(b->splitter, plane);
		right = sides_draw(b, NULL, ids, n);
	}
	for (uint32_t low = 0, high = n - 1; low < n - right; low++) {
		if (!b->sides[low]) continue;
		while (b->sides[high]) high--;
		uint32_t id = ids[low];
		ids[low] = ids[high];
		ids[high] = id;
		b->sides[high] = 1;
		b->sides[low] = 0;
	}
	return n - right;
}

static enum status bucket_write(struct build *b, const struct level *l, bool root)
{
	const struct ann_layout *layout = b->f->items.layout;
	memset(b->bucket, 0, b->node_bytes);
	store_u32(b->bucket, root ? b->f->rows : l->count);
	memcpy(b->bucket + layout->children, b->f->ids + l->first, l->count * sizeof(uint32_t));
	return node_write(b, b->bucket);
}

static enum status level_push(struct build *b, uint32_t first, uint32_t count)
{
	struct level level = {.first = first, .count = count};
	uint8_t *plane;
	enum status status = buf_append(&b->levels, &level, sizeof(level));
	return status == STATUS_OK ? buf_extend(&b->planes, b->node_bytes, &plane) : status;
}

static void level_pop(struct build *b)
{
	b->levels.size -= sizeof(struct level);
	b->planes.size -= b->node_bytes;
}

/* One step of the topmost level: a bucket or a split; then its children one after the other; then the node. *result is the last node that was
 * finished. */
static enum status step(struct build *b, uint32_t *result)
{
	struct level *l = (struct level *)(void *)(b->levels.bytes + b->levels.size) - 1;
	uint8_t *plane = b->planes.bytes + b->planes.size - b->node_bytes;
	const struct ann_layout *layout = b->f->items.layout;
	bool root = b->levels.size == sizeof(*l);
	enum status status = STATUS_OK;
	if (l->visited == 0) {
		if (l->count == 1 && !root) {
			*result = b->f->ids[l->first];
			level_pop(b);
			return STATUS_OK;
		}
		if (l->count <= b->capacity && (!root || b->f->rows <= b->capacity || l->count == 1)) {
			status = bucket_write(b, l, root);
			*result = b->nodes - 1;
			level_pop(b);
			return status;
		}
		l->left = split(b, b->f->ids + l->first, l->count, plane);
	}
	uint32_t smaller = l->left > l->count - l->left; /* the side to begin with */
	if (l->visited) l->children[smaller ^ (l->visited - 1U)] = *result;
	if (l->visited < 2) {
		uint32_t side = smaller ^ l->visited++;
		return level_push(b, side ? l->first + l->left : l->first, side ? l->count - l->left : l->left);
	}
	store_u32(plane, root ? b->f->rows : l->count);
	memcpy(plane + layout->children, l->children, sizeof(l->children));
	status = node_write(b, plane);
	*result = b->nodes - 1;
	level_pop(b);
	return status;
}

static enum status root_copy(struct build *b, uint32_t root)
{
	if (fflush(b->f->file) != 0) return STATUS_IO;
	if (pread(fileno(b->f->file), b->bucket, b->node_bytes, (off_t)root * (off_t)b->node_bytes) != (ssize_t)b->node_bytes) return STATUS_IO;
	return node_write(b, b->bucket);
}

static enum status forest_write(struct build *b, uint32_t *roots)
{
	enum status status = STATUS_OK;
	for (uint32_t t = 0; t < b->f->trees && status == STATUS_OK; t++) {
		status = level_push(b, 0, b->f->count);
		while (status == STATUS_OK && b->levels.size) status = step(b, &roots[t]);
	}
	for (uint32_t t = 0; t < b->f->trees && status == STATUS_OK; t++) status = root_copy(b, roots[t]);
	return status;
}

enum status ann_forest_write(const struct ann_forest *f)
{
	struct build b = {.f = f,
		.nodes = f->rows,
		.node_bytes = ann_node_bytes(f->items.layout, f->items.dim),
		.capacity = ann_capacity(f->items.layout, f->items.dim)};
	uint32_t *roots = calloc(f->trees, sizeof(*roots));
	enum status status = STATUS_NO_MEMORY;
	buf_init(&b.levels, 0);
	buf_init(&b.planes, 0);
	b.sides = malloc(f->count);
	b.bucket = malloc(b.node_bytes);
	if (roots && b.sides && b.bucket) status = ann_splitter_new(&f->items, f->seed, &b.splitter);
	if (status == STATUS_OK) status = forest_write(&b, roots);
	ann_splitter_free(&b.splitter);
	buf_release(&b.levels);
	buf_release(&b.planes);
	free(b.sides);
	free(b.bucket);
	free(roots);
	return status;
}
