/* load_grove.c - a Grove cluster, as a program in C asks it: submit, poll, wait. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/load/load.h"
#include "client/grove.h"

enum { TIMEOUT_MS = 60000 };

struct driver { grove_client *client; const char *index; const struct peer_set *queries; struct grove_search_args args; };

static void *open_cluster(char **arguments, int count, const struct peer_set *queries, size_t k)
{
	struct driver *it = calloc(1, sizeof(*it));
	char why[GROVE_TEXT_MAX];

	if (count != 2) peer_die("wanted are ENDPOINT and INDEX");
	if (!it) peer_die("not enough memory");
	if (grove_open(arguments[0], TIMEOUT_MS, &it->client, why, sizeof(why)) != GROVE_OK) peer_die(why);
	it->index = arguments[1];
	it->queries = queries;
	it->args = (struct grove_search_args){.dim = queries->dim, .dtype = queries->metric == METRIC_HAMMING ? GROVE_BITS : GROVE_F32, .k = (uint32_t)k};
	return it;
}

static void effort(void *driver, const char *text)
{
	struct driver *it = driver;

	it->args.recall = (float)peer_number(text, "recall", 0);
	it->args.search_k = (uint32_t)peer_number(text, "search_k", 0);
	if (it->args.recall <= 0 && it->args.search_k == 0) peer_die("an effort is recall=R or search_k=N");
}

static uint64_t submit(void *driver, uint32_t first, uint32_t count)
{
	struct driver *it = driver;
	grove_ticket ticket;

	it->args.queries = count;
	it->args.vectors = peer_row(it->queries, first);
	if (grove_search_submit(it->client, it->index, &it->args, &ticket) != GROVE_OK) peer_die(grove_message(it->client));
	return ticket;
}

static uint64_t next(void *driver, int64_t *ret_rows, enum load_outcome *ret)
{
	struct driver *it = driver;
	grove_ticket ticket;
	grove_reply *reply;

	if (grove_poll(it->client, TIMEOUT_MS + GROVE_GRACE_MS, &ticket) != GROVE_OK) peer_die(grove_message(it->client));
	int code = grove_wait(it->client, ticket, &reply);
	*ret = code == GROVE_OK ? LOAD_ANSWERED : code == GROVE_BUSY ? LOAD_BUSY : LOAD_PARTIAL;
	if (*ret == LOAD_PARTIAL && code != GROVE_INCOMPLETE) peer_die(grove_message(it->client));
	if (code == GROVE_OK) {
		size_t k = it->args.k;
		for (uint32_t q = 0; q < reply->hits.queries; q++) {
			uint64_t begin = reply->hits.offsets[q], found = reply->hits.offsets[q + 1] - begin;
			for (size_t i = 0; i < k; i++) ret_rows[q * k + i] = i < found ? (int64_t)reply->hits.ids[begin + i] : -1;
		}
	}
	grove_reply_free(&reply);
	return ticket;
}

const struct load_driver load_driver = {"grove", open_cluster, effort, submit, next};
