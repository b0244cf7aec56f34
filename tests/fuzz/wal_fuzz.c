/* wal_fuzz.c - bytes as the only file of a log. The first byte says how: bit 0 checksums made good, bits 2-3 `after`, bits 4-7 what the
 * manifest knows durable. Any answer is right that does not crash, and a log that opened goes on: it gives back the same again
 * and takes another record. */
#include <stdlib.h>

#include "tests/fuzz/seal.h"
#include "tests/fuzz/store_fuzz.h"

struct seen { uint64_t count, next; uint32_t crc; };

static enum status record_look(void *arg, const struct wal_record *r)
{
	struct seen *seen = arg;
	size_t vector = dtype_row_bytes(r->dtype, r->dim);

	require(r->sequence == seen->next);
	require(r->kind == WAL_UPSERT || r->kind == WAL_DELETE);
	look_at(r->key, r->key_size);
	look_at(r->vector, vector);
	look_at(r->payload, r->payload_size);
	seen->crc = crc32c(crc32c(crc32c(seen->crc, r->key, r->key_size), r->vector, vector), r->payload, r->payload_size);
	seen->count++;
	seen->next++;
	return STATUS_OK;
}

static enum status log_open(struct io *io, uint64_t after, uint64_t durable, struct wal **wal, struct seen *seen)
{
	struct uuid shard;
	struct report report = {0};
	uint64_t next;

	for (int i = 0; i < 16; i++) shard.bytes[i] = (uint8_t)(1 + i * 7);
	*seen = (struct seen){.next = after + 1};
	enum status status = wal_open(io, "s", shard, after, durable, record_look, seen, wal, &next, &report);
	require(status == STATUS_OK ? next >= seen->next : status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED);
	require(status == STATUS_OK || report.text[0]);
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
	struct seen first, again;
	struct wal *wal = NULL;

	if (n < 1) return 0;
	uint64_t after = input[0] >> 2 & 3, durable = input[0] >> 4;
	uint8_t *file = malloc(n);
	require(file);
	memcpy(file, input + 1, n - 1);
	if (input[0] & 1) seal_wal(file, n - 1);
	struct io_sim *sim = disk_with("s/wal-00000000000000000001.log", file, n - 1);
	struct io *io = io_sim_io(sim);
	if (log_open(io, after, durable, &wal, &first) == STATUS_OK) {
		struct wal_record r = {.epoch = 1, .sequence = wal_next(wal), .kind = WAL_DELETE};
		require(wal_append(wal, &r) == STATUS_OK && wal_commit(wal, NULL) == STATUS_OK);
		wal_close(&wal, true);
		require(log_open(io, after, durable, &wal, &again) == STATUS_OK);
		require(again.count == first.count + 1 && again.crc == first.crc && wal_durable(wal) == r.sequence);
	}
	wal_close(&wal, false);
	io_sim_free(&sim);
	free(file);
	return 0;
}
