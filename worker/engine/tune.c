/* tune.c - see tune.h. Two ladders of efforts, for k of 10 (whose best hit also tells of k = 1) and of 100; a ladder ends where nearly everything is
 * found. The curve in between: log(1 - recall) is nearly straight over log(ef). */
#include "worker/engine/tune.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/prng.h"
#include "worker/engine/held_out.h"
#include "worker/engine/truth.h"

enum {
	QUERIES = TUNE_ROWS,       /* for k of 1 and 10, no more than GRAPH_ROWS_MIN: the standard error at .95 is about .003, at worst (all is found or nothing) .007 */
	QUERIES_WIDE = 120,  /* of them for k of 100, with as many neighbours to find in all */
	K = 10, K_WIDE = 100,
	EF_LEAST = 2, EF_LEAST_WIDE = 3, EF_CURVED = 5, EF_MOST = 6000,
	SCORED_PART = 3, /* nor more of the rows than one in so many: then a scan is as good */
	SETTLED = 2,         /* rungs */
	PIECE = 8,           /* queries */
};
_Static_assert((int)QUERIES <= (int)GRAPH_ROWS_MIN && QUERIES % QUERIES_WIDE == 0, "each query is another row, and some of them are chosen by steps");
static const double ENOUGH = 0.9996;
static const double LADDER = 1.6;

/* What one query found of the k nearest, and whether the nearest; and on how many rungs, the last ones, it found them all. */
struct got { double scored; uint32_t found, whole; bool first; };

struct measuring {
	const struct graph_space *space;
	const struct pulse *pulse;
	uint32_t *rows;    /* [QUERIES] */
	struct truth *truth;
	struct held_out *held;
	/* A rung of a ladder. */
	uint32_t queries, k;
	struct graph_effort effort;
	uint32_t *asking;  /* [QUERIES] */
	struct got *got;   /* [QUERIES] */
	_Atomic int status;
};

static bool fail(struct measuring *m, enum status status)
{
	atomic_store(&m->status, status);
	return false;
}

/* ---- a rung ---- */

static bool measure_one(struct measuring *m, uint32_t q, struct graph_scratch *scratch, struct got *ret)
{
	struct graph_absence absence = held_out_absence(m->held, q);
	const struct truth *truth = &m->truth[q];
	struct query query = rows_query(&m->space->rows, m->rows[q]);
	struct search_work work = {0};
	struct hit hits[K_WIDE];
	struct topk top;

	topk_init(&top, hits, m->k);
	enum status status = graph_search(m->space, &query, &m->effort, &absence, m->pulse, scratch, &top, &work);
	if (status == STATUS_OK && work.truncated) status = STATUS_CANCELLED;
	if (status != STATUS_OK) return fail(m, status);
	*ret = (struct got){.scored = (double)work.candidates, .whole = ret->whole};
	for (size_t i = 0; i < top.count; i++) {
		ret->found += hits[i].raw <= truth->last[m->k == K_WIDE ? 2 : 1];
		ret->first |= hits[i].raw <= truth->last[0];
	}
	ret->whole = ret->found >= m->k ? ret->whole + 1 : 0;
	return true;
}

static void measure_piece(void *arg, size_t piece)
{
	struct measuring *m = arg;
	uint32_t first = (uint32_t)piece * PIECE, end = m->queries - first < PIECE ? m->queries : first + PIECE;
	struct graph_scratch *scratch = NULL;

	if (atomic_load(&m->status) != STATUS_OK) return;
	if (graph_scratch_new(&scratch) != STATUS_OK) {
		atomic_store(&m->status, STATUS_NO_MEMORY);
		return;
	}
	for (uint32_t q = first; q < end && atomic_load(&m->status) == STATUS_OK; q++)
		if (!measure_one(m, m->asking[q], scratch, &m->got[m->asking[q]])) break;
	graph_scratch_free(&scratch);
}

/* Rows evenly over their order, which is that of tree 0: each part of the set has its share. */
static enum status measuring_init(struct measuring *m, const struct graph_space *space, uint64_t seed, struct runner *runner, const struct pulse *pulse)
{
	struct prng chance;

	*m = (struct measuring){.space = space, .pulse = pulse};
	m->rows = malloc(QUERIES * sizeof(*m->rows));
	m->truth = malloc(QUERIES * sizeof(*m->truth));
	m->asking = malloc(QUERIES * sizeof(*m->asking));
	m->got = malloc(QUERIES * sizeof(*m->got));
	if (!m->rows || !m->truth || !m->asking || !m->got) return STATUS_NO_MEMORY;
	prng_seed3(&chance, seed, K, space->rows.n);
	for (uint32_t q = 0; q < QUERIES; q++) {
		uint32_t first = (uint32_t)((uint64_t)space->rows.n * q / QUERIES), end = (uint32_t)((uint64_t)space->rows.n * (q + 1) / QUERIES);
		m->rows[q] = first + prng_below(&chance, end - first);
	}
	return held_out_new(&space->codes, &space->graph, m->rows, QUERIES, runner, &m->held);
}

