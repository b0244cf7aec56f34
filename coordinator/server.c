/* server.c - see server.h.
 *
 * Order inside one turn: everything that has arrived is drained (a bounded number from each socket), the workers' socket
 * first, and only then does time pass for the core. After the process was stopped for a while the beats that wait in the
 * socket are thus heard before anyone is called dead.
 *
 * At the end: everything under way is answered, the store finishes what it was given and is closed. A disk may hang, so a timer
 * ends the process after STOP_SECONDS. */
#include "coordinator/server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "common/metrics_file.h"
#include "common/net.h"
#include "coordinator/core.h"
#include "coordinator/meta.h"
#include "coordinator/shard_map.h"
#include "proto/bundle.h"

#define META_ANSWERS "meta-answers"
enum {
	CLIENT_HWM = 256,  /* messages queued for one client that does not read (and CLIENT_WAITING_MAX bytes): then its answers are dropped */
	WORKER_HWM = 4096, /* a new index may ask a worker for thousands of shards at once */
	DRAIN_CLIENTS = 64, /* messages taken from a socket in one turn */
	DRAIN_WORKERS = 1024,
	STOP_LINGER_MS = 1000, /* for the last answers at a clean stop */
	STOP_SECONDS = 5,      /* after that the process ends whatever hangs */
};

enum { SOCKET_TCP, SOCKET_IPC, SOCKET_WORKERS, SOCKET_COUNT };
enum { POLL_COUNT = SOCKET_COUNT + 2 }; /* and the store's answers, and signals */

struct server {
	struct net *net;
	struct net_socket *sockets[SOCKET_COUNT]; /* SOCKET_IPC may be NULL */
	struct net_inbox *answers;
	struct meta_store *store; /* until the thread takes it */
	struct meta_thread *meta;
	struct io *io;
	struct io_file *lock;
	int signal_fd;
	struct core *core;
	struct uuid cluster;
	struct counter dropped_replies;
	uint64_t dropped_logged_us;
	char cluster_text[UUID_TEXT_SIZE];
	struct metrics metrics;
	struct metrics_file *metrics_file;
};

/* ---- the core's outputs ---- */

static enum status to_worker(void *arg, const struct net_peer *peer, const struct net_frame *frames, size_t count)
{
	struct server *s = arg;
	return net_send(s->sockets[SOCKET_WORKERS], peer, false, frames, count);
}

static enum status to_client(void *arg, const struct client_address *client, const struct net_frame *frames, size_t count)
{
	struct server *s = arg;
	enum status status = net_send(s->sockets[client->socket], &client->peer, client->delimiter, frames, count);
	uint64_t now = clock_us();
	if (status == STATUS_OK || bundle_is(frames, count)) return status; /* those of a bundle come again, one by one */
	counter_add(&s->dropped_replies, 1);
	if (now - s->dropped_logged_us < 1000000) return status;
	s->dropped_logged_us = now;
	log_warn("%llu replies were dropped so far, the last because %s", (unsigned long long)counter_value(&s->dropped_replies),
		status == STATUS_BUSY ? "the client does not read" : "the client is gone");
	return status;
}

static enum status to_meta(void *arg, struct meta_commit **take)
{
	struct server *s = arg;
	return meta_thread_commit(s->meta, take);
}

static struct uuid random_uuid(void *arg) { return uuid_new(); }

/* ---- opening ---- */

static enum status folder_open(struct server *s, const char *data, struct report *report)
{
	enum status status = io_posix_open(data, &s->io, report);
	if (status != STATUS_OK) return status;
	status = s->io->ops->lock(s->io, "lock", &s->lock);
	if (status == STATUS_LOCKED)
		return report_set(report, status, "the data folder %s is in use by another process: stop it or choose another folder", data);
	if (status != STATUS_OK) return report_set(report, status, "the data folder %s cannot be locked: %s", data, io_last_error());
	return STATUS_OK;
}

