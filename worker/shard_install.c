/* shard_install.c - what a build asks of the writer, carried out on the writer's thread between two groups: to freeze what was written so
 * far, and to put the finished segment in its place. */
#include "worker/shard_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"

static void replace_view(struct shard *s, struct view **take)
{
	pthread_mutex_lock(&s->lock);
	struct view *old = s->view;
	s->view = *take;
	s->active_rows = memtable_count(s->view->memtables[s->view->memtable_count - 1]->table);
	pthread_mutex_unlock(&s->lock);
	*take = NULL;
	view_release(&old);
}

/* A new log file and a new active memtable: what was written so far is frozen. */
static enum status freeze_active(struct shard *s, struct report *report)
{
	struct view *v = view_copy(s->view);
	enum status status;

	if (!v) return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	status = live_memtable_new(&s->identity, &v->memtables[v->memtable_count]);
	if (status == STATUS_OK) {
		v->frozen_rows[v->memtable_count - 1] = memtable_count(v->memtables[v->memtable_count - 1]->table);
		v->memtable_count++;
		v->frozen_sequence = wal_next(s->wal) - 1;
		status = wal_rotate(s->wal, report);
	} else {
		report_set(report, status, "%s", status_text(status));
	}
	if (status == STATUS_OK) {
		replace_view(s, &v);
	} else {
		view_release(&v);
		if (status != STATUS_DISK_FULL && status != STATUS_NO_MEMORY) shard_stop(s, report);
	}
	return status;
}

/* Says in *in what the build is to hold. Where nothing came since the last freeze, a build that failed left all in place. */
static enum status freeze(struct shard *s, struct installation *in, struct report *report)
{
	bool news = s->view->frozen_sequence != wal_next(s->wal) - 1, full = s->view->memtable_count == MEMTABLES_MAX;
	enum status status = news && !full ? freeze_active(s, report) : STATUS_OK;

	if (status != STATUS_OK) return status;
	in->memtables = s->view->memtable_count - 1;
	in->sequence = s->view->frozen_sequence;
	in->partial = news && full;
	return STATUS_OK;
}

/* What died in the old parts after the new segment's sequence dies in it too. */
static void carry_deaths(const struct view *old, uint32_t memtables, struct live_segment *new_segment, uint64_t sequence)
{
	for (uint32_t i = 0; i < old->segment_count; i++) {
		const struct live_segment *from = old->segments[i];
		struct rows rows = segment_rows(from->segment);
		for (uint32_t r = 0; atomic_load(&from->live.dead) && r < rows.n; r++) {
			uint64_t dead = livemap_dead_at(&from->live, r);
			int64_t row = dead > sequence ? segment_find(new_segment->segment, rows.ids[r]) : -1;
			if (row >= 0) livemap_kill(&new_segment->live, (uint32_t)row, dead);
		}
	}
	for (uint32_t i = 0; i < memtables; i++) {
		const struct memtable *from = old->memtables[i]->table;
		for (uint32_t r = 0; r < old->frozen_rows[i]; r++) {
			uint64_t dead = memtable_dead_at(from, r);
			int64_t row = dead > sequence ? segment_find(new_segment->segment, memtable_id(from, r)) : -1;
			if (row >= 0) livemap_kill(&new_segment->live, (uint32_t)row, dead);
		}
	}
}

static void remove_segment_files(struct shard *s, const struct manifest *old)
{
	for (uint32_t i = 0; i < old->segment_count; i++) {
		char name[SEGMENT_NAME_SIZE], path[SHARD_DIR_MAX + SEGMENT_NAME_SIZE + 2];
		segment_file_name(old->segments[i].number, name);
		snprintf(path, sizeof(path), "%s/%s", s->dir, name);
		enum status ignored = s->io->ops->remove(s->io, path); /* what stays is swept at the next open */
		(void)ignored;
	}
}

/* After a manifest could not be stored: was the rename never made? */
static bool old_manifest_stands(struct shard *s)
{
	struct manifest now;

	return manifest_load(s->io, s->dir, &now, NULL) == STATUS_OK && now.next_segment == s->manifest.next_segment;
}

/* The commit of a build: the manifest. */
static enum status install(struct shard *s, struct installation *in, struct report *report)
{
	struct manifest m = s->manifest, old = s->manifest;
	struct view *v = calloc(1, sizeof(*v));
	enum status status;

	if (!v) return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	m.sequence = in->sequence;
	m.durable = wal_durable(s->wal);
	m.next_segment = in->entry.number + 1;
	m.segment_count = 1;
	m.segments[0] = in->entry;
	status = manifest_store(s->io, s->dir, &m, report);
	if (status != STATUS_OK) {
		free(v);
		if (status == STATUS_NO_MEMORY || (status == STATUS_DISK_FULL && old_manifest_stands(s))) return status;
		/* The new one may be there, and may go again with the power: only opening the shard anew tells. */
		shard_stop(s, report);
		return STATUS_STOPPED;
	}
	s->manifest = m;
	carry_deaths(s->view, in->memtables, in->segment, in->sequence);
	atomic_init(&v->refs, 1);
	v->frozen_sequence = s->view->frozen_sequence;
	v->segments[v->segment_count++] = in->segment;
	in->segment = NULL;
	for (uint32_t i = in->memtables; i < s->view->memtable_count; i++) {
		v->memtables[v->memtable_count] = s->view->memtables[i];
		v->frozen_rows[v->memtable_count++] = s->view->frozen_rows[i];
		atomic_fetch_add(&s->view->memtables[i]->refs, 1);
	}
	replace_view(s, &v);
	remove_segment_files(s, &old);
	status = wal_remove_through(s->wal, in->sequence);
	if (status == STATUS_DISK_FULL || status == STATUS_NO_MEMORY) { /* they go with the next build, or at the next open */
		log_warn("%s: the log's old files stay for now: %s", s->dir, io_last_error());
		status = STATUS_OK;
	}
	if (status != STATUS_OK) {
		report_set(report, status, "the log's old files could not be removed: %s", io_last_error());
		shard_stop(s, report);
		return status;
	}
	shard_publish(s, 0);
	return STATUS_OK;
}

void shard_run_control(struct shard *s, enum control control, struct installation *in)
{
	struct report report = {0};
	enum status status = shard_stopped(s) ? report_set(&report, STATUS_STOPPED, "%s", status_text(STATUS_STOPPED))
		: control == CONTROL_FREEZE ? freeze(s, in, &report) : install(s, in, &report);

	report.status = status;
	pthread_mutex_lock(&s->lock);
	s->control = CONTROL_NONE;
	s->control_report = report;
	pthread_cond_broadcast(&s->answered);
	pthread_mutex_unlock(&s->lock);
}

enum status shard_control(struct shard *s, enum control control, struct installation *installation, struct report *report)
{
	pthread_mutex_lock(&s->lock);
	s->control = control;
	s->installation = installation;
	pthread_cond_signal(&s->wake);
	while (s->control != CONTROL_NONE) pthread_cond_wait(&s->answered, &s->lock);
	*report = s->control_report;
	pthread_mutex_unlock(&s->lock);
	return report->status;
}
