/* Sockets keep to their limits whatever the other side sends, and say at once what cannot be sent; mailboxes lose nothing. The other
 * side is a plain ZeroMQ socket where a peer of our own could not misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include <zmq.h>

#include "common/clock.h"
#include "common/net.h"

enum { FRAME_CAP = 65536, HWM = 16, PATIENCE_US = 60000000 };

static struct net *net;
static struct net_socket *server;
static char endpoint[64];

/* What a test opened, closed also when it fails half-way: net_free() would wait for it. */
enum { OPENED_MAX = 16 };
static struct net_socket *opened[OPENED_MAX];
static size_t opened_count;

static struct net_socket *socket_open(enum net_kind kind)
{
	assert_true(opened_count < OPENED_MAX);
	assert_int_equal(net_open(net, kind, FRAME_CAP, HWM, &opened[opened_count]), STATUS_OK);
	return opened[opened_count++];
}

static int set_up(void **state)
{
	struct report report;

	if (net_new(&net) != STATUS_OK || net_open(net, NET_ROUTER, FRAME_CAP, HWM, &server) != STATUS_OK) return -1;
	if (net_bind(server, "tcp://127.0.0.1:*", &report) != STATUS_OK) return -1;
	return net_endpoint(server, endpoint, sizeof(endpoint)) == STATUS_OK ? 0 : -1;
}

static struct net_inbox *in;
static struct net_outbox *out;

static int tear_down(void **state)
{
	while (opened_count > 0) net_close(&opened[--opened_count]);
	net_outbox_close(&out);
	net_inbox_close(&in);
	net_close(&server);
	net_free(&net);
	return 0;
}

/* The next message, or a failed test; anything but a message is returned. */
static enum status next_message(struct net_socket *s, struct net_message *m)
{
	uint64_t until = clock_us() + PATIENCE_US;
	enum status status;

	while ((status = net_receive(s, m)) == STATUS_NOT_FOUND) {
		struct net_poll item = {.socket = s, .fd = -1};
		assert_true(clock_us() < until);
		assert_int_equal(net_wait(&item, 1, 100000), STATUS_OK);
	}
	return status;
}

static bool nothing_comes(struct net_socket *s, uint64_t for_us)
{
	struct net_poll item = {.socket = s, .fd = -1};

	assert_int_equal(net_wait(&item, 1, for_us), STATUS_OK);
	return !item.ready;
}

static struct net_socket *dealer_to(const char *where)
{
	struct net_socket *s = socket_open(NET_DEALER);
	struct report report;

	assert_int_equal(net_connect(s, where, &report), STATUS_OK);
	return s;
}

/* A DEALER takes nothing before it is connected. */
static void send_soon(struct net_socket *s, const struct net_peer *peer, const struct net_frame *frames, size_t count)
{
	uint64_t until = clock_us() + PATIENCE_US;
	enum status status;

	while ((status = net_send(s, peer, false, frames, count)) == STATUS_BUSY && clock_us() < until) clock_sleep_us(1000);
	assert_int_equal(status, STATUS_OK);
}

static struct net_frame text_frame(const char *text) { return (struct net_frame){(const uint8_t *)text, strlen(text)}; }

/* A stranger: a socket with ZeroMQ's defaults. */
struct stranger { void *context, *socket; };

static struct stranger stranger_open(int type)
{
	struct stranger s = {.context = zmq_ctx_new()};
	int zero = 0;

	s.socket = zmq_socket(s.context, type);
	assert_non_null(s.socket);
	assert_int_equal(zmq_setsockopt(s.socket, ZMQ_LINGER, &zero, sizeof(zero)), 0);
	assert_int_equal(zmq_connect(s.socket, endpoint), 0);
	return s;
}

static void stranger_close(struct stranger *s)
{
	zmq_close(s->socket);
	zmq_ctx_term(s->context);
}

/* ---- messages ---- */