static void measuring_release(struct measuring *m)
{
	free(m->rows);
	free(m->truth);
	free(m->asking);
	free(m->got);
	held_out_free(&m->held);
}

/* ---- a ladder ---- */

/* The means over each step-th query. */
struct means { double recall, first, scored; };

static struct means means_of(const struct measuring *m, uint32_t step)
{
	struct means sum = {0};
	uint32_t queries = QUERIES / step;

	for (uint32_t q = 0; q < QUERIES; q += step) {
		sum.recall += m->got[q].found;
		sum.first += m->got[q].first;
		sum.scored += m->got[q].scored;
	}
	return (struct means){sum.recall / ((double)queries * m->k), sum.first / queries, sum.scored / queries};
}

/* All queries that are not settled ask once. One is settled when it found all it should on two rungs in a row: with more effort it finds no less, but for
 * a few in ten thousand, and scores as much more as the others do. Where most is found few are left to ask, and the upper rungs are the dear ones. */
static enum status ask(struct measuring *m, uint32_t step, struct runner *runner)
{
	double before = 0, after = 0;
	uint32_t count = 0;

	for (uint32_t q = 0; q < QUERIES; q += step) {
		if (m->got[q].whole >= SETTLED) continue;
		m->asking[count++] = q;
		before += m->got[q].scored;
	}
	m->queries = count;
	runner->run(runner, (count + PIECE - 1) / PIECE, measure_piece, m);
	for (uint32_t i = 0; i < count; i++) after += m->got[m->asking[i]].scored;
	for (uint32_t q = 0, i = 0; before > 0 && q < QUERIES; q += step) { /* but on the first rung */
		if (i < count && m->asking[i] == q)
			i++;
		else
			m->got[q].scored *= after / before;
	}
	return (enum status)atomic_load(&m->status);
}

/* At first one by one: a search expands three rows at a time, and what it finds rises in steps that no curve tells. */
static double rung_after(double ef) { return ef < EF_CURVED ? ef + 1 : ceil(ef * LADDER); }

/* Climb until nearly everything is found, or it costs too much; points are added to efforts. */
static enum status climb(struct measuring *m, uint32_t k, uint32_t queries, double ef, struct runner *runner, struct tune_effort *efforts,
	uint32_t *count)
{
	enum status status = STATUS_OK;
	uint32_t n = m->space->rows.n, step = QUERIES / queries;
	bool enough = false;

	m->k = k;
	memset(m->got, 0, QUERIES * sizeof(*m->got));
	for (; !enough && ef < EF_MOST && ef < n && *count < TUNE_EFFORTS_MAX; ef = rung_after(ef)) {
		m->effort = (struct graph_effort){(uint32_t)ef, 0};
		status = ask(m, step, runner);
		if (status != STATUS_OK) break;
		struct means means = means_of(m, step);
		struct tune_effort *e = &efforts[(*count)++];
		*e = (struct tune_effort){.ef = (uint32_t)ef, .scored = (float)means.scored};
		e->recall[k == K_WIDE ? 2 : 1] = (float)means.recall;
		if (k == K) e->recall[0] = (float)means.first;
		enough = means.recall >= ENOUGH || means.scored * SCORED_PART > n;
	}
	return status;
}

/* Curve j at ef; 0 if it was not measured so low. */
static double recall_at(const struct tune_view *t, int j, double ef)
{
	const struct tune_effort *below = NULL;

	for (uint32_t i = 0; i < t->count; i++) {
		const struct tune_effort *e = &t->efforts[i];
		if (!(e->recall[j] > 0)) continue;
		if (e->ef <= ef) {
			below = e;
			continue;
		}
		if (!below) return 0;
		if (below->recall[j] >= e->recall[j]) return (double)below->recall[j];
		/* Recalls of 1 are taken as half a neighbour short of it. */
		double from = log(1 - (double)below->recall[j]), to = log(fmax(1 - (double)e->recall[j], 1e-4));
		return 1 - exp(from + fmin(to - from, 0) * log(ef / below->ef) / log((double)e->ef / below->ef));
	}
	return below ? (double)below->recall[j] : 0;
}

static int by_ef(const void *a, const void *b)
{
	const struct tune_effort *x = a, *y = b;
	return x->ef < y->ef ? -1 : x->ef > y->ef;
}

/* The ladders have the same rungs, of which one has more at either end; the other's curve is level there, or unknown. And more effort finds no less: chance
 * is evened out. How many points are left of `count`, ascending, of which two may be of one rung. */
