/* shard_scan.c - the live items of a snapshot in the order of their ids: a merge of sorted sources.
 *
 * A source is a segment, which has a permutation of its rows by id, or a chunk of a memtable, whose order is made when a scan first needs it
 * and kept (memtable_order): rows do not move, so an order once made is right for good. The last chunk of a memtable may still grow; the part of
 * it that the snapshot sees is sorted anew for each scan, a few thousand rows at most. So a scan that begins in the middle finds its place
 * in each source by halving, and costs what it gives, the dead rows between included; of these, SCAN_ROWS_MAX at a time. The first scan over
 * many unbuilt rows sorts them SCAN_SORT_ROWS_MAX at a time, some 20 ms each, so that a search behind it waits no longer than for another search.
 *
 * Rejected: one pass over all rows of the memtables for each page, keeping the lowest ids. It needs no order, but the pages of n
 * unbuilt items would cost n squared. */
#include "worker/shard_internal.h"

#include <stdlib.h>

enum { SCAN_PULSE_ROWS = 128 }; /* between two looks at the pulse: a row may have to come from a slow disk */

struct source {
	uint64_t id; /* of the row at `at` */
	uint32_t at, end;
	uint32_t part, first; /* number in the view; for a chunk its first row */
	const uint64_t *ids;
	struct packed perm;    /* of a segment */
	const uint16_t *order; /* of a chunk */
};

struct scan {
	const struct snapshot *snap;
	const struct pulse *pulse;
	struct source *heap; /* lowest id on top, then the newest part: none is at its end */
	uint32_t count;
	uint16_t *sorted[MEMTABLES_MAX]; /* the growing chunks */
	uint64_t begun; /* the lowest id there was */
	uint64_t rows;  /* looked at */
	uint32_t sorted_rows; /* now, to stay */
	bool given;
	uint64_t last;  /* given last */
};

static uint32_t source_row(const struct source *s, uint32_t i) { return s->perm.bytes ? (uint32_t)packed_at(&s->perm, i) : s->order[i]; }

static uint64_t source_id(const struct source *s, uint32_t i) { return s->ids[source_row(s, i)]; }

static void heap_sink(struct scan *s)
{
	for (uint32_t i = 0, child; (child = 2 * i + 1) < s->count; i = child) {
		if (child + 1 < s->count && s->heap[child + 1].id < s->heap[child].id) child++;
		if (s->heap[i].id <= s->heap[child].id) return;
		struct source moved = s->heap[i];
		s->heap[i] = s->heap[child];
		s->heap[child] = moved;
	}
}

static void heap_add(struct scan *s, const struct source *source)
{
	uint32_t i = s->count++;

	for (; i > 0 && s->heap[(i - 1) / 2].id > source->id; i = (i - 1) / 2) s->heap[i] = s->heap[(i - 1) / 2];
	s->heap[i] = *source;
}

/* The source from its first row with an id of `from` or more. */
static void source_add(struct scan *s, struct source source, uint64_t from)
{
	uint32_t lo = 0, hi = source.end;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (source_id(&source, mid) < from) lo = mid + 1;
		else hi = mid;
	}
	if (lo == source.end) return;
	source.at = lo;
	source.id = source_id(&source, lo);
	heap_add(s, &source);
}

static void top_next(struct scan *s)
{
	struct source *top = &s->heap[0];

	if (++top->at < top->end) top->id = source_id(top, top->at);
	else *top = s->heap[--s->count];
	heap_sink(s);
}

static enum status add_memtable(struct scan *s, uint32_t i, uint64_t from)
{
	const struct memtable *m = s->snap->view->memtables[i]->table;
	uint32_t limit = snapshot_memtable_rows(s->snap, i), each = memtable_chunk_rows(m);

	for (uint32_t first = 0; first < limit; first += each) {
		struct source source = {.part = i, .first = first, .ids = memtable_rows(m, first, limit, 0).ids, .end = limit - first < each ? limit - first : each};
		enum status status = STATUS_OK;
		if (source.end == each) {
			bool made = false;
			if (s->sorted_rows >= SCAN_SORT_ROWS_MAX) return STATUS_BUSY;
			status = memtable_order(m, first / each, &source.order, &made);
			s->sorted_rows += made ? each : 0;
		} else {
			source.order = s->sorted[i] = malloc(source.end * sizeof(*s->sorted[i]));
			if (!source.order) status = STATUS_NO_MEMORY;
			else memtable_sort(m, first / each, source.end, s->sorted[i]);
		}
		if (status == STATUS_OK && pulse_stop(s->pulse)) status = STATUS_TIMEOUT;
		if (status != STATUS_OK) return status;
		source_add(s, source, from);
	}
	return STATUS_OK;
}

