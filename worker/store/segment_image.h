/* segment_image.h - the bytes of a segment that is to be written, as a function of their place. Private to the store. */
#ifndef STORE_SEGMENT_IMAGE_H
#define STORE_SEGMENT_IMAGE_H

#include "worker/store/segment_format.h"

struct segment_image {
	const struct segment_content *content;
	struct segment_header header; /* but for the checksums */
	uint32_t *by_id;              /* [n] rows by ascending id */
	uint64_t *payload_ends, *key_ends; /* [n + 1] where each row's bytes begin and end; NULL: no row has any */
};

/* Sizes and places of everything. STATUS_LIMIT: larger than a file can be. Memory: 4 bytes a row, and 8 for each of payloads and keys. */
MUST_CHECK enum status segment_image_init(struct segment_image *image, const struct shard_identity *identity, const struct segment_content *content);
void segment_image_release(struct segment_image *image);
/* The bytes from .. from + n of a section and of the zeros behind it. Any thread. */
void segment_image_fill(const struct segment_image *image, enum segment_section section, uint64_t from, size_t n, uint8_t *ret);

#endif
