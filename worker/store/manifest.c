/* manifest.c - encode, decode, and the same check on both sides: what would be refused when read is never written. */
#include "worker/store/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/crc32c.h"
#include "common/cursor.h"
#include "worker/store/store_path.h"

enum {
	MANIFEST_VERSION = 1,
	MANIFEST_FIXED = 200, /* bytes before the segments */
	MANIFEST_SEGMENT = 32,
	MANIFEST_CRC = 4,
	MANIFEST_SIZE_MAX = MANIFEST_FIXED + MANIFEST_SEGMENTS_MAX * MANIFEST_SEGMENT + MANIFEST_CRC,
	MANIFEST_READ_MAX = 65536, /* what is read before it is judged; a later version may list more */
};
static const char MANIFEST_MAGIC[8] = "GROVEMAN";

static bool name_is_valid(const char *name)
{
	size_t n = strnlen(name, NAME_MAX_BYTES + 1);

	if (n == 0 || n > NAME_MAX_BYTES) return false;
	for (size_t i = 0; i < n; i++) {
		char c = name[i];
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) continue;
		if (i > 0 && (c == '_' || c == '-')) continue;
		return false;
	}
	for (size_t i = n; i <= NAME_MAX_BYTES; i++)
		if (name[i]) return false;
	return true;
}

/* NULL, or what is wrong. */
static const char *identity_fault(const struct shard_identity *id)
{
	if (uuid_is_zero(id->shard)) return "no shard uuid";
	if (id->shards < 1 || id->shards > SHARDS_MAX || id->number >= id->shards) return "a shard number out of range";
	if ((unsigned)id->metric >= METRIC_COUNT) return "an unknown metric";
	if (id->dim < 1 || id->dim > DIM_MAX) return "a dimension out of range";
	if (id->trees < 1 || id->trees > TREES_MAX) return "a number of trees out of range";
	if (id->replicas < 1 || id->replicas > REPLICAS_MAX) return "a number of replicas out of range";
	if (!name_is_valid(id->name)) return "an index name that is none";
	return NULL;
}

static const char *manifest_fault(const struct manifest *m)
{
	const char *fault = identity_fault(&m->identity);

	if (fault) return fault;
	if (m->segment_count > MANIFEST_SEGMENTS_MAX) return "too many segments";
	for (uint32_t i = 0; i < m->segment_count; i++) {
		const struct manifest_segment *s = &m->segments[i];
		if (s->number >= m->next_segment) return "a segment numbered past the next number";
		if (i > 0 && s->number <= m->segments[i - 1].number) return "segments out of order";
		if (s->modulus < 1 || s->remainder >= s->modulus) return "a segment with a remainder out of range";
	}
	return NULL;
}

static size_t manifest_encode(const struct manifest *m, uint8_t out[MANIFEST_SIZE_MAX])
{
	const struct shard_identity *id = &m->identity;
	size_t size = MANIFEST_FIXED + (size_t)m->segment_count * MANIFEST_SEGMENT + MANIFEST_CRC;
	struct writer w;

	writer_init(&w, out, size);
	writer_bytes(&w, MANIFEST_MAGIC, sizeof MANIFEST_MAGIC);
	writer_u32(&w, MANIFEST_VERSION);
	writer_u32(&w, 0);
	writer_u32(&w, 0);
	writer_u32(&w, (uint32_t)size);
	writer_bytes(&w, id->shard.bytes, sizeof id->shard.bytes);
	writer_bytes(&w, id->cluster.bytes, sizeof id->cluster.bytes);
	writer_u64(&w, id->epoch);
	writer_u64(&w, id->index_id);
	writer_u32(&w, id->number);
	writer_u32(&w, id->shards);
	writer_u32(&w, (uint32_t)id->metric);
	writer_u32(&w, id->dim);
	writer_u32(&w, id->trees);
	writer_u32(&w, id->replicas);
	writer_u64(&w, id->seed);
	writer_bytes(&w, id->name, sizeof id->name);
	writer_u64(&w, m->sequence);
	writer_u64(&w, m->durable);
	writer_u64(&w, m->next_segment);
	writer_u32(&w, m->segment_count);
	writer_u32(&w, 0);
	for (uint32_t i = 0; i < m->segment_count; i++) {
		const struct manifest_segment *s = &m->segments[i];
		writer_u64(&w, s->number);
		writer_u32(&w, s->modulus);
		writer_u32(&w, s->remainder);
		writer_u64(&w, s->size);
		writer_u32(&w, s->header_crc);
		writer_u32(&w, s->rows);
	}
	writer_u32(&w, crc32c(0, out, writer_used(&w)));
	require(!w.failed && writer_used(&w) == size);
	return size;
}

