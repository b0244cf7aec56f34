/* limits.h - every bound that a user can meet, here and nowhere else (design.md "Limits"; CLIENT.md and README quote it).
 * Past a limit the answer is an error that names the limit; nothing is ever clipped. tests/unit/limits_test.c tries each
 * at the limit and one past it. */
#ifndef COMMON_LIMITS_H
#define COMMON_LIMITS_H

#include <stdint.h>

enum {
	DIM_MAX = 65536,
	QUERY_HITS_MAX = 1048576, /* queries x k of one request */
	TREES_MAX = 10000,
	BATCH_QUERIES_MAX = 4096,
	BATCH_ITEMS_MAX = 65536,
	CLIENT_FRAME_MAX = 16 * 1024 * 1024, /* bytes of one frame, and of all bulk frames of one client message together */
	PEER_FRAME_MAX = 64 * 1024 * 1024,   /* the same between coordinator and worker */
	NAME_MAX_BYTES = 63,                 /* [a-z0-9][a-z0-9_-]{0,62} */
	PAYLOAD_MAX = 65536,                 /* bytes of one msgpack map */
	KEY_MAX = 255,                       /* bytes */
	DEADLINE_MIN_MS = 1,
	DEADLINE_MAX_MS = 600000,
	SHARDS_MAX = 4096,
	REPLICAS_MAX = 7,
	HEADER_MAX = 65536, /* bytes of a header frame */
	FRAMES_MAX = 8,     /* frames of one message, header included, routing id excluded */
	MSGPACK_DEPTH_MAX = 8,
	SCAN_BYTES_MAX = 1024 * 1024, /* of the items of one page of a scan; a page has at least one item whatever its size */
};
#define SEARCH_K_MAX INT32_MAX /* the effort knob, a count of candidates; k itself is bounded by QUERY_HITS_MAX */

#endif
