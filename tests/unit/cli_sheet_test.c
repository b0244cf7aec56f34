/* cli_sheet_test.c - the contact sheet: where images stand, how values become grey, what is refused. Read back by libpng. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/sheet.h"

static void images_stand_in_their_cells_and_the_rest_is_dark(void **state)
{
	char path[] = "/tmp/grove-sheet-XXXXXX";
	struct sheet *s = NULL;
	struct report report = {.status = STATUS_OK};
	png_image image;
	float pixels[64 * 64];
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(sheet_new(3, 2, 64, 64, SHEET_GREY, &s, &report), STATUS_OK); /* 64 wide: drawn as large as it is */
	for (int i = 0; i < 64 * 64; i++) pixels[i] = i % 64 < 32 ? -5.0f : 15.0f;
	sheet_put(s, 0, 0, pixels, -5, 15);  /* black left, white right */
	sheet_put(s, 2, 1, pixels, -25, 35); /* greys */
	if (sheet_write(s, path, &report) != STATUS_OK) fail_msg("%s", report.text);
	memset(&image, 0, sizeof(image));
	image.version = PNG_IMAGE_VERSION;
	assert_true(png_image_begin_read_from_file(&image, path));
	image.format = PNG_FORMAT_GRAY;
	assert_int_equal(image.width, 2 + 3 * 66 + 8);
	assert_int_equal(image.height, 2 + 2 * 66);
	uint8_t *grey = malloc(PNG_IMAGE_SIZE(image));
	assert_non_null(grey);
	assert_true(png_image_finish_read(&image, NULL, grey, 0, NULL));
	size_t wide = image.width, background = grey[0];
	assert_int_equal(grey[2 * wide + 2], 0);
	assert_int_equal(grey[2 * wide + 2 + 63], 255);
	assert_int_equal(grey[2 * wide + 2 + 64], background);
	assert_int_equal(grey[(2 + 66) * wide + 2 + 2 * 66 + 8], 85);		 /* a third of the way */
	assert_int_equal(grey[(2 + 66 + 63) * wide + 2 + 2 * 66 + 8 + 63], 170); /* two thirds */
	assert_int_equal(grey[2 * wide + 2 + 66 + 8 + 10], background);		 /* nothing was put there */
	free(grey);
	sheet_free(&s);
	assert_null(s);
	unlink(path);
}

static void small_images_are_drawn_larger_by_a_whole_factor(void **state)
{
	char path[] = "/tmp/grove-sheet-XXXXXX";
	struct sheet *s = NULL;
	struct report report;
	png_image image;
	const float pixels[4] = {0, 1, 1, 0};
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(sheet_new(1, 1, 2, 2, SHEET_GREY, &s, &report), STATUS_OK);
	sheet_put(s, 0, 0, pixels, 0, 1);
	assert_int_equal(sheet_write(s, path, &report), STATUS_OK);
	memset(&image, 0, sizeof(image));
	image.version = PNG_IMAGE_VERSION;
	assert_true(png_image_begin_read_from_file(&image, path));
	assert_int_equal(image.width, 2 + 66 + 8);
	assert_int_equal(image.height, 2 + 66);
	png_image_free(&image);
	sheet_free(&s);
	unlink(path);
}

/* The same two pixels, red and dark blue, in both orders of their values. */
static void colours_stand_side_by_side_or_apart(void **state)
{
	static const float side_by_side[6] = {255, 0, 0, 0, 0, 128}, apart[6] = {255, 0, /**/ 0, 0, /**/ 0, 128};

	for (int planes = 0; planes < 2; planes++) {
		char path[] = "/tmp/grove-sheet-XXXXXX";
		struct sheet *s = NULL;
		struct report report = {.status = STATUS_OK};
		png_image image;
		int fd = mkstemp(path);
		assert_true(fd >= 0);
		close(fd);
		assert_int_equal(sheet_new(1, 1, 2, 1, planes ? SHEET_PLANES : SHEET_RGB, &s, &report), STATUS_OK);
		sheet_put(s, 0, 0, planes ? apart : side_by_side, 0, 255);
		if (sheet_write(s, path, &report) != STATUS_OK) fail_msg("%s", report.text);
		memset(&image, 0, sizeof(image));
		image.version = PNG_IMAGE_VERSION;
		assert_true(png_image_begin_read_from_file(&image, path));
		assert_int_equal(image.format & PNG_FORMAT_FLAG_COLOR, PNG_FORMAT_FLAG_COLOR);
		image.format = PNG_FORMAT_RGB;
		uint8_t *rgb = malloc(PNG_IMAGE_SIZE(image));
		assert_non_null(rgb);
		assert_true(png_image_finish_read(&image, NULL, rgb, 0, NULL));
		size_t line = (size_t)image.width * 3;
		const uint8_t *left = rgb + 2 * line + 2 * 3, *right = left + 63 * 3;
		static const uint8_t red[3] = {255, 0, 0}, blue[3] = {0, 0, 128};
		assert_memory_equal(left, red, 3);
		assert_memory_equal(right, blue, 3);
		free(rgb);
		sheet_free(&s);
		unlink(path);
	}
}

static void equal_values_are_black_and_not_a_division_by_zero(void **state)
{
	struct sheet *s = NULL;
	struct report report;
	const float pixels[1] = {7};
	assert_int_equal(sheet_new(1, 1, 1, 1, SHEET_GREY, &s, &report), STATUS_OK);
	sheet_put(s, 0, 0, pixels, 7, 7);
	sheet_free(&s);
	sheet_free(&s); /* twice is fine */
}

static void sheets_past_the_limit_and_files_that_cannot_be_written_are_refused(void **state)
{
	struct sheet *s = NULL;
	struct report report = {.status = STATUS_OK};
	assert_int_equal(sheet_new(101, 200, 65536, 1, SHEET_GREY, &s, &report), STATUS_LIMIT);
	assert_int_equal(sheet_new(UINT32_MAX, UINT32_MAX, 65536, 65536, SHEET_GREY, &s, &report), STATUS_LIMIT);
	assert_non_null(strstr(report.text, "--limit"));
	assert_null(s);
	assert_int_equal(sheet_new(1, 1, 28, 28, SHEET_GREY, &s, &report), STATUS_OK);
	assert_int_equal(sheet_write(s, "/nonexistent/out.png", &report), STATUS_IO);
	assert_non_null(strstr(report.text, "/nonexistent/out.png"));
	assert_int_equal(sheet_write(s, "/dev/full", &report), STATUS_DISK_FULL);
	assert_int_equal(access("/dev/full", W_OK), 0); /* what could not be written is not removed */
	sheet_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(images_stand_in_their_cells_and_the_rest_is_dark),
		cmocka_unit_test(small_images_are_drawn_larger_by_a_whole_factor),
		cmocka_unit_test(colours_stand_side_by_side_or_apart),
		cmocka_unit_test(equal_values_are_black_and_not_a_division_by_zero),
		cmocka_unit_test(sheets_past_the_limit_and_files_that_cannot_be_written_are_refused),
	};
	return cmocka_run_group_tests_name("cli_sheet", tests, NULL, NULL);
}