/* The cluster's identity, made at the first start. */
static enum status cluster_load(struct server *s, struct report *report)
{
	struct meta_record record = {{0}, 0, NULL, 0};
	struct meta_commit *commit = NULL;
	struct buf value;
	buf_init(&value, 0);
	enum status status = s->store->ops->get(s->store, MAP_CLUSTER_KEY, &record, report);
	if (status == STATUS_OK) {
		status = cluster_record_decode(record.value, record.size, &s->cluster);
		if (status != STATUS_OK) report_set(report, status, "the metadata record '%s' is damaged: restore meta.sqlite from a copy", MAP_CLUSTER_KEY);
	} else if (status == STATUS_NOT_FOUND) {
		struct uuid cluster = uuid_new();
		status = cluster_record_encode(cluster, &value);
		commit = status == STATUS_OK ? calloc(1, sizeof(*commit)) : NULL;
		if (!commit) {
			status = report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
			goto out;
		}
		snprintf(commit->changes[0].key, sizeof(commit->changes[0].key), "%s", MAP_CLUSTER_KEY);
		buf_detach(&value, &commit->changes[0].value, &commit->changes[0].size);
		commit->count = 1;
		s->store->ops->commit(s->store, commit);
		status = commit->report.status;
		if (status == STATUS_OK)
			s->cluster = cluster;
		else if (report)
			*report = commit->report;
	}
out:
	free(record.value);
	meta_commit_free(&commit);
	buf_release(&value);
	return status;
}

static enum status core_open(struct server *s, struct report *report)
{
	struct core_outputs outputs = {s, to_worker, to_client, to_meta, random_uuid};
	struct meta_record *records = NULL;
	size_t count = 0;
	enum status status = cluster_load(s, report);
	if (status != STATUS_OK) return status;
	status = core_new(s->cluster, &outputs, clock_us(), &s->core);
	if (status != STATUS_OK) return report_set(report, status, "%s", status_text(status));
	status = s->store->ops->list(s->store, "", &records, &count, report);
	for (size_t i = 0; i < count && status == STATUS_OK; i++) status = core_load(s->core, &records[i], report);
	meta_records_free(&records, count);
	return status;
}

static enum status socket_open(struct server *s, int which, size_t max_frame, int hwm, const char *endpoint, struct report *report)
{
	enum status status = net_open(s->net, NET_ROUTER, max_frame, hwm, &s->sockets[which]);
	if (status != STATUS_OK) return report_set(report, status, "no socket for %s: %s", endpoint, status_text(status));
	if (which != SOCKET_WORKERS) net_bound_waiting(s->sockets[which], CLIENT_WAITING_MAX);
	return net_bind(s->sockets[which], endpoint, report);
}

static enum status sockets_open(struct server *s, const struct server_options *options, struct report *report)
{
	char path[512], client[256], worker[256];
	enum status status = socket_open(s, SOCKET_TCP, CLIENT_FRAME_MAX, CLIENT_HWM, options->listen, report);
	if (status == STATUS_OK) status = socket_open(s, SOCKET_WORKERS, PEER_FRAME_MAX, WORKER_HWM, options->workers_listen, report);
	if (status == STATUS_OK && options->ipc) {
		snprintf(path, sizeof(path), "ipc://%s", options->ipc);
		status = socket_open(s, SOCKET_IPC, CLIENT_FRAME_MAX, CLIENT_HWM, path, report);
	}
	if (status != STATUS_OK) return status;
	/* With port * the system chose one: that is what has to be told. */
	status = net_endpoint(s->sockets[SOCKET_TCP], client, sizeof(client));
	if (status == STATUS_OK) status = net_endpoint(s->sockets[SOCKET_WORKERS], worker, sizeof(worker));
	if (status != STATUS_OK) return report_set(report, status, "the sockets do not tell their names: %s", status_text(status));
	log_info("listening for clients on %s%s%s, for workers on %s", client, options->ipc ? " and ipc://" : "", options->ipc ? options->ipc : "", worker);
	return STATUS_OK;
}

static enum status signals_open(struct server *s, struct report *report)
{
	sigset_t wanted;
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGINT);
	sigprocmask(SIG_BLOCK, &wanted, NULL);
	signal(SIGPIPE, SIG_IGN); /* a log whose reader is gone must not end the cluster */
	signal(SIGXFSZ, SIG_IGN); /* a file past the process's size limit is a failed write (EFBIG), with a sentence */
	s->signal_fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0) return report_set(report, STATUS_IO, "signalfd: %s", strerror(errno));
	return STATUS_OK;
}

