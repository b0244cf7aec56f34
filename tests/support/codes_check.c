/* codes_check.c - random rows, rows of the least and greatest values mixed, and of nothing else. */
#include "tests/support/codes_check.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/check.h"
#include "common/code_kernels.h"
#include "common/prng.h"

enum { MOST_ROWS = 40, LONG_ROWS = 9, LONGEST = 65536, FARTHEST_SHIFT = 33 };

/* Memory whose last byte is the last before a page without rights. */
struct edge { uint8_t *start, *end; size_t mapped; };

static struct edge edge_make(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), usable = (bytes + page - 1) / page * page;
	uint8_t *start = mmap(NULL, usable + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	require(start != MAP_FAILED);
	require(mprotect(start + usable, page, PROT_NONE) == 0);
	return (struct edge){start, start + usable, usable + page};
}

static void edge_free(struct edge *e) { require(munmap(e->start, e->mapped) == 0); }

/* A set on trial, and what it is given: `n` rows of `stride` bytes. */
struct trial {
	const struct code_kernels *set;
	struct prng prng;
	struct edge rows, query, which, plain, fast;
	size_t stride, n;
};

static void trial_init(struct trial *t, const struct code_kernels *set, uint64_t seed, size_t longest, size_t rows)
{
	size_t answers = 4 * (rows + 1); /* one more, that has to stay as it is */

	*t = (struct trial){.set = set};
	prng_seed(&t->prng, seed);
	t->rows = edge_make(longest * rows + FARTHEST_SHIFT);
	t->query = edge_make(longest + FARTHEST_SHIFT);
	t->which = edge_make(4 * rows);
	t->plain = edge_make(answers);
	t->fast = edge_make(answers);
}

static void trial_release(struct trial *t)
{
	edge_free(&t->rows);
	edge_free(&t->query);
	edge_free(&t->which);
	edge_free(&t->plain);
	edge_free(&t->fast);
}

enum fill { FILL_RANDOM, FILL_EXTREMES, FILL_MOST, FILL_LEAST, FILLS };

static void fill(struct prng *p, uint8_t *bytes, size_t n, int least, int most, enum fill how)
{
	for (size_t i = 0; i < n; i++) {
		int value = how == FILL_LEAST || (how == FILL_EXTREMES && prng_below(p, 2)) ? least : most;
		if (how == FILL_RANDOM) value = least + (int)prng_below(p, (uint32_t)(most - least + 1));
		bytes[i] = (uint8_t)value;
	}
}

/* Where n answers end at the edge; the word before them is the same in both. */
static uint32_t *answers(struct edge *e, size_t n)
{
	uint32_t *ret = (uint32_t *)(void *)e->end - n;

	ret[-1] = 0x5eed5eed;
	return ret;
}

static bool same(struct trial *t, const char *kernel, const uint32_t *plain, const uint32_t *fast, const char *how)
{
	if (!memcmp(plain - 1, fast - 1, 4 * (t->n + 1))) return true;
	size_t row = 0;
	while (row < t->n && plain[row] == fast[row]) row++;
	if (row == t->n)
		fprintf(stderr, "%s of %s writes before its first answer\n", kernel, t->set->name);
	else
		fprintf(stderr, "%s of %s, %zu rows of %zu bytes%s: answer %zu is %u, not %u\n", kernel, t->set->name, t->n, t->stride, how, row,
			(unsigned)fast[row], (unsigned)plain[row]);
	return false;
}

/* Any rows, some of them twice running, the last one surely among them. */
static const uint32_t *some_rows(struct trial *t)
{
	uint32_t *which = (uint32_t *)(void *)t->which.end - t->n;

	for (size_t i = 0; i < t->n; i++) which[i] = i > 0 && !prng_below(&t->prng, 4) ? which[i - 1] : prng_below(&t->prng, (uint32_t)t->n);
	if (t->n > 0) which[prng_below(&t->prng, (uint32_t)t->n)] = (uint32_t)t->n - 1;
	return which;
}

