/* graph_build.c - see graph.h. The lists of knn.h are thinned in place; joined with the reverse edges and thinned again they are the edges. Every step
 * is cut into runs of rows, and a run writes what belongs to its own rows alone. */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cursor.h"
#include "worker/engine/graph.h"
#include "worker/engine/knn.h"
#include "worker/engine/reach.h"

enum {
	RUN_ROWS = 1024,
	CANDIDATES_MAX = 192, /* neighbours and reverse neighbours that are thinned together: the nearest of a hub's */
	STEPS_PRUNE = 4,      /* a row's two thinnings, in rows of knn_build() */
	LINE = 64,            /* of a cache: a list is a whole number of them */
};

struct graph {
	uint32_t n, edges;
	uint32_t *first;
	uint8_t *to; /* packed */
	uint32_t to_width;
};

struct making {
	const struct codes *codes;
	const struct pulse *pulse;
	_Atomic uint64_t *progress;
	uint32_t n;
	knn_key *lists;  /* [n x KNN_K] */
	uint32_t *edges; /* [n x GRAPH_DEGREE_MAX], nearest first */
	uint8_t *counts; /* [n] of a row's list, then of its edges */
	_Atomic uint32_t *reverse_first; /* [n + 1] */
	uint32_t *reverse;       /* rows that point to a row, in no order: gather() sorts them */
	struct graph *graph;     /* that is being filled */
	_Atomic bool cancelled, no_memory;
};

_Static_assert((int)KNN_K <= (int)GRAPH_DEGREE_MAX, "a thinned list has at most as many");
_Static_assert((int)GRAPH_TREES_MOST <= (int)KNN_TREES_MAX && (int)GRAPH_TREES_ANGULAR <= (int)KNN_TREES_MAX, "neighbours are told from all of them");

static enum status run_pieces(struct making *m, struct runner *runner, void (*piece)(void *arg, size_t i))
{
	runner->run(runner, ((size_t)m->n + RUN_ROWS - 1) / RUN_ROWS, piece, m);
	return atomic_load(&m->no_memory) ? STATUS_NO_MEMORY : atomic_load(&m->cancelled) ? STATUS_CANCELLED : STATUS_OK;
}

/* ---- thinning ---- */

/* One thread's memory. */
struct thinning {
	uint8_t *kept;       /* [GRAPH_DEGREE_MAX x stride] codes of the neighbours kept */
	knn_key *candidates; /* room grows */
	uint32_t *rows, *apart;
	size_t room;
};

static bool thinning_init(struct thinning *t, uint32_t stride)
{
	*t = (struct thinning){.kept = aligned_alloc(CODE_ALIGN, (size_t)GRAPH_DEGREE_MAX * stride)};
	return t->kept;
}

static void thinning_release(struct thinning *t)
{
	free(t->kept);
	free(t->candidates);
	free(t->rows);
	free(t->apart);
}

static bool thinning_room(struct thinning *t, size_t n)
{
	if (n <= t->room) return true;
	n += n / 2;
	void *candidates = realloc(t->candidates, n * sizeof(*t->candidates));
	if (candidates) t->candidates = candidates;
	void *rows = realloc(t->rows, n * sizeof(*t->rows));
	if (rows) t->rows = rows;
	void *apart = realloc(t->apart, n * sizeof(*t->apart));
	if (apart) t->apart = apart;
	if (!candidates || !rows || !apart) return false;
	t->room = n;
	return true;
}

/* Whether a kept neighbour is so much nearer to the candidate than the row is. The nearest were kept first and hide most: look at them first. */
static bool hidden(const struct making *m, const struct thinning *t, uint32_t kept, const uint8_t *candidate, uint32_t apart)
{
	struct codes block = {m->codes->metric, m->codes->stride, t->kept};
	uint32_t between[8], alpha = graph_alpha16(m->codes->metric);

	for (uint32_t from = 0; from < kept; from += 8) {
		uint32_t n = kept - from < 8 ? kept - from : 8;
		block.base = t->kept + (size_t)from * block.stride;
		quant_apart(&block, candidate, NULL, n, between);
		for (uint32_t i = 0; i < n; i++)
			if ((uint64_t)between[i] * alpha <= (uint64_t)apart * 16) return true;
	}
	return false;
}

/* Keep of n ascending candidates those that no kept one hides; returns how many. `list` may be `candidates`. */
static uint32_t thin(const struct making *m, struct thinning *t, const knn_key *candidates, size_t n, knn_key *list)
{
	size_t stride = m->codes->stride;
	uint32_t kept = 0;

	for (size_t i = 0; i < n && kept < GRAPH_DEGREE_MAX; i++) {
		knn_key key = candidates[i];
		const uint8_t *code = m->codes->base + knn_row(key) * stride;
		if (i + 2 < n) __builtin_prefetch(m->codes->base + knn_row(candidates[i + 2]) * stride);
		if (hidden(m, t, kept, code, knn_apart(key))) continue;
		memcpy(t->kept + kept * stride, code, stride);
		list[kept++] = key;
	}
	return kept;
}

