/* A log gives back exactly what was committed, cuts what was not, and refuses what it can tell is damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/crc32c.h"
#include "common/cursor.h"
#include "tests/unit/disk_fixture.h"

enum { SALT = 11, RECORDS_MAX = 64 };
static const char FIRST_FILE[] = "s/wal-00000000000000000001.log";

static int log_set_up(void **state)
{
	if (folder_set_up(state) != 0) return -1;
	assert_int_equal(wal_create(io, "s", uuid_of(1), NULL), STATUS_OK);
	return 0;
}

static enum status log_open_as(struct uuid shard, uint64_t after, uint64_t durable, struct wal **ret, struct replayed *got, struct report *report)
{
	uint64_t next = 0;
	enum status status;

	*got = (struct replayed){.last = after, .salt = SALT};
	status = wal_open(io, "s", shard, after, durable, replayed_apply, got, ret, &next, report);
	assert_false(got->wrong);
	if (status == STATUS_OK) {
		assert_int_equal(next, wal_next(*ret));
		assert_int_equal(next, wal_durable(*ret) + 1);
		assert_true(got->last == next - 1 || got->count == 0);
	}
	return status;
}

static struct wal *log_open(uint64_t after, struct replayed *got)
{
	struct wal *wal = NULL;

	assert_int_equal(log_open_as(uuid_of(1), after, 0, &wal, got, NULL), STATUS_OK);
	return wal;
}

static void group_commit(struct wal *wal, uint32_t n)
{
	assert_int_equal(records_append(wal, n, SALT), STATUS_OK);
	assert_int_equal(wal_commit(wal, NULL), STATUS_OK);
}

/* Opens, expects `last` as the last sequence, closes. */
static void log_has(uint64_t after, uint64_t last)
{
	struct replayed got;
	struct wal *wal = log_open(after, &got);

	assert_int_equal(wal_durable(wal), last);
	assert_int_equal(got.count, last > after ? last - after : 0);
	wal_close(&wal, false);
}

static void log_is_refused(uint64_t after, uint64_t durable, const char *with)
{
	struct replayed got;
	struct report report = {0};
	struct wal *wal = NULL;

	assert_int_equal(log_open_as(uuid_of(1), after, durable, &wal, &got, &report), STATUS_CORRUPT);
	assert_null(wal);
	if (!strstr(report.text, with)) fail_msg("'%s' does not speak of '%s'", report.text, with);
}

/* Groups of 1, 3, 2 and 4 records. */
static const uint32_t GROUPS[] = {1, 3, 2, 4};
enum { GROUPS_RECORDS = 10 };

static struct bytes some_log(bool clean)
{
	struct replayed got;
	struct wal *wal = log_open(0, &got);

	for (size_t i = 0; i < sizeof GROUPS / sizeof *GROUPS; i++) group_commit(wal, GROUPS[i]);
	wal_close(&wal, clean);
	return file_bytes(io, FIRST_FILE);
}

/* Where each record begins, and the end; the durable mark of each. */
struct outline { size_t n, at[RECORDS_MAX + 1]; uint64_t durable[RECORDS_MAX]; };

static struct outline outline_of(struct bytes log)
{
	struct outline o = {.at = {WAL_HEADER_SIZE}};

	while (o.at[o.n] < log.n) {
		struct wal_record r;
		size_t size;
		assert_int_equal(wal_record_decode(log.at + o.at[o.n], log.n - o.at[o.n], uuid_of(1), &r, &size), WAL_GOOD);
		o.durable[o.n] = r.durable;
		o.at[o.n + 1] = o.at[o.n] + size;
		o.n++;
	}
	return o;
}

static void a_new_log_begins_at_one_and_gives_back_what_was_committed(void **state)
{
	struct bytes log = some_log(false);

	log_has(0, GROUPS_RECORDS);
	log_has(4, GROUPS_RECORDS);
	log_has(GROUPS_RECORDS, GROUPS_RECORDS);
	free(log.at);
}

