/* tune.c - see tune.h. Two ladders of efforts, for k of 10 (whose best hit also tells of k = 1) and of 100; a ladder ends where nearly everything is
 * found. The curve in between: log(1 - recall) is nearly straight over log(ef). */
#include "worker/engine/tune.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/prng.h"

enum {
	QUERIES = 512,       /* for k of 1 and 10: the standard error at .95 is about .004 */
	QUERIES_WIDE = 128,  /* for k of 100, with as many neighbours to find in all */
	K = 10, K_WIDE = 100,
	TRUTH_EF = 1500,
	TRUTH_EXACT_ROWS = 20000, /* so few are scanned for the truth */
	PIECE = 8,                /* queries */
};
static const float ENOUGH = 0.9996f;
static const double LADDER = 1.35;

struct measuring {
	const struct graph_space *space;
	const struct pulse *pulse;
	uint32_t queries, k;
	uint32_t *rows;    /* [queries] */
	uint64_t *truth;   /* [queries x k] ids, nearest first */
	uint32_t *known;   /* [queries] how many of them */
	struct graph_effort effort;
	bool for_truth;
	uint32_t *found;   /* [queries] of the k nearest */
	uint8_t *first;    /* [queries] the nearest is found */
	uint64_t *scored;  /* [queries] */
	_Atomic int status;
};

static void measure_one(struct measuring *m, uint32_t q, struct graph_scratch *scratch)
{
	const struct rows *rows = &m->space->rows;
	struct hit hits[K_WIDE + 1];
	struct topk top;
	struct search_work work = {0};
	struct query query = {rows_row(rows, m->rows[q]), rows->norm2 ? rows->norm2[m->rows[q]] : 0};
	uint64_t *truth = m->truth + (size_t)q * m->k, self = rows->ids[m->rows[q]];

	/* One more for an exact search, which finds the row itself. */
	topk_init(&top, hits, m->k + m->for_truth);
	enum status status = graph_search(m->space, &query, &m->effort, m->rows[q], m->pulse, scratch, &top, &work);
	if (status == STATUS_OK && work.truncated) status = STATUS_CANCELLED;
	if (status != STATUS_OK) {
		atomic_store(&m->status, status);
		return;
	}
	topk_sort(&top);
	if (m->for_truth) {
		m->known[q] = 0;
		for (size_t i = 0; i < top.count && m->known[q] < m->k; i++)
			if (hits[i].id != self) truth[m->known[q]++] = hits[i].id;
		return;
	}
	m->found[q] = 0;
	for (size_t i = 0; i < top.count; i++)
		for (uint32_t j = 0; j < m->known[q]; j++) m->found[q] += hits[i].id == truth[j];
	m->first[q] = top.count > 0 && m->known[q] > 0 && hits[0].id == truth[0];
	m->scored[q] = work.candidates;
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
	for (uint32_t q = first; q < end && atomic_load(&m->status) == STATUS_OK; q++) measure_one(m, q, scratch);
	graph_scratch_free(&scratch);
}

static enum status measure(struct measuring *m, struct runner *runner)
{
	runner->run(runner, (m->queries + PIECE - 1) / PIECE, measure_piece, m);
	return (enum status)atomic_load(&m->status);
}

static enum status measuring_init(struct measuring *m, const struct graph_space *space, uint64_t seed, uint32_t k, uint32_t queries,
	const struct pulse *pulse)
{
	struct prng chance;

	*m = (struct measuring){.space = space, .pulse = pulse, .k = k, .queries = queries};
	m->rows = malloc(queries * sizeof(*m->rows));
	m->truth = malloc((size_t)queries * k * sizeof(*m->truth));
	m->known = malloc(queries * sizeof(*m->known));
	m->found = malloc(queries * sizeof(*m->found));
	m->first = malloc(queries);
	m->scored = malloc(queries * sizeof(*m->scored));
	if (!m->rows || !m->truth || !m->known || !m->found || !m->first || !m->scored) return STATUS_NO_MEMORY;
	prng_seed3(&chance, seed, k, space->rows.n);
	for (uint32_t q = 0; q < queries; q++) m->rows[q] = prng_below(&chance, space->rows.n);
	return STATUS_OK;
}

static void measuring_release(struct measuring *m)
{
	free(m->rows);
	free(m->truth);
	free(m->known);
	free(m->found);
	free(m->first);
	free(m->scored);
}

/* The means of what was measured. */
static float mean_recall(const struct measuring *m)
{
	uint64_t found = 0, known = 0;

	for (uint32_t q = 0; q < m->queries; q++) {
		found += m->found[q];
		known += m->known[q];
	}
	return known ? (float)((double)found / (double)known) : 1;
}

static float mean_first(const struct measuring *m)
{
	uint64_t found = 0;

	for (uint32_t q = 0; q < m->queries; q++) found += m->first[q];
	return (float)((double)found / m->queries);
}

static float mean_scored(const struct measuring *m)
{
	uint64_t scored = 0;

	for (uint32_t q = 0; q < m->queries; q++) scored += m->scored[q];
	return (float)((double)scored / m->queries);
}

/* Climb from ef = k until nearly everything is found; points are added to efforts, or completed where one of that ef stands. */
static enum status climb(const struct graph_space *space, uint64_t seed, uint32_t k, uint32_t queries, struct runner *runner, const struct pulse *pulse,
	struct tune_effort *efforts, uint32_t *count)
{
	struct measuring m;
	enum status status = measuring_init(&m, space, seed, k, queries, pulse);
	double ef = k;
	bool enough = false;

