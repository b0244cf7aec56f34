/* read_jsonl.c - a JSON object a line (dataset.h), parsed by jansson, one line in memory. The first line is read ahead to learn the
 * dimension and whether the items are named.
 *
 * jansson's integers end at 2^63 - 1, ids at 2^64 - 1: such a number behind a member "id" of the outermost object is taken out of the
 * text before it is parsed. A member that is not known is refused: it would be lost without a word. */
#include "client/cli/dataset_format.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/json_input.h"
#include "common/limits.h"
#include "proto/message.h"

enum {
	JSONL_LINE_MAX = DIM_MAX * 32 + PAYLOAD_MAX * 8,
	JSONL_MORE_MAX = 4 * 1024 * 1024, /* keys and payloads of one read, before its last row: they travel in one message with the vectors */
	LARGE_DIGITS = 19,		  /* what jansson may not hold has 19 digits at least, */
	LARGE_DIGITS_MAX = 20,		  /* and what an id may not, more than 20 */
};

struct item {
	json_t *root, *vector, *payload, *id;
	const char *key;
	size_t key_size;
	uint64_t large_id; /* 0: `id` is right */
};

/* The end of the string that begins at its opening quote: behind the closing one, or the end of the text. */
static char *string_end(char *at)
{
	for (at++; *at && *at != '"'; at++) {
		if (*at == '\\' && at[1]) at++;
	}
	return *at ? at + 1 : at;
}

static char *blanks_end(char *at)
{
	while (*at == ' ' || *at == '\t' || *at == '\r') at++;
	return at;
}

/* Digits at `at`: a large id, which is replaced by 0 and blanks, so that the text is as valid JSON as before. */
static uint64_t large_id_take(char *at)
{
	size_t n = strspn(at, "0123456789");
	if (n < LARGE_DIGITS || n > LARGE_DIGITS_MAX || *at == '0' || !strchr(" \t\r,}", at[n])) return 0;
	errno = 0;
	unsigned long long id = strtoull(at, NULL, 10);
	if (errno) return 0;
	memset(at, ' ', n);
	*at = '0';
	return id;
}

static uint64_t large_id_find(char *text)
{
	uint64_t id = 0;
	for (unsigned depth = 0; *text;) {
		char *end = *text == '"' ? string_end(text) : text + 1;
		depth += *text == '{' || *text == '[';
		depth -= depth && (*text == '}' || *text == ']');
		if (depth == 1 && end - text == 4 && memcmp(text, "\"id\"", 4) == 0) {
			char *colon = blanks_end(end);
			if (*colon == ':' && id == 0) id = large_id_take(blanks_end(colon + 1));
		}
		text = end;
	}
	return id;
}

static enum status bad_line(const struct dataset *d, enum status status, const char *what, struct report *report)
{
	if (status == STATUS_USAGE) status = STATUS_BAD_REQUEST; /* it stands in a file */
	return report_set(report, status, "line %" PRIu64 " of %s: %s", d->line_number, bytes_path(d->file), what);
}

/* Each member to its place. */
static enum status item_members(const struct dataset *d, struct item *item, struct report *report)
{
	const char *name;
	char what[128];
	json_t *member;
	json_object_foreach(item->root, name, member)
	{
		if (strcmp(name, "vector") == 0) {
			item->vector = member;
		} else if (strcmp(name, "id") == 0) {
			item->id = member;
		} else if (strcmp(name, "key") == 0) {
			item->key = json_string_value(member);
			item->key_size = json_string_length(member);
			if (!item->key || item->key_size < 1 || item->key_size > KEY_MAX)
				return bad_line(d, STATUS_BAD_REQUEST, "a key is a text of 1 to 255 bytes", report);
		} else if (strcmp(name, "payload") == 0) {
			item->payload = json_is_null(member) ? NULL : member;
		} else {
			snprintf(what, sizeof(what), "the member '%.40s' is not known: \"id\", \"key\", \"vector\" and \"payload\" are", name);
			return bad_line(d, STATUS_BAD_REQUEST, what, report);
		}
	}
	return STATUS_OK;
}

static enum status item_id(const struct dataset *d, const struct item *item, uint64_t *ret, struct report *report)
{
	uint64_t id = item->large_id ? item->large_id : (uint64_t)json_integer_value(item->id);
	if (item->id && !item->large_id && (!json_is_integer(item->id) || json_integer_value(item->id) < 0))
		return bad_line(d, STATUS_BAD_REQUEST, "an id is a whole number from 0 to 18446744073709551615", report);
	if (item->key) {
		uint64_t hash = item_id_of_key(item->key, item->key_size);
		if (item->id && id != hash)
			return bad_line(d, STATUS_BAD_REQUEST, "it has an id beside the key, and not the one that the key gives: leave one of them out", report);
		id = hash;
	}
	*ret = id;
	return STATUS_OK;
}

