/* sheet.c - one byte a pixel, or three in colour, written by libpng's simplified interface, which needs no longjmp. */
#include "client/cli/sheet.h"

#include <errno.h>
#include <png.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cursor.h"

enum { GAP = 2, QUERY_GAP = 8, BACKGROUND = 48, WIDTH_WANTED = 64 };

struct sheet {
	uint32_t columns, rows, width, height, scale;
	enum sheet_layout layout;
	uint32_t channels; /* bytes of a pixel */
	size_t wide, high; /* of the picture */
	uint8_t *pixels;
};

enum status sheet_new(uint32_t columns, uint32_t rows, uint32_t width, uint32_t height, enum sheet_layout layout,
	struct sheet **ret, struct report *report)
{
	uint32_t channels = layout == SHEET_GREY ? 1 : 3;
	uint32_t scale = width < WIDTH_WANTED ? (WIDTH_WANTED + width - 1) / width : 1;
	size_t wide, high, bytes;
	if (!size_mul(columns, (size_t)width * scale + GAP, &wide) || !size_mul(rows, (size_t)height * scale + GAP, &high) ||
		!size_add(wide, GAP + QUERY_GAP, &wide) || !size_add(high, GAP, &high) || !size_mul(wide, high, &bytes) ||
		!size_mul(bytes, channels, &bytes) ||
		bytes > SHEET_BYTES_MAX)
		return report_set(report, STATUS_LIMIT,
			"the sheet would be larger than %d MiB: take fewer queries with --limit, or fewer neighbours",
			SHEET_BYTES_MAX / 1024 / 1024);
	struct sheet *s = calloc(1, sizeof(*s));
	uint8_t *pixels = malloc(bytes);
	if (!s || !pixels) {
		free(s);
		free(pixels);
		return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	}
	memset(pixels, BACKGROUND, bytes);
	*s = (struct sheet){.columns = columns,
		.rows = rows,
		.width = width,
		.height = height,
		.scale = scale,
		.layout = layout,
		.channels = channels,
		.wide = wide,
		.high = high,
		.pixels = pixels};
	*ret = s;
	return STATUS_OK;
}

void sheet_free(struct sheet **s)
{
	if (!*s) return;
	free((*s)->pixels);
	free(*s);
	*s = NULL;
}

static uint8_t level(float v, float low, float high)
{
	if (!(high > low) || v <= low) return 0;
	return v >= high ? 255 : (uint8_t)((v - low) / (high - low) * 255 + 0.5f);
}

void sheet_put(struct sheet *s, uint32_t column, uint32_t row, const float *pixels, float low, float high)
{
	require(column < s->columns && row < s->rows);
	size_t left = GAP + column * ((size_t)s->width * s->scale + GAP) + (column ? QUERY_GAP : 0);
	size_t top = GAP + row * ((size_t)s->height * s->scale + GAP);
	for (size_t y = 0; y < (size_t)s->height * s->scale; y++) {
		uint8_t *out = s->pixels + ((top + y) * s->wide + left) * s->channels;
		for (size_t x = 0; x < (size_t)s->width * s->scale; x++) {
			size_t at = y / s->scale * s->width + x / s->scale;
			for (size_t c = 0; c < s->channels; c++)
				*out++ = level(pixels[s->layout == SHEET_PLANES ? c * s->width * s->height + at : at * s->channels + c], low, high);
		}
	}
}

enum status sheet_write(const struct sheet *s, const char *path, struct report *report)
{
	png_image image;
	memset(&image, 0, sizeof(image));
	image.version = PNG_IMAGE_VERSION;
	image.width = (png_uint_32)s->wide;
	image.height = (png_uint_32)s->high;
	image.format = s->layout == SHEET_GREY ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
	/* Not png_image_write_to_file(): after a failure that removes what stands at the path, whatever it is. */
	errno = 0;
	FILE *file = fopen(path, "wb");
	bool ok = file && png_image_write_to_stdio(&image, file, 0, s->pixels, (png_int_32)(s->wide * s->channels), NULL);
	int error = errno;
	if (file && fclose(file) != 0) {
		if (ok) error = errno;
		ok = false;
	}
	if (ok) return STATUS_OK;
	enum status status = error == ENOSPC ? STATUS_DISK_FULL : STATUS_IO;
	report_set(report, status, "cannot write %s: %s", path, error ? strerror(error) : image.message);
	png_image_free(&image);
	return status;
}
