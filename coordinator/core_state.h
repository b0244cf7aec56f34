/* core_state.h - what the files of the core share with each other and nobody else includes. */
#ifndef COORDINATOR_CORE_STATE_H
#define COORDINATOR_CORE_STATE_H

#include "coordinator/core.h"
#include "coordinator/membership.h"
#include "coordinator/shard_map.h"
#include "proto/client_codec.h"
#include "proto/cluster_codec.h"

#define CORE_TICK_US UINT64_C(100000)     /* how often silences are looked for */
#define ERRAND_RETRY_US UINT64_C(1000000) /* how often a worker is asked again to open or drop a shard */
/* Bytes under way to one worker that it has not answered for: beyond this its parts are BUSY, so that a worker that takes
 * nothing costs bounded memory. One message a second is let through all the same: its answer is what shows that it is back. */
#define WORKER_BYTES_MAX (UINT64_C(256) << 20)
#define WORKER_PROBE_US UINT64_C(1000000)
/* Memory for hits of all searches under way; the workers' lists of one search may need nq x k hits for each worker. */
#define SEARCH_MEMORY_MAX (UINT64_C(2) << 30)
#define LOG_PAUSE_US UINT64_C(1000000) /* between log lines that a peer could cause at will */
#define ERRAND_DEADLINE_US UINT64_C(30000000) /* opening verifies whole files */

/* A commit under way: what to do with its answer. Ends exactly once, in core_on_meta() or core_free(). */
struct change {
	struct change *next;
	void (*done)(struct core *c, struct change *change, const struct meta_commit *commit);
	uint64_t index_id;
	uint32_t slot;  /* of the request that asked for it, and its round: it may have ended meanwhile */
	uint64_t round;
	struct map_index *index;     /* create: the index to add. Owned */
	struct map_dropped *dropped; /* drop: the tombstone to add. Owned */
};

struct core {
	struct core_outputs out;
	struct uuid cluster;
	struct shard_map map;
	struct membership members;
	struct pending_table pending;
	struct change *changes; /* under way */
	struct outbox *outboxes; /* with something in them */
	struct answers *answers; /* held back until the turn ends */
	uint64_t start_us, now_us, tick_us;
	uint64_t logged_us;     /* the last line about a peer's mistake */
	uint64_t search_memory; /* reserved by searches under way */
	struct core_metrics metrics;
	struct buf scratch; /* ids that the client codec computes from keys; one message at a time */
};

/* core.c: answers. Each encodes, hands over, and ends the request if it has one. */
void reply_send(struct core *c, const struct client_address *client, const struct client_reply *reply);
void reply_error(struct core *c, const struct client_address *client, uint64_t request, enum client_op op, const struct report *error);
/* Answer a pending request and end it. reply->id and ->op are filled in. */
void pending_reply(struct core *c, struct pending *p, struct client_reply *reply);
void pending_fail(struct core *c, struct pending *p, const struct report *error);
/* Send one request to a member as part `part`: sent or unsent in the fanout. Searches leave at the end of the turn (outbox.h). r->id and remaining_us are filled in. */
void part_send(struct core *c, struct pending *p, uint32_t part, struct member *member, struct cluster_request *r);
/* After the parts of a round were sent: nothing may have been sendable. */
void pending_settle(struct core *c, struct pending *p);
/* Begin a client's request; on failure the client has been told and the state is released. */
struct pending *request_begin(struct core *c, const struct client_address *client, const struct client_request *r, const struct pending_ops *ops,
	void *state);
/* The index that a request names, or NULL: the client has been told. */
struct map_index *request_index(struct core *c, const struct client_address *client, const struct client_request *r);
uint64_t request_deadline(const struct core *c, const struct client_request *r);

/* May a line about a peer's mistake be logged now? At most one each LOG_PAUSE_US. */
bool log_due(struct core *c);

/* core.c: commits. Takes change and commit whatever happens. False: it could not be handed over; *report says why. */
bool change_begin(struct core *c, struct change **take_change, struct meta_commit **take_commit, struct report *report);
void change_free(struct change **change);
/* The request that asked for the change, if it still waits. */
struct pending *change_pending(struct core *c, const struct change *change);
/* A commit of one or two changes; values are taken from the buffers. */
MUST_CHECK enum status commit_new(struct meta_commit **ret);
void commit_put(struct meta_commit *commit, const char *key, uint64_t expected, struct buf *take_value);
void commit_remove(struct meta_commit *commit, const char *key, uint64_t expected);

/* op_*.c: one for each thing a client can ask. */
void op_create(struct core *c, const struct client_address *client, const struct client_request *r);
void op_drop(struct core *c, const struct client_address *client, const struct client_request *r);
void op_write(struct core *c, const struct client_address *client, const struct client_request *r);
void op_get(struct core *c, const struct client_address *client, const struct client_request *r);
void op_scan(struct core *c, const struct client_address *client, const struct client_request *r);
void op_build(struct core *c, const struct client_address *client, const struct client_request *r);
void op_search(struct core *c, const struct client_address *client, const struct client_request *r);
void op_hello(struct core *c, const struct client_address *client, const struct client_request *r);
void op_list(struct core *c, const struct client_address *client, const struct client_request *r);
void op_describe(struct core *c, const struct client_address *client, const struct client_request *r);
void op_status(struct core *c, const struct client_address *client, const struct client_request *r);

/* op_create.c: the index's state moved on (a shard was confirmed or stored as made): answer whoever waits for it. */
void create_progress(struct core *c, struct map_index *index);
/* op_drop.c: the index is free for the next change: let a waiting drop go on. */
void drop_progress(struct core *c, struct map_index *index);
/* op_status.c */
struct index_info index_info_of(const struct core *c, const struct map_index *index);
/* Is the shard there to be asked: its worker lives and its last beat listed it. */
bool shard_present(const struct core *c, const struct map_shard *s);
/* Its items as last heard; false if never heard. */
bool shard_items(const struct map_shard *s, uint64_t *ret_items);

/* errands.c */
void errands_on_beat(struct core *c, struct member *member, const struct cluster_beat *beat);
/* Log how many shards of a beat neither the map nor a tombstone knows: they are left alone. */
void errands_name_strangers(struct core *c, const struct cluster_beat *beat);
/* Ask for all shards of a new index at once, without waiting for beats. */
void errands_open_index(struct core *c, struct map_index *index);
void errands_drop(struct core *c, struct map_dropped *dropped);
/* Store that confirmed shards are made; once at a time for an index. */
void errands_store_made(struct core *c, struct map_index *index);
void worker_welcome(struct core *c, struct member *member, const struct net_peer *peer, const struct report *refusal);

#endif
