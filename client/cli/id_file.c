/* id_file.c - see id_file.h. A npy file holds ids as <u8 or <i8; its size has to be what its head says. */
#include "client/cli/id_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/command.h"
#include "client/cli/npy_head.h"
#include "client/cli/read_bytes.h"
#include "common/cursor.h"

enum { ID_LINE_MAX = 64 };

struct id_file {
	struct bytes_file *file;
	struct buf line;
	bool npy, is_signed;
	uint64_t left; /* npy: ids not read yet */
};

static enum status npy_begin(struct id_file *f, struct report *report)
{
	struct npy_head head;
	enum status status = npy_head_read(f->file, &head, report);
	if (status != STATUS_OK) return status;
	f->is_signed = strcmp(head.descr, "<i8") == 0;
	f->left = head.sizes[0];
	if (head.dimensions != 1 || (!f->is_signed && strcmp(head.descr, "<u8") != 0))
		return report_set(report, STATUS_BAD_REQUEST, "%s holds no ids: one dimension of 64-bit whole numbers (numpy.uint64)", bytes_path(f->file));
	return STATUS_OK;
}

enum status id_file_open(const char *path, struct id_file **ret, struct report *report)
{
	struct id_file *f = calloc(1, sizeof(*f));
	uint8_t first[6];
	size_t n = 0;
	if (!f) return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	buf_init(&f->line, 0);
	enum status status = bytes_open(path, &f->file, report);
	if (status == STATUS_OK) status = bytes_peek(f->file, first, sizeof(first), &n, report);
	f->npy = status == STATUS_OK && n == sizeof(first) && memcmp(first, "\x93NUMPY", sizeof(first)) == 0;
	if (f->npy) status = npy_begin(f, report);
	if (status == STATUS_OK)
		*ret = f;
	else
		id_file_close(&f);
	return status;
}

void id_file_close(struct id_file **f)
{
	if (!*f) return;
	bytes_close(&(*f)->file);
	buf_release(&(*f)->line);
	free(*f);
	*f = NULL;
}

static enum status npy_next(struct id_file *f, uint64_t *ret, bool *ret_end, struct report *report)
{
	uint8_t bytes[8];
	size_t n = 0;
	enum status status = bytes_read(f->file, bytes, sizeof(bytes), &n, report);
	if (status != STATUS_OK) return status;
	if (n != (f->left ? sizeof(bytes) : 0))
		return report_set(report, STATUS_CORRUPT, "%s has %s ids than its head says: it is damaged", bytes_path(f->file), f->left ? "fewer" : "more");
	*ret_end = f->left == 0;
	if (*ret_end) return STATUS_OK;
	f->left--;
	uint64_t id = load_u64(bytes);
	if (f->is_signed && id > INT64_MAX)
		return report_set(report, STATUS_BAD_REQUEST, "%s: %" PRId64 " is no id: a whole number from 0 to %" PRIu64, bytes_path(f->file), (int64_t)id, UINT64_MAX);
	*ret = id;
	return STATUS_OK;
}

enum status id_file_next(struct id_file *f, uint64_t *ret, bool *ret_end, struct report *report)
{
	if (f->npy) return npy_next(f, ret, ret_end, report);
	enum status status = bytes_line(f->file, ID_LINE_MAX, &f->line, ret_end, report);
	if (status == STATUS_OK && !*ret_end && f->line.size == 0) { /* an empty line may be the last one */
		status = bytes_line(f->file, ID_LINE_MAX, &f->line, ret_end, report);
		if (status == STATUS_OK && !*ret_end) return report_set(report, STATUS_BAD_REQUEST, "%s has an empty line before its end", bytes_path(f->file));
	}
	if (status != STATUS_OK || *ret_end) return status;
	if (!text_u64((const char *)f->line.bytes, ret))
		return report_set(report, STATUS_BAD_REQUEST, "%s: '%s' is no id: a whole number from 0 to %" PRIu64, bytes_path(f->file),
			(const char *)f->line.bytes, UINT64_MAX);
	return STATUS_OK;
}
