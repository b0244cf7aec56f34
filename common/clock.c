/* clock.c - clock_gettime and nanosleep, and nothing else. */
#include "common/clock.h"

#include <errno.h>
#include <time.h>

static uint64_t read_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t clock_us(void) { return read_us(CLOCK_MONOTONIC) + 1; }
uint64_t clock_wall_us(void) { return read_us(CLOCK_REALTIME); }
uint64_t clock_thread_cpu_us(void) { return read_us(CLOCK_THREAD_CPUTIME_ID); }

void clock_sleep_us(uint64_t us)
{
	struct timespec left = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};

	while (nanosleep(&left, &left) == -1 && errno == EINTR) continue;
}
