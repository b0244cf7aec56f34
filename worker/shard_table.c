/* shard_table.c - an array sorted by uuid, under one mutex that is never held over a disk's work. */
#include "worker/shard_table.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"

struct shard_table {
	struct io *io;
	struct histogram *sync_seconds; /* or NULL */
	pthread_mutex_t lock;
	pthread_cond_t unused; /* a shard lost its last user */
	struct held **held;
	uint32_t count, room;
	bool stopping;
	struct shard_report *reports; /* [reports_room] */
	uint32_t reports_room;
};

enum { DIR_SIZE = sizeof("shards/") + UUID_TEXT_SIZE };
struct dir { char path[DIR_SIZE]; };

static struct dir dir_of(struct uuid uuid)
{
	struct dir d = {"shards/"};

	uuid_text(uuid, d.path + strlen(d.path));
	return d;
}

/* The place of a uuid, or where it would be inserted. */
static uint32_t place_of(const struct shard_table *t, struct uuid uuid)
{
	uint32_t low = 0, high = t->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (memcmp(t->held[middle]->uuid.bytes, uuid.bytes, sizeof(uuid.bytes)) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct held *find(const struct shard_table *t, struct uuid uuid)
{
	uint32_t at = place_of(t, uuid);

	return at < t->count && uuid_equal(t->held[at]->uuid, uuid) ? t->held[at] : NULL;
}

/* A new entry, opening; the caller has the lock and knows that there is none. */
static enum status insert(struct shard_table *t, struct uuid uuid, struct held **ret, struct report *report)
{
	uint32_t at = place_of(t, uuid);

	if (t->count >= SHARDS_HELD_MAX) return report_set(report, STATUS_LIMIT, "this worker holds %d shards, the limit: add a worker", SHARDS_HELD_MAX);
	if (t->count == t->room) {
		uint32_t room = t->room ? 2 * t->room : 16;
		struct held **grown = realloc(t->held, room * sizeof(struct held *));
		if (!grown) return report_set(report, STATUS_NO_MEMORY, "no memory for another shard");
		t->held = grown;
		t->room = room;
	}
	struct held *held = calloc(1, sizeof(*held));
	if (!held) return report_set(report, STATUS_NO_MEMORY, "no memory for another shard");
	held->uuid = uuid;
	memmove(t->held + at + 1, t->held + at, (t->count - at) * sizeof(struct held *));
	t->held[at] = held;
	t->count++;
	*ret = held;
	return STATUS_OK;
}

static void take_out(struct shard_table *t, struct held *held)
{
	uint32_t at = place_of(t, held->uuid);

	t->count--;
	memmove(t->held + at, t->held + at + 1, (t->count - at) * sizeof(struct held *));
	free(held);
}

enum status shard_table_new(struct io *io, struct shard_table **ret)
{
	struct shard_table *t = calloc(1, sizeof(*t));

	if (!t) return STATUS_NO_MEMORY;
	t->io = io;
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&t->unused, &monotonic);
	pthread_condattr_destroy(&monotonic);
	*ret = t;
	return STATUS_OK;
}

void shard_table_watch_syncs(struct shard_table *t, struct histogram *seconds) { t->sync_seconds = seconds; }

void shard_table_free(struct shard_table **table)
{
	struct shard_table *t = *table;

	if (!t) return;
	for (uint32_t i = 0; i < t->count; i++) {
		require(!t->held[i]->shard);
		free(t->held[i]);
	}
	pthread_cond_destroy(&t->unused);
	pthread_mutex_destroy(&t->lock);
	free(t->held);
	free(t->reports);
	free(t);
	*table = NULL;
}

/* ---- life ---- */

enum status shard_table_scan(struct shard_table *t, struct report *report)
{
	char **names = NULL;
	size_t count = 0;
	enum status status = t->io->ops->make_dir(t->io, "shards");

	if (status == STATUS_OK) status = t->io->ops->sync_dir(t->io, "");
	if (status == STATUS_OK) status = t->io->ops->list(t->io, "shards", &names, &count);
	if (status != STATUS_OK) return report_set(report, status, "cannot read the data folder: %s", io_last_error());
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < count && status == STATUS_OK; i++) {
		struct uuid uuid;
		struct held *held;
		struct report why = {0};
		if (!uuid_parse(names[i], &uuid)) {
			log_warn("shards/%s is no shard's folder and is left alone", names[i]);
			continue;
		}
		struct dir dir = dir_of(uuid);
		struct manifest manifest;
		enum status found = manifest_load(t->io, dir.path, &manifest, &why);
		if (found == STATUS_NOT_FOUND) {
			log_warn("%s has no manifest: the shard was not made to its end, or is half removed; it is left alone", dir.path);
			continue;
		}
		status = insert(t, uuid, &held, report);
		if (status != STATUS_OK) break;
		if (found == STATUS_OK) held->identity = manifest.identity; /* a bad manifest is told of when the shard is opened */
	}
	pthread_mutex_unlock(&t->lock);
	io_names_free(&names, count);
	return status;
}

