/* wal_format.c - bytes to records and back. */
#include "worker/store/wal_format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/check.h"
#include "common/crc32c.h"
#include "common/cursor.h"

static const char WAL_MAGIC[8] = "GROVEWAL";
enum { WAL_CRC_FROM = 8 };

void wal_file_name(uint64_t first, char out[WAL_NAME_SIZE])
{
	snprintf(out, WAL_NAME_SIZE, "wal-%020" PRIu64 ".log", first);
}

bool wal_file_name_parse(const char *name, uint64_t *ret_first)
{
	char again[WAL_NAME_SIZE];
	uint64_t first = 0;

	if (strlen(name) != 28 || strncmp(name, "wal-", 4) != 0) return false;
	for (int i = 4; i < 24; i++) {
		if (name[i] < '0' || name[i] > '9') return false;
		first = first * 10 + (uint64_t)(name[i] - '0'); /* past 64 bits it wraps, and the comparison below fails */
	}
	wal_file_name(first, again);
	if (strcmp(name, again) != 0) return false;
	*ret_first = first;
	return true;
}

void wal_header_encode(const struct wal_header *h, uint8_t out[WAL_HEADER_SIZE])
{
	struct writer w;

	writer_init(&w, out, WAL_HEADER_SIZE);
	writer_bytes(&w, WAL_MAGIC, sizeof WAL_MAGIC);
	writer_u32(&w, WAL_VERSION);
	writer_u32(&w, 0);
	writer_u32(&w, 0);
	writer_u32(&w, 0);
	writer_bytes(&w, h->shard.bytes, sizeof h->shard.bytes);
	writer_u64(&w, h->first);
	writer_u64(&w, h->number);
	writer_u32(&w, 0);
	writer_u32(&w, crc32c(0, out, writer_used(&w)));
	require(!w.failed && writer_used(&w) == WAL_HEADER_SIZE);
}

enum status wal_header_decode(const uint8_t *bytes, size_t n, struct wal_header *ret)
{
	struct wal_header h;
	struct reader r;

	if (n < WAL_HEADER_SIZE || memcmp(bytes, WAL_MAGIC, sizeof WAL_MAGIC) != 0) return STATUS_CORRUPT;
	if (load_u32(bytes + 60) != crc32c(0, bytes, 60)) return STATUS_CORRUPT;
	reader_init(&r, bytes + sizeof WAL_MAGIC, WAL_HEADER_SIZE - sizeof WAL_MAGIC);
	if (reader_u32(&r) != WAL_VERSION || reader_u32(&r) != 0) return STATUS_UNSUPPORTED;
	(void)reader_u32(&r); /* optional features: what is unknown may be ignored */
	if (reader_u32(&r) != 0) return STATUS_CORRUPT;
	memcpy(h.shard.bytes, reader_bytes(&r, sizeof h.shard.bytes), sizeof h.shard.bytes);
	h.first = reader_u64(&r);
	h.number = reader_u64(&r);
	if (reader_u32(&r) != 0 || h.first == 0) return STATUS_CORRUPT;
	*ret = h;
	return STATUS_OK;
}

size_t wal_record_size(const struct wal_record *r)
{
	return WAL_RECORD_FIXED + r->key_size + dtype_row_bytes(r->dtype, r->dim) + r->payload_size;
}

/* The same on both sides: what would not be read is not written. */
static bool record_makes_sense(const struct wal_record *r)
{
	if ((unsigned)r->dtype > DTYPE_BITS || r->dim > DIM_MAX || r->key_size > KEY_MAX || r->payload_size > PAYLOAD_MAX) return false;
	if (r->durable >= r->sequence) return false;
	switch (r->kind) {
	case WAL_UPSERT: return r->dim >= 1;
	case WAL_DELETE: return r->dim == 0;
	case WAL_END: return r->dim == 0 && r->key_size == 0 && r->payload_size == 0;
	}
	return false;
}

void wal_record_encode(const struct wal_record *r, struct uuid shard, uint8_t *out)
{
	struct writer w;
	size_t size = wal_record_size(r);

	require(record_makes_sense(r));
	writer_init(&w, out, size);
	writer_u32(&w, (uint32_t)(size - WAL_CRC_FROM));
	writer_u32(&w, 0);
	writer_bytes(&w, shard.bytes, sizeof shard.bytes);
	writer_u64(&w, r->epoch);
	writer_u64(&w, r->sequence);
	writer_u64(&w, r->durable);
	writer_u64(&w, r->client);
	writer_u64(&w, r->request);
	writer_u8(&w, (uint8_t)r->kind);
	writer_u8(&w, (uint8_t)r->dtype);
	writer_u16(&w, r->key_size);
	writer_u32(&w, r->dim);
	writer_u32(&w, r->payload_size);
	writer_u32(&w, 0);
	writer_u64(&w, r->id);
	if (r->key_size) writer_bytes(&w, r->key, r->key_size);
	if (r->dim) writer_bytes(&w, r->vector, dtype_row_bytes(r->dtype, r->dim));
	if (r->payload_size) writer_bytes(&w, r->payload, r->payload_size);
	require(!w.failed && writer_used(&w) == size);
	store_u32(out + 4, crc32c(0, out + WAL_CRC_FROM, size - WAL_CRC_FROM));
}

enum wal_verdict wal_record_decode(const uint8_t *bytes, size_t n, struct uuid shard, struct wal_record *ret, size_t *ret_size)
{
	struct wal_record rec = {0};
	struct reader r;

	if (n < WAL_RECORD_FIXED) return WAL_BAD;
	size_t length = load_u32(bytes);
	if (length < WAL_RECORD_FIXED - WAL_CRC_FROM || length > n - WAL_CRC_FROM || length > WAL_RECORD_MAX - WAL_CRC_FROM) return WAL_BAD;
	if (memcmp(bytes + WAL_UUID_AT, shard.bytes, sizeof shard.bytes) != 0) return WAL_BAD;
	if (load_u32(bytes + 4) != crc32c(0, bytes + WAL_CRC_FROM, length)) return WAL_BAD;
	reader_init(&r, bytes + 24, length - 16);
	rec.epoch = reader_u64(&r);
	rec.sequence = reader_u64(&r);
	rec.durable = reader_u64(&r);
	rec.client = reader_u64(&r);
	rec.request = reader_u64(&r);
	rec.kind = (enum wal_kind)reader_u8(&r);
	rec.dtype = (enum dtype)reader_u8(&r);
	rec.key_size = reader_u16(&r);
	rec.dim = reader_u32(&r);
	rec.payload_size = reader_u32(&r);
	if (reader_u32(&r) != 0) return WAL_STRANGE;
	rec.id = reader_u64(&r);
	if (!record_makes_sense(&rec)) return WAL_STRANGE;
	rec.key = r.at;
	rec.vector = rec.key + rec.key_size;
	rec.payload = rec.vector + dtype_row_bytes(rec.dtype, rec.dim);
#ifndef GROVE_PLANT_WAL /* for the fuzzer's own test: without this check the parts reach past the record */
	if (wal_record_size(&rec) != length + WAL_CRC_FROM) return WAL_STRANGE;
#endif
	*ret = rec;
	*ret_size = length + WAL_CRC_FROM;
	return WAL_GOOD;
}
