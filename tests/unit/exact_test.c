/* Exact search: the k least by (raw, id) of the live rows, however the queries are batched and wherever the blocks end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/engine_fixture.h"
#include "worker/engine/sliced.h"

enum { K = 9 };

static int by_hit(const void *a, const void *b) { return hit_cmp(a, b); }

/* Every live row scored, all sorted. */
static size_t plain_exact(const struct block *b, struct query q, struct hit *all)
{
	size_t n = 0;

	for (uint32_t i = 0; i < b->rows.n; i++) {
		if (!rows_live(&b->rows, i)) continue;
		all[n].id = b->ids[i];
		all[n++].raw = vec_raw(b->rows.metric, rows_row(&b->rows, i), b->norm2[i], q.row, q.norm2, b->rows.dim);
	}
	qsort(all, n, sizeof(*all), by_hit);
	return n;
}

/* Of few bits nearly all distances are ties. */
static const uint32_t dims_of_ties[] = {784, 16};

static void the_nearest_live_rows_are_found_with_ties_by_id(void **state)
{
	static const uint32_t sizes[] = {0, 1, 8, 9, 10, 31, 32, 33, 61, 62, 63, 1000}; /* 62 rows of 784 floats are a block */
	enum { NQ = 21 };

	for (int m = 0; m < 2 * METRIC_COUNT; m++)
		for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
			enum metric metric = (enum metric)(m / 2);
			uint32_t dim = dims_of_ties[m % 2];
			struct block b, queries;
			struct hit found[NQ][K], *all = calloc(sizes[s] + 1, sizeof(*all));
			struct topk tops[NQ], alone;
			struct search_work works[NQ] = {{0}};
			struct query q[NQ];
			assert_non_null(all);
			block_init(&b, metric, dim, sizes[s]);
			block_init(&queries, metric, dim, NQ);
			fill_clusters(&b, 2, s, 0);
			fill_clusters(&queries, 2, s, 1);
			for (uint32_t i = 0; i < sizes[s]; i++) {
				if (i % 5 == 4) memcpy(block_row(&b, i), block_row(&b, i - 1), b.rows.stride); /* ties */
				if (i % 7 == 3) atomic_store(&b.dead[i], 1 + i % 2);
			}
			block_finish(&b);
			for (uint32_t i = 0; i < sizes[s]; i++) b.ids[i] = i * 2654435761u; /* distinct, and of equal rows the later may be less */
			for (uint32_t i = 0; i < NQ; i++) {
				q[i] = block_query(&queries, i);
				topk_init(&tops[i], found[i], K);
			}
			exact_search(&b.rows, q, NQ, NULL, tops, works);
			for (uint32_t i = 0; i < NQ; i++) {
				struct hit one[K];
				struct search_work work = {0};
				size_t n = plain_exact(&b, q[i], all);
				topk_init(&alone, one, K);
				exact_search(&b.rows, &q[i], 1, NULL, &alone, &work);
				topk_sort(&tops[i]);
				topk_sort(&alone);
				assert_int_equal(works[i].candidates, n);
				assert_int_equal(work.candidates, n);
				assert_int_equal(tops[i].count, n < K ? n : K);
				assert_int_equal(alone.count, tops[i].count);
				for (size_t h = 0; h < tops[i].count; h++) {
					assert_int_equal(hit_cmp(&found[i][h], &all[h]), 0);
					assert_int_equal(hit_cmp(&one[h], &all[h]), 0);
				}
			}
			free(all);
			block_free(&b);
			block_free(&queries);
		}
}

/* Counts the distances that go by between two questions. */
struct watch { const struct search_work *works; size_t nq; uint64_t seen, most; long left; };

static bool watch_pairs(void *arg)
{
	struct watch *w = arg;
	uint64_t all = 0;

	for (size_t i = 0; i < w->nq; i++) all += w->works[i].candidates;
	if (all - w->seen > w->most) w->most = all - w->seen;
	w->seen = all;
	return w->left-- == 0;
}