static void frames_arrive_as_sent_up_to_the_limit_both_ways(void **state)
{
	struct net_socket *client = dealer_to(endpoint);
	struct net_frame frames[FRAMES_MAX];
	struct net_message m = {0}, moved = {0};
	uint8_t bytes[1000];

	for (size_t i = 0; i < sizeof(bytes); i++) bytes[i] = (uint8_t)(i * 7);
	for (size_t count = 1; count <= FRAMES_MAX; count++) {
		for (size_t i = 0; i < count; i++) frames[i] = (struct net_frame){bytes + i, i && i % 3 == 0 ? 0 : 1 + i * 100};
		send_soon(client, NULL, frames, count);
		assert_int_equal(next_message(server, &m), STATUS_OK);
		assert_true(m.peer.size > 0 && !m.delimiter);
		net_message_move(&moved, &m);
		assert_int_equal(m.count, 0);
		assert_int_equal(moved.count, count);
		for (size_t i = 0; i < count; i++) {
			assert_int_equal(moved.frames[i].size, frames[i].size);
			assert_memory_equal(moved.frames[i].bytes, frames[i].bytes, frames[i].size);
		}
		assert_int_equal(net_send(server, &moved.peer, false, moved.frames, moved.count), STATUS_OK);
		net_message_release(&moved);
		net_message_release(&m); /* moved away: nothing */
		assert_int_equal(next_message(client, &m), STATUS_OK);
		assert_int_equal(m.count, count);
		assert_int_equal(m.peer.size, 0);
		assert_memory_equal(m.frames[count - 1].bytes, frames[count - 1].bytes, frames[count - 1].size);
		net_message_release(&m);
	}
}

static void too_many_frames_are_dropped_and_the_next_message_is_whole(void **state)
{
	struct stranger s = stranger_open(ZMQ_DEALER);
	struct net_message m = {0};

	for (int extra = 1; extra <= 200; extra += 99) {
		for (int i = 0; i < FRAMES_MAX + extra; i++) assert_int_equal(zmq_send(s.socket, "x", 1, i + 1 < FRAMES_MAX + extra ? ZMQ_SNDMORE : 0), 1);
		assert_int_equal(zmq_send(s.socket, "whole", 5, 0), 5);
		assert_int_equal(next_message(server, &m), STATUS_LIMIT);
		assert_true(m.peer.size > 0);
		struct net_peer first = m.peer;
		assert_int_equal(next_message(server, &m), STATUS_OK);
		assert_int_equal(m.count, 1);
		assert_memory_equal(m.frames[0].bytes, "whole", 5);
		assert_true(net_peer_equal(&first, &m.peer));
		net_message_release(&m);
	}
	stranger_close(&s);
}

static void a_frame_past_its_limit_ends_the_connection_and_nothing_of_it_arrives(void **state)
{
	struct stranger s = stranger_open(ZMQ_DEALER);
	struct net_message m = {0};
	uint8_t *large = calloc(1, FRAME_CAP + 1);

	assert_non_null(large);
	assert_int_equal(zmq_send(s.socket, large, FRAME_CAP, 0), FRAME_CAP);
	assert_int_equal(next_message(server, &m), STATUS_OK);
	assert_int_equal(m.frames[0].size, FRAME_CAP);
	struct net_peer before = m.peer;
	net_message_release(&m);
	assert_int_equal(zmq_send(s.socket, large, FRAME_CAP + 1, 0), FRAME_CAP + 1);
	struct net_frame one = {large, 1};
	enum status status;
	for (uint64_t until = clock_us() + PATIENCE_US; (status = net_send(server, &before, false, &one, 1)) != STATUS_UNAVAILABLE && clock_us() < until;) clock_sleep_us(1000);
	assert_int_equal(status, STATUS_UNAVAILABLE);
	assert_true(nothing_comes(server, 100000));
	assert_int_equal(zmq_send(s.socket, "again", 5, 0), 5);
	assert_int_equal(next_message(server, &m), STATUS_OK);
	assert_int_equal(m.frames[0].size, 5);
	net_message_release(&m);
	stranger_close(&s);
	free(large);
}

