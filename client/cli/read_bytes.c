/* read_bytes.c - plain and compressed files by zlib, which passes plain bytes through. */
#include "client/cli/read_bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION /* under libFuzzer files are small, and opened by the million */
enum { READ_BUFFER = 1024, AHEAD = 32 }; /* so small that lines have seams */
#else
enum { READ_BUFFER = 256 * 1024, AHEAD = 64 * 1024 };
#endif
_Static_assert((int)AHEAD >= (int)BYTES_PEEK_MAX, "what is peeked at stands in `ahead`");
enum { READ_CHUNK = 1 << 30 };

struct bytes_file {
	gzFile gz;
	int fd; /* the one in gz, which closes it */
	char *path;
	uint64_t size;
	bool size_known;
	size_t ahead_size, ahead_at; /* of `ahead`: what was read, and given */
	uint8_t ahead[AHEAD];	     /* for lines, and for bytes_peek() */
};

/* regular: the file's size, if it turns out to be plain, is what it has; else unknown. */
static enum status bytes_open_stream(int fd, const char *name, const struct stat *regular, struct bytes_file **ret, struct report *report)
{
	enum status status = STATUS_NO_MEMORY;
	struct bytes_file *f = calloc(1, sizeof(*f));
	if (f) f->path = strdup(name);
	if (f && f->path) f->gz = gzdopen(fd, "rb");
	if (!f || !f->gz) {
		report_set(report, status, "%s", status_text(status));
		goto out;
	}
	f->fd = fd;
	fd = -1;
	gzbuffer(f->gz, READ_BUFFER);
	if (regular) {
		f->size = (uint64_t)regular->st_size;
		f->size_known = gzdirect(f->gz);
	}
	*ret = f;
	f = NULL;
	status = STATUS_OK;
out:
	if (fd != -1) close(fd);
	bytes_close(&f);
	return status;
}

enum status bytes_open(const char *path, struct bytes_file **ret, struct report *report)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return report_set(
			report, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO, "cannot open %s: %s", path, strerror(errno));
	if (fstat(fd, &st) != 0 || S_ISDIR(st.st_mode)) {
		close(fd);
		return report_set(report, STATUS_IO, "cannot read %s: it is not a file", path);
	}
	return bytes_open_stream(fd, path, S_ISREG(st.st_mode) ? &st : NULL, ret, report);
}

enum status bytes_open_fd(int fd, const char *name, struct bytes_file **ret, struct report *report)
{
	return bytes_open_stream(fd, name, NULL, ret, report);
}

void bytes_close(struct bytes_file **f)
{
	if (!*f) return;
	if ((*f)->gz) gzclose((*f)->gz);
	free((*f)->path);
	free(*f);
	*f = NULL;
}

const char *bytes_path(const struct bytes_file *f)
{
	return f->path;
}

bool bytes_size(const struct bytes_file *f, uint64_t *ret)
{
	if (f->size_known) *ret = f->size;
	return f->size_known;
}

static enum status read_raw(struct bytes_file *f, uint8_t *out, size_t n, size_t *ret_n, struct report *report)
{
	size_t done = 0;
	while (done < n) {
		unsigned ask = n - done > READ_CHUNK ? READ_CHUNK : (unsigned)(n - done);
		int got = gzread(f->gz, out + done, ask);
		int code = Z_OK;
		const char *why = gzerror(f->gz, &code);
		const char *named = strstr(why, ">: "); /* zlib knows the file as <fd:3> */
		if (named) why = named + 3;
		if (got < 0 || code == Z_BUF_ERROR)
			return report_set(report, code == Z_ERRNO ? STATUS_IO : STATUS_CORRUPT, "cannot read %s: %s", f->path,
				code == Z_ERRNO ? strerror(errno) : why);
		if (got == 0) break;
		done += (size_t)got;
	}
	*ret_n = done;
	return STATUS_OK;
}

enum status bytes_peek(struct bytes_file *f, void *out, size_t n, size_t *ret_n, struct report *report)
{
	if (f->ahead_size == 0) {
		enum status status = read_raw(f, f->ahead, BYTES_PEEK_MAX, &f->ahead_size, report);
		if (status != STATUS_OK) return status;
	}
	*ret_n = n < f->ahead_size ? n : f->ahead_size;
	memcpy(out, f->ahead, *ret_n);
	return STATUS_OK;
}

enum status bytes_read(struct bytes_file *f, void *out, size_t n, size_t *ret_n, struct report *report)
{
	size_t early = f->ahead_size - f->ahead_at < n ? f->ahead_size - f->ahead_at : n, more = 0;
	memcpy(out, f->ahead + f->ahead_at, early);
	f->ahead_at += early;
	if (early < n) {
		enum status status = read_raw(f, (uint8_t *)out + early, n - early, &more, report);
		if (status != STATUS_OK) return status;
	}
	*ret_n = early + more;
	return STATUS_OK;
}

enum status bytes_read_at(struct bytes_file *f, uint64_t offset, void *out, size_t n, struct report *report)
{
	for (size_t done = 0; done < n;) {
		ssize_t got = pread(f->fd, (uint8_t *)out + done, n - done, (off_t)(offset + done));
		if (got < 0 && errno != EINTR)
			return report_set(report, STATUS_IO, "cannot read %s: %s", f->path, strerror(errno));
		if (got == 0)
			return report_set(report, STATUS_CORRUPT, "%s became shorter while it was read", f->path);
		if (got > 0) done += (size_t)got;
	}
	return STATUS_OK;
}

/* What stands in `ahead`, up to the end of the line, goes to it; *ret_whole: that was there. */
static enum status line_extend(struct bytes_file *f, size_t max, struct buf *line, bool *ret_whole, struct report *report)
{
	const uint8_t *at = f->ahead + f->ahead_at, *end = memchr(at, '\n', f->ahead_size - f->ahead_at);
	size_t n = end ? (size_t)(end - at) : f->ahead_size - f->ahead_at;
	if (memchr(at, 0, n)) return report_set(report, STATUS_BAD_REQUEST, "%s has a zero byte in a line: it is no text", f->path);
	if (n > max - line->size) return report_set(report, STATUS_LIMIT, "%s has a line of more than %zu bytes", f->path, max);
	enum status status = n ? buf_append(line, at, n) : STATUS_OK; /* an empty buf has no bytes to point behind */
	if (status != STATUS_OK) return report_set(report, status, "%s", status_text(status));
	f->ahead_at += n + (end != NULL);
	*ret_whole = end != NULL;
	return STATUS_OK;
}

enum status bytes_line(struct bytes_file *f, size_t max, struct buf *line, bool *ret_end, struct report *report)
{
	enum status status = STATUS_OK;
	bool any = false, whole = false;
	buf_reset(line);
	while (!whole) {
		if (f->ahead_at == f->ahead_size) {
			f->ahead_at = f->ahead_size = 0;
			status = read_raw(f, f->ahead, AHEAD, &f->ahead_size, report);
			if (status != STATUS_OK) return status;
			if (f->ahead_size == 0) break;
		}
		any = true;
		status = line_extend(f, max, line, &whole, report);
		if (status != STATUS_OK) return status;
	}
	while (line->size && line->bytes[line->size - 1] == '\r') line->size--;
	status = buf_append(line, "", 1);
	if (status != STATUS_OK) return report_set(report, status, "%s", status_text(status));
	line->size--;
	*ret_end = !any;
	return STATUS_OK;
}
