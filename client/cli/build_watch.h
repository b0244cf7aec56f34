/* build_watch.h - building an index, with a bar that shows how far it is. */
#ifndef CLIENT_CLI_BUILD_WATCH_H
#define CLIENT_CLI_BUILD_WATCH_H

#include <stdint.h>

#include "client/cli/session.h"

/* trees 0: the index's own. Waits for the build as long as the client waits for a request. An enum grove_code; with GROVE_OK the index as it
 * is described afterwards, for grove_reply_free(). */
int build_run(struct session *s, const char *name, uint32_t trees, grove_reply **ret);

#endif
