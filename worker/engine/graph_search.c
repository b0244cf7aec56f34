/* graph_search.c - a pool of the nearest rows so far, ascending, of which the first `ef` are expanded, the nearest few at a time. Memory is asked one
 * step before it is needed: while the rows of one step are scored, the neighbours of rows chosen the step before are gathered and their codes asked
 * for, and the lists of the next are asked for. So a row is chosen before the two steps under way have entered the pool: a few rows more are
 * scored, and more is found for them. Whether a row was met, and whether it is near enough for the pool, are coin flips to a processor: they are counted with, not
 * branched on.
 *
 * The order of expansion does not depend on ef: a larger one only goes on for longer. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/engine/exact.h"
#include "worker/engine/graph.h"
#include "worker/engine/met.h"

enum {
	EXPAND = 3,          /* rows chosen in a step */
	RERANK_LEAST = 40,   /* rows scored exactly, if the codes do not say sooner that no more can enter; or RERANK_TIMES x k, but no more than k + ef; or ef / RERANK_EF, if that is more: */
	RERANK_TIMES = 4,
	RERANK_SAMPLE = 16,  /* rows whose distances tell how much codes err */
	RERANK_AHEAD = 4,    /* rows asked from memory before their turn */
	RERANK_EF = 6,       /* codes misjudge a few in a thousand by more than forty places, which those who look longer want to find */
	CODE_AHEAD = 256,    /* bytes of a code that are asked for before its turn; the processor sees where the rest of a long one is */
	PULSE_STEPS = 16,
	PULSE_EXACT = 1024,  /* rows scored exactly between two questions to the pulse: so many are, even after it has said stop */
	DOOR_EF = 96,        /* one leaf more to enter through for so many rows of the pool, */
	DOORS_MOST = 16,     /* up to so many: near a plane, clusters that no edge joins are not missed by those who look longer */
	DOORS_DOT = 16,      /* The largest products lie in many places, and from one of them the graph leads to the others by way of smaller ones only: */
	DOOR_EF_DOT = 4,     /* dot begins in more places and adds more. */
	DOORS_DOT_MOST = 128,
	DEAD_TIMES_MAX = 8,  /* where most rows are dead the pool grows by no more than this */
};

/* score << 32 | row << 1 | expanded. A segment has fewer than 2^31 rows. */
typedef uint64_t entry;
static entry entry_of(uint32_t score, uint32_t row) { return (uint64_t)score << 32 | (uint64_t)row << 1; }
static uint32_t entry_row(entry e) { return (uint32_t)e >> 1; }

struct graph_scratch {
	struct forest_scratch *forest;
	struct met met;
	entry *pool;
	size_t pool_room;
	uint8_t *query;    /* coded */
	size_t query_room;
	uint32_t *fresh, *next, *scores; /* [fresh_room] rows of a step, and of the step after it; room for one more */
	size_t fresh_room;
};

enum status graph_scratch_new(struct graph_scratch **ret)
{
	struct graph_scratch *s = calloc(1, sizeof(*s));
	enum status status = s ? forest_scratch_new(&s->forest) : STATUS_NO_MEMORY;

	if (status == STATUS_OK)
		*ret = s;
	else
		free(s);
	return status;
}

void graph_scratch_free(struct graph_scratch **scratch)
{
	struct graph_scratch *s = *scratch;

	if (!s) return;
	forest_scratch_free(&s->forest);
	met_release(&s->met);
	free(s->pool);
	free(s->query);
	free(s->fresh);
	free(s->next);
	free(s->scores);
	free(s);
	*scratch = NULL;
}

static enum status prepare(struct graph_scratch *s, const struct graph_space *space, size_t ef)
{
	size_t fresh = (size_t)space->rows.n + 1;

