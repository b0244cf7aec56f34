/* The one writer of a shard: what waits is synced once, queues are bounded, and every item's result is true: ok is durable, rejected never
 * happened, unknown may have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "tests/support/io_sim.h"
#include "tests/support/shard_fixture.h"

#define SHARD_DIR "shards/one"
enum { DIM = 6, EPOCH = 7, END_MARK = 3, RECORD_HEADER = 88 };

/* A write of one item that can be left waiting. The first of a test holds the writer in its `done`, until it is let go. */
struct slot {
	struct shard_write write;
	uint64_t id;
	float vector[DIM];
	uint8_t result;
	struct hall *hall;
	uint32_t order; /* in which it ended */
};

struct hall {
	struct shard_fixture f;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool held, let_go;
	uint32_t ended;
	struct slot slots[SHARD_WRITES_PENDING_MAX + 8];
};

static void on_done(struct shard_write *w)
{
	struct slot *s = w->arg;
	struct hall *h = s->hall;

	pthread_mutex_lock(&h->lock);
	s->order = h->ended++;
	if (s == &h->slots[0]) {
		h->held = true;
		pthread_cond_broadcast(&h->changed);
		while (!h->let_go) pthread_cond_wait(&h->changed, &h->lock);
	}
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
}

static struct hall *hall_open(void)
{
	struct hall *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->changed, NULL);
	fixture_open_sim(&h->f, METRIC_EUCLIDEAN, DIM);
	return h;
}

