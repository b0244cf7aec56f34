/* grove.h - the C client library of Grove, a distributed nearest-neighbour index.
 *
 *     char why[GROVE_TEXT_MAX];
 *     grove_client *client;
 *     grove_reply *reply;
 *     if (grove_open(NULL, 5000, &client, why, sizeof(why)) != GROVE_OK) errx(1, "%s", why);
 *     grove_search_args args = { .queries = 1, .dim = 784, .dtype = GROVE_F32, .vectors = query, .k = 10 };
 *     int code = grove_search(client, "clothes", &args, &reply);
 *     if (code != GROVE_OK) errx(1, "%s", grove_message(client));
 *     for (uint64_t i = 0; i < reply->hits.total; i++) printf("%" PRIu64 " %g\n", reply->hits.ids[i], reply->hits.distances[i]);
 *     grove_reply_free(&reply);
 *     grove_close(&client);
 *
 * Two ways to call. grove_search() and its like send one request and wait for its answer. grove_search_submit() and its like
 * only send, and give a ticket; grove_wait() fetches the answer of a ticket, grove_poll() says which ticket is answered next.
 * Up to GROVE_IN_FLIGHT_MAX tickets may be open in one handle; answers may come in any order. What is submitted while answers wait to
 * be fetched, and others are still at the server, leaves with the next call that has to wait: so a caller that keeps many small requests
 * under way sends them together, which costs less.
 *
 * Threads. A handle belongs to one thread at a time; handing it to another thread needs a synchronisation of your own (a mutex,
 * a join). Different handles are independent. A reply is plain memory: any thread may read it, one frees it. After fork() the
 * child may not use a handle of its parent. Nothing here installs signal handlers or keeps global state.
 *
 * Lifetimes. What is passed in is copied before a function returns. A reply, and all that its pointers reach, lives until
 * grove_reply_free(); it outlives the handle. Strings are UTF-8 and end with a NUL.
 *
 * Errors. Functions return GROVE_OK (0) or a negative code; grove_message() then has the sentence that tells what to do.
 *
 * Time. Timeouts are milliseconds, 1 to 600,000. The server answers by the timeout; the library waits 500 ms longer for that
 * answer to arrive. After that a read is GROVE_TIMEOUT. A write (create, drop, upsert, delete, build) is GROVE_UNKNOWN: it may be
 * applied, now or later, and is safe to repeat. A request that never left this process is GROVE_UNAVAILABLE, and was not applied.
 *
 * Numbers in this header never change their meaning. Structures that the caller fills must be zeroed first: zero is the default
 * of every field. Fields are only added at the end, together with a new version of the shared library's name. */
#ifndef GROVE_H
#define GROVE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define GROVE_API __attribute__((visibility("default")))
#else
#define GROVE_API
#endif

#define GROVE_DEFAULT_ENDPOINT "tcp://127.0.0.1:7600"

enum {
	GROVE_TEXT_MAX = 400,          /* bytes of a message, its NUL included */
	GROVE_NAME_SIZE = 64,          /* bytes of an index's name, its NUL included: [a-z0-9][a-z0-9_-]{0,62} */
	GROVE_UUID_SIZE = 37,          /* bytes of an identity as text, its NUL included */
	GROVE_IN_FLIGHT_MAX = 64,      /* open tickets of one handle, answered and not yet fetched ones included */
	GROVE_DEFAULT_TIMEOUT_MS = 10000,
	GROVE_GRACE_MS = 500,          /* how long after its timeout a request's answer is still waited for */
};

