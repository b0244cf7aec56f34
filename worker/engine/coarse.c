/* coarse.c - see coarse.h. */
#include "worker/engine/coarse.h"

#include <math.h>
#include <stdlib.h>

#include "worker/engine/knn.h"

enum { GROUP = 8, SAMPLE_ROWS = 1024, PIECE_ROWS = 2048 };
_Static_assert((int)CODE_ALIGN == (int)COARSE_STRIDE, "no row of codes has fewer coordinates");

/* Variances are below 2^18, that of half the rows at GROUP * CODE_MAX. */
static const double VARIANCE_UNIT = 4096;

/* The root of the mean variance of what is kept, in steps. More steps clamp more, of fewer the allowance takes more: between 19 and 34 is least
 * for pixels, gradients and vectors of words alike. */
static const double SPREAD = 24;

/* A coordinate that is kept: which of which group, and where its 0 is. */
struct kept { uint32_t at; int32_t low; };

struct coarse {
	struct codes codes; /* that it was made of */
	uint32_t n, step;
	uint64_t reciprocal; /* 2^32 / step, rounded up */
	struct kept kept[COARSE_STRIDE]; /* ascending */
	uint8_t *rows; /* [n x COARSE_STRIDE] */
};

/* Walsh-Hadamard of eight codes: three stages of sums and differences; each coordinate is larger than in a rotation by the root of eight. */
static inline void transform(const uint8_t *codes, int32_t ret[GROUP])
{
	int32_t a[GROUP], b[GROUP];

	for (int i = 0; i < 4; i++) {
		a[i] = codes[2 * i] + codes[2 * i + 1];
		a[i + 4] = codes[2 * i] - codes[2 * i + 1];
	}
	for (int h = 0; h < GROUP; h += 4)
		for (int i = 0; i < 2; i++) {
			b[h + i] = a[h + 2 * i] + a[h + 2 * i + 1];
			b[h + i + 2] = a[h + 2 * i] - a[h + 2 * i + 1];
		}
	for (int i = 0; i < 4; i++) {
		ret[i] = b[2 * i] + b[2 * i + 1];
		ret[i + 4] = b[2 * i] - b[2 * i + 1];
	}
}

/* ---- what is kept ---- */

struct spread { double variance, mean; };

/* Of each coordinate over a sample of rows. */
static void find_spreads(const struct codes *codes, uint32_t n, struct spread *ret)
{
	uint32_t sample = n < SAMPLE_ROWS ? n : SAMPLE_ROWS;

	for (uint32_t at = 0; at < codes->stride; at += GROUP) {
		int64_t sums[GROUP] = {0}, squares[GROUP] = {0};
		for (uint32_t i = 0; i < sample; i++) {
			int32_t of[GROUP];
			transform(codes->base + (uint64_t)n * i / sample * codes->stride + at, of);
			for (int j = 0; j < GROUP; j++) {
				sums[j] += of[j];
				squares[j] += (int64_t)of[j] * of[j];
			}
		}
		for (uint32_t j = 0; j < GROUP; j++) {
			double mean = (double)sums[j] / sample;
			ret[at + j] = (struct spread){(double)squares[j] / sample - mean * mean, mean};
		}
	}
}

/* Those that vary most, in their order: keys[stride] is memory for it. */
static void choose(struct coarse *c, const struct spread *spreads, knn_key *keys)
{
	double variance = 0;

	for (uint32_t at = 0; at < c->codes.stride; at++) keys[at] = knn_key_of(UINT32_MAX - (uint32_t)(fmax(spreads[at].variance, 0) * VARIANCE_UNIT), at);
	(void)knn_select(keys, c->codes.stride, COARSE_STRIDE);
	for (uint32_t i = 0; i < COARSE_STRIDE; i++) {
		keys[i] = knn_row(keys[i]);
		variance += spreads[keys[i]].variance;
	}
	knn_sort(keys, COARSE_STRIDE);
	double step = round(sqrt(variance / COARSE_STRIDE) / SPREAD);
	c->step = step >= 1 ? (uint32_t)step : 1;
	c->reciprocal = ((UINT64_C(1) << 32) + c->step - 1) / c->step;
	for (uint32_t i = 0; i < COARSE_STRIDE; i++)
		c->kept[i] = (struct kept){(uint32_t)keys[i], (int32_t)floor(spreads[keys[i]].mean) - (int32_t)c->step * (CODE_MAX + 1) / 2};
}

/* ---- rows ---- */

void coarse_encode(const struct coarse *c, const uint8_t *code, uint8_t *out)
{
	int32_t of[GROUP], most = (int32_t)c->step * (CODE_MAX + 1) - 1;
	uint32_t group = UINT32_MAX;

	for (uint32_t i = 0; i < COARSE_STRIDE; i++) {
		if (c->kept[i].at / GROUP != group) {
			group = c->kept[i].at / GROUP;
			transform(code + (size_t)group * GROUP, of);
		}
		int32_t above = of[c->kept[i].at % GROUP] - c->kept[i].low;
		above = above < 0 ? 0 : above > most ? most : above;
		out[i] = (uint8_t)((uint64_t)above * c->reciprocal >> 32);
	}
}

static void encode_piece(void *arg, size_t piece)
{
	const struct coarse *c = arg;
	uint32_t first = (uint32_t)piece * PIECE_ROWS, end = c->n - first < PIECE_ROWS ? c->n : first + PIECE_ROWS;

	for (uint32_t i = first; i < end; i++) coarse_encode(c, c->codes.base + (size_t)i * c->codes.stride, c->rows + (size_t)i * COARSE_STRIDE);
}

enum status coarse_new(const struct codes *codes, uint32_t n, struct runner *runner, struct coarse **ret)
{
	struct spread *spreads = malloc(codes->stride * sizeof(*spreads));
	knn_key *keys = malloc(codes->stride * sizeof(*keys));
	struct coarse *c = calloc(1, sizeof(*c));
	enum status status = STATUS_NO_MEMORY;

	if (c) *c = (struct coarse){.codes = *codes, .n = n, .rows = aligned_alloc(CODE_ALIGN, (size_t)n * COARSE_STRIDE)};
	if (c && c->rows && spreads && keys) {
		find_spreads(codes, n, spreads);
		choose(c, spreads, keys);
		runner->run(runner, ((size_t)n + PIECE_ROWS - 1) / PIECE_ROWS, encode_piece, c);
		status = STATUS_OK;
		*ret = c;
		c = NULL;
	}
	free(spreads);
	free(keys);
	coarse_free(&c);
	return status;
}

void coarse_free(struct coarse **coarse)
{
	struct coarse *c = *coarse;

	if (!c) return;
	free(c->rows);
	free(c);
	*coarse = NULL;
}

struct codes coarse_codes(const struct coarse *c) { return (struct codes){METRIC_EUCLIDEAN, COARSE_STRIDE, c->rows}; }

/* A coordinate differs by at most (|y - z| + step - 1) / step here where it differs by |y - z| there: two integers divided and rounded down. The lengths
 * of the two terms, over all coordinates, add up at most. */
uint32_t coarse_most(const struct coarse *c, uint32_t apart)
{
	double far = (sqrt((double)GROUP * apart) + (c->step - 1) * sqrt(COARSE_STRIDE)) / c->step, most = far * far + 1;

	return most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
}
