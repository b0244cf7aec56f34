/* forest_search.c - best-first over all trees. One heap of (priority, node): the priority of a node is the least margin on
 * the way to it, so the leaves come in the order in which the query would have to move to reach them. A bitmap remembers the
 * rows that were met, so that a row which several trees offer is scored once; only the words that were touched are cleared.
 * Memory is asked ahead: nothing of the order of leaves depends on what is found in them. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/engine/exact.h"
#include "worker/engine/forest.h"
#include "worker/engine/knn.h"
#include "worker/engine/met.h"

/* PULSE_EXACT: rows scored exactly between two questions to the pulse, and so many even after it has said stop. */
enum { PREFETCH_AHEAD = 4, ASK_MOST = 256, PULSE_LEAVES = 16, PULSE_EXACT = 1024 };

struct waiting { float priority; uint32_t node, tree; };

struct forest_scratch {
	struct met met;
	struct waiting *heap;
	size_t heap_count, heap_room;
	float *query;       /* dot: the query at the length of the longest row */
	uint8_t *planes;    /* the coded query as the planes see it */
	size_t query_floats; /* of both */
	/* By codes: the coded query; and of the rows that were scored, by their scores, the `keep` least and at most as many more. None of `limit` or
	 * more is among the least. */
	uint8_t *code;
	size_t code_room;
	knn_key *scored, limit;
	size_t scored_count, keep, scored_room;
};

enum status forest_scratch_new(struct forest_scratch **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? STATUS_OK : STATUS_NO_MEMORY;
}

void forest_scratch_free(struct forest_scratch **scratch)
{
	struct forest_scratch *s = *scratch;

	if (!s) return;
	met_release(&s->met);
	free(s->heap);
	free(s->query);
	free(s->planes);
	free(s->code);
	free(s->scored);
	free(s);
	*scratch = NULL;
}

static enum status prepare(struct forest_scratch *s, const struct forest_view *f)
{
	if (!met_reserve(&s->met, f->n)) return STATUS_NO_MEMORY;
	/* Every node is pushed at most once: this is all that the heap can need, so that the search itself cannot fail. */
	if (f->nodes > s->heap_room) {
		struct waiting *heap = realloc(s->heap, f->nodes * sizeof(*heap));
		if (!heap) return STATUS_NO_MEMORY;
		s->heap = heap;
		s->heap_room = f->nodes;
	}
	if (f->dir_size > s->query_floats) {
		float *query = aligned_alloc(CODE_ALIGN, f->dir_size * sizeof(float));
		uint8_t *planes = aligned_alloc(CODE_ALIGN, f->dir_size);
		if (!query || !planes) {
			free(query);
			free(planes);
			return STATUS_NO_MEMORY;
		}
		free(s->query);
		free(s->planes);
		s->query = query;
		s->planes = planes;
		s->query_floats = f->dir_size;
	}
	s->heap_count = 0;
	return STATUS_OK;
}

static bool comes_first(const struct waiting *a, const struct waiting *b)
{
	return a->priority > b->priority || (a->priority == b->priority && a->node > b->node);
}

static void heap_push(struct forest_scratch *s, struct waiting w)
{
	size_t at = s->heap_count++;

	for (size_t parent; at > 0 && comes_first(&w, &s->heap[parent = (at - 1) / 2]); at = parent) s->heap[at] = s->heap[parent];
	s->heap[at] = w;
}

static struct waiting heap_pop(struct forest_scratch *s)
{
	struct waiting first = s->heap[0], w = s->heap[--s->heap_count];
	size_t at = 0;

	for (size_t child; (child = 2 * at + 1) < s->heap_count; at = child) {
		if (child + 1 < s->heap_count && comes_first(&s->heap[child + 1], &s->heap[child])) child++;
		if (!comes_first(&s->heap[child], &w)) break;
		s->heap[at] = s->heap[child];
	}
	s->heap[at] = w;
	return first;
}

/* The query as a point among those that the planes divide (split.h), coded as the rows are. dot: the further component is 0, so it is left
 * out; the length, which changes no order of rows, is that of the longest row. A query without a direction stays where it is: at 0.
 * hamming: the bits themselves. */
