/* outbox.c - see outbox.h. */
#include "coordinator/outbox.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "proto/bundle.h"

enum { OUTBOX_MAX = 128 }; /* beyond it a message leaves alone: about as many as one turn brings */

struct held { uint64_t id, bytes; };
struct outbox {
	struct outbox *next; /* of those with something in them */
	struct member *member;
	struct net_peer peer; /* its connection when the first was held */
	struct bundle bundle;
	uint64_t bytes;
	uint32_t count;
	struct held held[OUTBOX_MAX];
};

uint64_t outbox_bytes(const struct member *member) { return member->outbox ? member->outbox->bytes : 0; }

bool outbox_hold(struct core *c, struct member *member, uint64_t message_id, const struct encoded *e, uint64_t bytes)
{
	struct outbox *o = member->outbox;
	if (!o) {
		o = member->outbox = calloc(1, sizeof(*o));
		if (!o) return false;
		o->member = member;
	}
	if (o->count == OUTBOX_MAX || (o->count && !net_peer_equal(&o->peer, &member->peer))) return false;
	if (bundle_add(&o->bundle, e->frames, e->count) != STATUS_OK) return false;
	if (o->count == 0) {
		o->peer = member->peer;
		o->next = c->outboxes;
		c->outboxes = o;
	}
	o->held[o->count++] = (struct held){message_id, bytes};
	o->bytes += bytes;
	return true;
}

static void note_sent(struct core *c, struct member *member, const struct held *held)
{
	uint32_t part;
	struct pending *p = pending_of_message(&c->pending, held->id, &part);
	member->sent_bytes += held->bytes;
	if (p && part < p->fanout.count) p->fanout.parts[part].sent_bytes = member->sent_bytes;
}

static void note_unsent(struct core *c, const struct held *held, enum status status)
{
	uint32_t part;
	struct pending *p = pending_of_message(&c->pending, held->id, &part);
	if (p && fanout_taken_back(&p->fanout, part, status) && fanout_done(&p->fanout)) p->ops->finish(c, p, false);
}

/* Emptied before anyone hears of it: a request that ends may begin another round. */
static void outbox_send(struct core *c, struct outbox *o)
{
	struct held held[OUTBOX_MAX];
	struct net_frame frames[2];
	uint32_t count = o->count;
	memcpy(held, o->held, count * sizeof(*held));
	bundle_frames(&o->bundle, frames);
	enum status status = c->out.to_worker(c->out.arg, &o->peer, frames, 2);
	bundle_reset(&o->bundle);
	o->count = 0;
	o->bytes = 0;
	if (status == STATUS_OK) o->member->sent_us = c->now_us;
	for (uint32_t i = 0; i < count; i++)
		if (status == STATUS_OK)
			note_sent(c, o->member, &held[i]);
		else
			note_unsent(c, &held[i], status);
}

void outboxes_flush(struct core *c)
{
	for (struct outbox *o; (o = c->outboxes);) {
		c->outboxes = o->next;
		outbox_send(c, o);
	}
}

void outboxes_free(struct core *c)
{
	for (size_t i = 0; i < c->members.count; i++) {
		struct outbox *o = c->members.members[i]->outbox;
		if (o) bundle_release(&o->bundle);
		free(o);
		c->members.members[i]->outbox = NULL;
	}
	c->outboxes = NULL;
}
