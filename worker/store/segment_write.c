/* segment_write.c - the sections in file order, in rounds: while all threads fill and sum the chunks of one round (segment_image.h), one of them
 * writes those of the round before. The header comes last.
 *
 * Writes follow each other in the order of the file, whatever the threads do: a file takes one writer at a time anyway, and a disk likes them so. The header
 * stands in front but is written when all checksums are there, after the efforts, which may be measured meanwhile; until then the file has a temporary name and a hole in front, so half a file can never
 * pass for a segment. Rejected: each thread writes what it filled, which on ext4 waits for one lock. */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/crc32c.h"
#include "worker/store/segment_image.h"
#include "worker/store/store_path.h"

enum { CHUNK_BYTES = 1 << 18, ROUND_CHUNKS = 8 };

/* Bytes of one section. */
struct chunk { enum segment_section section; uint64_t from; size_t n; uint32_t crc; uint8_t *bytes; /* [CHUNK_BYTES] */ };
struct round { struct chunk chunks[ROUND_CHUNKS]; uint32_t count; };

struct segment_writer {
	struct io *io;
	struct io_file *file;
	struct segment_content content;
	struct segment_image image;
	const char *dir;
	char path[STORE_PATH_MAX], temp[STORE_PATH_MAX + 8];
	const char *ours; /* what a failure leaves */
	uint8_t *bytes; /* of the chunks of both rounds */
	struct round rounds[2], *filled, *written; /* filled now; written now, and then `filled` is */
	uint64_t section, from; /* of the next chunk */
	bool complete;          /* but for the efforts and the header */
	enum status status;     /* of the writing */
	char error[256];        /* io's last error, which is the thread's that wrote */
};

/* ---- rounds ---- */

static void write_round(struct segment_writer *w, const struct round *round)
{
	for (uint32_t i = 0; i < round->count && w->status == STATUS_OK; i++) {
		const struct chunk *c = &round->chunks[i];
		struct segment_place *p = &w->image.header.place[c->section];
		p->crc = crc32c_joined(p->crc, c->crc, c->n);
		w->status = pulse_stop(w->content.pulse) ? STATUS_CANCELLED : w->io->ops->write(w->io, w->file, p->offset + c->from, c->bytes, c->n);
	}
	if (w->status != STATUS_OK && w->status != STATUS_CANCELLED) snprintf(w->error, sizeof(w->error), "%s", io_last_error());
}

/* The first piece is taken first, and by the thread that waits for all: builds do not hold up searches with a slow disk. */
static void round_piece(void *arg, size_t piece)
{
	struct segment_writer *w = arg;

	if (piece == 0) {
		write_round(w, w->written);
		return;
	}
	struct chunk *c = &w->filled->chunks[piece - 1];
	segment_image_fill(&w->image, c->section, c->from, c->n, c->bytes);
	c->crc = crc32c(0, c->bytes, c->n);
}

/* The next chunks of the file; none at its end. The efforts come last. */
static void plan_round(struct segment_writer *w, struct round *round)
{
	round->count = 0;
	while (round->count < ROUND_CHUNKS && w->section < SEGMENT_SECTIONS) {
		uint64_t padded = segment_padded(w->image.header.place[w->section].size), rest = padded - w->from;
		if (rest == 0 || w->section == SECTION_EFFORTS) {
			w->section++;
			w->from = 0;
			continue;
		}
		struct chunk *c = &round->chunks[round->count++];
		*c = (struct chunk){.section = (enum segment_section)w->section, .from = w->from, .n = rest < CHUNK_BYTES ? (size_t)rest : CHUNK_BYTES, .bytes = c->bytes};
		w->from += c->n;
	}
}

/* A round is filled, and the one before written. */
static void advance(struct segment_writer *w, struct runner *runner)
{
	struct round *other = w->written;

	plan_round(w, w->filled);
	runner->run(runner, (size_t)w->filled->count + 1, round_piece, w);
	w->written = w->filled;
	w->filled = other;
	w->complete = w->written->count == 0 || w->status != STATUS_OK;
}

static enum status rounds_init(struct segment_writer *w)
{
	w->bytes = malloc((size_t)2 * ROUND_CHUNKS * CHUNK_BYTES);
	if (!w->bytes) return STATUS_NO_MEMORY;
	for (uint32_t i = 0; i < 2 * ROUND_CHUNKS; i++) w->rounds[i / ROUND_CHUNKS].chunks[i % ROUND_CHUNKS].bytes = w->bytes + (size_t)i * CHUNK_BYTES;
	w->filled = &w->rounds[0];
	w->written = &w->rounds[1];
	return STATUS_OK;
}

/* A page at most. */
static void write_efforts(struct segment_writer *w, const struct tune_view *efforts)
{
	struct segment_header *h = &w->image.header;
	struct segment_place *p = &h->place[SECTION_EFFORTS];
	uint64_t size = (uint64_t)efforts->count * sizeof(*efforts->efforts), padded = segment_padded(p->size);

	require(segment_padded(size) == padded && padded <= CHUNK_BYTES);
	w->content.ann.tune = *efforts;
	h->efforts = efforts->count;
	p->size = size;
	if (padded == 0) return;
	struct chunk chunk = {.section = SECTION_EFFORTS, .n = (size_t)padded, .bytes = w->bytes};
	segment_image_fill(&w->image, chunk.section, 0, chunk.n, chunk.bytes);
	chunk.crc = crc32c(0, chunk.bytes, chunk.n);
	write_round(w, &(struct round){.chunks = {chunk}, .count = 1});
}

