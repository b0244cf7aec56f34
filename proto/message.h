/* message.h - what goes over the wire, as plain structs. Bytes become these in client_codec and cluster_codec and nowhere
 * else; those two check meaning as well as syntax, so whoever holds one of these structs need not check it again.
 *
 * Borrowing. Decoded structs point into the frames of the message they came from: valid until net_message_release(). Raw
 * frames are little-endian and NOT aligned: read them with load_u64() and friends, or copy. Encoders copy what they are given.
 */
#ifndef PROTO_MESSAGE_H
#define PROTO_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/limits.h"
#include "common/status.h"
#include "common/uuid.h"
#include "common/vec.h"

enum { CLIENT_PROTOCOL_VERSION = 1, CLUSTER_PROTOCOL_VERSION = 2 };

/* ---- parts ---- */

/* n byte strings laid end to end: a frame of u32 lengths[n], then the bytes. count 0: none were sent. A length of 0 means
 * that this item has none. Walk in order with blobs_next(). */
struct blobs { uint32_t count; const uint8_t *lengths; const uint8_t *bytes; size_t bytes_size; };
struct blob { const uint8_t *bytes; uint32_t size; };
struct blob_cursor { uint32_t i; size_t offset; };
/* The next string (empty past the end, and for every i when count is 0). */
struct blob blobs_next(const struct blobs *b, struct blob_cursor *c);
/* Parse such a frame for n items, each at most `max` bytes; false if it is not exactly that. An empty frame: count 0, true. */
bool blobs_parse(const uint8_t *frame, size_t size, uint32_t n, uint32_t max, struct blobs *ret);

/* Items of an upsert or of a get's answer, as parallel arrays of n. */
struct items {
	uint32_t n;
	enum dtype dtype;
	uint32_t dim;
	const uint8_t *ids;     /* u64[n]; where keys are given, XXH3_64(key): the codec has checked or filled it */
	const uint8_t *vectors; /* n rows of dtype_row_bytes(dtype, dim); finite */
	struct blobs payloads;  /* each empty or one msgpack map of at most PAYLOAD_MAX bytes */
	struct blobs keys;      /* each empty or 1..KEY_MAX bytes */
};

enum search_mode { SEARCH_FOREST = 0, SEARCH_EXACT = 1, SEARCH_GRAPH = 2 };

/* What a search costs and what it may return, the same on both wires. Its effort is search_k or recall or neither. Neither: in graph mode recall
 * EFFORT_RECALL_DEFAULT, in forest mode search_k = k x trees. The coordinator fills it in: a worker is always told one (but for exact). */
#define EFFORT_RECALL_DEFAULT 0.95f
struct search_spec {
	uint32_t k;           /* >= 1, nq x k <= QUERY_HITS_MAX */
	enum search_mode mode;
	uint32_t search_k;    /* candidates for the whole index; 0: not named. Ignored for exact */
	float recall;         /* the share of the true k nearest that is wanted, graph mode only: 0 < recall < 1; 0: not named */
	uint32_t spread;      /* to a worker only: how many shards the k nearest are spread over; what `recall` and predictions are made of. 0: not said, as one */
	bool with_payload;
};
/* NULL, or what is wrong with the effort, as a sentence. Not its budget: the two wires have their own limits. */
const char *search_effort_fault(const struct search_spec *s);

/* Coverage of one query, as one 40-byte record of the coverage frame: u32 shards, answered, failed, late; u64 items_total,
 * items_searched, candidates. (promise P8) complete iff answered == shards. `late` counts shards that gave nothing or a
 * truncated list by the deadline; failed ones are dead, stopped or refused. shards == answered + failed + late. */
struct coverage {
	uint32_t shards, answered, failed, late;
	uint64_t items_total, items_searched, candidates;
};
enum { COVERAGE_BYTES = 40 };
static inline bool coverage_complete(const struct coverage *c) { return c->answered == c->shards; }

