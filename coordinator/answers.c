/* answers.c - see answers.h. */
#include "coordinator/answers.h"

#include <stdlib.h>

#include "common/check.h"
#include "proto/bundle.h"

enum { BOXES_MAX = 16 /* clients in one turn: those of more are answered at once */ };

struct box { struct client_address client; struct bundle bundle; struct answer held[PENDING_PER_CLIENT_MAX]; };
struct answers { uint32_t count; struct box boxes[BOXES_MAX]; };

static struct box *box_of(struct answers *a, const struct client_address *client)
{
	for (uint32_t i = 0; i < a->count; i++)
		if (a->boxes[i].client.socket == client->socket && net_peer_equal(&a->boxes[i].client.peer, &client->peer)) return &a->boxes[i];
	return NULL;
}

bool answers_hold(struct core *c, const struct client_address *client, const struct answer *answer, const struct encoded *e)
{
	struct answers *a = c->answers;

	if (!client->bundled) return false;
	if (!a) a = c->answers = calloc(1, sizeof(*a));
	if (!a) return false;
	struct box *box = box_of(a, client);
	if (!box && a->count == BOXES_MAX) return false;
	bool fresh = !box;
	if (fresh) box = &a->boxes[a->count];
	if (box->bundle.count == PENDING_PER_CLIENT_MAX || bundle_add(&box->bundle, e->frames, e->count) != STATUS_OK) return false;
	if (fresh) {
		box->client = *client;
		a->count++;
	}
	box->held[box->bundle.count - 1] = *answer;
	return true;
}

static void box_send(struct core *c, struct box *box)
{
	struct net_frame whole[2], frames[FRAMES_MAX];
	struct bundle_reader one_by_one;
	size_t count;

	bundle_frames(&box->bundle, whole);
	enum status status = c->out.to_client(c->out.arg, &box->client, whole, 2);
	require(bundle_open(whole, 2, &one_by_one, NULL) == STATUS_OK);
	for (uint32_t i = 0; bundle_next(&one_by_one, frames, &count); i++)
		if (status == STATUS_OK)
			core_metrics_answered(&c->metrics, box->held[i].row, box->held[i].status);
		else
			answer_hand_over(c, &box->client, &box->held[i], frames, count);
	bundle_reset(&box->bundle);
}

void answers_flush(struct core *c)
{
	struct answers *a = c->answers;

	if (!a) return;
	for (uint32_t i = 0; i < a->count; i++) box_send(c, &a->boxes[i]);
	a->count = 0;
}

bool answers_wait(const struct core *c) { return c->answers && c->answers->count > 0; }

void answers_free(struct core *c)
{
	for (uint32_t i = 0; c->answers && i < BOXES_MAX; i++) bundle_release(&c->answers->boxes[i].bundle);
	free(c->answers);
	c->answers = NULL;
}
