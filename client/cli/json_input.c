/* json_input.c - JSON from the command line: a number array becomes floats, an object becomes msgpack.
 *
 * The msgpack writer here knows the six kinds that JSON has and always takes the shortest form, as the specification asks
 * (github.com/msgpack/msgpack/blob/master/spec.md); numbers are big-endian there. client_codec checks the result again. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/json_input.h"
#include "common/limits.h"

static json_t *json_parse(const char *text, const char *what, struct report *report)
{
	json_error_t error;
	json_t *root = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (!root) report_set(report, STATUS_USAGE, "%s is not valid JSON: %s (at byte %d)", what, error.text, error.position);
	return root;
}

enum status floats_from_value(const json_t *array, float *out, struct report *report)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		const json_t *element = json_array_get(array, i);
		double v = json_number_value(element);
		/* Half a step above FLT_MAX is where rounding leads to infinity; below it also nine digits of FLT_MAX, which are a little more than it. */
		if (!json_is_number(element) || !(fabs(v) < 0x1.ffffffp127))
			return report_set(report, STATUS_USAGE,
				"element %zu of the vector is not a number that a 32-bit float can hold", i);
		out[i] = (float)v;
	}
	return STATUS_OK;
}

enum status vector_from_json(const char *text, float **ret, uint32_t *ret_dim, struct report *report)
{
	enum status status = STATUS_USAGE;
	float *vector = NULL;
	json_t *root = json_parse(text, "the vector", report);
	if (!root) return status;
	size_t n = json_array_size(root);
	if (!json_is_array(root) || n == 0) {
		report_set(report, status, "a vector is a JSON array of numbers: '[0.5, 1, -2]'");
		goto out;
	}
	if (n > DIM_MAX) {
		status = report_set(report, STATUS_LIMIT, "a vector has at most %d elements, not %zu", DIM_MAX, n);
		goto out;
	}
	vector = malloc(n * sizeof(*vector));
	if (!vector) {
		status = report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
		goto out;
	}
	status = floats_from_value(root, vector, report);
	if (status != STATUS_OK) goto out;
	*ret = vector;
	*ret_dim = (uint32_t)n;
	vector = NULL;
	status = STATUS_OK;
out:
	free(vector);
	json_decref(root);
	return status;
}

enum status bits_from_floats(const float *vector, uint32_t dim, struct buf *out, struct report *report)
{
	uint8_t *row;
	for (uint32_t i = 0; i < dim; i++) {
		if (vector[i] != 0.0f && vector[i] != 1.0f)
			return report_set(report, STATUS_USAGE, "element %u is %g, but a hamming index has only 0 and 1", i,
				(double)vector[i]);
	}
	enum status status = buf_extend(out, ((size_t)dim + 7) / 8, &row);
	if (status != STATUS_OK) return report_set(report, status, "%s", status_text(status));
	memset(row, 0, ((size_t)dim + 7) / 8);
	for (uint32_t i = 0; i < dim; i++) row[i / 8] |= (uint8_t)((vector[i] != 0.0f) << (i % 8));
	return STATUS_OK;
}

/* ---- msgpack ---- */

