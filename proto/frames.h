/* frames.h - laying frames end to end in one piece of memory, for both codecs. Private to proto.
 *
 * A writer remembers its first failure; later calls do nothing, so an encoder checks once, in frames_finish(). Trailing
 * empty bulk frames are not sent: a frame that is not there is empty. */
#ifndef PROTO_FRAMES_H
#define PROTO_FRAMES_H

#include "proto/client_codec.h"

struct frames {
	struct buf memory;
	size_t count, bulk_max;
	size_t offsets[FRAMES_MAX];
	enum status status;
};

/* bulk_max: bytes of all bulk frames together. */
void frames_init(struct frames *f, size_t bulk_max);
/* Start the next frame; the first one is the header. */
void frames_begin(struct frames *f);
/* Append to the frame begun last. */
void frames_append(struct frames *f, const void *bytes, size_t size);
/* A whole frame: `count` records of `record` bytes. */
void frames_put(struct frames *f, const void *bytes, size_t count, size_t record);
/* A frame of blobs; an empty one when there are none. `n` is how many there have to be. */
void frames_put_blobs(struct frames *f, const struct blobs *b, uint32_t n);
/* Moves the memory to *ret, or releases it and says why not: NO_MEMORY, LIMIT (too many bytes), BAD_REQUEST (blobs that contradict themselves). */
MUST_CHECK enum status frames_finish(struct frames *f, struct encoded *ret);

/* The frame at i, empty past the end. */
struct net_frame frame_at(const struct net_frame *frames, size_t count, size_t i);
/* Bytes of all frames but the first; SIZE_MAX on overflow. */
size_t frames_bulk(const struct net_frame *frames, size_t count);
/* True if the n u64 at any address are strictly ascending. */
bool ids_ascend(const uint8_t *ids, size_t n);
/* True if the n float32 at any address are all finite. */
bool floats_finite(const uint8_t *bytes, size_t n);

#endif