static void hall_close(struct hall *h)
{
	fixture_close(&h->f);
	pthread_cond_destroy(&h->changed);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static void send_kind(struct hall *h, uint32_t i, uint64_t id, enum write_kind kind)
{
	struct slot *s = &h->slots[i];

	s->hall = h;
	s->id = id;
	s->vector[0] = (float)i;
	s->write = (struct shard_write){.kind = kind, .epoch = EPOCH, .done = on_done, .arg = s, .results = &s->result,
		.items = {.n = 1, .dtype = DTYPE_F32, .dim = DIM, .ids = (const uint8_t *)&s->id, .vectors = (const uint8_t *)s->vector}};
	shard_submit(h->f.shard, &s->write);
}

static void send(struct hall *h, uint32_t i, uint64_t id) { send_kind(h, i, id, WRITE_UPSERT); }

/* Send slot 0, and come back when the writer stands in its done. */
static void hold_writer(struct hall *h)
{
	send(h, 0, 0);
	pthread_mutex_lock(&h->lock);
	while (!h->held) pthread_cond_wait(&h->changed, &h->lock);
	pthread_mutex_unlock(&h->lock);
}

/* Let it go, and wait until n slots have ended. */
static void let_go(struct hall *h, uint32_t n)
{
	pthread_mutex_lock(&h->lock);
	h->let_go = true;
	pthread_cond_broadcast(&h->changed);
	while (h->ended < n) pthread_cond_wait(&h->changed, &h->lock);
	pthread_mutex_unlock(&h->lock);
}

static bool present(struct hall *h, uint64_t id, float *ret_first)
{
	struct snapshot *snap = NULL;
	struct report report = {0};
	struct item_view item;

	assert_int_equal(snapshot_pin(h->f.shard, &snap, &report), STATUS_OK);
	bool there = snapshot_get(snap, id, &item);
	if (there) memcpy(ret_first, item.vector, sizeof(float));
	snapshot_release(&snap);
	return there;
}

static void writes_that_wait_together_are_synced_once_and_keep_their_order(void **state)
{
	struct hall *h = hall_open();
	float first;

	hold_writer(h);
	uint64_t syncs = io_sim_calls(h->f.sim, SIM_SYNC), writes = io_sim_calls(h->f.sim, SIM_WRITE);
	for (uint32_t i = 1; i <= 100; i++) send(h, i, i % 10); /* ids again and again: the last one counts */
	let_go(h, 101);
	assert_int_equal(io_sim_calls(h->f.sim, SIM_SYNC), syncs + 1);
	assert_int_equal(io_sim_calls(h->f.sim, SIM_WRITE), writes + 1);
	for (uint32_t i = 1; i <= 100; i++) {
		assert_int_equal(h->slots[i].write.report.status, STATUS_OK);
		assert_int_equal(h->slots[i].result, ITEM_OK);
		assert_int_equal(h->slots[i].order, i);
		assert_int_equal(h->slots[i].write.out_epoch, EPOCH);
		assert_int_equal(h->slots[i].write.out_sequence, i + 1);
	}
	for (uint64_t id = 0; id < 10; id++) {
		assert_true(present(h, id, &first));
		assert_true(first == (float)(id ? 90 + id : 100));
	}
	hall_close(h);
}

static void a_full_queue_answers_busy_at_once(void **state)
{
	struct hall *h = hall_open();
	uint32_t past = SHARD_WRITES_PENDING_MAX + 1;

	hold_writer(h);
	for (uint32_t i = 1; i <= SHARD_WRITES_PENDING_MAX; i++) send(h, i, i);
	assert_int_equal(h->ended, 1); /* they wait */
	send(h, past, past);
	assert_int_equal(h->slots[past].order, 1); /* refused by the time that the call returned */
	assert_int_equal(h->slots[past].write.report.status, STATUS_BUSY);
	assert_int_equal(h->slots[past].result, ITEM_REJECTED);
	let_go(h, past + 1);
	for (uint32_t i = 0; i < past; i++) assert_int_equal(h->slots[i].write.report.status, STATUS_OK);
	float first;
	assert_true(present(h, SHARD_WRITES_PENDING_MAX, &first));
	assert_false(present(h, past, &first));
	hall_close(h);
}

static void what_a_failed_sync_leaves_is_unknown_and_what_comes_after_is_rejected(void **state)
{
	static const unsigned ops[] = {SIM_ONLY(SIM_SYNC), SIM_ONLY(SIM_WRITE)};

	for (size_t o = 0; o < 2; o++) {
		struct hall *h = hall_open();
		struct shard_report said;
		struct snapshot *snap = NULL;
		struct report why = {0};
		float first;
		hold_writer(h);
		io_sim_fail_at(h->f.sim, ops[o], 0, STATUS_IO, false);
		for (uint32_t i = 1; i <= 10; i++) send(h, i, i);
		let_go(h, 11);
		for (uint32_t i = 1; i <= 10; i++) {
			assert_int_equal(h->slots[i].write.report.status, STATUS_UNKNOWN);
			assert_int_equal(h->slots[i].result, ITEM_UNKNOWN);
			assert_int_equal(h->slots[i].write.out_sequence, 0);
		}
		send(h, 11, 11);
		assert_int_equal(h->slots[11].write.report.status, STATUS_STOPPED);
		assert_int_equal(h->slots[11].result, ITEM_REJECTED);
		shard_report(h->f.shard, &said);
		assert_int_equal(said.state, SHARD_STOPPED);
		assert_int_equal(snapshot_pin(h->f.shard, &snap, &why), STATUS_STOPPED);
		assert_non_null(strstr(why.text, SHARD_DIR));
		assert_string_equal(h->slots[11].write.report.text, why.text);
		/* Nothing is tried again on that file; the next start finds what is certain, and none of what was rejected. */
		assert_int_equal(io_sim_syncs_after_failure(h->f.sim), 0);
		io_sim_heal(h->f.sim);
		fixture_reopen(&h->f, true);
		assert_true(present(h, 0, &first));
		assert_false(present(h, 11, &first));
		hall_close(h);
	}
}

static void a_write_in_two_groups_says_of_each_item_what_became_of_it(void **state)
{
	/* The second item has the first one's id and a key, as it has: so it waits for the first to be durable. Then the disk fails. */
	struct hall *h = hall_open();
	struct slot *s = &h->slots[0];
	uint64_t ids[3] = {5, 5, 6};
	float vectors[3][DIM] = {{1}, {2}, {3}};
	uint32_t sizes[3] = {1, 1, 0};
	uint8_t results[3];

	s->hall = h;
	s->write = (struct shard_write){.kind = WRITE_UPSERT, .epoch = EPOCH, .done = on_done, .arg = s, .results = results,
		.items = {.n = 3, .dtype = DTYPE_F32, .dim = DIM, .ids = (const uint8_t *)ids, .vectors = (const uint8_t *)vectors,
			.keys = {3, (const uint8_t *)sizes, (const uint8_t *)"kk", 2}}};
	h->let_go = true;
	io_sim_fail_at(h->f.sim, SIM_ONLY(SIM_SYNC), 1, STATUS_IO, false);
	shard_submit(h->f.shard, &s->write);
	let_go(h, 1);
	assert_int_equal(results[0], ITEM_OK);
	assert_int_equal(results[1], ITEM_UNKNOWN);
	assert_int_equal(results[2], ITEM_UNKNOWN);
	assert_int_equal(s->write.report.status, STATUS_UNKNOWN);
	io_sim_heal(h->f.sim);
	fixture_reopen(&h->f, false);
	float first;
	assert_true(present(h, 5, &first));
	assert_true(first == 1 || first == 2);
	hall_close(h);
}

static uint64_t used_bytes(struct hall *h)
{
	uint64_t unused, total;

	assert_int_equal(h->f.io->ops->free_bytes(h->f.io, &unused, &total), STATUS_OK);
	return total - unused;
}

/* One write, waited for. */
static enum status now(struct hall *h, uint32_t i, uint64_t id, enum write_kind kind)
{
	uint32_t before = h->ended;

	h->let_go = true;
	send_kind(h, i, id, kind);
	let_go(h, before + 1);
	assert_true((h->slots[i].result == ITEM_OK) == (h->slots[i].write.report.status == STATUS_OK));
	if (h->slots[i].write.report.status == STATUS_DISK_FULL) assert_int_equal(h->slots[i].result, ITEM_REJECTED);
	return h->slots[i].write.report.status;
}

static void the_reserve_is_kept_from_puts_and_half_of_it_from_deletes(void **state)
{
	struct hall *h = hall_open();
	uint64_t total = 1 << 20, reserve = total / 20;

	assert_int_equal(now(h, 1, 1, WRITE_UPSERT), STATUS_OK);
	/* A file that takes all but so much. */
	for (int step = 0; step < 4; step++) {
		uint64_t left = step == 0 ? 2 * reserve : step == 1 ? reserve * 9 / 10 : step == 2 ? reserve * 4 / 10 : 2 * reserve;
		struct io_file *file = NULL;
		io_sim_capacity(h->f.sim, total);
		assert_int_equal(h->f.io->ops->open(h->f.io, "ballast", IO_APPEND, &file), STATUS_OK);
		assert_int_equal(h->f.io->ops->truncate(h->f.io, file, 0), STATUS_OK);
		uint64_t ballast = total - used_bytes(h) - left;
		assert_int_equal(h->f.io->ops->truncate(h->f.io, file, ballast), STATUS_OK);
		h->f.io->ops->close(h->f.io, &file);
		assert_int_equal(used_bytes(h), total - left);
		enum status put = now(h, 2, 2, WRITE_UPSERT), delete = now(h, 3, 1, WRITE_DELETE);
		assert_int_equal(put, step == 0 || step == 3 ? STATUS_OK : STATUS_DISK_FULL);
		assert_int_equal(delete, step == 2 ? STATUS_DISK_FULL : STATUS_OK);
		struct shard_report said;
		shard_report(h->f.shard, &said);
		assert_int_equal(said.state, SHARD_SERVING); /* and reads go on */
		float first;
		assert_true(present(h, 2, &first));
	}
	hall_close(h);
}

static void a_shard_opens_and_answers_on_a_full_disk(void **state)
{
	for (int built = 0; built < 2; built++) {
		struct hall *h = hall_open();
		struct prng p;
		prng_seed(&p, 3);
		model_put_random(&h->f, &p, 50, 100);
		if (built) fixture_build(&h->f, 2);
		model_put_random(&h->f, &p, 20, 100);
		for (int clean = 0; clean < 2; clean++) {
			io_sim_capacity(h->f.sim, used_bytes(h));
			fixture_reopen(&h->f, clean);
			model_check(&h->f, &p);
			assert_int_equal(now(h, 1, 1000, WRITE_UPSERT), STATUS_DISK_FULL);
			fixture_build_start(&h->f, 2);
			assert_int_equal(fixture_build_wait(&h->f), STATUS_DISK_FULL);
			model_check(&h->f, &p);
		}
		io_sim_capacity(h->f.sim, (uint64_t)1 << 40);
		model_put_random(&h->f, &p, 20, 100); /* healed without a restart */
		fixture_build(&h->f, 2);
		model_check(&h->f, &p);
		hall_close(h);
	}
}

static void a_clean_close_ends_the_log_with_its_mark(void **state)
{
	for (int clean = 0; clean < 2; clean++) {
		struct hall *h = hall_open();
		char path[128];
		uint8_t *bytes = NULL;
		size_t size = 0;
		assert_int_equal(now(h, 1, 1, WRITE_DELETE), STATUS_OK);
		fixture_path(&h->f, "wal-", path);
		shard_close(&h->f.shard, clean);
		assert_int_equal(io_slurp(h->f.io, path, 1 << 20, &bytes, &size), STATUS_OK);
		assert_int_equal(size, 64 + (clean ? 2 : 1) * RECORD_HEADER);
		if (clean) assert_int_equal(bytes[size - RECORD_HEADER + 64], END_MARK);
		free(bytes);
		fixture_reopen(&h->f, true);
		hall_close(h);
	}
}

static void bytes_are_widened_and_other_types_refused(void **state)
{
	struct hall *h = hall_open();
	struct slot *s = &h->slots[1];
	uint8_t row[DIM] = {200, 1, 2, 3, 4, 255};
	uint64_t id = 9;

	h->let_go = true;
	for (int t = 0; t < 3; t++) {
		uint32_t before = h->ended;
		s->hall = h;
		s->write = (struct shard_write){.kind = WRITE_UPSERT, .epoch = EPOCH, .done = on_done, .arg = s, .results = &s->result,
			.items = {.n = 1, .dtype = t < 2 ? DTYPE_U8 : DTYPE_BITS, .dim = t == 1 ? DIM - 1 : DIM, .ids = (const uint8_t *)&id, .vectors = row}};
		shard_submit(h->f.shard, &s->write);
		let_go(h, before + 1);
		assert_int_equal(s->write.report.status, t == 0 ? STATUS_OK : STATUS_BAD_REQUEST);
	}
	float first;
	fixture_reopen(&h->f, false);
	assert_true(present(h, 9, &first));
	assert_true(first == 200.0f);
	hall_close(h);
}

/* One item with a key of one letter, or none. */
static void send_key(struct hall *h, uint32_t i, uint64_t id, enum write_kind kind, const char *key)
{
	static const uint32_t sizes[1] = {1};
	struct slot *s = &h->slots[i];

	s->hall = h;
	s->id = id;
	s->vector[0] = (float)i;
	s->write = (struct shard_write){.kind = kind, .epoch = EPOCH, .done = on_done, .arg = s, .results = &s->result,
		.items = {.n = 1, .dtype = DTYPE_F32, .dim = DIM, .ids = (const uint8_t *)&s->id, .vectors = (const uint8_t *)s->vector}};
	if (key) s->write.items.keys = (struct blobs){1, (const uint8_t *)sizes, (const uint8_t *)key, 1};
	shard_submit(h->f.shard, &s->write);
}

static void keys_clash_with_what_came_before_whether_it_waited_or_not(void **state)
{
	static const struct { enum write_kind kind; const char *key; enum item_result result; } steps[] = {
		{WRITE_UPSERT, "a", ITEM_OK}, {WRITE_DELETE, "b", ITEM_OK}, {WRITE_UPSERT, "b", ITEM_REJECTED}, {WRITE_DELETE, NULL, ITEM_OK}, {WRITE_UPSERT, "b", ITEM_OK},
		{WRITE_UPSERT, "a", ITEM_REJECTED}, {WRITE_UPSERT, NULL, ITEM_OK}, {WRITE_UPSERT, "c", ITEM_OK}, {WRITE_UPSERT, "c", ITEM_OK},
		{WRITE_DELETE, NULL, ITEM_OK}, {WRITE_DELETE, NULL, ITEM_OK}, {WRITE_UPSERT, "d", ITEM_OK}, {WRITE_UPSERT, "c", ITEM_REJECTED},
		{WRITE_DELETE, "d", ITEM_OK}, {WRITE_UPSERT, "e", ITEM_OK}, {WRITE_DELETE, "d", ITEM_OK}};
	enum { STEPS = sizeof(steps) / sizeof(*steps) };

	/* `together` of them wait in one group, from each place on. */
	for (uint32_t together = 1; together <= STEPS; together++)
		for (uint64_t id = 0; id < 2; id++) { /* 0 marks a free place in the group's hash */
			struct hall *h = hall_open();
			for (uint32_t from = 0; from < STEPS; from += together) {
				uint32_t n = STEPS - from < together ? STEPS - from : together;
				h->held = h->let_go = false;
				h->ended = 0;
				send(h, 0, 100);
				pthread_mutex_lock(&h->lock);
				while (!h->held) pthread_cond_wait(&h->changed, &h->lock);
				pthread_mutex_unlock(&h->lock);
				for (uint32_t i = 0; i < n; i++) send_key(h, 1 + from + i, id, steps[from + i].kind, steps[from + i].key);
				let_go(h, n + 1);
			}
			for (uint32_t i = 0; i < STEPS; i++) {
				if (h->slots[1 + i].result != steps[i].result) fprintf(stderr, "step %u of %u together, id %llu\n", i, together, (unsigned long long)id);
				assert_int_equal(h->slots[1 + i].result, steps[i].result);
			}
			assert_true(fixture_has_key(&h->f, id, "e"));
			fixture_reopen(&h->f, together % 2);
			assert_true(fixture_has_key(&h->f, id, "e"));
			hall_close(h);
		}
}

/* A write that the log takes in two pieces: the item that ends the first is not forgotten in the second. */
static void a_write_larger_than_the_log_s_buffer_remembers_its_keys(void **state)
{
	enum { WIDE = 65536, RECORD = RECORD_HEADER + 1 + 4 * WIDE, FIRST = (128 << 20) / RECORD, N = FIRST + 8 }; /* item FIRST does not fit */
	const char *full = getenv("GROVE_FULL");

	if (!full || !*full) skip(); /* 700 MB */
	struct hall *h = calloc(1, sizeof(*h));
	uint64_t *ids = calloc(N, sizeof(*ids));
	uint32_t *sizes = calloc(N, sizeof(*sizes));
	uint8_t *vectors = calloc(N, WIDE), *results = calloc(N, 1);
	char *keys = calloc(N, 1);
	assert_true(h && ids && sizes && vectors && results && keys);
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->changed, NULL);
	fixture_open_sim(&h->f, METRIC_EUCLIDEAN, WIDE);
	for (uint32_t i = 0; i < N; i++) {
		ids[i] = i == FIRST + 1 ? FIRST : i;
		sizes[i] = 1;
		keys[i] = i == FIRST + 1 ? 'b' : 'a';
	}
	struct slot *s = &h->slots[1];
	s->hall = h;
	s->write = (struct shard_write){.kind = WRITE_UPSERT, .epoch = EPOCH, .done = on_done, .arg = s, .results = results,
		.items = {.n = N, .dtype = DTYPE_U8, .dim = WIDE, .ids = (const uint8_t *)ids, .vectors = vectors,
			.keys = {N, (const uint8_t *)sizes, (const uint8_t *)keys, N}}};
	shard_submit(h->f.shard, &s->write);
	let_go(h, 1);
	for (uint32_t i = 0; i < N; i++) assert_int_equal(results[i], i == FIRST + 1 ? ITEM_REJECTED : ITEM_OK);
	assert_true(fixture_has_key(&h->f, FIRST, "a"));
	free(ids);
	free(sizes);
	free(vectors);
	free(results);
	free(keys);
	hall_close(h);
}