static void a_requests_delimiter_is_told_and_goes_back_with_the_answer(void **state)
{
	struct stranger s = stranger_open(ZMQ_REQ);
	struct net_frame answer[2] = {text_frame("answer"), text_frame("more")};
	struct net_message m = {0};
	char got[16];

	for (int round = 0; round < 3; round++) {
		assert_int_equal(zmq_send(s.socket, "question", 8, 0), 8);
		assert_int_equal(next_message(server, &m), STATUS_OK);
		assert_true(m.delimiter);
		assert_int_equal(m.count, 1);
		assert_memory_equal(m.frames[0].bytes, "question", 8);
		assert_int_equal(net_send(server, &m.peer, m.delimiter, answer, 2), STATUS_OK);
		net_message_release(&m);
		assert_int_equal(zmq_recv(s.socket, got, sizeof(got), 0), 6);
		assert_memory_equal(got, "answer", 6);
		assert_int_equal(zmq_recv(s.socket, got, sizeof(got), 0), 4);
	}
	stranger_close(&s);
}

static void what_cannot_be_sent_is_told_at_once(void **state)
{
	struct net_frame hello = text_frame("hello");
	struct net_peer nobody = {.size = 5, .bytes = {0, 1, 2, 3, 4}};
	struct net_socket *client = socket_open(NET_DEALER);
	struct report report;

	assert_int_equal(net_send(server, &nobody, false, &hello, 1), STATUS_UNAVAILABLE);
	assert_int_equal(net_send(client, NULL, false, &hello, 1), STATUS_BUSY);
	assert_int_equal(net_connect(client, "tcp://127.0.0.1:1", &report), STATUS_OK); /* nobody listens: nothing is queued for later */
	assert_int_equal(net_send(client, NULL, false, &hello, 1), STATUS_BUSY);
	assert_int_equal(net_disconnect(client, "tcp://127.0.0.1:1"), STATUS_OK);
	assert_int_equal(net_disconnect(client, "tcp://127.0.0.1:1"), STATUS_NOT_FOUND);
}

/* Sends until the socket takes no more: how many it took. */
static unsigned fill(struct net_socket *s, const struct net_peer *peer)
{
	static uint8_t large[FRAME_CAP];
	struct net_frame frame = {large, sizeof(large)};

	for (unsigned sent = 0; sent < 5000; sent++) {
		enum status status = net_send(s, peer, false, &frame, 1);
		if (status == STATUS_OK) continue;
		assert_int_equal(status, STATUS_BUSY);
		return sent;
	}
	return 5000;
}

static void a_peer_that_does_not_read_makes_the_queue_full_not_long(void **state)
{
	struct net_socket *client = dealer_to(endpoint);
	struct net_frame hello = text_frame("hello");
	struct net_message m = {0};

	send_soon(client, NULL, &hello, 1);
	assert_int_equal(next_message(server, &m), STATUS_OK);
	struct net_peer peer = m.peer;
	net_message_release(&m);
	assert_in_range(fill(client, NULL), 1, 1000);
	assert_in_range(fill(server, &peer), 1, 1000);
	/* A peer whose queue is full is no matter of another's. */
	struct net_socket *other = dealer_to(endpoint);
	send_soon(other, NULL, &hello, 1);
	for (bool found = false; !found; net_message_release(&m)) {
		assert_int_equal(next_message(server, &m), STATUS_OK);
		found = !net_peer_equal(&m.peer, &peer);
		if (found) assert_int_equal(net_send(server, &m.peer, false, &hello, 1), STATUS_OK);
	}
	assert_int_equal(next_message(other, &m), STATUS_OK);
	net_message_release(&m);
}

/* A peer that said hello and reads nothing: a stranger, so that the library's own queue on its side is as short as can be. The kernel's holds a
 * few segments of the loopback, of 64 KiB: what does not fit in it one at a time trickles, a window update every 40 ms or more. */
static struct stranger silent_peer(struct net_peer *ret_peer)
{
	struct stranger s = {.context = zmq_ctx_new(), .socket = NULL};
	struct net_message m = {0};
	int zero = 0, one = 1, small = 1 << 18;

