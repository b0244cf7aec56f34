/* segment_fixture.h - the content of a segment made from a seed: rows, forest in leaf order, payloads, keys, tombstones. */
#ifndef TESTS_SEGMENT_FIXTURE_H
#define TESTS_SEGMENT_FIXTURE_H

#include "tests/unit/store_fixture.h"
#include "worker/store/segment.h"

enum { FIXTURE_ROWS_MAX = 1000, FIXTURE_TOMBSTONES = 3 };

struct some_rows {
	struct shard_identity identity;
	struct segment_content content;
	struct segment_tombstone tombstones[FIXTURE_TOMBSTONES];
	uint32_t n;
	size_t stride;
	uint8_t *base;                 /* in the order of the segment */
	uint64_t ids[FIXTURE_ROWS_MAX], sequences[FIXTURE_ROWS_MAX];
	uint8_t payload[FIXTURE_ROWS_MAX + 40]; /* row i: i % 7 bytes from i on; none for every seventh */
	char keys[FIXTURE_ROWS_MAX][8];  /* of every third id */
	struct ann *ann;
};

static inline const void *some_row(void *arg, uint32_t i)
{
	struct some_rows *s = arg;

	return s->base + i * s->stride;
}

static inline struct segment_bytes some_payload(void *arg, uint32_t i)
{
	struct some_rows *s = arg;

	return (struct segment_bytes){s->payload + i, i % 7};
}

static inline struct segment_bytes some_key(void *arg, uint32_t i)
{
	struct some_rows *s = arg;

	return (struct segment_bytes){(const uint8_t *)s->keys[i], s->ids[i] % 3 == 0 ? 5 : 0};
}

static inline void some_rows_free(struct some_rows **s)
{
	if (!*s) return;
	ann_free(&(*s)->ann);
	free((*s)->base);
	free(*s);
	*s = NULL;
}

static inline void rows_fill(struct some_rows *s, struct prng *p, uint8_t *rows)
{
	size_t row_bytes = dtype_row_bytes(metric_dtype(s->identity.metric), s->identity.dim);
	uint8_t raw[512];

	assert_true(row_bytes <= sizeof raw);
	for (uint32_t i = 0; i < s->n; i++) {
		if (metric_dtype(s->identity.metric) == DTYPE_BITS)
			for (size_t b = 0; b < row_bytes; b++) raw[b] = (uint8_t)prng_u64(p);
		else
			for (uint32_t d = 0; d < s->identity.dim; d++) {
				float x = (float)prng_unit(p) - 0.5f;
				memcpy(raw + 4 * (size_t)d, &x, 4);
			}
		vec_store(metric_dtype(s->identity.metric), raw, s->identity.dim, rows + i * s->stride);
	}
}

static inline float *norms_make(const struct some_rows *s, const uint8_t *rows)
{
	float *norms = malloc((s->n + 1) * sizeof *norms);

	assert_non_null(norms);
	for (uint32_t i = 0; i < s->n; i++) norms[i] = vec_norm2(s->identity.metric, rows + i * s->stride, s->identity.dim);
	return norms;
}

/* Rows by ascending id, then moved into tree 0's leaf order, as a build does. */
static inline struct some_rows *some_rows_new(enum metric metric, uint32_t dim, uint32_t n, uint32_t trees, uint64_t seed)
{
	struct some_rows *s = calloc(1, sizeof *s);
	struct prng p;

	assert_non_null(s);
	prng_seed(&p, seed);
	s->n = n;
	s->identity = (struct shard_identity){.shard = uuid_of(1), .cluster = uuid_of(2), .epoch = 3, .index_id = 9, .number = 1, .shards = 4,
		.metric = metric, .dim = dim, .trees = trees ? trees : 1, .replicas = 1, .seed = seed, .name = "shoes"};
	s->stride = rows_stride(metric, dim);
	size_t size = ((n + 1) * s->stride + 63) & ~(size_t)63;
	uint8_t *rows = aligned_alloc(64, size);
	s->base = aligned_alloc(64, size);
	assert_true(rows && s->base);
	memset(rows, 0, size);
	memset(s->base, 0, size);
	rows_fill(s, &p, rows);
	uint32_t *place = calloc(n + 1, sizeof *place);
	for (uint32_t i = 0; i < n; i++) place[i] = i;
	if (trees) {
		float *norms = norms_make(s, rows);
		uint64_t *ids = calloc(n + 1, sizeof *ids);
		struct rows view = {.metric = metric, .dim = dim, .n = n, .stride = s->stride, .base = rows, .norm2 = norms, .ids = ids};
		struct forest_params params = {.trees = trees, .seed = seed};
		assert_int_equal(ann_build(&view, &params, runner_inline(), NULL, NULL, place, &s->ann), STATUS_OK);
		s->content.ann = ann_as_view(s->ann);
		free(norms);
		free(ids);
	} else {
		s->content.ann.forest.n = n;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t to = place[i];
		memcpy(s->base + to * s->stride, rows + i * s->stride, s->stride);
		s->ids[to] = i + 1 == n ? UINT64_MAX : (uint64_t)i * i * 1000003;
		s->sequences[to] = 100 + prng_below(&p, 1000);
	}
	for (uint32_t i = 0; i < n; i++) snprintf(s->keys[i], sizeof s->keys[i], "k%04u", i % 10000);
	for (size_t i = 0; i < sizeof s->payload; i++) s->payload[i] = (uint8_t)prng_u64(&p);
	for (uint64_t i = 0; i < FIXTURE_TOMBSTONES; i++) s->tombstones[i] = (struct segment_tombstone){.id = 7 + i * 5, .sequence = 50 + i};
	free(rows);
	free(place);
	struct segment_content *c = &s->content;
	c->number = 7;
	c->epoch = 3;
	c->seed = seed;
	c->modulus = 4;
	c->remainder = 1;
	c->n = n;
	c->ids = s->ids;
	c->sequences = s->sequences;
	c->tombstones = s->tombstones;
	c->tombstone_count = FIXTURE_TOMBSTONES;
	c->row = some_row;
	c->payload = some_payload;
	c->key = some_key;
	c->arg = s;
	c->runner = runner_inline();
	return s;
}

#endif