static bool kernels_agree(struct trial *t, enum fill query_fill, enum fill row_fill)
{
	const struct code_kernels *plain_set = &code_kernels_scalar, *set = t->set;
	uint8_t *query = t->query.end - t->stride, *rows = t->rows.end - t->n * t->stride;
	uint32_t *plain = answers(&t->plain, t->n), *fast = answers(&t->fast, t->n);
	size_t stride = t->stride, n = t->n;
	bool agree = true;

	fill(&t->prng, rows, n * stride, 0, CODE_MAX, row_fill);
	for (int gathered = 0; gathered < 2 && agree; gathered++) {
		const uint32_t *which = gathered ? some_rows(t) : NULL;
		const char *how = gathered ? ", gathered" : "";
		fill(&t->prng, query, stride, 0, CODE_MAX, query_fill);
		plain_set->l2(query, rows, stride, which, n, plain);
		set->l2(query, rows, stride, which, n, fast);
		agree = same(t, "l2", plain, fast, how);
		plain_set->l1(query, rows, stride, which, n, plain);
		set->l1(query, rows, stride, which, n, fast);
		agree = same(t, "l1", plain, fast, how) && agree;
		fill(&t->prng, query, stride, -CODE_MAX, CODE_MAX, query_fill);
		plain_set->dot((const int8_t *)query, rows, stride, which, n, (int32_t *)plain);
		set->dot((const int8_t *)query, rows, stride, which, n, (int32_t *)fast);
		agree = same(t, "dot", plain, fast, how) && agree;
	}
	return agree;
}

bool codes_check_rows(const struct code_kernels *set, uint64_t seed)
{
	struct trial t;
	bool agree = true;

	trial_init(&t, set, seed, 1024, MOST_ROWS);
	for (t.stride = CODE_ALIGN; t.stride <= 1024 && agree; t.stride += CODE_ALIGN)
		for (t.n = 0; t.n <= MOST_ROWS && agree; t.n++) agree = kernels_agree(&t, FILL_RANDOM, t.n % 3 ? FILL_RANDOM : FILL_EXTREMES);
	trial_release(&t);
	return agree;
}

bool codes_check_long_rows(const struct code_kernels *set, uint64_t seed)
{
	static const size_t strides[] = {4096, 10048, 32768, LONGEST};
	struct trial t;
	bool agree = true;

	trial_init(&t, set, seed, LONGEST, LONG_ROWS);
	for (size_t s = 0; s < sizeof(strides) / sizeof(strides[0]) && agree; s++) {
		t.stride = strides[s];
		for (t.n = LONG_ROWS - 4; t.n <= LONG_ROWS && agree; t.n += 4)
			for (int how = 0; how < FILLS * FILLS && agree; how++) agree = kernels_agree(&t, how / FILLS, how % FILLS);
	}
	trial_release(&t);
	return agree;
}

static bool bits_agree(struct trial *t, size_t shift, enum fill how)
{
	uint8_t *query = t->query.end - t->stride - shift, *rows = t->rows.end - t->n * t->stride - shift;
	uint32_t *plain = answers(&t->plain, t->n), *fast = answers(&t->fast, t->n);

	fill(&t->prng, query, t->stride, 0, 255, how == FILL_LEAST ? FILL_MOST : FILL_RANDOM);
	fill(&t->prng, rows, t->n * t->stride, 0, 255, how);
	code_kernels_scalar.bits(query, rows, t->stride, t->n, plain);
	t->set->bits(query, rows, t->stride, t->n, fast);
	return same(t, "bits", plain, fast, "");
}

bool codes_check_bits(const struct code_kernels *set, uint64_t seed)
{
	static const size_t shifts[] = {0, 1, 4, 8, FARTHEST_SHIFT};
	struct trial t;
	bool agree = true;

	trial_init(&t, set, seed, 1024, MOST_ROWS);
	for (t.stride = 8; t.stride <= 1024 && agree; t.stride += t.stride < 288 ? 8 : 184)
		for (t.n = 0; t.n <= MOST_ROWS && agree; t.n++)
			for (size_t s = 0; s < sizeof(shifts) / sizeof(shifts[0]) && agree; s++)
				agree = bits_agree(&t, shifts[s], (t.n + s) % 5 ? FILL_RANDOM : FILL_LEAST);
	trial_release(&t);
	trial_init(&t, set, seed, LONGEST, LONG_ROWS);
	t.stride = LONGEST;
	for (t.n = 1; t.n <= LONG_ROWS && agree; t.n++) agree = bits_agree(&t, t.n % 2, t.n % 3 ? FILL_RANDOM : FILL_LEAST);
	trial_release(&t);
	return agree;
}

