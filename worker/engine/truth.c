/* truth.c - one pass over all rows, several queries to a run of them: over the coarse codes first (coarse.h), where codes have such, then over the codes of
 * the rows that may be near enough, then exactly over the nearest of those. */
#include "worker/engine/truth.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "worker/engine/coarse.h"
#include "worker/engine/exact.h"
#include "worker/engine/knn.h"

enum {
	FOUND = 100 + 1,    /* the most of tune_ks, and the row itself */
	EXACT_PIECE = 8,    /* queries */
	CODED_PIECE = 32,   /* that meet a run of codes while it is in cache */
	/* Of all rows so many are scored exactly. Codes tell least of products, where long rows stand for most of their range. */
	KEPT = 400, KEPT_DOT = 1200,
	RUN = 512,          /* rows */
	SPARE = 256,        /* nearest that are waited for before the farthest are dropped */
	ROOM = KEPT_DOT + SPARE + RUN,
	RESTING = 3,        /* runs */
	CHECKED = TRUTH_ROWS_LEAST, CHECKED_PIECE = 4,
};
_Static_assert(CHECKED % CHECKED_PIECE == 0 && (int)CHECKED_PIECE <= (int)EXACT_PIECE && RUN % 8 == 0, "pieces are whole");

struct finding {
	const struct graph_space *space;
	const uint32_t *asking; /* [count] rows */
	uint32_t count;
	const struct pulse *pulse;
	bool exactly; /* from all rows */
	struct coarse *coarse; /* NULL: there is none */
	struct truth *truth; /* [count] */
	struct truth checked[CHECKED];
	_Atomic int status;
};

static bool fail(struct finding *f, enum status status)
{
	atomic_store(&f->status, status);
	return false;
}

/* From the nearest rows, of which the row itself is one. */
static void keep_truth(const struct finding *f, uint32_t q, struct topk *top, struct truth *ret)
{
	uint64_t self = f->space->rows.ids[f->asking[q]];
	uint32_t rank = 0;

	topk_sort(top);
	for (int j = 0; j < TUNE_KS; j++) ret->last[j] = top->count ? top->hits[top->count - 1].raw : 0;
	for (size_t i = 0; i < top->count; i++) {
		if (top->hits[i].id == self) continue;
		rank++;
		for (int j = 0; j < TUNE_KS; j++)
			if (rank == tune_ks[j]) ret->last[j] = top->hits[i].raw;
	}
}

/* ---- from all rows ---- */

/* For the queries first, first + step, .. */
static bool exact_truth(struct finding *f, uint32_t first, uint32_t step, uint32_t n, struct truth *ret)
{
	struct hit hits[EXACT_PIECE][FOUND];
	struct query queries[EXACT_PIECE] = {{0}};
	struct topk tops[EXACT_PIECE];
	struct search_work works[EXACT_PIECE] = {{0}};

	for (uint32_t i = 0; i < n; i++) {
		queries[i] = rows_query(&f->space->rows, f->asking[first + i * step]);
		topk_init(&tops[i], hits[i], FOUND);
	}
	exact_search(&f->space->rows, queries, n, f->pulse, tops, works);
	for (uint32_t i = 0; i < n; i++) {
		if (works[i].truncated) return fail(f, STATUS_CANCELLED);
		keep_truth(f, first + i * step, &tops[i], &ret[i]);
	}
	return true;
}

/* ---- from the nearest by their codes ---- */

/* The rows nearest so far and some more, in no order. */
struct nearest {
	knn_key keys[ROOM];
	uint32_t count, kept;
	uint32_t most; /* none that is farther is wanted any more, */
	uint32_t coarse_most; /* and so by the coarse codes */
	uint32_t rest; /* runs for which coarse codes are not asked, since they passed over few rows */
};

/* A query in both codes. */
struct coded { const uint8_t *code, *coarse; };

static void nearest_cut(const struct finding *f, struct nearest *n)
{
	if (n->count < n->kept) return;
	n->most = knn_apart(knn_select(n->keys, n->count, n->kept));
	n->count = n->kept;
	if (f->coarse) n->coarse_most = coarse_most(f->coarse, n->most);
}

