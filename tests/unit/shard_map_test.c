/* shard_map_test.c - the map, its lookup by name and uuid, and the records it is stored as. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/prng.h"
#include "coordinator/shard_map.h"

static const uint64_t seed = 99;

static struct uuid random_uuid(struct prng *p)
{
	struct uuid u;
	for (size_t i = 0; i < sizeof(u.bytes); i++) u.bytes[i] = (uint8_t)prng_u64(p);
	return u;
}

static struct map_index *random_index(struct prng *p, const char *name)
{
	struct index_spec spec = {.id = prng_u64(p) >> 1, .metric = (enum metric)prng_below(p, METRIC_COUNT), .dim = 1 + prng_below(p, DIM_MAX),
		.shards = 1 + prng_below(p, 20), .replicas = 1, .trees = 1 + prng_below(p, TREES_MAX), .seed = prng_u64(p)};
	struct map_index *index = NULL;
	snprintf(spec.name, sizeof(spec.name), "%s", name);
	assert_int_equal(map_index_new(&spec, &index), STATUS_OK);
	for (uint32_t i = 0; i < spec.shards; i++) {
		index->shards[i].id = random_uuid(p);
		index->shards[i].worker = random_uuid(p);
		index->shards[i].epoch = prng_u64(p);
		index->shards[i].made = prng_below(p, 2);
	}
	return index;
}

static void assert_same_index(const struct map_index *a, const struct map_index *b)
{
	assert_string_equal(a->spec.name, b->spec.name);
	assert_true(a->spec.id == b->spec.id && a->spec.seed == b->spec.seed && a->spec.metric == b->spec.metric);
	assert_true(a->spec.dim == b->spec.dim && a->spec.trees == b->spec.trees && a->spec.shards == b->spec.shards && a->spec.replicas == b->spec.replicas);
	for (uint32_t i = 0; i < a->spec.shards; i++) {
		assert_true(uuid_equal(a->shards[i].id, b->shards[i].id) && uuid_equal(a->shards[i].worker, b->shards[i].worker));
		assert_true(a->shards[i].epoch == b->shards[i].epoch);
		assert_int_equal(a->shards[i].made || a->shards[i].confirmed, b->shards[i].made);
	}
}

static void indexes_come_and_go_and_every_shard_is_found_by_its_uuid(void **state)
{
	struct shard_map m;
	struct prng p;
	char name[16];
	bool here[64] = {false};
	print_message("seed %llu\n", (unsigned long long)seed);
	prng_seed(&p, seed);
	shard_map_init(&m);
	assert_null(shard_map_shard(&m, random_uuid(&p), NULL));
	for (int step = 0; step < 2000; step++) {
		uint32_t which = prng_below(&p, 64);
		snprintf(name, sizeof(name), "index-%u", which);
		struct map_index *index = shard_map_find(&m, name);
		assert_int_equal(index != NULL, here[which]);
		if (index) {
			struct uuid gone = index->shards[0].id;
			assert_ptr_equal(shard_map_find_id(&m, index->spec.id), index);
			shard_map_remove(&m, index);
			assert_null(shard_map_shard(&m, gone, NULL));
		} else {
			index = random_index(&p, name);
			assert_int_equal(shard_map_add(&m, &index), STATUS_OK);
			assert_null(index);
		}
		here[which] = !here[which];
		assert_true(shard_map_check(&m));
	}
	shard_map_release(&m);
}

static void an_index_record_comes_back_as_it_was(void **state)
{
	struct prng p;
	print_message("seed %llu\n", (unsigned long long)seed);
	prng_seed(&p, seed);
	for (int round = 0; round < 50; round++) {
		struct shard_map m;
		struct buf value;
		char key[MAP_KEY_SIZE];
		struct map_index *index = random_index(&p, round ? "shoes_2-x" : "0123456789012345678901234567890123456789012345678901234567890ab");
		index->shards[0].made = false;
		index->shards[0].confirmed = round % 2;
		shard_map_init(&m);
		buf_init(&value, 0);
		index_key(index->spec.name, key);
		assert_int_equal(index_record_encode(index, &value), STATUS_OK);
		assert_int_equal(shard_map_load(&m, key, 17, value.bytes, value.size, NULL), STATUS_OK);
		assert_true(shard_map_check(&m));
		assert_same_index(index, m.indexes[0]);
		assert_int_equal(m.indexes[0]->version, 17);
		map_index_free(&index);
		buf_release(&value);
		shard_map_release(&m);
	}
}

static void a_damaged_record_is_refused_and_named(void **state)
{
	struct prng p;
	struct buf value;
	struct report report = {.status = STATUS_OK};
	struct shard_map m;
	prng_seed(&p, seed);
	struct map_index *index = random_index(&p, "shoes");
	shard_map_init(&m);
	buf_init(&value, 0);
	assert_int_equal(index_record_encode(index, &value), STATUS_OK);
	for (size_t at = 0; at < value.size; at++) {
		value.bytes[at] ^= 0x20;
		assert_int_equal(shard_map_load(&m, "index/shoes", 1, value.bytes, value.size, &report), STATUS_CORRUPT);
		value.bytes[at] ^= 0x20;
		assert_int_equal(shard_map_load(&m, "index/shoes", 1, value.bytes, at, &report), STATUS_CORRUPT);
	}
	assert_non_null(strstr(report.text, "'index/shoes'"));
	/* A whole record under another index's key is as bad. */
	assert_int_equal(shard_map_load(&m, "index/boots", 1, value.bytes, value.size, &report), STATUS_CORRUPT);
	assert_int_equal(m.index_count, 0);
	assert_int_equal(shard_map_load(&m, "index/shoes", 1, value.bytes, value.size, &report), STATUS_OK);
	map_index_free(&index);
	buf_release(&value);
	shard_map_release(&m);
}

