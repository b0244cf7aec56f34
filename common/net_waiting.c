/* net_waiting.c - see net_waiting.h. */
#include "common/net_waiting.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct waiting { _Atomic size_t bytes, users; }; /* users: the table, and each part under way */

static void waiting_leave(struct waiting *w)
{
	if (atomic_fetch_sub(&w->users, 1) == 1) free(w);
}

void net_waiting_release(struct net_waiting *n)
{
	for (size_t i = 0; i < n->count; i++) waiting_leave(n->peers[i].waiting);
	free(n->peers);
	*n = (struct net_waiting){0};
}

static struct waiting *peer_add(struct net_waiting *n, const struct net_peer *peer)
{
	struct waiting *w;

	if (n->count == n->room) {
		size_t room = n->room ? 2 * n->room : 16;
		struct waiting_peer *grown = realloc(n->peers, room * sizeof(*grown));
		if (!grown) return NULL;
		n->peers = grown;
		n->room = room;
	}
	w = calloc(1, sizeof(*w));
	if (!w) return NULL;
	atomic_store(&w->users, 1);
	n->peers[n->count++] = (struct waiting_peer){.peer = *peer, .waiting = w};
	return w;
}

/* What waits for that peer, or NULL; those for whom nothing waits any more are forgotten on the way. */
static struct waiting *peer_find(struct net_waiting *n, const struct net_peer *peer)
{
	struct waiting *found = NULL;

	for (size_t i = 0; i < n->count;) {
		struct waiting_peer *p = &n->peers[i];
		if (net_peer_equal(&p->peer, peer)) {
			found = p->waiting;
		} else if (atomic_load(&p->waiting->bytes) == 0) {
			waiting_leave(p->waiting);
			*p = n->peers[--n->count];
			continue;
		}
		i++;
	}
	return found;
}

enum status net_waiting_admit(struct net_waiting *n, const struct net_peer *peer, const struct net_frame *frames, size_t count, struct waiting **ret)
{
	size_t bytes = 0;

	for (size_t i = 0; n->max && i < count; i++) bytes += frames[i].size >= COUNTED_PART_MIN ? frames[i].size : 0;
	if (bytes == 0) return STATUS_OK;
	struct waiting *w = peer_find(n, peer);
	if (!w) w = peer_add(n, peer);
	if (!w) return STATUS_NO_MEMORY;
	size_t before = atomic_load(&w->bytes);
	if (before > 0 && before + bytes > n->max) return STATUS_BUSY;
	*ret = w;
	return STATUS_OK;
}

struct counted_part *counted_part_new(struct waiting *w, const struct net_frame *frame)
{
	struct counted_part *p = malloc(sizeof(*p) + frame->size);

	if (!p) return NULL;
	p->waiting = w;
	p->size = frame->size;
	memcpy(p->bytes, frame->bytes, frame->size);
	atomic_fetch_add(&w->bytes, frame->size);
	atomic_fetch_add(&w->users, 1);
	atomic_store(&p->filled, true);
	return p;
}

void counted_part_free(void *bytes, void *part)
{
	struct counted_part *p = part;

	/* libzmq orders this thread behind the one that filled the part, but ThreadSanitizer sees nothing of that: it sees this. */
	if (!atomic_load(&p->filled)) return;
	atomic_fetch_sub(&p->waiting->bytes, p->size);
	waiting_leave(p->waiting);
	free(p);
}