enum grove_code {
	GROVE_OK = 0,
	GROVE_NO_MEMORY = -1,
	GROVE_BAD_REQUEST = -2,
	GROVE_LIMIT = -3,       /* the message names the limit; nothing is ever clipped */
	GROVE_NOT_FOUND = -4,   /* no such index; for grove_wait(): no such ticket */
	GROVE_EXISTS = -5,
	GROVE_BUSY = -6,        /* a queue is full: nothing was done; try again a little later */
	GROVE_TIMEOUT = -7,
	GROVE_UNAVAILABLE = -8, /* no coordinator answers, or no worker has what is asked for */
	GROVE_INCOMPLETE = -9,  /* not every shard answered: the reply has the partial hits and says what is missing */
	GROVE_DISK_FULL = -10,
	GROVE_IO = -11,
	GROVE_CORRUPT = -12,
	GROVE_LOCKED = -13,
	GROVE_UNKNOWN = -14,    /* a write that may be applied, now or later; safe to repeat */
	GROVE_UNSUPPORTED = -15,
	GROVE_CANCELLED = -16,
	GROVE_CONFLICT = -17,
	GROVE_STOPPED = -18,
	GROVE_STALE = -19,
	GROVE_USAGE = -20       /* the call is wrong: see the comment of the function */
};

enum grove_metric { GROVE_ANGULAR = 0, GROVE_EUCLIDEAN = 1, GROVE_MANHATTAN = 2, GROVE_HAMMING = 3, GROVE_DOT = 4 };

/* How the elements of vectors lie in memory: float (4 * dim bytes a row), bytes (dim), bits (ceil(dim / 8), the least significant
 * bit first, unused bits zero). A hamming index takes bits, the others floats or bytes. Rows follow each other without gaps. */
enum grove_dtype { GROVE_F32 = 0, GROVE_U8 = 1, GROVE_BITS = 2 };

/* How built segments are searched: along their graph of near neighbours, comparing with every item, or through the leaves of their trees, as Annoy. */
enum grove_mode { GROVE_GRAPH = 0, GROVE_EXACT = 1, GROVE_FOREST = 2 };
enum grove_outcome { GROVE_ITEM_OK = 0, GROVE_ITEM_REJECTED = 1, GROVE_ITEM_UNKNOWN = 2 };
enum grove_shard_state { GROVE_SHARD_OPENING = 0, GROVE_SHARD_SERVING = 1, GROVE_SHARD_BUILDING = 2, GROVE_SHARD_STOPPED = 3, GROVE_SHARD_MISSING = 4 };
enum grove_worker_state { GROVE_WORKER_ALIVE = 0, GROVE_WORKER_SUSPECT = 1, GROVE_WORKER_DEAD = 2 };

typedef struct grove_client grove_client; /* a connection to a coordinator */
typedef uint64_t grove_ticket;            /* a request under way; never 0, never used twice in a handle */

/* ---- what is passed in ---- */

/* Byte strings laid end to end: string i has sizes[i] bytes (0: none). sizes NULL: no strings at all. */
typedef struct grove_blobs { const uint32_t *sizes; const void *bytes; } grove_blobs;

typedef struct grove_create_args {
	const char *name;
	uint32_t metric; /* enum grove_metric */
	uint32_t dim;    /* 1 to 65,536 */
	uint32_t shards; /* 1 to 4,096; 0: as many as workers are there */
	uint32_t trees;  /* of each shard's forest, 1 to 10,000; 0: 10 */
	uint64_t seed;
} grove_create_args;

/* At most 65,536 items and 16 MiB in one request. */
typedef struct grove_items {
	uint32_t count;
	uint32_t dim;
	uint32_t dtype;       /* enum grove_dtype */
	const uint64_t *ids;  /* NULL only if every item has a key */
	const void *vectors;  /* count rows, all finite */
	grove_blobs payloads; /* each one msgpack map of at most 64 KiB */
	grove_blobs keys;     /* each 1 to 255 bytes: the item's id is then the hash of its key, and ids[i] is not looked at */
} grove_items;

/* At most 4,096 queries, queries x k at most 1,048,576, and 16 MiB in one request. An effort is recall or search_k; named together, or recall in
 * another mode than graph, they are GROVE_BAD_REQUEST. Neither: recall 0.95, in forest mode search_k = k x trees. */
