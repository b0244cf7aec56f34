/* load_pair.c - the proxy of bench/pair: one query a message. */
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "bench/load/load.h"
#include "bench/pair/protocol.h"

struct driver { void *socket; const struct peer_set *queries; struct pair_request request; size_t k; struct pair_hit *hits; };

static void *open_proxy(char **arguments, int count, const struct peer_set *queries, size_t k)
{
	struct driver *it = calloc(1, sizeof(*it));

	if (count != 1) peer_die("wanted is ENDPOINT");
	if (!it || !(it->hits = malloc(k * sizeof(*it->hits)))) peer_die("not enough memory");
	it->socket = zmq_socket(zmq_ctx_new(), ZMQ_DEALER);
	if (!it->socket || zmq_connect(it->socket, arguments[0])) peer_die(zmq_strerror(zmq_errno()));
	it->queries = queries;
	it->k = k;
	it->request.k = (uint32_t)k;
	return it;
}

static void effort(void *driver, const char *text)
{
	struct driver *it = driver;

	it->request.ef = (uint32_t)peer_number(text, "ef", 0);
	if (it->request.ef == 0) peer_die("an effort is ef=N");
}

static uint64_t submit(void *driver, uint32_t first, uint32_t count)
{
	struct driver *it = driver;

	if (count != 1) peer_die("a message is one query");
	it->request.number++;
	if (zmq_send(it->socket, &it->request, sizeof(it->request), ZMQ_SNDMORE) < 0
		|| zmq_send(it->socket, peer_row(it->queries, first), it->queries->row_bytes, 0) < 0)
		peer_die(zmq_strerror(zmq_errno()));
	return it->request.number;
}

static uint64_t next(void *driver, int64_t *ret_rows, enum load_outcome *ret)
{
	struct driver *it = driver;
	uint64_t number;

	if (zmq_recv(it->socket, &number, sizeof(number), 0) != (int)sizeof(number)) peer_die("no answer from the proxy");
	int size = zmq_recv(it->socket, it->hits, it->k * sizeof(*it->hits), 0);
	if (size < 0) peer_die(zmq_strerror(zmq_errno()));
	for (size_t i = 0; i < it->k; i++) ret_rows[i] = i < (size_t)size / sizeof(*it->hits) ? (int64_t)it->hits[i].id : -1;
	*ret = LOAD_ANSWERED;
	return number;
}

const struct load_driver load_driver = {"pair", open_proxy, effort, submit, next};