/* The line in d->line. item->root is the caller's to release in any case. */
static enum status item_parse(struct dataset *d, struct item *item, struct report *report)
{
	json_error_t error;
	char what[sizeof(error.text) + 64];
	*item = (struct item){.large_id = large_id_find((char *)d->line.bytes)};
	item->root = json_loadb((const char *)d->line.bytes, d->line.size, JSON_REJECT_DUPLICATES, &error);
	if (!item->root) {
		snprintf(what, sizeof(what), "it is not valid JSON: %s (at byte %d)", error.text, error.position);
		return bad_line(d, STATUS_BAD_REQUEST, what, report);
	}
	enum status status = item_members(d, item, report);
	if (status != STATUS_OK) return status;
	size_t dim = json_array_size(item->vector);
	if (dim == 0) return bad_line(d, STATUS_BAD_REQUEST, "an item is an object with a vector: {\"id\": 7, \"vector\": [0.5, 1, -2]}", report);
	if (dim > DIM_MAX || (d->dim && dim != d->dim)) {
		snprintf(what, sizeof(what), dim > DIM_MAX ? "the vector has %zu numbers; 1 to %u are possible" : "the vector has %zu numbers, the first has %u",
			dim, dim > DIM_MAX ? (unsigned)DIM_MAX : d->dim);
		return bad_line(d, dim > DIM_MAX ? STATUS_LIMIT : STATUS_BAD_REQUEST, what, report);
	}
	if (d->dim && d->items.named != (item->id || item->key))
		return bad_line(d, STATUS_BAD_REQUEST, d->items.named ? "it has neither id nor key, but the lines before have" : "it has an id or a key, but the lines before have none",
			report);
	return STATUS_OK;
}

static enum status jsonl_open(struct dataset *d, struct report *report)
{
	struct item item = {.root = NULL};
	bool end = false;
	enum status status = dataset_line(d, JSONL_LINE_MAX, &end, report);
	if (status != STATUS_OK) return status;
	if (end) return report_set(report, STATUS_BAD_REQUEST, "%s has no vectors", bytes_path(d->file));
	struct buf copy = d->line; /* parsing changes the text */
	buf_init(&d->line, 0);
	status = buf_append(&d->line, copy.bytes, copy.size + 1);
	if (status == STATUS_OK) {
		d->line.size--;
		status = item_parse(d, &item, report);
	} else {
		report_set(report, status, "%s", status_text(status));
	}
	if (status == STATUS_OK) {
		d->dim = (uint32_t)json_array_size(item.vector);
		d->dtype = DTYPE_F32;
		d->items.named = item.id || item.key;
		d->has_items = d->line_waits = true;
	}
	json_decref(item.root);
	buf_release(&d->line);
	d->line = copy;
	return status;
}

static enum status item_add(struct dataset *d, const struct item *item, float *row, struct report *report)
{
	struct dataset_items *to = &d->items;
	struct report why = {.status = STATUS_OK};
	uint32_t key_size = (uint32_t)item->key_size;
	size_t before = to->payloads.size;
	uint64_t id = 0;
	enum status status = item_id(d, item, &id, report);
	if (status != STATUS_OK) return status;
	status = floats_from_value(item->vector, row, &why);
	if (status == STATUS_OK && item->payload) status = payload_from_value(item->payload, &to->payloads, &why);
	if (status != STATUS_OK) return bad_line(d, status, report_text(&why), report);
	uint32_t payload_size = (uint32_t)(to->payloads.size - before);
	status = buf_append(&to->ids, &id, sizeof(id));
	if (status == STATUS_OK) status = buf_append(&to->key_sizes, &key_size, sizeof(key_size));
	if (status == STATUS_OK && key_size) status = buf_append(&to->keys, item->key, key_size);
	if (status == STATUS_OK) status = buf_append(&to->payload_sizes, &payload_size, sizeof(payload_size));
	if (status != STATUS_OK) report_set(report, status, "%s", status_text(status));
	return status;
}

static enum status jsonl_read(struct dataset *d, uint32_t max_rows, void *out, uint32_t *ret_n, struct report *report)
{
	struct dataset_items *to = &d->items;
	uint32_t n = 0;
	dataset_items_each(to, buf_reset);
	for (; n < max_rows && to->keys.size + to->payloads.size < JSONL_MORE_MAX; n++) {
		struct item item = {.root = NULL};
		bool end = false;
		enum status status = d->line_waits ? STATUS_OK : dataset_line(d, JSONL_LINE_MAX, &end, report);
		if (status != STATUS_OK) return status;
		d->line_waits = false;
		if (end) break;
		status = item_parse(d, &item, report);
		if (status == STATUS_OK) status = item_add(d, &item, (float *)out + (size_t)n * d->dim, report);
		json_decref(item.root);
		if (status != STATUS_OK) return status;
	}
	*ret_n = n;
	return STATUS_OK;
}

const struct dataset_format dataset_jsonl = {"jsonl", jsonl_open, jsonl_read, NULL};
