/* shard_map.c - see shard_map.h for the record formats; the encoding of records stands in index_record.c.
 *
 * The uuid table is rebuilt whenever an index comes or goes: that is rare, and a table without deletions needs no markers. */
#include "coordinator/shard_map.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cursor.h"

void shard_map_init(struct shard_map *m) { memset(m, 0, sizeof(*m)); }

void shard_map_release(struct shard_map *m)
{
	for (size_t i = 0; i < m->index_count; i++) map_index_free(&m->indexes[i]);
	for (size_t i = 0; i < m->dropped_count; i++) map_dropped_free(&m->dropped[i]);
	free(m->indexes);
	free(m->dropped);
	free(m->slots);
	shard_map_init(m);
}

/* Position of the name, or where it would stand. */
static size_t name_position(const struct shard_map *m, const char *name, bool *ret_found)
{
	size_t low = 0, high = m->index_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(m->indexes[middle]->spec.name, name);
		if (order == 0) {
			*ret_found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_found = false;
	return low;
}

struct map_index *shard_map_find(const struct shard_map *m, const char *name)
{
	bool found;
	size_t at = name_position(m, name, &found);
	return found ? m->indexes[at] : NULL;
}

struct map_index *shard_map_find_id(const struct shard_map *m, uint64_t index_id)
{
	for (size_t i = 0; i < m->index_count; i++)
		if (m->indexes[i]->spec.id == index_id) return m->indexes[i];
	return NULL;
}

/* Shard uuids are random: their first bytes are a hash already. */
static size_t slot_home(const struct shard_map *m, struct uuid shard) { return (size_t)load_u64(shard.bytes) & (m->slot_count - 1); }

struct map_shard *shard_map_shard(const struct shard_map *m, struct uuid shard, struct map_index **ret_index)
{
	if (m->slot_count == 0) return NULL;
	for (size_t i = slot_home(m, shard); m->slots[i].index; i = (i + 1) & (m->slot_count - 1)) {
		struct map_shard *s = &m->slots[i].index->shards[m->slots[i].number];
		if (!uuid_equal(s->id, shard)) continue;
		if (ret_index) *ret_index = m->slots[i].index;
		return s;
	}
	return NULL;
}

uint32_t shard_map_load_of(const struct shard_map *m, struct uuid worker)
{
	uint32_t count = 0;
	for (size_t i = 0; i < m->index_count; i++)
		for (uint32_t s = 0; s < m->indexes[i]->spec.shards; s++) count += uuid_equal(m->indexes[i]->shards[s].worker, worker);
	return count;
}

static void slots_fill(struct shard_map *m)
{
	memset(m->slots, 0, m->slot_count * sizeof(*m->slots));
	for (size_t i = 0; i < m->index_count; i++) {
		struct map_index *index = m->indexes[i];
		for (uint32_t s = 0; s < index->spec.shards; s++) {
			size_t at = slot_home(m, index->shards[s].id);
			while (m->slots[at].index) at = (at + 1) & (m->slot_count - 1);
			m->slots[at] = (struct map_slot){index, s};
		}
	}
}

/* Room for `more` further shards; on success the table may be larger but still says the same. */
static enum status slots_reserve(struct shard_map *m, size_t more)
{
	size_t need = more, count = 64;
	for (size_t i = 0; i < m->index_count; i++) need += m->indexes[i]->spec.shards;
	while (count < 2 * need) count *= 2;
	if (count <= m->slot_count) return STATUS_OK;
	struct map_slot *slots = calloc(count, sizeof(*slots));
	if (!slots) return STATUS_NO_MEMORY;
	free(m->slots);
	m->slots = slots;
	m->slot_count = count;
	slots_fill(m);
	return STATUS_OK;
}

enum status map_index_new(const struct index_spec *spec, struct map_index **ret)
{
	struct map_index *index = calloc(1, sizeof(*index));
	if (!index) return STATUS_NO_MEMORY;
	index->shards = calloc(spec->shards, sizeof(*index->shards));
	if (!index->shards) {
		free(index);
		return STATUS_NO_MEMORY;
	}
	index->spec = *spec;
	for (uint32_t i = 0; i < spec->shards; i++) index->shards[i].number = i;
	*ret = index;
	return STATUS_OK;
}

void map_index_free(struct map_index **index)
{
	if (!*index) return;
	free((*index)->shards);
	free(*index);
	*index = NULL;
}

enum status shard_map_add(struct shard_map *m, struct map_index **take)
{
	bool found;
	size_t at = name_position(m, (*take)->spec.name, &found);
	require(!found);
	enum status status = slots_reserve(m, (*take)->spec.shards);
	if (status != STATUS_OK) return status;
	struct map_index **indexes = realloc(m->indexes, (m->index_count + 1) * sizeof(struct map_index *));
	if (!indexes) return STATUS_NO_MEMORY;
	memmove(indexes + at + 1, indexes + at, (m->index_count - at) * sizeof(struct map_index *));
	indexes[at] = *take;
	m->indexes = indexes;
	m->index_count++;
	*take = NULL;
	slots_fill(m);
	return STATUS_OK;
}

void shard_map_remove(struct shard_map *m, struct map_index *index)
{
	bool found;
	size_t at = name_position(m, index->spec.name, &found);
	require(found && m->indexes[at] == index);
	memmove(m->indexes + at, m->indexes + at + 1, (m->index_count - at - 1) * sizeof(struct map_index *));
	m->index_count--;
	map_index_free(&index);
	slots_fill(m);
}

enum status map_dropped_new(const struct map_index *index, struct map_dropped **ret)
{
	struct map_dropped *dropped = calloc(1, sizeof(*dropped));
	struct dropped_shard *shards = calloc(index->spec.shards, sizeof(*shards));
	if (!dropped || !shards) {
		free(dropped);
		free(shards);
		return STATUS_NO_MEMORY;
	}
	for (uint32_t i = 0; i < index->spec.shards; i++)
		shards[i] = (struct dropped_shard){.id = index->shards[i].id, .worker = index->shards[i].worker};
	dropped->index_id = index->spec.id;
	dropped->count = index->spec.shards;
	dropped->shards = shards;
	*ret = dropped;
	return STATUS_OK;
}

void map_dropped_free(struct map_dropped **dropped)
{
	if (!*dropped) return;
	free((*dropped)->shards);
	free(*dropped);
	*dropped = NULL;
}

enum status shard_map_add_dropped(struct shard_map *m, struct map_dropped **take)
{
	struct map_dropped **dropped = realloc(m->dropped, (m->dropped_count + 1) * sizeof(struct map_dropped *));
	if (!dropped) return STATUS_NO_MEMORY;
	dropped[m->dropped_count++] = *take;
	m->dropped = dropped;
	*take = NULL;
	return STATUS_OK;
}

void shard_map_remove_dropped(struct shard_map *m, struct map_dropped *dropped)
{
	for (size_t i = 0; i < m->dropped_count; i++) {
		if (m->dropped[i] != dropped) continue;
		m->dropped[i] = m->dropped[--m->dropped_count];
		map_dropped_free(&dropped);
		return;
	}
	require(!"the tombstone is in the map");
}

void index_key(const char *name, char out[MAP_KEY_SIZE]) { snprintf(out, MAP_KEY_SIZE, MAP_INDEX_PREFIX "%.*s", NAME_MAX_BYTES, name); }
void dropped_key(uint64_t index_id, char out[MAP_KEY_SIZE]) { snprintf(out, MAP_KEY_SIZE, MAP_DROPPED_PREFIX "%016" PRIx64, index_id); }

bool shard_map_check(const struct shard_map *m)
{
	for (size_t i = 0; i < m->index_count; i++) {
		struct map_index *index = m->indexes[i];
		if (i && strcmp(m->indexes[i - 1]->spec.name, index->spec.name) >= 0) return false;
		for (uint32_t s = 0; s < index->spec.shards; s++) {
			struct map_index *owner = NULL;
			if (index->shards[s].number != s) return false;
			if (shard_map_shard(m, index->shards[s].id, &owner) != &index->shards[s] || owner != index) return false;
		}
	}
	return true;
}
