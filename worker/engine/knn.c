/* knn.c - all pairs of each group, in tiles that stay in cache: the distances of a row to the rows of a tile are scanned at once against the worst
 * neighbours so far, and the few pairs that pass, and whose rows share a group for the first time, wait in a small reservoir of each row, which is
 * cut to its nearest when full. At the end of the group the reservoir is sorted and merged into the row's list. Inserting each pair into a
 * sorted list took two thirds of the build instead; pairs that were met before are three of four that pass, from the third tree on. */
#include "worker/engine/knn.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cursor.h"

enum { TILE = 32, RESERVOIR = 96, PIECE_GROUPS = 16, PIECE_ROWS = 8192, PREFETCH_AHEAD = 6 };
_Static_assert(KNN_GROUP_MAX % TILE == 0, "a tile is read to its end");

struct group { uint32_t first, count; };

struct knn {
	const struct codes *codes;
	const struct forest_view *forest;
	const struct pulse *pulse;
	_Atomic uint64_t *progress;
	knn_key *lists;
	uint32_t *homes; /* [n x KNN_TREES_MAX] the group of each row in the trees so far; in others a number of the row's own */
	uint8_t *counts;
	struct group *groups; /* of the tree at hand */
	uint32_t group_count, group_room, tree;
	_Atomic uint64_t fresh; /* neighbours among the nearest KNN_NEAREST of their rows that no tree before found */
	_Atomic bool cancelled, no_memory;
};

/* One thread's memory for one group. */
struct work {
	uint32_t rows[KNN_GROUP_MAX]; /* of the group */
	uint8_t *codes;       /* [KNN_GROUP_MAX x stride] */
	uint8_t *zero;        /* [stride] */
	_Alignas(16) uint32_t homes[KNN_GROUP_MAX][KNN_TREES_MAX]; /* of the rows */
	uint32_t squares[KNN_GROUP_MAX]; /* of the rows' lengths; none for manhattan */
	uint32_t worst[KNN_GROUP_MAX];
	uint16_t waiting[KNN_GROUP_MAX]; /* in the reservoir of each row */
	knn_key *reservoirs;  /* [KNN_GROUP_MAX x RESERVOIR] */
};

/* ---- small sorts ---- */

void knn_sort(knn_key *keys, size_t n)
{
	/* Insertion within runs of 8, then merges would pay above some 64 keys; below that insertion alone is as fast. */
	for (size_t i = 1; i < n; i++) {
		knn_key key = keys[i];
		size_t at = i;
		for (; at > 0 && keys[at - 1] > key; at--) keys[at] = keys[at - 1];
		keys[at] = key;
	}
}

/* Hoare's selection by the median of three. */
static inline knn_key select_least(knn_key *keys, size_t n, size_t keep)
{
	size_t low = 0, high = n - 1, target = keep - 1;

	while (low < high) {
		knn_key a = keys[low], b = keys[(low + high) / 2], c = keys[high];
		knn_key pivot = a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
		size_t i = low, j = high;
		for (;;) {
			while (keys[i] < pivot) i++;
			while (keys[j] > pivot) j--;
			if (i >= j) break;
			knn_key other = keys[i];
			keys[i++] = keys[j];
			keys[j--] = other;
		}
		if (j < i && j < target)
			low = i;
		else if (j < target)
			low = j + 1;
		else
			high = j;
	}
	return keys[target];
}

knn_key knn_select(knn_key *keys, size_t n, size_t keep) { return select_least(keys, n, keep); }

/* ---- a group ---- */

/* Written whether it is near enough or not: which of the two rows it is near enough for nobody foresees, a branch no more than others. */
static inline void offer(struct work *w, uint32_t i, uint32_t apart, uint32_t row)
{
	knn_key *reservoir = w->reservoirs + (size_t)i * RESERVOIR;

	reservoir[w->waiting[i]] = knn_key_of(apart, row);
	w->waiting[i] = (uint16_t)(w->waiting[i] + (apart <= w->worst[i]));
	if (__builtin_expect(w->waiting[i] < RESERVOIR, true)) return;
	uint32_t worst = knn_apart(select_least(reservoir, RESERVOIR, KNN_K));
	if (worst < w->worst[i]) w->worst[i] = worst;
	w->waiting[i] = KNN_K;
}

