/* A memtable against a plain list of its rows, and the livemap beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/prng.h"
#include "worker/store/livemap.h"
#include "worker/store/memtable.h"

enum { DIM = 5, ROWS = 9000, IDS = 1500 };

struct plain { uint64_t id, dead_at; uint32_t key_size, payload_size; };

static uint64_t test_seed(void)
{
	const char *text = getenv("GROVE_SEED");
	return text ? strtoull(text, NULL, 10) : 1;
}

static void row_vector(enum metric m, uint64_t id, uint32_t row, uint8_t *out)
{
	struct prng p;

	prng_seed3(&p, 5, id, row);
	if (m == METRIC_HAMMING) {
		out[0] = (uint8_t)prng_below(&p, 1u << DIM);
		return;
	}
	for (int i = 0; i < DIM; i++) {
		float x = (float)prng_unit(&p) - 0.5f;
		memcpy(out + 4 * i, &x, 4);
	}
}

/* Keys and payloads are the id and the row, repeated to a length. */
static void row_blob(uint64_t id, uint32_t row, uint32_t size, uint8_t *out)
{
	for (uint32_t i = 0; i < size; i++) out[i] = (uint8_t)(id * 31 + row + i);
}

static void fill(struct memtable *m, enum metric metric, struct prng *p, struct plain *rows)
{
	static uint8_t key[300], payload[3000];
	uint8_t vector[4 * DIM + 1];

	for (uint32_t i = 0; i < ROWS; i++) {
		struct plain *r = &rows[i];
		*r = (struct plain){prng_below(p, IDS), 0, prng_below(p, 4) ? 0 : prng_below(p, 255), prng_below(p, 2) ? 0 : prng_below(p, sizeof payload)};
		if (r->id % 10 == 0) r->id = UINT64_MAX - r->id;
		row_vector(metric, r->id, i, vector + 1); /* unaligned, as in a frame */
		row_blob(r->id, i, r->key_size, key);
		row_blob(r->id, i + 1, r->payload_size, payload);
		assert_int_equal(memtable_reserve(m, 1, r->key_size + r->payload_size, 1), STATUS_OK);
		assert_int_equal(memtable_append(m, r->id, i + 1, vector + 1, (struct segment_bytes){key, r->key_size}, (struct segment_bytes){payload, r->payload_size}), i);
		if (prng_below(p, 3) == 0) memtable_kill(m, i, rows[i].dead_at = i + 1 + prng_below(p, 100));
	}
	assert_int_equal(memtable_count(m), ROWS);
}

static void check_blob(struct segment_bytes got, uint64_t id, uint32_t row, uint32_t size)
{
	uint8_t want[3000];

	row_blob(id, row, size, want);
	assert_int_equal(got.size, size);
	if (size) assert_memory_equal(got.bytes, want, size);
}

static void rows_keys_and_payloads_are_kept_as_they_came(void **state)
{
	for (int metric = 0; metric < METRIC_COUNT; metric++) {
		struct plain *rows = calloc(ROWS, sizeof(*rows));
		struct memtable *m = NULL;
		struct prng p;
		uint8_t vector[64] = {0};
		size_t row_bytes = dtype_row_bytes(metric_dtype((enum metric)metric), DIM);
		assert_non_null(rows);
		prng_seed3(&p, test_seed(), (uint64_t)metric, 1);
		assert_int_equal(memtable_new((enum metric)metric, DIM, &m), STATUS_OK);
		fill(m, (enum metric)metric, &p, rows);
		for (uint32_t i = 0; i < ROWS; i++) {
			row_vector((enum metric)metric, rows[i].id, i, vector);
			memset(vector + row_bytes, 0, sizeof(vector) - row_bytes);
			assert_int_equal(memtable_id(m, i), rows[i].id);
			assert_int_equal(memtable_sequence(m, i), i + 1);
			assert_int_equal(memtable_dead_at(m, i), rows[i].dead_at);
			assert_memory_equal(memtable_vector(m, i), vector, rows_stride((enum metric)metric, DIM)); /* the padding is zero */
			check_blob(memtable_key(m, i), rows[i].id, i, rows[i].key_size);
			check_blob(memtable_payload(m, i), rows[i].id, i + 1, rows[i].payload_size);
		}
		memtable_free(&m);
		free(rows);
	}
}

