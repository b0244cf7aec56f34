/* fanout.c - see fanout.h. */
#include "coordinator/fanout.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"

const char *part_state_name(enum part_state s)
{
	switch (s) {
	case PART_READY: return "ready";
	case PART_WAITING: return "waiting";
	case PART_ANSWERED: return "answered";
	case PART_UNSENT: return "unsent";
	case PART_GONE: return "gone";
	case PART_LATE: return "late";
	}
	return "unknown";
}

enum status fanout_init(struct fanout *f, uint32_t count)
{
	require(count <= FANOUT_PARTS_MAX);
	struct fanout_part *parts = calloc(count ? count : 1, sizeof(*parts));
	if (!parts) return STATUS_NO_MEMORY;
	*f = (struct fanout){.count = count, .parts = parts};
	return STATUS_OK;
}

void fanout_release(struct fanout *f)
{
	free(f->parts);
	memset(f, 0, sizeof(*f));
}

void fanout_sent(struct fanout *f, uint32_t part, struct uuid worker, uint64_t incarnation)
{
	require(part < f->count && f->parts[part].state == PART_READY);
	f->parts[part] = (struct fanout_part){.worker = worker, .incarnation = incarnation, .state = PART_WAITING};
	f->waiting++;
}

void fanout_unsent(struct fanout *f, uint32_t part, enum status why)
{
	require(part < f->count && f->parts[part].state == PART_READY);
	f->parts[part].state = PART_UNSENT;
	f->parts[part].why = why;
}

bool fanout_taken_back(struct fanout *f, uint32_t part, enum status why)
{
	if (part >= f->count || f->parts[part].state != PART_WAITING) return false;
	f->parts[part].state = PART_UNSENT;
	f->parts[part].why = why;
	f->waiting--;
	return true;
}

bool fanout_answered(struct fanout *f, uint32_t part, struct uuid worker)
{
	if (part >= f->count || f->parts[part].state != PART_WAITING || !uuid_equal(f->parts[part].worker, worker)) return false;
	f->parts[part].state = PART_ANSWERED;
	f->waiting--;
	return true;
}

uint32_t fanout_worker_gone(struct fanout *f, struct uuid worker, uint64_t incarnation_now)
{
	uint32_t gone = 0;
	for (uint32_t i = 0; i < f->count; i++) {
		struct fanout_part *part = &f->parts[i];
		if (part->state != PART_WAITING || !uuid_equal(part->worker, worker) || part->incarnation == incarnation_now) continue;
		part->state = PART_GONE;
		gone++;
	}
	f->waiting -= gone;
	return gone;
}

uint32_t fanout_expire(struct fanout *f)
{
	uint32_t late = 0;
	for (uint32_t i = 0; i < f->count; i++) {
		if (f->parts[i].state != PART_WAITING) continue;
		f->parts[i].state = PART_LATE;
		late++;
	}
	f->waiting -= late;
	return late;
}

bool fanout_check(const struct fanout *f)
{
	uint32_t waiting = 0;
	for (uint32_t i = 0; i < f->count; i++) {
		if (f->parts[i].state > PART_LATE) return false;
		waiting += f->parts[i].state == PART_WAITING;
	}
	return waiting == f->waiting;
}