	if (!met_reserve(&s->met, space->graph.n)) return STATUS_NO_MEMORY;
	if (ef + 1 > s->pool_room) {
		entry *pool = realloc(s->pool, (ef + 1) * sizeof(*pool));
		if (!pool) return STATUS_NO_MEMORY;
		s->pool = pool;
		s->pool_room = ef + 1;
	}
	if (space->codes.stride > s->query_room) {
		uint8_t *query = aligned_alloc(CODE_ALIGN, space->codes.stride);
		if (!query) return STATUS_NO_MEMORY;
		free(s->query);
		s->query = query;
		s->query_room = space->codes.stride;
	}
	/* A step gathers a leaf, or the neighbours of EXPAND rows; a repaired row may have any number. */
	if (fresh > s->fresh_room) {
		uint32_t *rows = realloc(s->fresh, fresh * sizeof(*rows));
		if (rows) s->fresh = rows;
		uint32_t *next = realloc(s->next, fresh * sizeof(*next));
		if (next) s->next = next;
		uint32_t *scores = realloc(s->scores, fresh * sizeof(*scores));
		if (scores) s->scores = scores;
		if (!rows || !next || !scores) return STATUS_NO_MEMORY;
		s->fresh_room = fresh;
	}
	return STATUS_OK;
}

/* ---- the pool ---- */

/* The first ef are expanded; those after them, up to keep, are there to be scored exactly. Before `next` all are expanded. */
struct pool { entry *entries; size_t count, ef, keep, next; };

/* An entry must be less than this to enter. */
static entry pool_limit(const struct pool *p) { return p->count == p->keep ? p->entries[p->count - 1] : UINT64_MAX; }

static void pool_insert(struct pool *p, entry e)
{
	size_t stay = p->count < p->keep ? p->count : p->keep - 1, low = 0;

	if (e >= pool_limit(p)) return;
	for (size_t left = stay; left;) {
		size_t half = (left + 1) / 2;
		low += half & -(size_t)(p->entries[low + half - 1] < e);
		left -= half;
	}
	memmove(p->entries + low + 1, p->entries + low, (stay - low) * sizeof(e));
	p->entries[low] = e;
	p->count = stay + 1;
	p->next = low < p->next ? low : p->next;
}

/* Score the n rows in s->fresh and let them enter. */
static void score_fresh(const struct graph_space *space, struct graph_scratch *s, struct pool *p, size_t n)
{
	uint32_t *fresh = s->fresh, *scores = s->scores;
	entry limit = pool_limit(p);
	size_t near = 0;

	quant_score(&space->codes, s->query, fresh, n, scores);
	for (size_t i = 0; i < n; i++) {
		uint32_t score = scores[i], row = fresh[i];
		scores[near] = score;
		fresh[near] = row;
		near += entry_of(score, row) < limit;
	}
	for (size_t i = 0; i < near; i++) __builtin_prefetch(space->graph.first + fresh[i]);
	for (size_t i = 0; i < near; i++) pool_insert(p, entry_of(scores[i], fresh[i]));
}

/* always_inline: gcc 12 drops calls to functions that only prefetch. */
static inline __attribute__((always_inline)) void prefetch_code(const struct codes *c, uint32_t row)
{
	const uint8_t *code = c->base + (size_t)row * c->stride;

	for (size_t at = 0; at < CODE_AHEAD && at < c->stride; at += CODE_ALIGN) __builtin_prefetch(code + at);
}

/* Where the neighbours of *row stand if another row is absent. */
static void instead(const struct graph_absence *a, const struct graph_view **g, uint32_t *row)
{
	uint32_t low = 0, high = a->mended.n;

	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (a->from[middle] < *row)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == a->mended.n || a->from[low] != *row) return;
	*g = &a->mended;
	*row = low;
}

/* Gather what a row's neighbours add to the n rows of s->next, at most `room` rows. */
static size_t gather(const struct graph_space *space, const struct graph_absence *absence, struct graph_scratch *s, uint32_t row, size_t n,
	uint64_t room)
{
	const struct graph_view *g = &space->graph;
	struct met met = s->met;
	uint32_t *next = s->next;
	size_t begin = n;

	if (absence) instead(absence, &g, &row);
	struct packed to = g->to;
	for (uint32_t i = g->first[row], end = g->first[row + 1]; i < end && n < room; i++) {
		next[n] = (uint32_t)packed_at(&to, i);
		n += first_meeting(&met, next[n]);
	}
	s->met = met;
	for (size_t i = begin; i < n; i++) prefetch_code(&space->codes, next[i]);
	return n;
}

