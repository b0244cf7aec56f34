/* livemap.h - which rows of a segment still live: for each row the sequence at which it died.
 *
 * One writer (the shard's), any number of readers. The arrays are calloc'ed whole: pages in which nothing died are never touched and
 * cost nothing. dead_words say the same of 64 rows at once, for scans. It belongs to memory alone: after a restart the log, whose deletions and replacements came after the segment, fills it again. */
#ifndef STORE_LIVEMAP_H
#define STORE_LIVEMAP_H

#include <stdatomic.h>
#include <stdint.h>

#include "common/status.h"
#include "worker/engine/rows.h"

struct livemap { uint32_t n; _Atomic uint64_t *dead_at; /* [n] 0: alive */ struct dead_word *dead_words; _Atomic uint32_t dead; };

MUST_CHECK enum status livemap_init(struct livemap *l, uint32_t n);
void livemap_release(struct livemap *l);
void livemap_kill(struct livemap *l, uint32_t row, uint64_t sequence); /* writer; a row that lives */
uint64_t livemap_dead_at(const struct livemap *l, uint32_t row);

#endif