/* One missing shard of an answer, 24 bytes on the wire: u32 shard, i32 status (status.h), u64 items (last known), u64 zero. */
struct missing { uint32_t shard; enum status status; uint64_t items; };
enum { MISSING_BYTES = 24 };

/* The token of a write (promise P7), 24 bytes: u32 shard, u32 zero, u64 epoch, u64 sequence. */
struct token { uint32_t shard; uint64_t epoch, sequence; };
enum { TOKEN_BYTES = 24 };

/* Where a scan goes on, 24 bytes: u64 index (0: whichever has the name), u32 shard, u32 zero, u64 lowest id. All zero: the beginning. */
struct scan_cursor { uint64_t index; uint32_t shard; uint64_t id; };
enum { CURSOR_BYTES = 24, SCAN_LIMIT_DEFAULT = 4096 /* items of a page, where the request names no limit */ };

/* Result of one item of an upsert or delete, one byte. */
enum item_result { ITEM_OK = 0, ITEM_REJECTED = 1, ITEM_UNKNOWN = 2 };

struct index_spec {
	uint64_t id; /* given by the coordinator, never reused */
	char name[NAME_MAX_BYTES + 1];
	enum metric metric;
	uint32_t dim, shards, replicas, trees;
	uint64_t seed;
};

enum shard_state { SHARD_OPENING = 0, SHARD_SERVING = 1, SHARD_BUILDING = 2, SHARD_STOPPED = 3, SHARD_MISSING = 4 };
const char *shard_state_name(enum shard_state s); /* "opening", "serving", ... */
enum worker_state { WORKER_ALIVE = 0, WORKER_SUSPECT = 1, WORKER_DEAD = 2 };
const char *worker_state_name(enum worker_state s);

/* What a worker says of one of its shards, in every beat. 120 bytes of the beat's shard frame; layout in cluster_codec.c. */
struct shard_report {
	struct uuid shard;
	uint64_t index_id;
	uint32_t number;
	enum shard_state state;
	enum status status;       /* why, when stopped */
	uint64_t epoch, sequence; /* highest durable */
	uint64_t items, memory_bytes, disk_bytes;
	uint32_t segments, progress_permille; /* of a running build */
	uint32_t trees;                       /* of the newest segment; 0: none */
};

/* ---- client <-> coordinator (CLIENT.md) ---- */

enum client_op {
	CLIENT_HELLO, CLIENT_CREATE, CLIENT_DROP, CLIENT_LIST, CLIENT_DESCRIBE, CLIENT_UPSERT, CLIENT_DELETE, CLIENT_GET,
	CLIENT_BUILD, CLIENT_SEARCH, CLIENT_STATUS, CLIENT_SCAN, CLIENT_OP_COUNT,
};

struct client_request {
	uint64_t id;     /* chosen by the client, echoed; increases per client */
	uint64_t client; /* the client's random identity (0: none) */
	enum client_op op;
	uint32_t timeout_ms;           /* DEADLINE_MIN_MS .. DEADLINE_MAX_MS; default 10,000 */
	char index[NAME_MAX_BYTES + 1]; /* "" for hello, list, status */
	union {
		struct { uint32_t version_min, version_max; bool bundles; /* may answers be bundled? */ } hello;
		struct { struct index_spec spec; } create; /* id 0; shards 0: the workers present; trees 0: 10; replicas 1 */
		struct { struct items items; } upsert;
		struct { uint32_t n; const uint8_t *ids; struct blobs keys; } ids; /* delete, get */
		struct { uint32_t trees; } build;                                  /* 0: the index's own */
		struct {
			struct search_spec spec;
			uint32_t nq;
			bool by_id;             /* then `vectors` holds u64 ids[nq] */
			enum dtype dtype;
			uint32_t dim;           /* of the vectors sent; 0 when by id */
			const uint8_t *vectors; /* nq rows; finite */
			float min_coverage;     /* 0..1: below it an incomplete answer is an error; default 1 */
		} search;
		struct { struct scan_cursor from; uint32_t limit; bool with_vector, with_payload; } scan;
	};
};

