/* core_random_test.c - a simulated cluster under random faults, one seed a run: what was acknowledged is there, what was
 * deleted is not, an answer that calls itself complete misses nothing, and every request is answered by its deadline.
 *
 * The oracle knows of each id whether its state is certain: after ok it is, after unknown it is not until the next ok, after
 * rejected it is what it was. GROVE_SEED=S is the first seed, GROVE_FULL=1 tries many more of them: a failure names its seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "core_sim.h"

enum { SEEDS = 40, SEEDS_FULL = 1000, STEPS = 150, SECOND = 1000000 };

/* A scan that goes on between the other steps: what it must give exactly once, what it must not, and what it gave. */
struct running_scan { struct scan_cursor at; bool stays[SIM_IDS], absent[SIM_IDS]; uint8_t seen[SIM_IDS]; };
struct oracle { bool certain[SIM_IDS], live[SIM_IDS]; float value[SIM_IDS]; uint32_t shards, scans; struct running_scan scan; };
static uint64_t seed; /* printed on failure */

#define CHECK(condition)                                                                                               \
	do {                                                                                                           \
		if (!(condition)) fail_msg("seed %llu: %s", (unsigned long long)seed, #condition);                     \
	} while (0)

static uint64_t first_seed(void)
{
	const char *given = getenv("GROVE_SEED");
	return given && *given ? strtoull(given, NULL, 10) : 1;
}

static uint64_t seed_count(void)
{
	const char *full = getenv("GROVE_FULL");
	return full && *full ? SEEDS_FULL : SEEDS;
}

static void write_some(struct sim *s, struct oracle *o)
{
	uint64_t ids[8];
	float values[8];
	uint8_t results[8];
	uint32_t n = 1 + prng_below(&s->prng, 8);
	bool put = prng_below(&s->prng, 3) != 0;
	memset(results, ITEM_UNKNOWN, sizeof(results));
	for (uint32_t i = 0; i < n; i++) {
		ids[i] = prng_below(&s->prng, SIM_IDS);
		values[i] = (float)prng_below(&s->prng, 1000);
	}
	enum status status = sim_write(s, "shoes", n, ids, put ? values : NULL, results, 200 + prng_below(&s->prng, 1500));
	if (status == STATUS_OK)
		for (uint32_t i = 0; i < n; i++) CHECK(results[i] == ITEM_OK);
	for (uint32_t i = 0; i < n; i++) {
		if (results[i] == ITEM_REJECTED) continue;
		if (put) o->scan.absent[ids[i]] = false;
		else o->scan.stays[ids[i]] = false;
		o->certain[ids[i]] = results[i] == ITEM_OK;
		o->live[ids[i]] = put;
		o->value[ids[i]] = values[i];
	}
}

static bool shard_missing(const struct client_hits *hits, uint32_t shard)
{
	for (uint32_t i = 0; i < hits->missing_count; i++) {
		struct missing m;
		missing_load(hits->missing + MISSING_BYTES * i, &m);
		if (m.shard == shard) return true;
	}
	return false;
}

/* All items are asked for, so that each id's presence can be judged. */
static void search_all(struct sim *s, const struct oracle *o)
{
	float query = (float)prng_below(&s->prng, 1000);
	enum status status = sim_search(s, "shoes", query, SIM_IDS, 1, 200 + prng_below(&s->prng, 1500));
	const struct client_hits *hits = &s->reply.search;
	bool found[SIM_IDS] = {false};
	/* Nothing was answered and someone was busy. */
	if (status == STATUS_BUSY) return;
	CHECK(status == STATUS_OK || status == STATUS_INCOMPLETE);
	CHECK((status == STATUS_OK) == (hits->missing_count == 0));
	for (uint64_t i = 0; i < hits->total; i++) {
		uint64_t id = load_u64(hits->ids + 8 * i);
		float distance = load_f32(hits->distances + 4 * i);
		CHECK(id < SIM_IDS && !found[id]);
		CHECK(i == 0 || distance >= load_f32(hits->distances + 4 * (i - 1)));
		found[id] = true;
		if (!o->certain[id]) continue;
		CHECK(o->live[id]);
		float expected = o->value[id] > query ? o->value[id] - query : query - o->value[id];
		CHECK(distance == expected);
	}
	for (uint32_t id = 0; id < SIM_IDS; id++)
		if (o->certain[id] && o->live[id] && !found[id]) CHECK(shard_missing(hits, shard_of_id(id, o->shards)));
}

static void scan_begin(struct oracle *o)
{
	memset(&o->scan, 0, sizeof(o->scan));
	for (uint32_t id = 0; id < SIM_IDS; id++) {
		o->scan.stays[id] = o->certain[id] && o->live[id];
		o->scan.absent[id] = o->certain[id] && !o->live[id];
	}
}

/* A page more; after the last one everything that stayed was seen, and the next scan begins. A page that fails is asked for again some other time. */
static enum status scan_on(struct sim *s, struct oracle *o)
{
	struct running_scan *scan = &o->scan;
	struct client_request r = {.op = CLIENT_SCAN, .index = "shoes", .timeout_ms = 200 + prng_below(&s->prng, 1500),
		.scan = {.from = scan->at, .limit = 1 + prng_below(&s->prng, 10), .with_vector = true}};
	CHECK(sim_ask(s, &r));
	enum status status = s->reply.error.status;
	CHECK(status == STATUS_OK || status == STATUS_TIMEOUT || status == STATUS_UNAVAILABLE || status == STATUS_BUSY);
	if (status != STATUS_OK) return status;
	const struct items *items = &s->reply.scan.items;
	for (uint32_t i = 0; i < items->n; i++) {
		uint64_t id = load_u64(items->ids + 8 * (size_t)i);
		CHECK(id < SIM_IDS && id >= scan->at.id);
		CHECK(shard_of_id(id, o->shards) == scan->at.shard);
		CHECK(!scan->absent[id]);
		CHECK(scan->seen[id]++ == 0);
		if (o->certain[id]) CHECK(o->live[id] && load_f32(items->vectors + 4 * (size_t)i) == o->value[id]);
	}
	scan->at = s->reply.scan.next;
	if (!s->reply.scan.end) return STATUS_OK;
	for (uint32_t id = 0; id < SIM_IDS; id++) CHECK(!scan->stays[id] || scan->seen[id]);
	o->scans++;
	scan_begin(o);
	return STATUS_OK;
}

static void fault(struct sim *s)
{
	unsigned w = prng_below(&s->prng, SIM_WORKERS);
	struct sim_worker *worker = &s->workers[w];
	switch (prng_below(&s->prng, 9)) {
	case 0:
	case 1:
		if (worker->running)
			sim_worker_kill(s, w);
		else
			sim_worker_start(s, w);
		break;
	case 2:
	case 3: worker->stopped = worker->running && !worker->stopped; break;
	case 4: worker->mute_replies = !worker->mute_replies; break;
	case 5: worker->busy = !worker->busy; break;
	case 6: sim_coordinator_restart(s); break;
	case 7: s->store_fails = !s->store_fails; break;
	default: s->store_silent = !s->store_silent;
	}
}

static void heal(struct sim *s)
{
	s->store_silent = s->store_fails = false;
	for (unsigned w = 0; w < SIM_WORKERS; w++) {
		s->workers[w].stopped = s->workers[w].mute_replies = s->workers[w].busy = false;
		if (!s->workers[w].running) sim_worker_start(s, w);
	}
	sim_run(s, 40 * (uint64_t)SECOND);
}

static void one_seed(void)
{
	struct sim s;
	struct oracle o = {.shards = 1 + (uint32_t)(seed % 9)};
	sim_init(&s, seed, SIM_WORKERS);
	CHECK(sim_create(&s, "shoes", o.shards) == STATUS_OK);
	for (uint32_t i = 0; i < SIM_IDS; i++) o.certain[i] = true;
	scan_begin(&o);
	for (int i = 0; i < STEPS; i++) {
		switch (prng_below(&s.prng, 10)) {
		case 0:
		case 1: fault(&s); break;
		case 2: sim_run(&s, (uint64_t)prng_below(&s.prng, 4) * SECOND); break;
		case 3:
		case 4:
		case 5: search_all(&s, &o); break;
		case 6: scan_on(&s, &o); break;
		default: write_some(&s, &o);
		}
	}
	heal(&s);
	search_all(&s, &o);
	CHECK(s.reply.error.status == STATUS_OK);
	for (uint32_t before = o.scans; o.scans == before;) CHECK(scan_on(&s, &o) == STATUS_OK);
	/* Everything can be written again, and then everything is certain. */
	for (uint64_t id = 0; id < SIM_IDS; id++) {
		float value = (float)id;
		uint8_t result;
		CHECK(sim_write(&s, "shoes", 1, &id, &value, &result, 0) == STATUS_OK);
		o.certain[id] = o.live[id] = true;
		o.value[id] = value;
	}
	search_all(&s, &o);
	CHECK(s.reply.error.status == STATUS_OK && s.reply.search.total == SIM_IDS);
	scan_begin(&o);
	for (uint32_t before = o.scans; o.scans == before;) CHECK(scan_on(&s, &o) == STATUS_OK);
	sim_release(&s);
}

static void acknowledged_writes_survive_every_fault_and_complete_answers_are_complete(void **state)
{
	uint64_t first = first_seed(), seeds = seed_count();
	for (seed = first; seed < first + seeds; seed++) one_seed();
	print_message("| simulated clusters under faults: seeds %llu to %llu, %d steps each\n", (unsigned long long)first, (unsigned long long)(first + seeds - 1),
		STEPS);
}

/* Indexes come and go under faults; what is dropped for good leaves nothing behind. */
static void one_seed_of_drops(void)
{
	struct sim s;
	static const char *const names[] = {"a", "b", "c"};
	sim_init(&s, seed, SIM_WORKERS);
	for (int i = 0; i < STEPS / 3; i++) {
		const char *name = names[prng_below(&s.prng, 3)];
		if (prng_below(&s.prng, 3) == 0) fault(&s);
		if (prng_below(&s.prng, 4) == 0) sim_run(&s, (uint64_t)prng_below(&s.prng, 4) * SECOND);
		if (prng_below(&s.prng, 2))
			sim_create(&s, name, 1 + prng_below(&s.prng, 5));
		else
			sim_drop(&s, name);
	}
	heal(&s);
	for (int i = 0; i < 3; i++) {
		enum status status = sim_drop(&s, names[i]);
		CHECK(status == STATUS_OK || status == STATUS_NOT_FOUND);
	}
	sim_run(&s, 40 * (uint64_t)SECOND);
	for (unsigned w = 0; w < SIM_WORKERS; w++)
		for (unsigned i = 0; i < SIM_SHARDS; i++) CHECK(!s.workers[w].shards[i].used);
	for (unsigned i = 0; i < SIM_RECORDS; i++) CHECK(!s.records[i].used);
	CHECK(sim_create(&s, "a", 4) == STATUS_OK);
	sim_release(&s);
}

static void dropped_indexes_leave_nothing_behind_whatever_failed_meanwhile(void **state)
{
	uint64_t first = first_seed(), seeds = seed_count();
	for (seed = first; seed < first + seeds; seed++) one_seed_of_drops();
	print_message("| indexes made and dropped under faults: seeds %llu to %llu, %d steps each\n", (unsigned long long)first,
		(unsigned long long)(first + seeds - 1), STEPS / 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(acknowledged_writes_survive_every_fault_and_complete_answers_are_complete),
		cmocka_unit_test(dropped_indexes_leave_nothing_behind_whatever_failed_meanwhile),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
