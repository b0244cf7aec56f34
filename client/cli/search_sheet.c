/* search_sheet.c - what a search found, as pictures: ids are kept while answers come, vectors are fetched at the end. */
#include "client/cli/search_sheet.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/output.h"
#include "client/cli/sheet.h"
#include "common/cursor.h"
#include "common/limits.h"
#include "common/vec.h"

enum { GET_BYTES = 4 * 1024 * 1024 };

/* One image: the item it shows (a query by vector has none), its place, its pixels once they are known. */
struct cell {
	uint64_t id;
	bool by_id, known;
};

struct shape { uint32_t width, height; enum sheet_layout layout; };

struct search_sheet {
	struct session *session;
	const struct query_set *queries;
	const char *path;
	const grove_index *index;
	struct shape shape;
	uint32_t k, dim, rows; /* rows: queries added so far */
	struct cell *cells;		      /* (1 + k) for each query */
	float *pixels;			      /* dim for each cell */
};

/* WIDTHxHEIGHT, WIDTHxHEIGHTx3 or 3xWIDTHxHEIGHT. */
static bool shape_parse(const char *text, struct shape *ret)
{
	uint64_t sizes[3];
	char part[16];
	size_t n = 0;

	for (const char *end;; text = end + 1) {
		end = strchr(text, 'x');
		size_t length = end ? (size_t)(end - text) : strlen(text);
		if (n == 3 || length >= sizeof(part)) return false;
		memcpy(part, text, length);
		part[length] = 0;
		if (!text_u64(part, &sizes[n]) || sizes[n] == 0 || sizes[n] > DIM_MAX) return false;
		n++;
		if (!end) break;
	}
	bool planes = n == 3 && sizes[0] == 3;
	if (n < 2 || (n == 3 && !planes && sizes[2] != 3)) return false;
	*ret = (struct shape){(uint32_t)sizes[planes], (uint32_t)sizes[planes + 1], n == 2 ? SHEET_GREY : planes ? SHEET_PLANES : SHEET_RGB};
	return true;
}

int search_sheet_open(const struct arguments *a, struct session *session, const grove_index *index,
	const struct query_set *queries, uint32_t k, struct search_sheet **ret)
{
	struct shape shape;
	if (!shape_parse(arguments_text(a, "shape"), &shape))
		return usage_error(a->command, "--shape is WIDTHxHEIGHT, like 28x28; in colour 32x32x3, or 3x32x32 where the colours stand apart: not '%s'",
			arguments_text(a, "shape"));
	uint64_t values = (uint64_t)shape.width * shape.height * (shape.layout == SHEET_GREY ? 1 : 3);
	if (values != index->dim)
		return usage_error(a->command, "an image of %s has %" PRIu64 " values, but the index has %" PRIu32 " dimensions",
			arguments_text(a, "shape"), values, index->dim);
	if (queries->count > SHEET_QUERIES_MAX || k > SHEET_NEIGHBOURS_MAX)
		return usage_error(a->command, "a sheet has at most %d queries and %d neighbours: use --limit and -k",
			SHEET_QUERIES_MAX, SHEET_NEIGHBOURS_MAX);
	struct search_sheet *s = calloc(1, sizeof(*s));
	size_t cells = (size_t)queries->count * (1 + k);
	if (s) {
		*s = (struct search_sheet){.session = session,
			.queries = queries,
			.path = arguments_text(a, "sheet"),
			.index = index,
			.k = k,
			.shape = shape,
			.dim = index->dim};
		s->cells = calloc(cells, sizeof(*s->cells));
		s->pixels = calloc(cells * index->dim, sizeof(*s->pixels));
	}
	if (!s || !s->cells || !s->pixels) {
		search_sheet_free(&s);
		output_message("out of memory for the sheet: take fewer queries with --limit");
		return EXIT_FAILED;
	}
	*ret = s;
	return EXIT_OK;
}

void search_sheet_free(struct search_sheet **s)
{
	if (!*s) return;
	free((*s)->cells);
	free((*s)->pixels);
	free(*s);
	*s = NULL;
}

/* A row of any element type as floats. */
static void pixels_from(uint32_t dtype, const uint8_t *row, uint32_t dim, float *out)
{
	for (uint32_t i = 0; i < dim; i++)
		out[i] = dtype == GROVE_BITS ? (float)((row[i / 8] >> (i % 8)) & 1)
			 : dtype == GROVE_U8 ? (float)row[i]
					     : load_f32(row + (size_t)i * 4);
}

