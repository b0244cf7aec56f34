/* session.c - connecting, and failures as exit codes. */
#include <stdlib.h>

#include "client/cli/output.h"
#include "client/cli/session.h"
#include "common/limits.h"

enum { HELLO_TIMEOUT_MS = 3000 };

int exit_code_of(int code)
{
	switch (code) {
	case GROVE_OK: return EXIT_OK;
	case GROVE_USAGE: return EXIT_USAGE;
	case GROVE_NOT_FOUND: return EXIT_NOT_FOUND;
	case GROVE_INCOMPLETE: return EXIT_PARTIAL;
	case GROVE_UNAVAILABLE:
	case GROVE_TIMEOUT: return EXIT_UNAVAILABLE; /* whoever should have answered did not: the same, before it is known to be dead */
	case GROVE_BUSY: return EXIT_BUSY;
	default: return EXIT_FAILED;
	}
}

int session_open(struct session *s, const struct arguments *a, uint32_t default_ms)
{
	char why[GROVE_TEXT_MAX];
	*s = (struct session){.timeout_ms = default_ms, .json = arguments_has(a, "json")};
	if (!arguments_u32(a, "timeout", DEADLINE_MIN_MS, DEADLINE_MAX_MS, &s->timeout_ms)) return EXIT_USAGE;
	/* Finding no coordinator at all should not take as long as a build may. */
	uint32_t hello_ms = s->timeout_ms < HELLO_TIMEOUT_MS ? s->timeout_ms : HELLO_TIMEOUT_MS;
	int code = grove_open(arguments_text(a, "endpoint"), hello_ms, &s->client, why, sizeof(why));
	if (code != GROVE_OK) {
		output_message("%s", why);
		return exit_code_of(code);
	}
	code = grove_set_timeout(s->client, s->timeout_ms);
	return code == GROVE_OK ? EXIT_OK : session_fail(s, code);
}

void session_close(struct session *s)
{
	grove_close(&s->client);
}

int session_fail(const struct session *s, int code)
{
	const char *message = grove_message(s->client);
	output_message("%s", *message ? message : grove_code_text(code));
	return exit_code_of(code);
}

int session_index(struct session *s, const char *name, grove_index *ret)
{
	grove_reply *reply;
	int code = grove_describe(s->client, name, &reply), exit_code = EXIT_OK;
	if (code != GROVE_OK) {
		exit_code = session_fail(s, code);
	} else if (reply->index_count == 0) {
		output_message("the server did not describe the index '%s'", name);
		exit_code = EXIT_FAILED;
	} else {
		*ret = reply->indexes[0];
	}
	grove_reply_free(&reply);
	return exit_code;
}
