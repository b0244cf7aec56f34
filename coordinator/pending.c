/* pending.c - see pending.h. */
#include "coordinator/pending.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"

enum status pending_table_init(struct pending_table *t)
{
	memset(t, 0, sizeof(*t));
	t->slots = calloc(PENDING_MAX, sizeof(*t->slots));
	t->free_slots = calloc(PENDING_MAX, sizeof(*t->free_slots));
	t->clients = calloc(PENDING_CLIENT_MAX, sizeof(*t->clients));
	if (!t->slots || !t->free_slots || !t->clients || timers_init(&t->timers, PENDING_MAX) != STATUS_OK) {
		pending_table_release(t);
		return STATUS_NO_MEMORY;
	}
	for (uint32_t i = 0; i < PENDING_MAX; i++) {
		bool task = i >= PENDING_CLIENT_MAX;
		t->slots[i].slot = i;
		t->slots[i].task = task;
		/* Lowest slots on top, so that a quiet coordinator touches little memory. */
		t->free_slots[task ? PENDING_CLIENT_MAX + PENDING_MAX - 1 - i : PENDING_CLIENT_MAX - 1 - i] = i;
	}
	t->free_clients = PENDING_CLIENT_MAX;
	t->free_tasks = PENDING_TASK_MAX;
	return STATUS_OK;
}

void pending_table_release(struct pending_table *t)
{
	for (uint32_t i = 0; t->slots && i < PENDING_MAX; i++) {
		if (!t->slots[i].used) continue;
		if (t->slots[i].state) t->slots[i].ops->release(t->slots[i].state);
		fanout_release(&t->slots[i].fanout);
	}
	free(t->slots);
	free(t->free_slots);
	free(t->clients);
	timers_release(&t->timers);
	memset(t, 0, sizeof(*t));
}

static struct pending_client *client_find(struct pending_table *t, const struct client_address *client)
{
	for (uint32_t i = 0; i < t->client_count; i++)
		if (t->clients[i].socket == client->socket && net_peer_equal(&t->clients[i].peer, &client->peer)) return &t->clients[i];
	return NULL;
}

static void slot_begin(struct pending_table *t, uint32_t slot, uint64_t deadline_us, const struct pending_ops *ops, void **take_state,
	struct pending **ret)
{
	struct pending *p = &t->slots[slot];
	bool task = p->task;
	require(!p->used);
	*p = (struct pending){.used = true, .task = task, .slot = slot, .round = ++t->rounds, .deadline_us = deadline_us, .ops = ops, .state = *take_state};
	*take_state = NULL;
	timers_set(&t->timers, slot, deadline_us);
	*ret = p;
}

enum status pending_begin(struct pending_table *t, const struct client_address *client, uint64_t deadline_us, const struct pending_ops *ops,
	void **take_state, struct pending **ret, struct report *report)
{
	struct pending_client *known = client_find(t, client);
	if (known && known->running == PENDING_PER_CLIENT_MAX)
		return report_set(report, STATUS_BUSY, "this connection has %d requests under way (PENDING_PER_CLIENT_MAX): wait for answers first",
			PENDING_PER_CLIENT_MAX);
	if (t->free_clients == 0)
		return report_set(report, STATUS_BUSY, "the coordinator has %d requests under way (PENDING_CLIENT_MAX): try again a little later",
			PENDING_CLIENT_MAX);
	if (!known) {
		known = &t->clients[t->client_count++];
		*known = (struct pending_client){.socket = client->socket, .peer = client->peer};
	}
	known->running++;
	slot_begin(t, t->free_slots[--t->free_clients], deadline_us, ops, take_state, ret);
	(*ret)->client = *client;
	return STATUS_OK;
}

enum status pending_begin_task(struct pending_table *t, uint64_t deadline_us, const struct pending_ops *ops, void **take_state, struct pending **ret)
{
	if (t->free_tasks == 0) return STATUS_BUSY;
	slot_begin(t, t->free_slots[PENDING_CLIENT_MAX + --t->free_tasks], deadline_us, ops, take_state, ret);
	return STATUS_OK;
}

void pending_end(struct pending_table *t, struct pending *p)
{
	require(p->used);
	timers_clear(&t->timers, p->slot);
	if (p->state) p->ops->release(p->state);
	p->state = NULL;
	fanout_release(&p->fanout);
	p->used = false;
	if (p->task) {
		t->free_slots[PENDING_CLIENT_MAX + t->free_tasks++] = p->slot;
		return;
	}
	t->free_slots[t->free_clients++] = p->slot;
	struct pending_client *client = client_find(t, &p->client);
	require(client && client->running > 0);
	if (--client->running == 0) *client = t->clients[--t->client_count];
}

enum status pending_round(struct pending_table *t, struct pending *p, enum cluster_kind kind, uint32_t parts)
{
	struct fanout fanout;
	enum status status = fanout_init(&fanout, parts);
	if (status != STATUS_OK) return status;
	fanout_release(&p->fanout);
	p->fanout = fanout;
	p->kind = kind;
	p->round = ++t->rounds;
	return STATUS_OK;
}

uint64_t pending_message_id(const struct pending *p, uint32_t part)
{
	return p->round << (PENDING_SLOT_BITS + PENDING_PART_BITS) | (uint64_t)p->slot << PENDING_PART_BITS | part;
}

struct pending *pending_of_message(struct pending_table *t, uint64_t id, uint32_t *ret_part)
{
	uint32_t part = (uint32_t)(id & ((1u << PENDING_PART_BITS) - 1));
	uint32_t slot = (uint32_t)(id >> PENDING_PART_BITS & ((1u << PENDING_SLOT_BITS) - 1));
	if (slot >= PENDING_MAX) return NULL;
	struct pending *p = &t->slots[slot];
	if (!p->used || pending_message_id(p, part) != id || part >= p->fanout.count) return NULL;
	*ret_part = part;
	return p;
}

bool pending_check(const struct pending_table *t)
{
	uint32_t used = 0, timed = 0, running = 0;
	for (uint32_t i = 0; i < PENDING_MAX; i++) {
		if (!t->slots[i].used) continue;
		used++;
		timed += t->timers.positions[i] != TIMER_NONE;
		if (!fanout_check(&t->slots[i].fanout)) return false;
	}
	for (uint32_t i = 0; i < t->client_count; i++) running += t->clients[i].running;
	return used == timed && used == PENDING_MAX - t->free_clients - t->free_tasks && running == PENDING_CLIENT_MAX - t->free_clients;
}
