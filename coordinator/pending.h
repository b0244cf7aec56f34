/* pending.h - requests under way: a fixed table of slots, each with its deadline, what it waits for, and what to do next.
 *
 * A message to a worker carries an id made of (round, slot, part), so that its reply is found without a search and a reply to
 * an earlier use of the slot is recognised and ignored. Client requests get PENDING_CLIENT_MAX slots, the coordinator's own
 * errands (opening and dropping shards) a few more, so that neither can crowd out the other. One thread. */
#ifndef COORDINATOR_PENDING_H
#define COORDINATOR_PENDING_H

#include "common/net.h"
#include "coordinator/fanout.h"
#include "coordinator/timers.h"
#include "proto/message.h"

enum {
	PENDING_CLIENT_MAX = 8192,  /* requests under way in all: beyond this the answer is BUSY */
	PENDING_TASK_MAX = 1024,    /* errands under way: beyond this they wait for the next beat */
	PENDING_MAX = PENDING_CLIENT_MAX + PENDING_TASK_MAX,
	PENDING_PER_CLIENT_MAX = 64, /* requests under way of one connection: beyond this BUSY */
	PENDING_SLOT_BITS = 14,
	PENDING_PART_BITS = 13,
};
_Static_assert(PENDING_MAX <= 1 << PENDING_SLOT_BITS && FANOUT_PARTS_MAX <= 1 << PENDING_PART_BITS, "a message id holds slot and part");

/* Who asked: a connection, and how to answer on it. bundled: the request came in a bundle, and so may its answer leave. */
struct client_address { uint32_t socket; bool delimiter, bundled; struct net_peer peer; };

struct core;
struct pending;
/* What a kind of request does with events. Any of them may end the request. */
struct pending_ops {
	/* The reply of a part that was waited for (its fanout state is ANSWERED already). */
	void (*reply)(struct core *c, struct pending *p, uint32_t part, const struct cluster_reply *reply);
	/* Nothing more is waited for, or the deadline passed: answer and end, or begin another round. */
	void (*finish)(struct core *c, struct pending *p, bool expired);
	void (*release)(void *state); /* frees the state */
};

struct pending {
	bool used, task;
	uint32_t slot;
	uint64_t round; /* of the messages now under way; never repeats */
	enum cluster_kind kind; /* of these messages */
	struct client_address client; /* unless a task */
	uint64_t request;
	enum client_op op;
	uint64_t index_id; /* 0: none */
	uint64_t deadline_us;
	struct fanout fanout;
	const struct pending_ops *ops;
	void *state;
};

struct pending_client { uint32_t socket, running; struct net_peer peer; };

struct pending_table {
	struct pending *slots; /* [PENDING_MAX] */
	uint32_t *free_slots;  /* stacks: client slots from the bottom, task slots from PENDING_CLIENT_MAX */
	uint32_t free_clients, free_tasks;
	struct pending_client *clients; /* those with requests under way, in any order */
	uint32_t client_count;
	uint64_t rounds;
	struct timers timers;
};

MUST_CHECK enum status pending_table_init(struct pending_table *t);
void pending_table_release(struct pending_table *t);
/* BUSY, with the bound that was met. The deadline is set; state is taken only on success. */
MUST_CHECK enum status pending_begin(struct pending_table *t, const struct client_address *client, uint64_t deadline_us,
	const struct pending_ops *ops, void **take_state, struct pending **ret, struct report *report);
MUST_CHECK enum status pending_begin_task(struct pending_table *t, uint64_t deadline_us, const struct pending_ops *ops, void **take_state,
	struct pending **ret);
void pending_end(struct pending_table *t, struct pending *p);
/* Forget what was awaited and wait for `parts` new messages of this kind. */
MUST_CHECK enum status pending_round(struct pending_table *t, struct pending *p, enum cluster_kind kind, uint32_t parts);

uint64_t pending_message_id(const struct pending *p, uint32_t part);
/* The request that this message id belongs to now, or NULL. */
struct pending *pending_of_message(struct pending_table *t, uint64_t id, uint32_t *ret_part);
bool pending_check(const struct pending_table *t);

#endif