/* How far row i is from the rows j0 .. j0 + n: from their products, which take fewer steps than differences do. */
static void measure(const struct knn *k, const struct work *w, uint32_t i, uint32_t j0, uint32_t n, uint32_t *ret)
{
	struct codes block = {k->codes->metric, k->codes->stride, w->codes + (size_t)j0 * k->codes->stride};
	const uint8_t *row = w->codes + (size_t)i * block.stride;
	const uint32_t *squares = w->squares + j0;
	uint32_t square = w->squares[i];

	if (block.metric == METRIC_MANHATTAN) {
		quant_apart(&block, row, NULL, n, ret);
		return;
	}
	code_kernels()->dot((const int8_t *)row, block.base, block.stride, NULL, n, (int32_t *)ret);
	for (uint32_t j = 0; j < TILE; j++) ret[j] = square + squares[j] - 2 * ret[j];
}

/* Numbers that are compared at once, by whatever the machine has. */
typedef uint32_t four __attribute__((vector_size(16)));
_Static_assert(KNN_TREES_MAX * sizeof(uint32_t) == 4 * sizeof(four), "met_before() compares all");

/* Whether two rows stood in one group before: most that are near did. */
static inline bool met_before(const struct work *w, uint32_t i, uint32_t j)
{
	const four *a = (const four *)(const void *)w->homes[i], *b = (const four *)(const void *)w->homes[j];
	uint64_t same[2];
	const four any = (four)(a[0] == b[0]) | (four)(a[1] == b[1]) | (four)(a[2] == b[2]) | (four)(a[3] == b[3]);

	memcpy(same, &any, sizeof(same));
	return same[0] | same[1];
}

/* Offer the pairs of row i that are within the worst of either row. Few are: the others are passed over eight at a time. All distances and
 * bounds are below 2^31, and signed ones compare on every machine. */
static void look_along(struct work *w, const uint32_t *rows, uint32_t i, uint32_t j0, uint32_t limit, const uint32_t *apart)
{
	const uint32_t *worst = w->worst + j0;
	int32_t bound = (int32_t)w->worst[i];
	uint8_t within[TILE];

	for (uint32_t j = 0; j < TILE; j++) within[j] = (uint8_t)(((int32_t)apart[j] <= bound) | ((int32_t)apart[j] <= (int32_t)worst[j]));
	for (uint32_t first = 0; first < limit; first += 8) {
		uint64_t some;
		memcpy(&some, within + first, sizeof(some));
		if (limit - first < 8) some &= ((uint64_t)1 << 8 * (limit - first)) - 1;
		for (; some; some &= some - 1) {
			uint32_t j = first + (uint32_t)__builtin_ctzll(some) / 8;
			if (met_before(w, i, j0 + j)) continue;
			offer(w, i, apart[j], rows[j0 + j]);
			offer(w, j0 + j, apart[j], rows[i]);
		}
	}
}

/* Pairs between the rows i0 .. and j0 .. of the group; where the two runs are one, each pair once. */
static void compare_tile(const struct knn *k, struct work *w, const uint32_t *rows, uint32_t count, uint32_t i0, uint32_t j0)
{
	uint32_t ni = count - i0 < TILE ? count - i0 : TILE, nj = count - j0 < TILE ? count - j0 : TILE;
	uint32_t apart[TILE] = {0};

	for (uint32_t i = 0; i < ni; i++) {
		uint32_t limit = i0 == j0 ? i : nj;
		if (limit == 0) continue;
		measure(k, w, i0 + i, j0, limit, apart);
		look_along(w, rows, i0 + i, j0, limit, apart);
	}
}

/* The nearest of the list and the reservoir, each neighbour once. Returns how many of the KNN_NEAREST are new. */
static uint32_t merge_row(struct knn *k, uint32_t row, knn_key *waiting, uint32_t n)
{
	knn_key *list = k->lists + (size_t)row * KNN_K, merged[KNN_K];
	uint32_t have = k->counts[row], a = 0, b = 0, count = 0, fresh = 0;

	if (n > KNN_K) {
		(void)select_least(waiting, n, KNN_K);
		n = KNN_K;
	}
	knn_sort(waiting, n);
	while (count < KNN_K && (a < have || b < n)) {
		knn_key x = a < have ? list[a] : UINT64_MAX, y = b < n ? waiting[b] : UINT64_MAX;
		fresh += count < KNN_NEAREST && y < x;
		merged[count++] = x < y ? x : y;
		a += x <= y;
		b += y <= x;
	}
	memcpy(list, merged, count * sizeof(*list));
	k->counts[row] = (uint8_t)count;
	return fresh;
}

