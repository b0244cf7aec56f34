/* server.c - one thread: it owns the sockets, reads requests, sends answers and beats. It touches no disk, and vectors only in searches so brief that
 * to wake a search thread would take longer (pool_help); should one hang all the same, so do the beats.
 *
 * At start: lock the folder, know who we are, put all shards into the table (opened by the background thread while the loop already beats:
 * "opening"), connect. Coordinators may come later, or go and come back.
 *
 * At the end: stop the searches and builds, wait for them, close every shard (end mark in its log), send what is finished. A timer ends
 * the process after STOP_SECONDS whatever hangs; the logs are whole then, only their end mark is missing. */
#include "worker/server.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/codes.h"
#include "common/log.h"
#include "common/metrics_file.h"
#include "common/prng.h"
#include "proto/bundle.h"
#include "worker/background.h"
#include "worker/dispatch.h"
#include "worker/links.h"

enum { RECEIVE_ROUND = 64, HELP_US = 250, HELP_MAX_US = 1000, RETRY_SEND_US = 5000, FLUSH_AT_STOP_US = 500000 };

struct load_job { struct background_job job; struct shard_table *table; struct uuid cluster; };

struct server {
	const struct server_options *options;
	struct io *io;
	struct io_file *lock;
	struct node node;
	struct worker_parts parts;
	struct dispatch dispatch;
	struct links links;
	struct load_job load;
	int signals;
	uint64_t incarnation, beat;
	struct stall *stalls; /* [threads] */
	bool silent;          /* no beats: a thread hangs */
	char worker_text[UUID_TEXT_SIZE];
	struct worker_metrics counted;
	struct metrics metrics;
	struct metrics_file *metrics_file;
};

/* ---- beats ---- */

