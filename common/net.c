/* net.c - ZeroMQ behind net.h.
 *
 * What libzmq 4.3.4 does by default and we do not want: it drops silently at a ROUTER (MANDATORY), queues for peers that are not there
 * (IMMEDIATE), accepts frames of any size (MAXMSGSIZE), blocks at exit (LINGER), and does not notice a cut cable (HEARTBEAT). A multipart
 * message is queued whole before we can refuse it, so parts past FRAMES_MAX are read, counted as too many, and dropped.
 *
 * ZeroMQ bounds what waits for a peer by messages only. Where bytes count as well (net_bound_waiting), the larger parts go out in memory of
 * ours that libzmq gives back once it has written them or given the peer up (net_waiting.h): until then they count as waiting.
 *
 * Mailboxes are inproc PUSH -> PULL with a pointer as the message. libzmq is not instrumented for ThreadSanitizer, so the hand-over
 * is announced by hand: released before the send, acquired after the receive. */
#include "common/net.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zmq.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/net_waiting.h"
#include "common/prng.h"

#if defined(__SANITIZE_THREAD__)
#define HAS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_TSAN 1
#endif
#endif
#ifdef HAS_TSAN
void __tsan_release(void *address);
void __tsan_acquire(void *address);
#define HAND_OVER(p) __tsan_release(p)
#define TAKE_OVER(p) __tsan_acquire(p)
#else
#define HAND_OVER(p) ((void)(p))
#define TAKE_OVER(p) ((void)(p))
#endif

enum {
	HEARTBEAT_MS = 1000,
	HEARTBEAT_TIMEOUT_MS = 3000,
	HANDSHAKE_MS = 5000,
	RECONNECT_MS = 100,
	RECONNECT_MAX_MS = 5000,
	LISTEN_BACKLOG = 512,
	MAILBOX_HWM = 1000000,
};

struct net { void *context; };
/* A ZeroMQ socket as a file: readable once something may have happened to it. Only then, or after a call that may have taken the news
 * (`quiet` is false: any but a receive that found nothing), the socket itself is asked: a look costs a system call for each socket, and most wait on others. */
struct source { void *zmq; int fd; bool quiet; };

struct net_socket {
	void *zmq;
	enum net_kind kind;
	struct source source;
	struct net_waiting waiting;
};
struct net_inbox { void *zmq; struct source source; };
struct net_outbox { void *zmq; };

enum status net_new(struct net **ret)
{
	struct net *net = malloc(sizeof(*net));

	if (!net) return STATUS_NO_MEMORY;
	net->context = zmq_ctx_new();
	if (!net->context) {
		free(net);
		return STATUS_NO_MEMORY;
	}
	*ret = net;
	return STATUS_OK;
}

void net_free(struct net **net)
{
	if (!*net) return;
	while (zmq_ctx_term((*net)->context) == -1 && errno == EINTR) continue;
	free(*net);
	*net = NULL;
}

static bool source_init(struct source *source, void *zmq)
{
	size_t size = sizeof(source->fd);

	*source = (struct source){.zmq = zmq};
	return zmq_getsockopt(zmq, ZMQ_FD, &source->fd, &size) == 0;
}

static bool set_int(void *zmq, int option, int value) { return zmq_setsockopt(zmq, option, &value, sizeof(value)) == 0; }

static bool set_options(void *zmq, enum net_kind kind, size_t max_frame, int hwm)
{
	int64_t max = (int64_t)max_frame;
	struct prng p;
	uint64_t seed;

	/* Each process comes back at its own pace, so that a restarted server is not met by all at once. */
	prng_entropy(&seed, sizeof(seed));
	prng_seed(&p, seed);
	bool ok = zmq_setsockopt(zmq, ZMQ_MAXMSGSIZE, &max, sizeof(max)) == 0 && set_int(zmq, ZMQ_SNDHWM, hwm) && set_int(zmq, ZMQ_RCVHWM, hwm) &&
		set_int(zmq, ZMQ_LINGER, 0) && set_int(zmq, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS) && set_int(zmq, ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS) &&
		set_int(zmq, ZMQ_HEARTBEAT_TTL, HEARTBEAT_TIMEOUT_MS) && set_int(zmq, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) && set_int(zmq, ZMQ_BACKLOG, LISTEN_BACKLOG) &&
		set_int(zmq, ZMQ_RECONNECT_IVL, RECONNECT_MS + (int)prng_below(&p, RECONNECT_MS)) && set_int(zmq, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS) &&
		set_int(zmq, ZMQ_TCP_KEEPALIVE, 1) && set_int(zmq, ZMQ_IPV6, 1);
	return ok && set_int(zmq, kind == NET_ROUTER ? ZMQ_ROUTER_MANDATORY : ZMQ_IMMEDIATE, 1);
}