	if (status == STATUS_OK) {
		m.for_truth = true;
		m.effort = (struct graph_effort){TRUTH_EF, space->rows.n <= TRUTH_EXACT_ROWS ? space->rows.n : 0};
		status = measure(&m, runner);
		m.for_truth = false;
	}
	while (status == STATUS_OK && !enough && ef < TRUTH_EF && *count < TUNE_EFFORTS_MAX) {
		struct tune_effort *e = &efforts[(*count)++];
		m.effort = (struct graph_effort){(uint32_t)ef, 0};
		status = measure(&m, runner);
		if (status != STATUS_OK) break;
		*e = (struct tune_effort){.ef = (uint32_t)ef, .scored = mean_scored(&m)};
		e->recall[k == K_WIDE ? 2 : 1] = mean_recall(&m);
		if (k == K) e->recall[0] = mean_first(&m);
		enough = mean_recall(&m) >= ENOUGH;
		ef = ceil(ef * LADDER);
	}
	measuring_release(&m);
	return status;
}

static int by_ef(const void *a, const void *b)
{
	const struct tune_effort *x = a, *y = b;
	return x->ef < y->ef ? -1 : x->ef > y->ef;
}

enum status tune_measure(const struct graph_space *space, uint64_t seed, struct runner *runner, const struct pulse *pulse,
	struct tune_effort *ret_efforts, uint32_t *ret_count)
{
	struct tune_effort efforts[TUNE_EFFORTS_MAX];
	uint32_t count = 0;
	enum status status = STATUS_OK;

	*ret_count = 0;
	if (space->graph.n == 0) return STATUS_OK;
	status = climb(space, seed, K, QUERIES, runner, pulse, efforts, &count);
	if (status == STATUS_OK) status = climb(space, seed, K_WIDE, QUERIES_WIDE, runner, pulse, efforts, &count);
	if (status != STATUS_OK) return status;
	qsort(efforts, count, sizeof(*efforts), by_ef);
	/* More effort finds no less: chance, and points of the other ladder, are evened out. */
	for (uint32_t i = 1; i < count; i++)
		for (int j = 0; j < TUNE_KS; j++)
			if (efforts[i].recall[j] < efforts[i - 1].recall[j]) efforts[i].recall[j] = efforts[i - 1].recall[j];
	memcpy(ret_efforts, efforts, count * sizeof(*efforts));
	*ret_count = count;
	return STATUS_OK;
}

/* ---- choosing ---- */

/* The ef at which curve j reaches `recall`; 0 if it does not. */
static double ef_for(const struct tune_view *t, int j, float recall)
{
	const struct tune_effort *last = NULL;

	for (uint32_t i = 0; i < t->count; i++) {
		const struct tune_effort *e = &t->efforts[i];
		if (e->recall[j] < recall) {
			if (e->recall[j] > 0) last = e;
			continue;
		}
		if (!last || last->recall[j] >= e->recall[j]) return e->ef;
		/* Recalls of 1 are taken as half a neighbour short of it. */
		double from = log(1 - (double)last->recall[j]), to = log(fmax(1 - (double)e->recall[j], 1e-4)), at = log(fmax(1 - (double)recall, 1e-4));
		double part = from > to ? (at - from) / (to - from) : 1;
		return last->ef * pow((double)e->ef / last->ef, fmin(fmax(part, 0), 1));
	}
	return 0;
}

bool tune_choose(const struct tune_view *t, uint32_t k, float recall, struct graph_effort *ret)
{
	double low, high, ef;
	int j = 0;

	while (j + 1 < TUNE_KS && tune_ks[j + 1] <= k) j++;
	/* Between two measured ks the effort is taken as a power of k, beyond the last as proportional. */
	low = ef_for(t, j, recall);
	high = j + 1 < TUNE_KS ? ef_for(t, j + 1, recall) : 0;
	if (j + 1 == TUNE_KS)
		ef = low * k / tune_ks[j];
	else if (tune_ks[j] == k && low > 0)
		ef = low;
	else if (low > 0 && high > 0)
		ef = low * pow(high / low, log((double)k / tune_ks[j]) / log((double)tune_ks[j + 1] / tune_ks[j]));
	else /* the nearest one alone is told by few queries, a miss of which is much: what finds that share of more finds it of fewer */
		ef = high;
	if (!(ef > 0) || ef > GRAPH_EF_MAX) return false;
	*ret = (struct graph_effort){.ef = (uint32_t)ceil(ef), .budget = 0};
	if (ret->ef < k) ret->ef = k;
	return true;
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
		double from = log(1 - (double)below->recall[j]), to = log(fmax(1 - (double)e->recall[j], 1e-4));
		return 1 - exp(from + fmin(to - from, 0) * log(ef / below->ef) / log((double)e->ef / below->ef));
	}
	return below ? (double)below->recall[j] : 0;
}

double tune_predict(const struct tune_view *t, double k, uint32_t ef)
{
	int j = 0;

	if (!(k > 1)) k = 1;
	while (j + 1 < TUNE_KS && tune_ks[j + 1] <= k) j++;
	/* As in tune_choose(): beyond the last k that was measured efforts are taken as proportional to it. */
	if (j + 1 == TUNE_KS) return recall_at(t, j, ef * tune_ks[j] / k);
	double low = recall_at(t, j, ef), high = recall_at(t, j + 1, ef);
	/* Too small a pool for the next k: then between what this curve says of it and of the part of it that tune_ks[j] would get of k. */
	if (!(high > 0)) return 1 - sqrt((1 - low) * (1 - fmin(recall_at(t, j, ef * tune_ks[j] / k), low)));
	return low + (high - low) * log(k / tune_ks[j]) / log((double)tune_ks[j + 1] / tune_ks[j]);
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
