/* task.c - see task.h. */
#include "worker/task.h"

#include "common/check.h"
#include "common/clock.h"

void task_answer(struct task *t, struct cluster_reply *answer)
{
	answer->id = t->request.id;
	answer->to = t->request.kind;
	require(t->reply);
	t->reply->tell_first = t->request.kind == CLUSTER_OPEN || t->request.kind == CLUSTER_DROP || t->request.kind == CLUSTER_BUILD;
	replies_post(t->parts->replies, &t->reply, answer);
}

void task_refuse(struct task *t, const struct report *why)
{
	struct cluster_reply answer = {.error = *why};

	task_answer(t, &answer);
}

void task_release(struct task *t)
{
	cluster_request_release(&t->request);
	net_message_release(&t->message);
	reply_free(&t->reply);
	*t = (struct task){0};
}

static bool search_stop(void *arg)
{
	struct search_pulse *p = arg;

	atomic_fetch_add_explicit(p->progress, 1, memory_order_relaxed);
	return clock_us() >= p->deadline_us || atomic_load_explicit(p->closing, memory_order_relaxed);
}

void search_pulse_init(struct search_pulse *p, uint64_t deadline_us, const _Atomic bool *closing, _Atomic uint64_t *progress)
{
	*p = (struct search_pulse){.pulse = {.stop = search_stop, .arg = p}, .deadline_us = deadline_us, .closing = closing, .progress = progress};
}
