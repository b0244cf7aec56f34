/* cluster_view.h - indexes, shards and workers on stdout, as JSON and as columns: what create, list, describe, build and status
 * print. Pure: replies in, text out. */
#ifndef CLIENT_CLI_CLUSTER_VIEW_H
#define CLIENT_CLI_CLUSTER_VIEW_H

#include <stdio.h>

#include "client/grove.h"

/* One object, no newline. With `shards` its array "shards" has those of this index (of shard_count entries of any index). */
void index_json(FILE *out, const grove_index *index, const grove_shard *shards, uint32_t shard_count);
void worker_json(FILE *out, const grove_worker *worker);
void indexes_print(FILE *out, const grove_index *indexes, uint32_t count);
void shards_print(FILE *out, const grove_shard *shards, uint32_t count);
void workers_print(FILE *out, const grove_worker *workers, uint32_t count);

#endif
