/* metrics: nothing that was counted is lost, and the text says it as Prometheus reads it. The text is read back by a reader of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/metrics.h"
#include "common/prng.h"
#include "tests/support/exposition.h"

enum { THREADS = 8, ROUNDS = 200000 };

static struct metrics registry;
static struct report why;

static int setup(void **state) { return metrics_init(&registry, NULL, &why) != STATUS_OK; }

static void add(struct metrics_series s)
{
	assert_int_equal(metrics_add(&registry, &s, &why), STATUS_OK);
}

static enum status refused(struct metrics_series s)
{
	size_t before = registry.count;
	enum status status = metrics_add(&registry, &s, &why);

	assert_true(status != STATUS_OK && why.text[0]);
	assert_int_equal(registry.count, before);
	return status;
}

static void read_back(struct exposition *e)
{
	struct buf text;

	buf_init(&text, 0);
	assert_int_equal(metrics_write(&registry, &text), STATUS_OK);
	exposition_read(e, (const char *)text.bytes, text.size);
	buf_release(&text);
}

static struct counter counted;
static struct gauge level;
static struct histogram durations, sizes = {.unit = HISTOGRAM_BYTES};

/* ---- counting ---- */

static pthread_barrier_t together;

static void *count_much(void *arg)
{
	uint64_t number = (uint64_t)(uintptr_t)arg;

	pthread_barrier_wait(&together);
	for (uint64_t i = 0; i < ROUNDS; i++) {
		counter_add(&counted, number);
		gauge_add(&level, i % 2 ? -1 : 2);
		histogram_observe(&durations, i * number);
	}
	return NULL;
}

static void counts_of_8_threads_add_up_and_every_text_meanwhile_is_whole(void **state)
{
	pthread_t threads[THREADS];
	struct exposition e;
	uint64_t all = 0, sum = 0;
	double before = 0;

	add((struct metrics_series){.name = "c_total", .help = "c", .counter = &counted});
	add((struct metrics_series){.name = "g", .help = "g", .gauge = &level});
	add((struct metrics_series){.name = "h_seconds", .help = "h", .histogram = &durations});
	assert_int_equal(pthread_barrier_init(&together, NULL, THREADS), 0);
	for (uintptr_t i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, count_much, (void *)(i + 1)), 0);
	for (int i = 0; i < 50; i++) {
		read_back(&e); /* it checks that buckets only grow and end in _count */
		assert_true(exposition_value(&e, "c_total", NULL) >= before);
		before = exposition_value(&e, "c_total", NULL);
		exposition_release(&e);
	}
	for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&together);
	for (uint64_t i = 0; i < THREADS; i++) {
		all += (i + 1) * ROUNDS;
		sum += (i + 1) * (ROUNDS * (uint64_t)(ROUNDS - 1) / 2);
	}
	assert_true(counter_value(&counted) == all);
	assert_true(gauge_value(&level) == THREADS * ROUNDS / 2);
	assert_true(histogram_count(&durations) == THREADS * ROUNDS);
	read_back(&e);
	assert_true(exposition_value(&e, "c_total", NULL) == (double)all);
	assert_true(exposition_value(&e, "h_seconds_count", NULL) == THREADS * ROUNDS);
	assert_float_equal(exposition_value(&e, "h_seconds_sum", NULL), (double)sum / 1e6, 1e-6);
	exposition_release(&e);
}

static void numbers_are_exact_up_to_their_ends(void **state)
{
	struct counter most = {UINT64_MAX};
	struct gauge least = {INT64_MIN}, minus = {-7};
	struct histogram h = {0};
	struct exposition e;

	add((struct metrics_series){.name = "most", .help = "", .counter = &most});
	add((struct metrics_series){.name = "least", .help = "", .gauge = &least});
	add((struct metrics_series){.name = "minus", .help = "", .gauge = &minus});
	add((struct metrics_series){.name = "h", .help = "", .histogram = &h});
	histogram_observe(&h, 1);
	histogram_observe(&h, 12345600);
	read_back(&e);
	assert_string_equal(exposition_find(&e, "most", NULL)->number, "18446744073709551615");
	assert_string_equal(exposition_find(&e, "least", NULL)->number, "-9223372036854775808");
	assert_string_equal(exposition_find(&e, "minus", NULL)->number, "-7");
	assert_string_equal(exposition_find(&e, "h_sum", NULL)->number, "12.345601");
	exposition_release(&e);
}

