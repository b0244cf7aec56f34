/* Damage on the disk: whatever byte of a shard changed or whatever file is gone, opening it gives a stopped shard that names the file, or
 * one that holds everything. Never a wrong answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "tests/support/io_sim.h"
#include "tests/support/shard_fixture.h"
#include "worker/store/segment.h"

#define SHARD_DIR "shards/one"
enum { DIM = 6, IDS = 60, FILE_MAX = 1 << 20 };

static uint64_t test_seed(void)
{
	const char *text = getenv("GROVE_SEED");
	return text ? strtoull(text, NULL, 10) : 1;
}

static void xor_byte(struct shard_fixture *f, const char *path, uint64_t at, uint8_t bits)
{
	struct io_file *file = NULL;
	uint8_t byte;

	assert_int_equal(f->io->ops->open(f->io, path, IO_APPEND, &file), STATUS_OK);
	assert_int_equal(f->io->ops->read(f->io, file, at, &byte, 1), STATUS_OK);
	byte ^= bits;
	assert_int_equal(f->io->ops->write(f->io, file, at, &byte, 1), STATUS_OK);
	f->io->ops->close(f->io, &file);
}

static void put_file(struct shard_fixture *f, const char *path, const void *bytes, size_t n)
{
	assert_int_equal(io_replace(f->io, path, bytes, n), STATUS_OK);
}

/* A segment with some deaths in it, and a log behind it; closed in order or not. */
static void setup(struct shard_fixture *f, struct prng *p, bool clean)
{
	prng_seed3(p, test_seed(), 7, clean);
	fixture_open_sim(f, METRIC_ANGULAR, DIM);
	model_put_random(f, p, 80, IDS);
	model_delete_random(f, p, 5, IDS);
	fixture_build(f, 2);
	model_put_random(f, p, 10, IDS);
	model_delete_random(f, p, 10, IDS);
	shard_close(&f->shard, clean);
}

static void opens(struct shard_fixture *f)
{
	struct report report = {0};
	enum status status = shard_open(f->io, SHARD_DIR, &f->shard, &report);

	if (status != STATUS_OK) fprintf(stderr, "%s\n", report_text(&report));
	assert_int_equal(status, STATUS_OK);
}

/* A stopped shard: it says why to whoever asks, and does nothing. */
static void check_stopped(struct shard_fixture *f, const char *file)
{
	struct shard_report said;
	struct snapshot *snap = NULL;
	struct report why = {0};
	uint64_t id = 1;
	uint8_t result = ITEM_OK;

	shard_report(f->shard, &said);
	assert_int_equal(said.state, SHARD_STOPPED);
	assert_int_equal(said.status, STATUS_CORRUPT);
	assert_int_equal(snapshot_pin(f->shard, &snap, &why), STATUS_CORRUPT);
	assert_null(snap);
	if (!strstr(why.text, file)) fprintf(stderr, "does not name %s: %s\n", file, why.text);
	assert_non_null(strstr(why.text, file));
	assert_int_equal(fixture_write(f, WRITE_UPSERT, 1, &id, &id, &result), STATUS_STOPPED);
	assert_int_equal(result, ITEM_REJECTED);
	assert_int_equal(shard_build(f->shard, 1, 1, runner_inline(), NULL, NULL), STATUS_STOPPED);
	shard_close(&f->shard, true);
}

static void check_whole(struct shard_fixture *f, struct prng *p)
{
	opens(f);
	model_check(f, p);
	shard_close(&f->shard, true);
}

static void a_changed_bit_of_a_segment_stops_the_shard_and_names_the_file(void **state)
{
	struct shard_fixture f;
	struct prng p;
	char path[128];

	setup(&f, &p, true);
	fixture_path(&f, "seg-", path);
	uint64_t size = fixture_bytes(&f, "seg-");
	for (uint64_t at = 0; at < size; at += at < 256 ? 1 : 97) {
		uint8_t bits = (uint8_t)(1u << prng_below(&p, 8));
		xor_byte(&f, path, at, bits);
		opens(&f);
		check_stopped(&f, strrchr(path, '/') + 1);
		xor_byte(&f, path, at, bits);
	}
	check_whole(&f, &p); /* nothing was made worse meanwhile */
	fixture_close(&f);
}

static void a_changed_bit_of_a_log_closed_in_order_is_found_or_harmless(void **state)
{
	struct shard_fixture f;
	struct prng p;
	char path[128];
	uint8_t *bytes = NULL;
	size_t size = 0, stopped = 0;

	setup(&f, &p, true);
	fixture_path(&f, "wal-", path);
	assert_int_equal(io_slurp(f.io, path, FILE_MAX, &bytes, &size), STATUS_OK);
	for (uint64_t at = 0; at < size; at++) {
		struct shard_report said;
		xor_byte(&f, path, at, (uint8_t)(1u << prng_below(&p, 8)));
		opens(&f);
		shard_report(f.shard, &said);
		if (said.state == SHARD_STOPPED) {
			stopped++;
			check_stopped(&f, strrchr(path, '/') + 1);
		} else {
			model_check(&f, &p);
			shard_close(&f.shard, false);
		}
		put_file(&f, path, bytes, size);
	}
	/* All but the end mark itself, which claims the rest and whose loss loses nothing. */
	assert_true(stopped >= size - 88 && stopped < size);
	free(bytes);
	check_whole(&f, &p);
	fixture_close(&f);
}

