/* pipeline.c - the window of jobs in flight. A job is in flight (ticket != 0) or pauses until not_before_us. */
#include "client/cli/pipeline.h"
#include "common/clock.h"

enum { PAUSE_FIRST_US = 10000, PAUSE_MAX_US = 1000000 };

void pipeline_init(struct pipeline *p, grove_client *client, uint32_t window, uint32_t patience_ms)
{
	if (window < 1) window = 1;
	if (window > PIPELINE_WINDOW_MAX) window = PIPELINE_WINDOW_MAX;
	*p = (struct pipeline){
		.client = client, .window = window, .window_max = window, .patience_us = (uint64_t)patience_ms * 1000};
}

static bool job_may_repeat(const struct job *job, int code)
{
	if (code == GROVE_BUSY) return true;
	return job->repeat_writes && (code == GROVE_UNAVAILABLE || code == GROVE_UNKNOWN);
}

static void job_end(struct pipeline *p, uint32_t i, int code, grove_reply **reply)
{
	struct job *job = p->jobs[i];
	p->jobs[i] = p->jobs[--p->count];
	if (!job->done(job, code, code == GROVE_OK ? "" : grove_message(p->client), reply)) p->stopped = true;
}

/* The answer of job i, or the failure to send it: pause and repeat, or end. */
static void job_answered(struct pipeline *p, uint32_t i, int code, grove_reply **reply)
{
	struct job *job = p->jobs[i];
	uint64_t now = clock_us();
	job->ticket = 0;
	if (code == GROVE_BUSY && p->window > 1) p->window /= 2;
	if (job_may_repeat(job, code) && now + job->pause_us < job->give_up_us) {
		job->not_before_us = now + job->pause_us;
		job->pause_us = job->pause_us * 2 > PAUSE_MAX_US ? PAUSE_MAX_US : job->pause_us * 2;
		return;
	}
	if (code == GROVE_OK && p->window < p->window_max) p->window++;
	job_end(p, i, code, reply);
}

/* Send what may be sent; returns how many are in flight, and when the next pause ends. */
static uint32_t pipeline_send(struct pipeline *p, uint64_t *ret_wake_us)
{
	uint32_t in_flight = 0;
	uint64_t now = clock_us(), wake = UINT64_MAX;
	for (uint32_t i = 0; i < p->count; i++) in_flight += p->jobs[i]->ticket != 0;
	for (uint32_t i = 0; i < p->count; i++) {
		struct job *job = p->jobs[i];
		if (job->ticket) continue;
		if (job->not_before_us > now || in_flight >= p->window) {
			if (job->not_before_us > now && job->not_before_us < wake) wake = job->not_before_us;
			continue;
		}
		int code = job->submit(job, p->client, &job->ticket);
		if (code == GROVE_OK) {
			in_flight++;
			continue;
		}
		uint32_t before = p->count;
		grove_reply *none = NULL;
		job_answered(p, i, code, &none);
		if (p->count < before)
			i--; /* another job took its place */
		else if (job->not_before_us < wake)
			wake = job->not_before_us;
	}
	*ret_wake_us = wake;
	return in_flight;
}

static void pipeline_turn(struct pipeline *p)
{
	uint64_t wake, now;
	grove_ticket ticket;
	uint32_t in_flight = pipeline_send(p, &wake);
	if (p->count == 0) return;
	now = clock_us();
	if (in_flight == 0) {
		if (wake > now && wake != UINT64_MAX) clock_sleep_us(wake - now);
		return;
	}
	uint64_t wait_us = wake > now ? wake - now : 0;
	uint32_t wait_ms = wait_us > 1000000 ? 1000 : (uint32_t)((wait_us + 999) / 1000);
	grove_reply *reply = NULL;
	int code = grove_poll(p->client, wait_ms, &ticket);
	if (code == GROVE_TIMEOUT) return;
	if (code == GROVE_OK) {
		code = grove_wait(p->client, ticket, &reply);
	} else { /* the network itself failed: end what is in flight, one a turn */
		uint32_t i = 0;
		while (p->jobs[i]->ticket == 0) i++;
		ticket = p->jobs[i]->ticket;
		grove_forget(p->client, ticket);
	}
	for (uint32_t i = 0; i < p->count; i++) {
		if (p->jobs[i]->ticket == ticket) {
			job_answered(p, i, code, &reply);
			break;
		}
	}
	grove_reply_free(&reply);
}

bool pipeline_add(struct pipeline *p, struct job *job)
{
	while (!p->stopped && p->count >= p->window) pipeline_turn(p);
	if (p->stopped) return false;
	job->ticket = 0;
	job->not_before_us = 0;
	job->pause_us = PAUSE_FIRST_US;
	job->give_up_us = clock_us() + p->patience_us;
	p->jobs[p->count++] = job;
	uint64_t wake;
	pipeline_send(p, &wake);
	return true;
}

bool pipeline_finish(struct pipeline *p)
{
	while (p->count) pipeline_turn(p);
	return !p->stopped;
}
