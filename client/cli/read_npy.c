/* read_npy.c - NumPy's format (dataset.h): "\x93NUMPY", version, length of the head, a Python dict as text, then the elements.
 *
 * The dict is not parsed as Python: its three values are looked for by their names, which NumPy always writes in the same form.
 */
#include "client/cli/dataset_format.h"

#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"

enum { NPY_HEAD_MAX = 65536 };

/* The text after 'name': , blanks skipped; NULL if it is not there. */
static const char *dict_value(const char *head, const char *name)
{
	const char *at = strstr(head, name);
	if (!at) return NULL;
	at = strchr(at, ':');
	if (!at) return NULL;
	for (at++; *at == ' '; at++) continue;
	return at;
}

/* "(60000, 784)": two whole numbers; a third dimension and more are multiplied into the second. */
static bool shape_parse(const char *text, uint64_t *ret_rows, uint64_t *ret_dim)
{
	uint64_t sizes[2] = {0, 1};
	size_t count = 0;
	if (*text++ != '(') return false;
	for (;;) {
		uint64_t v = 0;
		while (*text == ' ') text++;
		if (*text < '0' || *text > '9') return false;
		for (; *text >= '0' && *text <= '9'; text++) {
			if (__builtin_mul_overflow(v, (uint64_t)10, &v) || __builtin_add_overflow(v, (uint64_t)(*text - '0'), &v))
				return false;
		}
		if (count == 0)
			sizes[0] = v;
		else if (__builtin_mul_overflow(sizes[1], v, &sizes[1]))
			return false;
		count++;
		while (*text == ' ') text++;
		if (*text == ')' && count >= 2) break;
		if (*text++ != ',') return false;
	}
	*ret_rows = sizes[0];
	*ret_dim = sizes[1];
	return true;
}

static enum status npy_descr(struct dataset *d, const char *descr, struct report *report)
{
	static const struct {
		const char *text;
		enum dtype dtype;
		uint8_t element;
		bool swap;
	} known[] = {{"'<f4'", DTYPE_F32, 4, false}, {"'>f4'", DTYPE_F32, 4, true}, {"'<f8'", DTYPE_F32, 8, false},
		{"'|u1'", DTYPE_U8, 1, false}, {"'|b1'", DTYPE_U8, 1, false}};
	for (size_t i = 0; descr && i < sizeof(known) / sizeof(known[0]); i++) {
		if (strncmp(descr, known[i].text, 5) != 0) continue;
		d->dtype = known[i].dtype;
		d->element = known[i].element;
		d->swap = known[i].swap;
		return STATUS_OK;
	}
	return report_set(report, STATUS_UNSUPPORTED,
		"%s has elements of type %.8s: float32, float64, uint8 and bool can be read", bytes_path(d->file),
		descr ? descr : "unknown");
}

static enum status npy_head(struct dataset *d, const char *head, size_t head_bytes, struct report *report)
{
	const char *order = dict_value(head, "'fortran_order'"), *shape = dict_value(head, "'shape'");
	uint64_t rows = 0, dim = 0;
	enum status status = npy_descr(d, dict_value(head, "'descr'"), report);
	if (status != STATUS_OK) return status;
	if (!order || strncmp(order, "False", 5) != 0)
		return report_set(report, STATUS_UNSUPPORTED,
			"%s is in Fortran order: save it again with numpy.ascontiguousarray()", bytes_path(d->file));
	if (!shape || !shape_parse(shape, &rows, &dim))
		return report_set(report, STATUS_BAD_REQUEST, "%s is no table of vectors: its shape must be (number, dimension)",
			bytes_path(d->file));
	return dataset_set_shape(d, rows, dim, head_bytes, report);
}

static enum status npy_open(struct dataset *d, struct report *report)
{
	uint8_t start[12];
	size_t start_bytes = 10;
	enum status status = dataset_exactly(d, start, start_bytes, report);
	if (status != STATUS_OK) return status;
	if (memcmp(start, "\x93NUMPY", 6) != 0 || start[6] < 1 || start[6] > 3)
		return report_set(report, STATUS_CORRUPT, "%s is no npy file of version 1 to 3", bytes_path(d->file));
	size_t size = load_u16(start + 8);
	if (start[6] > 1) {
		status = dataset_exactly(d, start + 10, 2, report);
		if (status != STATUS_OK) return status;
		size = load_u32(start + 8);
		start_bytes = 12;
	}
	if (size > NPY_HEAD_MAX)
		return report_set(
			report, STATUS_CORRUPT, "%s has a head of %zu bytes, which no npy file has", bytes_path(d->file), size);
	char *head = malloc(size + 1);
	if (!head) return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	status = dataset_exactly(d, head, size, report);
	if (status == STATUS_OK) {
		head[size] = 0;
		status = npy_head(d, head, start_bytes + size, report);
	}
	free(head);
	return status;
}

const struct dataset_format dataset_npy = {"npy", npy_open, dataset_read_counted};
