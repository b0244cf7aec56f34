/* truth.c - one pass over the codes of all rows, several queries to a block. */
#include "worker/engine/truth.h"

#include <stdlib.h>

#include "common/check.h"
#include "worker/engine/exact.h"

enum {
	FOUND = 100 + 1,    /* the most of tune_ks, and the row itself */
	EXACT_PIECE = 8,    /* queries */
	CODED_PIECE = 32,   /* that meet a run of codes while it is in cache */
	/* Of all rows so many are scored exactly. Codes tell least of products, where long rows stand for most of their range. */
	KEPT = 400, KEPT_DOT = 1200, ROOM = 4096, RUN = 512,
	CHECKED = TRUTH_ROWS_LEAST,
};

struct finding {
	const struct graph_space *space;
	const uint32_t *asking; /* [count] rows */
	uint32_t count;
	const struct pulse *pulse;
	bool exactly; /* from all rows */
	struct truth *truth; /* [count] */
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

/* score << 32 | row, in no order. */
struct nearest { uint64_t keys[ROOM]; uint32_t count, kept; uint64_t most; /* none as large is wanted any more */ };

static int by_key(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void nearest_cut(struct nearest *n)
{
	qsort(n->keys, n->count, sizeof(*n->keys), by_key);
	if (n->count <= n->kept) return;
	n->count = n->kept;
	n->most = n->keys[n->kept - 1];
}

/* A run of rows, at most RUN. */
static void nearest_add(struct nearest *n, const struct codes *c, const uint8_t *query, uint32_t first, uint32_t count)
{
	struct codes run = {c->metric, c->stride, c->base + (size_t)first * c->stride};
	uint32_t scores[RUN];

	quant_score(&run, query, NULL, count, scores);
	for (uint32_t i = 0; i < count; i++)
		if (scores[i] <= n->most >> 32) n->keys[n->count++] = (uint64_t)scores[i] << 32 | (first + i);
	if (n->count > n->kept + 2 * RUN) nearest_cut(n);
}

static void truth_of_one(const struct finding *f, uint32_t q, struct nearest *near, struct truth *ret)
{
	const struct rows *rows = &f->space->rows;
	struct query query = rows_query(rows, f->asking[q]);
	struct hit hits[FOUND];
	struct topk top;

	topk_init(&top, hits, FOUND);
	nearest_cut(near);
	for (uint32_t i = 0; i < near->count; i++) {
		uint32_t row = (uint32_t)near->keys[i];
		struct query of = rows_query(rows, row);
		topk_push(&top, (struct hit){rows->ids[row], vec_raw(rows->metric, of.row, of.norm2, query.row, query.norm2, rows->dim)});
	}
	keep_truth(f, q, &top, ret);
}

static bool coded_truth(struct finding *f, uint32_t first, uint32_t n)
{
	const struct rows *rows = &f->space->rows;
	const struct codes *codes = &f->space->codes;
	struct nearest *near = calloc(n, sizeof(*near));
	uint8_t *queries = aligned_alloc(CODE_ALIGN, (size_t)n * codes->stride);
	bool done = near && queries;

	if (!done) atomic_store(&f->status, STATUS_NO_MEMORY);
	for (uint32_t i = 0; done && i < n; i++) {
		struct query query = rows_query(rows, f->asking[first + i]);
		quant_encode_query(&f->space->forest.quant, rows->metric, rows->dim, &query, queries + (size_t)i * codes->stride);
		near[i].kept = rows->metric == METRIC_DOT ? KEPT_DOT : KEPT;
		near[i].most = UINT64_MAX;
	}
	for (uint32_t at = 0; done && at < rows->n; at += RUN) {
		uint32_t count = rows->n - at < RUN ? rows->n - at : RUN;
		for (uint32_t i = 0; i < n; i++) nearest_add(&near[i], codes, queries + (size_t)i * codes->stride, at, count);
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

/* Whether the codes lead to the truth. */
static bool codes_tell(struct finding *f)
{
	struct truth exact[CHECKED];
	uint32_t step = f->count / CHECKED;
	unsigned wrong = 0;

	for (uint32_t first = 0; first < CHECKED; first += EXACT_PIECE)
		if (!exact_truth(f, first * step, step, EXACT_PIECE, exact + first)) return true; /* f->status says more */
	for (uint32_t i = 0; i < CHECKED; i++)
		for (int j = 0; j < TUNE_KS; j++) wrong += exact[i].last[j] < f->truth[i * step].last[j];
	return wrong == 0;
}

enum status truth_find(const struct graph_space *space, const uint32_t *rows, uint32_t count, struct runner *runner, const struct pulse *pulse,
	struct truth *ret)
{
	struct finding f = {.space = space, .asking = rows, .count = count, .pulse = pulse, .truth = ret};

	require(count >= CHECKED);
	enum status status = all_truth(&f, runner);
	if (status != STATUS_OK || codes_tell(&f)) return (enum status)atomic_load(&f.status);
	f.exactly = true;
	return all_truth(&f, runner);
}