/* All names, and the file that tells the values. */
static enum status metrics_open(struct server *s, struct report *report)
{
	struct metrics_label which = {"cluster", s->cluster_text};
	struct metrics_series dropped = {.name = "grove_coordinator_dropped_replies_total", .counter = &s->dropped_replies,
		.help = "Replies that a client did not take: it does not read, or is gone."};
	uuid_text(s->cluster, s->cluster_text);
	enum status status = metrics_init(&s->metrics, &which, report);
	if (status == STATUS_OK) status = metrics_add(&s->metrics, &dropped, report);
	if (status == STATUS_OK) status = core_metrics_register(core_metrics(s->core), &s->metrics, report);
	if (status != STATUS_OK) return status;
	return metrics_file_start(&s->metrics, s->io, METRICS_FILE_NAME, METRICS_FILE_PAUSE_US, &s->metrics_file, report);
}

enum status server_open(const struct server_options *options, struct server **ret, struct report *report)
{
	struct server *s = calloc(1, sizeof(*s));
	char path[4096];
	if (!s) return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	s->signal_fd = -1;
	/* Signals are blocked before any thread exists, so that all inherit it. */
	enum status status = signals_open(s, report);
	if (status == STATUS_OK) status = folder_open(s, options->data, report);
	if (status == STATUS_OK && (size_t)snprintf(path, sizeof(path), "%s/meta.sqlite", options->data) >= sizeof(path))
		status = report_set(report, STATUS_LIMIT, "the path of the data folder passes %zu bytes", sizeof(path));
	if (status == STATUS_OK) status = meta_sqlite_open(path, &s->store, report);
	if (status == STATUS_OK) status = core_open(s, report);
	if (status == STATUS_OK && net_new(&s->net) != STATUS_OK) status = report_set(report, STATUS_NO_MEMORY, "no ZeroMQ context");
	if (status == STATUS_OK) status = sockets_open(s, options, report);
	if (status != STATUS_OK) goto out;
	status = net_inbox_open(s->net, META_ANSWERS, &s->answers);
	if (status == STATUS_OK) status = meta_thread_start(s->net, &s->store, META_ANSWERS, &s->meta);
	if (status != STATUS_OK) {
		report_set(report, status, "the metadata thread could not be started: %s", status_text(status));
		goto out;
	}
	status = metrics_open(s, report);
	if (status != STATUS_OK) goto out;
	*ret = s;
	s = NULL;
out:
	server_close(&s);
	return status;
}

/* A commit that is not on the disk was not answered. */
static void stop_took_too_long(int number)
{
	static const char text[] = "grove-coordinator: the clean stop took longer than 5 s: stopped at once; nothing acknowledged is lost\n";
	ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);
	(void)ignored;
	_exit(EXIT_FAILURE);
}

void server_close(struct server **server)
{
	struct server *s = *server;
	void *left;
	if (!s) return;
	signal(SIGALRM, stop_took_too_long);
	alarm(STOP_SECONDS);
	meta_thread_stop(&s->meta);
	if (s->store) s->store->ops->close(&s->store);
	while (s->answers && (left = net_take(s->answers)) != NULL) {
		/* Its change belongs to the core, which frees it. */
		struct meta_commit *commit = left;
		meta_commit_free(&commit);
	}
	net_inbox_close(&s->answers);
	for (int i = 0; i < SOCKET_COUNT; i++) net_close(&s->sockets[i]);
	net_free(&s->net);
	metrics_file_stop(&s->metrics_file); /* it reads what the core counted */
	core_free(&s->core);
	if (s->lock) s->io->ops->close(s->io, &s->lock);
	io_posix_close(&s->io);
	if (s->signal_fd >= 0) close(s->signal_fd);
	free(s);
	*server = NULL;
	alarm(0);
}

/* ---- running ---- */