/* Opening ended: with a shard, or with a reason. */
static void settle(struct shard_table *t, struct held *held, struct shard *shard, const struct report *why)
{
	if (shard && t->sync_seconds) shard_watch_syncs(shard, t->sync_seconds);
	pthread_mutex_lock(&t->lock);
	held->shard = shard;
	held->state = shard ? HELD_OPEN : HELD_FAILED;
	if (shard)
		held->identity = *shard_identity(shard);
	else
		held->failure = *why;
	pthread_mutex_unlock(&t->lock);
}

static void load_one(struct shard_table *t, struct held *held, struct uuid cluster)
{
	struct dir dir = dir_of(held->uuid);
	struct shard *shard = NULL;
	struct report why = {0};
	enum status status = shard_open(t->io, dir.path, &shard, &why);

	if (status == STATUS_OK && !uuid_equal(shard_identity(shard)->cluster, cluster)) {
		char text[UUID_TEXT_SIZE];
		uuid_text(shard_identity(shard)->cluster, text);
		status = report_set(&why, STATUS_CONFLICT, "%s belongs to cluster %s: move it out of this data folder", dir.path, text);
		shard_close(&shard, false);
	}
	if (status != STATUS_OK) {
		why.status = status;
		log_error("%s is not served: %s", dir.path, report_text(&why));
	}
	settle(t, held, shard, &why);
}

void shard_table_load(struct shard_table *t, struct uuid cluster)
{
	for (uint32_t i = 0;; i++) {
		pthread_mutex_lock(&t->lock);
		struct held *held = i < t->count && !t->stopping ? t->held[i] : NULL;
		pthread_mutex_unlock(&t->lock);
		if (!held) return;
		if (held->state == HELD_OPENING) load_one(t, held, cluster);
	}
}

static enum status check_same(const struct shard_identity *held, const struct shard_identity *asked, struct report *report)
{
	if (held->index_id == asked->index_id && held->number == asked->number && held->shards == asked->shards &&
		held->metric == asked->metric && held->dim == asked->dim && uuid_equal(held->cluster, asked->cluster))
		return STATUS_OK;
	return report_set(report, STATUS_CONFLICT, "this worker holds that shard as number %u of %u of index '%s' (id %llu)", held->number, held->shards,
		held->name, (unsigned long long)held->index_id);
}

enum status shard_table_open(struct shard_table *t, const struct shard_identity *identity, bool create, struct report *report)
{
	struct dir dir = dir_of(identity->shard);
	enum status status = STATUS_OK;
	struct shard *shard = NULL;

