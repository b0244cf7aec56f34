/* segment_fuzz.c - bytes as a segment. The first byte says how:
 *   0: compact. The first SEGMENT_TABLE_AT bytes of a header, the sizes of PAYLOAD and KEYS (u32 each), the bytes of the sections one after
 *      another without padding. Laid out here with table and checksums, so that the checks of the sections are reached. See seal.h.
 *   1: a whole file, its checksums made good; 2: a whole file as it is.
 * Identity and manifest entry agree with the header. What is accepted is searched and looked at everywhere. */
#include <stdlib.h>

#include "tests/fuzz/seal.h"
#include "tests/fuzz/store_fuzz.h"

enum { COMPACT_HEADER = SEGMENT_TABLE_AT, FILE_MAX = 1 << 20 };

static uint8_t *compact_expand(const uint8_t *input, size_t n, size_t *ret_size)
{
	struct segment_header h = {0};

	if (n < COMPACT_HEADER + 8) return NULL;
	h.metric = load_u32(input + 56);
	h.n = load_u32(input + 68);
	h.trees = load_u32(input + 72);
	h.nodes = load_u32(input + 76);
	h.dirs = load_u32(input + 80);
	h.dir_size = load_u32(input + 84);
	h.stride = load_u32(input + 88);
	h.first_sequence = load_u64(input + 104);
	h.last_sequence = load_u64(input + 112);
	h.tombstones = load_u64(input + 128);
	h.edges = load_u32(input + 160);
	h.efforts = load_u32(input + 164);
	h.codes = load_u32(input + 168);
	h.place[SECTION_PAYLOAD].size = load_u32(input + COMPACT_HEADER);
	h.place[SECTION_KEYS].size = load_u32(input + COMPACT_HEADER + 4);
	if (!segment_layout(&h) || h.file_size > FILE_MAX) return NULL;
	uint8_t *file = calloc(1, (size_t)h.file_size);
	require(file);
	memcpy(file, input, COMPACT_HEADER);
	store_u64(file + 136, h.file_size);
	input += COMPACT_HEADER + 8;
	n -= COMPACT_HEADER + 8;
	for (int i = 0; i < SEGMENT_SECTIONS; i++) {
		uint8_t *entry = file + SEGMENT_TABLE_AT + i * SEGMENT_TABLE_ENTRY;
		size_t part = h.place[i].size < n ? (size_t)h.place[i].size : n;
		store_u64(entry, h.place[i].offset);
		store_u64(entry + 8, h.place[i].size);
		memcpy(file + h.place[i].offset, input, part);
		input += part;
		n -= part;
	}
	seal_segment(file, (size_t)h.file_size);
	*ret_size = (size_t)h.file_size;
	return file;
}

static void segment_look(const struct segment *s, struct forest_scratch *scratch, struct graph_scratch *graph)
{
	struct rows rows = segment_rows(s);
	struct ann_view ann = segment_ann(s);
	struct forest_view forest = ann.forest;
	uint64_t tombstones;
	const struct segment_tombstone *t = segment_tombstones(s, &tombstones);
	struct hit hits[8];

	look_at(t, tombstones * sizeof *t);
	struct packed by_id = segment_by_id(s);
	for (uint32_t i = 0; i < rows.n; i++) {
		struct segment_bytes payload = segment_payload(s, i), key = segment_key(s, i);
		require(segment_find(s, rows.ids[i]) == (int64_t)i && packed_at(&by_id, i) < rows.n);
		require(segment_sequence(s, i) >= segment_info(s)->first_sequence && segment_sequence(s, i) <= segment_info(s)->last_sequence);
		look_at(payload.bytes, payload.size);
		look_at(key.bytes, key.size);
		look_at(rows_row(&rows, i), rows.stride);
	}
	if (rows.n == 0 || forest.trees == 0) return;
	for (uint32_t budget = 1; budget <= rows.n; budget += rows.n - 1 ? rows.n - 1 : 1) {
		struct query query = {.row = rows_row(&rows, 0), .norm2 = rows.norm2 ? rows.norm2[0] : 0};
		struct search_work work = {0};
		struct topk top;
		topk_init(&top, hits, 8);
		require(forest_search(&forest, &rows, &query, budget, NULL, scratch, &top, &work) == STATUS_OK);
		require(work.candidates <= rows.n && (budget < rows.n || work.candidates == rows.n));
		struct graph_space space = ann_space(&ann, &rows, 0);
		struct graph_effort effort = {budget, budget};
		work = (struct search_work){0};
		topk_init(&top, hits, 8);
		require(graph_search(&space, &query, &effort, NULL, NULL, graph, &top, &work) == STATUS_OK);
		require(work.candidates <= rows.n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
	struct shard_identity identity = {0};
	struct manifest_segment entry;
	struct segment *segment = NULL;
	struct forest_scratch *scratch = NULL;
	struct graph_scratch *graph = NULL;
	struct report report = {0};
	uint8_t *file = NULL;
	size_t size = n - 1;

	if (n < 1 || input[0] > 2 || n > FILE_MAX) return 0;
	if (input[0] == 0) file = compact_expand(input + 1, n - 1, &size);
	else if (n > SEGMENT_HEADER_SIZE && (file = malloc(n))) memcpy(file, input + 1, n - 1);
	if (!file) return 0;
	if (input[0] == 1) seal_segment(file, size);
	memcpy(identity.shard.bytes, file + 24, 16);
	identity.metric = (enum metric)load_u32(file + 56);
	identity.dim = load_u32(file + 64);
	entry = (struct manifest_segment){.number = 7, .modulus = load_u32(file + 120), .remainder = load_u32(file + 124), .size = size,
		.header_crc = load_u32(file + SEGMENT_CRC_AT), .rows = load_u32(file + 68)};
	struct io_sim *sim = disk_with("s/seg-7.grove", file, size);
	require(forest_scratch_new(&scratch) == STATUS_OK && graph_scratch_new(&graph) == STATUS_OK);
	enum status status = segment_open(io_sim_io(sim), "s", &identity, &entry, runner_inline(), &segment, &report);
	require(status == STATUS_OK || ((status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED) && report.text[0]));
	if (status == STATUS_OK) segment_look(segment, scratch, graph);
	segment_close(&segment);
	forest_scratch_free(&scratch);
	graph_scratch_free(&graph);
	io_sim_free(&sim);
	free(file);
	return 0;
}
