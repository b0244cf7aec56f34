/* io.c - what is built from the operations of an io, and each thread's last error. */
#include "common/io.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char last_error[320];

const char *io_last_error(void) { return last_error; }

void io_set_last_error(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(last_error, sizeof(last_error), fmt, args);
	va_end(args);
}

void io_names_free(char ***names, size_t count)
{
	if (!*names) return;
	for (size_t i = 0; i < count; i++) free((*names)[i]);
	free(*names);
	*names = NULL;
}

/* The folder of a path, "" for the root. */
static void folder_of(const char *path, char *out, size_t size)
{
	const char *slash = strrchr(path, '/');

	snprintf(out, size, "%.*s", slash ? (int)(slash - path) : 0, path);
}

enum status io_replace(struct io *io, const char *path, const void *bytes, size_t n)
{
	char temp[512], folder[512];
	struct io_file *f = NULL;
	enum status status;

	if (snprintf(temp, sizeof(temp), "%s.tmp", path) >= (int)sizeof(temp)) return STATUS_LIMIT;
	folder_of(path, folder, sizeof(folder));
	status = io->ops->open(io, temp, IO_CREATE, &f);
	if (status == STATUS_EXISTS) { /* left by a crash */
		status = io->ops->remove(io, temp);
		if (status == STATUS_OK) status = io->ops->open(io, temp, IO_CREATE, &f);
	}
	if (status != STATUS_OK) return status;
	status = io->ops->write(io, f, 0, bytes, n);
	if (status == STATUS_OK) status = io->ops->sync(io, f);
	io->ops->close(io, &f);
	if (status == STATUS_OK) status = io->ops->rename(io, temp, path);
	if (status == STATUS_OK) {
		status = io->ops->sync_dir(io, folder);
		return status == STATUS_NO_MEMORY ? STATUS_IO : status; /* the new name is there already */
	}
	enum status ignored = io->ops->remove(io, temp);
	(void)ignored;
	return status;
}

enum status io_slurp(struct io *io, const char *path, size_t cap, uint8_t **ret, size_t *ret_size)
{
	struct io_file *f = NULL;
	uint8_t *bytes = NULL;
	uint64_t size = 0;
	enum status status = io->ops->open(io, path, IO_READ, &f);

	if (status != STATUS_OK) return status;
	status = io->ops->size(io, f, &size);
	if (status == STATUS_OK && size > cap) status = STATUS_LIMIT;
	if (status == STATUS_OK && !(bytes = malloc(size ? size : 1))) status = STATUS_NO_MEMORY;
	if (status == STATUS_OK) status = io->ops->read(io, f, 0, bytes, size);
	io->ops->close(io, &f);
	if (status != STATUS_OK) {
		free(bytes);
		return status;
	}
	*ret = bytes;
	*ret_size = size;
	return STATUS_OK;
}