enum status net_open(struct net *net, enum net_kind kind, size_t max_frame, int hwm, struct net_socket **ret)
{
	struct net_socket *s = calloc(1, sizeof(*s));

	if (!s) return STATUS_NO_MEMORY;
	s->kind = kind;
	s->zmq = zmq_socket(net->context, kind == NET_ROUTER ? ZMQ_ROUTER : ZMQ_DEALER);
	if (!s->zmq || !set_options(s->zmq, kind, max_frame, hwm) || !source_init(&s->source, s->zmq)) {
		net_close(&s);
		return STATUS_NO_MEMORY;
	}
	*ret = s;
	return STATUS_OK;
}

void net_bound_waiting(struct net_socket *s, size_t max_bytes)
{
	require(s->kind == NET_ROUTER);
	s->waiting.max = max_bytes;
}

void net_close(struct net_socket **s)
{
	if (!*s) return;
	if ((*s)->zmq) zmq_close((*s)->zmq);
	net_waiting_release(&(*s)->waiting);
	free(*s);
	*s = NULL;
}

void net_set_linger(struct net_socket *s, int ms) { (void)set_int(s->zmq, ZMQ_LINGER, ms); }

/* libzmq takes port 70000 and means 4464. */
static bool port_possible(const char *endpoint)
{
	const char *port = strrchr(endpoint, ':');

	if (strncmp(endpoint, "tcp://", 6) || !port || !strcmp(port, ":*")) return true;
	return strspn(port + 1, "0123456789") == strlen(port + 1) && strlen(port + 1) <= 5 && atol(port + 1) <= UINT16_MAX;
}

static enum status refuse_port(const char *endpoint, struct report *report)
{
	return report_set(report, STATUS_UNAVAILABLE, "%s has no port from 1 to 65535; an address looks like tcp://127.0.0.1:7600", endpoint);
}

enum status net_bind(struct net_socket *s, const char *endpoint, struct report *report)
{
	if (!port_possible(endpoint)) return refuse_port(endpoint, report);
	/* An ipc socket is as private as its owner's files. */
	mode_t mask = umask(0077);
	s->source.quiet = false;
	int rc = zmq_bind(s->zmq, endpoint), error = errno;
	umask(mask);
	if (rc == 0) return STATUS_OK;
	if (error == EADDRINUSE)
		return report_set(report, STATUS_EXISTS, "%s is in use by another process: stop it, or choose another port", endpoint);
	return report_set(report, STATUS_UNAVAILABLE, "cannot listen on %s: %s; an address looks like tcp://127.0.0.1:7600", endpoint, zmq_strerror(error));
}

enum status net_connect(struct net_socket *s, const char *endpoint, struct report *report)
{
	if (!port_possible(endpoint)) return refuse_port(endpoint, report);
	s->source.quiet = false;
	if (zmq_connect(s->zmq, endpoint) == 0) return STATUS_OK;
	return report_set(report, STATUS_UNAVAILABLE, "cannot connect to %s: %s; an address looks like tcp://127.0.0.1:7600", endpoint, zmq_strerror(errno));
}

enum status net_disconnect(struct net_socket *s, const char *endpoint)
{
	s->source.quiet = false;
	return zmq_disconnect(s->zmq, endpoint) == 0 ? STATUS_OK : STATUS_NOT_FOUND;
}

enum status net_endpoint(struct net_socket *s, char *out, size_t size)
{
	static const char mapped[] = "tcp://[::ffff:";
	unsigned a, b, c, d, port;

	if (zmq_getsockopt(s->zmq, ZMQ_LAST_ENDPOINT, out, &size) == -1) return STATUS_NOT_FOUND;
	/* An IPv6 socket on an IPv4 address: as people write it. It only gets shorter. */
	if (!strncmp(out, mapped, sizeof(mapped) - 1) && sscanf(out + sizeof(mapped) - 1, "%u.%u.%u.%u]:%u", &a, &b, &c, &d, &port) == 5)
		sprintf(out, "tcp://%u.%u.%u.%u:%u", a, b, c, d, port);
	return STATUS_OK;
}

