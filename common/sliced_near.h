/* sliced_near.h - the kernel `near` of codes.h, written once over the words of an instruction set. Included by the files of the sets, which first
 * define word_t of WORD_BYTES bytes and word_load(bytes), word_repeat(u64), word_and, word_or, word_xor,
 * word_sum(a, b, c) and word_carry(a, b, c) (of three bits), word_full(a) (all ones), and word_store(u64, word).
 *
 * The planes of a query, less than half, are summed by a tree of adders, sixteen at a time while there are so many, then eight and four, into counters of as
 * many rows as a word has bits, which stand across words, digit by digit. A counter starts as much below 16 as there is room, and a row with a carry out of
 * its fourth digit is too far, for good: further digits are only kept where there is room for more, up to 127.
 * Where the query has ones, a row differs in the zeros of a plane: it is these that count, and they are not inverted, but the first four digits
 * are, for sums and carries of three inverted bits are those of the bits, inverted. */
enum { SLICED_LOW = 4, SLICED_HIGH = 4, SLICED_AHEAD = 1 };

/* Two more bits of a counter's digit: the carry into the next digit. */
static inline __attribute__((always_inline)) word_t sliced_add(word_t *digit, word_t a, word_t b)
{
	word_t carry = word_carry(*digit, a, b);
	*digit = word_sum(*digit, a, b);
	return carry;
}

/* The planes of a query in one block; those of another, unless it is NULL, are asked for. */
struct sliced_planes { const uint16_t *at; const uint8_t *block, *next; };

static inline __attribute__((always_inline)) word_t sliced_plane(const struct sliced_planes *p, size_t i)
{
	if (p->next) __builtin_prefetch(p->next + p->at[i]);
	return word_load(p->block + p->at[i]);
}

static inline __attribute__((always_inline)) word_t sliced_twos(word_t *digits, const struct sliced_planes *p, size_t i)
{
	return sliced_add(&digits[0], sliced_plane(p, i), sliced_plane(p, i + 1));
}

static inline __attribute__((always_inline)) word_t sliced_fours(word_t *digits, const struct sliced_planes *p, size_t i)
{
	word_t a = sliced_twos(digits, p, i), b = sliced_twos(digits, p, i + 2);
	return sliced_add(&digits[1], a, b);
}

static inline __attribute__((always_inline)) word_t sliced_eights(word_t *digits, const struct sliced_planes *p, size_t i)
{
	word_t a = sliced_fours(digits, p, i), b = sliced_fours(digits, p, i + 4);
	return sliced_add(&digits[2], a, b);
}

static inline __attribute__((always_inline)) word_t sliced_sixteens(word_t *digits, const struct sliced_planes *p, size_t i)
{
	word_t a = sliced_eights(digits, p, i), b = sliced_eights(digits, p, i + 8);
	return sliced_add(&digits[3], a, b);
}

/* What planes are left after the sixteens: four, eight or twelve. */
static inline __attribute__((always_inline)) word_t sliced_rest(word_t *digits, const struct sliced_planes *p, size_t i, size_t count, word_t none)
{
	word_t a = none, b = none;

	if (count - i >= 8) {
		a = sliced_eights(digits, p, i);
		i += 8;
	}
	if (i < count) b = sliced_add(&digits[2], sliced_fours(digits, p, i), none);
	return sliced_add(&digits[3], a, b);
}

/* The high digits are of what goes beyond the low ones; the last of them, that it went too far. Without them any carry did. */
static inline __attribute__((always_inline)) void sliced_carry(word_t *high, bool tall, word_t carry)
{
	for (size_t d = 0; d < SLICED_HIGH - 1 && tall; d++) {
		word_t digit = high[d];
		high[d] = word_xor(digit, carry);
		carry = word_and(digit, carry);
	}
	high[SLICED_HIGH - 1] = word_or(high[SLICED_HIGH - 1], carry);
}

/* Where counters start: for each digit's bit of a number below 16, a word of it. */
#define SLICED_BITS(n) {-(uint64_t)((n) & 1), -(uint64_t)((n) >> 1 & 1), -(uint64_t)((n) >> 2 & 1), -(uint64_t)((n) >> 3)}
#define SLICED_FOUR(n) SLICED_BITS(n), SLICED_BITS((n) + 1), SLICED_BITS((n) + 2), SLICED_BITS((n) + 3)
static const uint64_t sliced_bits[1 << SLICED_LOW][SLICED_LOW] = {SLICED_FOUR(0), SLICED_FOUR(4), SLICED_FOUR(8), SLICED_FOUR(12)};

/* `low` is what the low digits start at, inverted if `turn` is all ones. */
struct sliced_start { const uint64_t *low, *high; uint64_t turn; };

/* Which rows of one word are too far. */
static inline __attribute__((always_inline)) word_t sliced_far(const struct sliced_query *q, const uint8_t *block, const uint8_t *next,
	const struct sliced_start *start, bool tall)
{
	const struct sliced_planes planes = {q->at, block, next};
	size_t count = q->count, i = 0;
	word_t low[SLICED_LOW], high[SLICED_HIGH], turn = word_repeat(start->turn);

	for (size_t d = 0; d < SLICED_LOW; d++) low[d] = word_repeat(start->low[d]);
	for (size_t d = 0; d < SLICED_HIGH; d++) high[d] = word_repeat(start->high[d]);
	for (; i + 16 <= count; i += 16) sliced_carry(high, tall, word_xor(turn, sliced_sixteens(low, &planes, i)));
	if (i < count) sliced_carry(high, tall, word_xor(turn, sliced_rest(low, &planes, i, count, turn)));
	return high[SLICED_HIGH - 1];
}

/* Whether any row of the block is near. A plane of a block is one line of the cache, hence asked for once. */
static inline __attribute__((always_inline)) bool sliced_block(const struct sliced_query *q, const uint8_t *block, const struct sliced_start *start,
	bool tall, uint64_t *ret)
{
	const uint8_t *next = block + SLICED_AHEAD * sliced_block_bytes(q->planes);
	bool any = false;

	for (size_t at = 0; at < SLICED_ROWS / 8; at += WORD_BYTES) {
		word_t far = at ? sliced_far(q, block + at, NULL, start, tall) : sliced_far(q, block, next, start, tall);
		word_store(ret + at / 8, word_xor(far, word_repeat(UINT64_MAX)));
		any |= !word_full(far);
	}
	return any;
}

static size_t SLICED_NEAR(const struct sliced_query *query, const uint8_t *blocks, size_t n, uint32_t most, uint64_t *ret)
{
	struct sliced_start start = {.turn = query->zeros ? 0 : UINT64_MAX};
	uint32_t turned = query->zeros ? 0 : (1 << SLICED_LOW) - 1;
	size_t size = sliced_block_bytes(query->planes);

	for (size_t block = 0; block < n; block++, blocks += size) {
		int32_t room = sliced_room(query, (const struct sliced_head *)(const void *)blocks, most);
		if (room < 0) continue;
		if (room >= (int32_t)query->count) {
			for (size_t i = 0; i < SLICED_ROWS / 64; i++) ret[i] = UINT64_MAX;
			return block;
		}
		bool tall = room >= 1 << SLICED_LOW;
		uint32_t from = (tall ? 127 : 15) - (uint32_t)room;
		start.low = sliced_bits[(from & ((1 << SLICED_LOW) - 1)) ^ turned];
		start.high = sliced_bits[from >> SLICED_LOW];
		if (tall ? sliced_block(query, blocks, &start, true, ret) : sliced_block(query, blocks, &start, false, ret)) return block;
	}
	return n;
}
