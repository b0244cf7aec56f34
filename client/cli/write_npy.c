/* write_npy.c - NumPy's format: a head of 128 bytes, then the elements. The number of rows is known at the end, so the head is written twice, in
 * the same length. Format version 1.0, as numpy.save writes it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/export_format.h"
#include "common/cursor.h"
#include "common/vec.h"

enum { HEAD_BYTES = 128, MAGIC_BYTES = 10 };

struct npy {
	struct export_file *file;
	const char *descr;
	size_t row_bytes;
	uint64_t rows, columns; /* columns 0: one dimension */
};

static void npy_head(const struct npy *n)
{
	char head[HEAD_BYTES + 1], shape[64];
	if (n->columns) snprintf(shape, sizeof(shape), "(%" PRIu64 ", %" PRIu64 ")", n->rows, n->columns);
	else snprintf(shape, sizeof(shape), "(%" PRIu64 ",)", n->rows);
	memset(head, ' ', sizeof(head));
	memcpy(head, "\x93NUMPY\x01\x00", 8);
	store_u16((uint8_t *)head + 8, HEAD_BYTES - MAGIC_BYTES);
	int used = snprintf(head + MAGIC_BYTES, HEAD_BYTES - MAGIC_BYTES, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", n->descr, shape);
	head[MAGIC_BYTES + used] = ' ';
	head[HEAD_BYTES - 1] = '\n';
	fwrite(head, 1, HEAD_BYTES, export_file_stream(n->file));
}

static enum status npy_finish(void *own, struct report *report)
{
	struct npy *n = own;
	enum status status = export_file_check(n->file, report);
	if (status != STATUS_OK) return status;
	if (fseek(export_file_stream(n->file), 0, SEEK_SET) != 0) return report_set(report, STATUS_IO, "%s could not be written", export_file_path(n->file));
	npy_head(n);
	return STATUS_OK;
}

static enum status npy_begin(const grove_index *index, struct export_file *file, void **ret, struct report *report)
{
	struct npy *n = malloc(sizeof(*n));
	bool bits = index->metric == GROVE_HAMMING;
	if (!n) return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	*n = (struct npy){.file = file, .descr = bits ? "|u1" : "<f4", .row_bytes = dtype_row_bytes(bits ? DTYPE_BITS : DTYPE_F32, index->dim)};
	n->columns = bits ? n->row_bytes : index->dim;
	npy_head(n);
	*ret = n;
	return STATUS_OK;
}

static enum status npy_item(void *own, const struct stream_item *item, struct report *report)
{
	struct npy *n = own;
	fwrite(item->vector, 1, n->row_bytes, export_file_stream(n->file));
	n->rows++;
	return STATUS_OK;
}

const struct export_format export_npy = {.name = "npy", .seeks = true, .begin = npy_begin, .item = npy_item, .finish = npy_finish, .end = free};

/* ---- ids ---- */

struct export_ids { struct export_file *file; struct npy npy; bool text; };

enum status export_ids_open(const char *path, struct export_ids **ret, struct report *report)
{
	struct export_ids *i = calloc(1, sizeof(*i));
	const char *ending = strrchr(path, '.');
	if (!i) return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	i->text = !ending || strcmp(ending, ".npy") != 0;
	enum status status = export_file_open(path, !i->text, &i->file, report);
	if (status != STATUS_OK) {
		free(i);
		return status;
	}
	i->npy = (struct npy){.file = i->file, .descr = "<u8"};
	if (!i->text) npy_head(&i->npy);
	*ret = i;
	return STATUS_OK;
}

enum status export_ids_put(struct export_ids *i, uint64_t id, struct report *report)
{
	uint8_t bytes[8];
	store_u64(bytes, id);
	if (i->text) fprintf(export_file_stream(i->file), "%" PRIu64 "\n", id);
	else fwrite(bytes, 1, sizeof(bytes), export_file_stream(i->file));
	i->npy.rows++;
	return i->npy.rows % 1024 ? STATUS_OK : export_file_check(i->file, report);
}

enum status export_ids_commit(struct export_ids **take, struct report *report)
{
	struct export_ids *i = *take;
	enum status status = i->text ? STATUS_OK : npy_finish(&i->npy, report);
	if (status == STATUS_OK) status = export_file_commit(&i->file, report);
	export_ids_discard(take);
	return status;
}

void export_ids_discard(struct export_ids **i)
{
	if (!*i) return;
	export_file_discard(&(*i)->file);
	free(*i);
	*i = NULL;
}
