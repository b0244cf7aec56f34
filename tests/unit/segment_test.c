/* A segment comes back as it was written, or is refused with the name of what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "tests/fuzz/seal.h"
#include "tests/unit/disk_fixture.h"
#include "tests/unit/segment_fixture.h"

static const char FILE_NAME[] = "s/seg-7.grove";
static struct manifest_segment written(struct some_rows *s)
{
	struct manifest_segment entry = {0};

	assert_int_equal(segment_write(io, "s", &s->identity, &s->content, &entry, NULL), STATUS_OK);
	return entry;
}

static struct segment *opened(const struct some_rows *s, const struct manifest_segment *entry)
{
	struct segment *segment = NULL;
	struct report report = {0};
	enum status status = segment_open(io, "s", &s->identity, entry, runner_inline(), &segment, &report);

	if (status != STATUS_OK) fail_msg("%s", report.text);
	return segment;
}

static void refused_as(enum status want, const struct shard_identity *identity, const struct manifest_segment *entry, const char *with)
{
	struct segment *segment = NULL;
	struct report report = {0};

	assert_int_equal(segment_open(io, "s", identity, entry, runner_inline(), &segment, &report), want);
	assert_null(segment);
	assert_non_null(strstr(report.text, FILE_NAME));
	if (!strstr(report.text, with)) fail_msg("'%s' does not speak of '%s'", report.text, with);
}

static void refused(const struct some_rows *s, const struct manifest_segment *entry, const char *with)
{
	refused_as(STATUS_CORRUPT, &s->identity, entry, with);
}

static void bytes_equal(struct segment_bytes a, struct segment_bytes b)
{
	assert_int_equal(a.size, b.size);
	if (a.size) assert_memory_equal(a.bytes, b.bytes, a.size);
}

static void same_rows(const struct segment *segment, struct some_rows *s)
{
	struct rows rows = segment_rows(segment);

	assert_true(rows.n == s->n && rows.metric == s->identity.metric && rows.dim == s->identity.dim && rows.stride == s->stride);
	assert_true((uintptr_t)rows.base % 64 == 0 && !rows.dead_at);
	assert_memory_equal(rows.base, s->base, s->n * s->stride);
	assert_memory_equal(rows.ids, s->ids, s->n * 8);
	bool has_norms = s->n && (s->identity.metric == METRIC_ANGULAR || s->identity.metric == METRIC_DOT);
	assert_int_equal(rows.norm2 != NULL, has_norms);
	for (uint32_t i = 0; i < s->n; i++) {
		if (has_norms) assert_true(rows.norm2[i] == vec_norm2(rows.metric, rows_row(&rows, i), rows.dim));
		assert_int_equal(segment_find(segment, s->ids[i]), i);
		assert_true(segment_sequence(segment, i) == s->sequences[i]);
		bytes_equal(segment_payload(segment, i), some_payload(s, i));
		bytes_equal(segment_key(segment, i), some_key(s, i));
	}
	assert_int_equal(segment_find(segment, 3), -1);
	assert_int_equal(segment_find(segment, UINT64_MAX - 1), -1);
	struct packed by_id = segment_by_id(segment);
	for (uint32_t i = 1; i < s->n; i++) assert_true(rows.ids[packed_at(&by_id, i - 1)] < rows.ids[packed_at(&by_id, i)]);
}

static void same_forest(const struct segment *segment, const struct some_rows *s)
{
	struct forest_view a = segment_ann(segment).forest, b = s->content.ann.forest;

	if (!s->n) {
		assert_true(a.n == 0 && a.trees == 0 && a.nodes == 0 && a.dirs == 0);
		return;
	}
	assert_true(a.n == b.n && a.trees == b.trees && a.nodes == b.nodes && a.dirs == b.dirs && a.dir_size == b.dir_size);
	assert_true(a.dot_max_norm2 == b.dot_max_norm2);
	assert_memory_equal(a.roots, b.roots, a.trees * 4);
	assert_memory_equal(a.node, b.node, a.nodes * sizeof *a.node);
	assert_memory_equal(a.dir_of, b.dir_of, a.nodes * 4);
	for (uint32_t i = 0; i < a.trees * a.n; i++) assert_int_equal(forest_row(&a, i / a.n, i % a.n), forest_row(&b, i / a.n, i % a.n));
	if (a.dirs) assert_memory_equal(a.dir, b.dir, (size_t)a.dirs * a.dir_size);
}

static void it_comes_back_as_it_was_written(void **state)
{
	const uint32_t sizes[] = {0, 1, 2, 64, 65, 700};

	for (int metric = 0; metric < METRIC_COUNT; metric++) {
		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
			struct some_rows *s = some_rows_new((enum metric)metric, 37, sizes[i], 4, 5);
			struct manifest_segment entry = written(s);
			assert_true(entry.number == 7 && entry.modulus == 4 && entry.remainder == 1 && entry.rows == s->n);
			struct segment *segment = opened(s, &entry);
			same_rows(segment, s);
			same_forest(segment, s);
			uint64_t count;
			const struct segment_tombstone *t = segment_tombstones(segment, &count);
			assert_int_equal(count, FIXTURE_TOMBSTONES);
			assert_memory_equal(t, s->tombstones, sizeof s->tombstones);
			const struct segment_info *info = segment_info(segment);
			assert_true(info->number == 7 && info->epoch == 3 && info->seed == 5 && info->n == s->n);
			assert_true(info->first_sequence == 50 && info->last_sequence >= 52 && info->file_size == entry.size);
			segment_close(&segment);
			assert_null(segment);
			some_rows_free(&s);
		}
	}
}

static void one_without_payloads_keys_tombstones_and_trees_is_one(void **state)
{
	struct some_rows *s = some_rows_new(METRIC_EUCLIDEAN, 8, 20, 0, 5);

	s->content.payload = NULL;
	s->content.key = NULL;
	s->content.tombstone_count = 0;
	struct manifest_segment entry = written(s);
	struct segment *segment = opened(s, &entry);
	for (uint32_t i = 0; i < s->n; i++) assert_true(segment_payload(segment, i).size == 0 && segment_key(segment, i).size == 0);
	assert_int_equal(segment_info(segment)->trees, 0);
	segment_close(&segment);
	some_rows_free(&s);
}

static void same_content_gives_the_same_bytes(void **state)
{
	struct bytes files[2];

	for (int i = 0; i < 2; i++) {
		struct some_rows *s = some_rows_new(METRIC_ANGULAR, 20, 300, 3, 8);
		assert_int_equal(written(s).number, 7);
		files[i] = file_bytes(io, FILE_NAME);
		some_rows_free(&s);
	}
	assert_int_equal(files[0].n, files[1].n);
	assert_memory_equal(files[0].at, files[1].at, files[0].n);
	free(files[0].at);
	free(files[1].at);
}

static uint8_t max_payload[PAYLOAD_MAX], max_key[KEY_MAX];
static struct segment_bytes largest_payload(void *arg, uint32_t i) { return (struct segment_bytes){max_payload, i ? PAYLOAD_MAX : 0}; }
static struct segment_bytes largest_key(void *arg, uint32_t i) { return (struct segment_bytes){max_key, KEY_MAX - i}; }

static void payloads_and_keys_at_their_limits_pass(void **state)
{
	struct some_rows *s = some_rows_new(METRIC_DOT, 3, 12, 1, 5);

	for (size_t i = 0; i < PAYLOAD_MAX; i++) max_payload[i] = (uint8_t)(i * i);
	s->content.payload = largest_payload;
	s->content.key = largest_key;
	struct manifest_segment entry = written(s);
	struct segment *segment = opened(s, &entry);
	for (uint32_t i = 0; i < s->n; i++) {
		bytes_equal(segment_payload(segment, i), largest_payload(NULL, i));
		bytes_equal(segment_key(segment, i), largest_key(NULL, i));
	}
	segment_close(&segment);
	some_rows_free(&s);
}

/* Where a byte stands, in the words of the message. */
static const char *part_of(const struct segment_header *h, size_t at)
{
	if (at < SEGMENT_HEADER_SIZE) return "header";
	for (int i = 0; i < SEGMENT_SECTIONS; i++)
		if (at < h->place[i].offset + segment_padded(h->place[i].size)) return segment_section_name((enum segment_section)i);
	return "past the end";
}