typedef struct grove_search_args {
	uint32_t queries;
	uint32_t dim;          /* with `vectors` */
	uint32_t dtype;        /* with `vectors`: enum grove_dtype */
	const void *vectors;   /* rows to search near; or */
	const uint64_t *ids;   /* ids of stored items to search near. Exactly one of the two is not NULL */
	uint32_t k;            /* at least 1 */
	uint32_t mode;         /* enum grove_mode */
	uint32_t search_k;     /* graph, forest: how many candidates to score in the whole index; 0: not named */
	float recall;          /* graph: the share of the true k nearest that is wanted, more than 0 and less than 1; 0: not named */
	uint32_t with_payload; /* not 0: hits come with their payloads */
	float min_coverage;    /* 0 to 1: share of the shards below which an answer is GROVE_INCOMPLETE; 0: all; below 0: none needed */
} grove_search_args;

/* Where a scan goes on: what the page before gave; all zero: the beginning. */
typedef struct grove_cursor { uint64_t index; uint32_t shard; uint64_t id; } grove_cursor;

typedef struct grove_scan_args {
	grove_cursor from;
	uint32_t limit;        /* items of a page, at most 65,536; 0: 4,096. A page of 1 MiB ends earlier */
	uint32_t with_vector;  /* not 0: items come with their vectors */
	uint32_t with_payload; /* not 0: and with their payloads */
} grove_scan_args;

/* ---- what comes back ---- */

/* String i is bytes[offsets[i]] up to bytes[offsets[i + 1]]; offsets NULL: there are none. */
typedef struct grove_strings { const uint64_t *offsets; const uint8_t *bytes; } grove_strings;

/* What one query's answer rests on. Complete if answered == shards. */
typedef struct grove_coverage {
	uint32_t shards, answered, failed, late;
	uint64_t items_total, items_searched; /* live items of the index; of the shards that answered */
	uint64_t candidates;                  /* distances computed */
} grove_coverage;

typedef struct grove_missing { uint32_t shard; int32_t code; uint64_t items; } grove_missing; /* code: enum grove_code */
typedef struct grove_token { uint32_t shard; uint64_t epoch, sequence; } grove_token;

typedef struct grove_index {
	uint64_t id; /* never used twice in a cluster */
	char name[GROVE_NAME_SIZE];
	uint32_t metric, dim, shards, replicas, trees;
	uint64_t seed, items;
	uint32_t shards_serving, shards_building;
	uint32_t progress_permille; /* of a build under way */
	uint32_t complete;          /* 1: every shard is served; 0: items of the others are missing from `items`' accuracy */
} grove_index;

typedef struct grove_shard {
	uint64_t index_id;
	uint32_t number;
	uint32_t state;                /* enum grove_shard_state; of a missing one, the other fields are the last known */
	int32_t code;                  /* why, when stopped or missing: enum grove_code */
	uint32_t segments, trees, progress_permille;
	char worker[GROVE_UUID_SIZE];  /* who holds it */
	uint64_t epoch, sequence;      /* of the last durable write */
	uint64_t items, memory_bytes, disk_bytes;
} grove_shard;

typedef struct grove_worker {
	char id[GROVE_UUID_SIZE];
	char endpoint[128];
	uint32_t state; /* enum grove_worker_state */
	uint32_t shards, threads;
	int64_t pid;
	uint64_t items, memory_bytes, age_ms; /* age of its last sign of life */
} grove_worker;

/* Hits of query q are ids and distances [offsets[q]] up to [offsets[q + 1]], nearest first, equal distances by id. Distances as
 * Annoy defines them: dot is the product, largest first; a distance that overflows is infinite. */
typedef struct grove_hits {
	uint32_t queries;
	uint64_t total;
	const uint64_t *offsets; /* queries + 1 */
	const uint64_t *ids;
	const float *distances;
	const grove_coverage *coverage; /* one for each query */
	uint32_t missing_count;         /* shards that some query did without */
	const grove_missing *missing;
	grove_strings payloads;         /* one for each hit, msgpack; empty where an item has none */
	float predicted;                /* recall, over the shards that answered, 0 to 1; 0: nothing is known (forest, or search_k was named) */
} grove_hits;

/* The answer of a get: rows as the index stores them (float, or bits for hamming); zeros where found[i] is 0. Of a scan: found is NULL, and
 * vectors NULL and dim 0 where none were asked for. */