/* The fields after the size; the checksum over all has been verified. False: they do not fit together. */
static bool manifest_decode(struct reader *r, struct manifest *m)
{
	struct shard_identity *id = &m->identity;
	const uint8_t *bytes;

	if ((bytes = reader_bytes(r, sizeof id->shard.bytes))) memcpy(id->shard.bytes, bytes, sizeof id->shard.bytes);
	if ((bytes = reader_bytes(r, sizeof id->cluster.bytes))) memcpy(id->cluster.bytes, bytes, sizeof id->cluster.bytes);
	id->epoch = reader_u64(r);
	id->index_id = reader_u64(r);
	id->number = reader_u32(r);
	id->shards = reader_u32(r);
	id->metric = (enum metric)reader_u32(r);
	id->dim = reader_u32(r);
	id->trees = reader_u32(r);
	id->replicas = reader_u32(r);
	id->seed = reader_u64(r);
	if ((bytes = reader_bytes(r, sizeof id->name))) memcpy(id->name, bytes, sizeof id->name);
	m->sequence = reader_u64(r);
	m->durable = reader_u64(r);
	m->next_segment = reader_u64(r);
	m->segment_count = reader_u32(r);
	if (reader_u32(r) != 0 || r->failed) return false;
#ifdef GROVE_PLANT_MANIFEST /* for the fuzzer's own test: the checks below are what keeps the array */
	if (m->segment_count > 4 * MANIFEST_SEGMENTS_MAX) return false;
#else
	if (m->segment_count > MANIFEST_SEGMENTS_MAX) return false;
	if (reader_left(r) != (size_t)m->segment_count * MANIFEST_SEGMENT + MANIFEST_CRC) return false;
#endif
	for (uint32_t i = 0; i < m->segment_count; i++) {
		struct manifest_segment *s = &m->segments[i];
		s->number = reader_u64(r);
		s->modulus = reader_u32(r);
		s->remainder = reader_u32(r);
		s->size = reader_u64(r);
		s->header_crc = reader_u32(r);
		s->rows = reader_u32(r);
	}
	return !r->failed;
}

static enum status manifest_parse(const uint8_t *bytes, size_t size, const char *path, struct manifest *ret, struct report *report)
{
	struct manifest m = {0};
	struct reader r;
	const uint8_t *magic;
	const char *fault;

	reader_init(&r, bytes, size);
	magic = reader_bytes(&r, sizeof MANIFEST_MAGIC);
	if (!magic || memcmp(magic, MANIFEST_MAGIC, sizeof MANIFEST_MAGIC) != 0)
		return report_set(report, STATUS_CORRUPT, "%s is not a manifest: restore the shard from a copy", path);
	/* The last four bytes are the checksum in every version, so that damage is not mistaken for a newer format. */
	if (size < MANIFEST_FIXED + MANIFEST_CRC || load_u32(bytes + size - MANIFEST_CRC) != crc32c(0, bytes, size - MANIFEST_CRC))
		return report_set(report, STATUS_CORRUPT, "%s does not match its checksum: restore the shard from a copy", path);
	uint32_t version = reader_u32(&r), required = reader_u32(&r);
	(void)reader_u32(&r); /* optional features: what is unknown may be ignored */
	if (version != MANIFEST_VERSION || required != 0)
		return report_set(report, STATUS_UNSUPPORTED, "%s has version %u and features %#x, made by a newer Grove: use that", path,
			version, required);
	if (reader_u32(&r) != size || !manifest_decode(&r, &m))
		return report_set(report, STATUS_CORRUPT, "%s has sizes that do not fit together: restore the shard from a copy", path);
	if ((fault = manifest_fault(&m)))
		return report_set(report, STATUS_CORRUPT, "%s holds %s: restore the shard from a copy", path, fault);
	*ret = m;
	return STATUS_OK;
}

enum status manifest_load(struct io *io, const char *dir, struct manifest *ret, struct report *report)
{
	char path[STORE_PATH_MAX];
	uint8_t *bytes = NULL;
	size_t size = 0;
	enum status status;

	if (!store_path(path, dir, "manifest")) return report_set(report, STATUS_LIMIT, "the path %s/manifest is too long", dir);
	status = io_slurp(io, path, MANIFEST_READ_MAX, &bytes, &size);
	if (status == STATUS_LIMIT) {
		status = report_set(report, STATUS_CORRUPT, "%s is larger than a manifest can be: restore the shard from a copy", path);
		goto out;
	}
	if (status == STATUS_NOT_FOUND) {
		status = report_set(report, status, "there is no %s", path);
		goto out;
	}
	if (status != STATUS_OK) {
		status = report_set(report, status, "%s could not be read: %s", path, io_last_error());
		goto out;
	}
	status = manifest_parse(bytes, size, path, ret, report);
out:
	free(bytes);
	return status;
}

enum status manifest_store(struct io *io, const char *dir, const struct manifest *m, struct report *report)
{
	char path[STORE_PATH_MAX];
	uint8_t bytes[MANIFEST_SIZE_MAX];
	const char *fault = manifest_fault(m);
	enum status status;

	if (fault) return report_set(report, STATUS_BAD_REQUEST, "a manifest in %s would hold %s", dir, fault);
	if (!store_path(path, dir, "manifest")) return report_set(report, STATUS_LIMIT, "the path %s/manifest is too long", dir);
	size_t size = manifest_encode(m, bytes);
	io->ops->phase(io, IO_PHASE_MANIFEST_RENAME);
	status = io_replace(io, path, bytes, size);
	io->ops->phase(io, IO_PHASE_IDLE);
	if (status == STATUS_NO_MEMORY) return report_set(report, status, "%s could not be replaced for want of memory", path);
	if (status != STATUS_OK) return report_set(report, status, "%s could not be replaced: %s", path, io_last_error());
	return STATUS_OK;
}
