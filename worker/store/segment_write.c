/* segment_write.c - one pass over the sections in file order through a fixed buffer, the header last.
 *
 * Sizes are known before the first byte (payloads and keys are asked for their sizes first), so every section is written to its final
 * place and its checksum grows with it. The header stands in front but is written when all checksums are there; until
 * then the file has a temporary name and a hole in front, so half a file can never pass for a segment. */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/crc32c.h"
#include "common/cursor.h"
#include "common/limits.h"
#include "worker/store/segment_format.h"
#include "worker/store/store_path.h"

enum { SINK_ROOM = 1 << 18, PACK_AT_ONCE = 512 };

struct sink {
	struct io *io;
	struct io_file *file;
	uint8_t *bytes; /* [SINK_ROOM] */
	size_t used;
	uint64_t offset; /* in the file, of bytes[0] */
	uint32_t crc;    /* of the section at hand */
	const struct pulse *pulse;
};

static enum status sink_flush(struct sink *s)
{
	enum status status = STATUS_OK;

	if (pulse_stop(s->pulse)) return STATUS_CANCELLED;
	if (s->used) status = s->io->ops->write(s->io, s->file, s->offset, s->bytes, s->used);
	if (status != STATUS_OK) return status;
	s->offset += s->used;
	s->used = 0;
	return STATUS_OK;
}

/* `bytes` NULL: zeros. */
static enum status sink_put(struct sink *s, const void *bytes, uint64_t n)
{
	const uint8_t *from = bytes;

	while (n > 0) {
		size_t part = SINK_ROOM - s->used;
		uint8_t *to = s->bytes + s->used;
		if (part > n) part = (size_t)n;
		if (from) memcpy(to, from, part);
		else memset(to, 0, part);
		s->crc = crc32c(s->crc, to, part);
		s->used += part;
		n -= part;
		if (from) from += part;
		if (s->used == SINK_ROOM) {
			enum status status = sink_flush(s);
			if (status != STATUS_OK) return status;
		}
	}
	return STATUS_OK;
}

static int perm_cmp(const void *a, const void *b, void *ids)
{
	uint64_t x = ((const uint64_t *)ids)[*(const uint32_t *)a], y = ((const uint64_t *)ids)[*(const uint32_t *)b];

	return (x > y) - (x < y);
}

/* Packed. */
static enum status perm_new(const struct segment_content *c, uint32_t **ret)
{
	uint32_t *perm = malloc((size_t)c->n * sizeof *perm + PACKED_SPARE), width = packed_row_width(c->n);

	if (!perm) return STATUS_NO_MEMORY;
	for (uint32_t i = 0; i < c->n; i++) perm[i] = i;
	qsort_r(perm, c->n, sizeof *perm, perm_cmp, (void *)(uintptr_t)c->ids);
	for (uint32_t i = 1; i < c->n; i++) require(c->ids[perm[i - 1]] < c->ids[perm[i]]);
	for (uint32_t i = 0; i < c->n; i++) packed_put((uint8_t *)perm, width, i, perm[i]); /* never over one that is not yet read */
	memset((uint8_t *)perm + (size_t)c->n * width, 0, PACKED_SPARE);
	*ret = perm;
	return STATUS_OK;
}

typedef struct segment_bytes (*bytes_of_row)(void *arg, uint32_t i);

/* Size of a section of offsets and bytes; 0 if no row has any. */
static uint64_t blobs_size(const struct segment_content *c, bytes_of_row get, uint32_t max)
{
	uint64_t total = 0;

	if (!get) return 0;
	for (uint32_t i = 0; i < c->n; i++) {
		uint32_t size = get(c->arg, i).size;
		require(size <= max);
		total += size;
	}
	return total ? total + ((uint64_t)c->n + 1) * 8 : 0;
}

static enum status blobs_put(struct sink *s, const struct segment_content *c, bytes_of_row get)
{
	uint64_t at = 0;
	enum status status = sink_put(s, &at, 8);

	for (uint32_t i = 0; i < c->n && status == STATUS_OK; i++) {
		at += get(c->arg, i).size;
		status = sink_put(s, &at, 8);
	}
	for (uint32_t i = 0; i < c->n && status == STATUS_OK; i++) {
		struct segment_bytes b = get(c->arg, i);
		status = sink_put(s, b.bytes, b.size);
	}
	return status;
}

static enum status sequences_put(struct sink *s, const struct segment_header *h, const struct segment_content *c)
{
	uint32_t width = packed_width(h->last_sequence - h->first_sequence);
	uint8_t piece[PACK_AT_ONCE * sizeof(uint64_t)];
	enum status status = STATUS_OK;

