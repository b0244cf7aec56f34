/* index_record.c - the stored records of shard_map.h, to bytes and back.
 *
 * What comes out of the store is checked like anything foreign: the checksum, every limit, and that the key names the same
 * index as the value. A record that fails is named and the coordinator does not start: serving without it would make shards
 * look unknown. */
#include "coordinator/shard_map.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/crc32c.h"
#include "common/cursor.h"

enum { RECORD_FORMAT = 1, RECORD_HEAD = 8, INDEX_FIXED = RECORD_HEAD + 8 + 4 * 4 + 8 + 1, SHARD_BYTES = 16 + 8 + 16 + 1 };
enum { DROPPED_FIXED = RECORD_HEAD + 8 + 4, DROPPED_BYTES = 32, CRC_BYTES = 4 };

static void head_write(struct writer *w, const char *magic, uint16_t detail)
{
	writer_bytes(w, magic, 4);
	writer_u16(w, RECORD_FORMAT);
	writer_u16(w, detail);
}

static void crc_write(struct writer *w) { writer_u32(w, crc32c(0, w->start, writer_used(w))); }

/* True if checksum, magic and format are right; then *r stands after the head and before the checksum. */
static bool head_read(struct reader *r, const uint8_t *value, size_t size, const char *magic, uint16_t *ret_detail)
{
	if (size < RECORD_HEAD + CRC_BYTES) return false;
	if (load_u32(value + size - CRC_BYTES) != crc32c(0, value, size - CRC_BYTES)) return false;
	reader_init(r, value, size - CRC_BYTES);
	const uint8_t *found = reader_bytes(r, 4);
	if (!found || memcmp(found, magic, 4) != 0 || reader_u16(r) != RECORD_FORMAT) return false;
	*ret_detail = reader_u16(r);
	return true;
}

enum status index_record_encode(const struct map_index *index, struct buf *out)
{
	const struct index_spec *spec = &index->spec;
	size_t name = strlen(spec->name), size = INDEX_FIXED + name + (size_t)spec->shards * SHARD_BYTES + CRC_BYTES;
	uint8_t *bytes;
	struct writer w;
	enum status status = buf_extend(out, size, &bytes);
	if (status != STATUS_OK) return status;
	writer_init(&w, bytes, size);
	head_write(&w, "GRVI", (uint16_t)spec->metric);
	writer_u64(&w, spec->id);
	writer_u32(&w, spec->dim);
	writer_u32(&w, spec->shards);
	writer_u32(&w, spec->replicas);
	writer_u32(&w, spec->trees);
	writer_u64(&w, spec->seed);
	writer_u8(&w, (uint8_t)name);
	writer_bytes(&w, spec->name, name);
	for (uint32_t i = 0; i < spec->shards; i++) {
		const struct map_shard *s = &index->shards[i];
		writer_bytes(&w, s->id.bytes, sizeof(s->id.bytes));
		writer_u64(&w, s->epoch);
		writer_bytes(&w, s->worker.bytes, sizeof(s->worker.bytes));
		writer_u8(&w, s->made || s->confirmed);
	}
	crc_write(&w);
	return STATUS_OK;
}

static void uuid_read(struct reader *r, struct uuid *ret)
{
	const uint8_t *bytes = reader_bytes(r, sizeof(ret->bytes));
	if (bytes) memcpy(ret->bytes, bytes, sizeof(ret->bytes));
}

static bool spec_read(struct reader *r, uint16_t metric, struct index_spec *spec)
{
	memset(spec, 0, sizeof(*spec));
	spec->metric = (enum metric)metric;
	spec->id = reader_u64(r);
	spec->dim = reader_u32(r);
	spec->shards = reader_u32(r);
	spec->replicas = reader_u32(r);
	spec->trees = reader_u32(r);
	spec->seed = reader_u64(r);
	uint8_t size = reader_u8(r);
	const uint8_t *name = reader_bytes(r, size);
	if (!name || !index_name_valid((const char *)name, size)) return false;
	memcpy(spec->name, name, size);
	return metric < METRIC_COUNT && spec->dim >= 1 && spec->dim <= DIM_MAX && spec->shards >= 1 && spec->shards <= SHARDS_MAX &&
	       spec->replicas >= 1 && spec->replicas <= REPLICAS_MAX && spec->trees >= 1 && spec->trees <= TREES_MAX;
}

