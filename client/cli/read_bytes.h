/* read_bytes.h - the bytes of a file, plain or gzip-compressed (told by its content), as a stream. One owner, one thread. */
#ifndef CLIENT_CLI_READ_BYTES_H
#define CLIENT_CLI_READ_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/status.h"

struct bytes_file;
MUST_CHECK enum status bytes_open(const char *path, struct bytes_file **ret, struct report *report);
/* The same of an open file or pipe, which is ours to close, also on failure. Its size counts as not known. name: what sentences call it. */
MUST_CHECK enum status bytes_open_fd(int fd, const char *name, struct bytes_file **ret, struct report *report);
void bytes_close(struct bytes_file **f);
const char *bytes_path(const struct bytes_file *f); /* as given to bytes_open(), or the name */
/* The size of the whole file, if it is known without reading it: plain regular files. */
bool bytes_size(const struct bytes_file *f, uint64_t *ret);
/* Up to n bytes; fewer only at the end. STATUS_IO, STATUS_CORRUPT (damaged compression): the sentence names the file. */
MUST_CHECK enum status bytes_read(struct bytes_file *f, void *out, size_t n, size_t *ret_n, struct report *report);
/* Exactly n bytes from `offset`, apart from the stream; only where bytes_size() is known. STATUS_CORRUPT: the file ends before. */
MUST_CHECK enum status bytes_read_at(struct bytes_file *f, uint64_t offset, void *out, size_t n, struct report *report);
/* The same bytes that the next read gives. At most BYTES_PEEK_MAX, and only before the first read. */
enum { BYTES_PEEK_MAX = 16 };
MUST_CHECK enum status bytes_peek(struct bytes_file *f, void *out, size_t n, size_t *ret_n, struct report *report);
/* The next line without its end, with a NUL behind; *ret_end: there was none. STATUS_LIMIT past `max` bytes,
 * STATUS_BAD_REQUEST for a zero byte. */
MUST_CHECK enum status bytes_line(struct bytes_file *f, size_t max, struct buf *line, bool *ret_end, struct report *report);

#endif