static void one_flipped_bit_at_every_byte_is_found_and_its_section_named(void **state)
{
	struct some_rows *s = some_rows_new(METRIC_ANGULAR, 5, 70, 2, 5);
	struct manifest_segment entry = written(s);
	struct bytes file = file_bytes(io, FILE_NAME);
	struct segment_header header;
	const char *fault;

	assert_int_equal(segment_header_decode(file.at, file.n, &header, &fault), STATUS_OK);
	assert_int_equal(file.n, entry.size);
	for (size_t at = 0; at < file.n; at++) {
		file_poke(io, FILE_NAME, at, file.at[at] ^ (uint8_t)(1 << at % 8));
		refused(s, &entry, part_of(&header, at));
		file_poke(io, FILE_NAME, at, file.at[at]);
	}
	struct segment *segment = opened(s, &entry);
	segment_close(&segment);
	free(file.at);
	some_rows_free(&s);
}

static void every_other_length_is_refused(void **state)
{
	struct some_rows *s = some_rows_new(METRIC_HAMMING, 64, 70, 2, 5);
	struct manifest_segment entry = written(s);
	struct bytes file = file_bytes(io, FILE_NAME);
	uint8_t *longer = calloc(1, file.n + 5000);

	memcpy(longer, file.at, file.n);
	for (size_t n = 0; n < file.n + 5000; n += n % 4096 < 2 || n % 4096 > 4094 ? 1 : 157) {
		struct manifest_segment lying = entry;
		if (n == file.n) continue;
		file_put(io, FILE_NAME, longer, n);
		refused(s, &entry, "bytes");
		lying.size = n; /* as if the manifest agreed */
		refused(s, &lying, "header");
	}
	free(longer);
	free(file.at);
	some_rows_free(&s);
}