/* A worker's message, or each of those that it put in one. What is no good bundle is for the core to refuse as it does any bad message. */
static void worker_message(struct server *s, const struct net_message *m)
{
	struct bundle_reader bundle;
	struct net_frame frames[FRAMES_MAX];
	struct report report;
	size_t count;
	if (!bundle_is(m->frames, m->count) || bundle_open(m->frames, m->count, &bundle, &report) != STATUS_OK) {
		core_on_worker(s->core, &m->peer, m->frames, m->count, clock_us());
		return;
	}
	for (uint64_t now = clock_us(); bundle_next(&bundle, frames, &count);) core_on_worker(s->core, &m->peer, frames, count, now);
}

/* What is left over here is ready at once when the loop waits again. */
static void workers_drain(struct server *s)
{
	for (int i = 0; i < DRAIN_WORKERS; i++) {
		struct net_message m = {0};
		enum status status = net_receive(s->sockets[SOCKET_WORKERS], &m);
		if (status == STATUS_OK) worker_message(s, &m);
		net_message_release(&m);
		if (status == STATUS_NOT_FOUND) return;
		if (status != STATUS_OK && status != STATUS_LIMIT) log_warn("receiving from a worker failed: %s", status_name(status));
	}
}

/* A client's message, or each of those that it put in one; how many they are. What is no good bundle is for the core to refuse as it does any bad message. */
static int client_message(struct server *s, struct client_address *client, const struct net_message *m)
{
	struct bundle_reader bundle;
	struct net_frame frames[FRAMES_MAX];
	struct report report;
	uint64_t now = clock_us();
	size_t count;
	int n = 0;
	if (!bundle_is(m->frames, m->count) || bundle_open(m->frames, m->count, &bundle, &report) != STATUS_OK) {
		core_on_client(s->core, client, m->frames, m->count, now);
		return 1;
	}
	client->bundled = true;
	for (; bundle_next(&bundle, frames, &count); n++) core_on_client(s->core, client, frames, count, now);
	return n;
}

static void clients_drain(struct server *s, uint32_t which)
{
	for (int i = 0; i < DRAIN_CLIENTS;) {
		struct net_message m = {0};
		enum status status = net_receive(s->sockets[which], &m);
		struct client_address client = {.socket = which, .delimiter = m.delimiter, .peer = m.peer};
		i += status == STATUS_OK ? client_message(s, &client, &m) : 1;
		if (status == STATUS_LIMIT) core_on_client_oversized(s->core, &client, clock_us());
		net_message_release(&m);
		if (status == STATUS_NOT_FOUND) return;
		if (status != STATUS_OK && status != STATUS_LIMIT) log_warn("receiving from a client failed: %s", status_name(status));
	}
}

static void answers_drain(struct server *s)
{
	void *answer;
	while ((answer = net_take(s->answers)) != NULL) {
		struct meta_commit *commit = answer;
		core_on_meta(s->core, &commit, clock_us());
	}
}

enum status server_run(struct server *s, struct report *report)
{
	struct net_poll poll[POLL_COUNT];
	uint32_t which[SOCKET_COUNT], sockets = 0;
	for (uint32_t i = 0; i < SOCKET_COUNT; i++) {
		if (!s->sockets[i]) continue;
		which[sockets] = i;
		poll[sockets++] = (struct net_poll){.socket = s->sockets[i], .fd = -1};
	}
	struct net_poll *answers = &poll[sockets], *signals = answers + 1;
	*answers = (struct net_poll){.inbox = s->answers, .fd = -1};
	*signals = (struct net_poll){.fd = s->signal_fd};
	for (;;) {
		uint64_t now = clock_us(), next = core_next_us(s->core);
		enum status status = net_wait(poll, sockets + 2, next <= now ? 0 : next - now);
		if (status != STATUS_OK) return report_set(report, status, "waiting for messages failed: %s", status_text(status));
		if (signals->ready) {
			log_info("stopping");
			core_stop(s->core, clock_us());
			for (int i = 0; i < SOCKET_COUNT; i++)
				if (s->sockets[i]) net_set_linger(s->sockets[i], STOP_LINGER_MS);
			return STATUS_OK;
		}
		workers_drain(s); /* ready or not: a beat may have come since */
		if (answers->ready) answers_drain(s);
		for (uint32_t i = 0; i < sockets; i++)
			if (poll[i].ready && which[i] != SOCKET_WORKERS) clients_drain(s, which[i]);
		core_tick(s->core, clock_us());
	}
}