/* ---- buckets ---- */

/* For each bound, how many observed values are at most it. */
static void compare_buckets(const struct exposition *e, const char *name, const uint64_t *values, size_t n, double unit)
{
	size_t buckets = 0;

	for (size_t i = 0; i < e->count; i++) {
		const struct sample *s = &e->samples[i];
		if (strcmp(s->name, name)) continue;
		double bound = strtod(s->labels[s->label_count - 1].value, NULL);
		uint64_t expected = 0;
		for (size_t v = 0; v < n; v++) expected += (double)values[v] <= bound * unit * (1 + 1e-12);
		assert_true(s->value == (double)expected);
		buckets++;
	}
	assert_true(buckets > 10);
}

static void buckets_are_cumulative_and_a_value_at_a_bound_is_below_it(void **state)
{
	enum { N = 3000 };
	static uint64_t values[N];
	static const uint64_t edges[] = {0, 9, 10, 11, 20, 21, 50, 51, 63, 64, 65, 999999, 1000000, 1000001, 5000000000, 5000000001, 1ull << 32, (1ull << 32) + 1, 1ull << 40};
	struct histogram h = {0};
	struct prng p;
	struct exposition e;

	sizes = (struct histogram){.unit = HISTOGRAM_BYTES};
	add((struct metrics_series){.name = "h_seconds", .help = "h", .histogram = &h});
	add((struct metrics_series){.name = "s_bytes", .help = "s", .histogram = &sizes});
	prng_seed(&p, 3);
	for (size_t i = 0; i < N; i++) {
		values[i] = i < sizeof(edges) / sizeof(edges[0]) ? edges[i] : prng_u64(&p) >> prng_below(&p, 40) >> 24;
		histogram_observe(&h, values[i]);
		histogram_observe(&sizes, values[i]);
	}
	read_back(&e);
	compare_buckets(&e, "h_seconds_bucket", values, N, 1e6);
	compare_buckets(&e, "s_bytes_bucket", values, N, 1);
	assert_true(exposition_value(&e, "h_seconds_bucket", "le=+Inf") == N);
	assert_non_null(exposition_find(&e, "h_seconds_bucket", "le=0.00001"));
	assert_non_null(exposition_find(&e, "h_seconds_bucket", "le=0.5"));
	assert_non_null(exposition_find(&e, "h_seconds_bucket", "le=5000"));
	assert_non_null(exposition_find(&e, "s_bytes_bucket", "le=1048576"));
	exposition_release(&e);
}

/* ---- names ---- */

static void values_and_helps_are_escaped_and_come_back_as_they_were(void **state)
{
	static const char nasty[] = "a\\b\"c\nd{e=\"f\"} \\n \xc3\xa9";
	struct metrics_label who = {"who", nasty};
	struct counter c = {1}, d = {2};
	struct buf text;
	struct exposition e;

	assert_int_equal(metrics_init(&registry, &who, &why), STATUS_OK);
	add((struct metrics_series){.name = "a:b_total", .help = "two\nlines and a \\ and a \"", .labels = {{"x", nasty}, {"y", ""}}, .counter = &c});
	add((struct metrics_series){.name = "a:b_total", .help = "two\nlines and a \\ and a \"", .labels = {{"x", "\n"}}, .counter = &d});
	read_back(&e);
	assert_int_equal(e.count, 2);
	const struct sample *s = &e.samples[0];
	assert_int_equal(s->label_count, 3);
	assert_string_equal(s->labels[0].name, "who");
	assert_string_equal(s->labels[0].value, nasty);
	assert_string_equal(s->labels[1].value, nasty);
	assert_string_equal(s->labels[2].value, "");
	assert_string_equal(e.samples[1].labels[1].value, "\n");
	exposition_release(&e);
	buf_init(&text, 0);
	assert_int_equal(metrics_write(&registry, &text), STATUS_OK);
	assert_int_equal(buf_append(&text, "", 1), STATUS_OK);
	assert_non_null(strstr((char *)text.bytes, "# HELP a:b_total two\\nlines and a \\\\ and a \"\n# TYPE a:b_total counter\n"));
	buf_release(&text);
}