static void an_older_snapshot_finds_its_own_row_of_an_id(void **state)
{
	struct plain *rows = calloc(ROWS, sizeof(*rows));
	struct memtable *m = NULL;
	struct prng p;

	assert_non_null(rows);
	fprintf(stderr, "seed %llu\n", (unsigned long long)test_seed());
	prng_seed3(&p, test_seed(), 0, 2);
	assert_int_equal(memtable_new(METRIC_EUCLIDEAN, DIM, &m), STATUS_OK);
	fill(m, METRIC_EUCLIDEAN, &p, rows);
	for (int i = 0; i < 2000; i++) {
		uint64_t id = rows[prng_below(&p, ROWS)].id + (prng_below(&p, 20) == 0);
		uint32_t limit = prng_below(&p, ROWS + 1);
		int64_t newest = (int64_t)limit - 1;
		while (newest >= 0 && rows[newest].id != id) newest--;
		assert_int_equal(memtable_find(m, id, limit), newest);
	}
	memtable_free(&m);
	free(rows);
}

static void the_engine_sees_every_row_below_the_limit_once(void **state)
{
	struct plain *rows = calloc(ROWS, sizeof(*rows));
	struct memtable *m = NULL;
	struct prng p;

	assert_non_null(rows);
	prng_seed3(&p, test_seed(), 0, 3);
	assert_int_equal(memtable_new(METRIC_ANGULAR, DIM, &m), STATUS_OK);
	fill(m, METRIC_ANGULAR, &p, rows);
	static const uint32_t limits[] = {0, 1, 15, 16, 17, 4096, 8191, 8192, ROWS};
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		uint32_t seen = 0;
		uint64_t at = limits[i] / 2;
		for (;;) {
			struct rows block = memtable_rows(m, seen, limits[i], at);
			if (block.n == 0) break;
			assert_int_equal((uintptr_t)block.base % 64, 0);
			for (uint32_t r = 0; r < block.n; r++, seen++) {
				assert_int_equal(block.ids[r], rows[seen].id);
				assert_ptr_equal(rows_row(&block, r), memtable_vector(m, seen));
				assert_true(block.norm2[r] == vec_norm2(METRIC_ANGULAR, memtable_vector(m, seen), DIM));
				assert_int_equal(rows_live(&block, r), rows[seen].dead_at == 0 || rows[seen].dead_at > at);
			}
		}
		assert_int_equal(seen, limits[i]);
	}
	memtable_free(&m);
	free(rows);
}

static void deletions_are_remembered_and_memory_is_counted(void **state)
{
	struct memtable *m = NULL;
	uint64_t count;
	size_t before;

	assert_int_equal(memtable_new(METRIC_DOT, 1000, &m), STATUS_OK);
	memtable_tombstones(m, &count);
	assert_int_equal(count, 0);
	before = memtable_bytes(m);
	assert_int_equal(memtable_reserve(m, 500, 70000, 300), STATUS_OK);
	size_t reserved = memtable_bytes(m);
	assert_true(reserved >= before + 500 * 1000 * sizeof(float) + 70000);
	assert_true(reserved <= before + 1000 * 1000 * sizeof(float) + 300000);
	assert_int_equal(memtable_reserve(m, 500, 70000, 300), STATUS_OK); /* it is there already */
	assert_int_equal(memtable_bytes(m), reserved);
	for (uint64_t i = 0; i < 300; i++) memtable_bury(m, UINT64_MAX - i, i + 1);
	const struct segment_tombstone *t = memtable_tombstones(m, &count);
	assert_int_equal(count, 300);
	for (uint64_t i = 0; i < 300; i++) assert_true(t[i].id == UINT64_MAX - i && t[i].sequence == i + 1);
	memtable_free(&m);
	assert_null(m);
	memtable_free(&m);
}