/* Which of the scores are at most that, in their order; few are, and the others are passed over eight at a time. */
static uint32_t find_within(const uint32_t *scores, uint32_t count, uint32_t most, uint32_t *ret)
{
	uint8_t within[RUN];
	uint32_t found = 0;

	for (uint32_t i = 0; i < count; i++) within[i] = scores[i] <= most;
	memset(within + count, 0, RUN - count);
	for (uint32_t first = 0; first < count; first += 8) {
		uint64_t some;
		memcpy(&some, within + first, sizeof(some));
		for (; some; some &= some - 1) ret[found++] = first + (uint32_t)__builtin_ctzll(some) / 8;
	}
	return found;
}

/* Whether a run's coarse codes are worth a look. */
static bool coarse_helps(const struct finding *f, struct nearest *n)
{
	if (n->rest == 0) return f->coarse && n->coarse_most < UINT32_MAX;
	n->rest--;
	return false;
}

/* Rows of a run that may be near enough by their coarse codes; how many. */
static uint32_t find_some(const struct finding *f, struct nearest *n, const uint8_t *coarse, uint32_t first, uint32_t count, uint32_t *ret)
{
	struct codes run = coarse_codes(f->coarse);
	uint32_t scores[RUN];

	run.base += (size_t)first * run.stride;
	quant_apart(&run, coarse, NULL, count, scores);
	uint32_t some = find_within(scores, count, n->coarse_most, ret);
	/* The same bytes are read as without, or more. */
	if ((uint64_t)some * f->space->codes.stride >= (uint64_t)count * (f->space->codes.stride - COARSE_STRIDE)) n->rest = RESTING;
	return some;
}

/* A run of rows, at most RUN. */
static void nearest_add(const struct finding *f, struct nearest *n, struct coded query, uint32_t first, uint32_t count)
{
	const struct codes *c = &f->space->codes;
	struct codes run = {c->metric, c->stride, c->base + (size_t)first * c->stride};
	uint32_t scores[RUN], some[RUN] = {0}, near[RUN];
	const uint32_t *which = NULL;

	if (coarse_helps(f, n)) {
		count = find_some(f, n, query.coarse, first, count, some);
		which = some;
	}
	quant_score(&run, query.code, which, count, scores);
	uint32_t found = find_within(scores, count, n->most, near);
	for (uint32_t i = 0; i < found; i++) n->keys[n->count++] = knn_key_of(scores[near[i]], first + (which ? which[near[i]] : near[i]));
	if (n->count >= (n->most == UINT32_MAX ? n->kept : n->kept + SPARE)) nearest_cut(f, n);
}

static void truth_of_one(const struct finding *f, uint32_t q, struct nearest *near, struct truth *ret)
{
	const struct rows *rows = &f->space->rows;
	struct query query = rows_query(rows, f->asking[q]);
	struct hit hits[FOUND];
	struct topk top;

	topk_init(&top, hits, FOUND);
	nearest_cut(f, near);
	for (uint32_t i = 0; i < near->count; i++) {
		uint32_t row = knn_row(near->keys[i]);
		struct query of = rows_query(rows, row);
		topk_push(&top, (struct hit){rows->ids[row], vec_raw(rows->metric, of.row, of.norm2, query.row, query.norm2, rows->dim)});
	}
	keep_truth(f, q, &top, ret);
}

/* The codes of some queries, one after the other, and then their coarse codes. */
static uint8_t *queries_new(const struct finding *f, uint32_t first, uint32_t n)
{
	const struct rows *rows = &f->space->rows;
	uint32_t stride = f->space->codes.stride;
	uint8_t *codes = aligned_alloc(CODE_ALIGN, (size_t)n * (stride + COARSE_STRIDE));

	for (uint32_t i = 0; codes && i < n; i++) {
		struct query query = rows_query(rows, f->asking[first + i]);
		quant_encode_query(&f->space->forest.quant, rows->metric, rows->dim, &query, codes + (size_t)i * stride);
		if (f->coarse) coarse_encode(f->coarse, codes + (size_t)i * stride, codes + (size_t)n * stride + (size_t)i * COARSE_STRIDE);
	}
	return codes;
}

