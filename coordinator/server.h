/* server.h - the coordinator's loop: sockets, signals and the metadata store's answers become events of the core.
 *
 * One thread runs everything but the store's commits. Nothing in the loop blocks: sends fail at once when a queue is full,
 * commits are handed over. server_open() may block (it reads the store); server_run() returns after SIGTERM or SIGINT. */
#ifndef COORDINATOR_SERVER_H
#define COORDINATOR_SERVER_H

#include "common/status.h"

struct server_options {
	const char *data;           /* data folder; made if missing */
	const char *listen;         /* for clients, tcp://... */
	const char *ipc;            /* for clients, a path; NULL: none */
	const char *workers_listen; /* for workers, tcp://... */
};

struct server;
MUST_CHECK enum status server_open(const struct server_options *options, struct server **ret, struct report *report);
MUST_CHECK enum status server_run(struct server *s, struct report *report);
void server_close(struct server **s);

#endif
