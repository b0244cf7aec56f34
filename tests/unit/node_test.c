/* A worker knows who it is across restarts, and does not guess when the file that says so is damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/node.h"

static char folder[] = "/tmp/grove-node-XXXXXX";

static int make_folder(void **state) { return mkdtemp(folder) ? 0 : -1; }

static int remove_folder(void **state)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

static struct io *open_folder(void)
{
	struct report why = {0};
	struct io *io = NULL;

	assert_int_equal(io_posix_open(folder, &io, &why), STATUS_OK);
	return io;
}

static void worker_is_the_same_after_a_restart(void **state)
{
	struct io *io = open_folder();
	struct node first = {0}, second = {0};
	struct report why = {0};

	assert_int_equal(node_load(io, &first, &why), STATUS_OK);
	assert_false(uuid_is_zero(first.worker));
	assert_true(uuid_is_zero(first.cluster));
	first.cluster = uuid_new();
	assert_int_equal(node_store(io, &first, &why), STATUS_OK);
	io_posix_close(&io);
	io = open_folder();
	assert_int_equal(node_load(io, &second, &why), STATUS_OK);
	assert_memory_equal(&first, &second, sizeof(first));
	io_posix_close(&io);
}

/* Without a sync: there are a thousand of these. */
static void overwrite(const void *bytes, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/node", folder);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

static void every_flipped_bit_and_every_cut_is_seen(void **state)
{
	struct io *io = open_folder();
	struct node node = {0}, untouched = {{{7}}, {{8}}};
	struct report why = {0};
	uint8_t *bytes;
	size_t size;

	assert_int_equal(node_load(io, &node, &why), STATUS_OK);
	assert_int_equal(io_slurp(io, "node", 1000, &bytes, &size), STATUS_OK);
	for (size_t bit = 0; bit < 8 * size; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		overwrite(bytes, size);
		assert_int_equal(node_load(io, &untouched, &why), STATUS_CORRUPT);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t cut = 0; cut < size; cut++) {
		overwrite(bytes, cut);
		assert_int_equal(node_load(io, &untouched, &why), STATUS_CORRUPT);
	}
	assert_int_equal(untouched.worker.bytes[0], 7);
	overwrite(bytes, size);
	assert_int_equal(node_load(io, &untouched, &why), STATUS_OK);
	free(bytes);
	io_posix_close(&io);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(worker_is_the_same_after_a_restart),
		cmocka_unit_test(every_flipped_bit_and_every_cut_is_seen),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
