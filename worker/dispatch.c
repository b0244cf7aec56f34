/* dispatch.c - decode, check the deadline, hand on. */
#include "worker/dispatch.h"

#include "common/check.h"
#include "common/log.h"

uint64_t dispatch_deadline(uint64_t now_us, uint64_t remaining_us)
{
	enum { MARGIN_MAX_US = 50000 };
	uint64_t margin = remaining_us / 10 < MARGIN_MAX_US ? remaining_us / 10 : MARGIN_MAX_US;

	return now_us + remaining_us - margin;
}

/* A power of two: the first, second, fourth, ... bad message is logged, so that a flood cannot fill a disk. */
static bool worth_a_line(uint64_t count) { return (count & (count - 1)) == 0; }

static void refuse(struct task *task, enum status status, const char *text)
{
	struct report why;

	report_set(&why, status, "%s", text);
	task_refuse(task, &why);
	task_release(task);
}

static void hand_on(struct dispatch *d, struct task *task)
{
	switch (task->request.kind) {
	case CLUSTER_SEARCH: search_start(task); return;
	case CLUSTER_GET: get_start(task); return;
	case CLUSTER_SCAN: scan_start(task); return;
	case CLUSTER_WRITE: write_start(task); return;
	case CLUSTER_BUILD: build_start(task); return;
	case CLUSTER_OPEN: open_start(task, d->cluster); return;
	case CLUSTER_DROP: drop_start(task); return;
	case CLUSTER_BEAT:
	case CLUSTER_WELCOME:
	case CLUSTER_REPLY:
	case CLUSTER_KIND_COUNT: break;
	}
	refuse(task, STATUS_BAD_REQUEST, "a worker does not answer that kind of request");
}

void dispatch_message(struct dispatch *d, uint32_t from, struct net_message *take, uint64_t now_us)
{
	struct task task = {.parts = d->parts};
	struct report why = {0};
	enum status status = cluster_request_decode(take->frames, take->count, &task.request, &why);

	if (status != STATUS_OK) {
		d->garbage++;
		if (worth_a_line(d->garbage))
			log_warn("message %llu that is no request, from coordinator %u: %s", (unsigned long long)d->garbage, from, report_text(&why));
		net_message_release(take);
		return;
	}
	net_message_move(&task.message, take);
	task.reply = reply_new(from);
	if (!task.reply) {
		counter_add(&d->parts->metrics->dropped_replies, 1);
		log_error("no memory to answer request %llu; its sender will see a timeout", (unsigned long long)task.request.id);
		task_release(&task);
		return;
	}
	task.deadline_us = dispatch_deadline(now_us, task.request.remaining_us);
	uint64_t open = atomic_fetch_add(&d->open, 1);
	if (task.request.remaining_us == 0)
		refuse(&task, STATUS_TIMEOUT, "the deadline had passed when the request reached the worker: nothing was done");
	else if (open >= REQUESTS_MAX)
		refuse(&task, STATUS_BUSY, "the worker has too many requests open: try again a little later");
	else if (uuid_is_zero(d->cluster))
		refuse(&task, STATUS_UNAVAILABLE, "the worker belongs to no cluster yet");
	else
		hand_on(d, &task);
}

void dispatch_answered(struct dispatch *d, uint64_t count)
{
	require(atomic_fetch_sub(&d->open, count) >= count);
}