static void swapped_stale_foreign_and_missing_files_are_refused(void **state)
{
	struct some_rows *s = some_rows_new(METRIC_MANHATTAN, 6, 30, 2, 5);
	struct manifest_segment entry = written(s);
	struct bytes first = file_bytes(io, FILE_NAME);
	struct shard_identity other = s->identity;

	s->content.number = 8;
	assert_int_equal(written(s).number, 8);
	struct bytes eighth = file_bytes(io, "s/seg-8.grove");
	file_put(io, FILE_NAME, eighth.at, eighth.n);
	refused(s, &entry, "another segment");
	s->content.number = 7;
	s->sequences[3]++; /* same size, other content */
	struct manifest_segment newer = written(s);
	file_put(io, FILE_NAME, first.at, first.n);
	refused(s, &newer, "not the file that the manifest lists");
	other.shard = uuid_of(3);
	refused_as(STATUS_CORRUPT, &other, &entry, "another shard");
	other = s->identity;
	other.metric = METRIC_EUCLIDEAN;
	refused_as(STATUS_CORRUPT, &other, &entry, "metric");
	entry.remainder = 2;
	refused(s, &entry, "another part");
	entry.modulus = 8; /* a split's half of it */
	entry.remainder = 5;
	struct segment *segment = opened(s, &entry);
	segment_close(&segment);
	entry.rows++;
	refused(s, &entry, "number of rows");
	entry.rows--;
	assert_int_equal(io->ops->remove(io, FILE_NAME), STATUS_OK);
	refused(s, &entry, "missing");
	free(first.at);
	free(eighth.at);
	some_rows_free(&s);
}