static bool work_init(struct work *w, uint32_t stride)
{
	*w = (struct work){0};
	w->codes = aligned_alloc(CODE_ALIGN, (size_t)KNN_GROUP_MAX * stride);
	w->zero = aligned_alloc(CODE_ALIGN, stride);
	w->reservoirs = malloc((size_t)KNN_GROUP_MAX * RESERVOIR * sizeof(*w->reservoirs));
	if (w->zero) memset(w->zero, 0, stride);
	return w->codes && w->zero && w->reservoirs;
}

static void work_release(struct work *w)
{
	free(w->codes);
	free(w->zero);
	free(w->reservoirs);
}

/* What the first pass over a group reads of a row. */
static inline __attribute__((always_inline)) void prefetch_row(const struct knn *k, uint32_t row)
{
	for (size_t at = 0; at < k->codes->stride && at < 256; at += 64) __builtin_prefetch(k->codes->base + (size_t)row * k->codes->stride + at);
	__builtin_prefetch(k->lists + (size_t)row * KNN_K + KNN_K - 1);
	__builtin_prefetch(k->homes + (size_t)row * KNN_TREES_MAX);
	__builtin_prefetch(k->homes + (size_t)row * KNN_TREES_MAX + KNN_TREES_MAX - 1);
}

static inline __attribute__((always_inline)) void prefetch_list(const struct knn *k, uint32_t row)
{
	for (size_t at = 0; at < KNN_K; at += 8) __builtin_prefetch(k->lists + (size_t)row * KNN_K + at, 1);
}

/* In the order of rows, which is that of tree 0: those that lie side by side in memory are near each other too. */
static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static void compare_group(struct knn *k, struct work *w, struct group g, uint32_t number)
{
	size_t stride = k->codes->stride;
	uint32_t *rows = w->rows, fresh = 0;

	for (uint32_t i = 0; i < g.count; i++) rows[i] = forest_row(k->forest, k->tree, g.first + i);
	qsort(rows, g.count, sizeof(*rows), by_number);
	for (uint32_t i = 0; i < g.count; i++) {
		const knn_key *list = k->lists + (size_t)rows[i] * KNN_K;
		if (i + PREFETCH_AHEAD < g.count) prefetch_row(k, rows[i + PREFETCH_AHEAD]);
		memcpy(w->codes + i * stride, k->codes->base + rows[i] * stride, stride);
		w->worst[i] = k->counts[rows[i]] == KNN_K ? knn_apart(list[KNN_K - 1]) : INT32_MAX;
		w->waiting[i] = 0;
		memcpy(w->homes[i], k->homes + (size_t)rows[i] * KNN_TREES_MAX, sizeof(w->homes[i]));
		k->homes[(size_t)rows[i] * KNN_TREES_MAX + k->tree] = number;
	}
	const struct codes block = {k->codes->metric, k->codes->stride, w->codes};
	if (block.metric != METRIC_MANHATTAN) quant_apart(&block, w->zero, NULL, g.count, w->squares);
	/* Rows that stand side by side are near: with those first, fewer of the others are near enough. */
	for (uint32_t off = 0; off < g.count; off += TILE)
		for (uint32_t j0 = 0; j0 + off < g.count; j0 += TILE) compare_tile(k, w, rows, g.count, j0 + off, j0);
	for (uint32_t i = 0; i < g.count; i++) {
		if (i + PREFETCH_AHEAD < g.count && w->waiting[i + PREFETCH_AHEAD]) prefetch_list(k, rows[i + PREFETCH_AHEAD]);
		if (w->waiting[i] == 0) continue;
		fresh += merge_row(k, rows[i], w->reservoirs + (size_t)i * RESERVOIR, w->waiting[i]);
	}
	atomic_fetch_add_explicit(&k->fresh, fresh, memory_order_relaxed);
	if (k->progress) atomic_fetch_add_explicit(k->progress, g.count, memory_order_relaxed);
}