static const uint8_t *plane_query(const struct forest_view *f, const struct rows *rows, const struct query *query, struct forest_scratch *s)
{
	const float *row = query->row;
	float most = 0, norm2, scale;

	if (rows->metric == METRIC_HAMMING) return query->row;
	if (rows->metric != METRIC_DOT) {
		quant_encode(&f->quant, rows->metric, rows->dim, row, query->norm2, s->planes);
		return s->planes;
	}
	/* First by the largest magnitude, so that no square leaves the range of float. */
	for (uint32_t i = 0; i < rows->dim; i++)
		if (fabsf(row[i]) > most) most = fabsf(row[i]);
	for (uint32_t i = 0; i < rows->dim; i++) s->query[i] = most > 0 ? row[i] / most : 0;
	norm2 = vec_kernels()->dot(s->query, s->query, rows->dim);
	scale = f->dot_max_norm2 > 0 && norm2 > 0 ? sqrtf(f->dot_max_norm2) / sqrtf(norm2) : 1;
	for (uint32_t i = 0; i < rows->dim; i++) s->query[i] *= scale;
	quant_encode(&f->quant, rows->metric, rows->dim, s->query, 0, s->planes);
	return s->planes;
}

/* Priorities of the two children of a split for a query that has `least` so far. */
static void child_priorities(const struct forest_view *f, const struct rows *rows, const uint8_t *query, float least, uint32_t node,
	float *ret_left, float *ret_right)
{
	const struct forest_node *split = &f->node[node];
	float margin = 0;

	if (rows->metric == METRIC_HAMMING) {
		uint32_t bit;
		memcpy(&bit, &split->offset, sizeof(bit));
		bool halved = bit == FOREST_NO_BIT, set = !halved && (query[bit / 8] >> bit % 8 & 1);
		*ret_left = halved || !set ? least : least - 1;
		*ret_right = halved || set ? least : least - 1;
		return;
	}
	if (f->dir_of[node] != UINT32_MAX) {
		int32_t product;
		code_kernels()->dot(f->dir + (size_t)f->dir_of[node] * f->dir_size, query, quant_stride(rows->metric, rows->dim), NULL, 1, &product);
		margin = ((float)product + split->offset) * split->unit;
	}
	if (isnan(margin)) margin = 0;
	*ret_left = fminf(least, -margin);
	*ret_right = fminf(least, margin);
}

static inline __attribute__((always_inline)) void ask(const void *from, size_t size)
{
	for (size_t at = 0; at < size && at < ASK_MOST; at += 64) __builtin_prefetch((const uint8_t *)from + at);
}

/* Best-first: the next leaf, from the first of the heap down. Of two children the nearer is gone to at once unless another node comes before it. */
static struct waiting next_leaf(const struct forest_view *f, const struct rows *rows, const uint8_t *query, struct forest_scratch *s)
{
	struct waiting w = heap_pop(s);

	for (const struct forest_node *node; !(node = &f->node[w.node])->count;) {
		struct waiting near = {.node = w.node + 1, .tree = w.tree}, far = {.node = node->at, .tree = w.tree};
		child_priorities(f, rows, query, w.priority, w.node, &near.priority, &far.priority);
		if (comes_first(&far, &near)) {
			w = near;
			near = far;
			far = w;
		}
		ask(&f->node[node->at], sizeof(*node));
		ask(&f->dir_of[node->at], sizeof(*f->dir_of));
		heap_push(s, far);
		w = near;
		if (!comes_first(&s->heap[0], &near)) continue;
		w = heap_pop(s);
		heap_push(s, near);
	}
	/* What is first of the heap now is likely to be the next. */
	if (s->heap_count > 0) {
		uint32_t dir = f->dir_of[s->heap[0].node];
		if (dir != UINT32_MAX) ask(f->dir + (size_t)dir * f->dir_size, f->dir_size);
	}
	return w;
}

/* What a search does with the rows of a leaf that it meets for the first time. */
struct scoring {
	const struct rows *rows;
	const struct query *query;
	const struct codes *codes; /* NULL: exactly, into top */
	struct topk *top;
};

static void offer(const struct rows *rows, const struct query *query, uint32_t row, struct topk *top)
{
	float raw = vec_raw(rows->metric, rows_row(rows, row), rows->norm2 ? rows->norm2[row] : 0, query->row, query->norm2, rows->dim);
	if (topk_admits(top, raw)) topk_push(top, (struct hit){.id = rows->ids[row], .raw = raw});
}

static void score_exactly(const struct scoring *c, const uint32_t *fresh, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) offer(c->rows, c->query, fresh[i], c->top);
}

