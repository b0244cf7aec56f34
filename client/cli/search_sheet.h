/* search_sheet.h - collecting what `grove search --sheet` draws: a row for each query, the query first, its neighbours after it.
 *
 * Neighbours' vectors are fetched from the index (get), those of queries by id as well. */
#ifndef CLIENT_CLI_SEARCH_SHEET_H
#define CLIENT_CLI_SEARCH_SHEET_H

#include <stdint.h>

#include "client/cli/command.h"
#include "client/cli/query_set.h"
#include "client/cli/session.h"
#include "client/grove.h"
#include "common/status.h"

enum { SHEET_QUERIES_MAX = 200, SHEET_NEIGHBOURS_MAX = 100 };

struct search_sheet;
/* Checks --shape against the index's dimension and the limits above. EXIT_OK or the exit code after a sentence. The session and
 * the queries are borrowed until search_sheet_free(). */
int search_sheet_open(const struct arguments *a, struct session *session, const grove_index *index, const struct query_set *queries,
	uint32_t k, struct search_sheet **ret);
/* The next query's hits. */
MUST_CHECK enum status search_sheet_add(struct search_sheet *s, const grove_hits *hits, uint32_t q);
/* Fetch the vectors and write the file. EXIT_OK or the exit code after a sentence. */
int search_sheet_write(struct search_sheet *s);
void search_sheet_free(struct search_sheet **s);

#endif