static void groups_piece(void *arg, size_t number)
{
	struct knn *k = arg;
	uint32_t first = (uint32_t)number * PIECE_GROUPS;
	uint32_t end = k->group_count - first < PIECE_GROUPS ? k->group_count : first + PIECE_GROUPS;
	struct work w = {0};

	if (!work_init(&w, k->codes->stride)) atomic_store(&k->no_memory, true);
	for (uint32_t i = first; i < end && !atomic_load(&k->no_memory) && !atomic_load(&k->cancelled); i++) {
		if (pulse_stop(k->pulse))
			atomic_store(&k->cancelled, true);
		else
			compare_group(k, &w, k->groups[i], i);
	}
	work_release(&w);
}

/* ---- the groups of a tree ---- */

/* Rows below a node, and the first place of them: those of its leaves, which stand side by side. As deep as the tree. */
static struct group extent(const struct forest_view *f, uint32_t node)
{
	const struct forest_node *n = &f->node[node];

	if (n->count) return (struct group){n->at, n->count};
	struct group left = extent(f, node + 1), right = extent(f, n->at);
	return (struct group){left.first < right.first ? left.first : right.first, left.count + right.count};
}

static enum status add_group(struct knn *k, struct group g)
{
	if (k->group_count == k->group_room) {
		uint32_t room = k->group_room ? 2 * k->group_room : 64;
		void *groups = realloc(k->groups, room * sizeof(*k->groups));
		if (!groups) return STATUS_NO_MEMORY;
		k->groups = groups;
		k->group_room = room;
	}
	k->groups[k->group_count++] = g;
	return STATUS_OK;
}

/* The highest nodes below `node` that are small enough. */
static enum status find_groups(struct knn *k, uint32_t node, struct group e)
{
	const struct forest_node *n = &k->forest->node[node];

	if (e.count <= KNN_GROUP_MAX) return add_group(k, e);
	require(!n->count);
	enum status status = find_groups(k, node + 1, extent(k->forest, node + 1));
	return status == STATUS_OK ? find_groups(k, n->at, extent(k->forest, n->at)) : status;
}

static void homes_piece(void *arg, size_t number)
{
	const struct knn *k = arg;
	uint32_t first = (uint32_t)number * PIECE_ROWS, end = k->forest->n - first < PIECE_ROWS ? k->forest->n : first + PIECE_ROWS;

	for (uint32_t r = first; r < end; r++)
		for (uint32_t t = 0; t < KNN_TREES_MAX; t++) k->homes[(size_t)r * KNN_TREES_MAX + t] = ~r;
}

enum status knn_build(const struct codes *codes, const struct forest_view *f, uint32_t trees, uint32_t settled, struct runner *runner,
	_Atomic uint64_t *progress, const struct pulse *pulse, knn_key *lists, uint8_t *counts)
{
	struct knn k = {.codes = codes, .forest = f, .pulse = pulse, .progress = progress, .lists = lists, .counts = counts};
	enum status status = STATUS_OK;

	require(trees <= KNN_TREES_MAX);
	memset(counts, 0, f->n);
	k.homes = aligned_alloc(KNN_TREES_MAX * sizeof(*k.homes), (size_t)f->n * KNN_TREES_MAX * sizeof(*k.homes)); /* a line of the cache each */
	if (!k.homes) return STATUS_NO_MEMORY;
	runner->run(runner, ((size_t)f->n + PIECE_ROWS - 1) / PIECE_ROWS, homes_piece, &k);
	for (k.tree = 0; k.tree < trees && status == STATUS_OK; k.tree++) {
		k.group_count = 0;
		atomic_store(&k.fresh, 0);
		status = find_groups(&k, f->roots[k.tree], extent(f, f->roots[k.tree]));
		if (status != STATUS_OK) break;
		runner->run(runner, (k.group_count + PIECE_GROUPS - 1) / PIECE_GROUPS, groups_piece, &k);
		if (atomic_load(&k.no_memory)) status = STATUS_NO_MEMORY;
		if (atomic_load(&k.cancelled)) status = STATUS_CANCELLED;
		if (status != STATUS_OK || atomic_load(&k.fresh) * settled >= (uint64_t)f->n * KNN_NEAREST || settled == 0) continue;
		if (progress) atomic_fetch_add_explicit(progress, (uint64_t)f->n * (trees - k.tree - 1), memory_order_relaxed);
		break;
	}
	free(k.groups);
	free(k.homes);
	return status;
}
