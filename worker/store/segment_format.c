/* segment_format.c - the header block: every offset and size follows from the counts, so the table in the file is only
 * compared, never believed. */
#include "worker/store/segment_format.h"

#include <math.h>
#include <string.h>

#include "common/check.h"
#include "common/crc32c.h"
#include "common/cursor.h"
#include "common/limits.h"

static const char SEGMENT_MAGIC[8] = "GROVESEG";

const char *segment_section_name(enum segment_section s)
{
	static const char *const names[SEGMENT_SECTIONS] = {"IDS", "SEQS", "PERM", "NORMS", "NODES", "DIR_OF", "DIRS", "ROOTS", "ORDER",
		"CODES", "SHIFTS", "GRAPH", "EDGES", "EFFORTS", "VECS", "PAYLOAD", "KEYS", "TOMBSTONES"};

	require((unsigned)s < SEGMENT_SECTIONS);
	return names[s];
}

uint64_t segment_padded(uint64_t size)
{
	return (size + SEGMENT_ALIGN - 1) / SEGMENT_ALIGN * SEGMENT_ALIGN;
}

bool segment_layout(struct segment_header *h)
{
	/* Counts are 32 bits, a row at most 2^18 bytes: only the two free sizes, the tombstones and ORDER could overflow. */
	const uint64_t size_max = (uint64_t)1 << 56;
	bool has_norms = h->metric == METRIC_ANGULAR || h->metric == METRIC_DOT;
	uint64_t n = h->n, at = SEGMENT_HEADER_SIZE;
	uint32_t row_width = packed_row_width(h->n);
	struct segment_place *p = h->place;

	if (h->tombstones > size_max / 16 || h->trees > TREES_MAX || h->stride > (uint32_t)1 << 24) return false;
	if (h->dir_size > (uint32_t)1 << 24) return false;
	p[SECTION_IDS].size = n * 8;
	p[SECTION_SEQS].size = packed_size(n, packed_width(h->last_sequence - h->first_sequence));
	p[SECTION_PERM].size = packed_size(n, row_width);
	p[SECTION_NORMS].size = has_norms ? n * 4 : 0;
	p[SECTION_NODES].size = (uint64_t)h->nodes * sizeof(struct forest_node);
	p[SECTION_DIR_OF].size = (uint64_t)h->nodes * 4;
	p[SECTION_DIRS].size = (uint64_t)h->dirs * h->dir_size;
	p[SECTION_ROOTS].size = n ? (uint64_t)h->trees * 4 : 0;
	p[SECTION_ORDER].size = h->trees ? packed_size(n * (h->trees - 1), row_width) : 0;
	p[SECTION_CODES].size = h->codes ? n * quant_stride((enum metric)h->metric, h->dim) : 0;
	p[SECTION_SHIFTS].size = h->codes == CODES_SHIFTED ? (uint64_t)h->dim * 4 : 0;
	p[SECTION_GRAPH].size = h->edges ? (n + 1) * 4 : 0;
	p[SECTION_EDGES].size = packed_size(h->edges, row_width);
	p[SECTION_EFFORTS].size = (uint64_t)h->efforts * sizeof(struct tune_effort);
	p[SECTION_VECS].size = n * h->stride;
	p[SECTION_TOMBSTONES].size = h->tombstones * sizeof(struct segment_tombstone);
	for (int i = 0; i < SEGMENT_SECTIONS; i++) {
		if (p[i].size > size_max) return false;
		p[i].offset = at;
		at += segment_padded(p[i].size);
	}
	h->file_size = at;
	return true;
}

uint32_t segment_header_encode(const struct segment_header *h, uint8_t out[SEGMENT_HEADER_SIZE])
{
	struct writer w;
	uint32_t crc;

	writer_init(&w, out, SEGMENT_HEADER_SIZE);
	writer_bytes(&w, SEGMENT_MAGIC, sizeof SEGMENT_MAGIC);
	writer_u32(&w, SEGMENT_VERSION);
	writer_u32(&w, 0);
	writer_u32(&w, 0);
	writer_u32(&w, SEGMENT_SECTIONS);
	writer_bytes(&w, h->shard.bytes, sizeof h->shard.bytes);
	writer_u64(&w, h->number);
	writer_u64(&w, h->epoch);
	const uint32_t shape[] = {h->metric, h->dtype, h->dim, h->n, h->trees, h->nodes, h->dirs, h->dir_size, h->stride};
	for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) writer_u32(&w, shape[i]);
	writer_bytes(&w, &h->dot_max_norm2, 4);
	writer_u64(&w, h->seed);
	writer_u64(&w, h->first_sequence);
	writer_u64(&w, h->last_sequence);
	writer_u32(&w, h->modulus);
	writer_u32(&w, h->remainder);
	writer_u64(&w, h->tombstones);
	writer_u64(&w, h->file_size);
	writer_bytes(&w, &h->quant.low, 8);
	writer_bytes(&w, &h->quant.scale, 8);
	writer_u32(&w, h->edges);
	writer_u32(&w, h->efforts);
	writer_u32(&w, (uint32_t)h->codes);
	writer_u32(&w, 0);
	require(writer_used(&w) == SEGMENT_TABLE_AT);
	for (int i = 0; i < SEGMENT_SECTIONS; i++) {
		writer_u64(&w, h->place[i].offset);
		writer_u64(&w, h->place[i].size);
		writer_u32(&w, h->place[i].crc);
		writer_u32(&w, 0);
	}
	writer_zeros(&w, SEGMENT_CRC_AT - writer_used(&w));
	crc = crc32c(0, out, SEGMENT_CRC_AT);
	writer_u32(&w, crc);
	require(!w.failed && writer_used(&w) == SEGMENT_HEADER_SIZE);
	return crc;
}

