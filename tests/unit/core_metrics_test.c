/* core_metrics: what the coordinator counts is what it did, on the virtual clock of core_sim. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core_fixture.h"
#include "tests/support/exposition.h"

/* What was answered with that status so far. */
static uint64_t answers(const struct sim *s, uint32_t row, enum status status) { return counter_value(&core_metrics(s->core)->answers[row][-status]); }

static void everything_that_was_answered_is_counted_once_as_what_it_was(void **state)
{
	struct sim s;
	sim_init(&s, 5, 2);
	const struct core_metrics *m = core_metrics(s.core);
	sim_run(&s, SECOND);
	assert_int_equal(gauge_value(&m->members[WORKER_ALIVE]), 2);
	assert_int_equal(sim_create(&s, "shoes", 2), STATUS_OK);
	assert_int_equal(sim_create(&s, "shoes", 2), STATUS_EXISTS);
	put_ids(&s, "shoes", 0, SIM_IDS);
	for (int i = 0; i < 3; i++) assert_int_equal(sim_search(&s, "shoes", 0, 5, 1, 0), STATUS_OK);
	assert_int_equal(sim_search(&s, "boots", 0, 5, 1, 0), STATUS_NOT_FOUND);
	assert_int_equal(answers(&s, CLIENT_CREATE, STATUS_OK), 1);
	assert_int_equal(answers(&s, CLIENT_CREATE, STATUS_EXISTS), 1);
	assert_int_equal(answers(&s, CLIENT_UPSERT, STATUS_OK), 1);
	assert_int_equal(answers(&s, CLIENT_SEARCH, STATUS_OK), 3);
	assert_int_equal(answers(&s, CLIENT_SEARCH, STATUS_NOT_FOUND), 1);
	assert_int_equal(counter_value(&m->queries), 3);
	assert_int_equal(counter_value(&m->incomplete), 0);
	assert_int_equal(histogram_count(&m->search_seconds), 3);
	assert_int_equal(histogram_count(&m->request_bytes), 7);

	/* Incomplete, refused or allowed; and busy, which is no answer. */
	s.workers[0].busy = true;
	assert_int_equal(sim_search(&s, "shoes", 0, 5, 1, 0), STATUS_INCOMPLETE);
	assert_int_equal(sim_search(&s, "shoes", 0, 5, 0.01f, 0), STATUS_OK);
	s.workers[1].busy = true;
	assert_int_equal(sim_search(&s, "shoes", 0, 5, 1, 0), STATUS_BUSY);
	assert_int_equal(answers(&s, CLIENT_SEARCH, STATUS_INCOMPLETE), 1);
	assert_int_equal(answers(&s, CLIENT_SEARCH, STATUS_OK), 4);
	assert_int_equal(answers(&s, CLIENT_SEARCH, STATUS_BUSY), 1);
	assert_int_equal(counter_value(&m->busy), 1);
	assert_int_equal(counter_value(&m->incomplete), 2);
	assert_int_equal(counter_value(&m->queries), 5);
	assert_int_equal(core_metrics_answers(m, REQUEST_INVALID), 0);

	/* A search lasts from its arrival until the deadline that it had to wait for. */
	s.workers[0].busy = s.workers[1].busy = false;
	s.workers[0].stopped = true;
	uint64_t before = m->search_seconds.sum;
	assert_int_equal(sim_search(&s, "shoes", 0, 5, 1, 700), STATUS_INCOMPLETE);
	assert_in_range(m->search_seconds.sum - before, 700 * MS, 800 * MS);
	sim_worker_kill(&s, 0);
	sim_run(&s, 4 * SECOND);
	assert_int_equal(gauge_value(&m->members[WORKER_ALIVE]), 1);
	assert_int_equal(gauge_value(&m->members[WORKER_DEAD]), 1);
	assert_int_equal(gauge_value(&m->under_way), 0);
	sim_release(&s);
}

static void every_count_of_the_core_has_a_name(void **state)
{
	static struct metrics registry;
	struct report report = {.status = STATUS_OK};
	struct sim s;
	sim_init(&s, 5, 1);
	assert_int_equal(metrics_init(&registry, NULL, &report), STATUS_OK);
	assert_int_equal(core_metrics_register(core_metrics(s.core), &registry, &report), STATUS_OK);
	assert_int_equal(sim_create(&s, "shoes", 1), STATUS_OK);
	assert_int_equal(sim_search(&s, "boots", 0, 5, 1, 0), STATUS_NOT_FOUND);
	struct buf text;
	struct exposition e;
	buf_init(&text, 0);
	assert_int_equal(metrics_write(&registry, &text), STATUS_OK);
	exposition_read(&e, (const char *)text.bytes, text.size);
	assert_true(exposition_value(&e, "grove_coordinator_requests_total", "op=create,status=ok") == 1);
	assert_true(exposition_value(&e, "grove_coordinator_requests_total", "op=search,status=not_found") == 1);
	assert_true(exposition_value(&e, "grove_coordinator_requests_total", "op=search,status=ok") == 0);
	assert_null(exposition_find(&e, "grove_coordinator_requests_total", "op=search,status=busy"));
	assert_true(exposition_value(&e, "grove_coordinator_workers", "state=alive") == 1);
	exposition_release(&e);
	buf_release(&text);
	sim_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_that_was_answered_is_counted_once_as_what_it_was),
		cmocka_unit_test(every_count_of_the_core_has_a_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
