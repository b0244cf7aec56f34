/* shard_search.c - what readers do with a shard: pin a snapshot, search it, get from it. Nothing here waits for the writer but for the few
 * assignments under the lock. */
#include "worker/shard_internal.h"

#include <stdlib.h>

#include "worker/engine/exact.h"
#include "worker/engine/graph.h"

enum { POOL_OF_BUDGET = 4 /* where a budget is named, the pool is so much smaller: it seldom fills before the budget is spent */ };

struct search_scratch { struct forest_scratch *forest; struct graph_scratch *graph; };

enum status search_scratch_new(struct search_scratch **ret)
{
	struct search_scratch *s = calloc(1, sizeof(*s));
	enum status status = s ? forest_scratch_new(&s->forest) : STATUS_NO_MEMORY;

	if (status == STATUS_OK) status = graph_scratch_new(&s->graph);
	if (status == STATUS_OK)
		*ret = s;
	else
		search_scratch_free(&s);
	return status;
}

void search_scratch_free(struct search_scratch **scratch)
{
	if (!*scratch) return;
	forest_scratch_free(&(*scratch)->forest);
	graph_scratch_free(&(*scratch)->graph);
	free(*scratch);
	*scratch = NULL;
}

enum status snapshot_pin(struct shard *s, struct snapshot **ret, struct report *report)
{
	struct snapshot *snap = malloc(sizeof(*snap));
	struct report why = {0};

	if (!snap) return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	pthread_mutex_lock(&s->lock);
	if (s->state == SHARD_STOPPED) {
		why = s->reason;
	} else {
		*snap = (struct snapshot){.view = s->view, .sequence = s->sequence, .items = s->items, .active_rows = s->active_rows};
		atomic_fetch_add(&s->view->refs, 1);
	}
	pthread_mutex_unlock(&s->lock);
	if (why.status == STATUS_OK) {
		*ret = snap;
		return STATUS_OK;
	}
	free(snap);
	return report_set(report, why.status == STATUS_CORRUPT ? STATUS_CORRUPT : STATUS_STOPPED, "%s", report_text(&why));
}

void snapshot_release(struct snapshot **snap)
{
	if (!*snap) return;
	view_release(&(*snap)->view);
	free(*snap);
	*snap = NULL;
}

uint64_t snapshot_items(const struct snapshot *snap) { return snap->items; }
uint64_t snapshot_sequence(const struct snapshot *snap) { return snap->sequence; }

uint32_t snapshot_memtable_rows(const struct snapshot *snap, uint32_t i)
{
	return i + 1 == snap->view->memtable_count ? snap->active_rows : snap->view->frozen_rows[i];
}

static struct rows segment_live_rows(const struct snapshot *snap, uint32_t i)
{
	const struct live_segment *live = snap->view->segments[i];
	struct rows rows = segment_rows(live->segment);

	if (atomic_load_explicit(&live->live.dead, memory_order_relaxed)) {
		rows.dead_at = live->live.dead_at;
		rows.dead_words = live->live.dead_words;
	}
	rows.at = snap->sequence;
	return rows;
}

static double snapshot_rows(const struct snapshot *snap)
{
	const struct view *v = snap->view;
	double rows = 0;

	for (uint32_t i = 0; i < v->memtable_count; i++) rows += snapshot_memtable_rows(snap, i);
	for (uint32_t i = 0; i < v->segment_count; i++) rows += (double)segment_rows(v->segments[i]->segment).n;
	return rows;
}

/* What part of the rows of all shards a segment has: the shards are taken to be of one size. */
static double segment_part(const struct snapshot *snap, uint32_t i, const struct search_spec *spec)
{
	return (double)segment_rows(snap->view->segments[i]->segment).n / (snapshot_rows(snap) * (spec->spread ? spec->spread : 1));
}

/* How one segment is searched. */
struct plan { enum search_mode mode; uint64_t budget; struct graph_effort effort; double predicted; /* of a recall's effort */ };

