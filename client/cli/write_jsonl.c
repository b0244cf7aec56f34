/* write_jsonl.c - a JSON object a line: {"id":7,"key":"boot-42","vector":[0.5,1],"payload":{...}}. Floats have nine digits, which is enough to read
 * the same bits again. What JSON has no form for is told at the end: bytes in payloads become base64, a key that is no text is left out. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/export_format.h"
#include "client/cli/float_text.h"
#include "client/cli/output.h"
#include "common/cursor.h"
#include "common/limits.h"
#include "proto/msgpack_scan.h"

struct jsonl { FILE *out; uint32_t dim; bool bits; uint64_t keys_left_out; char *line; /* of a vector */ };

static enum status jsonl_begin(const grove_index *index, struct export_file *file, void **ret, struct report *report)
{
	struct jsonl *j = malloc(sizeof(*j));
	if (!j) return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	*j = (struct jsonl){.out = export_file_stream(file), .dim = index->dim, .bits = index->metric == GROVE_HAMMING,
		.line = malloc((size_t)index->dim * (FLOAT_TEXT_MAX + 1))};
	if (!j->line) {
		free(j);
		return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	}
	*ret = j;
	return STATUS_OK;
}

static void put_vector(struct jsonl *j, const uint8_t *row)
{
	char *at = j->line;
	for (uint32_t e = 0; e < j->dim; e++) {
		if (e) *at++ = ',';
		if (j->bits) *at++ = (row[e / 8] >> (e % 8)) & 1 ? '1' : '0';
		else at += float_text(load_f32(row + (size_t)e * 4), at);
	}
	fputs(",\"vector\":[", j->out);
	fwrite(j->line, 1, (size_t)(at - j->line), j->out);
	fputc(']', j->out);
}

static void put_key(struct jsonl *j, const struct stream_item *item)
{
	char key[KEY_MAX + 1];
	if (!item->key_size) return;
	if (item->key_size > KEY_MAX || memchr(item->key, 0, item->key_size) || !utf8_valid(item->key, item->key_size)) {
		j->keys_left_out++;
		return;
	}
	memcpy(key, item->key, item->key_size);
	key[item->key_size] = 0;
	fputs(",\"key\":", j->out);
	json_string(j->out, key);
}

static enum status jsonl_item(void *own, const struct stream_item *item, struct report *report)
{
	struct jsonl *j = own;
	enum status status = STATUS_OK;
	fprintf(j->out, "{\"id\":%" PRIu64, item->id);
	put_key(j, item);
	put_vector(j, item->vector);
	if (item->payload_size) {
		fputs(",\"payload\":", j->out);
		status = payload_show(item->payload, item->payload_size, j->out);
	}
	fputs("}\n", j->out);
	return status == STATUS_OK ? status : report_set(report, status, "the payload of item %" PRIu64 " cannot be written: %s", item->id, status_text(status));
}

static void jsonl_end(void *own)
{
	struct jsonl *j = own;
	if (j) free(j->line);
	free(j);
}

static enum status jsonl_finish(void *own, struct report *report)
{
	const struct jsonl *j = own;
	if (j->keys_left_out)
		output_message("%" PRIu64 " keys are no UTF-8 text and were left out: their items have the id alone", j->keys_left_out);
	return STATUS_OK;
}

const struct export_format export_jsonl = {.name = "jsonl", .ids = true, .payloads = true, .keys = true, .begin = jsonl_begin, .item = jsonl_item, .finish = jsonl_finish,
	.end = jsonl_end};
