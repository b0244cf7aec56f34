/* core_sim.h - a whole cluster in one process from one seed: the real core and the real codecs between a virtual clock,
 * simulated workers (shards that survive the process), a simulated metadata store, and one client.
 *
 * Messages take a random time and keep their order on each connection. A worker can be killed (its process and connection are
 * gone, its shards stay), stopped (everything waits in its queue) and started again; so can the coordinator. */
#ifndef TESTS_CORE_SIM_H
#define TESTS_CORE_SIM_H

#include "common/prng.h"
#include "coordinator/core.h"
#include "proto/client_codec.h"
#include "proto/cluster_codec.h"

enum { SIM_WORKERS = 4, SIM_SHARDS = 64, SIM_ITEMS = 64, SIM_RECORDS = 16, SIM_STEP_US = 5000, SIM_IDS = 40 };

struct sim_item { uint64_t id; float value; bool live; };
struct sim_shard { bool used; struct uuid id; struct index_spec spec; uint32_t number; uint64_t sequence; uint32_t count; struct sim_item items[SIM_ITEMS]; };
struct sim_worker {
	struct uuid id;
	bool running, stopped, mute_replies, swallows, busy; /* swallows: what is sent is gone; busy: answers all but OPEN with BUSY */
	uint64_t incarnation, beats, next_beat_us, last_arrival_us, last_departure_us;
	uint8_t connection; /* part of its peer name; a new one for each process */
	struct sim_shard shards[SIM_SHARDS];
	unsigned welcomes, refusals;
};
struct sim_message { struct sim_message *next; uint64_t at_us; int to_worker; /* -1: to the coordinator */ int from_worker; uint8_t connection;
	size_t count; struct net_frame frames[FRAMES_MAX]; uint8_t *memory; };
struct sim_commit { struct sim_commit *next; uint64_t at_us; struct meta_commit *commit; };
struct sim_record { bool used; char key[META_KEY_MAX + 1]; uint64_t version; uint8_t *value; size_t size; };

struct sim {
	struct prng prng;
	uint64_t now_us;
	struct core *core;
	struct uuid cluster;
	struct sim_worker workers[SIM_WORKERS];
	struct sim_message *messages; /* by time */
	struct sim_commit *commits;
	struct sim_record records[SIM_RECORDS];
	uint64_t revision, uuids, tries; /* tries: commits that it was asked for */
	bool store_fails, store_silent; /* the store answers IO, or nothing */
	bool scans_wrong; /* workers answer scans with nothing and send back to where they were asked from */
	/* The client: one request at a time. */
	bool client_full; /* takes short errors, nothing longer */
	unsigned bundles; /* that it was sent, taken or not */
	uint64_t next_request, waiting_for;
	unsigned replies; /* to the request that is waited for; must never pass one */
	struct client_reply reply;
	struct sim_message reply_memory;
};

void sim_init(struct sim *s, uint64_t seed, unsigned workers);
void sim_release(struct sim *s);
void sim_worker_start(struct sim *s, unsigned w); /* its shards are what they were */
void sim_worker_kill(struct sim *s, unsigned w);
void sim_coordinator_restart(struct sim *s);
void sim_run(struct sim *s, uint64_t us); /* let time pass */

/* Send a request and let time pass until its reply or until `timeout_ms` and a little more. True: s->reply holds it. */
bool sim_ask(struct sim *s, struct client_request *r);
void sim_reply_forget(struct sim *s);

/* Requests that most tests need; dimension 1, euclidean. */
enum status sim_create(struct sim *s, const char *index, uint32_t shards);
enum status sim_drop(struct sim *s, const char *index);
/* One reply byte for each item in `results` when there is a reply. UNKNOWN when none came. */
enum status sim_write(struct sim *s, const char *index, uint32_t n, const uint64_t *ids, const float *values, uint8_t *results, uint32_t timeout_ms);
enum status sim_search(struct sim *s, const char *index, float query, uint32_t k, float min_coverage, uint32_t timeout_ms);

#endif
