/* sliced_near.h - the kernel `near` of codes.h, written once over the words of an instruction set. Included by the files of the sets, which first
 * define word_t of WORD_BYTES bytes and word_load(bytes), word_repeat(u64), word_and, word_or, word_xor,
 * word_sum(a, b, c) and word_carry(a, b, c) (of three bits), word_full(a) (all ones), and word_store(u64, word).
 *
 * Of a row x and a query q the bits that differ are |x| + |q| - 2 |x and q|, or |q| - |x| + 2 |x and not q|. |x| is in the block, so only those planes are
 * counted where the query has a one, or a zero if those are fewer: less than half. Counters of as many rows as a word has bits stand across words,
 * digit by digit, signed. They start at what the query and `most` contribute, and at the end are compared with |x| / 2. Planes go through a tree of
 * adders, sixteen at a time while there are so many, then eight, then four. */
enum { SLICED_DIGITS_MAX = 10 };

/* Two more bits of a counter's digit: the carry into the next digit. */
static inline __attribute__((always_inline)) word_t sliced_add(word_t *digit, word_t a, word_t b)
{
	word_t carry = word_carry(*digit, a, b);
	*digit = word_sum(*digit, a, b);
	return carry;
}

/* The planes of a query in one block; those of the next are asked for. */
struct sliced_planes { const uint16_t *at; const uint8_t *block, *next; };

static inline __attribute__((always_inline)) word_t sliced_plane(const struct sliced_planes *p, size_t i)
{
	__builtin_prefetch(p->next + p->at[i]);
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

static inline __attribute__((always_inline)) void sliced_ripple(word_t *digits, size_t from, size_t count, word_t carry)
{
	for (size_t d = from; d < count; d++) {
		word_t digit = digits[d];
		digits[d] = word_xor(digit, carry);
		carry = word_and(digit, carry);
	}
}

/* What does not change from block to block. `height`: planes of half a row's count; digits: one for u up to twice that, one for its sign. */
struct sliced_plan { uint64_t start[SLICED_DIGITS_MAX], odd, turn; };

/* Which rows of one word are too far: u > |x| / 2 rounded, u the counter, or the contrary. */
static inline __attribute__((always_inline)) word_t sliced_far(const struct sliced_query *q, const uint8_t *block, const uint8_t *next,
	const struct sliced_plan *plan, size_t height)
{
	const uint8_t *halves = block + q->planes * (SLICED_ROWS / 8);
	const struct sliced_planes planes = {q->at, block, next};
	size_t count = height + 2, i = 0;
	word_t digits[SLICED_DIGITS_MAX];

	for (size_t d = 0; d < count; d++) digits[d] = word_repeat(plan->start[d]);
	for (; i + 16 <= q->count; i += 16) sliced_ripple(digits, 4, count, sliced_sixteens(digits, &planes, i));
	if (i + 8 <= q->count) {
		sliced_ripple(digits, 3, count, sliced_eights(digits, &planes, i));
		i += 8;
	}
	if (i < q->count) sliced_ripple(digits, 2, count, sliced_fours(digits, &planes, i));
	word_t carry = word_and(word_repeat(plan->odd), word_load(halves + height * (SLICED_ROWS / 8)));
	for (size_t d = 0; d < height; d++) carry = word_carry(carry, digits[d], word_load(halves + d * (SLICED_ROWS / 8)));
	carry = word_or(carry, digits[height]);
	carry = word_and(carry, word_xor(digits[height + 1], word_repeat(UINT64_MAX)));
	return word_xor(carry, word_repeat(plan->turn));
}

static inline __attribute__((always_inline)) size_t sliced_near(const struct sliced_query *q, const uint8_t *blocks, size_t n, uint32_t most,
	size_t height, uint64_t *ret)
{
	/* Ones: near where 2 z > |x| + |q| - most - 1, z the ones that both have. Zeros: far where 2 z + |q| - most > |x|, z the ones that x alone has. */
	int32_t rest = (int32_t)q->ones - (int32_t)most - !q->zeros, odd = rest & 1, half = (rest + (q->zeros ? -odd : odd)) / 2;
	int32_t start = q->zeros ? half : -half;
	struct sliced_plan plan = {.odd = -(uint64_t)odd, .turn = q->zeros ? 0 : UINT64_MAX};
	size_t size = sliced_block_planes(q->planes) * (SLICED_ROWS / 8);

	for (size_t d = 0; d < height + 2; d++) plan.start[d] = -(uint64_t)((uint32_t)start >> d & 1);
	for (size_t block = 0; block < n; block++, blocks += size) {
		bool any = false;
		for (size_t at = 0; at < SLICED_ROWS / 8; at += WORD_BYTES) {
			word_t far = sliced_far(q, blocks + at, blocks + size, &plan, height);
			word_store(ret + at / 8, word_xor(far, word_repeat(UINT64_MAX)));
			any |= !word_full(far);
		}
		if (any) return block;
	}
	return n;
}

static size_t SLICED_NEAR(const struct sliced_query *query, const uint8_t *blocks, size_t n, uint32_t most, uint64_t *ret)
{
	if (query->planes <= 64) return sliced_near(query, blocks, n, most, 6, ret);
	return sliced_near(query, blocks, n, most, 8, ret);
}