static void more_rows_than_numbers_are_refused(void **state)
{
	struct memtable *m = NULL;

	assert_int_equal(memtable_new(METRIC_HAMMING, 8, &m), STATUS_OK);
	size_t before = memtable_bytes(m);
	assert_int_equal(memtable_reserve(m, UINT32_MAX, 0, 0), STATUS_NO_MEMORY);
	assert_int_equal(memtable_bytes(m), before);
	memtable_free(&m);
}

/* A process of its own that kills the row anew: the signal that ended it, or 0. */
static int kill_again(struct livemap *l, uint32_t row, uint64_t sequence)
{
	struct rlimit none = {0};
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		if (setrlimit(RLIMIT_CORE, &none) != 0) _exit(1);
		log_set_level((enum log_level)(LOG_ERROR + 1)); /* it would tell */
		livemap_kill(l, row, sequence);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void a_row_of_a_segment_dies_once(void **state)
{
	struct livemap l;

	assert_int_equal(livemap_init(&l, 0), STATUS_OK);
	livemap_release(&l);
	assert_int_equal(livemap_init(&l, 100), STATUS_OK);
	for (uint32_t i = 0; i < 100; i++) assert_int_equal(livemap_dead_at(&l, i), 0);
	livemap_kill(&l, 7, 50);
	livemap_kill(&l, 99, UINT64_MAX);
	assert_int_equal(livemap_dead_at(&l, 7), 50);
	assert_int_equal(livemap_dead_at(&l, 99), UINT64_MAX);
	assert_int_equal(atomic_load(&l.dead), 2);
	assert_int_equal(kill_again(&l, 8, 60), 0);
	assert_int_equal(kill_again(&l, 7, 60), SIGABRT);
	assert_int_equal(kill_again(&l, 8, 0), SIGABRT); /* 0 is life */
	livemap_release(&l);
	livemap_release(&l);
}

static void dead_rows_of_a_segment_are_the_same_by_word(void **state)
{
	enum { COUNT = 1000, SEQUENCES = 50 };
	struct livemap l;
	struct rows rows = {.n = COUNT};
	struct prng p;

	assert_int_equal(livemap_init(&l, COUNT), STATUS_OK);
	rows.dead_at = l.dead_at;
	rows.dead_words = l.dead_words;
	prng_seed(&p, 1);
	for (uint64_t sequence = 1; sequence <= SEQUENCES; sequence++) {
		for (int i = 0; i < 10; i++) {
			uint32_t row = prng_below(&p, COUNT);
			if (!livemap_dead_at(&l, row)) livemap_kill(&l, row, 1 + prng_below(&p, (uint32_t)sequence)); /* installs bring old deaths late */
		}
		for (rows.at = 0; rows.at <= sequence; rows.at++)
			for (uint32_t word = 0; word < (COUNT + 63) / 64; word++) {
				uint64_t live = rows_live_word(&rows, word);
				for (uint32_t r = 0; r < 64; r++)
					assert_int_equal(live >> r & 1, word * 64 + r < COUNT && rows_live(&rows, word * 64 + r));
			}
	}
	livemap_release(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_keys_and_payloads_are_kept_as_they_came),
		cmocka_unit_test(an_older_snapshot_finds_its_own_row_of_an_id),
		cmocka_unit_test(the_engine_sees_every_row_below_the_limit_once),
		cmocka_unit_test(deletions_are_remembered_and_memory_is_counted),
		cmocka_unit_test(more_rows_than_numbers_are_refused),
		cmocka_unit_test(a_row_of_a_segment_dies_once),
		cmocka_unit_test(dead_rows_of_a_segment_are_the_same_by_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