typedef struct grove_rows {
	uint32_t count, dim, dtype;
	const uint8_t *found;
	const uint64_t *ids;
	const void *vectors;
	grove_strings payloads, keys;
} grove_rows;

typedef struct grove_reply {
	int32_t code;                /* enum grove_code */
	char message[GROVE_TEXT_MAX]; /* empty when code is GROVE_OK */
	uint32_t outcome_count;      /* upsert, delete: one enum grove_outcome for each item, whatever the code is */
	const uint8_t *outcomes;
	uint32_t token_count;        /* upsert, delete: where the write stands in each shard */
	const grove_token *tokens;
	grove_rows rows;             /* get, scan */
	grove_hits hits;             /* search; also with GROVE_INCOMPLETE */
	uint32_t index_count;        /* create, list, describe, build, status */
	const grove_index *indexes;
	uint32_t shard_count;        /* describe, status: by (index id, number) */
	const grove_shard *shards;
	uint32_t worker_count;       /* status */
	const grove_worker *workers;
	uint32_t end;                /* scan: 1: this was the last page; else the next one begins at `next` */
	grove_cursor next;
} grove_reply;

/* ---- the handle ---- */

/* Connect and say hello. endpoint NULL: the environment's GROVE_ENDPOINT, else GROVE_DEFAULT_ENDPOINT. Blocks up to timeout_ms +
 * 500 ms; the timeout becomes the handle's. GROVE_UNAVAILABLE: no coordinator answers there. GROVE_UNSUPPORTED: it speaks another
 * version. On failure *ret is untouched and `why` (may be NULL) has the sentence. A lost connection comes back by itself. */
GROVE_API int grove_open(const char *endpoint, uint32_t timeout_ms, grove_client **ret, char *why, size_t why_size);
/* Forgets open tickets. NULL and pointers to NULL are fine. Sets *client to NULL. */
GROVE_API void grove_close(grove_client **client);
/* Milliseconds for requests submitted from now on. GROVE_LIMIT outside 1 .. 600,000. */
GROVE_API int grove_set_timeout(grove_client *client, uint32_t timeout_ms);
/* The sentence of the last call on this handle that failed; "" if none has. Valid until the next call. */
GROVE_API const char *grove_message(const grove_client *client);
/* Name and version of the server, as it said in its hello. Valid as long as the handle. */
GROVE_API const char *grove_server(const grove_client *client);
/* Messages received and dropped: not to be understood, or answers to requests already given up. */
GROVE_API uint64_t grove_dropped_messages(const grove_client *client);

/* ---- tickets ---- */

/* All grove_*_submit() functions: GROVE_OK and a ticket; or a code (GROVE_BUSY: GROVE_IN_FLIGHT_MAX tickets are open; GROVE_LIMIT,
 * GROVE_BAD_REQUEST, GROVE_USAGE: nothing was sent, the message says why) and *ret untouched. They never block. */

/* Wait for a ticket's answer and close the ticket. Returns the answer's code. *ret (ret may be NULL) becomes the reply, or NULL
 * if there is none (no memory, or no such ticket: GROVE_NOT_FOUND). Other tickets go on meanwhile. */
GROVE_API int grove_wait(grove_client *client, grove_ticket ticket, grove_reply **ret);
/* Wait up to timeout_ms (0: only look) until some open ticket is answered: the one answered first, still to be fetched with
 * grove_wait(), which then does not block. GROVE_TIMEOUT: none yet. GROVE_NOT_FOUND: no ticket is open. */
GROVE_API int grove_poll(grove_client *client, uint32_t timeout_ms, grove_ticket *ret);
/* Close a ticket without its answer. What was sent may still be carried out. Unknown tickets are fine. */
GROVE_API void grove_forget(grove_client *client, grove_ticket ticket);
/* Open tickets, answered ones included. */
GROVE_API uint32_t grove_in_flight(const grove_client *client);