bool net_is_local(const char *endpoint)
{
	const char *host;
	unsigned a, b, c, d;
	int end = 0;

	if (!strncmp(endpoint, "ipc://", 6) || !strncmp(endpoint, "inproc://", 9)) return true;
	if (strncmp(endpoint, "tcp://", 6)) return false;
	host = endpoint + 6;
	if (strchr(host, ';')) return false; /* "source;destination" */
	if (!strncmp(host, "[::1]:", 6) || !strncmp(host, "localhost:", 10)) return true;
	return sscanf(host, "%u.%u.%u.%u:%n", &a, &b, &c, &d, &end) == 4 && end > 0 && a == 127 && b <= 255 && c <= 255 && d <= 255;
}

bool net_peer_equal(const struct net_peer *a, const struct net_peer *b) { return a->size == b->size && !memcmp(a->bytes, b->bytes, a->size); }

/* ---- messages ---- */

static enum status send_status(void)
{
	if (errno == EAGAIN) return STATUS_BUSY;
	if (errno == EHOSTUNREACH) return STATUS_UNAVAILABLE;
	return errno == ENOMEM ? STATUS_NO_MEMORY : STATUS_UNAVAILABLE;
}

/* A signal may come between any two parts, and a message left in its middle would be taken for the beginning of the next one. */
static bool send_bytes(void *zmq, const void *bytes, size_t n, int flags)
{
	int rc;

	while ((rc = zmq_send(zmq, bytes, n, flags | ZMQ_DONTWAIT)) == -1 && errno == EINTR) continue;
	return rc != -1;
}

static bool send_part(void *zmq, zmq_msg_t *part, int flags)
{
	int rc;

	while ((rc = zmq_msg_send(part, zmq, flags | ZMQ_DONTWAIT)) == -1 && errno == EINTR) continue;
	return rc != -1;
}

static bool receive_part(void *zmq, zmq_msg_t *part)
{
	int rc;

	while ((rc = zmq_msg_recv(part, zmq, ZMQ_DONTWAIT)) == -1 && errno == EINTR) continue;
	return rc != -1;
}

/* A part's bytes, counted for `w` if it is not NULL. */
static bool part_init(zmq_msg_t *part, const struct net_frame *frame, struct waiting *w)
{
	if (w && frame->size >= COUNTED_PART_MIN) {
		struct counted_part *counted = counted_part_new(w, frame);
		if (!counted) return false;
		if (zmq_msg_init_data(part, counted->bytes, frame->size, counted_part_free, counted) == 0) return true;
		counted_part_free(counted->bytes, counted);
		return false;
	}
	if (zmq_msg_init_size(part, frame->size) == -1) return false;
	if (frame->size) memcpy(zmq_msg_data(part), frame->bytes, frame->size);
	return true;
}

enum status net_send(struct net_socket *s, const struct net_peer *peer, bool delimiter, const struct net_frame *frames, size_t count)
{
	struct waiting *waiting = NULL;
	bool first = true;
	size_t i = 0;

	require(count >= 1 && count <= FRAMES_MAX && (s->kind == NET_ROUTER) == (peer != NULL));
	s->source.quiet = false; /* sending may take in that something arrived */
	enum status admitted = peer ? net_waiting_admit(&s->waiting, peer, frames, count, &waiting) : STATUS_OK;
	if (admitted != STATUS_OK) return admitted;
	/* Only the first part can be refused: libzmq takes or refuses a message as a whole. */
	if (peer) {
		if (!send_bytes(s->zmq, peer->bytes, peer->size, ZMQ_SNDMORE)) return send_status();
		first = false;
	}
	if (delimiter) {
		if (!send_bytes(s->zmq, "", 0, ZMQ_SNDMORE)) return send_status();
		first = false;
	}
	for (; i < count; i++) {
		zmq_msg_t part;
		if (!part_init(&part, &frames[i], waiting)) break;
		if (!send_part(s->zmq, &part, i + 1 < count ? ZMQ_SNDMORE : 0)) {
			enum status status = send_status();
			zmq_msg_close(&part);
			/* In the midst of a message it means that the connection went: libzmq has taken the first parts back. */
			return first ? status : STATUS_UNAVAILABLE;
		}
		first = false;
	}
	if (i == count) return STATUS_OK;
	/* Out of memory inside a message: end it with an empty frame, which no decoder accepts, so that the stream stays in step. */
	if (!first) (void)send_bytes(s->zmq, "", 0, 0);
	return STATUS_NO_MEMORY;
}

struct owned_frames { _Atomic uint32_t owners; size_t count; zmq_msg_t parts[FRAMES_MAX]; };

static void owned_free(struct owned_frames **owned)
{
	if (!*owned || atomic_fetch_sub(&(*owned)->owners, 1) > 1) return;
	for (size_t i = 0; i < (*owned)->count; i++) zmq_msg_close(&(*owned)->parts[i]);
	free(*owned);
	*owned = NULL;
}

