/* query_run.h - many queries as batches through a pipeline, their answers handed on in the order of the queries. */
#ifndef CLIENT_CLI_QUERY_RUN_H
#define CLIENT_CLI_QUERY_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "client/cli/session.h"
#include "client/grove.h"

struct query_run {
	struct session *session;
	const char *index;
	grove_search_args args; /* queries, and vectors or ids, of the whole run: any number of queries */
	/* The answer to queries first .. first + count - 1, in order. The reply may be NULL and is freed afterwards; a code that is not
	 * GROVE_OK comes with its sentence. False ends the run. */
	bool (*answer)(void *context, uint32_t first, uint32_t count, int code, const char *message, const grove_reply *reply);
	void *context;
};

/* Queries in one request, so that no limit is met and several requests can be in flight. */
uint32_t query_batch_size(const grove_search_args *args);
/* False: no memory (a sentence was written), or answer() said so. */
bool query_run(struct query_run *run);

#endif
