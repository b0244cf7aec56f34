/* messages.h - random valid messages of both protocols, from a seed, and their comparison. For the codecs' tests, the fuzz
 * targets and the fuzz corpora. What a maker made lives until maker_reset(). */
#ifndef SUPPORT_MESSAGES_H
#define SUPPORT_MESSAGES_H

#include "common/buf.h"
#include "common/prng.h"
#include "proto/cluster_codec.h"

enum { MAKER_BLOCKS_MAX = 4096 };
struct maker {
	struct prng prng;
	size_t count;
	void *blocks[MAKER_BLOCKS_MAX];
};
void maker_init(struct maker *m, uint64_t seed);
void maker_reset(struct maker *m); /* frees what was made; the stream goes on */
void *maker_bytes(struct maker *m, size_t size);

void random_client_request(struct maker *m, enum client_op op, struct client_request *ret);
void random_client_reply(struct maker *m, enum client_op op, struct client_reply *ret);
void random_cluster_request(struct maker *m, enum cluster_kind kind, struct cluster_request *ret);
void random_cluster_reply(struct maker *m, enum cluster_kind to, struct cluster_reply *ret);
/* One msgpack value; a map if asked. At most `depth` containers deep. */
void random_msgpack(struct maker *m, bool map, int depth, struct buf *out);

bool client_requests_equal(const struct client_request *a, const struct client_request *b);
bool client_replies_equal(const struct client_reply *a, const struct client_reply *b);
bool cluster_requests_equal(const struct cluster_request *a, const struct cluster_request *b);
bool cluster_replies_equal(const struct cluster_reply *a, const struct cluster_reply *b);

#endif
