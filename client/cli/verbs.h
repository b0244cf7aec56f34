/* verbs.h - the functions behind the table of commands; each returns an enum exit_code. */
#ifndef CLIENT_CLI_VERBS_H
#define CLIENT_CLI_VERBS_H

#include "client/cli/command.h"

int verb_up(const struct arguments *a);       /* verb_up.c */
int verb_create(const struct arguments *a);   /* verb_index.c */
int verb_build(const struct arguments *a);
int verb_list(const struct arguments *a);
int verb_describe(const struct arguments *a);
int verb_status(const struct arguments *a);
int verb_drop(const struct arguments *a);
int verb_import(const struct arguments *a);   /* verb_import.c */
int verb_export(const struct arguments *a);   /* verb_export.c */
int verb_put(const struct arguments *a);      /* verb_items.c */
int verb_get(const struct arguments *a);
int verb_delete(const struct arguments *a);
int verb_search(const struct arguments *a);   /* verb_search.c */
int verb_recall(const struct arguments *a);   /* verb_recall.c */

#endif
