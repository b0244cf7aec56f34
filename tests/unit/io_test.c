/* Files behave as io.h says: short transfers are finished, syncs are never repeated, paths stay in their folder, and a replaced file is the
 * old or the new one whatever fails. pread, pwrite, fdatasync and fsync are this program's own: they pass on, or fail as told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "tests/support/io_sim.h"

/* ---- the kernel as it may be ---- */

static unsigned interruptions;   /* so many of the next calls end with EINTR */
static size_t transfer_max;      /* bytes of one transfer; 0: any */
static int error_after_transfer; /* errno of what follows a first transfer; 0: none */
static int sync_error;
static unsigned transfers, data_syncs, folder_syncs;

static bool kernel_fails(size_t *n)
{
	if (interruptions) {
		interruptions--;
		errno = EINTR;
		return true;
	}
	if (error_after_transfer && transfers) {
		errno = error_after_transfer;
		return true;
	}
	transfers++;
	if (transfer_max && *n > transfer_max) *n = transfer_max;
	return false;
}

ssize_t pread(int fd, void *bytes, size_t n, off_t offset) { return kernel_fails(&n) ? -1 : syscall(SYS_pread64, fd, bytes, n, offset); }
ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset) { return kernel_fails(&n) ? -1 : syscall(SYS_pwrite64, fd, bytes, n, offset); }

int fdatasync(int fd)
{
	data_syncs++;
	if (!sync_error) return (int)syscall(SYS_fdatasync, fd);
	errno = sync_error;
	return -1;
}

int fsync(int fd)
{
	folder_syncs++;
	return (int)syscall(SYS_fsync, fd);
}

/* ---- fixture ---- */

static char folder[] = "/tmp/grove-io-XXXXXX";
static struct io *io;

static int set_up(void **state)
{
	struct report report;

	interruptions = transfers = data_syncs = folder_syncs = 0;
	transfer_max = 0;
	error_after_transfer = sync_error = 0;
	snprintf(folder, sizeof(folder), "/tmp/grove-io-XXXXXX");
	if (!mkdtemp(folder)) return -1;
	return io_posix_open(folder, &io, &report) == STATUS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	pid_t child = fork();

	io_posix_close(&io);
	if (child == 0) {
		execl("/bin/rm", "rm", "-rf", folder, NULL);
		_exit(1);
	}
	return waitpid(child, NULL, 0) == child ? 0 : -1;
}

static struct io_file *file_open(const char *path, enum io_mode mode)
{
	struct io_file *f = NULL;

	assert_int_equal(io->ops->open(io, path, mode, &f), STATUS_OK);
	return f;
}

static void file_make(const char *path, const char *text)
{
	struct io_file *f = file_open(path, IO_CREATE);

	assert_int_equal(io->ops->write(io, f, 0, text, strlen(text)), STATUS_OK);
	io->ops->close(io, &f);
	assert_null(f);
}

static void expect_text(struct io *on, const char *path, const char *text)
{
	uint8_t *bytes = NULL;
	size_t n = 0;

	assert_int_equal(io_slurp(on, path, 1000, &bytes, &n), STATUS_OK);
	assert_int_equal(n, strlen(text));
	assert_memory_equal(bytes, text, n);
	free(bytes);
}

static void expect_error(const char *a, const char *b)
{
	if (!strstr(io_last_error(), a) || !strstr(io_last_error(), b)) fail_msg("'%s' names not '%s' and '%s'", io_last_error(), a, b);
}

/* ---- one call after another ---- */

