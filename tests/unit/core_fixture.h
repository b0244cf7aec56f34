/* core_fixture.h - what the tests of the coordinator's core share: an index of one number an item, filled, and searches of it. */
#ifndef TESTS_CORE_FIXTURE_H
#define TESTS_CORE_FIXTURE_H

#include "core_sim.h"

enum { MS = 1000, SECOND = 1000000 };

static inline void with_workers(struct sim *s, unsigned workers) { sim_init(s, 5, workers); }

static inline void put_ids(struct sim *s, const char *index, uint64_t from, uint32_t n)
{
	uint64_t ids[SIM_IDS];
	float values[SIM_IDS];
	uint8_t results[SIM_IDS];
	for (uint32_t i = 0; i < n; i++) {
		ids[i] = from + i;
		values[i] = (float)(from + i);
	}
	assert_int_equal(sim_write(s, index, n, ids, values, results, 0), STATUS_OK);
	for (uint32_t i = 0; i < n; i++) assert_int_equal(results[i], ITEM_OK);
}

static inline void send_from(struct sim *s, uint8_t connection, bool bundled, struct client_request *r)
{
	struct encoded e = {0};
	struct client_address client = {.socket = 0, .bundled = bundled, .peer = {.size = 1, .bytes = {connection}}};
	sim_reply_forget(s);
	r->id = s->waiting_for = ++s->next_request;
	assert_int_equal(client_request_encode(r, &e, NULL), STATUS_OK);
	core_on_client(s->core, &client, e.frames, e.count, s->now_us);
	encoded_release(&e);
}

/* Send without waiting; each call from the same connection. */
static inline void send_only(struct sim *s, struct client_request *r) { send_from(s, 9, false, r); }

static inline struct client_request a_search(const float *value)
{
	struct client_request r = {.op = CLIENT_SEARCH, .index = "shoes", .timeout_ms = 5000};
	r.search.spec = (struct search_spec){.k = 10, .mode = SEARCH_EXACT};
	r.search.nq = r.search.dim = 1;
	r.search.dtype = DTYPE_F32;
	r.search.vectors = (const uint8_t *)value;
	r.search.min_coverage = 1;
	return r;
}

#endif
