/* protocol.h - what the pair's processes say to each other, over ZeroMQ, in the machine's own byte order.
 *
 *   client -> proxy    [request][query floats]                DEALER to ROUTER
 *   proxy  -> worker   [ticket u64][request][query floats]    DEALER to DEALER, one for each worker
 *   worker -> proxy    [ticket u64][hits]
 *   proxy  -> client   [number u64][hits]                     the k best of all workers, nearest first */
#ifndef BENCH_PAIR_PROTOCOL_H
#define BENCH_PAIR_PROTOCOL_H

#include <stdint.h>

struct pair_request { uint64_t number; uint32_t k, ef; }; /* number: the client's own */
struct pair_hit { uint64_t id; float distance; uint32_t zero; };

#endif
