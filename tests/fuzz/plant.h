/* plant.h - the bug that a fuzz target has to find when it is built with GROVE_PLANT_<TARGET>. */
#ifndef FUZZ_PLANT_H
#define FUZZ_PLANT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* A planted bug: a read one past the end of a heap block, for one rare value only. */
static inline __attribute__((unused)) void fuzz_plant(bool rare)
{
	volatile uint8_t *block = malloc(8), seen = 0;

	if (rare) seen = block[8];
	(void)seen;
	free((void *)(uintptr_t)block);
}

#endif