	s.socket = zmq_socket(s.context, ZMQ_DEALER);
	assert_non_null(s.socket);
	assert_int_equal(zmq_setsockopt(s.socket, ZMQ_LINGER, &zero, sizeof(zero)), 0);
	assert_int_equal(zmq_setsockopt(s.socket, ZMQ_RCVHWM, &one, sizeof(one)), 0);
	assert_int_equal(zmq_setsockopt(s.socket, ZMQ_RCVBUF, &small, sizeof(small)), 0);
	assert_int_equal(zmq_connect(s.socket, endpoint), 0);
	assert_int_equal(zmq_send(s.socket, "hello", 5, 0), 5);
	assert_int_equal(next_message(server, &m), STATUS_OK);
	*ret_peer = m.peer;
	net_message_release(&m);
	return s;
}

static void stranger_takes(struct stranger *s, int size)
{
	zmq_msg_t part;

	zmq_msg_init(&part);
	assert_int_equal(zmq_msg_recv(&part, s->socket, 0), size);
	zmq_msg_close(&part);
}

/* Send messages of these parts until that is refused; how many went. What was taken by the kernel in between makes
 * room, so a refusal is believed when it stands for a while. */
static int fill_bytes(struct net_socket *s, const struct net_peer *peer, const struct net_frame *frames, size_t count)
{
	int sent = 0;

	for (int refused = 0; refused < 50 && sent < 100;) {
		enum status status = net_send(s, peer, false, frames, count);
		if (status == STATUS_OK) {
			sent++;
			refused = 0;
		} else {
			assert_int_equal(status, STATUS_BUSY);
			refused++;
			clock_sleep_us(1000);
		}
	}
	return sent;
}

static void a_peer_that_does_not_read_costs_a_bounded_number_of_bytes(void **state)
{
	enum { PART = 1 << 20, BOUND = 8 << 20, KERNEL = 64 << 20 }; /* the kernel's own buffers: as it was set up */
	struct net_peer silent, other;
	uint8_t *bytes = calloc(1, 2 * BOUND);
	struct net_frame big[] = {{bytes, PART}, {bytes, PART}, {bytes, 10}}, huge = {bytes, 2 * BOUND}, small = {bytes, 10};

	assert_non_null(bytes);
	net_close(&server);
	assert_int_equal(net_open(net, NET_ROUTER, FRAME_CAP, 1000, &server), STATUS_OK);
	assert_int_equal(net_bind(server, "tcp://127.0.0.1:*", NULL), STATUS_OK);
	assert_int_equal(net_endpoint(server, endpoint, sizeof(endpoint)), STATUS_OK);
	net_bound_waiting(server, BOUND);
	struct stranger s = silent_peer(&silent), reader = silent_peer(&other);
	int sent = fill_bytes(server, &silent, big, 3);
	assert_in_range(sent, BOUND / (2 * PART), (BOUND + KERNEL) / (2 * PART));
	/* What is small still goes, and another peer is not touched by it: not even by a message beyond the bound, where nothing waits. */
	assert_int_equal(net_send(server, &silent, false, &small, 1), STATUS_OK);
	assert_int_equal(net_send(server, &other, false, &huge, 1), STATUS_OK);
	stranger_takes(&reader, 2 * BOUND);
	/* Read, and there is room again: all that was sent arrives, in order and whole. */
	for (int i = 0; i < 3 * sent + 1; i++) stranger_takes(&s, i == 3 * sent || i % 3 == 2 ? 10 : PART);
	send_soon(server, &silent, big, 3);
	/* What waits when a peer goes, and when the socket does, is given back (the sanitizers count). */
	fill_bytes(server, &other, big, 3);
	stranger_close(&reader);
	fill_bytes(server, &silent, big, 3);
	net_close(&server);
	/* libzmq 4.3.4 aborts where a peer goes in the moment in which a socket closes over its half-written message (libzmq issue 3442). */
	net_free(&net);
	stranger_close(&s);
	free(bytes);
}

/* ---- signals ---- */

static volatile sig_atomic_t alarms;
static void count_alarm(int number) { alarms++; }