/* The file with one place changed and its checksums made good, so that what lies behind them is asked. */
struct patch { struct some_rows *s; struct manifest_segment entry; struct bytes file; struct segment_header header; };

static void patched_is_refused(const struct patch *p, size_t at, const void *bytes, size_t n, enum status want, const char *with)
{
	uint8_t *copy = malloc(p->file.n);
	struct manifest_segment entry = p->entry;

	memcpy(copy, p->file.at, p->file.n);
	memcpy(copy + at, bytes, n);
	seal_segment(copy, p->file.n);
	entry.header_crc = load_u32(copy + SEGMENT_CRC_AT);
	file_put(io, FILE_NAME, copy, p->file.n);
	refused_as(want, &p->s->identity, &entry, with);
	free(copy);
}

static void header_is_refused(const struct patch *p, size_t at, uint32_t value, enum status want, const char *with)
{
	patched_is_refused(p, at, &value, sizeof value, want, with);
}

static void section_is_refused(const struct patch *p, enum segment_section section, size_t at, const void *bytes, size_t n)
{
	patched_is_refused(p, p->header.place[section].offset + at, bytes, n, STATUS_CORRUPT, segment_section_name(section));
}

static void patch_begin(struct patch *p)
{
	const char *fault;

	p->s = some_rows_new(METRIC_ANGULAR, 5, 200, 2, 5);
	p->entry = written(p->s);
	p->file = file_bytes(io, FILE_NAME);
	assert_int_equal(segment_header_decode(p->file.at, p->file.n, &p->header, &fault), STATUS_OK);
}

static void patch_end(struct patch *p)
{
	free(p->file.at);
	some_rows_free(&p->s);
}

static void header_fields_out_of_range_are_refused_behind_a_good_checksum(void **state)
{
	struct patch p;

	patch_begin(&p);
	header_is_refused(&p, 8, 1, STATUS_UNSUPPORTED, "newer");
	header_is_refused(&p, 12, 1, STATUS_UNSUPPORTED, "newer");
	header_is_refused(&p, 0, 0, STATUS_CORRUPT, "no segment");
	header_is_refused(&p, 20, SEGMENT_SECTIONS - 1, STATUS_CORRUPT, "table");
	header_is_refused(&p, 56, METRIC_COUNT, STATUS_CORRUPT, "metric");
	header_is_refused(&p, 56, METRIC_EUCLIDEAN, STATUS_CORRUPT, "counts"); /* has no norms */
	header_is_refused(&p, 60, DTYPE_BITS, STATUS_CORRUPT, "type");
	header_is_refused(&p, 64, 0, STATUS_CORRUPT, "dimension");
	header_is_refused(&p, 64, DIM_MAX + 1, STATUS_CORRUPT, "dimension");
	header_is_refused(&p, 64, 6, STATUS_CORRUPT, "dimension");
	header_is_refused(&p, 68, UINT32_MAX, STATUS_CORRUPT, "counts");
	header_is_refused(&p, 72, TREES_MAX + 1, STATUS_CORRUPT, "trees");
	header_is_refused(&p, 76, UINT32_MAX, STATUS_CORRUPT, "counts");
	header_is_refused(&p, 80, UINT32_MAX, STATUS_CORRUPT, "counts");
	header_is_refused(&p, 84, 32, STATUS_CORRUPT, "directions");
	header_is_refused(&p, 88, 128, STATUS_CORRUPT, "rows of a length");
	header_is_refused(&p, 120, 0, STATUS_CORRUPT, "remainder");
	header_is_refused(&p, 124, 4, STATUS_CORRUPT, "remainder");
	header_is_refused(&p, 132, UINT32_MAX, STATUS_CORRUPT, "counts"); /* 2^63 tombstones */
	header_is_refused(&p, 136, 4096, STATUS_CORRUPT, "counts");
	header_is_refused(&p, SEGMENT_TABLE_AT, 8192, STATUS_CORRUPT, "counts");
	header_is_refused(&p, SEGMENT_TABLE_AT + 8, 8, STATUS_CORRUPT, "counts");
	header_is_refused(&p, SEGMENT_TABLE_AT + SECTION_PAYLOAD * SEGMENT_TABLE_ENTRY + 12, UINT32_MAX, STATUS_CORRUPT, "counts");
	patch_end(&p);
}

