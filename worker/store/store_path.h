/* store_path.h - the path of a file in a shard's folder. */
#ifndef STORE_PATH_H
#define STORE_PATH_H

#include <stdbool.h>
#include <stdio.h>

enum { STORE_PATH_MAX = 512 };

/* False: it does not fit. */
static inline bool store_path(char out[STORE_PATH_MAX], const char *dir, const char *name)
{
	int n = dir[0] ? snprintf(out, STORE_PATH_MAX, "%s/%s", dir, name) : snprintf(out, STORE_PATH_MAX, "%s", name);
	return n > 0 && n < STORE_PATH_MAX;
}

#endif