static uint64_t resident_bytes(void)
{
	char text[128] = {0};
	unsigned long total, resident = 0;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	if (fd == -1) return 0;
	if (read(fd, text, sizeof(text) - 1) <= 0 || sscanf(text, "%lu %lu", &total, &resident) != 2) resident = 0;
	close(fd);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool work_goes_on(struct server *s, uint64_t now)
{
	struct uuid uuid;
	char text[UUID_TEXT_SIZE];
	bool stalled = false;

	for (size_t i = 0; i < s->options->threads; i++) {
		bool busy;
		uint64_t progress = pool_progress(s->parts.pool, i, &busy);
		if (!stall_note(&s->stalls[i], progress, busy, now, STALL_SEARCH_US)) continue;
		if (!s->silent && !stalled) log_error("search thread %zu has hung for %d s: no more beats until it goes on", i, STALL_SEARCH_US / 1000000);
		stalled = true;
	}
	if (shard_table_stalled(s->parts.table, now, &uuid)) {
		uuid_text(uuid, text);
		if (!s->silent && !stalled) log_error("the writer of shard %s has hung for %d s: no more beats until it goes on", text, STALL_WRITER_US / 1000000);
		stalled = true;
	}
	if (s->silent && !stalled) log_warn("the work goes on: beating again");
	s->silent = stalled;
	return !stalled;
}

static void levels_set(struct server *s, const struct shard_report *shards, uint32_t count)
{
	uint64_t items = 0;

	for (uint32_t i = 0; i < count; i++) items += shards[i].items;
	gauge_set(&s->counted.shards, count);
	gauge_set(&s->counted.items, (int64_t)items);
	gauge_set(&s->counted.memtable_rows, (int64_t)shard_table_memtable_rows(s->parts.table));
}

static void levels_refresh(struct server *s)
{
	struct shard_report *shards;
	uint32_t count;

	if (shard_table_reports(s->parts.table, &shards, &count) == STATUS_OK) levels_set(s, shards, count);
}

static void beat(struct server *s, uint64_t now)
{
	struct cluster_request request = {.id = ++s->beat, .kind = CLUSTER_BEAT};
	struct cluster_beat *b = &request.beat;
	struct encoded encoded = {0};

	if (!work_goes_on(s, now)) {
		links_skip_beat(&s->links, now);
		return;
	}
	b->worker = s->node.worker;
	b->cluster = s->node.cluster;
	b->incarnation = s->incarnation;
	b->beat = s->beat;
	b->pid = getpid();
	b->memory_bytes = resident_bytes();
	b->threads = (uint32_t)s->options->threads;
	enum status status = shard_table_reports(s->parts.table, &b->shards, &b->shard_count);
	if (status == STATUS_OK) levels_set(s, b->shards, b->shard_count);
	if (status == STATUS_OK) status = cluster_request_encode(&request, &encoded);
	if (status == STATUS_OK) {
		links_beat(&s->links, &encoded, now);
		encoded_release(&encoded);
	} else {
		log_error("no beat: %s", status_text(status));
		links_skip_beat(&s->links, now);
	}
}

/* ---- the loop ---- */

static void take_message(struct server *s, size_t i, struct net_message *m, uint64_t now)
{
	enum cluster_kind kind = cluster_peek(m->frames, m->count);

	if (kind == CLUSTER_WELCOME) {
		struct cluster_request request = {0};
		struct report why = {0};
		if (cluster_request_decode(m->frames, m->count, &request, &why) == STATUS_OK) {
			links_welcome(&s->links, i, &request.welcome, &s->node, s->io);
			s->dispatch.cluster = s->node.cluster;
			cluster_request_release(&request);
		} else {
			log_warn("coordinator %s sent a welcome that cannot be read: %s", s->links.link[i].endpoint, report_text(&why));
		}
	} else if (s->links.link[i].welcome) {
		dispatch_message(&s->dispatch, (uint32_t)i, m, now);
	} else {
		log_debug("coordinator %s asked before it welcomed us; ignored", s->links.link[i].endpoint);
	}
	net_message_release(m);
}

/* Each message of a bundle on its own: they share its memory. What is no good bundle is refused as any bad message is. */
static void take_messages(struct server *s, size_t i, struct net_message *m, uint64_t now)
{
	struct bundle_reader bundle;
	struct net_frame frames[FRAMES_MAX];
	struct report why;
	size_t count;

	if (!bundle_is(m->frames, m->count) || bundle_open(m->frames, m->count, &bundle, &why) != STATUS_OK) {
		take_message(s, i, m, now);
		return;
	}
	while (bundle_next(&bundle, frames, &count)) {
		struct net_message one;
		net_message_share(m, frames, count, &one);
		take_message(s, i, &one, now);
	}
}

/* At most a round from each link, so that one coordinator cannot keep the others waiting; what is left is ready at once at the next wait. */
static void receive(struct server *s, size_t i, uint64_t now)
{
	enum status status = STATUS_OK;

	for (int n = 0; n < RECEIVE_ROUND && status != STATUS_NOT_FOUND; n++) {
		struct net_message m = {0};
		status = net_receive(s->links.link[i].socket, &m);
		if (status == STATUS_OK) take_messages(s, i, &m, now);
		net_message_release(&m);
	}
}

static void take_answers(struct server *s)
{
	dispatch_answered(&s->dispatch, links_queue(&s->links, replies_take(s->parts.replies)));
}

/* How long to search before answers leave: the more searches wait, the longer, since answers that leave together cost less; but never all of many, so
 * that who asked hears of the first, and sends more, while the last are still to come. */
static uint64_t help_us(size_t waiting)
{
	enum { EACH_US = 40 };
	uint64_t us = waiting * EACH_US;

	return us < HELP_US ? HELP_US : us > HELP_MAX_US ? HELP_MAX_US : us;
}

static enum status serve(struct server *s)
{
	struct net_poll polls[COORDINATORS_MAX + 2] = {{.fd = s->signals}, {.fd = replies_fd(s->parts.replies)}};
	enum status status = STATUS_OK;

	for (size_t i = 0; i < s->links.count; i++) polls[i + 2] = (struct net_poll){.socket = s->links.link[i].socket, .fd = -1};
	replies_awake(s->parts.replies);
	while (status == STATUS_OK && !polls[0].ready) {
		uint64_t now = clock_us();
		pool_hold(s->parts.pool);
		for (size_t i = 0; i < s->links.count; i++)
			if (polls[i + 2].ready) receive(s, i, now);
		bool more = pool_help(s->parts.pool, help_us(pool_depth(s->parts.pool)));
		take_answers(s);
		now = clock_us();
		if (now >= links_next_beat(&s->links)) beat(s, now);
		bool waiting = links_flush(&s->links, now);
		uint64_t next_beat = links_next_beat(&s->links), wait = next_beat > now ? next_beat - now : 0;
		if (waiting && wait > RETRY_SEND_US) wait = RETRY_SEND_US;
		if (!replies_asleep(s->parts.replies) || more) wait = 0;
		status = net_wait(polls, s->links.count + 2, wait);
		replies_awake(s->parts.replies);
	}
	return status;
}

/* ---- start and stop ---- */

static void load_run(struct background_job *job)
{
	struct load_job *load = (struct load_job *)job;

	shard_table_load(load->table, load->cluster);
}

static enum status start_parts(struct server *s, struct report *report)
{
	enum status status = pool_new(s->options->threads, &s->parts.pool);

	if (status == STATUS_OK) status = background_new(&s->parts.background);
	if (status == STATUS_OK) status = replies_new(&s->parts.replies);
	if (status == STATUS_OK) status = shard_table_new(s->io, &s->parts.table);
	if (status == STATUS_OK && !(s->stalls = calloc(s->options->threads, sizeof(*s->stalls)))) status = STATUS_NO_MEMORY;
	if (status != STATUS_OK) return report_set(report, status, "cannot start %zu threads: %s", s->options->threads, status_text(status));
	s->parts.metrics = &s->counted;
	shard_table_watch_syncs(s->parts.table, &s->counted.sync_seconds);
	status = shard_table_scan(s->parts.table, report);
	if (status != STATUS_OK) return status;
	s->load = (struct load_job){.job = {.run = load_run}, .table = s->parts.table, .cluster = s->node.cluster};
	s->dispatch = (struct dispatch){.parts = &s->parts, .cluster = s->node.cluster};
	return background_submit(s->parts.background, &s->load.job);
}

/* All names, and the file that tells the values. */
static enum status start_metrics(struct server *s, struct report *report)
{
	struct metrics_label which = {"worker", s->worker_text};
	enum status status;

	uuid_text(s->node.worker, s->worker_text);
	status = metrics_init(&s->metrics, &which, report);
	if (status == STATUS_OK) status = worker_metrics_register(&s->counted, &s->metrics, report);
	if (status != STATUS_OK) return status;
	return metrics_file_start(&s->metrics, s->io, METRICS_FILE_NAME, METRICS_FILE_PAUSE_US, &s->metrics_file, report);
}

static enum status start(struct server *s, struct report *report)
{
	sigset_t set;
	enum status status = io_posix_open(s->options->data, &s->io, report);

	if (status != STATUS_OK) return status;
	status = s->io->ops->lock(s->io, "lock", &s->lock);
	if (status == STATUS_LOCKED)
		return report_set(report, status, "the data folder %s is in use by another process: stop that one or choose another folder", s->options->data);
	if (status != STATUS_OK) return report_set(report, status, "cannot lock the data folder %s: %s", s->options->data, io_last_error());
	status = node_load(s->io, &s->node, report);
	if (status != STATUS_OK) return status;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	s->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (s->signals == -1) return report_set(report, STATUS_NO_MEMORY, "cannot watch for signals");
	prng_entropy(&s->incarnation, sizeof(s->incarnation));
	status = start_parts(s, report);
	if (status != STATUS_OK) return status;
	s->links.dropped = &s->counted.dropped_replies;
	status = links_open(&s->links, s->options->coordinators, s->options->coordinator_count, report);
	if (status != STATUS_OK) return status;
	status = start_metrics(s, report);
	if (status != STATUS_OK) return status;
	log_info("worker %s serves %s with %zu threads, kernels %s for vectors and %s for codes", s->worker_text, s->options->data, s->options->threads,
		vec_kernels()->name, code_kernels()->name);
	return STATUS_OK;
}

static void stop_took_too_long(int number)
{
	static const char text[] = "grove-worker: the clean stop took longer than 5 s: stopped at once; nothing acknowledged is lost\n";
	ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);

	(void)ignored;
	_exit(EXIT_FAILURE);
}

