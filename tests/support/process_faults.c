/* process_faults.c - faults inside a real process, for tests/system alone: preloaded (LD_PRELOAD) before libc, told what to do by a small
 * file that the test and the process both map (GROVE_FAULTS names it; without it nothing changes). tests/system/cluster.py (Faults) writes
 * it. It may change at any moment:
 *
 *   wall_shift_us   what clock_gettime(CLOCK_REALTIME), gettimeofday() and time() are wrong by; the monotonic clock is left alone. A
 *                   change is a jump of the wall clock. The kernel knows nothing of it, so that a wait until some wall time would last a
 *                   day, or not at all: worse than a true jump.
 *   hang            FAULT_HANG_SEARCH: a thread hangs as it next reads the clock, which each search does before anything else (the loop and
 *                   ZeroMQ are spared; a shard's writer reads it as it syncs and answers).
 *                   FAULT_HANG_SYNC: a thread hangs as it next syncs a file: a shard's writer, a build, the coordinator's store. They hang
 *                   until the bit is taken away, and then go on as if nothing had been; `hanging` says how many do.
 *
 * The real clocks and syncs are asked by system call, so that nothing has to be looked up. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { FAULT_HANG_SEARCH = 1, FAULT_HANG_SYNC = 2, HANG_LOOK_US = 1000 };

struct faults { _Atomic int64_t wall_shift_us; _Atomic uint32_t hang, hanging; };

static struct faults *faults;

__attribute__((constructor)) static void faults_open(void)
{
	const char *path = getenv("GROVE_FAULTS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (fd == -1) return;
	void *mapped = mmap(NULL, sizeof(*faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapped != MAP_FAILED) faults = mapped;
	close(fd);
}

/* ---- threads that hang ---- */

static void hang_while(uint32_t fault)
{
	const struct timespec look = {.tv_nsec = HANG_LOOK_US * 1000};

	if (!faults || !(atomic_load(&faults->hang) & fault)) return;
	atomic_fetch_add(&faults->hanging, 1);
	while (atomic_load(&faults->hang) & fault) nanosleep(&look, NULL);
	atomic_fetch_sub(&faults->hanging, 1);
}

/* Not the loop, and not a thread of ZeroMQ, which names its own. */
static bool may_hang_at_clock(void)
{
	char name[16] = {0};

	return gettid() != getpid() && prctl(PR_GET_NAME, name) == 0 && strncmp(name, "ZMQ", 3);
}

int fdatasync(int fd)
{
	hang_while(FAULT_HANG_SYNC);
	return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
	hang_while(FAULT_HANG_SYNC);
	return (int)syscall(SYS_fsync, fd);
}

/* ---- clocks ---- */

int clock_gettime(clockid_t id, struct timespec *ret)
{
	if (faults && atomic_load(&faults->hang) & FAULT_HANG_SEARCH && may_hang_at_clock()) hang_while(FAULT_HANG_SEARCH);
	if (syscall(SYS_clock_gettime, id, ret) == -1) return -1;
	if (!faults || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)) return 0;
	int64_t us = (int64_t)ret->tv_sec * 1000000 + ret->tv_nsec / 1000 + atomic_load(&faults->wall_shift_us);
	ret->tv_sec = (time_t)(us / 1000000);
	ret->tv_nsec = (long)(us % 1000000) * 1000;
	return 0;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
	struct timespec now;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	*ret = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
	return 0;
}

time_t time(time_t *ret)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (ret) *ret = now.tv_sec;
	return now.tv_sec;
}
