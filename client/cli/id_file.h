/* id_file.h - a file of ids, one for each vector of other files: text with one a line, or NumPy's format with one dimension of whole numbers (told by
 * its content; what `grove export --ids` writes). Maybe gzip-compressed. Read as a stream; one owner, one thread. */
#ifndef CLIENT_CLI_ID_FILE_H
#define CLIENT_CLI_ID_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/status.h"

struct id_file;
MUST_CHECK enum status id_file_open(const char *path, struct id_file **ret, struct report *report);
void id_file_close(struct id_file **f);
/* The next id; *ret_end: there was none. The sentence names the file. */
MUST_CHECK enum status id_file_next(struct id_file *f, uint64_t *ret, bool *ret_end, struct report *report);

#endif
