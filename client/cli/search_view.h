/* search_view.h - the answer to one query on stdout: a JSON line, or a table for people. Pure: reply in, text out. */
#ifndef CLIENT_CLI_SEARCH_VIEW_H
#define CLIENT_CLI_SEARCH_VIEW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "client/grove.h"
#include "common/status.h"

/* Query q of the hits, called `number` in the output. {"query":0,"ids":[..],"distances":[..],"coverage":{..}}, with "payloads"
 * where hits carry them, and in the coverage of an incomplete answer the missing shards of its batch. */
MUST_CHECK enum status hits_json(FILE *out, const grove_hits *hits, uint32_t q, uint64_t number, bool payloads);
/* `title` names the query ("query 3", "item 7"). A column for labels stands where a payload has one. */
MUST_CHECK enum status hits_print(FILE *out, const grove_hits *hits, uint32_t q, const char *title);
bool hits_complete(const grove_hits *hits, uint32_t q);
/* The payload's "label", malloc'ed, or NULL if hit i has none. */
char *hit_label(const grove_hits *hits, uint64_t i);

#endif