struct index_info { struct index_spec spec; uint64_t items; uint32_t shards_serving, shards_building, progress_permille; bool complete; };
struct shard_info { struct shard_report report; struct uuid worker; }; /* state SHARD_MISSING: report has the last known values */
struct worker_info {
	struct uuid id;
	enum worker_state state;
	int64_t pid;
	char endpoint[128];
	uint64_t items, memory_bytes, age_ms; /* age of its last beat */
	uint32_t shards, threads;
};

/* A search's answer: hits of query i are the next counts[i] entries of ids and distances. */
struct client_hits {
	uint32_t nq;
	uint64_t total;
	const uint8_t *counts;    /* u32[nq] */
	const uint8_t *ids;       /* u64[total] */
	const uint8_t *distances; /* f32[total], as shown (vec_shown) */
	const uint8_t *coverage;  /* COVERAGE_BYTES x nq: coverage_load() */
	uint32_t missing_count;
	const uint8_t *missing;   /* MISSING_BYTES x missing_count: the union over the batch */
	struct blobs payloads;    /* count total, or 0 when not asked for */
	float predicted;          /* recall, of the shards that answered, 0..1; 0: nothing is known (forest, or a budget was named) */
};

struct client_reply {
	uint64_t id;
	enum client_op op;
	struct report error; /* error.status == STATUS_OK: ok. INCOMPLETE still carries `search` */
	union {
		struct { uint32_t version; char server[64]; bool bundles; /* bundles are understood */ } hello;
		struct { uint32_t n; const uint8_t *results; uint32_t token_count; const uint8_t *tokens; } write; /* u8[n]; also when not ok */
		struct { struct items items; const uint8_t *found; } get; /* found: u8[n]; rows not found are zeros */
		struct client_hits search;
		struct { struct items items; bool end; struct scan_cursor next; } scan; /* ids ascend; dim 0: no vectors. end: no next */
		struct { struct index_info *indexes; uint32_t count; } list; /* list, create, build: in codec-owned memory */
		struct {
			struct worker_info *workers; uint32_t worker_count;
			struct index_info *indexes; uint32_t index_count;
			struct shard_info *shards; uint32_t shard_count; /* of all indexes, by (index id, number) */
		} status; /* also describe: one index and its shards */
	};
	void *owned; /* freed by client_reply_release() */
};

void coverage_load(const uint8_t *record, struct coverage *ret);
void coverage_store(const struct coverage *c, uint8_t *record);
void missing_load(const uint8_t *record, struct missing *ret);
void missing_store(const struct missing *m, uint8_t *record);
void token_load(const uint8_t *record, struct token *ret);
void token_store(const struct token *t, uint8_t *record);
void cursor_load(const uint8_t *record, struct scan_cursor *ret);
void cursor_store(const struct scan_cursor *c, uint8_t *record);
bool index_name_valid(const char *name, size_t size);
uint64_t item_id_of_key(const void *key, size_t size);      /* XXH3_64 */
uint32_t shard_of_id(uint64_t id, uint32_t shards);         /* XXH3_64(id as 8 bytes LE, seed 0) mod shards */

/* ---- coordinator <-> worker ---- */

enum cluster_kind {
	CLUSTER_BEAT,    /* worker -> coordinator, every 250 ms: who I am and what I hold; the first one announces */
	CLUSTER_WELCOME, /* coordinator -> worker: the answer to a first beat */
	CLUSTER_OPEN, CLUSTER_DROP, CLUSTER_WRITE, CLUSTER_GET, CLUSTER_BUILD, CLUSTER_SEARCH, /* coordinator -> worker */
	CLUSTER_REPLY,   /* worker -> coordinator: to one of the line above or below, same request id */
	CLUSTER_SCAN,    /* coordinator -> worker; came later, and numbers stay */
	CLUSTER_KIND_COUNT,
};

