/* grove_segment.c - what worker/compact.c does, without a shard around it. */
#include "bench/peers/grove_segment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "worker/engine/ann.h"

static struct shard_identity identity(const struct peer_set *set, uint32_t trees)
{
	return (struct shard_identity){.shard = {{1}}, .cluster = {{1}}, .epoch = 1, .index_id = 1, .shards = 1, .metric = set->metric, .dim = set->dim,
		.trees = trees, .replicas = 1, .seed = 1, .name = "bench"};
}

static void must(enum status status, const struct report *report)
{
	if (status != STATUS_OK) peer_die(report->text[0] ? report->text : status_text(status));
}

static struct io *folder_io(const char *folder)
{
	struct report report = {0};
	struct io *io;

	must(io_posix_open(folder, &io, &report), &report);
	return io;
}

static void *memory(size_t size)
{
	void *bytes = aligned_alloc(64, (size + 64) & ~(size_t)63);

	if (!bytes) peer_die("not enough memory");
	return bytes;
}

/* Row r of the set becomes row place[r]; NULL: row r. As compact.c gathers, and gathers again. */
static void gather(struct rows *rows, const struct peer_set *set, const uint32_t *place)
{
	for (uint32_t r = 0; r < set->n; r++) {
		uint32_t to = place ? place[r] : r;
		uint8_t *row = (uint8_t *)(uintptr_t)rows->base + rows->stride * to;
		memcpy(row, peer_row(set, r), set->row_bytes);
		memset(row + set->row_bytes, 0, rows->stride - set->row_bytes);
		((float *)(uintptr_t)rows->norm2)[to] = vec_norm2(set->metric, row, set->dim);
		((uint64_t *)(uintptr_t)rows->ids)[to] = r;
	}
}

struct rows grove_rows(const struct peer_set *set)
{
	struct rows rows = {.metric = set->metric, .dim = set->dim, .n = set->n, .stride = rows_stride(set->metric, set->dim)};

	rows.base = memory(rows.stride * set->n);
	rows.norm2 = memory(sizeof(*rows.norm2) * set->n);
	rows.ids = memory(sizeof(*rows.ids) * set->n);
	gather(&rows, set, NULL);
	return rows;
}

struct query grove_query(const struct peer_set *set, const void *query)
{
	static void *row;

	if (!row) row = memset(memory(rows_stride(set->metric, set->dim)), 0, rows_stride(set->metric, set->dim));
	memcpy(row, query, set->row_bytes);
	return (struct query){row, vec_norm2(set->metric, row, set->dim)};
}

static const void *content_row(void *arg, uint32_t i) { return rows_row(arg, i); }

/* The forest and the codes that it divides. */
static struct ann_view forest_and_codes(const struct rows *rows, const struct forest_params *params, uint32_t *new_of_old, struct forest **ret_forest)
{
	uint32_t stride = quant_stride(rows->metric, rows->dim);
	uint8_t *base = stride ? memory((size_t)rows->n * stride) : NULL;
	struct codes codes = {rows->metric, stride, base};
	struct quant quant;
	struct report none = {0};

	must(quant_fit(rows, &quant), &none);
	if (base) quant_encode_rows(&quant, rows, runner_inline(), base);
	must(forest_build(rows, &codes, &quant, params, runner_inline(), NULL, NULL, ret_forest), &none);
	must(forest_renumber(*ret_forest, runner_inline(), new_of_old), &none);
	if (base) {
		uint8_t *placed = memory((size_t)rows->n * stride);
		rows_place(base, stride, rows->n, new_of_old, runner_inline(), placed);
		free(base);
		codes.base = placed;
	}
	return (struct ann_view){.forest = forest_as_view(*ret_forest), .codes = codes};
}

/* That, or all that a build makes. */
static struct ann_view structure_build(struct rows *rows, const struct peer_set *set, const struct forest_params *params, bool graph, uint32_t *new_of_old,
	struct ann **ret_ann, struct forest **ret_forest)
{
	struct report none = {0};
	struct ann_view view = {0};

	if (graph)
		must(ann_build(rows, params, runner_inline(), NULL, NULL, new_of_old, ret_ann), &none);
	else
		view = forest_and_codes(rows, params, new_of_old, ret_forest);
	gather(rows, set, new_of_old);
	if (!graph) return view;
	must(ann_tune(*ret_ann, rows, params->seed, runner_inline(), NULL), &none);
	return ann_as_view(*ret_ann);
}

void grove_segment_build(const struct peer_set *set, uint32_t trees, bool graph, const char *folder)
{
	struct rows rows = grove_rows(set);
	struct forest_params params = {trees, 1};
	struct shard_identity id = identity(set, trees);
	struct manifest_segment entry;
	struct report report = {0};
	struct forest *forest = NULL;
	struct ann *ann = NULL;
	uint32_t *new_of_old = memory(sizeof(*new_of_old) * set->n);
	uint64_t *sequences = memory(sizeof(*sequences) * set->n);
	struct ann_view view = structure_build(&rows, set, &params, graph, new_of_old, &ann, &forest);

	for (uint32_t i = 0; i < set->n; i++) sequences[i] = rows.ids[i] + 1;
	struct segment_content content = {.number = 1, .epoch = 1, .seed = 1, .modulus = 1, .n = set->n, .ids = rows.ids, .sequences = sequences,
		.ann = view, .row = content_row, .arg = &rows, .runner = runner_inline()};
	must(segment_write(folder_io(folder), "", &id, &content, &entry, &report), &report);
	char *path = peer_path(folder, "entry");
	FILE *file = fopen(path, "w");
	if (!file || fwrite(&entry, sizeof(entry), 1, file) != 1 || fclose(file)) peer_die("the folder for the index cannot be written");
	free(path);
	if (forest) free((void *)view.codes.base);
	forest_free(&forest);
	ann_free(&ann);
	free(new_of_old);
	free(sequences);
	free((void *)rows.base);
	free((void *)rows.norm2);
	free((void *)rows.ids);
}

/* Where its bytes are. */
static void print_sections(const struct segment *segment, const char *folder)
{
	uint32_t n = segment_info(segment)->n;
	const char *name;

	fprintf(stderr, "%s: bytes a vector:", folder);
	for (int i = 0; i < SEGMENT_SECTIONS && n; i++) {
		uint64_t size = segment_section_size(segment, i, &name);
		if (size) fprintf(stderr, " %s %.2f", name, (double)size / n);
	}
	fprintf(stderr, "\n");
}

struct segment *grove_segment_open(const struct peer_set *set, uint32_t trees, const char *folder)
{
	struct shard_identity id = identity(set, trees);
	struct manifest_segment entry;
	struct report report = {0};
	struct segment *segment;
	char *path = peer_path(folder, "entry");
	FILE *file = fopen(path, "r");

	if (!file || fread(&entry, sizeof(entry), 1, file) != 1) peer_die("the index's folder is not whole: remove it");
	fclose(file);
	free(path);
	must(segment_open(folder_io(folder), "", &id, &entry, runner_inline(), &segment, &report), &report);
	print_sections(segment, folder);
	return segment;
}
