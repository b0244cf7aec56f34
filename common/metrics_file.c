/* metrics_file.c - the thread sleeps in poll() on an eventfd, which metrics_file_stop() makes readable. */
#include "common/metrics_file.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/check.h"
#include "common/log.h"

enum { PATH_ROOM = 256, TEXT_MAX = 1 << 24 };

struct metrics_file {
	const struct metrics *metrics;
	struct io *io;
	char path[PATH_ROOM], temp[PATH_ROOM];
	int pause_ms, stop_fd;
	pthread_t thread;
	bool failing; /* and it was said */
	struct buf text; /* its memory is used again */
};

static enum status replace(struct metrics_file *f)
{
	const struct io_ops *ops = f->io->ops;
	struct io_file *file = NULL;
	enum status status = ops->open(f->io, f->temp, IO_CREATE, &file);

	if (status == STATUS_EXISTS) { /* left by a crash */
		status = ops->remove(f->io, f->temp);
		if (status == STATUS_OK) status = ops->open(f->io, f->temp, IO_CREATE, &file);
	}
	if (status != STATUS_OK) return status;
	status = ops->write(f->io, file, 0, f->text.bytes, f->text.size);
	ops->close(f->io, &file);
	if (status == STATUS_OK) status = ops->rename(f->io, f->temp, f->path);
	if (status == STATUS_OK) return STATUS_OK;
	enum status ignored = ops->remove(f->io, f->temp);
	(void)ignored;
	return status;
}

static void write_once(struct metrics_file *f)
{
	buf_reset(&f->text);
	enum status status = metrics_write(f->metrics, &f->text);
	bool rendered = status == STATUS_OK;

	if (rendered) status = replace(f);
	if (status != STATUS_OK && !f->failing)
		log_warn("%s could not be written and is out of date: %s", f->path, rendered && status != STATUS_NO_MEMORY ? io_last_error() : status_text(status));
	if (status == STATUS_OK && f->failing) log_info("%s is written again", f->path);
	f->failing = status != STATUS_OK;
}

static void *run(void *arg)
{
	struct metrics_file *f = arg;
	struct pollfd stop = {.fd = f->stop_fd, .events = POLLIN};

	do write_once(f);
	while (poll(&stop, 1, f->pause_ms) <= 0);
	write_once(f);
	return NULL;
}

static void file_free(struct metrics_file **f)
{
	if ((*f)->stop_fd >= 0) close((*f)->stop_fd);
	buf_release(&(*f)->text);
	free(*f);
	*f = NULL;
}

enum status metrics_file_start(const struct metrics *m, struct io *io, const char *path, uint64_t pause_us, struct metrics_file **ret,
	struct report *report)
{
	struct metrics_file *f = calloc(1, sizeof(*f));

	if (!f) return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	*f = (struct metrics_file){.metrics = m, .io = io, .pause_ms = (int)(pause_us / 1000), .stop_fd = eventfd(0, EFD_CLOEXEC)};
	buf_init(&f->text, TEXT_MAX);
	if (snprintf(f->path, sizeof(f->path), "%s", path) >= PATH_ROOM || snprintf(f->temp, sizeof(f->temp), "%s.tmp", path) >= PATH_ROOM) {
		file_free(&f);
		return report_set(report, STATUS_LIMIT, "the path of the metrics passes %d bytes", PATH_ROOM - 1);
	}
	if (f->stop_fd < 0 || pthread_create(&f->thread, NULL, run, f) != 0) {
		file_free(&f);
		return report_set(report, STATUS_NO_MEMORY, "the thread that writes %s could not be started", path);
	}
	*ret = f;
	return STATUS_OK;
}

void metrics_file_stop(struct metrics_file **file)
{
	struct metrics_file *f = *file;
	uint64_t one = 1;

	if (!f) return;
	require(write(f->stop_fd, &one, sizeof(one)) == sizeof(one));
	pthread_join(f->thread, NULL);
	file_free(file);
}