/* The nearest of the pool's first ef that were not yet expanded, at most EXPAND; their lists are asked for. */
static unsigned choose(const struct graph_view *g, struct pool *p, uint32_t *ret_rows)
{
	size_t end = p->count < p->ef ? p->count : p->ef;
	unsigned n = 0;

	for (; p->next < end && n < EXPAND; p->next++) {
		entry *e = &p->entries[p->next];
		if (*e & 1) continue;
		*e |= 1;
		ret_rows[n] = entry_row(*e);
		const uint8_t *list = g->to.bytes + (size_t)g->first[ret_rows[n++]] * g->to.width;
		__builtin_prefetch(list);
		__builtin_prefetch(list + 64);
	}
	return n;
}

/* From the `fresh` rows in s->fresh, expand until the pool's first ef are, or the budget is spent. False: stopped by the pulse. */
static bool wander(const struct graph_space *space, const struct graph_absence *absence, struct graph_scratch *s, struct pool *p,
	size_t fresh, uint64_t budget, const struct pulse *pulse, uint64_t *scored)
{
	uint32_t chosen[2][EXPAND];
	unsigned count[2] = {0, 0};

	for (unsigned step = 0;; step++) {
		unsigned now = step % 2, before = 1 - now;
		size_t next = 0;
		uint64_t spent = *scored + fresh, room = spent < budget ? budget - spent : 0;
		count[now] = room ? choose(&space->graph, p, chosen[now]) : 0;
		if (count[0] + count[1] + fresh == 0) return true;
		for (unsigned i = 0; i < count[before]; i++) next = gather(space, absence, s, chosen[before][i], next, room);
		score_fresh(space, s, p, fresh);
		*scored += fresh;
		fresh = next;
		uint32_t *rows = s->fresh;
		s->fresh = s->next;
		s->next = rows;
		if (step % PULSE_STEPS == PULSE_STEPS - 1 && pulse_stop(pulse)) return false;
	}
}

/* ---- the answer ---- */

/* How many rows are scored exactly. */
static size_t rerank_wanted(size_t ef, size_t k)
{
	size_t wanted = RERANK_TIMES * k > RERANK_LEAST ? RERANK_TIMES * k : RERANK_LEAST;

	/* Who expands few rows has met few that are near. */
	if (wanted > k + ef) wanted = k + ef;
	return wanted < ef / RERANK_EF ? ef / RERANK_EF : wanted;
}

/* Whether a score is in proportion to the distance: not under dot, whose scores have an origin of their own, nor below a unit for each component,
 * where rounding is all there is. */
static bool proportional(const struct rows *rows, uint32_t score) { return rows->metric != METRIC_DOT && score > rows->dim; }

/* No row was yet nearer than `least` for each unit of its score: would one of this score enter if it were nearer by a twentieth still? */
static bool may_enter(const struct rows *rows, const struct topk *top, float least, uint32_t score)
{
	return !proportional(rows, score) || !isfinite(least) || topk_admits(top, (float)score * least * 0.95F);
}

static inline __attribute__((always_inline)) void prefetch_row(const struct rows *rows, uint32_t row)
{
	for (size_t at = 0; at < rows->stride && at < 1024; at += 64) __builtin_prefetch(rows->base + (size_t)row * rows->stride + at);
}

/* The nearest of the pool that are live, scored exactly until no more can enter: at most `wanted`, and those whose score is the last one's: codes say nothing
 * of them, and where only one column tells rows apart they are many. False: stopped by the pulse. */
