/* open_files.h - how many files and connections this process may have open. */
#ifndef COMMON_OPEN_FILES_H
#define COMMON_OPEN_FILES_H

#include <stdint.h>

/* Bound: a table of so many descriptors costs the kernel a few MiB. */
enum { OPEN_FILES_WANTED = 65536 };

/* Raises the soft limit of open files to the hard one, at most to OPEN_FILES_WANTED; never lowers it. At start, before any thread.
 * Returns the limit that holds now, 0 if the system does not tell. */
uint64_t open_files_raise(void);

#endif