static enum status index_load(struct shard_map *m, const char *key, uint64_t version, const uint8_t *value, size_t size)
{
	struct index_spec spec;
	struct map_index *index = NULL;
	struct reader r;
	uint16_t metric;
	char expected[MAP_KEY_SIZE];
	enum status status = STATUS_CORRUPT;
	if (!head_read(&r, value, size, "GRVI", &metric) || !spec_read(&r, metric, &spec)) goto out;
	index_key(spec.name, expected);
	if (strcmp(key, expected) != 0 || reader_left(&r) != (size_t)spec.shards * SHARD_BYTES || shard_map_find(m, spec.name)) goto out;
	status = map_index_new(&spec, &index);
	if (status != STATUS_OK) goto out;
	index->version = version;
	for (uint32_t i = 0; i < spec.shards; i++) {
		struct map_shard *s = &index->shards[i];
		uuid_read(&r, &s->id);
		s->epoch = reader_u64(&r);
		uuid_read(&r, &s->worker);
		s->made = reader_u8(&r) != 0;
	}
	status = shard_map_add(m, &index);
out:
	map_index_free(&index);
	return status;
}

enum status dropped_record_encode(const struct map_dropped *dropped, struct buf *out)
{
	size_t size = DROPPED_FIXED + (size_t)dropped->count * DROPPED_BYTES + CRC_BYTES;
	uint8_t *bytes;
	struct writer w;
	enum status status = buf_extend(out, size, &bytes);
	if (status != STATUS_OK) return status;
	writer_init(&w, bytes, size);
	head_write(&w, "GRVT", 0);
	writer_u64(&w, dropped->index_id);
	writer_u32(&w, dropped->count);
	for (uint32_t i = 0; i < dropped->count; i++) {
		writer_bytes(&w, dropped->shards[i].id.bytes, 16);
		writer_bytes(&w, dropped->shards[i].worker.bytes, 16);
	}
	crc_write(&w);
	return STATUS_OK;
}

static enum status dropped_load(struct shard_map *m, const char *key, uint64_t version, const uint8_t *value, size_t size)
{
	struct map_dropped *dropped = NULL;
	struct reader r;
	uint16_t zero;
	char expected[MAP_KEY_SIZE];
	enum status status = STATUS_CORRUPT;
	if (!head_read(&r, value, size, "GRVT", &zero)) goto out;
	uint64_t id = reader_u64(&r);
	uint32_t count = reader_u32(&r);
	dropped_key(id, expected);
	if (r.failed || strcmp(key, expected) != 0 || count > SHARDS_MAX || reader_left(&r) != (size_t)count * DROPPED_BYTES) goto out;
	status = STATUS_NO_MEMORY;
	dropped = calloc(1, sizeof(*dropped));
	if (!dropped) goto out;
	dropped->shards = calloc(count ? count : 1, sizeof(*dropped->shards));
	if (!dropped->shards) goto out;
	dropped->index_id = id;
	dropped->version = version;
	dropped->count = count;
	for (uint32_t i = 0; i < count; i++) {
		uuid_read(&r, &dropped->shards[i].id);
		uuid_read(&r, &dropped->shards[i].worker);
	}
	status = shard_map_add_dropped(m, &dropped);
out:
	map_dropped_free(&dropped);
	return status;
}

enum status shard_map_load(struct shard_map *m, const char *key, uint64_t version, const uint8_t *value, size_t size, struct report *report)
{
	enum status status = STATUS_OK;
	if (strncmp(key, MAP_INDEX_PREFIX, strlen(MAP_INDEX_PREFIX)) == 0)
		status = index_load(m, key, version, value, size);
	else if (strncmp(key, MAP_DROPPED_PREFIX, strlen(MAP_DROPPED_PREFIX)) == 0)
		status = dropped_load(m, key, version, value, size);
	if (status == STATUS_CORRUPT)
		return report_set(report, STATUS_CORRUPT,
			"the metadata record '%s' is damaged: restore meta.sqlite from a copy; no shard data is touched by this", key);
	if (status != STATUS_OK) return report_set(report, status, "loading the metadata record '%s' failed: %s", key, status_text(status));
	return STATUS_OK;
}

enum status cluster_record_encode(struct uuid cluster, struct buf *out)
{
	uint8_t *bytes;
	struct writer w;
	enum status status = buf_extend(out, RECORD_HEAD + 16 + CRC_BYTES, &bytes);
	if (status != STATUS_OK) return status;
	writer_init(&w, bytes, RECORD_HEAD + 16 + CRC_BYTES);
	head_write(&w, "GRVC", 0);
	writer_bytes(&w, cluster.bytes, sizeof(cluster.bytes));
	crc_write(&w);
	return STATUS_OK;
}

enum status cluster_record_decode(const uint8_t *value, size_t size, struct uuid *ret)
{
	struct reader r;
	uint16_t zero;
	struct uuid cluster = {{0}};
	if (!head_read(&r, value, size, "GRVC", &zero)) return STATUS_CORRUPT;
	uuid_read(&r, &cluster);
	if (r.failed || reader_left(&r) != 0 || uuid_is_zero(cluster)) return STATUS_CORRUPT;
	*ret = cluster;
	return STATUS_OK;
}
