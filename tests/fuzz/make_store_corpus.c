/* make_store_corpus.c - write the seeds of the fuzz targets wal, manifest and segment: make_store_corpus tests/fuzz/corpus. Valid
 * files of this version, each behind the byte that tells the target how to read it. The same files every time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/check.h"
#include "common/cursor.h"
#include "tests/support/io_sim.h"
#include "tests/unit/segment_fixture.h"
#include "worker/store/segment_format.h"

static const char *folder;

static void seed_write(const char *target, const char *name, uint8_t how, const void *bytes, size_t n)
{
	char path[1024];

	snprintf(path, sizeof path, "%s/%s/%s", folder, target, name);
	FILE *f = fopen(path, "wb");
	if (!f) {
		perror(path);
		exit(1);
	}
	require(fputc(how, f) != EOF && fwrite(bytes, 1, n, f) == n && fclose(f) == 0);
}

static enum status record_ignore(void *arg, const struct wal_record *r) { return STATUS_OK; }

static void log_seed(const char *name, uint32_t groups, bool clean, uint8_t how)
{
	struct io_sim *sim = io_sim_new(1);
	struct io *io = io_sim_io(sim);
	struct wal *wal = NULL;
	uint64_t next;

	require(io->ops->make_dir(io, "s") == STATUS_OK);
	require(wal_create(io, "s", uuid_of(1), NULL) == STATUS_OK);
	require(wal_open(io, "s", uuid_of(1), 0, 0, record_ignore, NULL, &wal, &next, NULL) == STATUS_OK);
	for (uint32_t i = 0; i < groups; i++) {
		require(records_append(wal, 1 + i % 3, 5) == STATUS_OK);
		require(wal_commit(wal, NULL) == STATUS_OK);
	}
	wal_close(&wal, clean);
	struct bytes b = file_bytes(io, "s/wal-00000000000000000001.log");
	seed_write("wal", name, how, b.at, b.n);
	free(b.at);
	io_sim_free(&sim);
}

static void manifest_seed(const char *name, uint32_t segments, uint8_t how)
{
	struct io_sim *sim = io_sim_new(1);
	struct io *io = io_sim_io(sim);
	struct manifest m = {.identity = {.shard = uuid_of(1), .cluster = uuid_of(2), .epoch = 1, .index_id = 1, .number = 1, .shards = 2,
		.metric = METRIC_DOT, .dim = 12, .trees = 10, .replicas = 1, .seed = 4, .name = "shoes"}, .sequence = 9, .durable = 9,
		.next_segment = 100, .segment_count = segments};

	for (uint32_t i = 0; i < segments; i++)
		m.segments[i] = (struct manifest_segment){.number = i + 1, .modulus = 2, .remainder = 1, .size = 4096, .rows = 1};
	require(io->ops->make_dir(io, "s") == STATUS_OK);
	require(manifest_store(io, "s", &m, NULL) == STATUS_OK);
	struct bytes b = file_bytes(io, "s/manifest");
	seed_write("manifest", name, how, b.at, b.n);
	free(b.at);
	io_sim_free(&sim);
}

/* Codes and a graph, though there are far fewer rows than a build gives one. */
struct little_graph { struct graph *graph; uint8_t *codes; };
static const struct tune_effort efforts[] = {{10, 30, {.9f, .8f, 0}}, {20, 50, {1, .95f, 0}}};