static void sections_that_make_no_sense_are_refused_behind_a_good_checksum(void **state)
{
	struct patch p;
	uint32_t n = 200, zeros[2] = {0, 0};
	uint64_t low = 0, high = UINT64_MAX;
	float nan = NAN;

	patch_begin(&p);
	section_is_refused(&p, SECTION_PERM, 8, &n, 1);
	section_is_refused(&p, SECTION_PERM, 0, zeros, 8);
	section_is_refused(&p, SECTION_SEQS, 8, &high, 2);
	section_is_refused(&p, SECTION_TOMBSTONES, 0, &high, 8);
	section_is_refused(&p, SECTION_TOMBSTONES, 8, &high, 8);
	section_is_refused(&p, SECTION_PAYLOAD, 0, &high, 8);
	section_is_refused(&p, SECTION_PAYLOAD, 80, &high, 8);
	section_is_refused(&p, SECTION_PAYLOAD, 200 * 8, &low, 8);
	section_is_refused(&p, SECTION_KEYS, 200 * 8, &high, 8);
	section_is_refused(&p, SECTION_NORMS, 4, &nan, 4);
	section_is_refused(&p, SECTION_VECS, 5 * 4, &high, 4);
	section_is_refused(&p, SECTION_VECS, 200 * 64, &high, 1); /* after the last row */
	patched_is_refused(&p, p.header.place[SECTION_ROOTS].offset, &n, 4, STATUS_CORRUPT, "forest");
	patched_is_refused(&p, p.header.place[SECTION_ORDER].offset, zeros, 8, STATUS_CORRUPT, "forest");
	patched_is_refused(&p, p.header.place[SECTION_NODES].offset, &high, 8, STATUS_CORRUPT, "forest");
	patched_is_refused(&p, p.header.place[SECTION_DIR_OF].offset, &n, 4, STATUS_CORRUPT, "forest");
	patch_end(&p);
}

