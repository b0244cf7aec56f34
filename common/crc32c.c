/* crc32c.c - the instruction where the processor has it (SSE4.2, ARMv8 CRC), else a table; equal by test.
 *
 * The instruction has a latency of 3 and a throughput of 1, so three streams run side by side over blocks of STRIDE bytes
 * and are joined by multiplying with x^(8 * STRIDE) (Gopal et al., "Fast CRC Computation for iSCSI", 2011): here by tables made at
 * the first call, which is simpler than carry-less multiplication and costs one look-up of 4 for each block. */
#include "common/crc32c.h"

#include <pthread.h>
#include <string.h>

enum { STRIDE = 4096 };
#define POLYNOMIAL 0x82f63b78u /* reflected */
static uint32_t byte_table[256];
static uint32_t shift_table[4][256]; /* crc of STRIDE zero bytes after a crc, by its four bytes */
static uint32_t (*chosen)(uint32_t crc, const uint8_t *p, size_t n);
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The raw register: no inversions. */
static uint32_t run_table(uint32_t crc, const uint8_t *p, size_t n)
{
	while (n--) crc = byte_table[(crc ^ *p++) & 0xff] ^ crc >> 8;
	return crc;
}

static uint32_t shift_stride(uint32_t crc)
{
	return shift_table[0][crc & 0xff] ^ shift_table[1][crc >> 8 & 0xff] ^ shift_table[2][crc >> 16 & 0xff] ^ shift_table[3][crc >> 24];
}

#if defined(__x86_64__)
#include <nmmintrin.h>
#define CRC_TARGET __attribute__((target("sse4.2")))
#define CRC8(crc, v) _mm_crc32_u8((uint32_t)(crc), (v))
#define CRC64(crc, v) _mm_crc32_u64((crc), (v))
static int has_instruction(void) { return __builtin_cpu_supports("sse4.2"); }
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#define CRC_TARGET __attribute__((target("+crc")))
#define CRC8(crc, v) __crc32cb((uint32_t)(crc), (v))
#define CRC64(crc, v) (uint64_t)__crc32cd((uint32_t)(crc), (v))
static int has_instruction(void) { return getauxval(AT_HWCAP) >> 7 & 1; }
#endif

#ifdef CRC_TARGET
CRC_TARGET static uint32_t run_instruction(uint32_t start, const uint8_t *p, size_t n)
{
	uint64_t crc = start, word;

	for (; n >= 3 * STRIDE; n -= 3 * STRIDE, p += 3 * STRIDE) {
		uint64_t a = crc, b = 0, c = 0, wa, wb, wc;
		for (size_t i = 0; i < STRIDE; i += 8) {
			memcpy(&wa, p + i, 8);
			memcpy(&wb, p + STRIDE + i, 8);
			memcpy(&wc, p + 2 * STRIDE + i, 8);
			a = CRC64(a, wa);
			b = CRC64(b, wb);
			c = CRC64(c, wc);
		}
		crc = shift_stride(shift_stride((uint32_t)a) ^ (uint32_t)b) ^ (uint32_t)c;
	}
	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&word, p, 8);
		crc = CRC64(crc, word);
	}
	while (n--) crc = CRC8(crc, *p++);
	return (uint32_t)crc;
}
#endif

static void choose(void)
{
	static const uint8_t zeros[STRIDE];

	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int bit = 0; bit < 8; bit++) c = c & 1 ? POLYNOMIAL ^ c >> 1 : c >> 1;
		byte_table[i] = c;
	}
	for (int byte = 0; byte < 4; byte++)
		for (uint32_t i = 0; i < 256; i++) shift_table[byte][i] = run_table(i << (8 * byte), zeros, STRIDE);
	chosen = run_table;
#ifdef CRC_TARGET
	if (has_instruction()) chosen = run_instruction;
#endif
}

uint32_t crc32c(uint32_t crc, const void *bytes, size_t n)
{
	pthread_once(&once, choose);
	return ~chosen(~crc, bytes, n);
}

uint32_t crc32c_plain(uint32_t crc, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	crc = ~crc;
	while (n--) {
		crc ^= *p++;
		for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? POLYNOMIAL ^ crc >> 1 : crc >> 1;
	}
	return ~crc;
}

/* Polynomials over GF(2), the highest bit being x^0: the product modulo the CRC's. */
static uint32_t multiply(uint32_t a, uint32_t b)
{
	uint32_t product = 0;

	for (; a; a <<= 1) {
		if (a >> 31) product ^= b;
		b = b & 1 ? POLYNOMIAL ^ b >> 1 : b >> 1;
	}
	return product;
}

/* A crc moves on over n bytes by x^(8 n); the inversions of both cancel out. */
uint32_t crc32c_joined(uint32_t a, uint32_t b, uint64_t n)
{
	uint32_t power = 1u << 23; /* x^8 */

	for (; n; n >>= 1) {
		if (n & 1) a = multiply(power, a);
		power = multiply(power, power);
	}
	return a ^ b;
}
