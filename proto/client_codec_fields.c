/* client_codec_fields.c - see client_codec_fields.h. Packing is msgpack-c's, reading is msgpack_scan's. */
#include "proto/client_codec_fields.h"

#include <inttypes.h>
#include <math.h>
#include <msgpack.h>
#include <string.h>

#include "common/check.h"

const char *const op_names[CLIENT_OP_COUNT] = {
	[CLIENT_HELLO] = "hello", [CLIENT_CREATE] = "create", [CLIENT_DROP] = "drop", [CLIENT_LIST] = "list",
	[CLIENT_DESCRIBE] = "describe", [CLIENT_UPSERT] = "upsert", [CLIENT_DELETE] = "delete", [CLIENT_GET] = "get",
	[CLIENT_BUILD] = "build", [CLIENT_SEARCH] = "search", [CLIENT_STATUS] = "status", [CLIENT_SCAN] = "scan",
};
const char *const mode_names[3] = {[SEARCH_FOREST] = "forest", [SEARCH_EXACT] = "exact", [SEARCH_GRAPH] = "graph"};
const char *const dtype_names[3] = {[DTYPE_F32] = "f32", [DTYPE_U8] = "u8", [DTYPE_BITS] = "bits"};
const char *const metric_names[METRIC_COUNT] = {
	[METRIC_ANGULAR] = "angular", [METRIC_EUCLIDEAN] = "euclidean", [METRIC_MANHATTAN] = "manhattan",
	[METRIC_HAMMING] = "hamming", [METRIC_DOT] = "dot",
};

const char *client_op_name(enum client_op op)
{
	require(op < CLIENT_OP_COUNT);
	return op_names[op];
}

static const char *const keys[FIELD_COUNT] = {
#define FIELD_KEY(name, key) #key,
	FIELD_MAP(FIELD_KEY)
#undef FIELD_KEY
};

static const uint8_t key_sizes[FIELD_COUNT] = {
#define FIELD_SIZE(name, key) sizeof(#key) - 1,
	FIELD_MAP(FIELD_SIZE)
#undef FIELD_SIZE
};

const char *field_key(enum field f) { return keys[f]; }

static enum field field_of(const struct mp_value *key)
{
	for (int f = 0; f < FIELD_COUNT; f++)
		if (key->size == key_sizes[f] && !memcmp(key->bytes, keys[f], key->size)) return (enum field)f;
	return FIELD_COUNT;
}

/* A key and its value, whatever they are. The map that holds them is one container. */
static bool take_pair(struct reader *r, struct mp_value *key, struct mp_value *value)
{
	if (!mp_next(r, key) || key->kind == MP_MAP || key->kind == MP_ARRAY) return false;
	struct reader before = *r;
	if (!mp_next(r, value)) return false;
	if (value->kind != MP_MAP && value->kind != MP_ARRAY) return true;
	*r = before;
	return mp_skip(r, MSGPACK_DEPTH_MAX - 1);
}

enum status fields_parse(struct net_frame header, struct fields *ret, struct report *report)
{
	struct mp_value map, key, value;
	enum field twice = FIELD_COUNT;
	struct reader r;

	if (header.size > HEADER_MAX)
		return report_set(report, STATUS_LIMIT, "the header frame of %zu bytes is longer than %d: send bulk data in the frames after it",
			header.size, HEADER_MAX);
	struct fields in = {0};
	reader_init(&r, header.bytes, header.size);
	bool good = mp_next(&r, &map) && map.kind == MP_MAP;
	for (uint32_t i = 0; good && i < map.size; i++) {
		good = take_pair(&r, &key, &value);
		enum field f = good && key.kind == MP_STR ? field_of(&key) : FIELD_COUNT;
		if (f == FIELD_COUNT) continue;
		if (in.has[f] && twice == FIELD_COUNT) twice = f;
		in.has[f] = true;
		in.at[f] = value;
	}
	if (!good || reader_left(&r))
		return report_set(report, STATUS_BAD_REQUEST, "the header frame is not one msgpack map of UTF-8 strings, at most %d containers deep",
			MSGPACK_DEPTH_MAX);
	if (twice != FIELD_COUNT) return report_set(report, STATUS_BAD_REQUEST, "the field %s comes twice", keys[twice]);
	for (int f = 0; f < FIELD_COUNT; f++)
		if (in.has[f] && in.at[f].kind == MP_NIL) in.has[f] = false;
	*ret = in;
	return STATUS_OK;
}

enum status fields_require(const struct fields *in, enum field f, const char *op, struct report *report)
{
	if (in->has[f]) return STATUS_OK;
	return report_set(report, STATUS_BAD_REQUEST, "%s needs the field %s", op, keys[f]);
}

enum status fields_u64(const struct fields *in, enum field f, uint64_t *ret, struct report *report)
{
	if (!in->has[f]) return STATUS_OK;
	if (in->at[f].kind != MP_UINT)
		return report_set(report, STATUS_BAD_REQUEST, "the field %s has to be an integer of 0 or more", keys[f]);
	*ret = in->at[f].uint;
	return STATUS_OK;
}

