/* client_codec_fields.h - the header frame of the client protocol: one msgpack map with these keys. Private to client_codec*.
 *
 * Reading finds the known keys in one pass and refuses one that comes twice; unknown keys and their values are skipped; nil
 * is the same as leaving the field out. Each getter leaves its output alone when the field is not there, so the caller puts
 * the default in first, and each failure is one sentence that names the field and its limit. */
#ifndef PROTO_CLIENT_CODEC_FIELDS_H
#define PROTO_CLIENT_CODEC_FIELDS_H

#include "proto/client_codec.h"
#include "proto/frames.h"
#include "proto/msgpack_scan.h"

#define FIELD_MAP(X)                                                                                                   \
	X(V, v) X(ID, id) X(CLIENT, client) X(OP, op) X(INDEX, index) X(TIMEOUT_MS, timeout_ms)                        \
	X(VERSION_MIN, version_min) X(VERSION_MAX, version_max) X(METRIC, metric) X(DIM, dim) X(SHARDS, shards)        \
	X(REPLICAS, replicas) X(TREES, trees) X(SEED, seed) X(N, n) X(DTYPE, dtype) X(PAYLOADS, payloads) X(KEYS, keys) \
	X(K, k) X(MODE, mode) X(SEARCH_K, search_k) X(WITH_PAYLOAD, with_payload) X(NQ, nq) X(BY_ID, by_id)            \
	X(MIN_COVERAGE, min_coverage) X(OK, ok) X(ERROR, error) X(MESSAGE, message) X(VERSION, version)                \
	X(SERVER, server) X(TOKENS, tokens) X(TOTAL, total) X(MISSING, missing)                                          \
	X(RECALL, recall) X(PREDICTED, predicted) X(LIMIT, limit) X(WITH_VECTOR, with_vector) X(CURSOR, cursor)      \
	X(BUNDLES, bundles)

enum field {
#define FIELD_ENUM(name, key) FIELD_##name,
	FIELD_MAP(FIELD_ENUM)
#undef FIELD_ENUM
	FIELD_COUNT,
};

struct fields { bool has[FIELD_COUNT]; struct mp_value at[FIELD_COUNT]; };

const char *field_key(enum field f);
MUST_CHECK enum status fields_parse(struct net_frame header, struct fields *ret, struct report *report);
MUST_CHECK enum status fields_require(const struct fields *in, enum field f, const char *op, struct report *report);
MUST_CHECK enum status fields_u64(const struct fields *in, enum field f, uint64_t *ret, struct report *report);
/* min <= value <= max, or LIMIT. */
MUST_CHECK enum status fields_u32(const struct fields *in, enum field f, uint32_t min, uint32_t max, uint32_t *ret, struct report *report);
MUST_CHECK enum status fields_bool(const struct fields *in, enum field f, bool *ret, struct report *report);
/* An integer or a float of 0 to 1. */
MUST_CHECK enum status fields_share(const struct fields *in, enum field f, float *ret, struct report *report);
/* Bytes in place, not NUL-terminated. */
MUST_CHECK enum status fields_text(const struct fields *in, enum field f, const char **ret, uint32_t *ret_size, struct report *report);
/* The position of the text in `names`; `what` for the sentence. */
MUST_CHECK enum status fields_choice(const struct fields *in, enum field f, const char *const *names, int count, int *ret, struct report *report);

/* Names on the wire, by the numbers of their enums. */
extern const char *const op_names[CLIENT_OP_COUNT];
extern const char *const mode_names[3];
extern const char *const dtype_names[3];
extern const char *const metric_names[METRIC_COUNT];

/* Writing a header: begin, fields, end. */
struct fields_out { struct frames *frames; size_t head; uint32_t count; };
void fields_begin(struct fields_out *out, struct frames *frames);
void fields_put_u64(struct fields_out *out, enum field f, uint64_t v);
void fields_put_bool(struct fields_out *out, enum field f, bool v);
void fields_put_float(struct fields_out *out, enum field f, float v);
void fields_put_text(struct fields_out *out, enum field f, const char *text, size_t size);
/* names[i]; an i outside makes the whole encoding fail with BAD_REQUEST. */
void fields_put_choice(struct fields_out *out, enum field f, const char *const *names, int count, int i);
void fields_end(struct fields_out *out);

#endif