static uint32_t join_ladders(struct tune_effort *efforts, uint32_t count)
{
	struct tune_effort measured[TUNE_EFFORTS_MAX];
	const struct tune_view t = {count, measured};
	uint32_t rungs = 0;

	memcpy(measured, efforts, count * sizeof(*efforts));
	for (uint32_t i = 0; i < count; i++) {
		struct tune_effort e = measured[i];
		if (i > 0 && e.ef == measured[i - 1].ef) continue;
		if (i + 1 < count && e.ef == measured[i + 1].ef && !(e.recall[0] > 0)) e.scored = measured[i + 1].scored; /* told by more rows */
		for (int j = 0; j < TUNE_KS; j++) {
			e.recall[j] = (float)recall_at(&t, j, e.ef);
			if (rungs > 0 && e.recall[j] < efforts[rungs - 1].recall[j]) e.recall[j] = efforts[rungs - 1].recall[j];
		}
		efforts[rungs++] = e;
	}
	return rungs;
}

enum status tune_measure(const struct graph_space *space, uint64_t seed, struct runner *runner, const struct pulse *pulse,
	struct tune_effort *ret_efforts, uint32_t *ret_count)
{
	struct tune_effort efforts[TUNE_EFFORTS_MAX];
	struct measuring m;
	uint32_t count = 0;
	enum status status;

	*ret_count = 0;
	if (space->graph.n == 0) return STATUS_OK;
	status = measuring_init(&m, space, seed, runner, pulse);
	if (status == STATUS_OK) status = truth_find(space, m.rows, QUERIES, runner, pulse, m.truth);
	if (status == STATUS_OK) status = climb(&m, K, QUERIES, EF_LEAST, runner, efforts, &count);
	if (status == STATUS_OK) status = climb(&m, K_WIDE, QUERIES_WIDE, EF_LEAST_WIDE, runner, efforts, &count);
	measuring_release(&m);
	if (status != STATUS_OK) return status;
	qsort(efforts, count, sizeof(*efforts), by_ef);
	count = join_ladders(efforts, count);
	memcpy(ret_efforts, efforts, count * sizeof(*efforts));
	*ret_count = count;
	return STATUS_OK;
}

/* ---- choosing ---- */

double tune_share(double k, double part) { return fmax((k + 1) * part - 1, 1); }

double tune_predict(const struct tune_view *t, double k, double ef)
{
	int j = 0;

	if (!(k > 1)) k = 1;
	while (j + 1 < TUNE_KS && tune_ks[j + 1] <= k) j++;
	/* Beyond the last k that was measured efforts are taken as proportional to it. */
	if (j + 1 == TUNE_KS) return recall_at(t, j, ef * tune_ks[j] / k);
	double low = recall_at(t, j, ef), high = recall_at(t, j + 1, ef);
	/* Too small a pool for the next k: then between what this curve says of it and of the part of it that tune_ks[j] would get of k. */
	if (!(high > 0)) return 1 - sqrt((1 - low) * (1 - fmin(recall_at(t, j, ef * tune_ks[j] / k), low)));
	/* The nearest one alone is told by few queries, a miss of which is much; but what finds that share of more finds it of fewer. */
	if (low < high) low = high;
	/* The r-th nearest is found the less often the larger r, about in proportion, and so is the mean over the nearest k. */
	return low + (high - low) * (k - tune_ks[j]) / (tune_ks[j + 1] - tune_ks[j]);
}

/* Never falls with ef but where a curve begins (tune_predict()), and there what is found by halving is enough, if not the least. */
bool tune_choose(const struct tune_view *t, double k, float recall, struct graph_effort *ret)
{
	uint32_t low = 0, high;

	if (!t->count) return false;
	/* Beyond the last k that was measured efforts are taken as proportional to it. */
	double most = t->efforts[t->count - 1].ef * fmax(k / tune_ks[TUNE_KS - 1], 1);
	high = most < GRAPH_EF_MAX ? (uint32_t)ceil(most) : GRAPH_EF_MAX;
	if (tune_predict(t, k, high) < (double)recall) return false;
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		if (tune_predict(t, k, middle) < (double)recall)
			low = middle;
		else
			high = middle;
	}
	*ret = (struct graph_effort){.ef = high, .budget = 0};
	return true;
}

uint64_t tune_scored(const struct tune_view *t, uint32_t ef)
{
	uint32_t i = 0;

	while (i + 1 < t->count && t->efforts[i].ef < ef) i++;
	if (t->count == 0) return ef;
	double scored = t->efforts[i].scored;
	/* Beyond what was measured: in proportion. */
	return (uint64_t)(ef > t->efforts[i].ef ? scored * ef / t->efforts[i].ef : scored);
}

bool tune_check(const struct tune_view *t)
{
	if (t->count > TUNE_EFFORTS_MAX) return false;
	for (uint32_t i = 0; i < t->count; i++) {
		const struct tune_effort *e = &t->efforts[i];
		if (e->ef < 1 || e->ef > GRAPH_EF_MAX || !(e->scored >= 0) || !isfinite(e->scored)) return false;
		if (i > 0 && e->ef < t->efforts[i - 1].ef) return false;
		for (int j = 0; j < TUNE_KS; j++) {
			if (!(e->recall[j] >= 0 && e->recall[j] <= 1)) return false;
			if (i > 0 && e->recall[j] < t->efforts[i - 1].recall[j]) return false;
		}
	}
	return true;
}