static void files_open_as_they_are_asked_to(void **state)
{
	struct io_file *f = NULL;
	uint64_t size = 7;

	assert_int_equal(io->ops->open(io, "f", IO_READ, &f), STATUS_NOT_FOUND);
	assert_null(f);
	expect_error("open f", strerror(ENOENT));
	file_make("f", "abc");
	assert_int_equal(io->ops->open(io, "f", IO_CREATE, &f), STATUS_EXISTS);
	f = file_open("f", IO_APPEND);
	assert_int_equal(io->ops->write(io, f, 5, "xy", 2), STATUS_OK); /* a hole is zeros */
	assert_int_equal(io->ops->size(io, f, &size), STATUS_OK);
	assert_int_equal(size, 7);
	char bytes[7];
	assert_int_equal(io->ops->read(io, f, 0, bytes, 7), STATUS_OK);
	assert_memory_equal(bytes, "abc\0\0xy", 7);
	assert_int_equal(io->ops->truncate(io, f, 2), STATUS_OK);
	io->ops->close(io, &f);
	io->ops->close(io, &f); /* NULL is fine */
	expect_text(io, "f", "ab");
	f = file_open("f", IO_READ);
	assert_int_equal(io->ops->write(io, f, 0, "z", 1), STATUS_IO);
	expect_error("write f", strerror(EBADF));
	io->ops->close(io, &f);
	f = file_open("g", IO_APPEND);
	io->ops->close(io, &f);
	expect_text(io, "g", "");
}

static void reading_past_the_end_is_an_error(void **state)
{
	char bytes[8] = {0};
	file_make("f", "abc");
	struct io_file *f = file_open("f", IO_READ);

	assert_int_equal(io->ops->read(io, f, 1, bytes, 3), STATUS_IO);
	expect_error("read f", "byte 3");
	assert_int_equal(io->ops->read(io, f, 1, bytes, 2), STATUS_OK);
	assert_int_equal(io->ops->read(io, f, 3, bytes, 0), STATUS_OK);
	io->ops->close(io, &f);
}

static void paths_stay_in_their_folder(void **state)
{
	static const char *const outside[] = {"/etc/passwd", "..", "../x", "a/../b", "a/..", "/"};
	static const char *const inside[] = {"a..b", "...", "..a", "a.."};
	struct io_file *f = NULL;
	char **names = NULL, path[1000];
	size_t count;

	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		const char *p = outside[i];
		file_make("source", "s");
		for (enum io_mode mode = IO_READ; mode <= IO_APPEND; mode++) assert_int_equal(io->ops->open(io, p, mode, &f), STATUS_IO);
		expect_error(p, "refused");
		assert_int_equal(io->ops->rename(io, "source", p), STATUS_IO);
		assert_int_equal(io->ops->rename(io, p, "target"), STATUS_IO);
		assert_int_equal(io->ops->remove(io, p), STATUS_IO);
		assert_int_equal(io->ops->make_dir(io, p), STATUS_IO);
		assert_int_equal(io->ops->remove_dir(io, p), STATUS_IO);
		assert_int_equal(io->ops->sync_dir(io, p), STATUS_IO);
		assert_int_equal(io->ops->list(io, p, &names, &count), STATUS_IO);
		assert_int_equal(io->ops->lock(io, p, &f), STATUS_IO);
		assert_int_equal(io->ops->remove(io, "source"), STATUS_OK);
	}
	for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) file_make(inside[i], "x");
	memset(path, 'a', sizeof(path));
	path[sizeof(path) - 1] = 0;
	assert_int_equal(io->ops->open(io, path, IO_CREATE, &f), STATUS_IO);
	expect_error("refused", "shorter");
}

static void folders_are_made_listed_and_removed(void **state)
{
	char **names = NULL;
	size_t count = 0;

	assert_int_equal(io->ops->make_dir(io, "d"), STATUS_OK);
	assert_int_equal(io->ops->make_dir(io, "d"), STATUS_OK);
	assert_int_equal(io->ops->make_dir(io, "no/d"), STATUS_NOT_FOUND);
	assert_int_equal(io->ops->list(io, "d", &names, &count), STATUS_OK);
	assert_int_equal(count, 0);
	io_names_free(&names, count);
	char path[16];
	for (int i = 40; i-- > 0;) {
		snprintf(path, sizeof(path), "d/%02d", i);
		file_make(path, "");
	}
	assert_int_equal(io->ops->list(io, "d", &names, &count), STATUS_OK);
	assert_int_equal(count, 40);
	for (size_t i = 0; i < count; i++) assert_int_equal(atoi(names[i]), i);
	io_names_free(&names, count);
	assert_null(names);
	assert_int_equal(io->ops->list(io, "no", &names, &count), STATUS_NOT_FOUND);
	assert_int_equal(io->ops->remove_dir(io, "d"), STATUS_IO);
	expect_error("remove folder d", strerror(ENOTEMPTY));
	assert_int_equal(io->ops->sync_dir(io, "d"), STATUS_OK);
	assert_int_equal(io->ops->sync_dir(io, ""), STATUS_OK);
	assert_int_equal(folder_syncs, 2);
	assert_int_equal(io->ops->sync_dir(io, "no"), STATUS_NOT_FOUND);
	assert_int_equal(io->ops->remove(io, "d/00"), STATUS_OK);
	assert_int_equal(io->ops->remove(io, "d/00"), STATUS_NOT_FOUND);
	assert_int_equal(io->ops->rename(io, "no", "yes"), STATUS_NOT_FOUND);
}

