/* wires.h - the four kinds of message behind one interface, so that what holds for all of them is tested once. */
#ifndef SUPPORT_WIRES_H
#define SUPPORT_WIRES_H

#include "tests/support/messages.h"

struct message {
	union { struct client_request client_request; struct client_reply client_reply; struct cluster_request cluster_request; struct cluster_reply cluster_reply; };
	struct buf scratch;
	struct report report;
	uint64_t id;
};

struct wire {
	const char *name;
	int first, last; /* the ops or kinds that it carries */
	void (*make)(struct maker *m, int kind, struct message *ret);
	enum status (*encode)(struct message *m, struct encoded *ret);
	/* Fills report and id also on failure. */
	enum status (*decode)(const struct net_frame *frames, size_t count, struct message *ret);
	bool (*equal)(const struct message *a, const struct message *b);
	void (*release)(struct message *m); /* of a decoded one */
};

enum { WIRE_CLIENT_REQUEST, WIRE_CLIENT_REPLY, WIRE_CLUSTER_REQUEST, WIRE_CLUSTER_REPLY, WIRE_COUNT };
extern const struct wire wires[WIRE_COUNT];

/* A message in a file: each frame as u32 length and bytes. Unpacking cuts a length that is too long; at most FRAMES_MAX frames. */
void frames_pack(const struct encoded *e, struct buf *out);
size_t frames_unpack(const uint8_t *bytes, size_t size, struct net_frame frames[FRAMES_MAX]);

#endif
