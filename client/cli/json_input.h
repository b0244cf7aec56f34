/* json_input.h - vectors and payloads that a user writes as JSON.
 *
 * The parser is jansson, whose integers end at 2^63 - 1; a larger one is refused with a sentence, never rounded. Ids are not
 * read here: they are arguments of their own (arguments_u64), exact up to 2^64 - 1. */
#ifndef CLIENT_CLI_JSON_INPUT_H
#define CLIENT_CLI_JSON_INPUT_H

#include <stdint.h>

#include "common/buf.h"
#include "common/status.h"

/* '[1, 2.5, -3]' into malloc'ed floats. Refused: not an array, empty, longer than DIM_MAX, an element that is no number or that
 * no finite float32 holds. */
MUST_CHECK enum status vector_from_json(const char *text, float **ret, uint32_t *ret_dim, struct report *report);
/* 0/1 numbers into packed bits, least significant first: what a hamming index takes. `out` grows by ceil(dim / 8) bytes. */
MUST_CHECK enum status bits_from_floats(const float *vector, uint32_t dim, struct buf *out, struct report *report);
/* A JSON object into one msgpack map of at most PAYLOAD_MAX bytes and MSGPACK_DEPTH_MAX levels, appended to `out`. */
MUST_CHECK enum status payload_from_json(const char *text, struct buf *out, struct report *report);
/* The text of a payload's member `name`, if `json` is an object that has it as a string or number; NULL otherwise. malloc'ed. */
char *payload_member(const char *json, const char *name);

/* The same of values that are parsed already (jansson's json_t). */
struct json_t;
/* out: as many floats as the array has elements. */
MUST_CHECK enum status floats_from_value(const struct json_t *array, float *out, struct report *report);
MUST_CHECK enum status payload_from_value(struct json_t *object, struct buf *out, struct report *report);

#endif
