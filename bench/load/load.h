/* load.h - a client that keeps a number of requests under way, and measures. One program for each thing that can be asked:
 *
 *   load_grove SET K QUERIES ANSWERS ENDPOINT INDEX         a Grove cluster, through the client library
 *   load_pair SET K QUERIES ANSWERS ENDPOINT                the proxy of bench/pair
 *   load_engine SET K QUERIES ANSWERS SHARD-FOLDER...       Grove's engine in this process, on the shards of a worker's data folder: one thread each
 *
 * SET is a folder of bench/data; its first QUERIES are asked in turn, around and around. Reads lines
 *   OUTSTANDING BATCH SECONDS EFFORT                        EFFORT such as recall=0.95, search_k=500, ef=80
 * from stdin: OUTSTANDING requests of BATCH queries each are kept under way for so long, but until every query was asked. Each is answered by one line
 *   {"queries", "seconds", "qps", "p50_us", "p99_us", "cpu_s", "busy", "partial"}      of requests; cpu_s of this process
 * with the row numbers found in the file ANSWERS: int64[QUERIES x K], -1 where there are fewer. `busy` and `partial` count requests; they stand in
 * no other number, and their rows stay -1. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "bench/peers/peer.h"

enum { LOAD_OUTSTANDING_MAX = 64, LOAD_BATCH_MAX = 1024 };
enum load_outcome { LOAD_ANSWERED, LOAD_BUSY, LOAD_PARTIAL };

struct load_driver {
	const char *name;
	void *(*open)(char **arguments, int count, const struct peer_set *queries, size_t k);
	void (*effort)(void *driver, const char *effort); /* of the requests to come */
	/* Send queries first .. first + count - 1. Returns a number for it, never 0. Ends the process with peer_die() if it cannot. */
	uint64_t (*submit)(void *driver, uint32_t first, uint32_t count);
	/* Wait for some answer. ret_rows: count x k, filled with -1. */
	uint64_t (*next)(void *driver, int64_t *ret_rows, enum load_outcome *ret);
};
extern const struct load_driver load_driver;

#endif
