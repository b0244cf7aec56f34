/* timers.c - see timers.h. */
#include "coordinator/timers.h"

#include <stdlib.h>
#include <string.h>

enum status timers_init(struct timers *t, uint32_t slots)
{
	memset(t, 0, sizeof(*t));
	t->heap = calloc(slots, sizeof(*t->heap));
	t->positions = calloc(slots, sizeof(*t->positions));
	t->deadlines = calloc(slots, sizeof(*t->deadlines));
	if (!t->heap || !t->positions || !t->deadlines) {
		timers_release(t);
		return STATUS_NO_MEMORY;
	}
	t->slots = slots;
	for (uint32_t i = 0; i < slots; i++) t->positions[i] = TIMER_NONE;
	return STATUS_OK;
}

void timers_release(struct timers *t)
{
	free(t->heap);
	free(t->positions);
	free(t->deadlines);
	memset(t, 0, sizeof(*t));
}

static uint64_t deadline_at(const struct timers *t, uint32_t position) { return t->deadlines[t->heap[position]]; }

static void place(struct timers *t, uint32_t position, uint32_t slot)
{
	t->heap[position] = slot;
	t->positions[slot] = position;
}

static void sift_up(struct timers *t, uint32_t position)
{
	uint32_t slot = t->heap[position];
	while (position > 0 && deadline_at(t, (position - 1) / 2) > t->deadlines[slot]) {
		place(t, position, t->heap[(position - 1) / 2]);
		position = (position - 1) / 2;
	}
	place(t, position, slot);
}

static void sift_down(struct timers *t, uint32_t position)
{
	uint32_t slot = t->heap[position];
	for (;;) {
		uint32_t child = 2 * position + 1;
		if (child >= t->count) break;
		if (child + 1 < t->count && deadline_at(t, child + 1) < deadline_at(t, child)) child++;
		if (deadline_at(t, child) >= t->deadlines[slot]) break;
		place(t, position, t->heap[child]);
		position = child;
	}
	place(t, position, slot);
}

void timers_set(struct timers *t, uint32_t slot, uint64_t deadline_us)
{
	timers_clear(t, slot);
	t->deadlines[slot] = deadline_us;
	place(t, t->count++, slot);
	sift_up(t, t->count - 1);
}

void timers_clear(struct timers *t, uint32_t slot)
{
	uint32_t position = t->positions[slot];
	if (position == TIMER_NONE) return;
	t->positions[slot] = TIMER_NONE;
	uint32_t last = t->heap[--t->count];
	if (last == slot) return;
	place(t, position, last);
	sift_up(t, position);
	sift_down(t, t->positions[last]);
}

uint64_t timers_next(const struct timers *t) { return t->count ? deadline_at(t, 0) : UINT64_MAX; }

uint32_t timers_expired(struct timers *t, uint64_t now_us)
{
	if (t->count == 0 || deadline_at(t, 0) > now_us) return TIMER_NONE;
	uint32_t slot = t->heap[0];
	timers_clear(t, slot);
	return slot;
}
