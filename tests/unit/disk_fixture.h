/* disk_fixture.h - a real disk (in memory, where the machine has such) for a group of tests: `io`, in a folder of its own that goes with the group.
 * The tests work in its folder "s". */
#ifndef TESTS_DISK_FIXTURE_H
#define TESTS_DISK_FIXTURE_H

#include <unistd.h>

#include "tests/unit/store_fixture.h"

static struct io *io;
static char root[64];

static int disk_set_up(void **state)
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	snprintf(root, sizeof root, "%s/grove-store-XXXXXX", base);
	return mkdtemp(root) && io_posix_open(root, &io, NULL) == STATUS_OK ? 0 : -1;
}

static int disk_tear_down(void **state)
{
	folder_empty(io, "s");
	assert_int_equal(io->ops->remove_dir(io, "s"), STATUS_OK);
	io_posix_close(&io);
	return rmdir(root);
}

static int folder_set_up(void **state)
{
	folder_empty(io, "s");
	return 0;
}

#endif