enum status search_sheet_add(struct search_sheet *s, const grove_hits *hits, uint32_t q)
{
	uint64_t first = hits->offsets[q], n = hits->offsets[q + 1] - first;
	if (s->rows == s->queries->count || n > s->k) return STATUS_LIMIT;
	size_t cell = (size_t)s->rows * (1 + s->k);
	if (s->queries->ids) {
		s->cells[cell] = (struct cell){.id = s->queries->ids[s->rows], .by_id = true};
	} else {
		size_t row_bytes = dtype_row_bytes((enum dtype)s->queries->dtype, s->dim);
		pixels_from(s->queries->dtype, s->queries->rows + s->rows * row_bytes, s->dim, s->pixels + cell * s->dim);
		s->cells[cell].known = true;
	}
	for (uint64_t i = 0; i < n; i++) s->cells[cell + 1 + i] = (struct cell){.id = hits->ids[first + i], .by_id = true};
	s->rows++;
	return STATUS_OK;
}

/* The vectors of cells that are known by id, as many at once as GET_BYTES hold. */
static int sheet_fetch(struct search_sheet *s)
{
	size_t total = (size_t)s->rows * (1 + s->k), at = 0;
	uint32_t batch = GET_BYTES / (s->dim * 4) + 1;
	uint64_t *ids = calloc(batch, sizeof(*ids));
	size_t *places = calloc(batch, sizeof(*places));
	int exit_code = ids && places ? EXIT_OK : EXIT_FAILED;
	if (exit_code != EXIT_OK) output_message("out of memory for the sheet");
	while (at < total && exit_code == EXIT_OK) {
		grove_reply *reply = NULL;
		uint32_t n = 0;
		for (; at < total && n < batch; at++) {
			if (!s->cells[at].by_id) continue;
			ids[n] = s->cells[at].id;
			places[n++] = at;
		}
		if (n == 0) break;
		int code = grove_get(s->session->client, s->index->name, ids, n, &reply);
		if (code != GROVE_OK) exit_code = session_fail(s->session, code);
		for (uint32_t i = 0; code == GROVE_OK && reply->rows.dim == s->dim && i < n; i++) {
			const uint8_t *row =
				(const uint8_t *)reply->rows.vectors + i * dtype_row_bytes((enum dtype)reply->rows.dtype, s->dim);
			if (!reply->rows.found[i]) continue; /* deleted since it was found: its cell stays dark */
			pixels_from(reply->rows.dtype, row, s->dim, s->pixels + places[i] * s->dim);
			s->cells[places[i]].known = true;
		}
		grove_reply_free(&reply);
	}
	free(ids);
	free(places);
	return exit_code;
}

/* The darkest and the brightest value of all images, so that they can be compared. */
static void sheet_range(const struct search_sheet *s, float *ret_low, float *ret_high)
{
	float low = INFINITY, high = -INFINITY;
	for (size_t c = 0; c < (size_t)s->rows * (1 + s->k); c++) {
		for (uint32_t i = 0; s->cells[c].known && i < s->dim; i++) {
			float v = s->pixels[c * s->dim + i];
			low = v < low ? v : low;
			high = v > high ? v : high;
		}
	}
	*ret_low = low;
	*ret_high = high;
}

int search_sheet_write(struct search_sheet *s)
{
	struct report report = {.status = STATUS_OK};
	struct sheet *sheet = NULL;
	float low, high;
	int exit_code = sheet_fetch(s);
	if (exit_code != EXIT_OK) return exit_code;
	sheet_range(s, &low, &high);
	enum status status = sheet_new(1 + s->k, s->rows, s->shape.width, s->shape.height, s->shape.layout, &sheet, &report);
	for (size_t c = 0; status == STATUS_OK && c < (size_t)s->rows * (1 + s->k); c++) {
		if (s->cells[c].known)
			sheet_put(
				sheet, (uint32_t)(c % (1 + s->k)), (uint32_t)(c / (1 + s->k)), s->pixels + c * s->dim, low, high);
	}
	if (status == STATUS_OK) status = sheet_write(sheet, s->path, &report);
	sheet_free(&sheet);
	if (status == STATUS_OK) return EXIT_OK;
	output_message("%s", report_text(&report));
	return EXIT_FAILED;
}
