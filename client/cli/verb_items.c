/* verb_items.c - the verbs on single items: put, get, delete. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/json_input.h"
#include "client/cli/output.h"
#include "client/cli/session.h"
#include "client/cli/verbs.h"
#include "common/cursor.h"
#include "common/limits.h"
#include "proto/client_codec.h"

/* ---- put ---- */

static int put_outcome(const struct session *s, int code, const grove_reply *reply, uint64_t id, const char *key)
{
	static const char *const names[] = {"ok", "rejected", "unknown"};
	if (s->json && reply && reply->outcome_count == 1 && reply->outcomes[0] < 3) {
		fprintf(stdout, "{\"id\":%" PRIu64, key ? item_id_of_key(key, strlen(key)) : id);
		if (key) {
			fputs(",\"key\":", stdout);
			json_string(stdout, key);
		}
		fprintf(stdout, ",\"result\":\"%s\"}\n", names[reply->outcomes[0]]);
	}
	return code == GROVE_OK ? EXIT_OK : session_fail(s, code);
}

int verb_put(const struct arguments *a)
{
	const char *vector_text = arguments_text(a, "vector"), *payload_text = arguments_text(a, "payload"),
		   *key = arguments_text(a, "key");
	struct session s = {.client = NULL};
	struct report report = {.status = STATUS_OK};
	struct buf payload, bits;
	float *vector = NULL;
	grove_reply *reply = NULL;
	grove_index index;
	uint32_t dim = 0;
	uint64_t id = 0;
	int exit_code = EXIT_USAGE;
	buf_init(&payload, 0);
	buf_init(&bits, 0);
	if (!arguments_u64(a, "id", 0, UINT64_MAX, &id)) goto out;
	if (arguments_has(a, "id") == (key != NULL)) {
		usage_error(a->command, "an item needs either --id or --key");
		goto out;
	}
	if (key && !*key) { /* on the wire an empty key means that the item has none: item 0 would be replaced */
		usage_error(a->command, "--key is empty: a key has 1 to 255 bytes");
		goto out;
	}
	if (!vector_text) {
		usage_error(a->command, "--vector is missing: '[0.5, 1, -2]'");
		goto out;
	}
	if (vector_from_json(vector_text, &vector, &dim, &report) != STATUS_OK ||
		(payload_text && payload_from_json(payload_text, &payload, &report) != STATUS_OK)) {
		usage_error(a->command, "%s", report_text(&report));
		goto out;
	}
	exit_code = session_open(&s, a, GROVE_DEFAULT_TIMEOUT_MS);
	if (exit_code == EXIT_OK) exit_code = session_index(&s, a->positional[0], &index);
	if (exit_code != EXIT_OK) goto out;
	if (index.metric == GROVE_HAMMING && bits_from_floats(vector, dim, &bits, &report) != STATUS_OK) {
		output_message("%s", report_text(&report));
		exit_code = EXIT_FAILED;
		goto out;
	}
	uint32_t payload_size = (uint32_t)payload.size, key_size = key ? (uint32_t)strlen(key) : 0;
	grove_items items = {.count = 1, .dim = dim, .ids = &id, .vectors = vector};
	if (index.metric == GROVE_HAMMING) {
		items.dtype = GROVE_BITS;
		items.vectors = bits.bytes;
	}
	if (payload.size) items.payloads = (grove_blobs){.sizes = &payload_size, .bytes = payload.bytes};
	if (key) items.keys = (grove_blobs){.sizes = &key_size, .bytes = key};
	int code = grove_upsert(s.client, a->positional[0], &items, &reply);
	exit_code = put_outcome(&s, code, reply, id, key);
out:
	grove_reply_free(&reply);
	free(vector);
	buf_release(&payload);
	buf_release(&bits);
	session_close(&s);
	return exit_code;
}

/* ---- the ids of get and delete: each --id, and what stands after the name ---- */

static int ids_parse(const struct arguments *a, uint64_t **ret_ids, uint32_t *ret_count)
{
	uint32_t n = 0;
	uint64_t *ids = calloc(a->given_count + a->positional_count + 1, sizeof(*ids));
	const char *bad = NULL;
	if (!ids) {
		output_message("%s", status_text(STATUS_NO_MEMORY));
		return EXIT_FAILED;
	}
	for (size_t i = 0; i < a->given_count && !bad; i++) {
		if (strcmp(a->given[i].option->name, "id") == 0 && !text_u64(a->given[i].value, &ids[n++]))
			bad = a->given[i].value;
	}
	for (size_t i = 1; i < a->positional_count && !bad; i++) {
		if (!text_u64(a->positional[i], &ids[n++])) bad = a->positional[i];
	}
	if (bad || n == 0 || n > BATCH_ITEMS_MAX) {
		free(ids);
		if (bad)
			return usage_error(
				a->command, "an id is a whole number from 0 to %" PRIu64 ", not '%s'", UINT64_MAX, bad);
		if (n == 0) return usage_error(a->command, "--id is missing");
		return usage_error(a->command, "at most %d ids at once, not %u", BATCH_ITEMS_MAX, n);
	}
	*ret_ids = ids;
	*ret_count = n;
	return EXIT_OK;
}

