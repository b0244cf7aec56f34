/* node.h - who this worker is: its own uuid, made at the first start, and that of the cluster it belongs to.
 *
 * The file "node" in the data folder, three lines of text: "grove-node 1", "worker <uuid>", "cluster <uuid>" (all zeros: none yet), and a
 * fourth, "crc32c <8 hexadecimal digits>", over the bytes before it. Replaced atomically. */
#ifndef WORKER_NODE_H
#define WORKER_NODE_H

#include "common/io.h"
#include "common/uuid.h"

struct node { struct uuid worker, cluster; };

/* What the folder says; a new worker of no cluster, already stored, if it says nothing. STATUS_CORRUPT: the file is damaged. */
MUST_CHECK enum status node_load(struct io *io, struct node *ret, struct report *report);
MUST_CHECK enum status node_store(struct io *io, const struct node *node, struct report *report);

#endif
