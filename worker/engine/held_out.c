/* held_out.c - see held_out.h. One pass over all edges finds who points to the rows; then each row is worked on alone. */
#include "worker/engine/held_out.h"

#include <stdlib.h>
#include <string.h>

#include "worker/engine/knn.h"

enum { LISTS = 10 /* of a row's nearest neighbours, that tell how far its KNN_K nearest are: with all of them the prediction moves by .004 */ };

/* One row that is held out. */
struct absent {
	uint32_t row, count, room;
	uint32_t *from;  /* [count] who points to it, ascending */
	uint32_t *first; /* [count + 1] */
	uint32_t *to;
	size_t to_room;
};

struct held_out {
	const struct codes *codes;
	const struct graph_view *graph;
	uint32_t count;
	struct absent *rows;
	_Atomic bool no_memory;
};

void held_out_free(struct held_out **held)
{
	struct held_out *h = *held;

	if (!h) return;
	for (uint32_t i = 0; h->rows && i < h->count; i++) {
		free(h->rows[i].from);
		free(h->rows[i].first);
		free(h->rows[i].to);
	}
	free(h->rows);
	free(h);
	*held = NULL;
}

struct graph_absence held_out_absence(const struct held_out *h, uint32_t i)
{
	const struct absent *a = &h->rows[i];
	return (struct graph_absence){a->row, a->from, {a->count, a->first[a->count], a->first, {(const uint8_t *)a->to, sizeof(*a->to)}}};
}

/* ---- who points to them ---- */

static struct absent *absent_of(struct held_out *h, uint32_t row)
{
	uint32_t low = 0, high = h->count;

	while (low + 1 < high) {
		uint32_t middle = (low + high) / 2;
		if (h->rows[middle].row <= row)
			low = middle;
		else
			high = middle;
	}
	return &h->rows[low];
}

static bool add_from(struct absent *a, uint32_t from)
{
	if (a->count == a->room) {
		uint32_t room = a->room ? 2 * a->room : 32;
		uint32_t *more = realloc(a->from, room * sizeof(*more));
		if (!more) return false;
		a->from = more;
		a->room = room;
	}
	a->from[a->count++] = from;
	return true;
}

static enum status find_pointing(struct held_out *h)
{
	const struct graph_view *g = h->graph;
	uint64_t *held = calloc((size_t)g->n / 64 + 1, sizeof(*held));
	enum status status = held ? STATUS_OK : STATUS_NO_MEMORY;

	for (uint32_t i = 0; held && i < h->count; i++) held[h->rows[i].row / 64] |= (uint64_t)1 << h->rows[i].row % 64;
	for (uint32_t r = 0; status == STATUS_OK && r < g->n; r++)
		for (uint32_t i = g->first[r]; i < g->first[r + 1]; i++) {
			uint32_t to = graph_edge(g, i);
			if (held[to / 64] >> to % 64 & 1 && to != r && !add_from(absent_of(h, to), r)) status = STATUS_NO_MEMORY;
		}
	free(held);
	return status;
}

/* ---- their lists ---- */

/* A list that lost the row: its rows and how far they are, and what may enter. */
struct mending {
	uint32_t *rows, *apart, *between;   /* [room] any list that points to the row, and the row's own */
	knn_key *entering;                  /* [room] */
	uint32_t *around, *around_apart;    /* [around_count() at most, or room] rows around the one whose list it is */
};

static void mending_release(struct mending *m)
{
	free(m->rows);
	free(m->apart);
	free(m->between);
	free(m->entering);
	free(m->around);
	free(m->around_apart);
}

static bool mending_init(struct mending *m, size_t room, size_t around)
{
	size_t bytes = (room ? room : 1) * sizeof(uint32_t), around_bytes = around > room ? around * sizeof(uint32_t) : bytes;

	*m = (struct mending){malloc(bytes), malloc(bytes), malloc(bytes), malloc(2 * bytes), malloc(around_bytes), malloc(around_bytes)};
	return m->rows && m->apart && m->between && m->entering && m->around && m->around_apart;
}

/* Whether one of the n in the list is nearer than the one that wants to enter, and hides it (graph_build.c). */
static bool hidden(const struct codes *c, const struct mending *m, uint32_t n, uint32_t row, uint32_t apart)
{
	quant_apart(c, c->base + (size_t)row * c->stride, m->rows, n, m->between);
	for (uint32_t i = 0; i < n; i++)
		if (m->apart[i] <= apart && (uint64_t)m->between[i] * graph_alpha16(c->metric) <= (uint64_t)apart * 16) return true;
	return false;
}

static bool points_to(const struct graph_view *g, uint32_t from, uint32_t to)
{
	for (uint32_t i = g->first[from]; i < g->first[from + 1]; i++)
		if (graph_edge(g, i) == to) return true;
	return false;
}

static uint32_t degree(const struct graph_view *g, uint32_t row) { return g->first[row + 1] - g->first[row]; }

/* How many rows reach_of() looks at, some of them more than once. */
static size_t around_count(const struct graph_view *g, uint32_t from)
{
	size_t n = degree(g, from);

	for (uint32_t i = g->first[from], end = g->first[from + 1]; i < end && i < g->first[from] + LISTS; i++) n += degree(g, graph_edge(g, i));
	return n;
}

/* How far the KNN_K nearest of `from` reach when one of them is gone: no other row was ever thought of as its neighbour. They are told from its
 * neighbours' neighbours. UINT32_MAX: there are fewer. */
