/* set.c - a header of numpy's is text, and set.json is one line of our own: both are searched for what is wanted. */
#include "bench/peers/set.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXT_MAX = 4096, NPY_TEXT = 10 /* magic, version, length */ };

static enum metric metric_of(const char *folder)
{
	char text[TEXT_MAX] = "", name[32];
	char *path = peer_path(folder, "set.json");
	FILE *file = fopen(path, "r");
	enum metric ret;

	if (!file) peer_die("the set is not there: bench/data makes it");
	size_t size = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	free(path);
	const char *found = size ? strstr(text, "\"metric\": \"") : NULL;
	if (!found || sscanf(found, "\"metric\": \"%31[a-z]", name) != 1 || !metric_by_name(name, &ret)) peer_die("set.json names no metric");
	return ret;
}

struct peer_set set_map(const char *folder, const char *file)
{
	struct peer_set set = {.metric = metric_of(folder)};
	char name[64], text[TEXT_MAX];
	unsigned long n, columns;
	struct stat status;

	snprintf(name, sizeof(name), "%s.npy", file);
	char *path = peer_path(folder, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	free(path);
	if (fd < 0 || fstat(fd, &status) || status.st_size < NPY_TEXT) peer_die("the set is not whole: bench/data makes it");
	uint8_t *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (bytes == MAP_FAILED) peer_die("the set cannot be mapped");
	size_t length = bytes[8] | (size_t)bytes[9] << 8;
	if (memcmp(bytes, "\x93NUMPY\x01", 7) || length >= sizeof(text) || NPY_TEXT + length > (size_t)status.st_size) peer_die("not an .npy file of version 1");
	memcpy(text, bytes + NPY_TEXT, length);
	text[length] = 0;
	bool packed = set.metric == METRIC_HAMMING;
	const char *shape = strstr(text, "'shape': (");
	if (!strstr(text, packed ? "'|u1'" : "'<f4'") || !strstr(text, "'fortran_order': False") || !shape
		|| sscanf(shape, "'shape': (%lu, %lu)", &n, &columns) != 2)
		peer_die("float32 rows in C order are wanted, or uint8 for hamming");
	set.n = (uint32_t)n;
	set.dim = (uint32_t)(packed ? 8 * columns : columns);
	set.row_bytes = packed ? columns : 4 * columns;
	set.rows = bytes + NPY_TEXT + length;
	if ((size_t)status.st_size != NPY_TEXT + length + n * set.row_bytes) peer_die("the set is truncated");
	return set;
}