static bool has_more(zmq_msg_t *part) { return zmq_msg_more(part) != 0; }

/* Read and drop the rest of a message. */
static void skip_rest(void *zmq)
{
	zmq_msg_t part;

	for (bool more = true; more;) {
		zmq_msg_init(&part);
		more = receive_part(zmq, &part) && has_more(&part);
		zmq_msg_close(&part);
	}
}

enum status net_receive(struct net_socket *s, struct net_message *ret)
{
	struct net_message m = {0};
	struct owned_frames *owned = NULL;
	enum status status = STATUS_OK;
	zmq_msg_t part;
	bool more, begun = false;

	zmq_msg_init(&part);
	s->source.quiet = !receive_part(s->zmq, &part);
	if (s->source.quiet) {
		zmq_msg_close(&part);
		return STATUS_NOT_FOUND;
	}
	more = has_more(&part);
	if (s->kind == NET_ROUTER) {
		m.peer.size = (uint8_t)zmq_msg_size(&part);
		memcpy(m.peer.bytes, zmq_msg_data(&part), m.peer.size);
		begun = true;
	}
	owned = malloc(sizeof(*owned));
	if (!owned) {
		status = STATUS_NO_MEMORY;
	} else {
		atomic_init(&owned->owners, 1);
		owned->count = 0;
	}
	while (status == STATUS_OK && (more || !begun)) {
		if (begun) {
			zmq_msg_close(&part);
			zmq_msg_init(&part);
			if (!receive_part(s->zmq, &part)) { /* libzmq hands over whole messages, so the context is going */
				more = false;
				status = STATUS_NOT_FOUND;
				break;
			}
			more = has_more(&part);
		}
		begun = true;
		if (owned->count == 0 && !m.delimiter && more && zmq_msg_size(&part) == 0) {
			m.delimiter = true;
			continue;
		}
		if (owned->count == FRAMES_MAX) {
			status = STATUS_LIMIT;
			break;
		}
		zmq_msg_init(&owned->parts[owned->count]);
		zmq_msg_move(&owned->parts[owned->count++], &part);
	}
	zmq_msg_close(&part);
	if (status != STATUS_OK) {
		if (more) skip_rest(s->zmq);
		owned_free(&owned);
		ret->peer = m.peer;
		ret->delimiter = m.delimiter;
		return status;
	}
	m.count = owned->count;
	for (size_t i = 0; i < m.count; i++) m.frames[i] = (struct net_frame){zmq_msg_data(&owned->parts[i]), zmq_msg_size(&owned->parts[i])};
	m.owned = owned;
	*ret = m;
	return STATUS_OK;
}

void net_message_release(struct net_message *m)
{
	struct owned_frames *owned = m->owned;

	owned_free(&owned);
	*m = (struct net_message){0};
}

void net_message_share(const struct net_message *m, const struct net_frame *frames, size_t count, struct net_message *ret)
{
	struct owned_frames *owned = m->owned;

	require(count <= FRAMES_MAX);
	*ret = (struct net_message){.peer = m->peer, .delimiter = m->delimiter, .count = count, .owned = owned};
	memcpy(ret->frames, frames, count * sizeof(*frames));
	if (owned) atomic_fetch_add(&owned->owners, 1);
}

void net_message_move(struct net_message *to, struct net_message *from)
{
	*to = *from;
	*from = (struct net_message){0};
}

/* ---- mailboxes ---- */

static enum status open_mailbox(struct net *net, int type, const char *name, void **ret)
{
	char endpoint[128];
	int n = snprintf(endpoint, sizeof(endpoint), "inproc://%s", name);
	void *zmq = zmq_socket(net->context, type);

	require(n > 0 && n < (int)sizeof(endpoint));
	if (!zmq) return STATUS_NO_MEMORY;
	if (!set_int(zmq, ZMQ_LINGER, 0) || !set_int(zmq, type == ZMQ_PULL ? ZMQ_RCVHWM : ZMQ_SNDHWM, MAILBOX_HWM) ||
		(type == ZMQ_PULL ? zmq_bind(zmq, endpoint) : zmq_connect(zmq, endpoint)) == -1) {
		zmq_close(zmq);
		return STATUS_NO_MEMORY;
	}
	*ret = zmq;
	return STATUS_OK;
}

enum status net_inbox_open(struct net *net, const char *name, struct net_inbox **ret)
{
	struct net_inbox *inbox = malloc(sizeof(*inbox));
	enum status status = inbox ? open_mailbox(net, ZMQ_PULL, name, &inbox->zmq) : STATUS_NO_MEMORY;

