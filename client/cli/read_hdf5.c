/* read_hdf5.c - one dataset of an HDF5 file (dataset.h), read by grove-read-hdf5 (hdf5_program.c says why) through a pipe.
 *
 * The program gets the open file, not its name, and is killed when the dataset is closed. What it writes is checked as foreign bytes
 * are: it may have been taken over by the file. */
#include "client/cli/dataset_format.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cli/hdf5_stream.h"
#include "common/clock.h"

extern char **environ;

enum { PROGRAM_PATH_MAX = 4096, VERDICT_LOOKS = 100, VERDICT_LOOK_US = 10000 };

/* Beside our own executable, in libexec/grove of the prefix, or in the build tree whose tests/ we stand in. */
static bool program_find(char out[PROGRAM_PATH_MAX])
{
	static const char *const places[] = {"grove-read-hdf5", "../libexec/grove/grove-read-hdf5", "../client/cli/grove-read-hdf5"};
	char own[PROGRAM_PATH_MAX - 64];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);
	own[n > 0 ? n : 0] = 0;
	char *slash = strrchr(own, '/');
	if (!slash) return false;
	*slash = 0;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(out, PROGRAM_PATH_MAX, "%s/%s", own, places[i]);
		if (access(out, X_OK) == 0) return true;
	}
	return false;
}

/* 0 or an errno. The ends are ours in any case. */
static int program_spawn(const char *program, const struct dataset_expected *expected, int file, int pipe_end, pid_t *ret)
{
	const char *dataset = expected && expected->part ? expected->part : "train", *numbers = expected && expected->numbers ? HDF5_NUMBERS : NULL;
	char *const args[] = {(char *)(uintptr_t)program, (char *)(uintptr_t)dataset, (char *)(uintptr_t)numbers, NULL};
	posix_spawn_file_actions_t actions;
	int code = posix_spawn_file_actions_init(&actions);
	if (code) return code;
	code = posix_spawn_file_actions_adddup2(&actions, file, STDIN_FILENO);
	if (!code) code = posix_spawn_file_actions_adddup2(&actions, pipe_end, STDOUT_FILENO);
	if (!code) code = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	if (!code) code = posix_spawn(ret, program, &actions, NULL, args, environ);
	posix_spawn_file_actions_destroy(&actions);
	return code;
}

static enum status program_start(struct dataset *d, const char *program, struct report *report)
{
	const char *path = bytes_path(d->file);
	struct bytes_file *stream = NULL;
	int ends[2] = {-1, -1};
	enum status status = STATUS_IO;
	pid_t pid = 0;
	int file = open(path, O_RDONLY | O_CLOEXEC);
	if (file == -1 || pipe2(ends, O_CLOEXEC) != 0) {
		report_set(report, status, "cannot open %s: %s", path, strerror(errno));
		goto out;
	}
	int code = program_spawn(program, d->expected, file, ends[1], &pid);
	if (code) {
		report_set(report, status, "cannot read %s: %s does not start: %s", path, program, strerror(code));
		goto out;
	}
	d->reader = pid;
	status = bytes_open_fd(ends[0], path, &stream, report);
	ends[0] = -1;
	if (status != STATUS_OK) goto out;
	bytes_close(&d->file);
	d->file = stream;
out:
	if (file != -1) close(file);
	if (ends[0] != -1) close(ends[0]);
	if (ends[1] != -1) close(ends[1]);
	return status;
}

static void hdf5_close(struct dataset *d)
{
	if (d->reader <= 0) return;
	kill(d->reader, SIGKILL);
	waitpid(d->reader, NULL, 0);
	d->reader = 0;
}