/* The `keep` least come first, and none as large as the last of them is wanted any more. */
static void keep_least(struct forest_scratch *s)
{
	if (s->scored_count <= s->keep) return;
	s->limit = knn_select(s->scored, s->scored_count, s->keep);
	s->scored_count = s->keep;
}

static void score_by_codes(const struct scoring *c, struct forest_scratch *s, const uint32_t *fresh, uint32_t n)
{
	uint32_t scores[FOREST_LEAF_MAX];
	knn_key *scored = s->scored, limit = s->limit;
	size_t count = s->scored_count;

	quant_score(c->codes, s->code, fresh, n, scores);
	for (uint32_t i = 0; i < n; i++) {
		scored[count] = knn_key_of(scores[i], fresh[i]);
		count += scored[count] < limit;
	}
	s->scored_count = count;
	if (count >= 2 * s->keep) keep_least(s);
}

/* Leaves on their way. What a leaf needs is asked from memory one leaf before its turn: of the last one that was reached, the numbers of its rows; of the one
 * before it, the codes (or rows) of those that are met for the first time. */
struct passing {
	struct forest_leaf reached;
	uint32_t tree;                       /* of it */
	uint32_t fresh[2][FOREST_LEAF_MAX];
	uint32_t count[2];
	unsigned now;                        /* of the two, that which waits to be scored */
};

/* Tell which rows of the leaf that was reached are new, ask for them, and score those of the leaf before. */
static void pass(const struct forest_view *f, const struct scoring *c, struct passing *p, struct forest_scratch *s, struct search_work *work)
{
	unsigned now = p->now, next = 1 - now;
	const struct rows *rows = c->rows;
	uint32_t *fresh = p->fresh[next], n = 0;
	const uint8_t *base = c->codes ? c->codes->base : rows->base;
	size_t stride = c->codes ? c->codes->stride : rows->stride;

	for (uint32_t i = 0; i < p->reached.count; i++) {
		uint32_t row = forest_row(f, p->tree, p->reached.first + i);
		fresh[n] = row;
		n += (uint32_t)first_meeting(&s->met, row) & rows_live(rows, row);
	}
	for (uint32_t i = 0; i < n; i++) ask(base + fresh[i] * stride, stride);
	if (c->codes)
		score_by_codes(c, s, p->fresh[now], p->count[now]);
	else
		score_exactly(c, p->fresh[now], p->count[now]);
	work->candidates += n;
	p->count[next] = n;
	p->reached.count = 0;
	p->now = next;
}

static void reach(const struct forest_view *f, const struct forest_node *leaf, uint32_t tree, struct passing *p)
{
	p->reached = (struct forest_leaf){leaf->at, leaf->count};
	p->tree = tree;
	if (tree >= f->renumbered) ask(f->order.bytes + ((size_t)(tree - f->renumbered) * f->n + leaf->at) * f->order.width, (size_t)leaf->count * f->order.width);
}

/* Leaves best-first until the budget is spent. */
static void inspect(const struct forest_view *f, const struct scoring *c, uint64_t budget, const struct pulse *pulse, struct forest_scratch *s,
	struct search_work *work)
{
	const uint8_t *seen_by_planes = plane_query(f, c->rows, c->query, s);
	uint64_t start = work->candidates;
	struct passing passing;
	unsigned leaves = 0;
	float most = c->rows->metric == METRIC_HAMMING ? 0 : FLT_MAX;

	passing.reached.count = passing.count[0] = passing.now = 0;
	for (uint32_t t = 0; t < f->trees; t++) heap_push(s, (struct waiting){most, f->roots[t], t});
	while (s->heap_count > 0) {
		/* The leaf that was reached may be enough. */
		if (work->candidates - start + passing.reached.count >= budget) pass(f, c, &passing, s, work);
		if (work->candidates - start >= budget) break;
		struct waiting w = next_leaf(f, c->rows, seen_by_planes, s);
		if (leaves++ % PULSE_LEAVES == 0 && pulse_stop(pulse)) {
			work->truncated = true;
			break;
		}
		pass(f, c, &passing, s, work);
		reach(f, &f->node[w.node], w.tree, &passing);
	}
	pass(f, c, &passing, s, work);
	pass(f, c, &passing, s, work);
	met_forget(&s->met);
}