enum { MOST_BLOCKS = 3, MOST_WORDS = SLICED_DIM_MAX / 64, BLOCK_WORDS = SLICED_ROWS / 64 };

/* Blocks of `planes`, the rows of which they are made, and a query; the rows' bits are set where a random number below 256 is less than `often`. */
struct sliced_trial {
	size_t planes, blocks;
	uint64_t rows[MOST_BLOCKS * SLICED_ROWS][MOST_WORDS], query[MOST_WORDS];
	struct sliced_lead lead;
	struct sliced_head heads[MOST_BLOCKS];
	struct sliced_query sliced;
	int32_t apart[MOST_BLOCKS * SLICED_ROWS], least[MOST_BLOCKS * SLICED_ROWS]; /* bits in which rows differ, and in which at least by what is asked of them */
};

static bool bit_of(const uint64_t *row, size_t b) { return row[b / 64] >> b % 64 & 1; }

static void choose_lead(struct sliced_trial *s, struct prng *p)
{
	uint32_t wanted = prng_below(p, SLICED_LEAD_MAX + 1), step = (uint32_t)s->planes / SLICED_LEAD_MAX;

	s->lead.count = 0;
	for (; s->lead.count < wanted; s->lead.count++) s->lead.bits[s->lead.count] = (uint16_t)(s->lead.count * step + prng_below(p, step));
}

/* Every other block's says less than it could. */
static struct sliced_head head_of(const struct sliced_trial *s, size_t block, struct prng *p)
{
	struct sliced_head head = {.all = UINT32_MAX, .least = UINT16_MAX};

	for (size_t r = block * SLICED_ROWS; r < (block + 1) * SLICED_ROWS; r++) {
		uint32_t lead = 0, ones = 0;
		for (size_t b = 0; b < s->planes; b++) ones += bit_of(s->rows[r], b);
		for (uint32_t i = 0; i < s->lead.count; i++) lead |= (uint32_t)bit_of(s->rows[r], s->lead.bits[i]) << i;
		for (uint32_t i = 0; i < s->lead.count; i++) ones -= lead >> i & 1;
		head.all &= lead;
		head.any |= lead;
		if (ones < head.least) head.least = (uint16_t)ones;
		if (ones > head.most) head.most = (uint16_t)ones;
	}
	if (block % 2) {
		head.all &= (uint32_t)prng_u64(p);
		head.any |= (uint32_t)prng_u64(p) & ((1u << s->lead.count) - 1);
		head.least = (uint16_t)prng_below(p, head.least + 1u);
		head.most = (uint16_t)(head.most + prng_below(p, 9));
	}
	return head;
}

static void slice(struct sliced_trial *s, struct prng *p, uint32_t often, uint8_t *to)
{
	memset(to, 0, s->blocks * sliced_block_bytes(s->planes));
	uint32_t eighths = prng_below(p, 9); /* of the query's bits are ones */
	memset(s->rows, 0, sizeof(s->rows));
	memset(s->query, 0, sizeof(s->query));
	for (size_t b = 0; b < s->planes; b++) {
		uint64_t bit = prng_below(p, 8) < eighths;
		s->query[b / 64] |= bit << b % 64;
		for (size_t r = 0; r < s->blocks * SLICED_ROWS; r++) {
			uint64_t differs = prng_below(p, 256) < often;
			s->rows[r][b / 64] |= (bit ^ differs) << b % 64;
			size_t in_block = r % SLICED_ROWS;
			to[r / SLICED_ROWS * sliced_block_bytes(s->planes) + sliced_plane_at(b) + in_block / 8] |= (uint8_t)((bit ^ differs) << in_block % 8);
		}
	}
	choose_lead(s, p);
	for (size_t block = 0; block < s->blocks; block++) {
		s->heads[block] = head_of(s, block, p);
		memcpy(to + block * sliced_block_bytes(s->planes), &s->heads[block], sizeof(s->heads[block]));
	}
}