static void a_mapping_outlives_the_name_of_its_file(void **state)
{
	const uint8_t *bytes = NULL;
	size_t n = 0;

	file_make("f", "mapped");
	struct io_file *f = file_open("f", IO_READ);
	assert_int_equal(io->ops->map(io, f, &bytes, &n), STATUS_OK);
	io->ops->close(io, &f);
	assert_int_equal(io->ops->remove(io, "f"), STATUS_OK);
	assert_int_equal(n, 6);
	assert_memory_equal(bytes, "mapped", 6);
	io->ops->unmap(io, bytes, n);
	file_make("empty", "");
	f = file_open("empty", IO_READ);
	assert_int_equal(io->ops->map(io, f, &bytes, &n), STATUS_OK);
	assert_null(bytes);
	assert_int_equal(n, 0);
	io->ops->unmap(io, bytes, n);
	io->ops->close(io, &f);
}

static void a_lock_holds_until_it_is_closed_or_its_process_dies(void **state)
{
	struct io_file *first = NULL, *second = NULL;
	int status, pipe_ends[2];
	char byte;

	assert_int_equal(io->ops->lock(io, "lock", &first), STATUS_OK);
	assert_int_equal(io->ops->lock(io, "lock", &second), STATUS_LOCKED);
	assert_null(second);
	io->ops->close(io, &first);
	assert_int_equal(pipe(pipe_ends), 0);
	pid_t child = fork();
	if (child == 0) {
		bool locked = io->ops->lock(io, "lock", &first) == STATUS_OK;
		if (write(pipe_ends[1], locked ? "y" : "n", 1) == 1) pause();
		_exit(1);
	}
	assert_int_equal(read(pipe_ends[0], &byte, 1), 1);
	assert_int_equal(byte, 'y');
	assert_int_equal(io->ops->lock(io, "lock", &second), STATUS_LOCKED);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(io->ops->lock(io, "lock", &second), STATUS_OK);
	io->ops->close(io, &second);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

static void free_bytes_are_some_of_all(void **state)
{
	uint64_t left = 0, total = 0;

	assert_int_equal(io->ops->free_bytes(io, &left, &total), STATUS_OK);
	assert_true(total > 0 && left <= total);
}

/* ---- the kernel as it may be ---- */

static void transfers_cut_short_and_interrupted_are_finished(void **state)
{
	char got[200], sent[200];
	struct io_file *f = file_open("f", IO_CREATE);

	for (size_t i = 0; i < sizeof(sent); i++) sent[i] = (char)i;
	transfer_max = 7;
	interruptions = 3;
	assert_int_equal(io->ops->write(io, f, 11, sent, sizeof(sent)), STATUS_OK);
	assert_int_equal(transfers, 29);
	transfers = 0;
	interruptions = 3;
	assert_int_equal(io->ops->read(io, f, 11, got, sizeof(got)), STATUS_OK);
	assert_int_equal(transfers, 29);
	assert_memory_equal(got, sent, sizeof(got));
	io->ops->close(io, &f);
}

static void a_write_that_cannot_be_finished_tells_why(void **state)
{
	static const struct { int error; enum status status; } cases[] = {{ENOSPC, STATUS_DISK_FULL}, {EDQUOT, STATUS_DISK_FULL}, {EIO, STATUS_IO}, {EFBIG, STATUS_IO}};
	struct io_file *f = file_open("f", IO_CREATE);
	uint64_t size;

	transfer_max = 4;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		transfers = 0;
		error_after_transfer = cases[i].error;
		assert_int_equal(io->ops->write(io, f, 0, "0123456789", 10), cases[i].status);
		expect_error("write f", strerror(cases[i].error));
		assert_int_equal(io->ops->size(io, f, &size), STATUS_OK);
		assert_int_equal(size, 4); /* the part that went before */
	}
	io->ops->close(io, &f);
}