	if (status == STATUS_OK && !source_init(&inbox->source, inbox->zmq)) {
		zmq_close(inbox->zmq);
		status = STATUS_NO_MEMORY;
	}
	if (status == STATUS_OK)
		*ret = inbox;
	else
		free(inbox);
	return status;
}

enum status net_outbox_open(struct net *net, const char *name, struct net_outbox **ret)
{
	struct net_outbox *outbox = malloc(sizeof(*outbox));
	enum status status = outbox ? open_mailbox(net, ZMQ_PUSH, name, &outbox->zmq) : STATUS_NO_MEMORY;

	if (status == STATUS_OK)
		*ret = outbox;
	else
		free(outbox);
	return status;
}

void net_inbox_close(struct net_inbox **inbox)
{
	if (!*inbox) return;
	zmq_close((*inbox)->zmq);
	free(*inbox);
	*inbox = NULL;
}

void net_outbox_close(struct net_outbox **outbox)
{
	if (!*outbox) return;
	zmq_close((*outbox)->zmq);
	free(*outbox);
	*outbox = NULL;
}

enum status net_post(struct net_outbox *outbox, void **take)
{
	void *p = *take;

	HAND_OVER(p);
	while (zmq_send(outbox->zmq, &p, sizeof(p), 0) == -1)
		if (errno != EINTR) return STATUS_UNAVAILABLE;
	*take = NULL;
	return STATUS_OK;
}

void *net_take(struct net_inbox *inbox)
{
	void *p = NULL;
	int n;

	while ((n = zmq_recv(inbox->zmq, &p, sizeof(p), ZMQ_DONTWAIT)) == -1 && errno == EINTR) continue;
	inbox->source.quiet = n == -1;
	if (n == -1) return NULL;
	require(n == (int)sizeof(p));
	TAKE_OVER(p);
	return p;
}

/* ---- waiting ---- */

enum { POLL_MAX = 64 };

static struct source *source_of(const struct net_poll *item)
{
	return item->socket ? &item->socket->source : item->inbox ? &item->inbox->source : NULL;
}

/* Ask the socket itself. False: it fails. */
static bool source_look(struct source *source, bool *ret_ready)
{
	int events;
	size_t size = sizeof(events);

	if (zmq_getsockopt(source->zmq, ZMQ_EVENTS, &events, &size) == -1) return errno == EINTR;
	*ret_ready = events & ZMQ_POLLIN;
	source->quiet = !*ret_ready;
	return true;
}

/* Look at all without waiting for any longer than timeout_us. *ret_any: something is ready. */
static enum status wait_once(struct net_poll *items, size_t count, uint64_t timeout_us, bool *ret_any)
{
	struct pollfd polled[POLL_MAX];
	struct timespec most = {.tv_sec = (time_t)(timeout_us / 1000000), .tv_nsec = (long)(timeout_us % 1000000) * 1000}, none = {0};
	bool any = false;

	for (size_t i = 0; i < count; i++) {
		struct source *source = source_of(&items[i]);
		items[i].ready = false;
		if (source && !source->quiet && !source_look(source, &items[i].ready)) return STATUS_IO;
		any |= items[i].ready;
		polled[i] = (struct pollfd){.fd = source ? source->fd : items[i].fd, .events = POLLIN};
	}
	int n = ppoll(polled, count, any ? &none : timeout_us == UINT64_MAX ? NULL : &most, NULL);
	if (n == -1 && errno != EINTR) return STATUS_IO;
	for (size_t i = 0; i < count && n > 0; i++) {
		struct source *source = source_of(&items[i]);
		if (items[i].ready || !polled[i].revents) continue;
		if (!source)
			items[i].ready = polled[i].revents & POLLIN;
		else if (!source_look(source, &items[i].ready))
			return STATUS_IO;
		any |= items[i].ready;
	}
	*ret_any = any || n <= 0;
	return STATUS_OK;
}

enum status net_wait(struct net_poll *items, size_t count, uint64_t timeout_us)
{
	uint64_t begun = timeout_us && timeout_us != UINT64_MAX ? clock_us() : 0;
	bool over = false;

	if (count > POLL_MAX) return STATUS_LIMIT;
	for (uint64_t left = timeout_us; !over;) {
		enum status status = wait_once(items, count, left, &over);
		if (status != STATUS_OK) return status;
		if (over || timeout_us == UINT64_MAX) continue;
		/* What woke us was ZeroMQ's own affair. */
		uint64_t spent = timeout_us ? clock_us() - begun : 0;
		if (spent >= timeout_us) break;
		left = timeout_us - spent;
	}
	return STATUS_OK;
}
