/* metrics_file.h - a registry's text in a file, anew every so often, for whoever collects it (node_exporter's "textfile collector").
 *
 * A thread of its own: a disk that hangs holds up nobody who answers. The file is written under a temporary name and renamed, so that a reader
 * finds a whole text, old or new. It is not synced: nothing is lost with it, and the log's syncs should not wait for it. A failure is logged
 * once, and tried again at the next turn. */
#ifndef COMMON_METRICS_FILE_H
#define COMMON_METRICS_FILE_H

#include "common/io.h"
#include "common/metrics.h"

#define METRICS_FILE_NAME "metrics.prom"
#define METRICS_FILE_PAUSE_US UINT64_C(15000000)

struct metrics_file;

/* Writes at once and then after each pause. The registry and the io live until metrics_file_stop(). */
MUST_CHECK enum status metrics_file_start(const struct metrics *m, struct io *io, const char *path, uint64_t pause_us, struct metrics_file **ret,
	struct report *report);
/* Writes a last time: what was counted before this call is in the file. */
void metrics_file_stop(struct metrics_file **f);

#endif
