/* worker_bench.h - a worker without its sockets: real shards in a folder, the pool, the dispatcher, and requests put in by hand. */
#ifndef TESTS_SUPPORT_WORKER_BENCH_H
#define TESTS_SUPPORT_WORKER_BENCH_H

#include "worker/background.h"
#include "worker/dispatch.h"

struct bench {
	char folder[64];
	struct io *io;
	struct worker_parts parts;
	struct worker_metrics metrics;
	struct dispatch dispatch;
	uint64_t next_id;
};

enum { REMAINING_US = 20000000 };

/* Fails the test if anything does not work. */
void bench_open(struct bench *b, size_t threads); /* in a new folder */
void bench_close(struct bench *b);                /* the folder stays */
void bench_start(struct bench *b, size_t threads); /* again, after bench_close() */
void bench_reopen(struct bench *b, size_t threads);
void bench_remove(struct bench *b);               /* closes, and removes the folder */

/* The answer to one request, decoded. Release it. */
struct answer { struct cluster_reply reply; struct reply *memory; };
void answer_release(struct answer *a);
/* Send r (its id is filled in) and wait for its answer. remaining_us 0 in r means REMAINING_US; UINT64_MAX: none left. */
struct answer bench_ask(struct bench *b, struct cluster_request *r);
/* Send without waiting; the id. */
uint64_t bench_send(struct bench *b, struct cluster_request *r);
struct answer bench_wait(struct bench *b, uint64_t id);

/* A shard `number` of `shards`, of an index of dim dimensions; made. */
struct uuid bench_make(struct bench *b, uint32_t number, uint32_t shards, enum metric metric, uint32_t dim);
/* Items that belong to that shard, written; n ids from first on that fall into it get row f(id). Returns how many. */
uint32_t bench_fill(struct bench *b, struct uuid shard, uint32_t number, uint32_t shards, uint64_t first, uint32_t n, uint32_t dim);
/* The row of an id: small whole numbers, so that ties are many. */
void bench_row(uint64_t id, uint32_t dim, float *out);

#endif