static bool rerank(const struct graph_space *space, const struct query *query, struct graph_scratch *s, const struct pool *p, size_t wanted,
	const struct pulse *pulse, struct topk *top)
{
	const struct rows *rows = &space->rows;
	size_t n = 0, asked = 0;
	float least = INFINITY;

	for (size_t i = 0; i < p->count; i++) {
		uint32_t row = entry_row(p->entries[i]), score = (uint32_t)(p->entries[i] >> 32);
		if (n >= wanted && score != s->scores[n - 1]) break;
		s->fresh[n] = row;
		s->scores[n] = score;
		n += rows_live(rows, row);
	}
	for (size_t i = 0; i < n; i++) {
		uint32_t row = s->fresh[i], score = s->scores[i];
		for (; asked < n && (asked < RERANK_SAMPLE || asked < i + RERANK_AHEAD); asked++) prefetch_row(rows, s->fresh[asked]);
		if (i >= RERANK_SAMPLE && !may_enter(rows, top, least, score)) return true;
		if (i % PULSE_EXACT == PULSE_EXACT - 1 && pulse_stop(pulse)) return false;
		float raw = vec_raw(rows->metric, rows_row(rows, row), rows->norm2 ? rows->norm2[row] : 0, query->row, query->norm2, rows->dim);
		if (proportional(rows, score) && raw < least * (float)score) least = raw / (float)score;
		if (topk_admits(top, raw)) topk_push(top, (struct hit){.id = rows->ids[row], .raw = raw});
	}
	return true;
}

/* Leaves of tree 0 to enter through. */
static uint32_t door_count(enum metric m, size_t ef)
{
	size_t doors = m == METRIC_DOT ? DOORS_DOT + ef / DOOR_EF_DOT : 1 + ef / DOOR_EF, most = m == METRIC_DOT ? DOORS_DOT_MOST : DOORS_MOST;

	return (uint32_t)(doors < most ? doors : most);
}

/* So many rows as would have to be looked at for `ef` live ones: dead rows stand in the pool and lead on, but are no answer. */
static size_t with_dead(const struct graph_space *space, uint64_t ef)
{
	uint64_t n = space->rows.n, live = n - (space->dead < n ? space->dead : n);

	ef = live * DEAD_TIMES_MAX > n ? ef * n / live : ef * DEAD_TIMES_MAX;
	return ef < n ? ef : n;
}

enum status graph_search(const struct graph_space *space, const struct query *query, const struct graph_effort *effort,
	const struct graph_absence *absence, const struct pulse *pulse, struct graph_scratch *s, struct topk *top, struct search_work *work)
{
	size_t wanted = rerank_wanted(effort->ef, top->capacity), ef = with_dead(space, effort->ef), keep = with_dead(space, wanted), n = 0;
	uint32_t doors = door_count(space->rows.metric, ef), count;
	struct forest_leaf leaves[DOORS_DOT_MOST];
	if (keep < ef) keep = ef;
	uint64_t scored = 0, budget = effort->budget ? effort->budget : UINT64_MAX;

	if (space->graph.n == 0 || (effort->budget && effort->budget >= space->rows.n)) {
		exact_search(&space->rows, query, 1, pulse, top, work);
		return STATUS_OK;
	}
	/* A brief search asks no other time: one of many that follow each other, or of many segments. */
	if (pulse_stop(pulse)) {
		work->truncated = true;
		return STATUS_OK;
	}
	enum status status = prepare(s, space, keep);
	if (status == STATUS_OK) status = forest_leaves(&space->forest, &space->rows, query, s->forest, doors, leaves, &count);
	if (status != STATUS_OK) return status;
	struct pool pool = {.entries = s->pool, .ef = ef, .keep = keep};
	quant_encode_query(&space->forest.quant, space->rows.metric, space->rows.dim, query, s->query);
	if (absence) (void)first_meeting(&s->met, absence->row);
	for (uint32_t l = 0; l < count && n < budget; l++)
		for (uint32_t i = 0; i < leaves[l].count; i++)
			if (first_meeting(&s->met, leaves[l].first + i)) s->fresh[n++] = leaves[l].first + i;
	if (!wander(space, absence, s, &pool, n, budget, pulse, &scored)) work->truncated = true;
	met_forget(&s->met);
	if (!rerank(space, query, s, &pool, wanted, pulse, top)) work->truncated = true;
	work->candidates += scored;
	return STATUS_OK;
}
