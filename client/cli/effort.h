/* effort.h - the options that say how hard to search: --mode, --recall, --search-k, --exact, and lists of efforts. Pure. */
#ifndef CLIENT_CLI_EFFORT_H
#define CLIENT_CLI_EFFORT_H

#include "client/cli/command.h"
#include "client/grove.h"

/* search_k or recall; neither: the mode's default. The recall is kept as it was typed: .95 is no float. */
struct effort { uint32_t search_k; double recall; };

/* The options of a search, into args->mode, search_k and recall; those that the command does not have count as not given. EXIT_USAGE: a
 * sentence was written to stderr. */
int effort_options(const struct arguments *a, grove_search_args *args, struct effort *ret);
/* "mode graph, recall 0.95", "mode forest, search_k 500", "mode exact"; k and trees for what forest does by default. */
const char *effort_text(uint32_t mode, const struct effort *effort, uint32_t k, uint32_t trees, char *out, size_t size);
const char *effort_mode_name(uint32_t mode);

enum { EFFORTS_MAX = 32, EFFORTS_DEFAULT_MAX = 8 };
/* For forest: k x trees, doubled until it reaches the items or there are EFFORTS_DEFAULT_MAX of them. For graph: wanted recalls from .8 to
 * .999. Returns how many. */
uint32_t efforts_default(uint32_t mode, uint32_t k, uint32_t trees, uint64_t items, struct effort out[EFFORTS_MAX]);
/* "100,200,400": budgets, each 1 .. SEARCH_K_MAX, or ".9,0.99": recalls, each more than 0 and less than 1; not both, in any order. 0: not that. */
uint32_t efforts_parse(const char *text, struct effort out[EFFORTS_MAX]);

#endif