static uint32_t reach_of(const struct held_out *h, struct mending *m, uint32_t from)
{
	const struct graph_view *g = h->graph;
	knn_key nearest[KNN_K + 1];
	uint32_t n = 0, have = 0, first = g->first[from], end = g->first[from + 1];

	for (uint32_t i = first; i < end; i++) m->around[n++] = graph_edge(g, i);
	for (uint32_t l = 0; l < LISTS && l < end - first; l++) {
		uint32_t near = m->around[l];
		for (uint32_t i = g->first[near]; i < g->first[near + 1]; i++) m->around[n++] = graph_edge(g, i);
	}
	quant_apart(h->codes, h->codes->base + (size_t)from * h->codes->stride, m->around, n, m->around_apart);
	for (uint32_t i = 0; i < n; i++) {
		knn_key key = knn_key_of(m->around_apart[i], m->around[i]);
		uint32_t at = have;
		if (m->around[i] == from || (have == KNN_K + 1 && key >= nearest[KNN_K])) continue;
		while (at > 0 && nearest[at - 1] > key) at--;
		if (at > 0 && nearest[at - 1] == key) continue;
		if (have <= KNN_K) have++;
		memmove(nearest + at + 1, nearest + at, (have - at - 1) * sizeof(*nearest));
		nearest[at] = key;
	}
	return have > KNN_K ? knn_apart(nearest[KNN_K]) : UINT32_MAX;
}

/* The row's neighbours that `from`, of a list of n, does not have: ascending. */
static uint32_t entering_of(const struct held_out *h, struct mending *m, uint32_t from, uint32_t row, uint32_t n)
{
	const struct graph_view *g = h->graph;
	uint32_t count = 0;

	for (uint32_t i = g->first[row]; i < g->first[row + 1]; i++) {
		uint32_t near = graph_edge(g, i), at = 0;
		while (at < n && m->rows[at] != near) at++;
		if (at == n && near != from) m->around[count++] = near;
	}
	quant_apart(h->codes, h->codes->base + (size_t)from * h->codes->stride, m->around, count, m->around_apart);
	for (uint32_t i = 0; i < count; i++) m->entering[i] = knn_key_of(m->around_apart[i], m->around[i]);
	knn_sort(m->entering, count);
	return count;
}

/* The list of `from` without `row`; how long it is. What nothing else hides enters, the nearest first. */
static uint32_t mend(const struct held_out *h, struct mending *m, uint32_t from, uint32_t row)
{
	const struct graph_view *g = h->graph;
	uint32_t n = 0, reach = 0;
	bool reach_known = false;

	for (uint32_t i = g->first[from]; i < g->first[from + 1]; i++)
		if (graph_edge(g, i) != row) m->rows[n++] = graph_edge(g, i);
	quant_apart(h->codes, h->codes->base + (size_t)from * h->codes->stride, m->rows, n, m->apart);
	uint32_t entering = entering_of(h, m, from, row, n);
	for (uint32_t i = 0; i < entering && n < GRAPH_DEGREE_MAX; i++) {
		uint32_t near = knn_row(m->entering[i]), apart = knn_apart(m->entering[i]);
		if (hidden(h->codes, m, n, near, apart)) continue;
		if (!reach_known) reach = reach_of(h, m, from);
		reach_known = true;
		if (apart > reach && !points_to(g, near, from)) continue;
		m->rows[n] = near;
		m->apart[n++] = apart;
	}
	return n;
}

static bool mend_all(struct held_out *h, struct absent *a)
{
	const struct graph_view *g = h->graph;
	uint32_t longest = 0, total = 0;
	size_t most_around = 0;
	struct mending m;

	for (uint32_t i = 0; i < a->count; i++) {
		size_t around = around_count(g, a->from[i]);
		if (degree(g, a->from[i]) > longest) longest = degree(g, a->from[i]);
		if (around > most_around) most_around = around;
	}
	bool ready = mending_init(&m, (size_t)longest + degree(g, a->row), most_around);
	a->first = malloc(((size_t)a->count + 1) * sizeof(*a->first));
	ready = ready && a->first;
	for (uint32_t i = 0; ready && i < a->count; i++) {
		uint32_t n = mend(h, &m, a->from[i], a->row);
		if (total + n > a->to_room) {
			size_t room = 2 * ((size_t)total + n);
			uint32_t *more = realloc(a->to, room * sizeof(*more) + PACKED_SPARE);
			if (!(ready = more)) break;
			a->to = more;
			a->to_room = room;
		}
		a->first[i] = total;
		if (n) memcpy(a->to + total, m.rows, n * sizeof(*m.rows));
		total += n;
	}
	if (ready) a->first[a->count] = total;
	mending_release(&m);
	return ready;
}

static void mend_piece(void *arg, size_t i)
{
	struct held_out *h = arg;

	if (!atomic_load(&h->no_memory) && !mend_all(h, &h->rows[i])) atomic_store(&h->no_memory, true);
}

enum status held_out_new(const struct codes *codes, const struct graph_view *graph, const uint32_t *rows, uint32_t count, struct runner *runner,
	struct held_out **ret)
{
	struct held_out *h = calloc(1, sizeof(*h));
	enum status status = STATUS_NO_MEMORY;

	if (!h) return status;
	*h = (struct held_out){.codes = codes, .graph = graph, .count = count, .rows = calloc(count ? count : 1, sizeof(*h->rows))};
	if (h->rows) {
		for (uint32_t i = 0; i < count; i++) h->rows[i].row = rows[i];
		status = find_pointing(h);
	}
	if (status == STATUS_OK) runner->run(runner, count, mend_piece, h);
	if (status == STATUS_OK && atomic_load(&h->no_memory)) status = STATUS_NO_MEMORY;
	if (status == STATUS_OK)
		*ret = h;
	else
		held_out_free(&h);
	return status;
}
