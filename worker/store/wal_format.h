/* wal_format.h - one log record and one file header as bytes. Private to wal*.c and their tests; the layout in words is in wal.h. */
#ifndef STORE_WAL_FORMAT_H
#define STORE_WAL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/limits.h"
#include "common/uuid.h"
#include "worker/store/wal.h"

enum {
	WAL_VERSION = 1,
	WAL_HEADER_SIZE = 64,
	WAL_RECORD_FIXED = 88, /* bytes before the key */
	WAL_RECORD_MAX = WAL_RECORD_FIXED + KEY_MAX + DIM_MAX * 4 + PAYLOAD_MAX,
	WAL_UUID_AT = 8, /* of the shard's uuid in a record */
	WAL_NAME_SIZE = 32,
};

/* "wal-00000000000000000042.log" */
void wal_file_name(uint64_t first, char out[WAL_NAME_SIZE]);
bool wal_file_name_parse(const char *name, uint64_t *ret_first);

struct wal_header { struct uuid shard; uint64_t first, number; };
void wal_header_encode(const struct wal_header *h, uint8_t out[WAL_HEADER_SIZE]);
/* STATUS_CORRUPT, STATUS_UNSUPPORTED. */
MUST_CHECK enum status wal_header_decode(const uint8_t *bytes, size_t n, struct wal_header *ret);

size_t wal_record_size(const struct wal_record *r);
/* `out` has wal_record_size() bytes. Fields past their limits are a caller's error: require(). */
void wal_record_encode(const struct wal_record *r, struct uuid shard, uint8_t *out);

enum wal_verdict {
	WAL_GOOD,
	WAL_BAD,     /* no record of this shard: torn, damaged, foreign */
	WAL_STRANGE, /* intact, but its fields mean nothing: not an accident of the disk */
};
/* The record at the start of n bytes, which reach to the file's end or hold WAL_RECORD_MAX. Pointers into bytes. */
enum wal_verdict wal_record_decode(const uint8_t *bytes, size_t n, struct uuid shard, struct wal_record *ret, size_t *ret_size);

#endif