static void making_a_log_twice_keeps_the_first(void **state)
{
	struct bytes log = some_log(false);

	assert_int_equal(wal_create(io, "s", uuid_of(1), NULL), STATUS_OK);
	log_has(0, GROUPS_RECORDS);
	free(log.at);
}

static void what_was_not_committed_is_not_there(void **state)
{
	struct replayed got;
	struct wal *wal = log_open(0, &got);

	group_commit(wal, 3);
	assert_int_equal(records_append(wal, 2, SALT), STATUS_OK);
	assert_int_equal(wal_next(wal), 6);
	wal_discard(wal);
	assert_int_equal(wal_next(wal), 4);
	group_commit(wal, 1);
	assert_int_equal(records_append(wal, 2, SALT), STATUS_OK);
	wal_close(&wal, true);
	log_has(0, 4);
}

static void each_record_claims_what_was_durable_before_its_group(void **state)
{
	struct bytes log = some_log(true);
	struct outline o = outline_of(log);
	const uint64_t durable[] = {0, 1, 1, 1, 4, 4, 6, 6, 6, 6, 10};

	assert_int_equal(o.n, GROUPS_RECORDS + 1);
	for (size_t i = 0; i < o.n; i++) assert_int_equal(o.durable[i], durable[i]);
	free(log.at);
}

static void every_prefix_gives_its_whole_records_or_is_refused(void **state)
{
	const uint64_t known[] = {0, 1, 4, 7, GROUPS_RECORDS};
	struct bytes log = some_log(false);
	struct outline o = outline_of(log);

	for (size_t n = 0; n < log.n; n++) {
		uint64_t whole = 0;
		while (o.at[whole + 1] <= n) whole++;
		for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
			struct replayed got;
			struct wal *wal = NULL;
			file_put(io, FIRST_FILE, log.at, n);
			enum status status = log_open_as(uuid_of(1), 0, known[k], &wal, &got, NULL);
			assert_int_equal(status, n < WAL_HEADER_SIZE || whole < known[k] ? STATUS_CORRUPT : STATUS_OK);
			if (status == STATUS_OK) {
				assert_int_equal(got.count, whole);
				assert_int_equal(wal_bytes(wal), o.at[whole]);
			}
			wal_close(&wal, false);
		}
	}
	free(log.at);
}

static void every_prefix_of_a_file_that_others_follow_is_refused(void **state)
{
	struct replayed got;
	struct wal *wal = log_open(0, &got);

	group_commit(wal, 4);
	assert_int_equal(wal_rotate(wal, NULL), STATUS_OK);
	group_commit(wal, 2);
	wal_close(&wal, false);
	log_has(0, 6);
	struct bytes first = file_bytes(io, FIRST_FILE);
	for (size_t n = 0; n < first.n; n++) {
		file_put(io, FIRST_FILE, first.at, n);
		log_is_refused(0, 0, n < WAL_HEADER_SIZE ? FIRST_FILE : "s");
	}
	free(first.at);
}

/* What the log must give with one bit of byte `at` flipped: the bad record is refused if another claims it durable. */
static void flipped_bit_is_found(struct bytes log, const struct outline *o, size_t at)
{
	size_t bad = 0;
	uint64_t claimed = 0;
	struct replayed got;
	struct report report = {0};
	struct wal *wal = NULL;

	while (at >= WAL_HEADER_SIZE && o->at[bad + 1] <= at) bad++;
	for (size_t i = 0; i < o->n; i++)
		if (i != bad && o->durable[i] > claimed) claimed = o->durable[i];
	file_put(io, FIRST_FILE, log.at, log.n);
	enum status status = log_open_as(uuid_of(1), 0, 0, &wal, &got, &report);
	if (at < WAL_HEADER_SIZE || claimed >= bad + 1) {
		assert_int_equal(status, STATUS_CORRUPT);
		assert_non_null(strstr(report.text, FIRST_FILE));
	} else {
		assert_int_equal(status, STATUS_OK);
		assert_int_equal(got.count, bad);
	}
	wal_close(&wal, false);
}

