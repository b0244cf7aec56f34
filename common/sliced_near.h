/* sliced_near.h - the kernel `near` of codes.h, written once over the words of an instruction set. Included by the files of the sets, which first
 * define word_t of WORD_BYTES bytes and word_load(bytes), word_repeat(u64), word_and, word_or, word_xor,
 * word_sum(a, b, c) and word_carry(a, b, c) (of three bits), word_full(a) (all ones), and word_store(u64, word).
 *
 * The counters of as many rows as a word has bits stand across words: ones, twos, fours, eights, and up to four higher. They start at what is
 * missing to the power of two above `most`, so that a row is too far as soon as its counter overflows: no comparison is left, and a word whose rows
 * are all too far after some of the planes is done. Sixteen planes at a time go through a tree of adders, of whose five levels the last
 * gives the carry into the higher counters. */

struct sliced_start { uint64_t low[4], high[4]; };

/* Two more bits of a counter's digit: the carry into the next digit. */
static inline __attribute__((always_inline)) word_t sliced_add(word_t *digit, word_t a, word_t b)
{
	word_t carry = word_carry(*digit, a, b);
	*digit = word_sum(*digit, a, b);
	return carry;
}

/* About a block of 64 bits ahead, which is what a processor left to itself has from its third level an eighth to a sixth later. */
enum { SLICED_AHEAD = 4096 };

static inline __attribute__((always_inline)) word_t sliced_plane(const uint64_t *query, const uint8_t *planes, size_t i)
{
	__builtin_prefetch(planes + i * (SLICED_ROWS / 8) + SLICED_AHEAD);
	return word_xor(word_repeat(query[i]), word_load(planes + i * (SLICED_ROWS / 8)));
}

static inline __attribute__((always_inline)) word_t sliced_twos(word_t *ones, const uint64_t *query, const uint8_t *planes, size_t i)
{
	return sliced_add(ones, sliced_plane(query, planes, i), sliced_plane(query, planes, i + 1));
}

static inline __attribute__((always_inline)) word_t sliced_fours(word_t low[4], const uint64_t *query, const uint8_t *planes, size_t i)
{
	word_t a = sliced_twos(&low[0], query, planes, i), b = sliced_twos(&low[0], query, planes, i + 2);
	return sliced_add(&low[1], a, b);
}

static inline __attribute__((always_inline)) word_t sliced_eights(word_t low[4], const uint64_t *query, const uint8_t *planes, size_t i)
{
	word_t a = sliced_fours(low, query, planes, i), b = sliced_fours(low, query, planes, i + 4);
	return sliced_add(&low[2], a, b);
}

/* Which rows of one word are too far. */
static inline __attribute__((always_inline)) word_t sliced_far(const uint64_t *query, const uint8_t *planes, size_t plane_count, size_t high_count,
	const struct sliced_start *start)
{
	word_t low[4], high[4], far = word_repeat(0);

	for (size_t d = 0; d < 4; d++) low[d] = word_repeat(start->low[d]);
	for (size_t d = 0; d < high_count; d++) high[d] = word_repeat(start->high[d]);
	for (size_t i = 0; i < plane_count; i += SLICED_STEP) {
		word_t a = sliced_eights(low, query, planes, i), b = sliced_eights(low, query, planes, i + 8);
		word_t carry = sliced_add(&low[3], a, b);
		for (size_t d = 0; d < high_count; d++) {
			word_t digit = high[d];
			high[d] = word_xor(digit, carry);
			carry = word_and(digit, carry);
		}
		far = word_or(far, carry);
		if (word_full(far)) break;
	}
	return far;
}

static inline __attribute__((always_inline)) size_t sliced_near(const uint64_t *query, const uint8_t *blocks, size_t plane_count, size_t n,
	size_t high_count, uint32_t most, uint64_t *ret)
{
	uint32_t missing = ((uint32_t)SLICED_STEP << high_count) - 1 - most;
	struct sliced_start start;

	for (uint32_t d = 0; d < 4; d++) {
		start.low[d] = -(uint64_t)(missing >> d & 1);
		start.high[d] = -(uint64_t)(missing >> (4 + d) & 1);
	}
	for (size_t block = 0; block < n; block++, blocks += plane_count * (SLICED_ROWS / 8)) {
		bool any = false;
		for (size_t at = 0; at < SLICED_ROWS / 8; at += WORD_BYTES) {
			word_t far = sliced_far(query, blocks + at, plane_count, high_count, &start);
			word_store(ret + at / 8, word_xor(far, word_repeat(UINT64_MAX)));
			any |= !word_full(far);
		}
		if (any) return block;
	}
	return n;
}

static size_t SLICED_NEAR(const uint64_t *query, const uint8_t *blocks, size_t planes, size_t n, uint32_t most, uint64_t *ret)
{
	if (most < SLICED_STEP) return planes == 64 ? sliced_near(query, blocks, 64, n, 0, most, ret) : sliced_near(query, blocks, planes, n, 0, most, ret);
	if (most < 2 * SLICED_STEP)
		return planes == 64 ? sliced_near(query, blocks, 64, n, 1, most, ret) : sliced_near(query, blocks, planes, n, 1, most, ret);
	if (most < 4 * SLICED_STEP) return sliced_near(query, blocks, planes, n, 2, most, ret);
	if (most < 8 * SLICED_STEP) return sliced_near(query, blocks, planes, n, 3, most, ret);
	return sliced_near(query, blocks, planes, n, 4, most, ret);
}