struct cluster_beat {
	struct uuid worker, cluster; /* cluster zero: belongs to none yet */
	uint64_t incarnation;        /* random per process */
	uint64_t beat;               /* counts up */
	int64_t pid;
	uint64_t memory_bytes;
	uint32_t threads;
	char endpoint[128]; /* of its peer socket; may be empty */
	uint32_t shard_count;
	struct shard_report *shards; /* codec-owned */
};

struct cluster_welcome { struct uuid cluster; struct report refusal; /* not OK: refused, do not come back as you are */ };

/* A shard to open: made if this worker never had it and `create` is set. */
struct cluster_open { struct uuid shard; struct index_spec index; uint32_t number; uint64_t epoch; bool create; };
struct cluster_drop { struct uuid shard; uint64_t index_id; };

enum write_kind { WRITE_UPSERT = 0, WRITE_DELETE = 1 };
struct cluster_write {
	struct uuid shard; uint64_t epoch; enum write_kind kind;
	uint64_t client, client_request;
	struct items items; /* delete: n, ids and keys only */
};
struct cluster_get { struct uuid shard; uint32_t n; const uint8_t *ids; struct blobs keys; };
/* Live items whose id is `from` or more, ascending, at most `limit`. */
struct cluster_scan { struct uuid shard; uint64_t from; uint32_t limit; bool with_vector, with_payload; };
struct cluster_build { struct uuid shard; uint64_t epoch; uint32_t trees; uint64_t seed; };
struct cluster_search {
	struct search_spec spec; /* search_k here is the budget of EACH shard, already split; 0 for exact, and where recall is named */
	uint32_t nq;
	enum dtype dtype;
	uint32_t dim;
	const uint8_t *vectors;
	uint32_t shard_count;
	struct uuid *shards; /* codec-owned */
};

struct cluster_request {
	uint64_t id;
	enum cluster_kind kind;
	uint64_t remaining_us; /* until its deadline, from arrival */
	union {
		struct cluster_beat beat; struct cluster_welcome welcome; struct cluster_open open; struct cluster_drop drop;
		struct cluster_write write; struct cluster_get get; struct cluster_build build; struct cluster_search search;
		struct cluster_scan scan;
	};
	void *owned; /* cluster_request_release() */
};

/* What one query got from one shard, a byte of the matrix [nq x shard_count]. */
enum shard_answer { ANSWER_DONE = 0, ANSWER_TRUNCATED = 1, ANSWER_NONE = 2 };

/* items: live, in the searched snapshot. predicted, 0..1: what share of the k nearest that it holds it expected to find; 0: nothing is known. */
struct shard_outcome { enum status status; uint64_t items, sequence, epoch; float predicted; };

struct cluster_reply {
	uint64_t id;
	enum cluster_kind to; /* what it answers */
	struct report error;  /* of the whole request; for search: OK unless nothing was tried */
	union {
		struct { uint32_t n; const uint8_t *results; uint64_t epoch, sequence; } write;
		struct { struct items items; const uint8_t *found; } get;
		struct { struct items items; bool more; uint64_t next; } scan; /* dim 0: no vectors. more: go on from `next`, above all ids here */
		struct { uint64_t items; uint32_t trees; } build;
		struct {
			uint32_t nq, shard_count;
			struct shard_outcome *shards;  /* [shard_count], in the order asked; codec-owned */
			const uint8_t *answers;        /* enum shard_answer [nq x shard_count] */
			const uint8_t *candidates;     /* u64[nq]: scored, over all its shards */
			const uint8_t *counts;         /* u32[nq], each <= k */
			uint64_t total;
			const uint8_t *ids;            /* u64[total]; per query ascending by (raw, id) */
			const uint8_t *raws;           /* f32[total] */
			struct blobs payloads;
		} search;
	};
	void *owned; /* cluster_reply_release() */
};

#endif