	pthread_mutex_lock(&t->lock);
	struct held *held = find(t, identity->shard);
	bool found = held != NULL;
	if (t->stopping)
		status = report_set(report, STATUS_UNAVAILABLE, "the worker is stopping");
	else if (found && held->state == HELD_OPEN)
		status = check_same(&held->identity, identity, report);
	else if (found && held->state == HELD_FAILED)
		status = report_set(report, held->failure.status, "%s", report_text(&held->failure));
	else if (found)
		status = report_set(report, STATUS_UNAVAILABLE, "%s is being opened", dir.path);
	else if (!create)
		status = report_set(report, STATUS_NOT_FOUND, "this worker has no %s: its data folder is not the one that the shard was made in", dir.path);
	else
		status = insert(t, identity->shard, &held, report);
	if (status == STATUS_OK && !found) held->identity = *identity;
	pthread_mutex_unlock(&t->lock);
	if (found || status != STATUS_OK) return status;

	struct report why = {0};
	status = shard_create(t->io, dir.path, identity, &why);
	if (status == STATUS_OK) status = shard_open(t->io, dir.path, &shard, &why);
	if (status == STATUS_OK) {
		settle(t, held, shard, NULL);
		log_info("%s made: number %u of %u of index '%s'", dir.path, identity->number, identity->shards, identity->name);
		return STATUS_OK;
	}
	/* Not made to its end: it may be asked for again. */
	pthread_mutex_lock(&t->lock);
	take_out(t, held);
	pthread_mutex_unlock(&t->lock);
	log_error("%s could not be made: %s", dir.path, why.text[0] ? why.text : status_text(status));
	return report_set(report, status, "%s", why.text[0] ? why.text : status_text(status));
}

/* Refuse new users, stop the present ones, wait until they are gone; the lock is held before and after. A user from just before may only
 * now begin a build, so builds are cancelled again and again. */
static void quiesce(struct shard_table *t, struct held *held)
{
	enum { AGAIN_US = 20000 };

	atomic_store(&held->closing, true);
	while (held->users > 0) {
		uint64_t until = clock_us() + AGAIN_US;
		struct timespec when = {.tv_sec = (time_t)(until / 1000000), .tv_nsec = (long)(until % 1000000) * 1000};
		if (held->shard) shard_build_cancel(held->shard);
		pthread_cond_timedwait(&t->unused, &t->lock, &when);
	}
}

enum status shard_table_drop(struct shard_table *t, struct uuid uuid, struct report *report)
{
	struct dir dir = dir_of(uuid);

	pthread_mutex_lock(&t->lock);
	struct held *held = find(t, uuid);
	struct shard *shard = NULL;
	if (held) {
		quiesce(t, held);
		shard = held->shard;
		held->shard = NULL;
		held->state = HELD_FAILED;
		report_set(&held->failure, STATUS_UNAVAILABLE, "%s is being removed", dir.path);
	}
	pthread_mutex_unlock(&t->lock);
	shard_close(&shard, false);
	enum status status = shard_destroy(t->io, dir.path);
	if (status == STATUS_NOT_FOUND) status = STATUS_OK;
	pthread_mutex_lock(&t->lock);
	if (status != STATUS_OK)
		report_set(report, status, "%s could not be removed: %s", dir.path, io_last_error());
	else if (held)
		take_out(t, held);
	if (status != STATUS_OK && held) report_set(&held->failure, status, "%s could not be removed: %s", dir.path, io_last_error());
	pthread_mutex_unlock(&t->lock);
	if (status != STATUS_OK)
		log_error("%s could not be removed: %s", dir.path, io_last_error());
	else if (held)
		log_info("%s removed", dir.path);
	return status;
}

void shard_table_stop(struct shard_table *t)
{
	pthread_mutex_lock(&t->lock);
	t->stopping = true;
	for (uint32_t i = 0; i < t->count; i++) {
		atomic_store(&t->held[i]->closing, true);
		if (t->held[i]->shard) shard_build_cancel(t->held[i]->shard);
	}
	pthread_mutex_unlock(&t->lock);
}