static void a_sync_that_failed_is_not_tried_again(void **state)
{
	static const int errors[] = {EIO, EINTR, ENOSPC};
	struct io_file *f = file_open("f", IO_CREATE);

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		data_syncs = 0;
		sync_error = errors[i];
		assert_int_not_equal(io->ops->sync(io, f), STATUS_OK);
		expect_error("sync f", strerror(errors[i]));
		assert_int_equal(data_syncs, 1);
	}
	io->ops->close(io, &f);
}

/* ---- folders and phases of a process ---- */

static void a_new_root_is_made_and_each_folder_on_the_way_synced(void **state)
{
	struct io *deep = NULL;
	struct report report = {0};
	struct stat st;
	char path[100];

	snprintf(path, sizeof(path), "%s/a/b//c/", folder);
	assert_int_equal(io_posix_open(path, &deep, &report), STATUS_OK);
	assert_int_equal(folder_syncs, 3);
	io_posix_close(&deep);
	assert_null(deep);
	io_posix_close(&deep);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(io_posix_open(path, &deep, &report), STATUS_OK);
	assert_int_equal(folder_syncs, 3);
	io_posix_close(&deep);
	file_make("file", "");
	snprintf(path, sizeof(path), "%s/file/x", folder);
	assert_int_equal(io_posix_open(path, &deep, &report), STATUS_IO);
	assert_non_null(strstr(report.text, path));
	assert_non_null(strstr(report.text, strerror(ENOTDIR)));
	assert_int_equal(io_posix_open("", &deep, &report), STATUS_IO);
}

static void *phase_tell(void *arg)
{
	io->ops->phase(io, *(enum io_phase *)arg);
	return NULL;
}

