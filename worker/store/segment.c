/* segment.c - map, verify, look up. Nothing is believed before it was checked: after segment_open every offset and row
 * number in the mapping is in range, so the accessors need no checks. */
#include "worker/store/segment.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/crc32c.h"
#include "common/cursor.h"
#include "worker/engine/sliced.h"
#include "worker/store/segment_format.h"
#include "worker/store/store_path.h"

enum { SUMMED_BYTES = 1 << 20, SUMMED_PARTS = 256 };

struct segment {
	struct io *io;
	const uint8_t *bytes;
	size_t size;
	struct segment_header header;
	struct segment_info info;
	struct sliced *sliced; /* of segment_rows(); NULL: none */
};

static const uint8_t *section(const struct segment *s, enum segment_section which)
{
	return s->bytes + s->header.place[which].offset;
}

void segment_file_name(uint64_t number, char out[SEGMENT_NAME_SIZE])
{
	snprintf(out, SEGMENT_NAME_SIZE, "seg-%" PRIu64 ".grove", number);
}

/* --- verification: each returns NULL, or what is wrong --- */

/* Some of the bytes of a section, summed by all threads. */
struct summing { const uint8_t *bytes; uint64_t n; uint32_t crcs[SUMMED_PARTS]; };

static uint64_t part_size(const struct summing *s, size_t part)
{
	uint64_t rest = s->n - part * SUMMED_BYTES;
	return rest < SUMMED_BYTES ? rest : SUMMED_BYTES;
}

static void sum_piece(void *arg, size_t part)
{
	struct summing *s = arg;
	s->crcs[part] = crc32c(0, s->bytes + part * SUMMED_BYTES, (size_t)part_size(s, part));
}

static uint32_t crc_of(const uint8_t *bytes, uint64_t n, struct runner *runner)
{
	uint32_t crc = 0;

	while (n > 0) {
		struct summing s = {.bytes = bytes, .n = n < (uint64_t)SUMMED_BYTES * SUMMED_PARTS ? n : (uint64_t)SUMMED_BYTES * SUMMED_PARTS};
		size_t parts = (size_t)((s.n + SUMMED_BYTES - 1) / SUMMED_BYTES);
		runner->run(runner, parts, sum_piece, &s);
		for (size_t part = 0; part < parts; part++) crc = crc32c_joined(crc, s.crcs[part], part_size(&s, part));
		bytes += s.n;
		n -= s.n;
	}
	return crc;
}

static const char *bytes_fault(const struct segment *s, struct runner *runner, const char **ret_section)
{
	for (int i = 0; i < SEGMENT_SECTIONS; i++) {
		const struct segment_place *p = &s->header.place[i];
		uint64_t padded = segment_padded(p->size);
		const uint8_t *start = s->bytes + p->offset;
		*ret_section = segment_section_name((enum segment_section)i);
		if (crc_of(start, padded, runner) != p->crc) return "does not match its checksum";
		for (uint64_t at = p->size; at < padded; at++)
			if (start[at]) return "has bytes after its end";
	}
	return NULL;
}

static const char *ids_fault(const struct segment *s, const char **ret_section)
{
	const uint64_t *ids = (const uint64_t *)section(s, SECTION_IDS);
	const struct packed perm = segment_by_id(s);

	/* Strictly ascending ids at n places below n: then no row stands twice, so it is a permutation and the ids are distinct. */
	*ret_section = "PERM";
#ifndef GROVE_PLANT_SEGMENT /* for the fuzzer's own test: without this check a lookup reads outside the file */
	for (uint32_t i = 0; i < s->header.n; i++)
		if (packed_at(&perm, i) >= s->header.n) return "names a row that is not there";
#endif
	for (uint32_t i = 1; i < s->header.n; i++)
		if (ids[packed_at(&perm, i - 1)] >= ids[packed_at(&perm, i)]) return "is not in order of distinct ids";
	return NULL;
}

static const char *sequences_fault(const struct segment *s, const char **ret_section)
{
	uint64_t lo = s->header.first_sequence, hi = s->header.last_sequence, count;
	const struct segment_tombstone *tombstones = segment_tombstones(s, &count);

	*ret_section = "SEQS";
	for (uint32_t i = 0; i < s->header.n; i++)
		if (segment_sequence(s, i) < lo || segment_sequence(s, i) > hi) return "has a sequence out of the header's range";
	*ret_section = "TOMBSTONES";
	for (uint64_t i = 0; i < count; i++) {
		if (tombstones[i].sequence < lo || tombstones[i].sequence > hi) return "has a sequence out of the header's range";
		if (i > 0 && tombstones[i - 1].id >= tombstones[i].id) return "is not in order of distinct ids";
	}
	return NULL;
}

