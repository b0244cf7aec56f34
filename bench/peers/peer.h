/* peer.h - what an engine has to offer to be compared, and the one program that compares it.
 *
 * An engine is one small file that defines `const struct peer peer`; peer_main.c gives it a main(). Called as
 *
 *   peer_NAME                                       prints one JSON line: name, version, flags, grid of parameters
 *   peer_NAME SET K BUILD FOLDER ANSWERS            SET a folder of bench/data, BUILD one of the grid's, FOLDER the index's own
 *
 * The second builds the index and saves it into FOLDER, or finds it there; closes it and opens it again, so that what is measured
 * is what a server has after its start; prints one JSON line
 *   {"engine", "build", "n", "build_cpu_s", "memory_bytes", "may_stay_on_disk_bytes", "disk_bytes"}     (build_cpu_s null if found)
 * and then reads lines QUERIES SEARCH from stdin (the first QUERIES of the set, SEARCH one of the grid's). Each is answered by one line
 *   {"search", "queries", "passes", "cpu_s"}        cpu_s of this thread for one pass over the queries
 * with the row numbers found in the file ANSWERS: int64[QUERIES x K], -1 where fewer were found. Recall is the caller's to judge.
 *
 * Queries are given one at a time, as a server gets them from one client that waits. An engine does what it wants with one thread. */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "common/vec.h"

/* Rows of float32 without padding, or, for hamming, of dim / 8 bytes. Mapped from the set's file: not counted as the engine's memory. */
struct peer_set {
	enum metric metric;
	uint32_t n, dim;
	size_t row_bytes;
	const uint8_t *rows;
};
static inline const void *peer_row(const struct peer_set *s, uint32_t i) { return s->rows + (size_t)i * s->row_bytes; }
static inline const float *peer_floats(const struct peer_set *s, uint32_t i) { return (const float *)peer_row(s, i); }

#ifdef __cplusplus
#define PEER_NO_RETURN [[noreturn]]
#else
#define PEER_NO_RETURN _Noreturn
#endif
#define PEER_METRIC(m) (1u << (m))
enum { PEER_FLOATS = 1 << METRIC_ANGULAR | 1 << METRIC_EUCLIDEAN | 1 << METRIC_DOT };

/* A point of the grid of build parameters, and what to search it with: "name=number name=number", by rising effort, NULL at the end. */
struct peer_build { const char *params; unsigned metrics; const char *const *searches; };

struct peer {
	const char *name, *version;
	const struct peer_build *builds; /* params NULL at the end */
	/* Builds and leaves files in `folder` (there, empty). Ends the process with peer_die() if it cannot. */
	void (*build)(const struct peer_set *set, const char *params, const char *folder);
	void *(*open)(const struct peer_set *set, const char *params, const char *folder);
	void (*effort)(void *index, const char *params, size_t k); /* for the searches to come */
	/* At most k row numbers, nearest first; returns how many. */
	size_t (*search)(void *index, const void *query, size_t k, int64_t *ret_rows);
	/* Of the bytes in memory, how many a server may leave on disk: float rows of which a search reads a few. NULL: none. */
	uint64_t (*may_stay_on_disk)(void *index);
};

extern const struct peer peer;

/* The number called `name` in "name=number ..."; `otherwise` if it is not named. */
double peer_number(const char *params, const char *name, double otherwise);
PEER_NO_RETURN void peer_die(const char *sentence);
/* folder/name, to be freed. */
char *peer_path(const char *folder, const char *name);
/* A copy of the row at length 1; `out` holds dim floats. */
void peer_normalised(const float *row, uint32_t dim, float *out);

#ifdef __cplusplus
}
#endif

#endif