/* What finds the recall among k, and what it is predicted to find. False: nothing that was measured is enough. */
static bool choose_effort(struct live_segment *live, const struct tune_view *tune, double k, float recall, struct plan *plan)
{
	struct graph_effort effort = {0};

	pthread_mutex_lock(&live->memo_lock);
	struct effort_memo memo = live->memo;
	pthread_mutex_unlock(&live->memo_lock);
	if (memo.k != k || memo.recall != recall) {
		memo = (struct effort_memo){.k = k, .recall = recall};
		if (tune_choose(tune, k, recall, &effort)) {
			memo.ef = effort.ef;
			memo.predicted = tune_predict(tune, k, effort.ef);
		}
		pthread_mutex_lock(&live->memo_lock);
		live->memo = memo;
		pthread_mutex_unlock(&live->memo_lock);
	}
	plan->effort = (struct graph_effort){.ef = memo.ef};
	plan->predicted = memo.predicted;
	return memo.ef > 0;
}

/* The caller's effort for this segment. A segment without a graph - a small one, or of bits - is scanned, unless a budget was named. Where no effort
 * that was measured finds as much as is wanted, all rows are scanned. The segment has that part of all rows of the index. */
static struct plan plan_segment(struct live_segment *live, const struct search_spec *spec, uint64_t budget, double part)
{
	struct ann_view ann = segment_ann(live->segment);
	struct plan plan = {.mode = spec->mode, .budget = budget};

	if (budget >= ann.forest.n) plan.mode = SEARCH_EXACT;
	if (plan.mode != SEARCH_GRAPH) return plan;
	if (spec->search_k && !ann.graph.n) {
		plan.mode = SEARCH_FOREST;
	} else if (spec->search_k) {
		uint64_t ef = budget / POOL_OF_BUDGET;
		plan.effort = (struct graph_effort){ef < spec->k ? spec->k : ef < GRAPH_EF_MAX ? (uint32_t)ef : GRAPH_EF_MAX, budget};
	} else if (!ann.graph.n || !choose_effort(live, &ann.tune, tune_share(spec->k, part), spec->recall, &plan)) {
		plan.mode = SEARCH_EXACT;
	}
	return plan;
}

static enum status search_segment(struct snapshot *snap, uint32_t i, const struct plan *plan, const struct query *queries, size_t nq, const struct pulse *pulse,
	struct search_scratch *scratch, struct topk *tops, struct search_work *works)
{
	const struct live_segment *live = snap->view->segments[i];
	struct rows rows = segment_live_rows(snap, i);
	struct ann_view ann = segment_ann(live->segment);
	struct graph_space space = ann_space(&ann, &rows, atomic_load_explicit(&live->live.dead, memory_order_relaxed));
	enum status status = STATUS_OK;

	if (plan->mode == SEARCH_EXACT) exact_search(&rows, queries, nq, pulse, tops, works);
	if (plan->mode == SEARCH_FOREST)
		for (size_t q = 0; q < nq && status == STATUS_OK; q++)
			status = ann.codes.base ? forest_search_coded(&ann.forest, &rows, &ann.codes, &queries[q], plan->budget, pulse, scratch->forest,
				&tops[q], &works[q]) : forest_search(&ann.forest, &rows, &queries[q], plan->budget, pulse, scratch->forest, &tops[q], &works[q]);
	if (plan->mode == SEARCH_GRAPH)
		for (size_t q = 0; q < nq && status == STATUS_OK; q++)
			status = graph_search(&space, &queries[q], &plan->effort, NULL, pulse, scratch->graph, &tops[q], &works[q]);
	return status;
}

static bool is_exact(const struct snapshot *snap, const struct search_spec *spec) { return spec->mode == SEARCH_EXACT || spec->search_k >= snap->items; }

/* A segment's part of search_k; 0: none is named. */
static uint64_t segment_budget(const struct snapshot *snap, const struct search_spec *spec)
{
	const struct view *v = snap->view;
	uint64_t budget = spec->search_k && v->segment_count ? (spec->search_k + (uint64_t)v->segment_count - 1) / v->segment_count : 0;

	if (spec->search_k && budget < spec->k) budget = spec->k;
	if (spec->search_k && budget < FOREST_LEAF_MAX) budget = FOREST_LEAF_MAX;
	return budget;
}