/* The stream ended too early: why. */
static enum status program_verdict(struct dataset *d, struct report *report)
{
	const char *path = bytes_path(d->file);
	pid_t ended = 0;
	int how = 0;
	for (unsigned i = 0; i < VERDICT_LOOKS && ended == 0; i++) {
		if (i) clock_sleep_us(VERDICT_LOOK_US);
		ended = waitpid(d->reader, &how, WNOHANG);
	}
	if (ended == 0) { /* it lives, and wrote what it should not */
		hdf5_close(d);
		return report_set(report, STATUS_CORRUPT, "%s is damaged: what libhdf5 made of it is no dataset", path);
	}
	d->reader = 0;
	if (WIFSIGNALED(how) && WTERMSIG(how) == SIGALRM)
		return report_set(report, STATUS_CORRUPT, "%s is damaged: libhdf5 found no end to it in %d s", path, HDF5_STALL_S);
	if (WIFSIGNALED(how))
		return report_set(report, STATUS_CORRUPT, "%s is damaged: libhdf5 crashed on it (%s)", path, strsignal(WTERMSIG(how)));
	return report_set(report, STATUS_CORRUPT, "%s is damaged: libhdf5 cannot read it to its end", path);
}

/* The program's own sentence. */
static enum status program_refusal(struct dataset *d, const struct hdf5_head *head, struct report *report)
{
	char sentence[HDF5_SENTENCE_MAX + 1];
	size_t n = 0;
	enum status status = STATUS_CORRUPT;
	if (head->status == STATUS_BAD_REQUEST || head->status == STATUS_LIMIT || head->status == STATUS_UNSUPPORTED || head->status == STATUS_NOT_FOUND)
		status = (enum status)head->status;
	if (head->rows > HDF5_SENTENCE_MAX || bytes_read(d->file, sentence, head->rows, &n, report) != STATUS_OK || n < head->rows)
		return program_verdict(d, report);
	sentence[n] = 0;
	for (size_t i = 0; i < n; i++) { /* names of a foreign file may be in it */
		if ((unsigned char)sentence[i] < ' ' || sentence[i] == 0x7f) sentence[i] = '?';
	}
	return report_set(report, status, "%s %s", bytes_path(d->file), sentence);
}

static enum status hdf5_open(struct dataset *d, struct report *report)
{
	char program[PROGRAM_PATH_MAX];
	struct hdf5_head head;
	uint64_t size;
	const char *path = bytes_path(d->file);
	if (!bytes_size(d->file, &size))
		return report_set(report, STATUS_UNSUPPORTED, "%s: HDF5 is read from a plain file, neither compressed nor a pipe", path);
	if (!program_find(program))
		return report_set(report, STATUS_UNSUPPORTED, "%s: this build of grove has no HDF5: install libhdf5-dev and build it again", path);
	enum status status = program_start(d, program, report);
	if (status != STATUS_OK) return status;
	status = dataset_exactly(d, &head, sizeof(head), report);
	if (status != STATUS_OK) return status == STATUS_CORRUPT ? program_verdict(d, report) : status;
	if (memcmp(head.magic, HDF5_MAGIC, sizeof(head.magic)) != 0) return program_verdict(d, report);
	if (head.status != STATUS_OK) return program_refusal(d, &head, report);
	bool numbers = d->expected && d->expected->numbers;
	if (numbers ? head.element != 8 : head.element != 1 && head.element != 4) return program_verdict(d, report);
	d->element = numbers ? 1 : (uint8_t)head.element;
	d->dtype = head.element == 4 ? DTYPE_F32 : DTYPE_U8;
	return dataset_set_shape(d, head.rows, (uint64_t)head.dim * (numbers ? head.element : 1), 0, report);
}

static enum status hdf5_read(struct dataset *d, uint32_t max_rows, void *out, uint32_t *ret_n, struct report *report)
{
	enum status status = dataset_read_counted(d, max_rows, out, ret_n, report);
	return status == STATUS_CORRUPT ? program_verdict(d, report) : status;
}

const struct dataset_format dataset_hdf5 = {"hdf5", hdf5_open, hdf5_read, hdf5_close};