enum status fields_u32(const struct fields *in, enum field f, uint32_t min, uint32_t max, uint32_t *ret, struct report *report)
{
	uint64_t v = *ret;
	enum status status = fields_u64(in, f, &v, report);

	if (status != STATUS_OK || !in->has[f]) return status;
	if (v < min || v > max)
		return report_set(report, STATUS_LIMIT, "%s has to be %" PRIu32 " to %" PRIu32 ", not %" PRIu64, keys[f], min, max, v);
	*ret = (uint32_t)v;
	return STATUS_OK;
}

enum status fields_bool(const struct fields *in, enum field f, bool *ret, struct report *report)
{
	if (!in->has[f]) return STATUS_OK;
	if (in->at[f].kind != MP_BOOL) return report_set(report, STATUS_BAD_REQUEST, "the field %s has to be true or false", keys[f]);
	*ret = in->at[f].boolean;
	return STATUS_OK;
}

enum status fields_share(const struct fields *in, enum field f, float *ret, struct report *report)
{
	const struct mp_value *v = &in->at[f];
	double real;

	if (!in->has[f]) return STATUS_OK;
	if (v->kind == MP_FLOAT || v->kind == MP_DOUBLE) real = v->real;
	else if (v->kind == MP_UINT) real = (double)v->uint;
	else real = -1;
	if (!(real >= 0 && real <= 1)) return report_set(report, STATUS_BAD_REQUEST, "%s has to be a number of 0 to 1", keys[f]);
	*ret = (float)real;
	return STATUS_OK;
}

enum status fields_text(const struct fields *in, enum field f, const char **ret, uint32_t *ret_size, struct report *report)
{
	if (!in->has[f]) return STATUS_OK;
	if (in->at[f].kind != MP_STR) return report_set(report, STATUS_BAD_REQUEST, "the field %s has to be a string", keys[f]);
	*ret = (const char *)in->at[f].bytes;
	*ret_size = in->at[f].size;
	return STATUS_OK;
}

/* "a, b or c" into out. */
static void list_names(const char *const *names, int count, char *out, size_t size)
{
	size_t used = 0;

	for (int i = 0; i < count && used < size; i++) {
		int n = snprintf(out + used, size - used, "%s%s", names[i], i + 2 < count ? ", " : i + 2 == count ? " or " : "");
		used += n > 0 ? (size_t)n : 0;
	}
}

enum status fields_choice(const struct fields *in, enum field f, const char *const *names, int count, int *ret, struct report *report)
{
	const char *text = NULL;
	uint32_t size = 0;
	char choices[200] = "";
	enum status status = fields_text(in, f, &text, &size, report);

	if (status != STATUS_OK || !in->has[f]) return status;
	for (int i = 0; i < count; i++) {
		if (size != strlen(names[i]) || memcmp(text, names[i], size)) continue;
		*ret = i;
		return STATUS_OK;
	}
	list_names(names, count, choices, sizeof(choices));
	return report_set(report, STATUS_BAD_REQUEST, "%s has to be %s", keys[f], choices);
}

/* ---- writing ---- */

static int write_bytes(void *data, const char *bytes, size_t size)
{
	frames_append(data, bytes, size);
	return 0; /* the frames remember a failure */
}

static msgpack_packer packer_to(struct frames *frames)
{
	msgpack_packer p;

	msgpack_packer_init(&p, frames, write_bytes);
	return p;
}

static msgpack_packer put_key(struct fields_out *out, enum field f)
{
	msgpack_packer p = packer_to(out->frames);

	out->count++;
	msgpack_pack_str_with_body(&p, keys[f], strlen(keys[f]));
	return p;
}

void fields_begin(struct fields_out *out, struct frames *frames)
{
	frames_begin(frames);
	*out = (struct fields_out){.frames = frames, .head = frames->memory.size};
	frames_append(frames, "\x80", 1);
}

void fields_end(struct fields_out *out)
{
	require(out->count <= 15); /* so that the map's head is one byte */
	if (out->frames->status == STATUS_OK) out->frames->memory.bytes[out->head] = (uint8_t)(0x80 | out->count);
}

void fields_put_u64(struct fields_out *out, enum field f, uint64_t v)
{
	msgpack_packer p = put_key(out, f);
	msgpack_pack_uint64(&p, v);
}

void fields_put_bool(struct fields_out *out, enum field f, bool v)
{
	msgpack_packer p = put_key(out, f);
	if (v) msgpack_pack_true(&p);
	else msgpack_pack_false(&p);
}

void fields_put_float(struct fields_out *out, enum field f, float v)
{
	msgpack_packer p = put_key(out, f);
	msgpack_pack_float(&p, v);
}

void fields_put_text(struct fields_out *out, enum field f, const char *text, size_t size)
{
	msgpack_packer p = put_key(out, f);
	msgpack_pack_str_with_body(&p, text, size);
}

void fields_put_choice(struct fields_out *out, enum field f, const char *const *names, int count, int i)
{
	if (i >= 0 && i < count) fields_put_text(out, f, names[i], strlen(names[i]));
	else if (out->frames->status == STATUS_OK) out->frames->status = STATUS_BAD_REQUEST;
}
