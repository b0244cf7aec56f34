/* core.h - everything that a coordinator decides, as a machine of events: no sockets, no clock, no threads.
 *
 *     client message --+                         +--> client reply
 *     worker message --+--> core (map, members, -+--> worker message
 *     metadata answer -+      pending requests)  +--> metadata commit
 *     time ------------+
 *
 * server.c feeds it from sockets; the simulation test feeds it from a queue and a seed. Every input function takes the time
 * and returns after having called any number of outputs; outputs never call back in. One thread.
 *
 * Where to read on: op_search.c, op_write.c, op_get.c, op_scan.c, op_build.c, op_create.c, op_drop.c, op_status.c for what a client can
 * ask; errands.c for what the coordinator asks of workers on its own (open, drop, welcome). */
#ifndef COORDINATOR_CORE_H
#define COORDINATOR_CORE_H

#include "coordinator/core_metrics.h"
#include "coordinator/meta.h"
#include "coordinator/pending.h"
#include "proto/message.h"

/* Bytes of answers that wait for one connection which does not read them: beyond this a further answer is not kept for it. */
#define CLIENT_WAITING_MAX (UINT64_C(128) << 20)

struct core_outputs {
	void *arg;
	/* Never block. BUSY: the queue to that worker is full. UNAVAILABLE: no such connection. */
	enum status (*to_worker)(void *arg, const struct net_peer *peer, const struct net_frame *frames, size_t count);
	/* BUSY: so many messages or bytes wait for that client that this answer may not; it loses it (and only it). */
	enum status (*to_client)(void *arg, const struct client_address *client, const struct net_frame *frames, size_t count);
	/* Takes the commit; its answer comes by core_on_meta(). */
	enum status (*commit)(void *arg, struct meta_commit **take);
	/* A new random uuid and number: of shards and indexes. */
	struct uuid (*uuid)(void *arg);
};

struct core;
MUST_CHECK enum status core_new(struct uuid cluster, const struct core_outputs *outputs, uint64_t now_us, struct core **ret);
void core_free(struct core **c);
/* Before the first event: each record of the store. */
MUST_CHECK enum status core_load(struct core *c, const struct meta_record *record, struct report *report);

void core_on_client(struct core *c, const struct client_address *client, const struct net_frame *frames, size_t count, uint64_t now_us);
/* A message of too many frames was dropped by the socket. */
void core_on_client_oversized(struct core *c, const struct client_address *client, uint64_t now_us);
void core_on_worker(struct core *c, const struct net_peer *peer, const struct net_frame *frames, size_t count, uint64_t now_us);
void core_on_meta(struct core *c, struct meta_commit **take, uint64_t now_us);
/* The end of a turn: what was held back to leave together is sent, then deadlines and silences up to now. Call it after draining what has
 * arrived, and when core_next_us() is reached. */
void core_tick(struct core *c, uint64_t now_us);
uint64_t core_next_us(const struct core *c);
/* The process is about to end: everything under way is answered as if its deadline had come. */
void core_stop(struct core *c, uint64_t now_us);

/* What was counted since core_new(); any thread may read it while the core lives. */
const struct core_metrics *core_metrics(const struct core *c);
/* Invariants, for tests: after every event. */
bool core_check(const struct core *c);

#endif