/* What a segment adds to rows of bits: the same by bit, and the dead by 64. */
static void block_slice(struct block *b, bool dead_words)
{
	struct dead_word *words = calloc(b->rows.n / 64 + 1, sizeof(*words));
	struct sliced *sliced;

	assert_int_equal(sliced_make(&b->rows, &sliced), STATUS_OK);
	b->rows.sliced = sliced;
	assert_non_null(words);
	for (uint32_t i = 0; i < b->rows.n; i++) {
		uint64_t dead = atomic_load(&b->dead[i]);
		if (dead) atomic_fetch_or(&words[i / 64].rows, (uint64_t)1 << i % 64);
		if (dead > atomic_load(&words[i / 64].newest)) atomic_store(&words[i / 64].newest, dead);
	}
	b->rows.dead_words = dead_words ? words : NULL;
	if (!dead_words) free(words);
}

static void block_unslice(struct block *b)
{
	struct sliced *sliced = (struct sliced *)(uintptr_t)b->rows.sliced;

	sliced_free(&sliced);
	free((void *)(uintptr_t)b->rows.dead_words);
}

enum dying { NONE_DIES, SOME_DIE, MOST_DIE, DYINGS };

/* n rows of few bits against a few queries, all that is found against all that there is. */
static void sliced_rows_give_what_rows_give(uint32_t dim, uint32_t n, size_t k, enum dying dying, uint64_t seed)
{
	enum { NQ = 3, MOST_K = 600 };
	static struct hit found[NQ][MOST_K];
	struct hit *all = calloc((size_t)n + 1, sizeof(*all));
	struct block b, queries;
	struct topk tops[NQ];
	struct search_work works[NQ] = {{0}};
	struct query q[NQ];
	struct prng p;

	assert_non_null(all);
	prng_seed3(&p, seed, dim, n);
	block_init(&b, METRIC_HAMMING, dim, n);
	block_init(&queries, METRIC_HAMMING, dim, NQ);
	fill_clusters(&b, 1 + n / 100, seed, 0);
	fill_clusters(&queries, 1 + n / 100, seed, 1);
	for (uint32_t i = 0; i < n; i++) {
		b.ids[i] = (uint32_t)(i * 2654435761u);
		if (i % 5 == 4) memcpy(block_row(&b, i), block_row(&b, i - 1), b.rows.stride);
		if (dying != NONE_DIES && prng_below(&p, 10) < (dying == SOME_DIE ? 1 : 9)) atomic_store(&b.dead[i], 1 + prng_below(&p, 3) % 2);
	}
	if (dying == NONE_DIES) b.rows.dead_at = NULL;
	block_slice(&b, seed % 2);
	for (uint32_t i = 0; i < NQ; i++) {
		q[i] = block_query(&queries, i);
		topk_init(&tops[i], found[i], k);
	}
	exact_search(&b.rows, q, NQ, NULL, tops, works);
	for (uint32_t i = 0; i < NQ; i++) {
		size_t live = plain_exact(&b, q[i], all);
		topk_sort(&tops[i]);
		assert_int_equal(works[i].candidates, live);
		assert_int_equal(tops[i].count, live < k ? live : k);
		for (size_t h = 0; h < tops[i].count; h++) assert_int_equal(hit_cmp(&found[i][h], &all[h]), 0);
	}
	free(all);
	block_unslice(&b);
	block_free(&b);
	block_free(&queries);
}

static void sliced_bits_of_every_number_and_length_find_the_same(void **state)
{
	static const size_t ks[] = {0, 1, 9, 600};

	for (uint32_t n = 0; n <= 600; n++) sliced_rows_give_what_rows_give(64, n, K, (enum dying)(n % DYINGS), n / 3);
	for (uint32_t dim = 1; dim <= SLICED_DIM_MAX; dim++)
		for (size_t i = 0; i < (dim % 64 ? 1 : 4); i++)
			sliced_rows_give_what_rows_give(dim, 500 + dim, ks[(dim + i) % 4], (enum dying)((dim + i) % DYINGS), dim / 3);
	for (int dying = NONE_DIES; dying < DYINGS; dying++)
		for (uint64_t seed = 0; seed < 4; seed++) sliced_rows_give_what_rows_give(64, 40000, K, (enum dying)dying, seed);
}

