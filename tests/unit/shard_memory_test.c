/* Every allocation of a shard's life fails once, and then all after it: each call says so and changes nothing, or succeeds; the shard serves
 * on, and what was acknowledged is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "tests/support/shard_fixture.h"
#include "tests/support/starve.h"

#define SHARD_DIR "shards/one"
enum { DIM = 8, IDS = 120, NEVER_ENDS = 3000, CHECK_EVERY = 8, WRITE_ITEMS = 40 };

/* One starved call. It begins and ends the starvation itself, around what is to be seen, and returns that one's status. */
struct hunger { struct shard_fixture f; struct prng p; long n; bool for_ever, failed; };

static void begin(struct hunger *h) { starve_begin(h->n, h->for_ever); }
static void end(struct hunger *h) { h->failed = starve_end(); }

static void setup(struct hunger *h)
{
	if (!starve_works()) skip();
	*h = (struct hunger){0};
	prng_seed(&h->p, 9);
	fixture_open_posix(&h->f, METRIC_EUCLIDEAN, DIM);
	model_put_random(&h->f, &h->p, 100, IDS);
	fixture_build(&h->f, 2);
	model_put_random(&h->f, &h->p, 60, IDS);
	model_delete_random(&h->f, &h->p, 20, IDS);
}

/* Again and again, one more allocation succeeding each time, until none fails; then it has to work. */
static void starve_each(struct hunger *h, const char *name, enum status (*call)(struct hunger *h))
{
	for (int for_ever = 0; for_ever <= 1; for_ever++) {
		enum status status;
		h->for_ever = for_ever;
		h->failed = true;
		for (h->n = 0; h->failed; h->n++) {
			assert_true(h->n < NEVER_ENDS);
			status = call(h);
			if (status != STATUS_OK && status != STATUS_NO_MEMORY) fprintf(stderr, "%s, allocation %ld: %s\n", name, h->n, status_name(status));
			assert_true(status == STATUS_OK || status == STATUS_NO_MEMORY);
			assert_true(status == STATUS_OK || h->failed);
			if (h->n % CHECK_EVERY == 0 || !h->failed) model_check(&h->f, &h->p);
		}
		fprintf(stderr, "%s: %ld allocations, each failed %s\n", name, h->n - 1, for_ever ? "with all after it" : "once");
	}
}

static enum status open_starved(struct hunger *h)
{
	struct report report = {0};

	shard_close(&h->f.shard, h->n % 2);
	begin(h);
	enum status status = shard_open(h->f.io, SHARD_DIR, &h->f.shard, &report);
	end(h);
	if (status == STATUS_OK) {
		struct shard_report said;
		shard_report(h->f.shard, &said);
		assert_int_equal(said.state, SHARD_SERVING); /* want of memory is no damage */
	} else {
		assert_null(h->f.shard);
		assert_int_equal(shard_open(h->f.io, SHARD_DIR, &h->f.shard, &report), STATUS_OK);
	}
	return status;
}

static void opening_without_memory_says_so_and_works_the_next_time(void **state)
{
	struct hunger h;

	setup(&h);
	starve_each(&h, "open", open_starved);
	fixture_close(&h.f);
}

struct waiting { pthread_mutex_t lock; pthread_cond_t changed; bool ended; };

static void on_written(struct shard_write *w)
{
	struct waiting *waiting = w->arg;

	pthread_mutex_lock(&waiting->lock);
	waiting->ended = true;
	pthread_cond_signal(&waiting->changed);
	pthread_mutex_unlock(&waiting->lock);
}