static void add_graph(struct some_rows *s, struct little_graph *ret)
{
	enum metric m = s->identity.metric;
	uint32_t stride = quant_stride(m, s->identity.dim);
	float *norms = norms_make(s, s->base);
	struct rows rows = {.metric = m, .dim = s->identity.dim, .n = s->n, .stride = s->stride, .base = s->base, .norm2 = norms, .ids = s->ids};
	struct ann_view *ann = &s->content.ann;

	ret->codes = aligned_alloc(CODE_ALIGN, (size_t)s->n * stride);
	require(ret->codes && quant_fit(&rows, &ann->forest.quant) == STATUS_OK);
	for (uint32_t i = 0; i < s->n; i++) quant_encode(&ann->forest.quant, m, rows.dim, rows_row(&rows, i), norms[i], ret->codes + (size_t)i * stride);
	ann->codes = (struct codes){m, stride, ret->codes};
	require(graph_build(&ann->codes, &ann->forest, runner_inline(), NULL, NULL, &ret->graph) == STATUS_OK);
	ann->graph = graph_as_view(ret->graph);
	ann->tune = (struct tune_view){2, efforts};
	free(norms);
}

/* Without the padding, as segment_fuzz.c lays it out again. */
static void segment_seed(const char *name, enum metric metric, uint32_t dim, uint32_t n, uint32_t trees, bool with_graph)
{
	struct little_graph little = {0};
	struct io_sim *sim = io_sim_new(1);
	struct io *io = io_sim_io(sim);
	struct some_rows *s = some_rows_new(metric, dim, n, trees, 5);
	struct manifest_segment entry;
	struct segment_header h;
	const char *fault;

	if (with_graph) add_graph(s, &little);
	require(io->ops->make_dir(io, "s") == STATUS_OK);
	require(segment_write(io, "s", &s->identity, &s->content, &entry, NULL) == STATUS_OK);
	struct bytes b = file_bytes(io, "s/seg-7.grove");
	require(segment_header_decode(b.at, b.n, &h, &fault) == STATUS_OK);
	uint8_t *compact = calloc(1, b.n);
	size_t at = SEGMENT_TABLE_AT + 8;
	require(compact);
	memcpy(compact, b.at, SEGMENT_TABLE_AT);
	store_u32(compact + SEGMENT_TABLE_AT, (uint32_t)h.place[SECTION_PAYLOAD].size);
	store_u32(compact + SEGMENT_TABLE_AT + 4, (uint32_t)h.place[SECTION_KEYS].size);
	for (int i = 0; i < SEGMENT_SECTIONS; at += h.place[i++].size)
		memcpy(compact + at, b.at + h.place[i].offset, h.place[i].size);
	seed_write("segment", name, 0, compact, at);
	free(compact);
	free(b.at);
	graph_free(&little.graph);
	free(little.codes);
	some_rows_free(&s);
	io_sim_free(&sim);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: make_store_corpus FOLDER (with the folders wal, manifest and segment in it)\n");
		return 2;
	}
	folder = argv[1];
	log_seed("empty", 0, false, 1);
	log_seed("one", 1, false, 1);
	log_seed("some", 5, false, 1);
	log_seed("ended", 4, true, 1);
	log_seed("ended_as_it_is", 4, true, 0);
	log_seed("after_two", 3, false, 1 | 2 << 2);
	log_seed("durable_four", 3, false, 1 | 4 << 4);
	manifest_seed("new", 0, 1);
	manifest_seed("as_it_is", 2, 0);
	manifest_seed("one", 1, 3);
	manifest_seed("full", MANIFEST_SEGMENTS_MAX, 3);
	segment_seed("empty", METRIC_EUCLIDEAN, 3, 0, 1, false);
	segment_seed("one", METRIC_ANGULAR, 2, 1, 1, false);
	segment_seed("leaves", METRIC_MANHATTAN, 3, 5, 2, false);
	segment_seed("bits", METRIC_HAMMING, 9, 70, 1, false);
	segment_seed("splits", METRIC_DOT, 2, 70, 1, false);
	segment_seed("trees", METRIC_EUCLIDEAN, 2, 70, 2, false);
	segment_seed("graph", METRIC_EUCLIDEAN, 2, 70, GRAPH_TREES_LEAST, true);
	segment_seed("little_graph", METRIC_DOT, 2, 5, GRAPH_TREES_LEAST, true);
	segment_seed("many", METRIC_HAMMING, 8, 300, 1, false);
	return 0;
}