	for (uint32_t from = 0; from < c->n && status == STATUS_OK; from += PACK_AT_ONCE) {
		uint32_t count = c->n - from < PACK_AT_ONCE ? c->n - from : PACK_AT_ONCE;
		for (uint32_t i = 0; i < count; i++) packed_put(piece, width, i, c->sequences[from + i] - h->first_sequence);
		status = sink_put(s, piece, (uint64_t)count * width);
	}
	return status == STATUS_OK ? sink_put(s, NULL, PACKED_SPARE) : status;
}

static enum status norms_put(struct sink *s, const struct segment_header *h, const struct segment_content *c)
{
	enum status status = STATUS_OK;

	for (uint32_t i = 0; i < c->n && status == STATUS_OK; i++) {
		float norm2 = vec_norm2((enum metric)h->metric, c->row(c->arg, i), h->dim);
		status = sink_put(s, &norm2, sizeof norm2);
	}
	return status;
}

static enum status vecs_put(struct sink *s, const struct segment_header *h, const struct segment_content *c)
{
	size_t row_bytes = dtype_row_bytes((enum dtype)h->dtype, h->dim);
	enum status status = STATUS_OK;

	for (uint32_t i = 0; i < c->n && status == STATUS_OK; i++) {
		status = sink_put(s, c->row(c->arg, i), row_bytes);
		if (status == STATUS_OK) status = sink_put(s, NULL, h->stride - row_bytes);
	}
	return status;
}

static enum status section_put(struct sink *s, const struct segment_header *h, const struct segment_content *c, const uint32_t *perm,
	enum segment_section section)
{
	uint64_t size = h->place[section].size;

	if (size == 0) return STATUS_OK;
	switch (section) {
	case SECTION_IDS: return sink_put(s, c->ids, size);
	case SECTION_SEQS: return sequences_put(s, h, c);
	case SECTION_PERM: return sink_put(s, perm, size);
	case SECTION_NORMS: return norms_put(s, h, c);
	case SECTION_NODES: return sink_put(s, c->ann.forest.node, size);
	case SECTION_DIR_OF: return sink_put(s, c->ann.forest.dir_of, size);
	case SECTION_DIRS: return sink_put(s, c->ann.forest.dir, size);
	case SECTION_ROOTS: return sink_put(s, c->ann.forest.roots, size);
	case SECTION_ORDER: return sink_put(s, c->ann.forest.order.bytes, size);
	case SECTION_CODES: return sink_put(s, c->ann.codes.base, size);
	case SECTION_SHIFTS: return sink_put(s, c->ann.forest.quant.shift, size);
	case SECTION_GRAPH: return sink_put(s, c->ann.graph.first, size);
	case SECTION_EDGES: return sink_put(s, c->ann.graph.to.bytes, size);
	case SECTION_EFFORTS: return sink_put(s, c->ann.tune.efforts, size);
	case SECTION_VECS: return vecs_put(s, h, c);
	case SECTION_PAYLOAD: return blobs_put(s, c, c->payload);
	case SECTION_KEYS: return blobs_put(s, c, c->key);
	case SECTION_TOMBSTONES: return sink_put(s, c->tombstones, size);
	}
	return STATUS_OK;
}

static void header_from_content(const struct shard_identity *identity, const struct segment_content *c, struct segment_header *h)
{
	uint64_t lo = UINT64_MAX, hi = 0;

	require((c->n == 0 && c->ann.forest.nodes == 0) || c->ann.forest.n == c->n);
	require(!c->ann.forest.trees || c->ann.forest.renumbered);
	require(c->modulus >= 1 && c->remainder < c->modulus);
	for (uint64_t i = 1; i < c->tombstone_count; i++) require(c->tombstones[i - 1].id < c->tombstones[i].id);
	for (uint64_t i = 0; i < (uint64_t)c->n + c->tombstone_count; i++) {
		uint64_t sequence = i < c->n ? c->sequences[i] : c->tombstones[i - c->n].sequence;
		if (sequence < lo) lo = sequence;
		if (sequence > hi) hi = sequence;
	}
	*h = (struct segment_header){
		.shard = identity->shard,
		.number = c->number,
		.epoch = c->epoch,
		.metric = (uint32_t)identity->metric,
		.dtype = (uint32_t)metric_dtype(identity->metric),
		.dim = identity->dim,
		.n = c->n,
		.trees = c->n ? c->ann.forest.trees : 0,
		.nodes = c->ann.forest.nodes,
		.dirs = c->ann.forest.dirs,
		.dir_size = c->ann.forest.dir_size,
		.stride = (uint32_t)rows_stride(identity->metric, identity->dim),
		.dot_max_norm2 = c->ann.forest.dot_max_norm2,
		.seed = c->seed,
		.first_sequence = lo == UINT64_MAX ? 0 : lo,
		.last_sequence = hi,
		.modulus = c->modulus,
		.remainder = c->remainder,
		.tombstones = c->tombstone_count,
		.quant = c->ann.forest.quant,
		.edges = c->ann.graph.edges,
		.efforts = c->ann.tune.count,
		.codes = !c->n || !c->ann.codes.base ? CODES_NONE : c->ann.forest.quant.shift ? CODES_SHIFTED : CODES_PLAIN,
	};
	h->place[SECTION_PAYLOAD].size = blobs_size(c, c->payload, PAYLOAD_MAX);
	h->place[SECTION_KEYS].size = blobs_size(c, c->key, KEY_MAX);
}

