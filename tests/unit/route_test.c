/* route_test.c - every shard is either asked of exactly one worker or reported missing, with its reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/prng.h"
#include "coordinator/route.h"

static const uint64_t seed = 31337;
static const struct uuid cluster = {{1}};

static void worker_join(struct membership *m, uint8_t name)
{
	struct cluster_beat b = {.worker = {{name}}, .cluster = cluster, .incarnation = 1};
	struct net_peer peer = {.size = 1, .bytes = {name}};
	struct member *member;
	assert_int_equal(membership_beat(m, &b, &peer, cluster, 1000, &member, NULL), BEAT_JOINED);
}

static void every_shard_is_asked_once_or_missing_with_its_reason(void **state)
{
	struct prng p;
	print_message("seed %llu\n", (unsigned long long)seed);
	prng_seed(&p, seed);
	for (int round = 0; round < 300; round++) {
		struct membership m;
		struct route r;
		struct map_index *index = NULL;
		struct index_spec spec = {.shards = 1 + prng_below(&p, 40), .name = "x"};
		uint8_t workers = (uint8_t)(1 + prng_below(&p, 6));
		bool seen[40] = {false};
		membership_init(&m);
		for (uint8_t w = 1; w <= workers; w++) {
			worker_join(&m, w);
			membership_find(&m, (struct uuid){{w}})->state = (enum worker_state)prng_below(&p, 3);
		}
		assert_int_equal(map_index_new(&spec, &index), STATUS_OK);
		for (uint32_t i = 0; i < spec.shards; i++) {
			index->shards[i].worker = (struct uuid){{(uint8_t)(1 + prng_below(&p, (uint32_t)workers + 1))}}; /* one that is unknown as well */
			index->shards[i].made = prng_below(&p, 8) != 0;
			index->shards[i].lost = prng_below(&p, 8) ? STATUS_OK : STATUS_CORRUPT;
		}
		assert_int_equal(route_all(index, &m, &r), STATUS_OK);
		for (uint32_t g = 0; g < r.group_count; g++) {
			assert_true(r.groups[g].count > 0);
			assert_int_not_equal(r.groups[g].member->state, WORKER_DEAD);
			assert_true(g == 0 || r.groups[g].member != r.groups[g - 1].member);
			for (uint32_t i = 0; i < r.groups[g].count; i++) {
				uint32_t number = r.groups[g].numbers[i];
				assert_false(seen[number]);
				assert_true(i == 0 || number > r.groups[g].numbers[i - 1]);
				assert_true(uuid_equal(index->shards[number].worker, r.groups[g].member->id));
				assert_true(index->shards[number].made && index->shards[number].lost == STATUS_OK);
				seen[number] = true;
			}
		}
		for (uint32_t i = 0; i < r.missing_count; i++) {
			struct member *member = membership_find(&m, index->shards[r.missing[i].number].worker);
			bool dead = !member || member->state == WORKER_DEAD;
			assert_false(seen[r.missing[i].number]);
			assert_true(dead || !index->shards[r.missing[i].number].made || index->shards[r.missing[i].number].lost != STATUS_OK);
			assert_int_equal(r.missing[i].status,
				!dead && index->shards[r.missing[i].number].lost != STATUS_OK ? STATUS_CORRUPT : STATUS_UNAVAILABLE);
			seen[r.missing[i].number] = true;
		}
		for (uint32_t i = 0; i < spec.shards; i++) assert_true(seen[i]);
		route_release(&r);
		map_index_free(&index);
		membership_release(&m);
	}
}

static void a_missing_shard_is_named_with_its_worker(void **state)
{
	struct membership m;
	struct member *member;
	struct report report = {.status = STATUS_OK};
	struct map_index *index = NULL;
	struct index_spec spec = {.shards = 3, .name = "shoes"};
	membership_init(&m);
	assert_int_equal(map_index_new(&spec, &index), STATUS_OK);
	index->shards[2].worker = (struct uuid){{0xab}};
	assert_int_equal(route_shard(index, 2, &m, &member, &report), STATUS_UNAVAILABLE);
	assert_non_null(strstr(report.text, "shard 2"));
	assert_non_null(strstr(report.text, "shoes"));
	assert_non_null(strstr(report.text, "ab000000-"));
	map_index_free(&index);
	membership_release(&m);
}

static void the_budget_is_shared_with_a_floor(void **state)
{
	assert_int_equal(route_budget(2000, 10, 4), 500);
	assert_int_equal(route_budget(2001, 10, 4), 501);
	assert_int_equal(route_budget(100, 10, 4), ROUTE_BUDGET_FLOOR);
	assert_int_equal(route_budget(100, 500, 4), 500);
	assert_int_equal(route_budget(INT32_MAX, 1, 1), INT32_MAX);
	assert_int_equal(route_search_k(10, 10), 100);
	assert_int_equal(route_search_k(QUERY_HITS_MAX, TREES_MAX), SEARCH_K_MAX);
}

static void a_shard_is_told_an_effort_even_where_none_was_named(void **state)
{
	struct search_spec spec = {.k = 100, .mode = SEARCH_GRAPH, .with_payload = true}, each = route_effort(&spec, 10, 4);
	assert_true(each.recall == EFFORT_RECALL_DEFAULT && each.search_k == 0 && each.spread == 4);
	assert_true(each.k == 100 && each.mode == SEARCH_GRAPH && each.with_payload); /* each shard still returns k */
	spec.recall = 0.5f;
	each = route_effort(&spec, 10, 4);
	assert_true(each.recall == 0.5f && each.search_k == 0);
	spec.recall = 0;
	spec.search_k = 4000;
	each = route_effort(&spec, 10, 4);
	assert_true(each.recall == 0 && each.search_k == 1000 && each.mode == SEARCH_GRAPH);
	spec.mode = SEARCH_FOREST;
	each = route_effort(&spec, 10, 4);
	assert_true(each.recall == 0 && each.search_k == 1000);
	spec.search_k = 0;
	each = route_effort(&spec, 10, 4);
	assert_true(each.recall == 0 && each.search_k == 250); /* k x trees, Annoy's default */
	spec.mode = SEARCH_EXACT;
	each = route_effort(&spec, 10, 4);
	assert_true(each.recall == 0 && each.search_k == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_shard_is_asked_once_or_missing_with_its_reason),
		cmocka_unit_test(a_missing_shard_is_named_with_its_worker),
		cmocka_unit_test(the_budget_is_shared_with_a_floor),
		cmocka_unit_test(a_shard_is_told_an_effort_even_where_none_was_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
