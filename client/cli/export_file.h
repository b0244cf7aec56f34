/* export_file.h - a file that is there whole or not at all: written under another name beside its own, synced and renamed when it is done.
 *
 * What is no ordinary file (/dev/null, a pipe) is written to directly: it must not be replaced. A file that was not committed goes with
 * export_file_discard(), and when SIGINT, SIGTERM or SIGHUP ends the program. One thread; at most EXPORT_FILES_MAX at a time. */
#ifndef CLIENT_CLI_EXPORT_FILE_H
#define CLIENT_CLI_EXPORT_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include "common/status.h"

enum { EXPORT_FILES_MAX = 4 };

struct export_file;
/* path "-": stdout. seeks: it has to be an ordinary file (USAGE if it is none). */
MUST_CHECK enum status export_file_open(const char *path, bool seeks, struct export_file **ret, struct report *report);
FILE *export_file_stream(struct export_file *f); /* where it seeks it can be read, too. Its errors are told by the check and the commit */
const char *export_file_path(const struct export_file *f); /* as it was given */
MUST_CHECK enum status export_file_check(struct export_file *f, struct report *report); /* whether all could be written so far */
/* Everything is in the file and the file has its name; or it is discarded. */
MUST_CHECK enum status export_file_commit(struct export_file **take, struct report *report);
void export_file_discard(struct export_file **f);

#endif