static void names_that_the_format_forbids_are_refused(void **state)
{
	struct counter c = {0};
	char long_text[METRICS_HELP_MAX + 2];
	static const char *const bad[] = {"", "1a", "a-b", "a b", "\xc3\xa9", "a{", "a\n"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(refused((struct metrics_series){.name = bad[i], .help = "", .counter = &c}), STATUS_USAGE);
		assert_int_equal(refused((struct metrics_series){.name = "a", .help = "", .labels = {{bad[i], "x"}}, .counter = &c}), STATUS_USAGE);
	}
	assert_int_equal(refused((struct metrics_series){.help = "", .counter = &c}), STATUS_USAGE);
	assert_int_equal(refused((struct metrics_series){.name = "a", .counter = &c}), STATUS_USAGE);
	assert_int_equal(refused((struct metrics_series){.name = "a", .help = "", .labels = {{"a:b", "x"}}, .counter = &c}), STATUS_USAGE);
	assert_int_equal(refused((struct metrics_series){.name = "a", .help = "", .labels = {{"le", "x"}}, .counter = &c}), STATUS_USAGE);
	assert_int_equal(refused((struct metrics_series){.name = "a", .help = "", .labels = {{"__a", "x"}}, .counter = &c}), STATUS_USAGE);
	assert_int_equal(refused((struct metrics_series){.name = "a", .help = "", .labels = {{"x", NULL}}, .counter = &c}), STATUS_USAGE);
	assert_int_equal(refused((struct metrics_series){.name = "a", .help = "", .labels = {{"x", "1"}, {"x", "2"}}, .counter = &c}), STATUS_USAGE);
	assert_int_equal(refused((struct metrics_series){.name = "a", .help = ""}), STATUS_USAGE);
	assert_int_equal(refused((struct metrics_series){.name = "a", .help = "", .counter = &c, .gauge = &level}), STATUS_USAGE);
	memset(long_text, 'x', sizeof(long_text));
	long_text[METRICS_NAME_MAX + 1] = 0;
	assert_int_equal(refused((struct metrics_series){.name = long_text, .help = "", .counter = &c}), STATUS_LIMIT);
	long_text[METRICS_NAME_MAX] = 0;
	add((struct metrics_series){.name = long_text, .help = "", .counter = &c});
	memset(long_text, 'x', sizeof(long_text));
	long_text[METRICS_VALUE_MAX + 1] = 0;
	assert_int_equal(refused((struct metrics_series){.name = "a", .help = "", .labels = {{"x", long_text}}, .counter = &c}), STATUS_LIMIT);
	memset(long_text, 'x', sizeof(long_text));
	long_text[METRICS_HELP_MAX + 1] = 0;
	assert_int_equal(refused((struct metrics_series){.name = "a", .help = long_text, .counter = &c}), STATUS_LIMIT);
	struct metrics_label le = {"le", "x"};
	assert_int_equal(metrics_init(&registry, &le, &why), STATUS_USAGE);
}

static void family_is_of_one_kind_in_one_piece_and_without_twins(void **state)
{
	struct metrics_label who = {"who", "me"};
	struct counter c = {0};
	struct gauge g = {0};
	struct metrics_series s = {.name = "a", .help = "h", .labels = {{"x", "1"}}, .counter = &c};

	assert_int_equal(metrics_init(&registry, &who, &why), STATUS_OK);
	assert_int_equal(refused((struct metrics_series){.name = "a", .help = "h", .labels = {{"who", "1"}}, .counter = &c}), STATUS_USAGE);
	add(s);
	assert_int_equal(refused(s), STATUS_EXISTS);
	assert_int_equal(refused((struct metrics_series){.name = "a", .help = "h", .labels = {{"x", "2"}}, .gauge = &g}), STATUS_CONFLICT);
	assert_int_equal(refused((struct metrics_series){.name = "a", .help = "i", .labels = {{"x", "2"}}, .counter = &c}), STATUS_CONFLICT);
	add((struct metrics_series){.name = "a", .help = "h", .labels = {{"x", "2"}}, .counter = &c});
	add((struct metrics_series){.name = "b", .help = "h", .counter = &c});
	assert_int_equal(refused((struct metrics_series){.name = "a", .help = "h", .labels = {{"x", "3"}}, .counter = &c}), STATUS_CONFLICT);
}

