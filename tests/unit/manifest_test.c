/* A manifest comes back as it was stored or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/crc32c.h"
#include "common/cursor.h"
#include "tests/unit/disk_fixture.h"
#include "worker/store/manifest.h"

static const char FILE_NAME[] = "s/manifest";
static void manifest_make(struct manifest *m, uint32_t segments)
{
	memset(m, 0, sizeof *m); /* padding too: the tests compare bytes */
	m->identity = (struct shard_identity){.shard = uuid_of(1), .cluster = uuid_of(2), .epoch = 3, .index_id = UINT64_MAX, .number = 4,
		.shards = SHARDS_MAX, .metric = METRIC_DOT, .dim = DIM_MAX, .trees = TREES_MAX, .replicas = REPLICAS_MAX,
		.seed = UINT64_MAX - 1, .name = "shoes-2_of-sixty-three-bytes-abcdefghijklmnopqrstuvwxyz01234567"};
	m->sequence = 100;
	m->durable = 120;
	m->next_segment = 1000;
	m->segment_count = segments;
	for (uint32_t i = 0; i < segments; i++)
		m->segments[i] = (struct manifest_segment){.number = 10 + i, .modulus = 8, .remainder = i % 8, .size = (uint64_t)i << 40,
			.header_crc = i * 77, .rows = UINT32_MAX - i};
}

static void equal(const struct manifest *a, const struct manifest *b)
{
	assert_memory_equal(&a->identity.shard, &b->identity.shard, sizeof a->identity.shard);
	assert_memory_equal(&a->identity.cluster, &b->identity.cluster, sizeof a->identity.cluster);
	assert_true(a->identity.epoch == b->identity.epoch && a->identity.index_id == b->identity.index_id);
	assert_true(a->identity.number == b->identity.number && a->identity.shards == b->identity.shards);
	assert_true(a->identity.metric == b->identity.metric && a->identity.dim == b->identity.dim);
	assert_true(a->identity.trees == b->identity.trees && a->identity.replicas == b->identity.replicas);
	assert_true(a->identity.seed == b->identity.seed);
	assert_string_equal(a->identity.name, b->identity.name);
	assert_true(a->sequence == b->sequence && a->durable == b->durable && a->next_segment == b->next_segment);
	assert_int_equal(a->segment_count, b->segment_count);
	assert_memory_equal(a->segments, b->segments, a->segment_count * sizeof a->segments[0]);
}

static void it_comes_back_as_it_was_stored(void **state)
{
	for (uint32_t n = 0; n <= MANIFEST_SEGMENTS_MAX; n += MANIFEST_SEGMENTS_MAX / 4) {
		struct manifest m, back;
		manifest_make(&m, n);
		assert_int_equal(manifest_store(io, "s", &m, NULL), STATUS_OK);
		assert_int_equal(manifest_load(io, "s", &back, NULL), STATUS_OK);
		equal(&m, &back);
	}
}

static void a_folder_without_one_says_so(void **state)
{
	struct manifest m;
	struct report report = {0};

	memset(&m, 7, sizeof m);
	struct manifest before = m;
	assert_int_equal(manifest_load(io, "s", &m, &report), STATUS_NOT_FOUND);
	assert_non_null(strstr(report.text, FILE_NAME));
	assert_memory_equal(&m, &before, sizeof m);
}

static void is_refused(const uint8_t *bytes, size_t n)
{
	struct manifest m;
	struct report report = {0};

	memset(&m, 7, sizeof m);
	struct manifest before = m;
	file_put(io, FILE_NAME, bytes, n);
	assert_int_equal(manifest_load(io, "s", &m, &report), STATUS_CORRUPT);
	assert_non_null(strstr(report.text, FILE_NAME));
	assert_memory_equal(&m, &before, sizeof m);
}

static void one_flipped_bit_anywhere_is_found(void **state)
{
	struct manifest m;

	manifest_make(&m, 3);
	assert_int_equal(manifest_store(io, "s", &m, NULL), STATUS_OK);
	struct bytes file = file_bytes(io, FILE_NAME);
	for (size_t at = 0; at < file.n; at++) {
		for (int bit = 0; bit < 8; bit++) {
			file.at[at] ^= (uint8_t)(1 << bit);
			is_refused(file.at, file.n);
			file.at[at] ^= (uint8_t)(1 << bit);
		}
	}
	free(file.at);
}

static void every_other_length_is_refused(void **state)
{
	struct manifest m;
	uint8_t longer[4096] = {0};

	manifest_make(&m, 2);
	assert_int_equal(manifest_store(io, "s", &m, NULL), STATUS_OK);
	struct bytes file = file_bytes(io, FILE_NAME);
	memcpy(longer, file.at, file.n);
	for (size_t n = 0; n < sizeof longer; n++)
		if (n != file.n) is_refused(longer, n);
	free(file.at);
}