static void a_tombstone_remembers_every_shard_and_its_worker(void **state)
{
	struct prng p;
	struct buf value;
	struct shard_map m;
	struct map_dropped *dropped = NULL;
	char key[MAP_KEY_SIZE];
	prng_seed(&p, seed);
	struct map_index *index = random_index(&p, "shoes");
	shard_map_init(&m);
	buf_init(&value, 0);
	assert_int_equal(map_dropped_new(index, &dropped), STATUS_OK);
	assert_int_equal(dropped_record_encode(dropped, &value), STATUS_OK);
	dropped_key(index->spec.id, key);
	assert_int_equal(shard_map_load(&m, key, 5, value.bytes, value.size, NULL), STATUS_OK);
	assert_int_equal(m.dropped_count, 1);
	assert_int_equal(m.dropped[0]->count, index->spec.shards);
	assert_int_equal(m.dropped[0]->version, 5);
	for (uint32_t i = 0; i < index->spec.shards; i++) {
		assert_true(uuid_equal(m.dropped[0]->shards[i].id, index->shards[i].id));
		assert_true(uuid_equal(m.dropped[0]->shards[i].worker, index->shards[i].worker));
	}
	for (size_t at = 0; at < value.size; at++) {
		value.bytes[at] ^= 1;
		assert_int_equal(shard_map_load(&m, key, 5, value.bytes, value.size, NULL), STATUS_CORRUPT);
		value.bytes[at] ^= 1;
	}
	shard_map_remove_dropped(&m, m.dropped[0]);
	assert_int_equal(m.dropped_count, 0);
	map_dropped_free(&dropped);
	map_index_free(&index);
	buf_release(&value);
	shard_map_release(&m);
}

static void the_cluster_record_comes_back_and_damage_is_seen(void **state)
{
	struct buf value;
	struct uuid cluster = {{1, 2, 3}}, back = {{0}};
	buf_init(&value, 0);
	assert_int_equal(cluster_record_encode(cluster, &value), STATUS_OK);
	assert_int_equal(cluster_record_decode(value.bytes, value.size, &back), STATUS_OK);
	assert_true(uuid_equal(cluster, back));
	for (size_t at = 0; at < value.size; at++) {
		value.bytes[at] ^= 1;
		assert_int_equal(cluster_record_decode(value.bytes, value.size, &back), STATUS_CORRUPT);
		value.bytes[at] ^= 1;
	}
	buf_release(&value);
}

static void the_load_of_a_worker_counts_its_shards_over_all_indexes(void **state)
{
	struct prng p;
	struct shard_map m;
	struct uuid worker = {{42}};
	prng_seed(&p, seed);
	shard_map_init(&m);
	uint32_t expected = 0;
	for (int i = 0; i < 5; i++) {
		char name[8];
		snprintf(name, sizeof(name), "i%d", i);
		struct map_index *index = random_index(&p, name);
		for (uint32_t s = 0; s < index->spec.shards; s += 3, expected++) index->shards[s].worker = worker;
		assert_int_equal(shard_map_add(&m, &index), STATUS_OK);
	}
	assert_int_equal(shard_map_load_of(&m, worker), expected);
	assert_int_equal(shard_map_load_of(&m, (struct uuid){{43}}), 0);
	shard_map_release(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(indexes_come_and_go_and_every_shard_is_found_by_its_uuid),
		cmocka_unit_test(an_index_record_comes_back_as_it_was),
		cmocka_unit_test(a_damaged_record_is_refused_and_named),
		cmocka_unit_test(a_tombstone_remembers_every_shard_and_its_worker),
		cmocka_unit_test(the_cluster_record_comes_back_and_damage_is_seen),
		cmocka_unit_test(the_load_of_a_worker_counts_its_shards_over_all_indexes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
