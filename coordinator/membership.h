/* membership.h - which workers there are and how they are, judged from their beats alone.
 *
 * Only beats count as life: a worker whose searching thread hangs may still answer other things, and stops beating for just
 * that reason. Without a beat for MEMBER_SUSPECT_US it is suspect (still asked: it may only be slow), after MEMBER_DEAD_US
 * dead (not asked; what was asked of it is given up at once).
 *
 *     (unknown) --beat--> alive --silence--> suspect --silence--> dead
 *                           ^------beat---------+--------beat------+
 *
 * Twins. A process is named by (node uuid, incarnation). A second incarnation of a node is either its restart or a process
 * on a copy of its data folder. It is a restart if the first is silent (its connection is gone, or no beat for
 * MEMBER_TWIN_SILENT_US); it is a twin, and refused, if the first still beats MEMBER_TWIN_PROOF_US after the second was first
 * heard. Until one of the two is known the second is left without an answer. Accepting it at once instead would let two
 * processes take turns, each seeing half of the writes.
 *
 * Pure: time is an argument; one thread. A member stays until the process ends, MEMBERS_MAX of them. */
#ifndef COORDINATOR_MEMBERSHIP_H
#define COORDINATOR_MEMBERSHIP_H

#include "common/net.h"
#include "proto/message.h"

#define MEMBER_SUSPECT_US UINT64_C(1500000)
#define MEMBER_DEAD_US UINT64_C(3000000)
#define MEMBER_TWIN_SILENT_US UINT64_C(1000000)
#define MEMBER_TWIN_PROOF_US UINT64_C(400000)
/* A tick this late says that we were asleep, not the workers: all get that time back. */
#define MEMBER_TICK_GAP_US UINT64_C(1000000)
enum { MEMBERS_MAX = 1024 };

struct outbox;
struct member {
	struct uuid id;
	enum worker_state state;
	bool known;           /* has beaten since this process started; false: known from the shard map only */
	uint64_t incarnation; /* of the process that is the node now */
	struct net_peer peer; /* how to reach it */
	uint64_t first_us, last_us;
	int64_t pid;
	char endpoint[128];
	uint64_t memory_bytes, items;
	uint32_t threads, shards;
	/* Bytes sent to this process so far, and how many of them it has surely taken (core.c, part_send). */
	uint64_t sent_bytes, taken_bytes, sent_us;
	struct outbox *outbox; /* the core's (outbox.h); NULL: none yet */
	struct { bool here, refused; uint64_t incarnation, first_us; } rival; /* a second incarnation, not yet judged or refused */
};

struct membership {
	struct member **members; /* by node uuid's bytes: the order of status and of ties in placement */
	size_t count;
	uint64_t last_tick_us;
};

void membership_init(struct membership *m);
void membership_release(struct membership *m);

enum beat_verdict {
	BEAT_USUAL,     /* nothing new */
	BEAT_JOINED,    /* first beat of this node */
	BEAT_RESTARTED, /* a new incarnation took over: what was asked of the old one is lost */
	BEAT_RETURNED,  /* it was suspect or dead, or came by a new connection */
	BEAT_WAITING,   /* a second incarnation, not judged yet: give no answer; asking the old connection may settle it */
	BEAT_REFUSED,   /* *report says why; answer so */
};
/* A beat that arrived from `peer`. *ret is the member (NULL when refused for want of room or for another cluster). */
enum beat_verdict membership_beat(struct membership *m, const struct cluster_beat *beat, const struct net_peer *peer, struct uuid cluster,
	uint64_t now_us, struct member **ret, struct report *report);
/* The connection of this member is gone (sending to it failed so): a waiting second incarnation may take over. */
void membership_disconnected(struct member *member);
/* A node that the shard map names: dead until it beats. */
MUST_CHECK enum status membership_expect(struct membership *m, struct uuid worker);

/* Let time pass. Calls `gone` for each member that became dead. */
void membership_tick(struct membership *m, uint64_t now_us, void (*gone)(void *arg, struct member *member), void *arg);

/* Its position in `members`; UINT32_MAX: unknown. */
uint32_t membership_position(const struct membership *m, struct uuid worker);
struct member *membership_find(const struct membership *m, struct uuid worker);
/* The member that is reached by that name now, or NULL. */
struct member *membership_by_peer(const struct membership *m, const struct net_peer *peer);
size_t membership_alive(const struct membership *m);

#endif
