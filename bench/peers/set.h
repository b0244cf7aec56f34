/* set.h - the sets of bench/data, mapped. Only what its scripts write is read: .npy version 1, C order, float32 or uint8. */
#ifndef BENCH_SET_H
#define BENCH_SET_H

#include "bench/peers/peer.h"

/* file "base" or "queries" of the folder. Ends the process with a sentence if it is not there or not of this kind. */
struct peer_set set_map(const char *folder, const char *file);

#endif
