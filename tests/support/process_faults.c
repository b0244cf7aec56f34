/* process_faults.c - faults inside a real process, for tests/system alone: preloaded (LD_PRELOAD) before libc, told what to do by a small
 * file that the test and the process both map (GROVE_FAULTS names it; without it nothing changes). tests/system/cluster.py (Faults) writes
 * it. It may change at any moment:
 *
 *   wall_shift_us   what clock_gettime(CLOCK_REALTIME), gettimeofday() and time() are wrong by; the monotonic clock is left alone. A
 *                   change is a jump of the wall clock. The kernel knows nothing of it, so that a wait until some wall time would last a
 *                   day, or not at all: worse than a true jump.
 *
 * The real clocks and syncs are asked by system call, so that nothing has to be looked up. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct faults { _Atomic int64_t wall_shift_us; };

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

/* ---- clocks ---- */

int clock_gettime(clockid_t id, struct timespec *ret)
{
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