/* ---- beside a build ---- */

/* A runner that keeps the build waiting before its first piece. */
struct gate { struct runner runner; _Atomic bool reached, open; };

static void gate_run(struct runner *r, size_t n, void (*work)(void *arg, size_t i), void *arg)
{
	struct gate *g = (struct gate *)r; /* its first member */

	atomic_store(&g->reached, true);
	while (!atomic_load(&g->open)) sched_yield();
	for (size_t i = 0; i < n; i++) work(arg, i);
}

struct told { _Atomic bool over; _Atomic int status; };

static void build_over(void *arg, const struct report *report, uint64_t items)
{
	struct told *t = arg;

	atomic_store(&t->status, report->status);
	atomic_store(&t->over, true);
}

static void build_up_to(struct hall *h, struct gate *g, struct told *t)
{
	*g = (struct gate){.runner = {gate_run, 1}};
	assert_int_equal(shard_build(h->f.shard, 2, 1, &g->runner, build_over, t), STATUS_OK);
	while (!atomic_load(&g->reached)) sched_yield();
}

/* The second write of a group asks for free space: then the build meets a bad disk, and stops the shard. */
static struct trap { const struct io_ops *real; struct hall *hall; struct gate *gate; int asked; } trap;

static enum status trap_free_bytes(struct io *io, uint64_t *ret_free, uint64_t *ret_total)
{
	struct shard_report said = {0};

