/* query_set.h - the queries of one command in memory, as they travel: from --id, --vector or --queries. */
#ifndef CLIENT_CLI_QUERY_SET_H
#define CLIENT_CLI_QUERY_SET_H

#include <stdint.h>

#include "client/cli/command.h"
#include "client/grove.h"
#include "common/status.h"

struct query_set {
	uint32_t count, dim;
	uint32_t dtype;  /* enum grove_dtype of the rows */
	uint64_t *ids;   /* by id; or */
	uint8_t *rows;   /* by vector */
	char **labels;   /* one for each query, or NULL */
};

enum { QUERIES_MAX = 10 * 1000 * 1000 }; /* of one command */

/* As the arguments say; metric and dim: of the index (hamming packs 0/1 numbers). EXIT_OK or the exit code after a sentence. */
int query_set_load(const struct arguments *a, uint32_t metric, uint32_t dim, struct query_set *ret);
void query_set_release(struct query_set *q);
/* "query 3", "item 7", with the label if there is one. */
void query_set_title(const struct query_set *q, uint32_t i, char *out, size_t size);

#endif