/* A run of rows, or nothing of it if the build was stopped. */
static bool run_begins(struct making *m, size_t number, struct thinning *t, uint32_t *ret_first, uint32_t *ret_end)
{
	*ret_first = (uint32_t)number * RUN_ROWS;
	*ret_end = m->n - *ret_first < RUN_ROWS ? m->n : *ret_first + RUN_ROWS;
	*t = (struct thinning){0};
	if (atomic_load(&m->cancelled) || atomic_load(&m->no_memory)) return false;
	if (pulse_stop(m->pulse)) {
		atomic_store(&m->cancelled, true);
		return false;
	}
	if (thinning_init(t, m->codes->stride)) return true;
	atomic_store(&m->no_memory, true);
	return false;
}

static void run_ends(struct making *m, struct thinning *t, uint32_t first, uint32_t end)
{
	thinning_release(t);
	if (m->progress) atomic_fetch_add_explicit(m->progress, (uint64_t)(end - first) * STEPS_PRUNE / 2, memory_order_relaxed);
}

static void thin_piece(void *arg, size_t number)
{
	struct making *m = arg;
	struct thinning t;
	uint32_t first, end;

	if (!run_begins(m, number, &t, &first, &end)) return;
	for (uint32_t r = first; r < end; r++) {
		knn_key *list = m->lists + (size_t)r * KNN_K;
		m->counts[r] = (uint8_t)thin(m, &t, list, m->counts[r], list);
	}
	run_ends(m, &t, first, end);
}

/* ---- reverse edges ---- */

static int by_key(const void *a, const void *b)
{
	knn_key x = *(const knn_key *)a, y = *(const knn_key *)b;
	return x < y ? -1 : x > y;
}

/* The row's neighbours and those that point to it, ascending, each once. */
static size_t gather(const struct making *m, struct thinning *t, uint32_t row)
{
	uint32_t from = m->reverse_first[row], pointing = m->reverse_first[row + 1] - from;
	size_t have = m->counts[row], n = have, unique = 0;

	if (!thinning_room(t, have + pointing)) return 0;
	memcpy(t->candidates, m->lists + (size_t)row * KNN_K, have * sizeof(*t->candidates));
	quant_apart(m->codes, m->codes->base + (size_t)row * m->codes->stride, m->reverse + from, pointing, t->apart);
	for (uint32_t i = 0; i < pointing; i++) t->candidates[n++] = knn_key_of(t->apart[i], m->reverse[from + i]);
	if (n > CANDIDATES_MAX)
		qsort(t->candidates, n, sizeof(*t->candidates), by_key);
	else
		knn_sort(t->candidates, n);
	for (size_t i = 0; i < n; i++)
		if (unique == 0 || t->candidates[unique - 1] != t->candidates[i]) t->candidates[unique++] = t->candidates[i];
	return unique < CANDIDATES_MAX ? unique : CANDIDATES_MAX;
}

static void join_piece(void *arg, size_t number)
{
	struct making *m = arg;
	struct thinning t;
	uint32_t first, end;

	if (!run_begins(m, number, &t, &first, &end)) return;
	for (uint32_t r = first; r < end; r++) {
		size_t n = gather(m, &t, r);
		if (n == 0 && m->counts[r] > 0) {
			atomic_store(&m->no_memory, true);
			break;
		}
		m->counts[r] = (uint8_t)thin(m, &t, t.candidates, n, t.candidates);
		for (uint32_t i = 0; i < m->counts[r]; i++) m->edges[(size_t)r * GRAPH_DEGREE_MAX + i] = knn_row(t.candidates[i]);
	}
	run_ends(m, &t, first, end);
}

static enum status edges_room(struct making *m)
{
	size_t size;

	if (size_mul(m->n, GRAPH_DEGREE_MAX * sizeof(*m->edges), &size)) m->edges = malloc(size);
	return m->edges ? STATUS_OK : STATUS_NO_MEMORY;
}

static uint32_t rows_end(const struct making *m, size_t number)
{
	uint32_t first = (uint32_t)number * RUN_ROWS;

	return m->n - first < RUN_ROWS ? m->n : first + RUN_ROWS;
}

/* Two places on, so that after the filling each row's start stands in its own. */
static void count_reverse_piece(void *arg, size_t number)
{
	const struct making *m = arg;

	for (uint32_t r = (uint32_t)number * RUN_ROWS; r < rows_end(m, number); r++)
		for (uint32_t i = 0; i < m->counts[r]; i++)
			atomic_fetch_add_explicit(&m->reverse_first[knn_row(m->lists[(size_t)r * KNN_K + i]) + 2], 1, memory_order_relaxed);
}

