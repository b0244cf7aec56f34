/* npy_head.c - "\x93NUMPY", version, length of the head, a Python dict as text. The dict is not parsed as Python: its three values are looked for by
 * their names, which NumPy always writes in the same form. */
#include "client/cli/npy_head.h"

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

/* "(60000, 784)" or "(60000,)": whole numbers; a third dimension and more are multiplied into the second. */
static bool shape_parse(const char *text, struct npy_head *h)
{
	h->sizes[0] = 0;
	h->sizes[1] = 1;
	h->dimensions = 0;
	if (*text++ != '(') return false;
	for (;;) {
		uint64_t v = 0;
		while (*text == ' ') text++;
		if (*text == ')' && h->dimensions) return true;
		if (*text < '0' || *text > '9') return false;
		for (; *text >= '0' && *text <= '9'; text++) {
			if (__builtin_mul_overflow(v, (uint64_t)10, &v) || __builtin_add_overflow(v, (uint64_t)(*text - '0'), &v))
				return false;
		}
		if (h->dimensions == 0)
			h->sizes[0] = v;
		else if (__builtin_mul_overflow(h->sizes[1], v, &h->sizes[1]))
			return false;
		h->dimensions++;
		while (*text == ' ') text++;
		if (*text == ')') return h->dimensions >= 2; /* of one dimension NumPy writes a comma */
		if (*text++ != ',') return false;
	}
}

static enum status head_parse(const char *path, const char *text, struct npy_head *h, struct report *report)
{
	const char *descr = dict_value(text, "'descr'"), *order = dict_value(text, "'fortran_order'"), *shape = dict_value(text, "'shape'");
	size_t n = descr && *descr == '\'' ? strcspn(descr + 1, "'") : 0;
	if (n == 0 || n >= sizeof(h->descr))
		return report_set(report, STATUS_UNSUPPORTED, "%s has elements of a type that cannot be read: %.20s", path, descr ? descr : "unknown");
	memcpy(h->descr, descr + 1, n);
	h->descr[n] = 0;
	if (!order || strncmp(order, "False", 5) != 0)
		return report_set(report, STATUS_UNSUPPORTED, "%s is in Fortran order: save it again with numpy.ascontiguousarray()", path);
	if (!shape || !shape_parse(shape, h)) return report_set(report, STATUS_BAD_REQUEST, "%s has a shape that is none: (number, dimension)", path);
	return STATUS_OK;
}

static enum status read_exactly(struct bytes_file *file, void *out, size_t n, struct report *report)
{
	size_t got = 0;
	enum status status = bytes_read(file, out, n, &got, report);
	if (status != STATUS_OK || got == n) return status;
	return report_set(report, STATUS_CORRUPT, "%s ends too early: it is cut off or no npy file", bytes_path(file));
}

enum status npy_head_read(struct bytes_file *file, struct npy_head *ret, struct report *report)
{
	uint8_t start[12];
	struct npy_head h = {.bytes = 10};
	enum status status = read_exactly(file, start, h.bytes, report);
	if (status != STATUS_OK) return status;
	if (memcmp(start, "\x93NUMPY", 6) != 0 || start[6] < 1 || start[6] > 3)
		return report_set(report, STATUS_CORRUPT, "%s is no npy file of version 1 to 3", bytes_path(file));
	size_t size = load_u16(start + 8);
	if (start[6] > 1) {
		status = read_exactly(file, start + 10, 2, report);
		if (status != STATUS_OK) return status;
		size = load_u32(start + 8);
		h.bytes = 12;
	}
	if (size > NPY_HEAD_MAX)
		return report_set(report, STATUS_CORRUPT, "%s has a head of %zu bytes, which no npy file has", bytes_path(file), size);
	char *text = malloc(size + 1);
	if (!text) return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	status = read_exactly(file, text, size, report);
	if (status == STATUS_OK) {
		text[size] = 0;
		h.bytes += size;
		status = head_parse(bytes_path(file), text, &h, report);
	}
	free(text);
	if (status == STATUS_OK) *ret = h;
	return status;
}