/* ---- get ---- */

static void row_elements(FILE *out, const grove_rows *rows, uint32_t i)
{
	size_t row_bytes = dtype_row_bytes((enum dtype)rows->dtype, rows->dim);
	const uint8_t *row = (const uint8_t *)rows->vectors + i * row_bytes;
	for (uint32_t e = 0; e < rows->dim; e++) {
		if (e) fputc(',', out);
		if (rows->dtype == GROVE_BITS)
			fputc((row[e / 8] >> (e % 8)) & 1 ? '1' : '0', out);
		else if (rows->dtype == GROVE_U8)
			fprintf(out, "%u", row[e]);
		else
			json_float(out, load_f32(row + (size_t)e * 4));
	}
}

static int row_show(const grove_rows *rows, uint32_t i, bool json)
{
	fprintf(stdout, json ? "{\"id\":%" PRIu64 ",\"vector\":[" : "id       %" PRIu64 "\nvector   [", rows->ids[i]);
	row_elements(stdout, rows, i);
	fputs(json ? "]" : "]\n", stdout);
	if (rows->keys.offsets && rows->keys.offsets[i + 1] > rows->keys.offsets[i]) {
		char key[KEY_MAX + 1];
		size_t size = rows->keys.offsets[i + 1] - rows->keys.offsets[i];
		memcpy(key, rows->keys.bytes + rows->keys.offsets[i], size);
		key[size] = 0;
		fputs(json ? ",\"key\":" : "key      ", stdout);
		json_string(stdout, key);
		if (!json) fputc('\n', stdout);
	}
	if (rows->payloads.offsets && rows->payloads.offsets[i + 1] > rows->payloads.offsets[i]) {
		fputs(json ? ",\"payload\":" : "payload  ", stdout);
		enum status status = payload_show(rows->payloads.bytes + rows->payloads.offsets[i],
			rows->payloads.offsets[i + 1] - rows->payloads.offsets[i], stdout);
		if (status != STATUS_OK) {
			output_message("the payload of item %" PRIu64 " cannot be shown: %s", rows->ids[i], status_text(status));
			return EXIT_FAILED;
		}
		if (!json) fputc('\n', stdout);
	}
	fputs(json ? "}\n" : "", stdout);
	return EXIT_OK;
}

int verb_get(const struct arguments *a)
{
	struct session s = {.client = NULL};
	uint64_t *ids = NULL;
	uint32_t n = 0;
	grove_reply *reply = NULL;
	int exit_code = ids_parse(a, &ids, &n);
	if (exit_code == EXIT_OK) exit_code = session_open(&s, a, GROVE_DEFAULT_TIMEOUT_MS);
	if (exit_code != EXIT_OK) goto out;
	int code = grove_get(s.client, a->positional[0], ids, n, &reply);
	if (code != GROVE_OK) {
		exit_code = session_fail(&s, code);
		goto out;
	}
	for (uint32_t i = 0; i < n && exit_code != EXIT_FAILED; i++) {
		if (reply->rows.found[i]) {
			int shown = row_show(&reply->rows, i, s.json);
			if (shown != EXIT_OK) exit_code = shown;
		} else {
			output_message("'%s' has no item %" PRIu64, a->positional[0], ids[i]);
			exit_code = EXIT_NOT_FOUND;
		}
	}
out:
	grove_reply_free(&reply);
	free(ids);
	session_close(&s);
	return exit_code;
}

/* ---- delete ---- */

int verb_delete(const struct arguments *a)
{
	struct session s = {.client = NULL};
	uint64_t *ids = NULL;
	uint32_t n = 0, counts[3] = {0, 0, 0};
	grove_reply *reply = NULL;
	int exit_code = ids_parse(a, &ids, &n);
	if (exit_code == EXIT_OK) exit_code = session_open(&s, a, GROVE_DEFAULT_TIMEOUT_MS);
	if (exit_code != EXIT_OK) goto out;
	int code = grove_delete(s.client, a->positional[0], ids, n, &reply);
	if (code != GROVE_OK) exit_code = session_fail(&s, code);
	for (uint32_t i = 0; reply && i < reply->outcome_count; i++) {
		if (reply->outcomes[i] < 3) counts[reply->outcomes[i]]++;
	}
	if (!reply) goto out;
	if (s.json)
		fprintf(stdout, "{\"ok\":%" PRIu32 ",\"rejected\":%" PRIu32 ",\"unknown\":%" PRIu32 "}\n", counts[0], counts[1],
			counts[2]);
	else if (counts[0])
		output_message("deleted %" PRIu32 " of %" PRIu32, counts[0], n);
out:
	grove_reply_free(&reply);
	free(ids);
	session_close(&s);
	return exit_code;
}
