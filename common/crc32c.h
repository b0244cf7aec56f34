/* crc32c.h - CRC-32C (Castagnoli, RFC 3720 B.4): reflected 0x82f63b78, initial and final inversion. SSE4.2 or ARMv8 CRC where
 * the processor has it, a table otherwise; equal. crc32c(0, "123456789", 9) == 0xe3069283. */
#ifndef COMMON_CRC32C_H
#define COMMON_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continue `crc` (0 to begin) over n bytes: crc32c(crc32c(0, a), b) == crc32c(0, ab). */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t n);
/* Of ab, from that of a and that of the n bytes of b: crc32c_joined(crc32c(0, a), crc32c(0, b), n). */
uint32_t crc32c_joined(uint32_t a, uint32_t b, uint64_t n);
uint32_t crc32c_plain(uint32_t crc, const void *bytes, size_t n); /* the definition, for tests */

#endif