/* Also after a start that went only half way. */
static void stop(struct server *s)
{
	signal(SIGALRM, stop_took_too_long);
	alarm(STOP_SECONDS);
	if (s->metrics_file) levels_refresh(s); /* the shards are still open */
	if (s->parts.table) shard_table_stop(s->parts.table);
	background_free(&s->parts.background);
	if (s->parts.table) shard_table_close(s->parts.table);
	pool_free(&s->parts.pool);
	if (s->parts.replies) take_answers(s);
	for (uint64_t end = clock_us() + FLUSH_AT_STOP_US; links_flush(&s->links, clock_us()) && clock_us() < end;) clock_sleep_us(RETRY_SEND_US);
	links_close(&s->links);
	replies_free(&s->parts.replies);
	shard_table_free(&s->parts.table);
	metrics_file_stop(&s->metrics_file); /* all that is counted was counted */
	free(s->stalls);
	if (s->signals > 0) close(s->signals);
	if (s->io) s->io->ops->close(s->io, &s->lock);
	io_posix_close(&s->io);
	alarm(0);
}

enum status server_run(const struct server_options *options, struct report *report)
{
	struct server s = {.options = options, .signals = -1};

	require(options->threads >= 1 && options->coordinator_count >= 1 && options->coordinator_count <= COORDINATORS_MAX);
	enum status status = start(&s, report);
	if (status == STATUS_OK) {
		status = serve(&s);
		if (status == STATUS_OK)
			log_info("stopping");
		else
			report_set(report, status, "the worker cannot wait for its sockets: %s", status_text(status));
	}
	stop(&s);
	if (status == STATUS_OK) log_info("stopped");
	return status;
}