static void a_changed_bit_of_the_manifest_is_told_by_open(void **state)
{
	struct shard_fixture f;
	struct prng p;
	uint64_t size;

	setup(&f, &p, false);
	size = fixture_bytes(&f, "manifest");
	for (uint64_t at = 0; at < size; at++) {
		struct report report = {0};
		uint8_t bits = (uint8_t)(1u << prng_below(&p, 8));
		xor_byte(&f, SHARD_DIR "/manifest", at, bits);
		enum status status = shard_open(f.io, SHARD_DIR, &f.shard, &report);
		assert_true(status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED);
		assert_null(f.shard);
		assert_non_null(strstr(report.text, "manifest"));
		xor_byte(&f, SHARD_DIR "/manifest", at, bits);
	}
	check_whole(&f, &p);
	fixture_close(&f);
}

static void a_missing_file_stops_the_shard(void **state)
{
	static const char *const begins[] = {"seg-", "wal-"};

	for (size_t i = 0; i < 2; i++) {
		struct shard_fixture f;
		struct prng p;
		char path[128];
		uint8_t *bytes = NULL;
		size_t size = 0;
		setup(&f, &p, i);
		fixture_path(&f, begins[i], path);
		assert_int_equal(io_slurp(f.io, path, FILE_MAX, &bytes, &size), STATUS_OK);
		assert_int_equal(f.io->ops->remove(f.io, path), STATUS_OK);
		opens(&f);
		check_stopped(&f, i == 0 ? strrchr(path, '/') + 1 : SHARD_DIR);
		put_file(&f, path, bytes, size); /* put back */
		free(bytes);
		check_whole(&f, &p);
		fixture_close(&f);
	}
}

static void a_file_cut_short_stops_the_shard(void **state)
{
	struct shard_fixture f;
	struct prng p;
	char path[128];
	uint8_t *bytes = NULL;
	size_t size = 0;

	setup(&f, &p, true);
	fixture_path(&f, "seg-", path);
	assert_int_equal(io_slurp(f.io, path, FILE_MAX, &bytes, &size), STATUS_OK);
	for (size_t keep = 0; keep < size; keep += 1 + size / 40) {
		put_file(&f, path, bytes, keep);
		opens(&f);
		check_stopped(&f, strrchr(path, '/') + 1);
	}
	put_file(&f, path, bytes, size);
	free(bytes);
	check_whole(&f, &p);
	fixture_close(&f);
}

static void an_older_segment_of_the_same_name_is_not_served(void **state)
{
	struct shard_fixture f[2];
	struct prng p;
	char path[128];
	uint8_t *bytes = NULL;
	size_t size = 0;

	/* Two shards with the same identity and history but for one vector. */
	for (int i = 0; i < 2; i++) {
		fixture_open_sim(&f[i], METRIC_EUCLIDEAN, DIM);
		for (uint64_t id = 0; id < 20; id++) {
			uint64_t version = id == 7 ? 100 + (uint64_t)i : id;
			fixture_put_plain(&f[i], id, version);
			model_set(&f[i], id, version, true);
		}
		fixture_build(&f[i], 2);
		shard_close(&f[i].shard, true);
	}
	prng_seed(&p, 1);
	fixture_path(&f[0], "seg-", path);
	assert_int_equal(io_slurp(f[0].io, path, FILE_MAX, &bytes, &size), STATUS_OK);
	put_file(&f[1], path, bytes, size);
	free(bytes);
	opens(&f[1]);
	check_stopped(&f[1], strrchr(path, '/') + 1);
	check_whole(&f[0], &p);
	for (int i = 0; i < 2; i++) fixture_close(&f[i]);
}

static void what_a_crash_left_is_swept_and_foreign_files_stay(void **state)
{
	static const char *const names[] = {SHARD_DIR "/seg-99.grove.tmp", SHARD_DIR "/seg-98.grove", SHARD_DIR "/notes.txt"};
	struct shard_fixture f;
	struct prng p;

	setup(&f, &p, false);
	for (size_t i = 0; i < 3; i++) put_file(&f, names[i], "left", 4);
	check_whole(&f, &p);
	for (size_t i = 0; i < 3; i++) {
		struct io_file *file = NULL;
		assert_int_equal(f.io->ops->open(f.io, names[i], IO_READ, &file), i < 2 ? STATUS_NOT_FOUND : STATUS_OK);
		f.io->ops->close(f.io, &file);
	}
	fixture_close(&f);
}

static void a_stopped_shard_can_be_destroyed(void **state)
{
	struct shard_fixture f;
	struct prng p;
	char path[128], **names = NULL;
	size_t count = 1;

	setup(&f, &p, true);
	fixture_path(&f, "seg-", path);
	xor_byte(&f, path, 5000, 1);
	opens(&f);
	check_stopped(&f, "seg-");
	assert_int_equal(shard_destroy(f.io, SHARD_DIR), STATUS_OK);
	assert_int_equal(f.io->ops->list(f.io, "shards", &names, &count), STATUS_OK);
	assert_int_equal(count, 0);
	io_names_free(&names, count);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_changed_bit_of_a_segment_stops_the_shard_and_names_the_file),
		cmocka_unit_test(a_changed_bit_of_a_log_closed_in_order_is_found_or_harmless),
		cmocka_unit_test(a_changed_bit_of_the_manifest_is_told_by_open),
		cmocka_unit_test(a_missing_file_stops_the_shard),
		cmocka_unit_test(a_file_cut_short_stops_the_shard),
		cmocka_unit_test(an_older_segment_of_the_same_name_is_not_served),
		cmocka_unit_test(what_a_crash_left_is_swept_and_foreign_files_stay),
		cmocka_unit_test(a_stopped_shard_can_be_destroyed),
	};

	log_set_level((enum log_level)(LOG_ERROR + 1)); /* every stop would be told, thousands of times */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