static void codes_and_a_graph_come_back_and_lead_to_every_row(void **state)
{
	struct patch p = {.s = some_rows_new(METRIC_ANGULAR, 5, GRAPH_ROWS_MIN, 2, 5)};
	uint32_t n = GRAPH_ROWS_MIN, zero = 0;
	uint8_t past = CODE_MAX + 1;
	float nan = NAN;
	struct segment *segment = NULL;
	const char *fault;

	struct tune_effort efforts[2] = {{.ef = 10, .scored = 90, .recall = {.9f, .8f, 0}}, {.ef = 20, .scored = 150, .recall = {1, .95f, 0}}};
	p.s->content.ann.tune = (struct tune_view){2, efforts};
	p.entry = written(p.s);
	p.file = file_bytes(io, FILE_NAME);
	assert_int_equal(segment_header_decode(p.file.at, p.file.n, &p.header, &fault), STATUS_OK);
	struct report report = {0};
	assert_int_equal(segment_open(io, "s", &p.s->identity, &p.entry, runner_inline(), &segment, &report), STATUS_OK);
	struct ann_view a = segment_ann(segment), b = p.s->content.ann;
	assert_int_equal(a.graph.n, GRAPH_ROWS_MIN);
	assert_int_equal(a.graph.edges, b.graph.edges);
	assert_memory_equal(a.graph.first, b.graph.first, (n + 1) * 4);
	assert_int_equal(a.graph.to.width, 2); /* bytes of a row number below GRAPH_ROWS_MIN */
	assert_memory_equal(a.graph.to.bytes, b.graph.to.bytes, (size_t)b.graph.edges * 2);
	assert_memory_equal(a.codes.base, b.codes.base, (size_t)n * b.codes.stride);
	assert_memory_equal(a.tune.efforts, efforts, sizeof(efforts));
	const char *name;
	assert_true(segment_section_size(segment, SECTION_EDGES, &name) == (uint64_t)b.graph.edges * 2 + PACKED_SPARE);
	assert_string_equal(name, "EDGES");
	assert_true(a.forest.quant.low == b.forest.quant.low && a.forest.quant.scale == b.forest.quant.scale);
	segment_close(&segment);

	section_is_refused(&p, SECTION_CODES, 17, &past, 1);
	section_is_refused(&p, SECTION_GRAPH, 0, &n, 4);
	patched_is_refused(&p, p.header.place[SECTION_EDGES].offset, &n, 4, STATUS_CORRUPT, "graph");
	section_is_refused(&p, SECTION_EFFORTS, 0, &zero, 4);
	section_is_refused(&p, SECTION_EFFORTS, 8, &nan, 4);
	section_is_refused(&p, SECTION_EFFORTS, 20 + 8, &zero, 4); /* a recall that falls */
	header_is_refused(&p, 160, 0, STATUS_CORRUPT, "efforts");
	header_is_refused(&p, 160, UINT32_MAX, STATUS_CORRUPT, "counts");
	header_is_refused(&p, 168, 0, STATUS_CORRUPT, "graph");
	header_is_refused(&p, 168, 3, STATUS_CORRUPT, "codes");
	header_is_refused(&p, 168, 2, STATUS_CORRUPT, "counts"); /* shifts that are not there */
	header_is_refused(&p, 164, TUNE_EFFORTS_MAX + 1, STATUS_CORRUPT, "efforts");
	/* A row that nothing leads to: whoever led to it leads elsewhere now. */
	uint8_t *to = malloc((size_t)b.graph.edges * 2);
	assert_non_null(to);
	for (uint32_t i = 0; i < b.graph.edges; i++) packed_put(to, 2, i, graph_edge(&b.graph, i) == n - 1 ? 0 : graph_edge(&b.graph, i));
	patched_is_refused(&p, p.header.place[SECTION_EDGES].offset, to, (size_t)b.graph.edges * 2, STATUS_CORRUPT, "graph");
	free(to);
	patch_end(&p);
}

/* However far apart they are. */
static void sequences_come_back_at_every_width(void **state)
{
	for (uint32_t bits = 0; bits < 64; bits += 7) {
		struct some_rows *s = some_rows_new(METRIC_EUCLIDEAN, 3, 70, 1, 5);
		s->sequences[13] = 50 + ((uint64_t)1 << bits);
		struct manifest_segment entry = written(s);
		struct segment *segment = opened(s, &entry);
		for (uint32_t i = 0; i < s->n; i++) assert_true(segment_sequence(segment, i) == s->sequences[i]);
		segment_close(&segment);
		some_rows_free(&s);
	}
}