/* With its checksum made good, so that what lies behind it is asked. */
static void patched_is(struct bytes file, size_t at, uint32_t value, enum status want)
{
	uint32_t before = load_u32(file.at + at);
	struct manifest m;
	struct report report = {0};

	store_u32(file.at + at, value);
	store_u32(file.at + file.n - 4, crc32c(0, file.at, file.n - 4));
	file_put(io, FILE_NAME, file.at, file.n);
	assert_int_equal(manifest_load(io, "s", &m, &report), want);
	if (want != STATUS_OK) assert_true(report.text[0] != 0);
	store_u32(file.at + at, before);
}

static void fields_out_of_range_are_refused_behind_a_good_checksum(void **state)
{
	struct manifest m;

	manifest_make(&m, 2);
	assert_int_equal(manifest_store(io, "s", &m, NULL), STATUS_OK);
	struct bytes file = file_bytes(io, FILE_NAME);
	patched_is(file, 8, 2, STATUS_UNSUPPORTED);               /* version */
	patched_is(file, 12, 1, STATUS_UNSUPPORTED);              /* a required feature */
	patched_is(file, 16, 1, STATUS_OK);                       /* an optional one */
	patched_is(file, 20, (uint32_t)file.n + 1, STATUS_CORRUPT); /* size */
	patched_is(file, 72, SHARDS_MAX, STATUS_CORRUPT);         /* shard number */
	patched_is(file, 76, SHARDS_MAX + 1, STATUS_CORRUPT);     /* shards */
	patched_is(file, 80, METRIC_COUNT, STATUS_CORRUPT);
	patched_is(file, 84, DIM_MAX + 1, STATUS_CORRUPT);
	patched_is(file, 84, 0, STATUS_CORRUPT);
	patched_is(file, 88, TREES_MAX + 1, STATUS_CORRUPT);
	patched_is(file, 92, REPLICAS_MAX + 1, STATUS_CORRUPT);
	patched_is(file, 104, 0x2f2e2e2f, STATUS_CORRUPT);        /* a name like a path */
	patched_is(file, 192, 3, STATUS_CORRUPT);                 /* segment count */
	patched_is(file, 192, UINT32_MAX, STATUS_CORRUPT);
	patched_is(file, 196, 1, STATUS_CORRUPT);                 /* the zero */
	patched_is(file, 200, 11, STATUS_CORRUPT);                /* two segments of one number */
	patched_is(file, 200, 1000, STATUS_CORRUPT);              /* a segment from the future */
	patched_is(file, 208, 0, STATUS_CORRUPT);                 /* modulus */
	patched_is(file, 212, 8, STATUS_CORRUPT);                 /* remainder */
	patched_is(file, 216, 5, STATUS_OK);                      /* size: asked when the segment is opened */
	free(file.at);
}

static void one_segment_past_the_limit_is_refused_behind_a_good_checksum(void **state)
{
	struct manifest m;
	uint8_t bytes[4096];

	manifest_make(&m, MANIFEST_SEGMENTS_MAX);
	assert_int_equal(manifest_store(io, "s", &m, NULL), STATUS_OK);
	struct bytes file = file_bytes(io, FILE_NAME);
	assert_int_equal(file.n, 204 + MANIFEST_SEGMENTS_MAX * 32);
	memcpy(bytes, file.at, file.n);
	memcpy(bytes + file.n - 4, file.at + file.n - 36, 32);
	store_u64(bytes + file.n - 4, 999); /* its number */
	store_u32(bytes + 20, (uint32_t)file.n + 32);
	store_u32(bytes + 192, MANIFEST_SEGMENTS_MAX + 1);
	store_u32(bytes + file.n + 28, crc32c(0, bytes, file.n + 28));
	is_refused(bytes, file.n + 32);
	free(file.at);
}

static void what_would_be_refused_is_not_written(void **state)
{
	struct manifest m, back;
	struct report report = {0};

	manifest_make(&m, 2);
	assert_int_equal(manifest_store(io, "s", &m, NULL), STATUS_OK);
	m.segment_count = MANIFEST_SEGMENTS_MAX + 1;
	assert_int_equal(manifest_store(io, "s", &m, &report), STATUS_BAD_REQUEST);
	assert_non_null(strstr(report.text, "too many segments"));
	manifest_make(&m, 2);
	m.identity.name[0] = 0;
	assert_int_equal(manifest_store(io, "s", &m, &report), STATUS_BAD_REQUEST);
	manifest_make(&m, 2);
	assert_int_equal(manifest_load(io, "s", &back, NULL), STATUS_OK);
	equal(&m, &back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CLAIM(name) cmocka_unit_test_setup(name, folder_set_up)
		CLAIM(it_comes_back_as_it_was_stored),
		CLAIM(a_folder_without_one_says_so),
		CLAIM(one_flipped_bit_anywhere_is_found),
		CLAIM(every_other_length_is_refused),
		CLAIM(fields_out_of_range_are_refused_behind_a_good_checksum),
		CLAIM(one_segment_past_the_limit_is_refused_behind_a_good_checksum),
		CLAIM(what_would_be_refused_is_not_written),
	};

	return cmocka_run_group_tests(tests, disk_set_up, disk_tear_down);
}
