/* sheet.h - a grid of small images, grey or in colour, as one PNG file; the only module that sees png.h.
 *
 * Rows are queries: the first column is the query, set apart by a wider gap, the others its neighbours. Small images are drawn
 * larger by a whole factor. Cells that nothing was put into stay dark. One owner. */
#ifndef CLIENT_CLI_SHEET_H
#define CLIENT_CLI_SHEET_H

#include <stdint.h>

#include "common/status.h"

struct sheet;
/* How an image's values stand: a grey one's row by row; red, green and blue of each pixel side by side; or all red ones, then all
 * green ones, then all blue ones, as in CIFAR-10's files. */
enum sheet_layout { SHEET_GREY, SHEET_RGB, SHEET_PLANES };
enum { SHEET_BYTES_MAX = 256 * 1024 * 1024 };
/* STATUS_LIMIT: the picture would have more than SHEET_BYTES_MAX bytes. */
MUST_CHECK enum status sheet_new(
	uint32_t columns, uint32_t rows, uint32_t width, uint32_t height, enum sheet_layout layout, struct sheet **ret, struct report *report);
void sheet_free(struct sheet **s);
/* width x height pixels in the sheet's layout; low is drawn black, high white, what is beyond is cut. */
void sheet_put(struct sheet *s, uint32_t column, uint32_t row, const float *pixels, float low, float high);
MUST_CHECK enum status sheet_write(const struct sheet *s, const char *path, struct report *report);

#endif