static void phases_are_seen_from_outside(void **state)
{
	enum io_phase phases[] = {IO_PHASE_WAL_SYNC, IO_PHASE_MANIFEST_RENAME};
	struct io *told = NULL;
	struct report report;
	char path[100];
	uint8_t bytes[65] = {0};

	snprintf(path, sizeof(path), "%s/phases", folder);
	assert_int_equal(setenv("GROVE_PHASE_FILE", path, 1), 0);
	assert_int_equal(io_posix_open(folder, &told, &report), STATUS_OK);
	for (size_t i = 0; i < 2; i++) {
		pthread_t thread;
		assert_int_equal(pthread_create(&thread, NULL, phase_tell, &phases[i]), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
	int fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), 64);
	close(fd);
	assert_int_equal(bytes[0], IO_PHASE_WAL_SYNC);
	assert_int_equal(bytes[1], IO_PHASE_MANIFEST_RENAME);
	for (size_t i = 2; i < 64; i++) assert_int_equal(bytes[i], IO_PHASE_IDLE);
	/* Threads past the slots are not recorded and disturb nothing. */
	for (size_t i = 0; i < 70; i++) {
		pthread_t thread;
		assert_int_equal(pthread_create(&thread, NULL, phase_tell, &phases[0]), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
	io_posix_close(&told);
	assert_int_equal(unsetenv("GROVE_PHASE_FILE"), 0);
}

/* ---- what is built from the operations ---- */

static void a_small_file_is_read_up_to_its_cap(void **state)
{
	uint8_t *bytes = NULL;
	size_t n = 0;

	file_make("f", "12345");
	assert_int_equal(io_slurp(io, "f", 4, &bytes, &n), STATUS_LIMIT);
	assert_null(bytes);
	assert_int_equal(io_slurp(io, "f", 5, &bytes, &n), STATUS_OK);
	assert_int_equal(n, 5);
	free(bytes);
	assert_int_equal(io_slurp(io, "no", 5, &bytes, &n), STATUS_NOT_FOUND);
}

static void a_file_is_replaced_also_over_what_a_crash_left(void **state)
{
	char **names = NULL;
	size_t count = 0;

	assert_int_equal(io->ops->make_dir(io, "d"), STATUS_OK);
	file_make("d/f.tmp", "half a fi");
	assert_int_equal(io_replace(io, "d/f", "one", 3), STATUS_OK);
	expect_text(io, "d/f", "one");
	assert_int_equal(io_replace(io, "d/f", "", 0), STATUS_OK);
	expect_text(io, "d/f", "");
	assert_true(data_syncs == 2 && folder_syncs == 2);
	assert_int_equal(io->ops->list(io, "d", &names, &count), STATUS_OK);
	assert_int_equal(count, 1);
	io_names_free(&names, count);
}

/* Each call fails once, or the power goes in it: the file is the old one or the new one, and the new one for certain where it was said. */
static void a_replaced_file_is_old_or_new_whatever_fails(void **state)
{
	static const enum status faults[] = {STATUS_IO, STATUS_DISK_FULL, STATUS_OK /* the power goes */};
	unsigned failed = 0, cuts = 0;

	for (uint64_t seed = 0; seed < 20; seed++) {
		for (size_t kind = 0; kind < 3; kind++) {
			bool happened = true;
			for (uint64_t n = 0; happened; n++) {
				struct io_sim *sim = io_sim_new(seed);
				struct io *disk = io_sim_io(sim);
				assert_int_equal(io_replace(disk, "f", "old", 3), STATUS_OK);
				if (faults[kind] == STATUS_OK)
					io_sim_cut_at(sim, n);
				else
					io_sim_fail_at(sim, SIM_ANY, n, faults[kind], false);
				enum status status = io_replace(disk, "f", "newer", 5);
				happened = io_sim_heal(sim);
				io_sim_power_on(sim, seed + n);
				uint8_t *bytes = NULL;
				size_t size = 0;
				assert_int_equal(io_slurp(disk, "f", 100, &bytes, &size), STATUS_OK);
				bool old = size == 3 && memcmp(bytes, "old", 3) == 0, new = size == 5 && memcmp(bytes, "newer", 5) == 0;
				if (!(status == STATUS_OK ? new : old || new)) fail_msg("seed %d, kind %d, call %d", (int)seed, (int)kind, (int)n);
				failed += kind < 2 && happened;
				cuts += kind == 2 && happened;
				free(bytes);
				/* And it can be replaced again. */
				assert_int_equal(io_replace(disk, "f", "last", 4), STATUS_OK);
				expect_text(disk, "f", "last");
				io_sim_free(&sim);
			}
		}
	}
	assert_true(failed >= 20 * 2 * 5 && cuts >= 20 * 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		CLAIM(files_open_as_they_are_asked_to),
		CLAIM(reading_past_the_end_is_an_error),
		CLAIM(paths_stay_in_their_folder),
		CLAIM(folders_are_made_listed_and_removed),
		CLAIM(a_mapping_outlives_the_name_of_its_file),
		CLAIM(a_lock_holds_until_it_is_closed_or_its_process_dies),
		CLAIM(free_bytes_are_some_of_all),
		CLAIM(transfers_cut_short_and_interrupted_are_finished),
		CLAIM(a_write_that_cannot_be_finished_tells_why),
		CLAIM(a_sync_that_failed_is_not_tried_again),
		CLAIM(a_new_root_is_made_and_each_folder_on_the_way_synced),
		CLAIM(phases_are_seen_from_outside),
		CLAIM(a_small_file_is_read_up_to_its_cap),
		CLAIM(a_file_is_replaced_also_over_what_a_crash_left),
		CLAIM(a_replaced_file_is_old_or_new_whatever_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
