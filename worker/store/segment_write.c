/* segment_write.c - the sections in file order, in rounds: while all threads fill and sum the chunks of one round (segment_image.h), one of them
 * writes those of the round before. The header comes last.
 *
 * Writes follow each other in the order of the file, whatever the threads do: a file takes one writer at a time anyway, and a disk likes them so. The header
 * stands in front but is written when all checksums are there; until then the file has a temporary name and a hole in front, so half a file can never
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

struct writing {
	struct io *io;
	struct io_file *file;
	struct segment_image image;
	const struct pulse *pulse;
	uint8_t *bytes; /* of the chunks of both rounds */
	struct round rounds[2], *filled, *written; /* filled now; written now, and then `filled` is */
	uint64_t section, from; /* of the next chunk */
	enum status status;     /* of the writing */
	char error[256];        /* io's last error, which is the thread's that wrote */
};

/* ---- rounds ---- */

static void write_round(struct writing *w, const struct round *round)
{
	for (uint32_t i = 0; i < round->count && w->status == STATUS_OK; i++) {
		const struct chunk *c = &round->chunks[i];
		struct segment_place *p = &w->image.header.place[c->section];
		p->crc = crc32c_joined(p->crc, c->crc, c->n);
		w->status = pulse_stop(w->pulse) ? STATUS_CANCELLED : w->io->ops->write(w->io, w->file, p->offset + c->from, c->bytes, c->n);
	}
	if (w->status != STATUS_OK && w->status != STATUS_CANCELLED) snprintf(w->error, sizeof(w->error), "%s", io_last_error());
}

/* The first piece is taken first, and by the thread that waits for all: builds do not hold up searches with a slow disk. */
static void round_piece(void *arg, size_t piece)
{
	struct writing *w = arg;

	if (piece == 0) {
		write_round(w, w->written);
		return;
	}
	struct chunk *c = &w->filled->chunks[piece - 1];
	segment_image_fill(&w->image, c->section, c->from, c->n, c->bytes);
	c->crc = crc32c(0, c->bytes, c->n);
}

/* The next chunks of the file; none at its end. */
static void plan_round(struct writing *w, struct round *round)
{
	round->count = 0;
	while (round->count < ROUND_CHUNKS && w->section < SEGMENT_SECTIONS) {
		uint64_t padded = segment_padded(w->image.header.place[w->section].size), rest = padded - w->from;
		if (rest == 0) {
			w->section++;
			w->from = 0;
			continue;
		}
		struct chunk *c = &round->chunks[round->count++];
		*c = (struct chunk){.section = (enum segment_section)w->section, .from = w->from, .n = rest < CHUNK_BYTES ? (size_t)rest : CHUNK_BYTES, .bytes = c->bytes};
		w->from += c->n;
	}
}

static enum status write_sections(struct writing *w, struct runner *runner)
{
	w->bytes = malloc((size_t)2 * ROUND_CHUNKS * CHUNK_BYTES);
	if (!w->bytes) return STATUS_NO_MEMORY;
	for (uint32_t i = 0; i < 2 * ROUND_CHUNKS; i++) w->rounds[i / ROUND_CHUNKS].chunks[i % ROUND_CHUNKS].bytes = w->bytes + (size_t)i * CHUNK_BYTES;
	w->filled = &w->rounds[0];
	w->written = &w->rounds[1];
	do {
		struct round *other = w->written;
		plan_round(w, w->filled);
		runner->run(runner, (size_t)w->filled->count + 1, round_piece, w);
		w->written = w->filled;
		w->filled = other;
	} while (w->written->count > 0 && w->status == STATUS_OK);
	if (w->status != STATUS_OK && w->status != STATUS_CANCELLED) io_set_last_error("%s", w->error);
	return w->status;
}

/* Everything but the names. */
static enum status file_fill(struct writing *w, struct runner *runner, uint32_t *ret_header_crc)
{
	uint8_t header[SEGMENT_HEADER_SIZE];
	enum status status = write_sections(w, runner);

	if (status != STATUS_OK) return status;
	*ret_header_crc = segment_header_encode(&w->image.header, header);
	status = w->io->ops->write(w->io, w->file, 0, header, sizeof header);
	if (status == STATUS_OK) status = w->io->ops->sync(w->io, w->file);
	return status;
}

enum status segment_write(struct io *io, const char *dir, const struct shard_identity *identity, const struct segment_content *content,
	struct manifest_segment *ret, struct report *report)
{
	char name[SEGMENT_NAME_SIZE], path[STORE_PATH_MAX], temp[STORE_PATH_MAX + 8];
	const char *ours = NULL; /* what a failure leaves */
	struct writing w = {.io = io, .pulse = content->pulse};
	uint32_t header_crc = 0;
	enum status status;

	segment_file_name(content->number, name);
	if (!store_path(path, dir, name)) return report_set(report, STATUS_LIMIT, "the path %s/%s is too long", dir, name);
	snprintf(temp, sizeof temp, "%s.tmp", path);
	io->ops->phase(io, IO_PHASE_SEGMENT_WRITE);
	status = segment_image_init(&w.image, identity, content);
	if (status == STATUS_LIMIT) report_set(report, status, "%s would be larger than a file can be", path);
	if (status != STATUS_OK) goto out;
	status = io->ops->remove(io, temp); /* of a write that a crash cut short */
	if (status != STATUS_OK && status != STATUS_NOT_FOUND) goto out;
	status = io->ops->open(io, temp, IO_CREATE, &w.file);
	if (status != STATUS_OK) goto out;
	ours = temp;
	status = file_fill(&w, content->runner, &header_crc);
	if (status != STATUS_OK) goto out;
	io->ops->close(io, &w.file);
	status = io->ops->rename(io, temp, path);
	if (status != STATUS_OK) goto out;
	ours = path;
	status = io->ops->sync_dir(io, dir);
	if (status != STATUS_OK) goto out;
	ours = NULL;
	*ret = (struct manifest_segment){.number = content->number, .modulus = content->modulus, .remainder = content->remainder,
		.size = w.image.header.file_size, .header_crc = header_crc, .rows = content->n};
out:
	if (status == STATUS_NO_MEMORY) report_set(report, status, "no memory to write %s", path);
	else if (status == STATUS_CANCELLED) report_set(report, status, "%s", status_text(status));
	else if (status != STATUS_OK && status != STATUS_LIMIT) report_set(report, status, "%s could not be written: %s", path, io_last_error());
	if (w.file) io->ops->close(io, &w.file);
	if (ours && io->ops->remove(io, ours) != STATUS_OK) ours = NULL; /* segment_sweep takes it later */
	io->ops->phase(io, IO_PHASE_IDLE);
	free(w.bytes);
	segment_image_release(&w.image);
	return status;
}