static void fill_reverse_piece(void *arg, size_t number)
{
	const struct making *m = arg;

	for (uint32_t r = (uint32_t)number * RUN_ROWS; r < rows_end(m, number); r++)
		for (uint32_t i = 0; i < m->counts[r]; i++) {
			_Atomic uint32_t *place = &m->reverse_first[knn_row(m->lists[(size_t)r * KNN_K + i]) + 1];
			m->reverse[atomic_fetch_add_explicit(place, 1, memory_order_relaxed)] = r;
		}
}

static enum status reverse_build(struct making *m, struct runner *runner)
{
	uint64_t edges = 0;

	m->reverse_first = calloc((size_t)m->n + 2, sizeof(*m->reverse_first));
	for (uint32_t r = 0; r < m->n; r++) edges += m->counts[r];
	if (edges > UINT32_MAX) return STATUS_LIMIT;
	m->reverse = malloc((edges ? edges : 1) * sizeof(*m->reverse));
	if (!m->reverse_first || !m->reverse) return STATUS_NO_MEMORY;
	enum status status = run_pieces(m, runner, count_reverse_piece);
	uint32_t sum = 0;
	for (uint32_t r = 0; r < m->n; r++) {
		sum += atomic_load_explicit(&m->reverse_first[r + 2], memory_order_relaxed);
		atomic_store_explicit(&m->reverse_first[r + 2], sum, memory_order_relaxed);
	}
	return status == STATUS_OK ? run_pieces(m, runner, fill_reverse_piece) : status;
}

/* ---- reachability ---- */

/* Edges that lead to rows which nothing reached: from -> to. Ascending by `to`, each `to` once. */
struct repair { uint32_t *from, *to; uint32_t count, room; };

static bool add_repair(struct repair *p, uint32_t from, uint32_t to)
{
	if (p->count == p->room) {
		uint32_t room = p->room ? 2 * p->room : 256;
		void *froms = realloc(p->from, room * sizeof(*p->from));
		if (froms) p->from = froms;
		void *tos = realloc(p->to, room * sizeof(*p->to));
		if (tos) p->to = tos;
		if (!froms || !tos) return false;
		p->room = room;
	}
	p->from[p->count] = from;
	p->to[p->count++] = to;
	return true;
}

/* A row that is not reached is led to from the nearest of its neighbours that is, or from the row before it, which stands in the same leaf or in
 * the one beside it. Rows before it are all reached. */
static enum status find_repairs(const struct graph_view *g, struct runner *runner, struct repair *p)
{
	struct reach reach;
	enum status status = reach_init(&reach, g);

	if (status != STATUS_OK) return status;
	reach_from(&reach, 0, runner);
	for (uint32_t r = 1; r < g->n && status == STATUS_OK; r++) {
		if (reach.reached[r]) continue;
		uint32_t from = r - 1;
		for (uint32_t i = g->first[r]; i < g->first[r + 1]; i++) {
			uint32_t near = graph_edge(g, i);
			if (!reach.reached[near]) continue;
			from = near;
			break;
		}
		if (!add_repair(p, from, r)) status = STATUS_NO_MEMORY;
		reach_few(&reach, r);
	}
	reach_release(&reach);
	return status;
}

/* A row's cursor is its own alone, and so are the bytes of its edges. */
static void fill_edges_piece(void *arg, size_t number)
{
	const struct making *m = arg;
	struct graph *g = m->graph;

	for (uint32_t r = (uint32_t)number * RUN_ROWS; r < rows_end(m, number); r++)
		for (uint32_t i = 0; i < m->counts[r]; i++) packed_put(g->to, g->to_width, g->first[r + 1]++, m->edges[(size_t)r * GRAPH_DEGREE_MAX + i]);
}

static enum status flatten(struct making *m, const struct repair *p, struct runner *runner, struct graph **ret)
{
	struct graph *g = calloc(1, sizeof(*g));
	uint64_t edges = p->count;