	if (++trap.asked == 2) {
		io_sim_fail_at(trap.hall->f.sim, SIM_ONLY(SIM_OPEN), 0, STATUS_IO, false);
		atomic_store(&trap.gate->open, true);
		while (said.state != SHARD_STOPPED) {
			sched_yield();
			shard_report(trap.hall->f.shard, &said);
		}
	}
	return trap.real->free_bytes(io, ret_free, ret_total);
}

static void a_build_that_stops_the_shard_amid_a_group_makes_no_answer_untrue(void **state)
{
	struct hall *h = hall_open();
	struct gate gate;
	struct told told = {0};
	struct io_ops trapped = *h->f.io->ops;
	float first;

	fixture_put_plain(&h->f, 100, 1);
	build_up_to(h, &gate, &told);
	hold_writer(h);
	trap = (struct trap){.real = h->f.io->ops, .hall = h, .gate = &gate};
	trapped.free_bytes = trap_free_bytes;
	h->f.io->ops = &trapped;
	for (uint32_t i = 1; i <= 4; i++) send(h, i, i);
	let_go(h, 5);
	while (!atomic_load(&told.over)) sched_yield();
	assert_int_equal(atomic_load(&told.status), STATUS_IO);
	assert_true(trap.asked >= 2);
	h->f.io->ops = trap.real;
	io_sim_heal(h->f.sim);
	fixture_reopen(&h->f, false);
	for (uint32_t i = 1; i <= 4; i++) {
		const struct slot *s = &h->slots[i];
		assert_true(s->result != ITEM_UNKNOWN); /* the log's disk is well */
		assert_int_equal(s->result == ITEM_OK, s->write.report.status == STATUS_OK);
		assert_int_equal(s->result == ITEM_OK, present(h, i, &first));
		assert_int_equal(s->result == ITEM_OK, s->write.out_sequence > 0);
	}
	hall_close(h);
}