static void signals_do_not_cut_messages_into_pieces(void **state)
{
	enum { MESSAGES = 20000 };
	struct net_socket *client = dealer_to(endpoint);
	struct sigaction action = {.sa_handler = count_alarm}, old; /* without SA_RESTART */
	struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
	struct net_frame frames[FRAMES_MAX];
	struct net_message m = {0};

	for (size_t i = 0; i < FRAMES_MAX; i++) frames[i] = text_frame("frame");
	send_soon(client, NULL, frames, FRAMES_MAX);
	assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	unsigned cut = 0, received = 0;
	uint64_t until = clock_us() + 20 * (uint64_t)PATIENCE_US;
	for (unsigned sent = 1; received < MESSAGES && clock_us() < until;) {
		if (sent < MESSAGES && net_send(client, NULL, false, frames, FRAMES_MAX) == STATUS_OK) sent++;
		if (net_receive(server, &m) != STATUS_OK) continue;
		cut += m.count != FRAMES_MAX || m.delimiter || m.frames[FRAMES_MAX - 1].size != 5;
		received++;
		net_message_release(&m);
	}
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
	assert_int_equal(cut, 0);
	assert_int_equal(received, MESSAGES);
	assert_true(alarms > 100);
}

/* ---- endpoints ---- */

static void an_endpoint_in_use_is_named(void **state)
{
	struct net_socket *second = socket_open(NET_ROUTER);
	struct report report = {0};

	assert_int_equal(net_bind(second, endpoint, &report), STATUS_EXISTS);
	assert_non_null(strstr(report.text, endpoint));
	assert_non_null(strstr(report.text, "in use"));
}

static void addresses_that_are_none_are_refused_with_an_example(void **state)
{
	static const char *const wrong[] = {"", "7600", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:x", "tcp://127.0.0.1:70000", "http://127.0.0.1:7600", "tcp://256.1.1.1:1"};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct net_socket *s = socket_open(NET_ROUTER);
		struct report report = {0};
		if (net_bind(s, wrong[i], &report) != STATUS_UNAVAILABLE) fail_msg("'%s' was taken", wrong[i]);
		assert_non_null(strstr(report.text, "tcp://127.0.0.1:7600"));
	}
}

static void a_chosen_port_is_told_as_people_write_it(void **state)
{
	unsigned port = 0;
	char small[8];

	assert_int_equal(sscanf(endpoint, "tcp://127.0.0.1:%u", &port), 1);
	assert_in_range(port, 1024, 65535);
	assert_int_equal(net_endpoint(server, small, sizeof(small)), STATUS_NOT_FOUND);
}

static void only_this_machine_is_local(void **state)
{
	static const char *const local[] = {"tcp://127.0.0.1:7600", "tcp://127.255.0.9:1", "tcp://localhost:7600", "tcp://[::1]:7600", "ipc:///run/grove", "inproc://x",
		"tcp://127.0.0.1:*"};
	static const char *const remote[] = {"tcp://0.0.0.0:7600", "tcp://*:7600", "tcp://10.0.0.1:7600", "tcp://[::]:7600", "tcp://127.0.0.1.example.org:7600",
		"tcp://localhost.example.org:7600", "tcp://128.0.0.1:1", "tcp://127.0.0.1", "tcp://127.1.2.300:1", "udp://127.0.0.1:1", "", "tcp://eth0:7600",
		"tcp://127.0.0.1:0;10.0.0.1:7600", "tcp://localhost:0;10.0.0.1:7600"};

	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
		if (!net_is_local(local[i])) fail_msg("%s is local", local[i]);
	for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++)
		if (net_is_local(remote[i])) fail_msg("%s is not local", remote[i]);
}

static void an_ipc_socket_is_its_owners_alone(void **state)
{
	char folder[] = "/tmp/grove-net-XXXXXX", path[64], where[80];
	struct net_socket *s = socket_open(NET_ROUTER);
	struct report report = {0};
	struct stat st;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/s", folder);
	snprintf(where, sizeof(where), "ipc://%s", path);
	mode_t before = umask(022);
	assert_int_equal(net_bind(s, where, &report), STATUS_OK);
	assert_int_equal(umask(before), 022);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 077, 0);
	unlink(path);
	rmdir(folder);
}