static const char *blobs_fault(const struct segment *s, enum segment_section which, uint64_t max, const char **ret_section)
{
	const uint64_t *offsets = (const uint64_t *)section(s, which);
	uint64_t size = s->header.place[which].size, table = ((uint64_t)s->header.n + 1) * 8;

	*ret_section = segment_section_name(which);
	if (size == 0) return NULL;
	if (size < table || offsets[0] != 0 || offsets[s->header.n] != size - table) return "has offsets that do not fit its size";
	for (uint32_t i = 0; i < s->header.n; i++)
		if (offsets[i + 1] < offsets[i] || offsets[i + 1] - offsets[i] > max) return "has offsets out of order or past the limit";
	return NULL;
}

static const char *rows_fault(const struct segment *s, const char **ret_section)
{
	struct rows rows = segment_rows(s);
	size_t row_bytes = dtype_row_bytes((enum dtype)s->header.dtype, rows.dim);

	*ret_section = "NORMS";
	for (uint32_t i = 0; rows.norm2 && i < rows.n; i++)
		if (!(rows.norm2[i] >= 0)) return "has a norm that is none";
	*ret_section = "VECS";
	for (uint32_t i = 0; i < rows.n; i++) {
		const uint8_t *row = rows_row(&rows, i);
		for (size_t at = row_bytes; at < rows.stride; at++)
			if (row[at]) return "has bytes after a row's end";
	}
	return NULL;
}

static const char *codes_fault(const struct segment *s, const char **ret_section)
{
	struct ann_view ann = segment_ann(s);
	size_t size = s->header.place[SECTION_CODES].size;
	uint8_t all = 0;

	*ret_section = "CODES";
	for (size_t i = 0; i < size; i++) all |= ann.codes.base[i];
	if (all > CODE_MAX) return "has codes past their range";
	*ret_section = "SHIFTS";
	for (uint32_t i = 0; ann.forest.quant.shift && i < s->header.dim; i++)
		if (!isfinite(ann.forest.quant.shift[i])) return "has a shift that is infinite";
	*ret_section = "EFFORTS";
	return tune_check(&ann.tune) ? NULL : "has efforts that are none";
}

static const char *content_fault(const struct segment *s, struct runner *runner, const char **ret_section)
{
	const char *fault = bytes_fault(s, runner, ret_section);

	if (!fault) fault = ids_fault(s, ret_section);
	if (!fault) fault = sequences_fault(s, ret_section);
	if (!fault) fault = blobs_fault(s, SECTION_PAYLOAD, PAYLOAD_MAX, ret_section);
	if (!fault) fault = blobs_fault(s, SECTION_KEYS, KEY_MAX, ret_section);
	if (!fault) fault = rows_fault(s, ret_section);
	if (!fault) fault = codes_fault(s, ret_section);
	return fault;
}

/* Forest and graph, which need memory to be checked. */
static enum status structure_status(const struct segment *s, struct runner *runner, const char **ret_section)
{
	struct ann_view ann = segment_ann(s);

	*ret_section = "NODES";
	if (s->header.n == 0) return STATUS_OK;
	enum status status = forest_verify(&ann.forest, (enum metric)s->header.metric, s->header.dim);
	if (status != STATUS_OK) return status;
	*ret_section = "GRAPH";
	return graph_verify(&ann.graph, runner);
}

/* Whether it is the file that the manifest means. A split may share a file: its part is then a refinement of the file's. */
static const char *entry_fault(const struct segment_header *h, uint32_t header_crc, const struct shard_identity *identity,
	const struct manifest_segment *entry)
{
	if (!uuid_equal(h->shard, identity->shard)) return "belongs to another shard";
	if (h->number != entry->number) return "is another segment's file";
	if (header_crc != entry->header_crc) return "is not the file that the manifest lists";
	if (h->n != entry->rows) return "has another number of rows than the manifest says";
	if (h->metric != (uint32_t)identity->metric || h->dim != identity->dim) return "has another metric or dimension than its shard";
	if (entry->modulus % h->modulus != 0 || entry->remainder % h->modulus != h->remainder) return "holds another part of the index";
	return NULL;
}