/* The least number of bits in which a row may differ that has what its head tells, and differs from the query where the query's planes show it. */
static int32_t least_apart(const struct sliced_trial *s, const struct sliced_head *head, const uint64_t *row)
{
	bool lead[SLICED_DIM_MAX] = {false};
	int32_t apart = 0, rest = 0, alone = 0;

	for (uint32_t i = 0; i < s->lead.count; i++) {
		bool bit = bit_of(s->query, s->lead.bits[i]);
		lead[s->lead.bits[i]] = true;
		apart += bit ? !(head->any >> i & 1) : head->all >> i & 1;
	}
	for (size_t b = 0; b < s->planes; b++) {
		if (lead[b]) continue;
		rest += bit_of(s->query, b);
		alone += bit_of(s->query, b) != s->sliced.zeros && bit_of(row, b) == s->sliced.zeros;
	}
	return apart + (s->sliced.zeros ? rest - head->most : head->least - rest) + 2 * alone;
}

static void ask(struct sliced_trial *s)
{
	sliced_query_init(&s->sliced, (const uint8_t *)s->query, s->planes, &s->lead);
	for (size_t r = 0; r < s->blocks * SLICED_ROWS; r++) {
		s->apart[r] = 0;
		for (size_t w = 0; w < MOST_WORDS; w++) s->apart[r] += __builtin_popcountll(s->query[w] ^ s->rows[r][w]);
		s->least[r] = least_apart(s, &s->heads[r / SLICED_ROWS], s->rows[r]);
		require(s->least[r] <= s->apart[r]);
	}
}

/* What `near` should say, from the rows. */
static size_t first_near(const struct sliced_trial *s, int32_t most, uint64_t *ret)
{
	for (size_t block = 0; block < s->blocks; block++) {
		bool any = false;
		memset(ret, 0, BLOCK_WORDS * sizeof(*ret));
		for (size_t r = 0; r < SLICED_ROWS; r++) {
			bool near = s->least[block * SLICED_ROWS + r] <= most;
			ret[r / 64] |= (uint64_t)near << r % 64;
			any |= near;
		}
		if (any) return block;
	}
	return s->blocks;
}

bool codes_check_sliced(const struct code_kernels *set, uint64_t seed)
{
	static const uint32_t often[] = {0, 20, 128, 230, 256};
	static struct sliced_trial s;
	struct edge bytes = edge_make(MOST_BLOCKS * sliced_block_bytes(SLICED_DIM_MAX));
	struct prng p;
	bool agree = true;

	prng_seed(&p, seed);
	for (s.planes = SLICED_STEP; s.planes <= SLICED_DIM_MAX; s.planes += SLICED_STEP)
		for (s.blocks = 0; s.blocks <= MOST_BLOCKS; s.blocks += 1 + s.blocks) {
			uint8_t *blocks = bytes.end - s.blocks * sliced_block_bytes(s.planes);
			slice(&s, &p, often[(s.planes / SLICED_STEP + s.blocks) % 5], blocks);
			ask(&s);
			for (uint32_t most = 0; most < s.planes && agree; most++) {
				uint64_t plain[BLOCK_WORDS], fast[BLOCK_WORDS + 1];
				fast[BLOCK_WORDS] = 0x5eed5eed;
				size_t wanted = first_near(&s, (int32_t)most, plain), found = set->near(&s.sliced, blocks, s.blocks, most, fast);
				agree = wanted == found && fast[BLOCK_WORDS] == 0x5eed5eed && (wanted == s.blocks || !memcmp(plain, fast, sizeof(plain)));
				if (!agree) fprintf(stderr, "near of %s, %zu blocks of %zu planes, at most %u: block %zu, not %zu, or other rows of it\n", set->name,
					s.blocks, s.planes, (unsigned)most, found, wanted);
			}
		}
	edge_free(&bytes);
	return agree;
}
