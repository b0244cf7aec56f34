/* links.c - see links.h. */
#include "worker/links.h"

#include "common/clock.h"
#include "common/log.h"

enum { LINK_HWM = 1024 };

enum status links_open(struct links *l, const char *const *endpoints, size_t count, struct report *report)
{
	enum status status = net_new(&l->net);

	if (status != STATUS_OK) return report_set(report, status, "cannot start ZeroMQ: %s", status_text(status));
	for (; l->count < count; l->count++) {
		struct link *link = &l->link[l->count];
		*link = (struct link){.endpoint = endpoints[l->count]};
		link->tail = &link->head;
		status = net_open(l->net, NET_DEALER, PEER_FRAME_MAX, LINK_HWM, &link->socket);
		if (status != STATUS_OK) return report_set(report, status, "cannot open a socket: %s", status_text(status));
		status = net_connect(link->socket, link->endpoint, report);
		if (status != STATUS_OK) {
			net_close(&link->socket);
			return status;
		}
	}
	return STATUS_OK;
}

static void drop_first(struct link *link)
{
	struct reply *reply = link->head;

	link->head = reply->next;
	if (!link->head) link->tail = &link->head;
	reply_free(&reply);
}

void links_close(struct links *l)
{
	for (size_t i = 0; i < l->count; i++) {
		for (; l->link[i].head; drop_first(&l->link[i])) counter_add(l->dropped, 1);
		net_set_linger(l->link[i].socket, 1000);
		net_close(&l->link[i].socket);
	}
	l->count = 0;
	bundle_release(&l->bundle);
	net_free(&l->net);
}

static void hasten_beats(struct links *l)
{
	for (size_t i = 0; i < l->count; i++)
		if (!l->link[i].refused) l->link[i].next_beat_us = 0;
}

uint64_t links_queue(struct links *l, struct reply *list)
{
	uint64_t count = 0;

	for (struct reply *next; list; list = next, count++) {
		struct link *link = &l->link[list->to];
		if (list->tell_first) hasten_beats(l);
		next = list->next;
		list->next = NULL;
		*link->tail = list;
		link->tail = &list->next;
	}
	return count;
}

/* The first answers as one message. How many they are; those that could not be made leave nothing in it. */
static size_t bundle_up(struct links *l, const struct link *link)
{
	size_t n = 0;

	bundle_reset(&l->bundle);
	for (const struct reply *r = link->head; r; r = r->next, n++)
		if (r->encoded.count && bundle_add(&l->bundle, r->encoded.frames, r->encoded.count) != STATUS_OK) break;
	return n;
}

bool links_flush(struct links *l, uint64_t now_us)
{
	bool waiting = false;

	for (size_t i = 0; i < l->count; i++) {
		struct link *link = &l->link[i];
		while (link->head) {
			struct net_frame frames[2];
			size_t n = bundle_up(l, link);
			const struct encoded *first = &link->head->encoded;
			enum status status = STATUS_OK;
			if (l->bundle.count) {
				bundle_frames(&l->bundle, frames);
				status = net_send(link->socket, NULL, false, frames, 2);
			} else if (n == 0) { /* too large to share a message */
				status = net_send(link->socket, NULL, false, first->frames, first->count);
				n = 1;
			}
			/* No room, or no connection. Whoever asked has given up after so long, so the answer may go too. */
			if (status == STATUS_BUSY && now_us < link->head->born_us + REPLY_KEEP_US) break;
			if (status == STATUS_BUSY) n = 1;
			if (status != STATUS_OK) log_debug("%zu answers for %s were dropped: %s", n, link->endpoint, status_text(status));
			for (; n > 0; n--, drop_first(link))
				if (status != STATUS_OK || !link->head->encoded.count) counter_add(l->dropped, 1);
		}
		waiting |= link->head != NULL;
	}
	return waiting;
}

uint64_t links_next_beat(const struct links *l)
{
	uint64_t next = UINT64_MAX;

	for (size_t i = 0; i < l->count; i++)
		if (l->link[i].next_beat_us < next) next = l->link[i].next_beat_us;
	return next;
}

void links_beat(struct links *l, const struct encoded *beat, uint64_t now_us)
{
	for (size_t i = 0; i < l->count; i++) {
		struct link *link = &l->link[i];
		if (now_us < link->next_beat_us) continue;
		/* Not connected, or not yet: a coordinator that comes is told soon. */
		enum status status = net_send(link->socket, NULL, false, beat->frames, beat->count);
		link->next_beat_us = now_us + (status != STATUS_OK ? BEAT_AGAIN_US : link->refused ? BEAT_REFUSED_US : BEAT_US);
	}
}

void links_skip_beat(struct links *l, uint64_t now_us)
{
	for (size_t i = 0; i < l->count; i++)
		if (now_us >= l->link[i].next_beat_us) l->link[i].next_beat_us = now_us + BEAT_US;
}

static void refuse(struct link *link, uint64_t now_us, const char *why)
{
	if (!link->refused) log_error("coordinator %s: %s", link->endpoint, why);
	link->refused = true;
	link->welcome = false;
	link->next_beat_us = now_us + BEAT_REFUSED_US;
}

void links_welcome(struct links *l, size_t i, const struct cluster_welcome *welcome, struct node *node, struct io *io)
{
	struct link *link = &l->link[i];
	struct report why = {0};
	char cluster[UUID_TEXT_SIZE];

	uuid_text(welcome->cluster, cluster);
	if (welcome->refusal.status != STATUS_OK) {
		refuse(link, clock_us(), report_text(&welcome->refusal));
		return;
	}
	if (uuid_is_zero(node->cluster)) {
		struct node joined = {.worker = node->worker, .cluster = welcome->cluster};
		if (node_store(io, &joined, &why) != STATUS_OK) {
			refuse(link, clock_us(), report_text(&why));
			return;
		}
		*node = joined;
		log_info("this worker joined cluster %s", cluster);
	}
	if (!uuid_equal(node->cluster, welcome->cluster)) {
		report_set(&why, STATUS_CONFLICT, "it is of cluster %s and this worker of another: use a data folder for each cluster", cluster);
		refuse(link, clock_us(), report_text(&why));
		return;
	}
	if (!link->welcome) log_info("welcomed by coordinator %s", link->endpoint);
	link->welcome = true;
	link->refused = false;
	link->next_beat_us = 0;
}