/* ---- mailboxes ---- */

enum { SENDERS = 4, LETTERS = 20000 };

struct letter { unsigned sender, number; };
struct sender { pthread_t thread; unsigned which; };

static void *sender_run(void *arg)
{
	struct sender *s = arg;
	struct net_outbox *box = NULL;

	if (net_outbox_open(net, "letters", &box) != STATUS_OK) return arg;
	for (unsigned i = 0; i < LETTERS; i++) {
		struct letter *letter = malloc(sizeof(*letter));
		if (!letter) return arg;
		*letter = (struct letter){s->which, i};
		void *take = letter;
		if (net_post(box, &take) != STATUS_OK || take) return arg;
	}
	net_outbox_close(&box);
	return NULL;
}

static void every_letter_arrives_once_and_each_senders_in_order(void **state)
{
	struct sender senders[SENDERS];
	unsigned next[SENDERS] = {0};

	assert_int_equal(net_inbox_open(net, "letters", &in), STATUS_OK);
	assert_null(net_take(in));
	for (unsigned i = 0; i < SENDERS; i++) {
		senders[i].which = i;
		assert_int_equal(pthread_create(&senders[i].thread, NULL, sender_run, &senders[i]), 0);
	}
	for (unsigned taken = 0; taken < SENDERS * LETTERS;) {
		struct net_poll item = {.inbox = in, .fd = -1};
		assert_int_equal(net_wait(&item, 1, PATIENCE_US), STATUS_OK);
		assert_true(item.ready);
		for (struct letter *letter; (letter = net_take(in)); taken++) {
			assert_true(letter->sender < SENDERS);
			assert_int_equal(letter->number, next[letter->sender]++);
			free(letter);
		}
	}
	for (unsigned i = 0; i < SENDERS; i++) {
		void *failed;
		assert_int_equal(pthread_join(senders[i].thread, &failed), 0);
		assert_null(failed);
	}
	assert_null(net_take(in));
}

static void an_inbox_name_stands_once(void **state)
{
	struct net_inbox *second = NULL;

	assert_int_equal(net_inbox_open(net, "once", &in), STATUS_OK);
	assert_int_not_equal(net_inbox_open(net, "once", &second), STATUS_OK);
	assert_null(second);
}