uint64_t snapshot_rows_scored(const struct snapshot *snap, const struct search_spec *spec)
{
	const struct view *v = snap->view;
	uint64_t rows = 0, budget = segment_budget(snap, spec);

	for (uint32_t i = 0; i < v->memtable_count; i++) rows += snapshot_memtable_rows(snap, i);
	for (uint32_t i = 0; i < v->segment_count; i++) {
		struct live_segment *live = v->segments[i];
		struct plan plan = is_exact(snap, spec) ? (struct plan){.mode = SEARCH_EXACT} : plan_segment(live, spec, budget, segment_part(snap, i, spec));
		uint64_t n = segment_rows(live->segment).n;
		if (plan.mode == SEARCH_GRAPH && !plan.budget) {
			struct ann_view ann = segment_ann(live->segment);
			rows += tune_scored(&ann.tune, plan.effort.ef);
		} else {
			rows += plan.mode == SEARCH_EXACT || plan.budget > n ? n : plan.budget;
		}
	}
	return rows;
}

enum status snapshot_search(struct snapshot *snap, const struct search_spec *spec, const struct query *queries, size_t nq, const struct pulse *pulse,
	struct search_scratch *scratch, struct topk *tops, struct search_work *works)
{
	const struct view *v = snap->view;
	struct plan exact = {.mode = SEARCH_EXACT};
	bool everything = is_exact(snap, spec);
	uint64_t budget = segment_budget(snap, spec);
	enum status status = STATUS_OK;

	for (uint32_t i = 0; i < v->memtable_count; i++) {
		uint32_t limit = snapshot_memtable_rows(snap, i);
		for (uint32_t first = 0; first < limit;) {
			struct rows rows = memtable_rows(v->memtables[i]->table, first, limit, snap->sequence);
			exact_search(&rows, queries, nq, pulse, tops, works);
			first += rows.n;
		}
	}
	for (uint32_t i = 0; i < v->segment_count && status == STATUS_OK; i++) {
		struct plan plan = everything ? exact : plan_segment(v->segments[i], spec, budget, segment_part(snap, i, spec));
		status = search_segment(snap, i, &plan, queries, nq, pulse, scratch, tops, works);
	}
	return status;
}

float snapshot_predict(const struct snapshot *snap, const struct search_spec *spec)
{
	const struct view *v = snap->view;
	double rows = snapshot_rows(snap), found = 0;

	if (spec->mode == SEARCH_EXACT || (spec->search_k && spec->search_k >= snap->items)) return 1;
	if (spec->mode != SEARCH_GRAPH || spec->search_k) return 0;
	for (uint32_t i = 0; i < v->memtable_count; i++) found += snapshot_memtable_rows(snap, i);
	for (uint32_t i = 0; i < v->segment_count; i++) {
		struct plan plan = plan_segment(v->segments[i], spec, 0, segment_part(snap, i, spec));
		double share = plan.mode == SEARCH_GRAPH ? plan.predicted : 1;
		if (!(share > 0)) return 0;
		found += (double)segment_rows(v->segments[i]->segment).n * share;
	}
	return rows > 0 ? (float)(found / rows) : 1;
}

bool snapshot_get(const struct snapshot *snap, uint64_t id, struct item_view *ret)
{
	const struct view *v = snap->view;

	for (uint32_t i = v->memtable_count; i-- > 0;) {
		const struct memtable *m = v->memtables[i]->table;
		int64_t found = memtable_find(m, id, snapshot_memtable_rows(snap, i));
		uint32_t row = (uint32_t)found;
		if (found < 0 || !snapshot_sees(snap, memtable_dead_at(m, row))) continue;
		struct segment_bytes key = memtable_key(m, row), payload = memtable_payload(m, row);
		*ret = (struct item_view){id, memtable_sequence(m, row), memtable_vector(m, row), {key.bytes, key.size}, {payload.bytes, payload.size}};
		return true;
	}
	for (uint32_t i = v->segment_count; i-- > 0;) {
		const struct segment *s = v->segments[i]->segment;
		int64_t found = segment_find(s, id);
		uint32_t row = (uint32_t)found;
		if (found < 0 || !snapshot_sees(snap, livemap_dead_at(&v->segments[i]->live, row))) continue;
		struct segment_bytes key = segment_key(s, row), payload = segment_payload(s, row);
		struct rows rows = segment_rows(s);
		*ret = (struct item_view){id, segment_sequence(s, row), rows_row(&rows, row), {key.bytes, key.size}, {payload.bytes, payload.size}};
		return true;
	}
	return false;
}
