/* clock.h - the one door for time. Deadlines, leases and ages are monotonic (promise P16); wall time is only shown. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

uint64_t clock_us(void);      /* monotonic microseconds, never 0 */
uint64_t clock_wall_us(void); /* since 1970, for logs and timestamps only */
uint64_t clock_thread_cpu_us(void);
void clock_sleep_us(uint64_t us);

#endif