static void the_shifts_of_codes_come_back(void **state)
{
	const uint32_t nan = 0x7fc00000;
	const char *fault;
	struct segment *segment = NULL;
	struct report report = {0};
	struct patch p;

	patch_begin(&p);
	uint32_t dim = p.s->identity.dim;
	float *shift = calloc(dim, sizeof(*shift));
	uint8_t *codes = calloc(p.s->n, quant_stride(p.s->identity.metric, dim));
	assert_true(shift && codes);
	for (uint32_t i = 0; i < dim; i++) shift[i] = (float)i - 2.5f;
	p.s->content.ann.codes = (struct codes){p.s->identity.metric, quant_stride(p.s->identity.metric, dim), codes};
	p.s->content.ann.forest.quant = (struct quant){-1, 3, shift};
	free(p.file.at);
	p.entry = written(p.s);
	p.file = file_bytes(io, FILE_NAME);
	assert_int_equal(segment_header_decode(p.file.at, p.file.n, &p.header, &fault), STATUS_OK);
	assert_int_equal(segment_open(io, "s", &p.s->identity, &p.entry, runner_inline(), &segment, &report), STATUS_OK);
	struct ann_view a = segment_ann(segment);
	assert_memory_equal(a.forest.quant.shift, shift, dim * sizeof(*shift));
	assert_true(a.forest.quant.low == -1 && a.forest.quant.scale == 3);
	segment_close(&segment);
	section_is_refused(&p, SECTION_SHIFTS, 4, &nan, 4);
	patch_end(&p);
	free(shift);
	free(codes);
}

static void two_rows_of_one_id_are_refused(void **state)
{
	struct patch p;

	patch_begin(&p);
	const struct packed by_id = {p.file.at + p.header.place[SECTION_PERM].offset, packed_row_width(p.header.n)};
	uint32_t first = (uint32_t)packed_at(&by_id, 0), second = (uint32_t)packed_at(&by_id, 1);
	patched_is_refused(&p, p.header.place[SECTION_IDS].offset + second * 8, &p.s->ids[first], 8, STATUS_CORRUPT, "distinct ids");
	patch_end(&p);
}

static void a_sweep_takes_strays_and_leaves_what_is_live(void **state)
{
	struct some_rows *s = some_rows_new(METRIC_EUCLIDEAN, 3, 10, 1, 5);
	struct manifest m = {.identity = s->identity, .next_segment = 9, .segment_count = 1};
	const char *const strays[] = {"s/seg-8.grove", "s/seg-7.grove.tmp", "s/manifest.tmp", "s/wal-00000000000000000009.log.tmp"};
	const char *const kept[] = {"s/seg-7.grove", "s/manifest", "s/wal-00000000000000000001.log", "s/notes"};

	m.segments[0] = written(s);
	for (size_t i = 0; i < 4; i++) file_put(io, strays[i], "x", 1);
	for (size_t i = 1; i < 4; i++) file_put(io, kept[i], "x", 1);
	assert_int_equal(segment_sweep(io, "s", &m), STATUS_OK);
	for (size_t i = 0; i < 4; i++) assert_int_equal(io->ops->remove(io, strays[i]), STATUS_NOT_FOUND);
	for (size_t i = 0; i < 4; i++) assert_int_equal(io->ops->remove(io, kept[i]), STATUS_OK);
	some_rows_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CLAIM(name) cmocka_unit_test_setup(name, folder_set_up)
		CLAIM(it_comes_back_as_it_was_written),
		CLAIM(one_without_payloads_keys_tombstones_and_trees_is_one),
		CLAIM(same_content_gives_the_same_bytes),
		CLAIM(payloads_and_keys_at_their_limits_pass),
		CLAIM(one_flipped_bit_at_every_byte_is_found_and_its_section_named),
		CLAIM(every_other_length_is_refused),
		CLAIM(swapped_stale_foreign_and_missing_files_are_refused),
		CLAIM(header_fields_out_of_range_are_refused_behind_a_good_checksum),
		CLAIM(sections_that_make_no_sense_are_refused_behind_a_good_checksum),
		CLAIM(codes_and_a_graph_come_back_and_lead_to_every_row),
		cmocka_unit_test(sequences_come_back_at_every_width),
		cmocka_unit_test(the_shifts_of_codes_come_back),
		CLAIM(two_rows_of_one_id_are_refused),
		CLAIM(a_sweep_takes_strays_and_leaves_what_is_live),
	};

	return cmocka_run_group_tests(tests, disk_set_up, disk_tear_down);
}