static void waiting_tells_which_thing_is_ready(void **state)
{
	int pipe_ends[2], letter = 0;

	assert_int_equal(pipe(pipe_ends), 0);
	assert_int_equal(net_inbox_open(net, "wait", &in), STATUS_OK);
	assert_int_equal(net_outbox_open(net, "wait", &out), STATUS_OK);
	struct net_poll items[3] = {{.socket = server, .fd = -1}, {.inbox = in, .fd = -1}, {.fd = pipe_ends[0]}};
	assert_int_equal(net_wait(items, 3, 0), STATUS_OK);
	assert_true(!items[0].ready && !items[1].ready && !items[2].ready);
	uint64_t began = clock_us();
	assert_int_equal(net_wait(items, 3, 30000), STATUS_OK);
	assert_in_range(clock_us() - began, 29000, PATIENCE_US);
	void *take = &letter;
	assert_int_equal(net_post(out, &take), STATUS_OK);
	assert_int_equal(net_wait(items, 3, UINT64_MAX), STATUS_OK);
	assert_true(!items[0].ready && items[1].ready && !items[2].ready);
	assert_ptr_equal(net_take(in), &letter);
	assert_int_equal(write(pipe_ends[1], "x", 1), 1);
	assert_int_equal(net_wait(items, 3, UINT64_MAX), STATUS_OK);
	assert_true(!items[0].ready && !items[1].ready && items[2].ready);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

/* Sending makes libzmq read its socket's mailbox, where the news of an arrival stands: the file is then no longer readable. */
static void what_arrived_before_a_send_is_ready_after_it(void **state)
{
	enum { ROUNDS = 20 };
	struct net_socket *client = dealer_to(endpoint);
	struct net_frame frame = text_frame("x");
	struct net_poll item = {.socket = server, .fd = -1};
	struct net_message m = {0};

	send_soon(client, NULL, &frame, 1);
	assert_int_equal(next_message(server, &m), STATUS_OK);
	struct net_peer peer = m.peer;
	net_message_release(&m);
	for (int i = 0; i < ROUNDS; i++) {
		assert_int_equal(net_wait(&item, 1, 0), STATUS_OK);
		assert_false(item.ready);
		assert_int_equal(net_send(client, NULL, false, &frame, 1), STATUS_OK);
		clock_sleep_us(10000); /* it is there now, and libzmq looks into the mailbox at the next send */
		assert_int_equal(net_send(server, &peer, false, &frame, 1), STATUS_OK);
		assert_int_equal(net_wait(&item, 1, PATIENCE_US), STATUS_OK);
		assert_true(item.ready);
		/* Left where it is, it is ready again, and the timeout is not waited for. */
		uint64_t began = clock_us();
		assert_int_equal(net_wait(&item, 1, PATIENCE_US), STATUS_OK);
		assert_true(item.ready && clock_us() - began < PATIENCE_US / 2);
		assert_int_equal(net_receive(server, &m), STATUS_OK);
		net_message_release(&m);
		assert_int_equal(net_receive(server, &m), STATUS_NOT_FOUND);
		assert_int_equal(next_message(client, &m), STATUS_OK);
		net_message_release(&m);
	}
}

static void what_is_shared_of_a_message_lives_as_long_as_the_last_of_it(void **state)
{
	struct net_socket *client = dealer_to(endpoint);
	uint8_t bytes[1000];
	struct net_frame frame = {bytes, sizeof(bytes)};
	struct net_message m = {0}, parts[3];

	memset(bytes, 42, sizeof(bytes));
	send_soon(client, NULL, &frame, 1);
	assert_int_equal(next_message(server, &m), STATUS_OK);
	for (size_t i = 0; i < 3; i++) {
		struct net_frame inside = {m.frames[0].bytes + 100 * i, 100};
		net_message_share(&m, &inside, 1, &parts[i]);
		assert_true(net_peer_equal(&parts[i].peer, &m.peer));
	}
	net_message_release(&m);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(parts[i].count, 1);
		for (size_t at = 0; at < 100; at++) assert_int_equal(parts[i].frames[0].bytes[at], 42);
		net_message_release(&parts[i]);
	}
	/* Of a message that owns nothing nothing is owned. */
	struct net_message bare = {.count = 1, .frames = {frame}};
	net_message_share(&bare, &frame, 1, &parts[0]);
	net_message_release(&parts[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		CLAIM(frames_arrive_as_sent_up_to_the_limit_both_ways),
		CLAIM(too_many_frames_are_dropped_and_the_next_message_is_whole),
		CLAIM(a_frame_past_its_limit_ends_the_connection_and_nothing_of_it_arrives),
		CLAIM(a_requests_delimiter_is_told_and_goes_back_with_the_answer),
		CLAIM(what_cannot_be_sent_is_told_at_once),
		CLAIM(a_peer_that_does_not_read_makes_the_queue_full_not_long),
		CLAIM(a_peer_that_does_not_read_costs_a_bounded_number_of_bytes),
		CLAIM(signals_do_not_cut_messages_into_pieces),
		CLAIM(an_endpoint_in_use_is_named),
		CLAIM(addresses_that_are_none_are_refused_with_an_example),
		CLAIM(a_chosen_port_is_told_as_people_write_it),
		CLAIM(only_this_machine_is_local),
		CLAIM(an_ipc_socket_is_its_owners_alone),
		CLAIM(every_letter_arrives_once_and_each_senders_in_order),
		CLAIM(an_inbox_name_stands_once),
		CLAIM(waiting_tells_which_thing_is_ready),
		CLAIM(what_arrived_before_a_send_is_ready_after_it),
		CLAIM(what_is_shared_of_a_message_lives_as_long_as_the_last_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