static void header_fields(struct reader *r, struct segment_header *h)
{
	const uint8_t *uuid = reader_bytes(r, sizeof h->shard.bytes);
	uint32_t *const shape[] = {&h->metric, &h->dtype, &h->dim, &h->n, &h->trees, &h->nodes, &h->dirs, &h->dir_size, &h->stride};

	if (uuid) memcpy(h->shard.bytes, uuid, sizeof h->shard.bytes);
	h->number = reader_u64(r);
	h->epoch = reader_u64(r);
	for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) *shape[i] = reader_u32(r);
	uint32_t bits = reader_u32(r);
	memcpy(&h->dot_max_norm2, &bits, 4);
	h->seed = reader_u64(r);
	h->first_sequence = reader_u64(r);
	h->last_sequence = reader_u64(r);
	h->modulus = reader_u32(r);
	h->remainder = reader_u32(r);
	h->tombstones = reader_u64(r);
	h->file_size = reader_u64(r);
	uint64_t low = reader_u64(r), scale = reader_u64(r);
	memcpy(&h->quant.low, &low, 8);
	memcpy(&h->quant.scale, &scale, 8);
	h->edges = reader_u32(r);
	h->efforts = reader_u32(r);
	uint32_t codes = reader_u32(r);
	h->codes = codes < CODES_KINDS ? (enum segment_codes)codes : CODES_KINDS;
	(void)reader_u32(r);
}

static const char *header_fault(const struct segment_header *h)
{
	if (h->metric >= METRIC_COUNT) return "an unknown metric";
	if (h->dim < 1 || h->dim > DIM_MAX) return "a dimension out of range";
	if (h->dtype != (uint32_t)metric_dtype((enum metric)h->metric)) return "rows of a type that its metric does not have";
	if (h->stride != rows_stride((enum metric)h->metric, h->dim)) return "rows of a length that is not its dimension's";
	if (h->trees > TREES_MAX) return "too many trees";
	if (h->n == 0 && (h->trees || h->nodes || h->dirs)) return "trees without rows";
	if (h->dirs && (h->metric == METRIC_HAMMING || h->dir_size != forest_dir_size((enum metric)h->metric, h->dim)))
		return "directions of a length that is not its dimension's";
	if (h->codes == CODES_KINDS || (h->codes && (h->metric == METRIC_HAMMING || !h->n))) return "codes where there can be none";
	if (h->edges && (!h->codes || !h->trees)) return "a graph where there can be none";
	if (!isfinite(h->quant.low) || !isfinite(h->quant.scale)) return "codes of an infinite range";
	if (h->efforts > TUNE_EFFORTS_MAX || (h->efforts && !h->edges)) return "efforts where there can be none";
	if (h->modulus < 1 || h->remainder >= h->modulus) return "a remainder out of range";
	if (h->first_sequence > h->last_sequence) return "a sequence range that is none";
	return NULL;
}

enum status segment_header_decode(const uint8_t *bytes, size_t size, struct segment_header *ret, const char **ret_fault)
{
	struct segment_header h = {0};
	struct segment_place table[SEGMENT_SECTIONS];
	struct reader r;

	*ret_fault = "a header that does not match its checksum";
	if (size < SEGMENT_HEADER_SIZE) return STATUS_CORRUPT;
	/* Its place is the same in every version, so that damage is not mistaken for a newer format. */
	if (load_u32(bytes + SEGMENT_CRC_AT) != crc32c(0, bytes, SEGMENT_CRC_AT)) return STATUS_CORRUPT;
	reader_init(&r, bytes, SEGMENT_CRC_AT);
	*ret_fault = "no segment";
	if (memcmp(reader_bytes(&r, sizeof SEGMENT_MAGIC), SEGMENT_MAGIC, sizeof SEGMENT_MAGIC) != 0) return STATUS_CORRUPT;
	*ret_fault = "a version or features of a newer Grove: use that";
	if (reader_u32(&r) != SEGMENT_VERSION || reader_u32(&r) != 0) return STATUS_UNSUPPORTED;
	(void)reader_u32(&r); /* optional features: what is unknown may be ignored */
	*ret_fault = "a table of sections that is not of this version";
	if (reader_u32(&r) != SEGMENT_SECTIONS) return STATUS_CORRUPT;
	header_fields(&r, &h);
	if ((*ret_fault = header_fault(&h))) return STATUS_CORRUPT;
	*ret_fault = "a table of sections that does not follow from its counts";
	for (int i = 0; i < SEGMENT_SECTIONS; i++) {
		table[i].offset = reader_u64(&r);
		table[i].size = reader_u64(&r);
		table[i].crc = reader_u32(&r);
		if (reader_u32(&r) != 0) return STATUS_CORRUPT;
	}
	uint64_t file_size = h.file_size;
	memcpy(h.place, table, sizeof table);
	if (r.failed || !segment_layout(&h) || h.file_size != file_size || file_size != size) return STATUS_CORRUPT;
	for (int i = 0; i < SEGMENT_SECTIONS; i++)
		if (h.place[i].offset != table[i].offset || h.place[i].size != table[i].size) return STATUS_CORRUPT;
	*ret_fault = NULL;
	*ret = h;
	return STATUS_OK;
}