static enum status write_starved(struct hunger *h)
{
	static float vectors[WRITE_ITEMS][DIM];
	static uint8_t payloads[WRITE_ITEMS][8], results[WRITE_ITEMS];
	static uint64_t ids[WRITE_ITEMS];
	static uint32_t sizes[WRITE_ITEMS];
	struct waiting waiting = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
	struct shard_write w = {.kind = WRITE_UPSERT, .epoch = 7, .results = results, .done = on_written, .arg = &waiting,
		.items = {.n = WRITE_ITEMS, .dtype = DTYPE_F32, .dim = DIM, .ids = (const uint8_t *)ids, .vectors = (const uint8_t *)vectors,
			.payloads = {WRITE_ITEMS, (const uint8_t *)sizes, (const uint8_t *)payloads, sizeof(payloads)}}};

	uint64_t first = h->f.version + 1;
	h->f.version += WRITE_ITEMS;
	for (uint64_t i = 0; i < WRITE_ITEMS; i++) {
		uint64_t version = first + i;
		ids[i] = prng_below(&h->p, IDS);
		sizes[i] = 8;
		fixture_vector(&h->f, ids[i], version, vectors[i]);
		memcpy(payloads[i], &version, 8);
	}
	begin(h);
	shard_submit(h->f.shard, &w);
	pthread_mutex_lock(&waiting.lock);
	while (!waiting.ended) pthread_cond_wait(&waiting.changed, &waiting.lock);
	pthread_mutex_unlock(&waiting.lock);
	end(h);
	for (uint32_t i = 0; i < WRITE_ITEMS; i++) {
		assert_int_equal(results[i], w.report.status == STATUS_OK ? ITEM_OK : ITEM_REJECTED);
		if (results[i] == ITEM_OK) model_set(&h->f, ids[i], first + i, true);
	}
	return w.report.status;
}

static void a_write_without_memory_is_rejected_whole(void **state)
{
	struct hunger h;

	setup(&h);
	starve_each(&h, "write", write_starved);
	fixture_reopen(&h.f, false);
	model_check(&h.f, &h.p);
	fixture_close(&h.f);
}

static enum status build_starved(struct hunger *h)
{
	struct shard_report said;

	begin(h);
	enum status status = fixture_build_try(&h->f, 2);
	end(h);
	shard_report(h->f.shard, &said);
	assert_int_equal(said.state, SHARD_SERVING);
	if (h->n % 3 == 0) model_put_random(&h->f, &h->p, 5, IDS);
	return status;
}

static void a_build_without_memory_leaves_the_shard_serving(void **state)
{
	struct hunger h;

	setup(&h);
	starve_each(&h, "build", build_starved);
	fixture_reopen(&h.f, true);
	model_check(&h.f, &h.p);
	fixture_close(&h.f);
}

static enum status search_starved(struct hunger *h)
{
	static _Alignas(64) uint8_t row[64];
	struct search_spec spec = {.k = 5, .mode = SEARCH_FOREST, .search_k = 20};
	struct search_scratch *scratch = NULL;
	struct search_work work = {0};
	struct snapshot *snap = NULL;
	struct report report = {0};
	struct hit hits[5];
	struct topk top;
	struct query q = {row, 0};

	topk_init(&top, hits, 5);
	begin(h);
	enum status status = search_scratch_new(&scratch);
	if (status == STATUS_OK) status = snapshot_pin(h->f.shard, &snap, &report);
	if (status == STATUS_OK) status = snapshot_search(snap, &spec, &q, 1, NULL, scratch, &top, &work);
	snapshot_release(&snap);
	search_scratch_free(&scratch);
	end(h);
	if (status == STATUS_OK) assert_int_equal(top.count, 5);
	return status;
}

static void a_search_without_memory_says_so(void **state)
{
	struct hunger h;

	setup(&h);
	starve_each(&h, "search", search_starved);
	fixture_close(&h.f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opening_without_memory_says_so_and_works_the_next_time),
		cmocka_unit_test(a_write_without_memory_is_rejected_whole),
		cmocka_unit_test(a_build_without_memory_leaves_the_shard_serving),
		cmocka_unit_test(a_search_without_memory_says_so),
	};

	log_set_level((enum log_level)(LOG_ERROR + 1)); /* every failure of ours would be told */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
