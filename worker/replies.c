/* replies.c - a list under a mutex; the eventfd is written when the list stops being empty and the loop is not awake. */
#include "worker/replies.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"

struct replies {
	pthread_mutex_t lock;
	struct reply *head, **tail;
	bool awake; /* the loop looks at the list before it waits */
	bool rung;  /* the eventfd is, or is about to be, written */
	int fd;
};

enum status replies_new(struct replies **ret)
{
	struct replies *r = calloc(1, sizeof(*r));

	if (!r) return STATUS_NO_MEMORY;
	r->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (r->fd == -1) {
		free(r);
		return STATUS_NO_MEMORY;
	}
	r->tail = &r->head;
	pthread_mutex_init(&r->lock, NULL);
	*ret = r;
	return STATUS_OK;
}

void replies_free(struct replies **replies)
{
	struct replies *r = *replies;

	if (!r) return;
	for (struct reply *at = replies_take(r), *next; at; at = next) {
		next = at->next;
		reply_free(&at);
	}
	close(r->fd);
	pthread_mutex_destroy(&r->lock);
	free(r);
	*replies = NULL;
}

int replies_fd(const struct replies *r) { return r->fd; }

struct reply *reply_new(uint32_t to)
{
	struct reply *reply = calloc(1, sizeof(*reply));

	if (reply) reply->to = to;
	return reply;
}

void reply_free(struct reply **reply)
{
	if (!*reply) return;
	encoded_release(&(*reply)->encoded);
	free(*reply);
	*reply = NULL;
}

static size_t bulk_size(const struct encoded *e)
{
	size_t size = 0;

	for (size_t i = 1; i < e->count; i++) size += e->frames[i].size;
	return size;
}

static void encode(const struct cluster_reply *answer, struct encoded *ret)
{
	enum status status = cluster_reply_encode(answer, ret);
	struct cluster_reply refusal = {.id = answer->id, .to = answer->to};

	if (status == STATUS_OK && bulk_size(ret) > PEER_FRAME_MAX) {
		report_set(&refusal.error, STATUS_LIMIT, "the answer would be %zu bytes, the limit is %d: ask for fewer at once", bulk_size(ret), PEER_FRAME_MAX);
		encoded_release(ret);
		status = STATUS_LIMIT;
	} else if (status != STATUS_OK) {
		report_set(&refusal.error, status, "the worker could not make its answer: %s", status_text(status));
	}
	if (status == STATUS_OK) return;
	*ret = (struct encoded){0};
	if (cluster_reply_encode(&refusal, ret) == STATUS_OK) return;
	*ret = (struct encoded){0};
	log_error("no memory to answer request %llu; its sender will see a timeout", (unsigned long long)answer->id);
}

void replies_post(struct replies *r, struct reply **take, const struct cluster_reply *answer)
{
	struct reply *reply = *take;
	uint64_t one = 1;

	*take = NULL;
	encode(answer, &reply->encoded);
	reply->born_us = clock_us();
	reply->next = NULL;
	pthread_mutex_lock(&r->lock);
	bool ring = !r->head && !r->awake;
	*r->tail = reply;
	r->tail = &reply->next;
	if (ring) r->rung = true;
	pthread_mutex_unlock(&r->lock);
	if (ring) require(write(r->fd, &one, sizeof(one)) == sizeof(one));
}

struct reply *replies_take(struct replies *r)
{
	uint64_t count;

	pthread_mutex_lock(&r->lock);
	/* Where the write is yet to come, a later take reads it: until then the file is readable in vain. */
	if (r->rung && read(r->fd, &count, sizeof(count)) == sizeof(count)) r->rung = false;
	struct reply *head = r->head;
	r->head = NULL;
	r->tail = &r->head;
	pthread_mutex_unlock(&r->lock);
	return head;
}

void replies_awake(struct replies *r)
{
	pthread_mutex_lock(&r->lock);
	r->awake = true;
	pthread_mutex_unlock(&r->lock);
}

bool replies_asleep(struct replies *r)
{
	pthread_mutex_lock(&r->lock);
	r->awake = false;
	bool empty = !r->head;
	pthread_mutex_unlock(&r->lock);
	return empty;
}