/* A tag, then the lowest `bytes` bytes of v, big-endian. */
static enum status pack_tag(struct buf *out, uint8_t tag, uint64_t v, unsigned bytes)
{
	uint8_t raw[9] = {tag};
	for (unsigned i = 0; i < bytes; i++) raw[1 + i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
	return buf_append(out, raw, 1 + bytes);
}

static enum status pack_integer(struct buf *out, int64_t v)
{
	uint64_t u = (uint64_t)v;
	if (v >= 0) {
		if (v < 128) return pack_tag(out, (uint8_t)v, 0, 0);
		if (v <= UINT8_MAX) return pack_tag(out, 0xcc, u, 1);
		if (v <= UINT16_MAX) return pack_tag(out, 0xcd, u, 2);
		if (v <= UINT32_MAX) return pack_tag(out, 0xce, u, 4);
		return pack_tag(out, 0xcf, u, 8);
	}
	if (v >= -32) return pack_tag(out, (uint8_t)v, 0, 0);
	if (v >= INT8_MIN) return pack_tag(out, 0xd0, u, 1);
	if (v >= INT16_MIN) return pack_tag(out, 0xd1, u, 2);
	if (v >= INT32_MIN) return pack_tag(out, 0xd2, u, 4);
	return pack_tag(out, 0xd3, u, 8);
}

static enum status pack_real(struct buf *out, double v)
{
	uint64_t bits;
	memcpy(&bits, &v, sizeof(bits));
	return pack_tag(out, 0xcb, bits, 8);
}

static enum status pack_string(struct buf *out, const char *text, size_t n)
{
	enum status status = n < 32	       ? pack_tag(out, (uint8_t)(0xa0 | n), 0, 0)
			     : n <= UINT8_MAX  ? pack_tag(out, 0xd9, n, 1)
			     : n <= UINT16_MAX ? pack_tag(out, 0xda, n, 2)
					       : pack_tag(out, 0xdb, n, 4);
	return status == STATUS_OK ? buf_append(out, text, n) : status;
}

/* The head of an array (fix 0x90, 16 bits 0xdc) or a map (0x80, 0xde); the 32-bit form follows the 16-bit one. */
static enum status pack_head(struct buf *out, uint8_t fix, uint8_t tag16, size_t n)
{
	if (n < 16) return pack_tag(out, (uint8_t)(fix | n), 0, 0);
	return n <= UINT16_MAX ? pack_tag(out, tag16, n, 2) : pack_tag(out, (uint8_t)(tag16 + 1), n, 4);
}

/* Depth is bounded by MSGPACK_DEPTH_MAX, so this cannot run off the stack. */
static enum status pack_value(struct buf *out, json_t *v, unsigned depth)
{
	enum status status = STATUS_OK;
	switch (json_typeof(v)) {
	case JSON_NULL: return pack_tag(out, 0xc0, 0, 0);
	case JSON_FALSE: return pack_tag(out, 0xc2, 0, 0);
	case JSON_TRUE: return pack_tag(out, 0xc3, 0, 0);
	case JSON_INTEGER: return pack_integer(out, json_integer_value(v));
	case JSON_REAL: return pack_real(out, json_real_value(v));
	case JSON_STRING: return pack_string(out, json_string_value(v), json_string_length(v));
	case JSON_ARRAY:
		if (depth >= MSGPACK_DEPTH_MAX) return STATUS_LIMIT;
		status = pack_head(out, 0x90, 0xdc, json_array_size(v));
		for (size_t i = 0; i < json_array_size(v) && status == STATUS_OK; i++)
			status = pack_value(out, json_array_get(v, i), depth + 1);
		return status;
	case JSON_OBJECT: {
		const char *key;
		json_t *member;
		if (depth >= MSGPACK_DEPTH_MAX) return STATUS_LIMIT;
		status = pack_head(out, 0x80, 0xde, json_object_size(v));
		json_object_foreach(v, key, member)
		{
			if (status == STATUS_OK) status = pack_string(out, key, strlen(key));
			if (status == STATUS_OK) status = pack_value(out, member, depth + 1);
		}
		return status;
	}
	}
	return STATUS_UNSUPPORTED;
}

enum status payload_from_value(json_t *object, struct buf *out, struct report *report)
{
	size_t start = out->size;
	if (!json_is_object(object)) return report_set(report, STATUS_USAGE, "a payload is a JSON object: '{\"label\": \"boot\"}'");
	enum status status = pack_value(out, object, 0);
	if (status == STATUS_LIMIT)
		report_set(report, status, "a payload is nested at most %d levels deep", MSGPACK_DEPTH_MAX);
	else if (status != STATUS_OK)
		report_set(report, status, "%s", status_text(status));
	else if (out->size - start > PAYLOAD_MAX)
		status = report_set(
			report, STATUS_LIMIT, "a payload has at most %d bytes, this one has %zu", PAYLOAD_MAX, out->size - start);
	if (status != STATUS_OK) out->size = start;
	return status;
}

enum status payload_from_json(const char *text, struct buf *out, struct report *report)
{
	json_t *root = json_parse(text, "the payload", report);
	if (!root) return STATUS_USAGE;
	enum status status = payload_from_value(root, out, report);
	json_decref(root);
	return status;
}

char *payload_member(const char *json, const char *name)
{
	char *text = NULL;
	json_t *root = json_loads(json, 0, NULL);
	const json_t *member = json_object_get(root, name);
	if (json_is_string(member))
		text = strdup(json_string_value(member));
	else if (json_is_number(member))
		text = json_dumps(member, JSON_ENCODE_ANY | JSON_COMPACT);
	json_decref(root);
	return text;
}