	if (!g) return STATUS_NO_MEMORY;
	g->n = m->n;
	for (uint32_t r = 0; r < m->n; r++) edges += m->counts[r];
	g->first = calloc((size_t)m->n + 2, sizeof(*g->first));
	g->to_width = packed_row_width(m->n);
	g->to = calloc(1, edges * g->to_width + PACKED_SPARE);
	if (!g->first || !g->to || edges > UINT32_MAX) {
		graph_free(&g);
		return edges > UINT32_MAX ? STATUS_LIMIT : STATUS_NO_MEMORY;
	}
	g->edges = (uint32_t)edges;
	for (uint32_t r = 0; r < m->n; r++) g->first[r + 2] = m->counts[r];
	for (uint32_t i = 0; i < p->count; i++) g->first[p->from[i] + 2]++;
	for (uint32_t r = 0; r < m->n; r++) g->first[r + 2] += g->first[r + 1];
	m->graph = g;
	enum status status = run_pieces(m, runner, fill_edges_piece);
	if (status != STATUS_OK) {
		graph_free(&g);
		return status;
	}
	for (uint32_t i = 0; i < p->count; i++) packed_put(g->to, g->to_width, g->first[p->from[i] + 1]++, p->to[i]);
	*ret = g;
	return STATUS_OK;
}

/* ---- the life of a graph ---- */

uint32_t graph_trees(enum metric m, uint32_t trees)
{
	if (m == METRIC_ANGULAR) return GRAPH_TREES_ANGULAR;
	return trees < GRAPH_TREES_LEAST ? GRAPH_TREES_LEAST : trees > GRAPH_TREES_MOST ? GRAPH_TREES_MOST : trees;
}

/* A tree that brings less than a fiftieth of the nearest is the last that is looked at: fashion's seventh, where the next three cost .6 of 7 CPU seconds
 * and no query at equal effort found more. On the sphere the last trees pay though they bring as little. */
static uint32_t graph_settled(enum metric m) { return m == METRIC_ANGULAR ? 0 : 50; }

uint64_t graph_build_steps(enum metric m, uint32_t n, uint32_t trees) { return (uint64_t)n * (graph_trees(m, trees) + STEPS_PRUNE); }

enum status graph_build(const struct codes *codes, const struct forest_view *forest, struct runner *runner, _Atomic uint64_t *progress,
	const struct pulse *pulse, struct graph **ret)
{
	struct making m = {.codes = codes, .pulse = pulse, .progress = progress, .n = forest->n};
	struct repair repair = {0};
	struct graph *graph = NULL;
	uint32_t trees = graph_trees(codes->metric, forest->trees);
	enum status status = STATUS_NO_MEMORY;
	size_t places;

	if (size_mul(m.n, KNN_K * sizeof(*m.lists), &places)) m.lists = aligned_alloc(LINE, places);
	m.counts = malloc(m.n);
	if (!m.lists || !m.counts) goto out;
	require(forest->trees >= trees);
	status = knn_build(codes, forest, trees, graph_settled(codes->metric), runner, progress, pulse, m.lists, m.counts);
	if (status == STATUS_OK) status = run_pieces(&m, runner, thin_piece);
	if (status == STATUS_OK) status = reverse_build(&m, runner);
	if (status == STATUS_OK) status = edges_room(&m);
	if (status == STATUS_OK) status = run_pieces(&m, runner, join_piece);
	if (status == STATUS_OK) status = flatten(&m, &repair, runner, &graph);
	const struct graph_view view = status == STATUS_OK ? graph_as_view(graph) : (struct graph_view){0};
	if (status == STATUS_OK) status = find_repairs(&view, runner, &repair);
	if (status == STATUS_OK && repair.count) {
		graph_free(&graph);
		status = flatten(&m, &repair, runner, &graph);
	}
	if (status == STATUS_OK) {
		*ret = graph;
		graph = NULL;
	}
out:
	graph_free(&graph);
	free(m.lists);
	free(m.edges);
	free(m.counts);
	free((void *)m.reverse_first);
	free(m.reverse);
	free(repair.from);
	free(repair.to);
	return status;
}

void graph_free(struct graph **graph)
{
	if (!*graph) return;
	free((*graph)->first);
	free((*graph)->to);
	free(*graph);
	*graph = NULL;
}

struct graph_view graph_as_view(const struct graph *g) { return (struct graph_view){g->n, g->edges, g->first, {g->to, g->to_width}}; }

enum status graph_verify(const struct graph_view *g, struct runner *runner)
{
	struct reach reach;
	bool whole = true;

	if (g->n == 0) return g->edges == 0 ? STATUS_OK : STATUS_CORRUPT;
	if (g->first[0] != 0 || g->first[g->n] != g->edges) return STATUS_CORRUPT;
	for (uint32_t r = 0; r < g->n; r++)
		if (g->first[r] > g->first[r + 1]) return STATUS_CORRUPT;
	for (uint32_t i = 0; i < g->edges; i++)
		if (graph_edge(g, i) >= g->n) return STATUS_CORRUPT;
	enum status status = reach_init(&reach, g);
	if (status != STATUS_OK) return status;
	reach_from(&reach, 0, runner);
	for (uint32_t r = 0; r < g->n; r++) whole &= reach.reached[r] != 0;
	reach_release(&reach);
	return whole ? STATUS_OK : STATUS_CORRUPT;
}
