/* client_codec_rows.h - workers, indexes and shards as frames of msgpack rows. Private to client_codec*.
 *
 * A frame is one msgpack array of rows, a row an array of values in a fixed order (CLIENT.md). A reader ignores values past
 * those it knows, so that rows can grow; it refuses a shorter row. */
#ifndef PROTO_CLIENT_CODEC_ROWS_H
#define PROTO_CLIENT_CODEC_ROWS_H

#include "proto/frames.h"

void rows_put_workers(struct frames *f, const struct worker_info *rows, uint32_t n);
void rows_put_indexes(struct frames *f, const struct index_info *rows, uint32_t n);
void rows_put_shards(struct frames *f, const struct shard_info *rows, uint32_t n);

/* Memory is malloc'ed, NULL for no rows. */
MUST_CHECK enum status rows_get_workers(struct net_frame frame, struct worker_info **ret, uint32_t *ret_n, struct report *report);
MUST_CHECK enum status rows_get_indexes(struct net_frame frame, struct index_info **ret, uint32_t *ret_n, struct report *report);
MUST_CHECK enum status rows_get_shards(struct net_frame frame, struct shard_info **ret, uint32_t *ret_n, struct report *report);

#endif