static void one_flipped_bit_anywhere_is_found(void **state)
{
	for (int clean = 0; clean < 2; clean++) {
		assert_int_equal(log_set_up(NULL), 0);
		struct bytes log = some_log(clean);
		struct outline o = outline_of(log);
		for (size_t at = 0; at < log.n; at++) {
			for (int bit = 0; bit < 8; bit += clean ? 1 : 3) {
				log.at[at] ^= (uint8_t)(1 << bit);
				flipped_bit_is_found(log, &o, at);
				log.at[at] ^= (uint8_t)(1 << bit);
			}
		}
		free(log.at);
	}
}

static void a_clean_end_makes_all_before_it_certain(void **state)
{
	struct bytes log = some_log(true);
	struct outline o = outline_of(log);

	log.at[o.at[GROUPS_RECORDS - 1] + 30] ^= 1; /* in the last record, which no other record claims */
	file_put(io, FIRST_FILE, log.at, log.n);
	log_is_refused(0, 0, "offset");
	free(log.at);
}

static void an_end_mark_uses_up_no_sequence_and_may_stand_in_the_middle(void **state)
{
	struct replayed got;
	uint64_t size = 0;

	for (uint64_t life = 0; life < 4; life++) {
		struct wal *wal = log_open(0, &got);
		assert_int_equal(got.count, life * 2);
		group_commit(wal, 2);
		wal_close(&wal, true);
		wal = log_open(0, &got); /* nothing new: no second mark */
		size = wal_bytes(wal);
		wal_close(&wal, true);
	}
	struct bytes log = file_bytes(io, FIRST_FILE);
	assert_int_equal(log.n, size);
	assert_int_equal(outline_of(log).n, 12);
	free(log.at);
}

static void good_looking_records_after_a_torn_one_are_cut_for_good(void **state)
{
	struct bytes log = some_log(false);
	struct outline o = outline_of(log);
	struct replayed got;

	log.at[o.at[7] + 30] ^= 4; /* the second of the last group: two good ones follow */
	file_put(io, FIRST_FILE, log.at, log.n);
	struct wal *wal = log_open(0, &got);
	assert_int_equal(got.count, 7);
	assert_int_equal(wal_bytes(wal), o.at[7]);
	group_commit(wal, 1); /* of the same length as the one that was cut: what followed must not come back */
	wal_close(&wal, false);
	log_has(0, 8);
	free(log.at);
}

static void a_record_that_is_intact_but_means_nothing_is_refused(void **state)
{
	struct bytes log = some_log(false);
	struct record_room room;
	struct wal_record r = record_make(GROUPS_RECORDS + 1, SALT, &room);
	uint8_t record[600];
	struct bytes longer = {.n = log.n + wal_record_size(&r)};

	wal_record_encode(&r, uuid_of(1), record);
	record[64] = 9; /* no such kind */
	store_u32(record + 4, crc32c(0, record + 8, wal_record_size(&r) - 8));
	longer.at = malloc(longer.n);
	memcpy(longer.at, log.at, log.n);
	memcpy(longer.at + log.n, record, longer.n - log.n);
	file_put(io, FIRST_FILE, longer.at, longer.n);
	log_is_refused(0, 0, "makes no sense");
	free(longer.at);
	free(log.at);
}

static void another_shards_file_is_refused(void **state)
{
	struct bytes log = some_log(false);
	struct replayed got;
	struct report report = {0};
	struct wal *wal = NULL;

	assert_int_equal(log_open_as(uuid_of(2), 0, 0, &wal, &got, &report), STATUS_CORRUPT);
	assert_non_null(strstr(report.text, "another shard"));
	assert_int_equal(got.count, 0);
	free(log.at);
}

