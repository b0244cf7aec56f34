/* session.h - one run of a verb: its connection, and how a failure becomes a sentence and an exit code. */
#ifndef CLIENT_CLI_SESSION_H
#define CLIENT_CLI_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "client/cli/command.h"
#include "client/grove.h"

struct session {
	grove_client *client;
	uint32_t timeout_ms;
	bool json;
};

/* Connect as the arguments and the environment say. default_ms: the timeout if --timeout is not given. EXIT_OK, or the exit code
 * after a sentence on stderr. */
int session_open(struct session *s, const struct arguments *a, uint32_t default_ms);
void session_close(struct session *s);
/* The exit code of a grove_code. */
int exit_code_of(int code);
/* Say why the last call failed; returns its exit code. */
int session_fail(const struct session *s, int code);
/* One index by name. EXIT_OK or the exit code after a sentence. */
int session_index(struct session *s, const char *name, grove_index *ret);

#endif
