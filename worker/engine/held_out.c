/* held_out.c - see held_out.h. One pass over all edges finds who points to the rows; then each row is worked on alone. */
#include "worker/engine/held_out.h"

#include <stdlib.h>
#include <string.h>

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

/* A list that lost the row: its rows and how far they are, and what may enter. Room for the row's neighbours and any list that points to it. */
struct mending {
	uint32_t *rows, *apart, *entering, *entering_apart, *between;
	size_t room;
};

static void mending_release(struct mending *m)
{
	free(m->rows);
	free(m->apart);
	free(m->entering);
	free(m->entering_apart);
	free(m->between);
}

static bool mending_init(struct mending *m, size_t room)
{
	size_t bytes = (room ? room : 1) * sizeof(uint32_t);

	*m = (struct mending){malloc(bytes), malloc(bytes), malloc(bytes), malloc(bytes), malloc(bytes), room};
	return m->rows && m->apart && m->entering && m->entering_apart && m->between;
}

/* Whether one of the n in the list is nearer than the one that wants to enter, and hides it (graph_build.c). */
static bool hidden(const struct codes *c, const struct mending *m, uint32_t n, uint32_t row, uint32_t apart)
{
	quant_apart(c, c->base + (size_t)row * c->stride, m->rows, n, m->between);
	for (uint32_t i = 0; i < n; i++)
		if (m->apart[i] <= apart && (uint64_t)m->between[i] * graph_alpha16(c->metric) <= (uint64_t)apart * 16) return true;
	return false;
}

/* The list of `from` without `row`; how long it is. The nearest that nothing else hides enters in its place. */
static uint32_t mend(const struct held_out *h, struct mending *m, uint32_t from, uint32_t row)
{
	const struct graph_view *g = h->graph;
	const uint8_t *code = h->codes->base + (size_t)from * h->codes->stride;
	uint32_t n = 0, entering = 0, farthest = 0;

	for (uint32_t i = g->first[from]; i < g->first[from + 1]; i++)
		if (graph_edge(g, i) != row) m->rows[n++] = graph_edge(g, i);
	for (uint32_t i = g->first[row]; i < g->first[row + 1]; i++) {
		uint32_t near = graph_edge(g, i), at = 0;
		while (at < n && m->rows[at] != near) at++;
		if (at == n && near != from) m->entering[entering++] = near;
	}
	quant_apart(h->codes, code, m->rows, n, m->apart);
	quant_apart(h->codes, code, m->entering, entering, m->entering_apart);
	for (uint32_t i = 0; i < n; i++)
		if (m->apart[i] > farthest) farthest = m->apart[i];
	for (uint32_t left = entering; left > 0 && n < GRAPH_DEGREE_MAX; left--) {
		uint32_t least = 0;
		for (uint32_t i = 1; i < left; i++)
			if (m->entering_apart[i] < m->entering_apart[least]) least = i;
		uint32_t near = m->entering[least], apart = m->entering_apart[least];
		if (apart > farthest) break;
		if (!hidden(h->codes, m, n, near, apart)) {
			m->rows[n++] = near;
			break;
		}
		m->entering[least] = m->entering[left - 1];
		m->entering_apart[least] = m->entering_apart[left - 1];
	}
	return n;
}

static bool mend_all(struct held_out *h, struct absent *a)
{
	const struct graph_view *g = h->graph;
	uint32_t longest = 0, own = g->first[a->row + 1] - g->first[a->row], total = 0;
	struct mending m;

	for (uint32_t i = 0; i < a->count; i++) {
		uint32_t degree = g->first[a->from[i] + 1] - g->first[a->from[i]];
		if (degree > longest) longest = degree;
	}
	bool ready = mending_init(&m, (size_t)longest + own);
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