/* Everything but the names. */
static enum status file_fill(struct sink *s, struct segment_header *h, const struct segment_content *c, const uint32_t *perm,
	uint32_t *ret_header_crc)
{
	uint8_t header[SEGMENT_HEADER_SIZE];
	enum status status = STATUS_OK;

	s->offset = SEGMENT_HEADER_SIZE;
	for (int i = 0; i < SEGMENT_SECTIONS && status == STATUS_OK; i++) {
		struct segment_place *p = &h->place[i];
		require(s->offset + s->used == p->offset);
		s->crc = 0;
		status = section_put(s, h, c, perm, (enum segment_section)i);
		if (status == STATUS_OK) status = sink_put(s, NULL, segment_padded(p->size) - p->size);
		p->crc = s->crc;
	}
	if (status == STATUS_OK) status = sink_flush(s);
	if (status != STATUS_OK) return status;
	require(s->offset == h->file_size);
	*ret_header_crc = segment_header_encode(h, header);
	status = s->io->ops->write(s->io, s->file, 0, header, sizeof header);
	if (status == STATUS_OK) status = s->io->ops->sync(s->io, s->file);
	return status;
}

enum status segment_write(struct io *io, const char *dir, const struct shard_identity *identity, const struct segment_content *content,
	struct manifest_segment *ret, struct report *report)
{
	char name[SEGMENT_NAME_SIZE], path[STORE_PATH_MAX], temp[STORE_PATH_MAX + 8];
	const char *ours = NULL; /* what a failure leaves */
	struct sink sink = {.io = io, .pulse = content->pulse};
	struct segment_header header;
	uint32_t *perm = NULL, header_crc = 0;
	enum status status;

	segment_file_name(content->number, name);
	if (!store_path(path, dir, name)) return report_set(report, STATUS_LIMIT, "the path %s/%s is too long", dir, name);
	snprintf(temp, sizeof temp, "%s.tmp", path);
	header_from_content(identity, content, &header);
	if (!segment_layout(&header)) return report_set(report, STATUS_LIMIT, "%s would be larger than a file can be", path);
	io->ops->phase(io, IO_PHASE_SEGMENT_WRITE);
	status = perm_new(content, &perm);
	if (status != STATUS_OK) goto out;
	sink.bytes = malloc(SINK_ROOM);
	status = sink.bytes ? STATUS_OK : STATUS_NO_MEMORY;
	if (status != STATUS_OK) goto out;
	status = io->ops->remove(io, temp); /* of a write that a crash cut short */
	if (status != STATUS_OK && status != STATUS_NOT_FOUND) goto out;
	status = io->ops->open(io, temp, IO_CREATE, &sink.file);
	if (status != STATUS_OK) goto out;
	ours = temp;
	status = file_fill(&sink, &header, content, perm, &header_crc);
	if (status != STATUS_OK) goto out;
	io->ops->close(io, &sink.file);
	status = io->ops->rename(io, temp, path);
	if (status != STATUS_OK) goto out;
	ours = path;
	status = io->ops->sync_dir(io, dir);
	if (status != STATUS_OK) goto out;
	ours = NULL;
	*ret = (struct manifest_segment){.number = content->number, .modulus = content->modulus, .remainder = content->remainder,
		.size = header.file_size, .header_crc = header_crc, .rows = content->n};
out:
	if (status == STATUS_NO_MEMORY) report_set(report, status, "no memory to write %s", path);
	else if (status == STATUS_CANCELLED) report_set(report, status, "%s", status_text(status));
	else if (status != STATUS_OK) report_set(report, status, "%s could not be written: %s", path, io_last_error());
	if (sink.file) io->ops->close(io, &sink.file);
	if (ours && io->ops->remove(io, ours) != STATUS_OK) ours = NULL; /* segment_sweep takes it later */
	io->ops->phase(io, IO_PHASE_IDLE);
	free(sink.bytes);
	free(perm);
	return status;
}
