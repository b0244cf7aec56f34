/* What a row of a graph leads to: the same from all threads as from one that goes from row to row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/engine_fixture.h"
#include "worker/engine/reach.h"

enum { ROWS = 20000, EDGES_MAX = 3 * ROWS };

struct drawn { struct graph_view view; uint32_t first[ROWS + 1]; uint32_t to[EDGES_MAX + PACKED_SPARE]; };

static struct drawn *drawn_new(void)
{
	struct drawn *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	d->view = (struct graph_view){.first = d->first, .to = {(const uint8_t *)d->to, sizeof(uint32_t)}};
	return d;
}

static void add_row(struct drawn *d, uint32_t edges) { d->view.n++, d->first[d->view.n] = d->view.edges += edges; }

static void same_from_all_threads(const struct drawn *d, uint32_t row, uint32_t *ret_reached)
{
	struct reach one, many;
	struct runner runner = {run_threads, 4};

	assert_int_equal(reach_init(&one, &d->view), STATUS_OK);
	assert_int_equal(reach_init(&many, &d->view), STATUS_OK);
	reach_few(&one, row);
	reach_from(&many, row, &runner);
	*ret_reached = 0;
	for (uint32_t r = 0; r < d->view.n; r++) {
		assert_int_equal(one.reached[r] != 0, many.reached[r] != 0);
		*ret_reached += one.reached[r] != 0;
	}
	/* What is reached already is not looked at again, and what was missed can be added. */
	reach_few(&one, d->view.n - 1);
	reach_from(&many, d->view.n - 1, &runner);
	for (uint32_t r = 0; r < d->view.n; r++) assert_int_equal(one.reached[r] != 0, many.reached[r] != 0);
	reach_release(&one);
	reach_release(&many);
}

static void threads_reach_what_a_walk_reaches(void **state)
{
	struct prng chance;

	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct drawn *d = drawn_new();
		uint32_t n = seed < 5 ? (uint32_t)seed : ROWS - (uint32_t)seed, reached;
		prng_seed(&chance, seed);
		for (uint32_t r = 0; r < n; r++) {
			/* Near rows mostly, and about as many edges as let some parts hang together and others not. */
			uint32_t edges = prng_below(&chance, 3) + (seed % 2 ? prng_below(&chance, 2) : 0), from = d->view.edges;
			add_row(d, edges);
			for (uint32_t i = 0; i < edges; i++)
				d->to[from + i] = prng_below(&chance, 8) ? (r + n + prng_below(&chance, 99) - 49) % n : prng_below(&chance, n);
		}
		for (uint32_t i = 0; i < d->view.edges; i++) d->to[i] %= n;
		same_from_all_threads(d, 0, &reached);
		assert_true(reached >= 1 && reached <= n);
		free(d);
	}
}

/* Each round but one piece has work. */
static void a_chain_backwards_is_followed_to_its_end(void **state)
{
	struct drawn *d = drawn_new();
	uint32_t reached;

	(void)state;
	for (uint32_t r = 0; r < ROWS; r++) {
		add_row(d, 1);
		d->to[r] = r ? r - 1 : ROWS - 2; /* the last row is led to from nowhere */
	}
	same_from_all_threads(d, 0, &reached);
	assert_int_equal(reached, ROWS - 1);
	free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_reach_what_a_walk_reaches),
		cmocka_unit_test(a_chain_backwards_is_followed_to_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