/* ---- bounds ---- */

static void past_the_bound_a_series_is_an_error_that_names_it(void **state)
{
	static char numbers[METRICS_SERIES_MAX][8];
	struct counter c = {5};
	struct exposition e;

	for (size_t i = 0; i < METRICS_SERIES_MAX; i++) {
		snprintf(numbers[i], sizeof(numbers[i]), "%zu", i);
		add((struct metrics_series){.name = "c", .help = "h", .labels = {{"i", numbers[i]}}, .counter = &c});
	}
	assert_int_equal(refused((struct metrics_series){.name = "c", .help = "h", .labels = {{"i", "more"}}, .counter = &c}), STATUS_LIMIT);
	assert_non_null(strstr(why.text, "METRICS_SERIES_MAX"));
	read_back(&e);
	assert_int_equal(e.count, METRICS_SERIES_MAX);
	assert_true(exposition_sum(&e, "c", NULL) == 5 * METRICS_SERIES_MAX);
	exposition_release(&e);
}

static void sparse_series_stay_away_until_they_count(void **state)
{
	struct counter never = {0}, once = {1};
	struct histogram nothing = {0};
	struct exposition e;

	add((struct metrics_series){.name = "none", .help = "h", .counter = &never, .sparse = true});
	add((struct metrics_series){.name = "some", .help = "h", .labels = {{"x", "1"}}, .counter = &never, .sparse = true});
	add((struct metrics_series){.name = "some", .help = "h", .labels = {{"x", "2"}}, .counter = &once, .sparse = true});
	add((struct metrics_series){.name = "zero", .help = "h", .counter = &never});
	add((struct metrics_series){.name = "nothing", .help = "h", .histogram = &nothing, .sparse = true});
	read_back(&e);
	assert_int_equal(e.count, 2);
	assert_int_equal(e.families, 2);
	assert_true(exposition_value(&e, "some", NULL) == 1);
	assert_true(exposition_value(&e, "zero", NULL) == 0);
	exposition_release(&e);
}

static void text_that_finds_no_room_leaves_the_buffer_as_it_was(void **state)
{
	struct counter c = {1};
	struct histogram h = {0};
	struct buf whole, small;

	add((struct metrics_series){.name = "c", .help = "h", .labels = {{"x", "1\n"}}, .counter = &c});
	add((struct metrics_series){.name = "h", .help = "h", .histogram = &h});
	buf_init(&whole, 0);
	assert_int_equal(metrics_write(&registry, &whole), STATUS_OK);
	for (size_t cap = 3; cap <= whole.size + 3; cap++) {
		buf_init(&small, cap);
		assert_int_equal(buf_append(&small, "abc", 3), STATUS_OK);
		assert_int_equal(metrics_write(&registry, &small), STATUS_NO_MEMORY);
		assert_int_equal(small.size, 3);
		assert_memory_equal(small.bytes, "abc", 3);
		buf_release(&small);
	}
	buf_init(&small, whole.size + 4); /* buf_printf wants a byte for its NUL */
	assert_int_equal(buf_append(&small, "abc", 3), STATUS_OK);
	assert_int_equal(metrics_write(&registry, &small), STATUS_OK);
	assert_memory_equal(small.bytes + 3, whole.bytes, whole.size);
	buf_release(&small);
	buf_release(&whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(counts_of_8_threads_add_up_and_every_text_meanwhile_is_whole, setup),
		cmocka_unit_test_setup(numbers_are_exact_up_to_their_ends, setup),
		cmocka_unit_test_setup(buckets_are_cumulative_and_a_value_at_a_bound_is_below_it, setup),
		cmocka_unit_test_setup(values_and_helps_are_escaped_and_come_back_as_they_were, setup),
		cmocka_unit_test_setup(names_that_the_format_forbids_are_refused, setup),
		cmocka_unit_test_setup(family_is_of_one_kind_in_one_piece_and_without_twins, setup),
		cmocka_unit_test_setup(past_the_bound_a_series_is_an_error_that_names_it, setup),
		cmocka_unit_test_setup(sparse_series_stay_away_until_they_count, setup),
		cmocka_unit_test_setup(text_that_finds_no_room_leaves_the_buffer_as_it_was, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
