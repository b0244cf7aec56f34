/* item_stream.h - all items of an index, in the order of their ids: what an export writes.
 *
 * A scan gives items shard by shard; here one scan for each shard is under way and the lowest id of all is next. An id belongs to one shard, so
 * the scan's promise holds: what stays meanwhile comes exactly once. Memory: two pages for each shard, which are the shorter the more shards
 * there are. One thread. */
#ifndef CLIENT_CLI_ITEM_STREAM_H
#define CLIENT_CLI_ITEM_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/grove.h"

/* Valid until the next call. vector: a row as the index stores it (floats, or bits for hamming), perhaps not aligned; key and payload: NULL, 0 if
 * there is none. */
struct stream_item {
	uint64_t id;
	const void *vector;
	const uint8_t *key, *payload;
	size_t key_size, payload_size;
};

struct item_stream;
/* A page that is refused as busy, or whose shard is away, is asked for again until patience_ms have passed. Codes of grove.h; the client has the
 * sentence. */
int item_stream_open(grove_client *client, const grove_index *index, bool with_payload, uint32_t patience_ms, struct item_stream **ret);
/* GROVE_OK: the next item; *ret_end: there was none. After a failure the stream is of no more use. */
int item_stream_next(struct item_stream *s, struct stream_item *ret, bool *ret_end);
void item_stream_close(struct item_stream **s);

#endif