static enum status segment_verify(struct segment *s, const char *path, const struct shard_identity *identity,
	const struct manifest_segment *entry, struct runner *runner, struct report *report)
{
	const char *advice = "restore the shard from a copy, or import its items again";
	const char *which = NULL, *fault;
	enum status status;

	if (s->size != entry->size)
		return report_set(report, STATUS_CORRUPT, "%s has %zu bytes and should have %" PRIu64 ": %s", path, s->size, entry->size, advice);
	status = segment_header_decode(s->bytes, s->size, &s->header, &fault);
	if (status == STATUS_UNSUPPORTED) return report_set(report, status, "%s has %s", path, fault);
	if (status != STATUS_OK) return report_set(report, status, "%s has %s (section header): %s", path, fault, advice);
	if ((fault = entry_fault(&s->header, load_u32(s->bytes + SEGMENT_CRC_AT), identity, entry)))
		return report_set(report, STATUS_CORRUPT, "%s %s: %s", path, fault, advice);
	if ((fault = content_fault(s, runner, &which)))
		return report_set(report, STATUS_CORRUPT, "%s: section %s %s: %s", path, which, fault, advice);
	status = structure_status(s, runner, &which);
	if (status == STATUS_CORRUPT) return report_set(report, status, "%s: section %s is no %s over its rows: %s", path, which,
		which[0] == 'N' ? "forest" : "graph", advice);
	return status == STATUS_OK ? status : report_set(report, status, "no memory to check %s", path);
}

enum status segment_open(struct io *io, const char *dir, const struct shard_identity *identity, const struct manifest_segment *entry,
	struct runner *runner, struct segment **ret, struct report *report)
{
	char name[SEGMENT_NAME_SIZE], path[STORE_PATH_MAX];
	struct io_file *file = NULL;
	struct segment *s = NULL;
	enum status status;

	segment_file_name(entry->number, name);
	if (!store_path(path, dir, name)) return report_set(report, STATUS_LIMIT, "the path %s/%s is too long", dir, name);
	s = calloc(1, sizeof *s);
	if (!s) return report_set(report, STATUS_NO_MEMORY, "no memory to open %s", path);
	s->io = io;
	status = io->ops->open(io, path, IO_READ, &file);
	if (status == STATUS_NOT_FOUND) {
		status = report_set(report, STATUS_CORRUPT, "%s is missing, but the manifest lists it: restore the shard from a copy", path);
		goto out;
	}
	if (status == STATUS_OK) status = io->ops->map(io, file, &s->bytes, &s->size);
	if (status != STATUS_OK) {
		status = report_set(report, status, "%s could not be read: %s", path, io_last_error());
		goto out;
	}
	require((uintptr_t)s->bytes % 64 == 0); /* the kernels' and the arrays' alignment; a mapping has the page's */
	status = segment_verify(s, path, identity, entry, runner, report);
	if (status != STATUS_OK) goto out;
	const struct segment_header *h = &s->header;
	s->info = (struct segment_info){.number = h->number, .epoch = h->epoch, .seed = h->seed, .first_sequence = h->first_sequence,
		.last_sequence = h->last_sequence, .file_size = h->file_size, .n = h->n, .trees = h->trees, .modulus = h->modulus,
		.remainder = h->remainder};
	struct rows rows = segment_rows(s);
	status = sliced_make(&rows, &s->sliced);
	if (status != STATUS_OK) {
		report_set(report, status, "no memory to open %s", path);
		goto out;
	}
	*ret = s;
	s = NULL;
out:
	if (file) io->ops->close(io, &file);
	segment_close(&s);
	return status;
}

void segment_close(struct segment **segment)
{
	struct segment *s = *segment;

	if (!s) return;
	if (s->bytes) s->io->ops->unmap(s->io, s->bytes, s->size);
	sliced_free(&s->sliced);
	free(s);
	*segment = NULL;
}

const struct segment_info *segment_info(const struct segment *s)
{
	return &s->info;
}

struct rows segment_rows(const struct segment *s)
{
	const struct segment_header *h = &s->header;

	return (struct rows){
		.metric = (enum metric)h->metric,
		.dim = h->dim,
		.n = h->n,
		.stride = h->stride,
		.base = section(s, SECTION_VECS),
		.norm2 = h->place[SECTION_NORMS].size ? (const float *)section(s, SECTION_NORMS) : NULL,
		.ids = (const uint64_t *)section(s, SECTION_IDS),
		.sliced = s->sliced,
	};
}