GROVE_API int grove_create_submit(grove_client *client, const grove_create_args *args, grove_ticket *ret);
GROVE_API int grove_drop_submit(grove_client *client, const char *index, grove_ticket *ret);
GROVE_API int grove_list_submit(grove_client *client, grove_ticket *ret);
GROVE_API int grove_describe_submit(grove_client *client, const char *index, grove_ticket *ret);
GROVE_API int grove_status_submit(grove_client *client, grove_ticket *ret);
GROVE_API int grove_upsert_submit(grove_client *client, const char *index, const grove_items *items, grove_ticket *ret);
GROVE_API int grove_delete_submit(grove_client *client, const char *index, const uint64_t *ids, uint32_t count, grove_ticket *ret);
GROVE_API int grove_get_submit(grove_client *client, const char *index, const uint64_t *ids, uint32_t count, grove_ticket *ret);
GROVE_API int grove_build_submit(grove_client *client, const char *index, uint32_t trees, grove_ticket *ret);
GROVE_API int grove_search_submit(grove_client *client, const char *index, const grove_search_args *args, grove_ticket *ret);
GROVE_API int grove_scan_submit(grove_client *client, const char *index, const grove_scan_args *args, grove_ticket *ret);

/* ---- the same, sent and waited for ---- */

/* *ret as in grove_wait(); ret may be NULL. */
GROVE_API int grove_create(grove_client *client, const grove_create_args *args, grove_reply **ret);
GROVE_API int grove_drop(grove_client *client, const char *index, grove_reply **ret);
GROVE_API int grove_list(grove_client *client, grove_reply **ret);
GROVE_API int grove_describe(grove_client *client, const char *index, grove_reply **ret); /* one index and its shards */
GROVE_API int grove_status(grove_client *client, grove_reply **ret);                      /* workers, indexes, shards */
/* Insert or replace. GROVE_OK only if every item's outcome is ok. */
GROVE_API int grove_upsert(grove_client *client, const char *index, const grove_items *items, grove_reply **ret);
/* An id that is not there is ok: it is gone. */
GROVE_API int grove_delete(grove_client *client, const char *index, const uint64_t *ids, uint32_t count, grove_reply **ret);
/* GROVE_OK also where some or all ids are not there: look at found[]. */
GROVE_API int grove_get(grove_client *client, const char *index, const uint64_t *ids, uint32_t count, grove_reply **ret);
/* Build every shard's forest; trees 0: the index's own number. Returns when all are built. Give it a long timeout; what its end
 * cuts off goes on in the workers, and grove_describe() shows how far it is. */
GROVE_API int grove_build(grove_client *client, const char *index, uint32_t trees, grove_reply **ret);
GROVE_API int grove_search(grove_client *client, const char *index, const grove_search_args *args, grove_reply **ret);
/* The items of an index, a page at a time: shard by shard, ids ascending in a shard. Give each page's `next` as the next call's `from` until
 * `end`; a page may be empty and not the last. A scan is no snapshot: an item that is there from its first page to its last comes exactly
 * once, as it was when its page was read; one that is put or deleted meanwhile comes once or not at all. GROVE_UNAVAILABLE: the page's shard
 * has no worker now; the same call may be repeated later. GROVE_CONFLICT: the index was dropped and made again. */
GROVE_API int grove_scan(grove_client *client, const char *index, const grove_scan_args *args, grove_reply **ret);

/* NULL and pointers to NULL are fine. Sets *reply to NULL. */
GROVE_API void grove_reply_free(grove_reply **reply);

/* ---- names; static strings, never NULL ---- */

GROVE_API const char *grove_code_name(int code);   /* "not_found" */
GROVE_API const char *grove_code_text(int code);   /* a general sentence */
GROVE_API const char *grove_metric_name(uint32_t metric);
GROVE_API int grove_metric_by_name(const char *name, uint32_t *ret); /* GROVE_NOT_FOUND: none of that name, *ret untouched */
GROVE_API const char *grove_shard_state_name(uint32_t state);
GROVE_API const char *grove_worker_state_name(uint32_t state);
GROVE_API const char *grove_version(void); /* of this library: "0.1.0" */

#ifdef __cplusplus
}
#endif

#endif
