/* export_file.c - see export_file.h. */
#include "client/cli/export_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct export_file {
	FILE *stream;
	char given[PATH_MAX], target[PATH_MAX], temporary[PATH_MAX]; /* temporary "": none, written to directly */
	int slot;
};

/* What a signal has to remove. A slot is free when its first byte is 0; that byte is set last and cleared first. */
static char unfinished[EXPORT_FILES_MAX][PATH_MAX];

static void remove_unfinished(int number)
{
	for (int i = 0; i < EXPORT_FILES_MAX; i++)
		if (unfinished[i][0]) unlink(unfinished[i]);
	raise(number); /* SA_RESETHAND: now it ends the program */
}

static void watch_signals(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction act = {.sa_handler = remove_unfinished, .sa_flags = SA_RESETHAND}, before;
	sigemptyset(&act.sa_mask);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		/* What was ignored from the start (nohup) stays ignored. */
		if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) sigaction(numbers[i], &act, NULL);
	}
}

static void slot_take(struct export_file *f)
{
	for (int i = 0; i < EXPORT_FILES_MAX; i++) {
		if (unfinished[i][0]) continue;
		memcpy(unfinished[i] + 1, f->temporary + 1, sizeof(unfinished[i]) - 1);
		unfinished[i][0] = f->temporary[0];
		f->slot = i;
		return;
	}
}

static void slot_leave(struct export_file *f)
{
	if (f->slot >= 0) unfinished[f->slot][0] = 0;
	f->slot = -1;
}

static enum status failed(struct export_file *f, int error, struct report *report)
{
	return report_set(report, error == ENOSPC ? STATUS_DISK_FULL : STATUS_IO, "%s could not be written: %s", f->given, strerror(error));
}

static enum status open_direct(struct export_file *f, bool seeks, struct report *report)
{
	if (seeks) return report_set(report, STATUS_USAGE, "%s is no ordinary file, and this format needs one: name a file, or say --format jsonl", f->given);
	f->stream = strcmp(f->given, "-") == 0 ? stdout : fopen(f->given, "wb");
	return f->stream ? STATUS_OK : failed(f, errno, report);
}

static enum status open_temporary(struct export_file *f, struct report *report)
{
	int n = snprintf(f->temporary, sizeof(f->temporary), "%s.%d.tmp", f->target, (int)getpid());
	if (n < 0 || n >= (int)sizeof(f->temporary)) return report_set(report, STATUS_LIMIT, "the path %.100s... is too long", f->given);
	int fd = open(f->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd >= 0) f->stream = fdopen(fd, "w+b");
	if (f->stream) {
		watch_signals();
		slot_take(f);
		return STATUS_OK;
	}
	enum status status = failed(f, errno, report);
	if (fd >= 0) {
		close(fd);
		unlink(f->temporary);
	}
	return status;
}

enum status export_file_open(const char *path, bool seeks, struct export_file **ret, struct report *report)
{
	struct export_file *f = calloc(1, sizeof(*f));
	struct stat there;
	enum status status;
	if (!f) return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	f->slot = -1;
	if (strlen(path) >= sizeof(f->given)) {
		status = report_set(report, STATUS_LIMIT, "the path %.100s... is too long", path);
	} else {
		memcpy(f->given, path, strlen(path) + 1);
		/* A link is followed: its target is replaced, not the link. */
		bool linked = lstat(path, &there) == 0 && S_ISLNK(there.st_mode), found = realpath(path, f->target) != NULL;
		if (!found) memcpy(f->target, f->given, sizeof(f->target));
		bool ordinary = strcmp(path, "-") != 0 && (stat(f->target, &there) != 0 || S_ISREG(there.st_mode));
		if (linked && !found) status = report_set(report, STATUS_IO, "%s is a link to what is not there: remove it, or name the file itself", path);
		else status = ordinary ? open_temporary(f, report) : open_direct(f, seeks, report);
	}
	if (status == STATUS_OK)
		*ret = f;
	else
		free(f);
	return status;
}

FILE *export_file_stream(struct export_file *f) { return f->stream; }
const char *export_file_path(const struct export_file *f) { return f->given; }

enum status export_file_check(struct export_file *f, struct report *report)
{
	if (!ferror(f->stream)) return STATUS_OK;
	return failed(f, errno ? errno : EIO, report);
}

enum status export_file_commit(struct export_file **take, struct report *report)
{
	struct export_file *f = *take;
	bool direct = !f->temporary[0];
	enum status status = export_file_check(f, report);
	if (status == STATUS_OK && fflush(f->stream) != 0) status = failed(f, errno, report);
	if (status == STATUS_OK && !direct && fsync(fileno(f->stream)) != 0) status = failed(f, errno, report);
	if (f->stream != stdout && fclose(f->stream) != 0 && status == STATUS_OK) status = failed(f, errno, report);
	f->stream = NULL;
	if (status == STATUS_OK && !direct && rename(f->temporary, f->target) != 0) status = failed(f, errno, report);
	if (status == STATUS_OK) slot_leave(f);
	if (status == STATUS_OK) f->temporary[0] = 0;
	export_file_discard(take);
	return status;
}

void export_file_discard(struct export_file **file)
{
	struct export_file *f = *file;
	*file = NULL;
	if (!f) return;
	if (f->stream && f->stream != stdout) fclose(f->stream);
	if (f->temporary[0]) unlink(f->temporary);
	slot_leave(f);
	free(f);
}