struct ann_view segment_ann(const struct segment *s)
{
	const struct segment_header *h = &s->header;
	uint32_t row_width = packed_row_width(h->n);
	struct quant quant = {h->quant.low, h->quant.scale, h->codes == CODES_SHIFTED ? (const float *)section(s, SECTION_SHIFTS) : NULL};
	struct ann_view ann = {
		.forest = {
			.n = h->n,
			.trees = h->trees,
			.nodes = h->nodes,
			.dirs = h->dirs,
			.roots = (const uint32_t *)section(s, SECTION_ROOTS),
			.node = (const struct forest_node *)section(s, SECTION_NODES),
			.dir_of = (const uint32_t *)section(s, SECTION_DIR_OF),
			.dir = (const int8_t *)section(s, SECTION_DIRS),
			.dir_size = h->dir_size,
			.order = {section(s, SECTION_ORDER), row_width},
			.renumbered = true,
			.dot_max_norm2 = h->dot_max_norm2,
			.quant = quant,
		},
		.codes = {(enum metric)h->metric, quant_stride((enum metric)h->metric, h->dim), h->codes ? section(s, SECTION_CODES) : NULL},
		.tune = {h->efforts, (const struct tune_effort *)section(s, SECTION_EFFORTS)},
	};

	if (h->edges) ann.graph = (struct graph_view){h->n, h->edges, (const uint32_t *)section(s, SECTION_GRAPH),
		{section(s, SECTION_EDGES), row_width}};
	return ann;
}

uint64_t segment_sequence(const struct segment *s, uint32_t row)
{
	const struct packed sequences = {section(s, SECTION_SEQS), packed_width(s->header.last_sequence - s->header.first_sequence)};

	return s->header.first_sequence + packed_at(&sequences, row);
}

struct packed segment_by_id(const struct segment *s)
{
	return (struct packed){section(s, SECTION_PERM), packed_row_width(s->header.n)};
}

int64_t segment_find(const struct segment *s, uint64_t id)
{
	const uint64_t *ids = (const uint64_t *)section(s, SECTION_IDS);
	const struct packed perm = segment_by_id(s);
	uint32_t lo = 0, hi = s->header.n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (ids[packed_at(&perm, mid)] < id) lo = mid + 1;
		else hi = mid;
	}
	if (lo == s->header.n) return -1;
	uint64_t row = packed_at(&perm, lo);
	return ids[row] == id ? (int64_t)row : -1;
}

static struct segment_bytes blob(const struct segment *s, enum segment_section which, uint32_t row)
{
	const uint64_t *offsets = (const uint64_t *)section(s, which);

	require(row < s->header.n);
	if (s->header.place[which].size == 0 || offsets[row + 1] == offsets[row]) return (struct segment_bytes){NULL, 0};
	return (struct segment_bytes){section(s, which) + ((size_t)s->header.n + 1) * 8 + offsets[row],
		(uint32_t)(offsets[row + 1] - offsets[row])};
}

struct segment_bytes segment_payload(const struct segment *s, uint32_t row)
{
	return blob(s, SECTION_PAYLOAD, row);
}

struct segment_bytes segment_key(const struct segment *s, uint32_t row)
{
	return blob(s, SECTION_KEYS, row);
}

const struct segment_tombstone *segment_tombstones(const struct segment *s, uint64_t *ret_count)
{
	*ret_count = s->header.tombstones;
	return (const struct segment_tombstone *)section(s, SECTION_TOMBSTONES);
}

uint64_t segment_section_size(const struct segment *s, int i, const char **ret_name)
{
	*ret_name = segment_section_name((enum segment_section)i);
	return s->header.place[i].size;
}

/* A temporary file, or a segment that nobody knows. */
static bool is_stray(const char *name, const struct manifest *m)
{
	char listed[SEGMENT_NAME_SIZE];
	size_t n = strlen(name);

	if (n > 4 && strcmp(name + n - 4, ".tmp") == 0) return true;
	if (strncmp(name, "seg-", 4) != 0) return false;

	for (uint32_t i = 0; i < m->segment_count; i++) {
		segment_file_name(m->segments[i].number, listed);
		if (strcmp(name, listed) == 0) return false;
	}
	return true;
}

enum status segment_sweep(struct io *io, const char *dir, const struct manifest *m)
{
	char path[STORE_PATH_MAX], **names = NULL;
	size_t count = 0;
	enum status status = io->ops->sync_dir(io, dir); /* the manifest's name may not be durable yet, and without it nothing is a stray */

	if (status == STATUS_OK) status = io->ops->list(io, dir, &names, &count);
	for (size_t i = 0; i < count && status == STATUS_OK; i++) {
		if (!is_stray(names[i], m)) continue;
		if (!store_path(path, dir, names[i])) status = STATUS_LIMIT;
		else status = io->ops->remove(io, path);
		if (status == STATUS_NOT_FOUND || status == STATUS_DISK_FULL) status = STATUS_OK; /* to remove may need space: swept the next time */
	}
	io_names_free(&names, count);
	return status;
}