enum status forest_search(const struct forest_view *f, const struct rows *rows, const struct query *query, uint64_t budget,
	const struct pulse *pulse, struct forest_scratch *s, struct topk *top, struct search_work *work)
{
	struct scoring scoring = {.rows = rows, .query = query, .top = top};

	if (budget >= rows->n || !f->trees) {
		exact_search(rows, query, 1, pulse, top, work);
		return STATUS_OK;
	}
	enum status status = prepare(s, f);
	if (status == STATUS_OK) inspect(f, &scoring, budget, pulse, s, work);
	return status;
}

/* ---- by codes ---- */

/* budget < n */
static enum status prepare_codes(struct forest_scratch *s, const struct codes *codes, size_t keep)
{
	size_t room = 2 * keep + FOREST_LEAF_MAX;

	if (room > s->scored_room) {
		knn_key *scored = realloc(s->scored, room * sizeof(*scored));
		if (!scored) return STATUS_NO_MEMORY;
		s->scored = scored;
		s->scored_room = room;
	}
	if (codes->stride > s->code_room) {
		uint8_t *code = aligned_alloc(CODE_ALIGN, codes->stride);
		if (!code) return STATUS_NO_MEMORY;
		free(s->code);
		s->code = code;
		s->code_room = codes->stride;
	}
	s->scored_count = 0;
	s->keep = keep;
	s->limit = UINT64_MAX;
	return STATUS_OK;
}

/* How many of those that were scored by their codes are scored exactly. */
static size_t rerank_wanted(uint64_t budget, size_t k)
{
	size_t keep = FOREST_RERANK_TIMES * k;

	if (keep < FOREST_RERANK_LEAST) keep = FOREST_RERANK_LEAST;
	return keep < budget / FOREST_RERANK_BUDGET ? (size_t)(budget / FOREST_RERANK_BUDGET) : keep;
}

/* False: stopped by the pulse. */
static bool rerank(struct forest_scratch *s, const struct scoring *c, const struct pulse *pulse)
{
	keep_least(s);
	size_t n = s->scored_count;

	for (size_t i = 0; i < n; i++) {
		if (i % PULSE_EXACT == PULSE_EXACT - 1 && pulse_stop(pulse)) return false;
		if (i + PREFETCH_AHEAD < n)
			for (size_t at = 0; at < c->rows->stride && at < 1024; at += 64)
				__builtin_prefetch((const uint8_t *)rows_row(c->rows, knn_row(s->scored[i + PREFETCH_AHEAD])) + at);
		offer(c->rows, c->query, knn_row(s->scored[i]), c->top);
	}
	return true;
}

enum status forest_search_coded(const struct forest_view *f, const struct rows *rows, const struct codes *codes,
	const struct query *query, uint64_t budget, const struct pulse *pulse, struct forest_scratch *s, struct topk *top, struct search_work *work)
{
	struct scoring scoring = {.rows = rows, .query = query, .codes = codes, .top = top};

	if (budget >= rows->n || !f->trees) {
		exact_search(rows, query, 1, pulse, top, work);
		return STATUS_OK;
	}
	enum status status = prepare(s, f);
	if (status == STATUS_OK) status = prepare_codes(s, codes, rerank_wanted(budget, top->capacity));
	if (status != STATUS_OK) return status;
	quant_encode_query(&f->quant, rows->metric, rows->dim, query, s->code);
	inspect(f, &scoring, budget, pulse, s, work);
	if (!rerank(s, &scoring, pulse)) work->truncated = true;
	return STATUS_OK;
}

enum status forest_leaves(const struct forest_view *f, const struct rows *rows, const struct query *query, struct forest_scratch *s,
	uint32_t wanted, struct forest_leaf *ret_leaves, uint32_t *ret_count)
{
	enum status status = prepare(s, f);
	if (status != STATUS_OK) return status;
	const uint8_t *seen_by_planes = plane_query(f, rows, query, s);
	uint32_t count = 0;

	heap_push(s, (struct waiting){rows->metric == METRIC_HAMMING ? 0 : FLT_MAX, f->roots[0], 0});
	while (s->heap_count > 0 && count < wanted) {
		const struct forest_node *leaf = &f->node[next_leaf(f, rows, seen_by_planes, s).node];
		ret_leaves[count++] = (struct forest_leaf){leaf->at, leaf->count};
	}
	*ret_count = count;
	return STATUS_OK;
}