/* Everything but the names. */
static enum status file_fill(struct segment_writer *w, const struct tune_view *efforts, uint32_t *ret_header_crc)
{
	uint8_t header[SEGMENT_HEADER_SIZE];

	while (!w->complete) advance(w, w->content.runner);
	if (w->status == STATUS_OK) write_efforts(w, efforts);
	if (w->status != STATUS_OK && w->status != STATUS_CANCELLED) io_set_last_error("%s", w->error);
	if (w->status != STATUS_OK) return w->status;
	*ret_header_crc = segment_header_encode(&w->image.header, header);
	enum status status = w->io->ops->write(w->io, w->file, 0, header, sizeof header);
	if (status == STATUS_OK) status = w->io->ops->sync(w->io, w->file);
	return status;
}

/* ---- the life of a writer ---- */

void segment_writer_free(struct segment_writer **writer)
{
	struct segment_writer *w = *writer;

	if (!w) return;
	if (w->file) w->io->ops->close(w->io, &w->file);
	if (w->ours && w->io->ops->remove(w->io, w->ours) != STATUS_OK) w->ours = NULL; /* segment_sweep takes it later */
	free(w->bytes);
	segment_image_release(&w->image);
	free(w);
	*writer = NULL;
}

static void tell(const struct segment_writer *w, enum status status, struct report *report)
{
	if (status == STATUS_NO_MEMORY) report_set(report, status, "no memory to write %s", w->path);
	else if (status == STATUS_CANCELLED) report_set(report, status, "%s", status_text(status));
	else if (status != STATUS_OK && status != STATUS_LIMIT) report_set(report, status, "%s could not be written: %s", w->path, io_last_error());
}

enum status segment_writer_new(struct io *io, const char *dir, const struct shard_identity *identity, const struct segment_content *content,
	struct segment_writer **ret, struct report *report)
{
	struct segment_writer *w = calloc(1, sizeof(*w));
	char name[SEGMENT_NAME_SIZE];
	enum status status;

	if (!w) return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	*w = (struct segment_writer){.io = io, .dir = dir, .content = *content};
	segment_file_name(content->number, name);
	if (!store_path(w->path, dir, name)) {
		free(w);
		return report_set(report, STATUS_LIMIT, "the path %s/%s is too long", dir, name);
	}
	snprintf(w->temp, sizeof w->temp, "%s.tmp", w->path);
	io->ops->phase(io, IO_PHASE_SEGMENT_WRITE);
	status = segment_image_init(&w->image, identity, &w->content);
	if (status == STATUS_LIMIT) report_set(report, status, "%s would be larger than a file can be", w->path);
	if (status == STATUS_OK) status = rounds_init(w);
	if (status != STATUS_OK) goto out;
	status = io->ops->remove(io, w->temp); /* of a write that a crash cut short */
	if (status != STATUS_OK && status != STATUS_NOT_FOUND) goto out;
	status = io->ops->open(io, w->temp, IO_CREATE, &w->file);
	if (status != STATUS_OK) goto out;
	w->ours = w->temp;
	*ret = w;
out:
	tell(w, status, report);
	if (status != STATUS_OK) segment_writer_free(&w);
	io->ops->phase(io, IO_PHASE_IDLE);
	return status;
}

bool segment_writer_step(void *writer)
{
	struct segment_writer *w = writer;

	w->io->ops->phase(w->io, IO_PHASE_SEGMENT_WRITE);
	if (!w->complete) advance(w, runner_inline());
	w->io->ops->phase(w->io, IO_PHASE_IDLE);
	return !w->complete;
}

enum status segment_writer_finish(struct segment_writer **writer, const struct tune_view *efforts, struct manifest_segment *ret, struct report *report)
{
	struct segment_writer *w = *writer;
	struct io *io = w->io;
	uint32_t header_crc = 0;

	io->ops->phase(io, IO_PHASE_SEGMENT_WRITE);
	enum status status = file_fill(w, efforts, &header_crc);
	if (status != STATUS_OK) goto out;
	io->ops->close(io, &w->file);
	status = io->ops->rename(io, w->temp, w->path);
	if (status != STATUS_OK) goto out;
	w->ours = w->path;
	status = io->ops->sync_dir(io, w->dir);
	if (status != STATUS_OK) goto out;
	w->ours = NULL;
	*ret = (struct manifest_segment){.number = w->content.number, .modulus = w->content.modulus, .remainder = w->content.remainder,
		.size = w->image.header.file_size, .header_crc = header_crc, .rows = w->content.n};
out:
	tell(w, status, report);
	segment_writer_free(writer);
	io->ops->phase(io, IO_PHASE_IDLE);
	return status;
}

enum status segment_write(struct io *io, const char *dir, const struct shard_identity *identity, const struct segment_content *content,
	struct manifest_segment *ret, struct report *report)
{
	struct segment_writer *w = NULL;
	enum status status = segment_writer_new(io, dir, identity, content, &w, report);

	return status == STATUS_OK ? segment_writer_finish(&w, &content->ann.tune, ret, report) : status;
}
