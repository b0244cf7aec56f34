/* links.h - the worker's connections to its coordinators: one socket each, what is on its way out, and whether we are welcome there.
 *
 * A worker adopts the cluster of the first WELCOME that it gets, for good. A coordinator of another cluster is refused, as it refuses us: no
 * request of it is taken, and it is asked again only now and then. The loop's thread alone. */
#ifndef WORKER_LINKS_H
#define WORKER_LINKS_H

#include "common/io.h"
#include "common/metrics.h"
#include "common/net.h"
#include "proto/bundle.h"
#include "worker/node.h"
#include "worker/replies.h"
#include "worker/server.h"

struct link {
	const char *endpoint;
	struct net_socket *socket;
	bool welcome, refused;
	uint64_t next_beat_us;
	struct reply *head, **tail; /* waiting to be sent */
};

struct links {
	struct net *net;
	struct counter *dropped; /* set before links_open(): answers that went nowhere */
	size_t count;
	struct link link[COORDINATORS_MAX];
	struct bundle bundle; /* of the answers that are being sent */
};

MUST_CHECK enum status links_open(struct links *l, const char *const *endpoints, size_t count, struct report *report);
void links_close(struct links *l); /* answers that are sent already still go out */

/* Put the list of replies into their queues; returns how many. A beat is due at once if one of them changed what beats say. */
uint64_t links_queue(struct links *l, struct reply *list);
/* Send what can be sent, the answers for one coordinator together. True if something still waits. */
bool links_flush(struct links *l, uint64_t now_us);
/* When the next beat is due, on whichever link comes first. */
uint64_t links_next_beat(const struct links *l);
/* The same frames to everyone whose beat is due. */
void links_beat(struct links *l, const struct encoded *beat, uint64_t now_us);
/* No beats were sent, on purpose: ask again later. */
void links_skip_beat(struct links *l, uint64_t now_us);
/* A WELCOME came on link i. Adopts the cluster and stores it if the node has none. */
void links_welcome(struct links *l, size_t i, const struct cluster_welcome *welcome, struct node *node, struct io *io);

#endif
