/* membership.c - see membership.h. */
#include "coordinator/membership.h"

#include <stdlib.h>
#include <string.h>

void membership_init(struct membership *m) { memset(m, 0, sizeof(*m)); }

void membership_release(struct membership *m)
{
	for (size_t i = 0; i < m->count; i++) free(m->members[i]);
	free(m->members);
	membership_init(m);
}

static size_t position(const struct membership *m, struct uuid worker, bool *ret_found)
{
	size_t low = 0, high = m->count;
	*ret_found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = memcmp(m->members[middle]->id.bytes, worker.bytes, sizeof(worker.bytes));
		if (order == 0) {
			*ret_found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint32_t membership_position(const struct membership *m, struct uuid worker)
{
	bool found;
	size_t at = position(m, worker, &found);
	return found ? (uint32_t)at : UINT32_MAX;
}

struct member *membership_find(const struct membership *m, struct uuid worker)
{
	bool found;
	size_t at = position(m, worker, &found);
	return found ? m->members[at] : NULL;
}

struct member *membership_by_peer(const struct membership *m, const struct net_peer *peer)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->members[i]->known && net_peer_equal(&m->members[i]->peer, peer)) return m->members[i];
	return NULL;
}

size_t membership_alive(const struct membership *m)
{
	size_t alive = 0;
	for (size_t i = 0; i < m->count; i++) alive += m->members[i]->state == WORKER_ALIVE;
	return alive;
}

static enum status member_add(struct membership *m, struct uuid worker, struct member **ret)
{
	bool found;
	size_t at = position(m, worker, &found);
	if (m->count == MEMBERS_MAX) return STATUS_LIMIT;
	struct member *member = calloc(1, sizeof(*member));
	struct member **members = realloc(m->members, (m->count + 1) * sizeof(struct member *));
	if (members) m->members = members;
	if (!member || !members) {
		free(member);
		return STATUS_NO_MEMORY;
	}
	memmove(members + at + 1, members + at, (m->count - at) * sizeof(struct member *));
	members[at] = member;
	m->count++;
	member->id = worker;
	member->state = WORKER_DEAD;
	*ret = member;
	return STATUS_OK;
}

enum status membership_expect(struct membership *m, struct uuid worker)
{
	struct member *member;
	if (membership_find(m, worker)) return STATUS_OK;
	return member_add(m, worker, &member);
}

void membership_disconnected(struct member *member)
{
	if (member->rival.here) member->last_us = 0;
}

static void member_adopt(struct member *member, const struct cluster_beat *beat, const struct net_peer *peer, uint64_t now_us)
{
	if (!member->known || member->incarnation != beat->incarnation) member->first_us = now_us;
	/* What was queued for another connection is gone with it. */
	if (!member->known || !net_peer_equal(&member->peer, peer)) member->taken_bytes = member->sent_bytes;
	member->known = true;
	member->incarnation = beat->incarnation;
	member->peer = *peer;
	member->state = WORKER_ALIVE;
	member->last_us = now_us;
	member->pid = beat->pid;
	memcpy(member->endpoint, beat->endpoint, sizeof(member->endpoint));
	member->memory_bytes = beat->memory_bytes;
	member->threads = beat->threads;
	member->shards = beat->shard_count;
	member->items = 0;
	for (uint32_t i = 0; i < beat->shard_count; i++) member->items += beat->shards[i].items;
}

/* A beat of another incarnation than the one that is the node now. */
static enum beat_verdict rival_beat(struct member *member, const struct cluster_beat *beat, const struct net_peer *peer, uint64_t now_us,
	struct report *report)
{
	if (!member->rival.here || member->rival.incarnation != beat->incarnation) {
		member->rival.here = true;
		member->rival.refused = false;
		member->rival.incarnation = beat->incarnation;
		member->rival.first_us = now_us;
	}
	if (now_us - member->last_us >= MEMBER_TWIN_SILENT_US) {
		member->rival.here = false;
		member_adopt(member, beat, peer, now_us);
		return BEAT_RESTARTED;
	}
	if (member->rival.refused || member->last_us >= member->rival.first_us + MEMBER_TWIN_PROOF_US) {
		char id[UUID_TEXT_SIZE];
		uuid_text(member->id, id);
		member->rival.refused = true;
		report_set(report, STATUS_CONFLICT,
			"another process (pid %lld) runs as worker %s: two workers use copies of one data folder; stop one and give it an empty folder",
			(long long)member->pid, id);
		return BEAT_REFUSED;
	}
	return BEAT_WAITING;
}

enum beat_verdict membership_beat(struct membership *m, const struct cluster_beat *beat, const struct net_peer *peer, struct uuid cluster,
	uint64_t now_us, struct member **ret, struct report *report)
{
	*ret = NULL;
	if (!uuid_is_zero(beat->cluster) && !uuid_equal(beat->cluster, cluster)) {
		char theirs[UUID_TEXT_SIZE], ours[UUID_TEXT_SIZE];
		uuid_text(beat->cluster, theirs);
		uuid_text(cluster, ours);
		report_set(report, STATUS_CONFLICT,
			"this worker belongs to cluster %s, the coordinator to %s: use the coordinator of its cluster, or an empty data folder", theirs, ours);
		return BEAT_REFUSED;
	}
	struct member *member = membership_find(m, beat->worker);
	if (!member) {
		enum status status = member_add(m, beat->worker, &member);
		if (status != STATUS_OK) {
			report_set(report, status, status == STATUS_LIMIT ? "a coordinator knows at most %d workers (MEMBERS_MAX)"
									: "no memory for one more worker beside %d", status == STATUS_LIMIT ? (int)MEMBERS_MAX : (int)m->count);
			return BEAT_REFUSED;
		}
	}
	*ret = member;
	if (!member->known) {
		member_adopt(member, beat, peer, now_us);
		return BEAT_JOINED;
	}
	if (member->incarnation != beat->incarnation) return rival_beat(member, beat, peer, now_us, report);
	bool back = member->state != WORKER_ALIVE || !net_peer_equal(&member->peer, peer);
	member_adopt(member, beat, peer, now_us);
	return back ? BEAT_RETURNED : BEAT_USUAL;
}

void membership_tick(struct membership *m, uint64_t now_us, void (*gone)(void *arg, struct member *member), void *arg)
{
	uint64_t gap = m->last_tick_us ? now_us - m->last_tick_us : 0;
	m->last_tick_us = now_us;
	for (size_t i = 0; i < m->count; i++) {
		struct member *member = m->members[i];
		if (!member->known || member->state == WORKER_DEAD) continue;
		if (gap >= MEMBER_TICK_GAP_US && member->last_us) {
			member->last_us += gap;
			if (member->last_us > now_us) member->last_us = now_us;
		}
		uint64_t silence = now_us > member->last_us ? now_us - member->last_us : 0;
		if (silence >= MEMBER_DEAD_US) {
			member->state = WORKER_DEAD;
			gone(arg, member);
		} else if (silence >= MEMBER_SUSPECT_US) {
			member->state = WORKER_SUSPECT;
		}
	}
}
