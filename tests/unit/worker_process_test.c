/* grove-worker as a process, with a coordinator that is this test: a ROUTER that speaks the cluster protocol. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/cursor.h"
#include "common/io.h"
#include "common/metrics_file.h"
#include "common/net.h"
#include "proto/bundle.h"
#include "proto/cluster_codec.h"
#include "tests/support/exposition.h"

enum { DIM = 4, PATIENCE_US = 60000000 };

/* The part of a coordinator that a worker meets. */
struct front {
	struct net *net;
	struct net_socket *socket;
	struct net_peer peer; /* of the last beat */
	char endpoint[128];
	struct uuid cluster;
	uint64_t next_id;
	/* of the last beat: */
	uint64_t beats, incarnation;
	struct uuid worker, worker_cluster;
	uint32_t shard_count;
	struct shard_report shards[8];
	/* A message of several answers, and what is left of it. */
	struct net_message several;
	struct bundle_reader bundle;
};

static char folder[64];

static int make_folder(void **state)
{
	strcpy(folder, "/tmp/grove-worker-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

static void front_open(struct front *f)
{
	struct report why = {0};

	*f = (struct front){.cluster = uuid_new()};
	assert_int_equal(net_new(&f->net), STATUS_OK);
	assert_int_equal(net_open(f->net, NET_ROUTER, PEER_FRAME_MAX, 1000, &f->socket), STATUS_OK);
	assert_int_equal(net_bind(f->socket, "tcp://127.0.0.1:*", &why), STATUS_OK);
	assert_int_equal(net_endpoint(f->socket, f->endpoint, sizeof(f->endpoint)), STATUS_OK);
}

static void front_close(struct front *f)
{
	net_message_release(&f->several);
	net_close(&f->socket);
	net_free(&f->net);
}

static void take_beat(struct front *f, const struct net_message *m)
{
	struct cluster_request r = {0};
	struct report why = {0};

	assert_int_equal(cluster_request_decode(m->frames, m->count, &r, &why), STATUS_OK);
	assert_int_equal(r.kind, CLUSTER_BEAT);
	f->peer = m->peer;
	f->beats++;
	f->incarnation = r.beat.incarnation;
	f->worker = r.beat.worker;
	f->worker_cluster = r.beat.cluster;
	f->shard_count = r.beat.shard_count;
	assert_true(r.beat.shard_count <= 8);
	assert_true(r.beat.memory_bytes > 100000);
	for (uint32_t i = 0; i < r.beat.shard_count; i++) f->shards[i] = r.beat.shards[i];
	cluster_request_release(&r);
}

/* The next answer of those that came in one message. */
static bool front_next_of_several(struct front *f, struct net_message *ret)
{
	struct net_frame frames[FRAMES_MAX];
	size_t count;

	if (!bundle_next(&f->bundle, frames, &count)) return false;
	assert_int_equal(cluster_peek(frames, count), CLUSTER_REPLY);
	net_message_share(&f->several, frames, count, ret);
	return true;
}

/* Beats are taken on the way; true if a reply came, now the caller's. */
static bool front_next(struct front *f, uint64_t until_us, struct net_message *ret)
{
	if (ret && front_next_of_several(f, ret)) return true;
	while (clock_us() < until_us) {
		struct net_poll poll = {.socket = f->socket, .fd = -1};
		assert_int_equal(net_wait(&poll, 1, 20000), STATUS_OK);
		for (struct net_message m = {0}; net_receive(f->socket, &m) == STATUS_OK; net_message_release(&m)) {
			if (bundle_is(m.frames, m.count)) {
				struct report why = {0};
				assert_non_null(ret);
				net_message_release(&f->several);
				net_message_move(&f->several, &m);
				assert_int_equal(bundle_open(f->several.frames, f->several.count, &f->bundle, &why), STATUS_OK);
				return front_next_of_several(f, ret);
			}
			take_beat(f, &m);
			if (ret) continue;
			net_message_release(&m);
			return false;
		}
	}
	return false;
}

static void next_beat(struct front *f)
{
	uint64_t before = f->beats;

	front_next(f, clock_us() + PATIENCE_US, NULL);
	assert_true(f->beats > before);
}

static void send_request(struct front *f, struct cluster_request *r)
{
	struct encoded e = {0};

	r->id = ++f->next_id;
	r->remaining_us = 10000000;
	assert_int_equal(cluster_request_encode(r, &e), STATUS_OK);
	assert_int_equal(net_send(f->socket, &f->peer, false, e.frames, e.count), STATUS_OK);
	encoded_release(&e);
}

static void welcome(struct front *f)
{
	struct cluster_request r = {.kind = CLUSTER_WELCOME, .welcome = {.cluster = f->cluster}};

	next_beat(f);
	send_request(f, &r);
}

/* The answer's status; the answer itself to `look`, if there is one. */
static enum status ask(struct front *f, struct cluster_request *r, void (*look)(const struct cluster_reply *reply))
{
	struct net_message m = {0};
	struct cluster_reply reply = {0};
	struct report why = {0};
	uint64_t id;

	send_request(f, r);
	assert_true(front_next(f, clock_us() + PATIENCE_US, &m));
	assert_int_equal(cluster_reply_decode(m.frames, m.count, &reply, &id, &why), STATUS_OK);
	assert_true(reply.id == r->id);
	enum status status = reply.error.status;
	if (look) look(&reply);
	cluster_reply_release(&reply);
	net_message_release(&m);
	return status;
}

static pid_t spawn(const char *const *more, const char *endpoint)
{
	pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* whatever fails here leaves no process behind */
		const char *arguments[16] = {GROVE_WORKER, "--data", folder, "--threads", "2", "--coordinator", endpoint};
		for (size_t i = 0; more && more[i]; i++) arguments[7 + i] = more[i];
		int quiet = open("/dev/null", O_WRONLY);
		dup2(quiet, STDERR_FILENO);
		execv(GROVE_WORKER, (char *const *)arguments);
		_exit(127);
	}
	return child;
}

static int wait_for(pid_t child)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int stop(pid_t child)
{
	uint64_t begin = clock_us();

	kill(child, SIGTERM);
	int code = wait_for(child);
	assert_true(clock_us() - begin < PATIENCE_US); /* 5 s are promised to a machine that has them to give */
	return code;
}

static struct cluster_request open_of(struct uuid shard)
{
	return (struct cluster_request){
		.kind = CLUSTER_OPEN,
		.open = {.shard = shard, .epoch = 1, .create = true,
			.index = {.id = 3, .name = "shoes", .metric = METRIC_EUCLIDEAN, .dim = DIM, .shards = 1, .replicas = 1, .trees = 2, .seed = 1}},
	};
}

static void one_hit_of_item_77(const struct cluster_reply *reply)
{
	assert_int_equal(reply->search.total, 1);
	assert_true(load_u64(reply->search.ids) == 77);
	assert_int_equal(reply->search.shards[0].status, STATUS_OK);
}

static const float row[DIM] = {1, 2, 3, 4};

static enum status put_77(struct front *f, struct uuid shard)
{
	uint8_t id[8];

	store_u64(id, 77);
	struct cluster_request r = {.kind = CLUSTER_WRITE,
		.write = {.shard = shard, .epoch = 1, .client = 1, .client_request = 1,
			.items = {.n = 1, .dtype = DTYPE_F32, .dim = DIM, .ids = id, .vectors = (const uint8_t *)row}}};
	return ask(f, &r, NULL);
}

static void find_77(struct front *f, struct uuid shard)
{
	struct cluster_request r = {.kind = CLUSTER_SEARCH,
		.search = {.spec = {.k = 3, .mode = SEARCH_EXACT}, .nq = 1, .dtype = DTYPE_F32, .dim = DIM, .vectors = (const uint8_t *)row, .shard_count = 1, .shards = &shard}};
	assert_int_equal(ask(f, &r, one_hit_of_item_77), STATUS_OK);
}

/* What the file in the worker's folder says. */
static double metric(const char *name, const char *labels)
{
	struct io *io = NULL;
	struct exposition e;
	struct report why = {0};
	uint8_t *text;
	size_t size;

	assert_int_equal(io_posix_open(folder, &io, &why), STATUS_OK);
	assert_int_equal(io_slurp(io, METRICS_FILE_NAME, 1 << 20, &text, &size), STATUS_OK);
	io_posix_close(&io);
	exposition_read(&e, (const char *)text, size);
	double value = exposition_value(&e, name, labels);
	exposition_release(&e);
	free(text);
	return value;
}

static void clean_stop_leaves_the_true_numbers_of_this_life(void **state)
{
	struct front f;
	struct uuid shard = uuid_new();
	char who[UUID_TEXT_SIZE + 16] = "worker=";

	front_open(&f);
	pid_t child = spawn(NULL, f.endpoint);
	welcome(&f);
	uuid_text(f.worker, who + strlen(who));
	struct cluster_request open = open_of(shard), build = {.kind = CLUSTER_BUILD, .build = {.shard = shard, .epoch = 1, .trees = 1, .seed = 1}};
	assert_int_equal(ask(&f, &open, NULL), STATUS_OK);
	assert_int_equal(put_77(&f, shard), STATUS_OK);
	assert_int_equal(ask(&f, &build, NULL), STATUS_OK);
	assert_int_equal(put_77(&f, shard), STATUS_OK);
	for (int i = 0; i < 3; i++) find_77(&f, shard);
	assert_int_equal(stop(child), 0);
	assert_true(metric("grove_worker_queries_total", who) == 3);
	assert_true(metric("grove_worker_candidates_total", who) >= 3);
	assert_true(metric("grove_worker_search_seconds_count", who) == 3);
	assert_true(metric("grove_worker_writes_total", "kind=upsert") == 2);
	assert_true(metric("grove_worker_wal_sync_seconds_count", who) >= 2);
	assert_true(metric("grove_worker_builds_total", "result=ok") == 1);
	assert_true(metric("grove_worker_dropped_replies_total", who) == 0);
	assert_true(metric("grove_worker_memtable_rows", who) == 1);
	assert_true(metric("grove_worker_items", who) == 1);
	front_close(&f);
}

static void worker_joins_serves_and_comes_back_with_its_items_however_it_ended(void **state)
{
	struct front f;
	struct uuid shard = uuid_new();

	front_open(&f);
	/* The worker first; the coordinator is heard when it is there. */
	pid_t child = spawn(NULL, f.endpoint);
	next_beat(&f);
	assert_true(uuid_is_zero(f.worker_cluster));
	assert_int_equal(f.shard_count, 0);
	welcome(&f);
	struct cluster_request open = open_of(shard);
	assert_int_equal(ask(&f, &open, NULL), STATUS_OK);
	assert_int_equal(put_77(&f, shard), STATUS_OK);
	find_77(&f, shard);
	assert_int_equal(f.shard_count, 1); /* the beat that tells of a new shard came before the answer */
	next_beat(&f);
	struct uuid worker = f.worker;
	uint64_t incarnation = f.incarnation;
	assert_true(uuid_equal(f.worker_cluster, f.cluster));
	assert_int_equal(f.shard_count, 1);
	assert_true(uuid_equal(f.shards[0].shard, shard));

	kill(child, SIGKILL);
	assert_int_equal(wait_for(child), -SIGKILL);
	for (int round = 0; round < 2; round++) {
		child = spawn(NULL, f.endpoint);
		/* What a dead process sent last may still come in. */
		do next_beat(&f);
		while (f.incarnation == incarnation);
		incarnation = f.incarnation;
		assert_true(uuid_equal(f.worker, worker));
		assert_true(uuid_equal(f.worker_cluster, f.cluster));
		welcome(&f);
		while (f.shard_count != 1 || f.shards[0].state != SHARD_SERVING) next_beat(&f);
		assert_int_equal(f.shards[0].items, 1);
		find_77(&f, shard);
		assert_int_equal(stop(child), 0);
	}
	front_close(&f);
}

/* How many beats the other has while we have some: a worker beats to all in one turn. */
static uint64_t beats_beside(struct front *ours, struct front *other)
{
	uint64_t others = other->beats, before = ours->beats;
	struct net_message m = {0};

	while (ours->beats < before + 4) next_beat(ours);
	assert_false(front_next(other, clock_us() + 20000, &m));
	return other->beats - others;
}

static void coordinator_of_another_cluster_is_refused(void **state)
{
	struct front ours, other;
	struct net_message m = {0};

	front_open(&ours);
	front_open(&other);
	const char *more[] = {"--coordinator", other.endpoint, NULL};
	pid_t child = spawn(more, ours.endpoint);
	welcome(&ours);
	while (!uuid_equal(ours.worker_cluster, ours.cluster)) next_beat(&ours);
	welcome(&other);
	/* Beats that were on their way; then one in 5 s, while ours go on. */
	uint64_t until = clock_us() + PATIENCE_US;
	while (beats_beside(&ours, &other) > 1) assert_true(clock_us() < until);
	struct cluster_request open = open_of(uuid_new());
	send_request(&other, &open);
	assert_in_range(beats_beside(&ours, &other), 0, 1);
	assert_false(front_next(&other, clock_us() + 1000000, &m));
	assert_int_equal(ours.shard_count, 0);
	assert_int_equal(stop(child), 0);
	front_close(&ours);
	front_close(&other);
}

static void folder_serves_one_process_at_a_time(void **state)
{
	struct front f;

	front_open(&f);
	pid_t first = spawn(NULL, f.endpoint);
	next_beat(&f);
	assert_int_equal(wait_for(spawn(NULL, f.endpoint)), 1);
	assert_int_equal(stop(first), 0);
	pid_t third = spawn(NULL, f.endpoint);
	next_beat(&f);
	assert_int_equal(stop(third), 0);
	front_close(&f);
}

static void wrong_usage_ends_with_2(void **state)
{
	static const char *const unknown[] = {"--no-such-flag", NULL}, *const argument[] = {"word", NULL}, *const threads[] = {"--threads", "0", NULL};

	assert_int_equal(wait_for(spawn(NULL, "tcp://192.0.2.1:7601")), 2);
	assert_int_equal(wait_for(spawn(unknown, "tcp://127.0.0.1:7601")), 2);
	assert_int_equal(wait_for(spawn(argument, "tcp://127.0.0.1:7601")), 2);
	assert_int_equal(wait_for(spawn(threads, "tcp://127.0.0.1:7601")), 2);
}

static void write_file(const char *name, const char *text, char *path, size_t size)
{
	snprintf(path, size, "%s/%s", folder, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void settings_come_from_a_file_and_a_misspelt_one_ends_with_2(void **state)
{
	struct front f;
	char path[128], text[512];
	uint64_t begin = clock_us();

	front_open(&f);
	snprintf(text, sizeof(text), "data: %s/data\ncoordinator: tcp://127.0.0.1:1, %s\nthreads: 1\n", folder, f.endpoint);
	write_file("good.yaml", text, path, sizeof(path));
	pid_t child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		execl(GROVE_WORKER, "grove-worker", "--config", path, NULL);
		_exit(127);
	}
	next_beat(&f); /* the second of the coordinators in the file */
	assert_true(clock_us() - begin < PATIENCE_US);
	assert_int_equal(stop(child), 0);
	front_close(&f);

	write_file("bad.yaml", "thread: 1\n", path, sizeof(path));
	const char *misspelt[] = {"--config", path, NULL}, *missing[] = {"--config", "/nonexistent.yaml", NULL};
	assert_int_equal(wait_for(spawn(misspelt, "tcp://127.0.0.1:7601")), 2);
	assert_int_equal(wait_for(spawn(missing, "tcp://127.0.0.1:7601")), 2);
}

static void endpoint_that_is_none_ends_with_1(void **state) { assert_int_equal(wait_for(spawn(NULL, "ipc://")), 1); }

static void worker_without_a_coordinator_waits_and_stops_when_told(void **state)
{
	pid_t child = spawn(NULL, "tcp://127.0.0.1:1");

	clock_sleep_us(500000);
	assert_int_equal(waitpid(child, NULL, WNOHANG), 0);
	assert_int_equal(stop(child), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(worker_joins_serves_and_comes_back_with_its_items_however_it_ended, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(clean_stop_leaves_the_true_numbers_of_this_life, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(coordinator_of_another_cluster_is_refused, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(folder_serves_one_process_at_a_time, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(wrong_usage_ends_with_2, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(settings_come_from_a_file_and_a_misspelt_one_ends_with_2, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(endpoint_that_is_none_ends_with_1, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(worker_without_a_coordinator_waits_and_stops_when_told, make_folder, remove_folder),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