static void a_build_does_not_pass_for_progress_of_the_writer(void **state)
{
	/* The writer stands, while a build begins, ends its forest and writes its segment. */
	struct hall *h = hall_open();
	struct gate gate;
	struct told told = {0};
	struct prng p;
	bool busy = false;

	prng_seed(&p, 4);
	for (int i = 0; i < 5; i++) model_put_random(&h->f, &p, 100, 1000);
	build_up_to(h, &gate, &told);
	hold_writer(h);
	uint64_t pulse = shard_pulse(h->f.shard, &busy), renames = io_sim_calls(h->f.sim, SIM_RENAME);
	assert_true(busy);
	atomic_store(&gate.open, true);
	while (io_sim_calls(h->f.sim, SIM_RENAME) == renames) sched_yield();
	assert_int_equal(shard_pulse(h->f.shard, &busy), pulse);
	assert_true(busy);
	let_go(h, 1);
	while (!atomic_load(&told.over)) sched_yield();
	assert_int_equal(atomic_load(&told.status), STATUS_OK);
	assert_true(shard_pulse(h->f.shard, &busy) > pulse);
	hall_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_that_wait_together_are_synced_once_and_keep_their_order),
		cmocka_unit_test(a_full_queue_answers_busy_at_once),
		cmocka_unit_test(what_a_failed_sync_leaves_is_unknown_and_what_comes_after_is_rejected),
		cmocka_unit_test(a_write_in_two_groups_says_of_each_item_what_became_of_it),
		cmocka_unit_test(the_reserve_is_kept_from_puts_and_half_of_it_from_deletes),
		cmocka_unit_test(a_shard_opens_and_answers_on_a_full_disk),
		cmocka_unit_test(a_clean_close_ends_the_log_with_its_mark),
		cmocka_unit_test(bytes_are_widened_and_other_types_refused),
		cmocka_unit_test(keys_clash_with_what_came_before_whether_it_waited_or_not),
		cmocka_unit_test(a_write_larger_than_the_log_s_buffer_remembers_its_keys),
		cmocka_unit_test(a_build_that_stops_the_shard_amid_a_group_makes_no_answer_untrue),
		cmocka_unit_test(a_build_does_not_pass_for_progress_of_the_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
