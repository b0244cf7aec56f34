/* grove_segment.h - for the drivers of Grove's search modes: a set built into one segment file as a worker builds it, on one thread. */
#ifndef BENCH_GROVE_SEGMENT_H
#define BENCH_GROVE_SEGMENT_H

#include "bench/peers/peer.h"
#include "worker/engine/rows.h"
#include "worker/store/segment.h"

/* Ids are the row numbers of the set. Seed 1. `graph` false: the forest and the codes alone are built. */
void grove_segment_build(const struct peer_set *set, uint32_t trees, bool graph, const char *folder);
/* Mapped and verified; stays until the process ends. */
struct segment *grove_segment_open(const struct peer_set *set, uint32_t trees, const char *folder);

/* The rows as the engine wants them: aligned, padded, with norms and ids. Stays until the process ends. */
struct rows grove_rows(const struct peer_set *set);
/* A stored query row: copied into memory that the next call overwrites. */
struct query grove_query(const struct peer_set *set, const void *query);

#endif