static void another_shards_record_ends_the_log(void **state)
{
	struct bytes log = some_log(false);
	struct outline o = outline_of(log);
	struct record_room room;

	for (size_t foreign = 0; foreign < o.n; foreign += 9) { /* the first: claimed by later ones; the last: by nobody */
		struct wal_record r = record_make(foreign + 1, SALT, &room);
		uint8_t *copy = malloc(log.n);
		memcpy(copy, log.at, log.n);
		r.durable = o.durable[foreign];
		wal_record_encode(&r, uuid_of(2), copy + o.at[foreign]);
		file_put(io, FIRST_FILE, copy, log.n);
		if (foreign == 0) log_is_refused(0, 0, "offset 64 ");
		else log_has(0, foreign);
		free(copy);
	}
	free(log.at);
}

static void an_older_copy_of_the_log_is_refused(void **state)
{
	struct replayed got;
	struct wal *wal = log_open(0, &got);

	group_commit(wal, 3);
	struct bytes old = file_bytes(io, FIRST_FILE);
	group_commit(wal, 3);
	wal_close(&wal, false);
	file_put(io, FIRST_FILE, old.at, old.n);
	log_is_refused(0, 5, "5 were durable");
	free(old.at);
}

static void a_renamed_or_missing_file_is_refused(void **state)
{
	struct replayed got;
	struct wal *wal = log_open(0, &got);

	for (int i = 0; i < 4; i++) {
		group_commit(wal, 2);
		assert_int_equal(wal_rotate(wal, NULL), STATUS_OK);
		assert_int_equal(wal_rotate(wal, NULL), STATUS_OK); /* empty: nothing to rotate */
	}
	group_commit(wal, 1);
	wal_close(&wal, false);
	log_has(0, 9);
	struct bytes third = file_bytes(io, "s/wal-00000000000000000005.log");
	struct bytes second = file_bytes(io, "s/wal-00000000000000000003.log");
	file_put(io, "s/wal-00000000000000000003.log", third.at, third.n);
	log_is_refused(0, 0, "renamed");
	assert_int_equal(io->ops->remove(io, "s/wal-00000000000000000003.log"), STATUS_OK);
	log_is_refused(0, 0, "followed by");
	file_put(io, "s/wal-00000000000000000003.log", second.at, second.n);
	log_has(0, 9);
	assert_int_equal(io->ops->remove(io, FIRST_FILE), STATUS_OK);
	log_is_refused(0, 0, "missing");
	log_is_refused(1, 0, "missing");
	log_has(2, 9);
	folder_empty(io, "s");
	log_is_refused(0, 0, "missing");
	log_is_refused(2, 0, "missing");
	free(third.at);
	free(second.at);
}

static void files_whose_records_are_all_in_segments_are_removed_unread(void **state)
{
	struct replayed got;
	struct wal *wal = log_open(0, &got);

	group_commit(wal, 2);
	assert_int_equal(wal_rotate(wal, NULL), STATUS_OK);
	group_commit(wal, 2);
	assert_int_equal(wal_rotate(wal, NULL), STATUS_OK);
	group_commit(wal, 1);
	uint64_t all = wal_bytes(wal);
	assert_int_equal(wal_remove_through(wal, 1), STATUS_OK);
	assert_int_equal(wal_bytes(wal), all);
	assert_int_equal(wal_remove_through(wal, 2), STATUS_OK);
	assert_true(wal_bytes(wal) < all);
	wal_close(&wal, true);
	file_put(io, "s/wal-00000000000000000003.log", "x", 1);
	log_is_refused(3, 0, "header");
	log_has(4, 5);
	assert_int_equal(io->ops->remove(io, "s/wal-00000000000000000003.log"), STATUS_NOT_FOUND);
	log_has(4, 5);
}

static enum status refusing_apply(void *arg, const struct wal_record *r) { return r->sequence == 3 ? STATUS_NO_MEMORY : STATUS_OK; }

static void a_failing_apply_stops_the_open(void **state)
{
	struct bytes log = some_log(false);
	struct wal *wal = NULL;
	uint64_t next = 77;

	assert_int_equal(wal_open(io, "s", uuid_of(1), 0, 0, refusing_apply, NULL, &wal, &next, NULL), STATUS_NO_MEMORY);
	assert_null(wal);
	assert_int_equal(next, 77);
	log_has(0, GROUPS_RECORDS);
	free(log.at);
}