void shard_table_close(struct shard_table *t)
{
	pthread_mutex_lock(&t->lock);
	require(t->stopping);
	for (uint32_t i = 0; i < t->count; i++) {
		struct held *held = t->held[i];
		quiesce(t, held);
		struct shard *shard = held->shard;
		held->shard = NULL;
		held->state = HELD_FAILED;
		report_set(&held->failure, STATUS_UNAVAILABLE, "the worker is stopping");
		pthread_mutex_unlock(&t->lock);
		shard_close(&shard, true);
		pthread_mutex_lock(&t->lock);
	}
	pthread_mutex_unlock(&t->lock);
}

/* ---- use ---- */

enum status shard_table_use(struct shard_table *t, struct uuid uuid, struct held **ret, struct report *report)
{
	enum status status = STATUS_OK;

	pthread_mutex_lock(&t->lock);
	struct held *held = find(t, uuid);
	if (!held)
		status = report_set(report, STATUS_NOT_FOUND, "this worker does not hold that shard");
	else if (held->state == HELD_FAILED)
		status = report_set(report, held->failure.status, "%s", report_text(&held->failure));
	else if (held->state == HELD_OPENING)
		status = report_set(report, STATUS_UNAVAILABLE, "the shard is being opened: try again a little later");
	else if (atomic_load(&held->closing))
		status = report_set(report, STATUS_UNAVAILABLE, "the shard is being closed");
	if (status == STATUS_OK) {
		held->users++;
		*ret = held;
	}
	pthread_mutex_unlock(&t->lock);
	return status;
}

void shard_table_done(struct shard_table *t, struct held *held)
{
	pthread_mutex_lock(&t->lock);
	require(held->users > 0);
	if (--held->users == 0) pthread_cond_broadcast(&t->unused);
	pthread_mutex_unlock(&t->lock);
}

static void report_of(const struct held *held, struct shard_report *ret)
{
	if (held->shard) {
		shard_report(held->shard, ret);
		return;
	}
	*ret = (struct shard_report){
		.shard = held->uuid,
		.index_id = held->identity.index_id,
		.number = held->identity.number,
		.epoch = held->identity.epoch,
		.state = held->state == HELD_OPENING ? SHARD_OPENING : SHARD_STOPPED,
		.status = held->state == HELD_OPENING ? STATUS_OK : held->failure.status,
	};
}

enum status shard_table_reports(struct shard_table *t, struct shard_report **ret, uint32_t *ret_count)
{
	enum status status = STATUS_OK;

	pthread_mutex_lock(&t->lock);
	if (t->count > t->reports_room) {
		struct shard_report *grown = realloc(t->reports, t->room * sizeof(*grown));
		if (grown) {
			t->reports = grown;
			t->reports_room = t->room;
		} else {
			status = STATUS_NO_MEMORY;
		}
	}
	if (status == STATUS_OK) {
		for (uint32_t i = 0; i < t->count; i++) report_of(t->held[i], &t->reports[i]);
		*ret = t->reports;
		*ret_count = t->count;
	}
	pthread_mutex_unlock(&t->lock);
	return status;
}

uint64_t shard_table_memtable_rows(struct shard_table *t)
{
	uint64_t rows = 0;

	pthread_mutex_lock(&t->lock);
	for (uint32_t i = 0; i < t->count; i++)
		if (t->held[i]->shard) rows += shard_memtable_rows(t->held[i]->shard);
	pthread_mutex_unlock(&t->lock);
	return rows;
}

bool shard_table_stalled(struct shard_table *t, uint64_t now_us, struct uuid *ret)
{
	bool stalled = false;

	pthread_mutex_lock(&t->lock);
	for (uint32_t i = 0; i < t->count; i++) {
		struct held *held = t->held[i];
		bool busy = false;
		uint64_t progress = held->shard ? shard_pulse(held->shard, &busy) : 0;
		if (!stall_note(&held->stall, progress, busy, now_us, STALL_WRITER_US)) continue;
		*ret = held->uuid;
		stalled = true;
	}
	pthread_mutex_unlock(&t->lock);
	return stalled;
}
