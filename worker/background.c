/* background.c - a thread, a list, a condition. */
#include "worker/background.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

struct background {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct background_job *head, **tail;
	size_t queued;
	bool stopping;
};

static void *background_main(void *arg)
{
	struct background *b = arg;

	pthread_mutex_lock(&b->lock);
	while (b->head || !b->stopping) {
		struct background_job *job = b->head;
		if (!job) {
			pthread_cond_wait(&b->work, &b->lock);
			continue;
		}
		b->head = job->next;
		if (!b->head) b->tail = &b->head;
		b->queued--;
		pthread_mutex_unlock(&b->lock);
		job->run(job);
		pthread_mutex_lock(&b->lock);
	}
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

enum status background_new(struct background **ret)
{
	struct background *b = calloc(1, sizeof(*b));

	if (!b) return STATUS_NO_MEMORY;
	b->tail = &b->head;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->work, NULL);
	if (pthread_create(&b->thread, NULL, background_main, b)) {
		pthread_cond_destroy(&b->work);
		pthread_mutex_destroy(&b->lock);
		free(b);
		return STATUS_NO_MEMORY;
	}
	*ret = b;
	return STATUS_OK;
}

void background_free(struct background **background)
{
	struct background *b = *background;

	if (!b) return;
	pthread_mutex_lock(&b->lock);
	b->stopping = true;
	pthread_cond_signal(&b->work);
	pthread_mutex_unlock(&b->lock);
	pthread_join(b->thread, NULL);
	pthread_cond_destroy(&b->work);
	pthread_mutex_destroy(&b->lock);
	free(b);
	*background = NULL;
}

enum status background_submit(struct background *b, struct background_job *job)
{
	enum status status = STATUS_OK;

	pthread_mutex_lock(&b->lock);
	if (b->queued >= BACKGROUND_JOBS_MAX || b->stopping) {
		status = STATUS_BUSY;
	} else {
		job->next = NULL;
		*b->tail = job;
		b->tail = &job->next;
		b->queued++;
		pthread_cond_signal(&b->work);
	}
	pthread_mutex_unlock(&b->lock);
	return status;
}