/* Rows of 64 bits with as many ones each, which are told apart by leading bits, and more queries than go together; until it is stopped. */
static void sliced_rows_that_are_alike_give_what_rows_give(void **state)
{
	enum { ROWS = 70000, NQ = 70 };
	static struct hit found[NQ][K], wanted[NQ][K];
	struct hit *all = calloc(ROWS, sizeof(*all));
	struct block b, queries;
	struct topk tops[NQ];
	struct query q[NQ];
	struct prng p;
	size_t live = 0;
	bool ended = false;

	assert_non_null(all);
	prng_seed(&p, 1);
	block_init(&b, METRIC_HAMMING, 64, ROWS);
	block_init(&queries, METRIC_HAMMING, 64, NQ);
	for (uint32_t i = 0; i < ROWS + NQ; i++) {
		uint32_t half = (uint32_t)prng_u64(&p), bits[2] = {half, i % 70 ? ~half : (uint32_t)prng_u64(&p)};
		memcpy(i < ROWS ? block_row(&b, i) : block_row(&queries, i - ROWS), bits, sizeof(bits));
		if (i < ROWS) b.ids[i] = (uint32_t)(i * 2654435761u);
		if (i < ROWS && i % 9 == 0) atomic_store(&b.dead[i], 1);
	}
	block_slice(&b, true);
	assert_true(b.rows.sliced->lead.count >= 3);
	for (uint32_t i = 0; i < NQ; i++) {
		q[i] = block_query(&queries, i);
		live = plain_exact(&b, q[i], all);
		memcpy(wanted[i], all, sizeof(wanted[i]));
	}
	for (long stop = 0; !ended; stop = stop * 3 + 1) {
		struct search_work works[NQ] = {{0}};
		struct watch watch = {works, NQ, 0, 0, stop};
		struct pulse pulse = {watch_pairs, &watch};
		for (uint32_t i = 0; i < NQ; i++) topk_init(&tops[i], found[i], K);
		exact_search(&b.rows, q, NQ, &pulse, tops, works);
		ended = watch.left >= 0;
		assert_true(watch.most <= 40000);
		for (uint32_t i = 0; i < NQ; i++) {
			assert_int_equal(works[i].truncated, works[i].candidates < live);
			if (works[i].truncated) continue;
			topk_sort(&tops[i]);
			assert_int_equal(tops[i].count, K);
			for (size_t h = 0; h < K; h++) assert_int_equal(hit_cmp(&found[i][h], &wanted[i][h]), 0);
		}
	}
	free(all);
	block_unslice(&b);
	block_free(&b);
	block_free(&queries);
}

static void only_few_bits_are_sliced(void **state)
{
	assert_int_equal(sliced_planes(METRIC_HAMMING, 1), SLICED_STEP);
	assert_int_equal(sliced_planes(METRIC_HAMMING, SLICED_DIM_MAX), SLICED_DIM_MAX);
	assert_int_equal(sliced_planes(METRIC_HAMMING, SLICED_DIM_MAX + 1), 0);
	assert_int_equal(sliced_planes(METRIC_EUCLIDEAN, 64), 0);
}

static void a_stop_is_seen_within_a_few_thousand_distances_and_named_for_each_query(void **state)
{
	enum { NQ = 50, ROWS = 3000 };
	static const uint32_t dims[] = {2, 784, 9000};

	for (size_t d = 0; d < 3; d++) {
		struct block b;
		struct query q[NQ];
		struct hit hits[NQ][K];
		uint32_t rows = dims[d] > 1000 ? 100 : ROWS;
		bool ended = false;
		block_init(&b, METRIC_MANHATTAN, dims[d], rows);
		fill_clusters(&b, 2, 1, 0);
		for (uint32_t i = 0; i < NQ; i++) q[i] = block_query(&b, i);
		for (long stop = 0; !ended; stop = stop * 2 + 1) {
			struct search_work works[NQ] = {{0}};
			struct topk tops[NQ];
			struct watch watch = {works, NQ, 0, 0, stop};
			struct pulse pulse = {watch_pairs, &watch};
			for (uint32_t i = 0; i < NQ; i++) topk_init(&tops[i], hits[i], K);
			exact_search(&b.rows, q, NQ, &pulse, tops, works);
			ended = watch.left >= 0;
			assert_true(watch.most <= 4096);
			for (uint32_t i = 0; i < NQ; i++) assert_int_equal(works[i].truncated, works[i].candidates < rows);
			assert_true(ended || works[NQ - 1].truncated);
		}
		block_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_nearest_live_rows_are_found_with_ties_by_id),
		cmocka_unit_test(sliced_bits_of_every_number_and_length_find_the_same),
		cmocka_unit_test(sliced_rows_that_are_alike_give_what_rows_give),
		cmocka_unit_test(only_few_bits_are_sliced),
		cmocka_unit_test(a_stop_is_seen_within_a_few_thousand_distances_and_named_for_each_query),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
