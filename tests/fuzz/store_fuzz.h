/* store_fuzz.h - what the fuzz targets of files share: an empty simulated disk, and the input as a file on it. */
#ifndef TESTS_STORE_FUZZ_H
#define TESTS_STORE_FUZZ_H

#include <string.h>

#include "common/check.h"
#include "tests/support/io_sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static inline struct io_sim *disk_with(const char *path, const void *bytes, size_t n)
{
	struct io_sim *sim = io_sim_new(1);
	struct io *io = io_sim_io(sim);
	struct io_file *f = NULL;

	require(io->ops->make_dir(io, "s") == STATUS_OK);
	require(io->ops->open(io, path, IO_CREATE, &f) == STATUS_OK);
	require(io->ops->write(io, f, 0, bytes, n) == STATUS_OK);
	io->ops->close(io, &f);
	return sim;
}

/* Look at every byte, so that a sanitizer sees what may not be looked at. */
static inline void look_at(const void *bytes, size_t n)
{
	const uint8_t *at = bytes;
	volatile uint8_t sum = 0;

	for (size_t i = 0; i < n; i++) sum = (uint8_t)(sum + at[i]);
}

#endif