static void add_segment(struct scan *s, uint32_t i, uint64_t from)
{
	const struct segment *segment = s->snap->view->segments[i]->segment;
	struct rows rows = segment_rows(segment);

	source_add(s, (struct source){.part = i, .ids = rows.ids, .perm = segment_by_id(segment), .end = rows.n}, from);
}

static size_t sources_most(const struct snapshot *snap)
{
	size_t n = snap->view->segment_count;

	for (uint32_t i = 0; i < snap->view->memtable_count; i++)
		n += snapshot_memtable_rows(snap, i) / memtable_chunk_rows(snap->view->memtables[i]->table) + 1;
	return n;
}

enum status scan_open(const struct snapshot *snap, uint64_t from, const struct pulse *pulse, struct scan **ret)
{
	struct scan *s = calloc(1, sizeof(*s));
	enum status status = STATUS_OK;

	if (!s) return STATUS_NO_MEMORY;
	*s = (struct scan){.snap = snap, .pulse = pulse, .heap = malloc(sources_most(snap) * sizeof(*s->heap))};
	if (!s->heap) status = STATUS_NO_MEMORY;
	for (uint32_t i = 0; i < snap->view->memtable_count && status == STATUS_OK; i++) status = add_memtable(s, i, from);
	for (uint32_t i = 0; i < snap->view->segment_count && status == STATUS_OK; i++) add_segment(s, i, from);
	if (status == STATUS_OK) {
		s->begun = s->count ? s->heap[0].id : 0;
		*ret = s;
	} else {
		scan_close(&s);
	}
	return status;
}

void scan_close(struct scan **scan)
{
	struct scan *s = *scan;

	*scan = NULL;
	if (!s) return;
	for (uint32_t i = 0; i < MEMTABLES_MAX; i++) free(s->sorted[i]);
	free(s->heap);
	free(s);
}

/* The row on top, if the snapshot sees it. */
static bool top_view(const struct scan *s, struct item_view *ret)
{
	const struct source *top = &s->heap[0];
	uint32_t row = source_row(top, top->at);

	if (top->perm.bytes) {
		const struct live_segment *live = s->snap->view->segments[top->part];
		if (!snapshot_sees(s->snap, livemap_dead_at(&live->live, row))) return false;
		struct segment_bytes key = segment_key(live->segment, row), payload = segment_payload(live->segment, row);
		struct rows rows = segment_rows(live->segment);
		*ret = (struct item_view){top->id, segment_sequence(live->segment, row), rows_row(&rows, row), {key.bytes, key.size}, {payload.bytes, payload.size}};
		return true;
	}
	const struct memtable *m = s->snap->view->memtables[top->part]->table;
	row += top->first;
	if (!snapshot_sees(s->snap, memtable_dead_at(m, row))) return false;
	struct segment_bytes key = memtable_key(m, row), payload = memtable_payload(m, row);
	*ret = (struct item_view){top->id, memtable_sequence(m, row), memtable_vector(m, row), {key.bytes, key.size}, {payload.bytes, payload.size}};
	return true;
}

enum scan_step scan_next(struct scan *s, struct item_view *ret_item, uint64_t *ret_from)
{
	while (s->count) {
		uint64_t id = s->heap[0].id;
		/* Only between two ids, and not before the first: then the next scan begins further on, however many rows one id has. */
		bool pause = id > s->begun && (!s->given || id > s->last);
		if (pause && (s->rows >= SCAN_ROWS_MAX || (s->rows % SCAN_PULSE_ROWS == 0 && pulse_stop(s->pulse)))) {
			*ret_from = id;
			return SCAN_PAUSED;
		}
		bool seen = top_view(s, ret_item);
		s->rows++;
		top_next(s);
		if (!seen) continue;
		s->given = true;
		s->last = id;
		return SCAN_ITEM;
	}
	return SCAN_END;
}