/* Begins where the queries stand: rows in the order of tree 0 have near ones beside them, and what is farther need not be kept. */
static bool coded_truth(struct finding *f, uint32_t first, uint32_t n)
{
	const struct rows *rows = &f->space->rows;
	uint32_t stride = f->space->codes.stride, runs = (rows->n + RUN - 1) / RUN, nearby = f->asking[first] / RUN;
	struct nearest *near = calloc(n, sizeof(*near));
	uint8_t *queries = queries_new(f, first, n);
	bool done = near && queries;

	if (!done) atomic_store(&f->status, STATUS_NO_MEMORY);
	for (uint32_t i = 0; done && i < n; i++) {
		near[i].kept = rows->metric == METRIC_DOT ? KEPT_DOT : KEPT;
		near[i].most = near[i].coarse_most = UINT32_MAX;
	}
	for (uint32_t run = 0; done && run < runs; run++) {
		uint32_t at = (nearby + run) % runs * RUN, count = rows->n - at < RUN ? rows->n - at : RUN;
		for (uint32_t i = 0; i < n; i++) {
			struct coded query = {queries + (size_t)i * stride, queries + (size_t)n * stride + (size_t)i * COARSE_STRIDE};
			nearest_add(f, &near[i], query, at, count);
		}
		if (pulse_stop(f->pulse)) done = fail(f, STATUS_CANCELLED);
	}
	for (uint32_t i = 0; done && i < n; i++) truth_of_one(f, first + i, &near[i], &f->truth[first + i]);
	free(near);
	free(queries);
	return done;
}

/* ---- both ---- */

static void truth_piece(void *arg, size_t piece)
{
	struct finding *f = arg;
	uint32_t first = (uint32_t)piece * CODED_PIECE, end = f->count - first < CODED_PIECE ? f->count : first + CODED_PIECE;

	if (atomic_load(&f->status) != STATUS_OK) return;
	if (!f->exactly) (void)coded_truth(f, first, end - first);
	for (uint32_t q = first; f->exactly && q < end; q += EXACT_PIECE)
		if (!exact_truth(f, q, 1, end - q < EXACT_PIECE ? end - q : EXACT_PIECE, f->truth + q)) break;
}

static enum status all_truth(struct finding *f, struct runner *runner)
{
	runner->run(runner, (f->count + CODED_PIECE - 1) / CODED_PIECE, truth_piece, f);
	return (enum status)atomic_load(&f->status);
}

static void check_piece(void *arg, size_t piece)
{
	struct finding *f = arg;
	uint32_t step = f->count / CHECKED, first = (uint32_t)piece * CHECKED_PIECE;

	if (atomic_load(&f->status) == STATUS_OK) (void)exact_truth(f, first * step, step, CHECKED_PIECE, f->checked + first);
}

/* Whether the codes lead to the truth. */
static bool codes_tell(struct finding *f, struct runner *runner)
{
	uint32_t step = f->count / CHECKED;
	unsigned wrong = 0;

	runner->run(runner, CHECKED / CHECKED_PIECE, check_piece, f);
	if (atomic_load(&f->status) != STATUS_OK) return true; /* it says more */
	for (uint32_t i = 0; i < CHECKED; i++)
		for (int j = 0; j < TUNE_KS; j++) wrong += f->checked[i].last[j] < f->truth[i * step].last[j];
	return wrong == 0;
}

/* Products are not told by distances, nor sums of distances by those of squares. */
static bool scan_is_coarse(const struct graph_space *space)
{
	enum metric m = space->codes.metric;
	return (m == METRIC_EUCLIDEAN || m == METRIC_ANGULAR) && space->codes.stride > COARSE_STRIDE;
}

enum status truth_find(const struct graph_space *space, const uint32_t *rows, uint32_t count, struct runner *runner, const struct pulse *pulse,
	struct truth *ret)
{
	struct finding f = {.space = space, .asking = rows, .count = count, .pulse = pulse, .truth = ret};

	require(count >= CHECKED);
	enum status status = scan_is_coarse(space) ? coarse_new(&space->codes, space->rows.n, runner, &f.coarse) : STATUS_OK;
	if (status == STATUS_OK) status = all_truth(&f, runner);
	coarse_free(&f.coarse);
	if (status != STATUS_OK || codes_tell(&f, runner)) return status == STATUS_OK ? (enum status)atomic_load(&f.status) : status;
	f.exactly = true;
	return all_truth(&f, runner);
}
