/* coarse.h - 64 bytes for each row of codes, that say how far apart two rows are at least: most of a scan need not read more. For codes whose
 * distance is of squares (quant_apart but for manhattan).
 *
 * A lower bound by an orthogonal transform of which the coordinates that vary most are kept. Walsh-Hadamard in groups of eight adjacent components takes
 * additions only; its sums tell most where neighbours are alike (pixels, bins of a histogram), and where they are not it does no harm. A transform keeps
 * distances; leaving coordinates out and clamping them only shortens them; dividing them into steps changes each by less than one, which coarse_most()
 * allows for. */
#ifndef ENGINE_COARSE_H
#define ENGINE_COARSE_H

#include "worker/engine/quant.h"

enum { COARSE_STRIDE = 64 };

struct coarse;

/* Of n rows, at least 1, the same for any number of threads. STATUS_NO_MEMORY. */
MUST_CHECK enum status coarse_new(const struct codes *codes, uint32_t n, struct runner *runner, struct coarse **ret);
void coarse_free(struct coarse **c);
/* The rows, as codes of which quant_apart() says how far they are. */
struct codes coarse_codes(const struct coarse *c);
/* Another row; out holds COARSE_STRIDE bytes. */
void coarse_encode(const struct coarse *c, const uint8_t *code, uint8_t *out);
/* How far two rows may be here that are at most `apart` by quant_apart(). */
uint32_t coarse_most(const struct coarse *c, uint32_t apart);

#endif