static void records_at_the_limits_pass_and_the_buffer_is_bounded(void **state)
{
	struct replayed got;
	struct wal *wal = log_open(0, &got);
	uint8_t *big = calloc(1, (size_t)DIM_MAX * 4);
	struct wal_record r = {.epoch = 1, .kind = WAL_UPSERT, .dtype = DTYPE_F32, .dim = DIM_MAX, .vector = big, .key = big,
		.key_size = KEY_MAX, .payload = big, .payload_size = PAYLOAD_MAX};
	enum status status;

	assert_non_null(big);
	assert_int_equal(wal_record_size(&r), WAL_RECORD_MAX);
	do {
		r.sequence = wal_next(wal);
		status = wal_append(wal, &r);
	} while (status == STATUS_OK);
	assert_int_equal(status, STATUS_LIMIT);
	assert_int_equal(wal_next(wal) - 1, WAL_PENDING_MAX / WAL_RECORD_MAX);
	wal_discard(wal);
	for (int i = 0; i < 8; i++) { /* past one window of the reader */
		r.sequence = wal_next(wal);
		assert_int_equal(wal_append(wal, &r), STATUS_OK);
	}
	assert_int_equal(wal_commit(wal, NULL), STATUS_OK);
	wal_close(&wal, false);
	uint64_t next = 0;
	assert_int_equal(wal_open(io, "s", uuid_of(1), 8, 0, replayed_apply, &got, &wal, &next, NULL), STATUS_OK);
	assert_int_equal(next, 9);
	wal_close(&wal, false);
	free(big);
}

static void claims_far_beyond_the_bad_place_are_found(void **state)
{
	struct replayed got;
	struct wal *wal = log_open(0, &got);

	for (int i = 0; i < 50; i++) group_commit(wal, 600); /* more than one window of the reader */
	assert_true(wal_bytes(wal) > 2 << 20);
	wal_close(&wal, false);
	struct bytes log = file_bytes(io, FIRST_FILE);
	size_t first_groups_end = log.n / 60; /* inside the first group */
	for (size_t at = first_groups_end; at < log.n - log.n / 25; at++) log.at[at] = 0; /* only the end is intact */
	file_put(io, FIRST_FILE, log.at, log.n);
	log_is_refused(0, 0, "29400 were durable");
	free(log.at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CLAIM(name) cmocka_unit_test_setup(name, log_set_up)
		CLAIM(a_new_log_begins_at_one_and_gives_back_what_was_committed),
		CLAIM(making_a_log_twice_keeps_the_first),
		CLAIM(what_was_not_committed_is_not_there),
		CLAIM(each_record_claims_what_was_durable_before_its_group),
		CLAIM(every_prefix_gives_its_whole_records_or_is_refused),
		CLAIM(every_prefix_of_a_file_that_others_follow_is_refused),
		CLAIM(one_flipped_bit_anywhere_is_found),
		CLAIM(a_clean_end_makes_all_before_it_certain),
		CLAIM(an_end_mark_uses_up_no_sequence_and_may_stand_in_the_middle),
		CLAIM(good_looking_records_after_a_torn_one_are_cut_for_good),
		CLAIM(a_record_that_is_intact_but_means_nothing_is_refused),
		CLAIM(another_shards_file_is_refused),
		CLAIM(another_shards_record_ends_the_log),
		CLAIM(an_older_copy_of_the_log_is_refused),
		CLAIM(a_renamed_or_missing_file_is_refused),
		CLAIM(files_whose_records_are_all_in_segments_are_removed_unread),
		CLAIM(a_failing_apply_stops_the_open),
		CLAIM(records_at_the_limits_pass_and_the_buffer_is_bounded),
		CLAIM(claims_far_beyond_the_bad_place_are_found),
	};

	return cmocka_run_group_tests(tests, disk_set_up, disk_tear_down);
}
