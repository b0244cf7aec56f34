/* A worker's requests, without sockets: every one is answered once, and what it says is so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/cursor.h"
#include "common/log.h"
#include "tests/support/worker_bench.h"

enum { DIM = 12 };

/* ---- searches ---- */

static struct cluster_request search_of(struct uuid *shards, uint32_t shard_count, uint32_t nq, uint32_t k, const float *queries)
{
	return (struct cluster_request){
		.kind = CLUSTER_SEARCH,
		.search = {.spec = {.k = k, .mode = SEARCH_EXACT}, .nq = nq, .dtype = DTYPE_F32, .dim = DIM, .vectors = (const uint8_t *)queries,
			.shard_count = shard_count, .shards = shards},
	};
}

static float *some_queries(uint32_t nq)
{
	float *queries = malloc(4 * (size_t)nq * DIM);

	assert_non_null(queries);
	for (uint32_t q = 0; q < nq; q++) bench_row(3 * q + 1, DIM, queries + (size_t)q * DIM);
	return queries;
}

/* The k best of ids first .. first + n - 1, by a full sort. */
static int by_hit(const void *a, const void *b) { return hit_cmp(a, b); }

static void same_as_a_full_sort(const struct cluster_reply *r, const float *queries, uint32_t k, uint64_t n)
{
	struct hit *all = malloc(n * sizeof(*all));
	uint64_t at = 0;
	float row[DIM];

	assert_non_null(all);
	for (uint32_t q = 0; q < r->search.nq; q++) {
		for (uint64_t id = 0; id < n; id++) {
			bench_row(id, DIM, row);
			all[id] = (struct hit){.id = id, .raw = vec_raw(METRIC_EUCLIDEAN, queries + (size_t)q * DIM, 0, row, 0, DIM)};
		}
		qsort(all, n, sizeof(*all), by_hit);
		uint32_t count = load_u32(r->search.counts + 4 * (size_t)q);
		assert_int_equal(count, n < k ? n : k);
		assert_true(load_u64(r->search.candidates + 8 * (size_t)q) == n);
		for (uint32_t i = 0; i < count; i++, at++) {
			assert_true(load_u64(r->search.ids + 8 * at) == all[i].id);
			assert_true(load_f32(r->search.raws + 4 * at) == all[i].raw);
		}
	}
	assert_true(at == r->search.total);
	free(all);
}

static void exact_answer_is_a_full_sort_however_shards_and_threads_cut_it(void **state)
{
	static const uint32_t shard_counts[] = {1, 2, 5}, query_counts[] = {1, 3, 65, 300};
	enum { ITEMS = 2500 };

	for (size_t s = 0; s < 3; s++) {
		uint32_t shards = shard_counts[s], held = 0;
		struct uuid uuids[5];
		struct bench b;
		bench_open(&b, 1);
		for (uint32_t i = 0; i < shards; i++) {
			uuids[i] = bench_make(&b, i, shards, METRIC_EUCLIDEAN, DIM);
			held += bench_fill(&b, uuids[i], i, shards, 0, ITEMS, DIM);
		}
		assert_int_equal(held, ITEMS);
		for (size_t threads = 1; threads <= 4; threads += 3) {
			bench_reopen(&b, threads);
			for (size_t c = 0; c < 4; c++) {
				uint32_t nq = query_counts[c], k = nq == 3 ? ITEMS + 10 : 10;
				float *queries = some_queries(nq);
				struct cluster_request r = search_of(uuids, shards, nq, k, queries);
				struct answer a = bench_ask(&b, &r);
				assert_int_equal(a.reply.error.status, STATUS_OK);
				same_as_a_full_sort(&a.reply, queries, k, ITEMS);
				for (uint32_t i = 0; i < nq * shards; i++) assert_int_equal(a.reply.search.answers[i], ANSWER_DONE);
				uint64_t items = 0;
				for (uint32_t i = 0; i < shards; i++) items += a.reply.search.shards[i].items;
				assert_int_equal(items, ITEMS);
				answer_release(&a);
				free(queries);
			}
		}
		bench_remove(&b);
	}
}

static void shard_that_cannot_be_searched_is_told_of_and_the_others_answer(void **state)
{
	struct bench b;
	float *queries = some_queries(2);

	bench_open(&b, 2);
	struct uuid asked[4] = {{{1}}, bench_make(&b, 0, 1, METRIC_EUCLIDEAN, DIM), bench_make(&b, 0, 1, METRIC_EUCLIDEAN, DIM + 1),
		bench_make(&b, 0, 1, METRIC_HAMMING, DIM)};
	bench_fill(&b, asked[1], 0, 1, 0, 100, DIM);
	struct cluster_request r = search_of(asked, 4, 2, 5, queries);
	struct answer a = bench_ask(&b, &r);
	static const enum status expected[4] = {STATUS_NOT_FOUND, STATUS_OK, STATUS_BAD_REQUEST, STATUS_BAD_REQUEST};
	assert_int_equal(a.reply.error.status, STATUS_OK);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(a.reply.search.shards[i].status, expected[i]);
		for (int q = 0; q < 2; q++) assert_int_equal(a.reply.search.answers[4 * q + i], i == 1 ? ANSWER_DONE : ANSWER_NONE);
	}
	same_as_a_full_sort(&a.reply, queries, 5, 100);
	answer_release(&a);

	/* None at all: an answer without hits. */
	r = search_of(asked, 1, 2, 5, queries);
	a = bench_ask(&b, &r);
	assert_int_equal(a.reply.error.status, STATUS_OK);
	assert_int_equal(a.reply.search.shards[0].status, STATUS_NOT_FOUND);
	assert_int_equal(a.reply.search.total, 0);
	answer_release(&a);
	free(queries);
	bench_remove(&b);
}

static void request_past_its_deadline_is_answered_and_not_computed(void **state)
{
	struct bench b;
	float *queries = some_queries(1);

	bench_open(&b, 1);
	struct uuid shard = bench_make(&b, 0, 1, METRIC_EUCLIDEAN, DIM);
	bench_fill(&b, shard, 0, 1, 0, 10, DIM);
	struct cluster_request r = search_of(&shard, 1, 1, 5, queries);
	r.remaining_us = UINT64_MAX;
	struct answer a = bench_ask(&b, &r);
	assert_int_equal(a.reply.error.status, STATUS_TIMEOUT);
	answer_release(&a);

	uint8_t id[8] = {99};
	r = (struct cluster_request){.kind = CLUSTER_WRITE, .remaining_us = UINT64_MAX,
		.write = {.shard = shard, .epoch = 1, .items = {.n = 1, .dtype = DTYPE_F32, .dim = DIM, .ids = id, .vectors = (uint8_t *)queries}}};
	a = bench_ask(&b, &r);
	assert_int_equal(a.reply.error.status, STATUS_TIMEOUT);
	answer_release(&a);
	r = (struct cluster_request){.kind = CLUSTER_GET, .get = {.shard = shard, .n = 1, .ids = id}};
	a = bench_ask(&b, &r);
	assert_int_equal(a.reply.get.found[0], 0);
	answer_release(&a);
	free(queries);
	bench_remove(&b);
}

/* A microsecond is over before a thread can begin: no hits, no error, and every cell says that nothing was searched. */
static void search_cut_by_its_deadline_says_so_for_every_query_and_shard(void **state)
{
	struct bench b;
	float *queries = some_queries(100);

	bench_open(&b, 2);
	struct uuid shard = bench_make(&b, 0, 1, METRIC_EUCLIDEAN, DIM);
	bench_fill(&b, shard, 0, 1, 0, 2000, DIM);
	struct cluster_request r = search_of(&shard, 1, 100, 5, queries);
	r.remaining_us = 1;
	struct answer a = bench_ask(&b, &r);
	assert_int_equal(a.reply.error.status, STATUS_OK);
	uint64_t not_done = 0;
	for (uint32_t q = 0; q < 100; q++) not_done += a.reply.search.answers[q] != ANSWER_DONE;
	assert_int_equal(not_done, 100);
	answer_release(&a);
	free(queries);
	bench_remove(&b);
}

static void margin_is_a_tenth_and_at_most_50_ms(void **state)
{
	assert_true(dispatch_deadline(1000, 0) == 1000);
	assert_true(dispatch_deadline(1000, 1000) == 1900);
	assert_true(dispatch_deadline(1000, 500000) == 451000);
	assert_true(dispatch_deadline(0, 10000000) == 9950000);
}

/* ---- items ---- */

static const uint8_t label[] = {0x81, 0xa5, 'l', 'a', 'b', 'e', 'l', 0x05}; /* {"label": 5} */

static void put_one_with_key(struct bench *b, struct uuid shard, uint64_t id, const char *key)
{
	uint8_t ids[8], key_length[4], payload_length[4];
	float row[DIM];

	store_u64(ids, id);
	store_u32(key_length, (uint32_t)strlen(key));
	store_u32(payload_length, sizeof(label));
	bench_row(id, DIM, row);
	struct cluster_request r = {
		.kind = CLUSTER_WRITE,
		.write = {.shard = shard, .epoch = 1, .kind = WRITE_UPSERT, .client = 2, .client_request = b->next_id + 1,
			.items = {.n = 1, .dtype = DTYPE_F32, .dim = DIM, .ids = ids, .vectors = (uint8_t *)row,
				.payloads = {1, payload_length, label, sizeof(label)}, .keys = {1, key_length, (const uint8_t *)key, strlen(key)}}},
	};
	struct answer a = bench_ask(b, &r);
	assert_int_equal(a.reply.error.status, STATUS_OK);
	assert_int_equal(a.reply.write.results[0], ITEM_OK);
	answer_release(&a);
}

static void item_is_got_as_it_was_put_and_only_under_its_own_key(void **state)
{
	struct bench b;
	float row[DIM];
	uint8_t ids[24], lengths[12];

	bench_open(&b, 1);
	struct uuid shard = bench_make(&b, 0, 1, METRIC_EUCLIDEAN, DIM);
	uint64_t id = item_id_of_key("shoe", 4);
	put_one_with_key(&b, shard, id, "shoe");
	for (int i = 0; i < 3; i++) store_u64(ids + 8 * i, i == 2 ? id + 1 : id);
	struct cluster_request r = {.kind = CLUSTER_GET, .get = {.shard = shard, .n = 3, .ids = ids}};
	struct answer a = bench_ask(&b, &r);
	bench_row(id, DIM, row);
	assert_int_equal(a.reply.error.status, STATUS_OK);
	assert_memory_equal(a.reply.get.found, "\1\1\0", 3);
	assert_memory_equal(a.reply.get.items.vectors, row, sizeof(row));
	struct blob_cursor payloads = {0}, keys = {0};
	struct blob payload = blobs_next(&a.reply.get.items.payloads, &payloads), key = blobs_next(&a.reply.get.items.keys, &keys);
	assert_int_equal(payload.size, sizeof(label));
	assert_memory_equal(payload.bytes, label, sizeof(label));
	assert_int_equal(key.size, 4);
	assert_memory_equal(key.bytes, "shoe", 4);
	answer_release(&a);

	/* The same id, asked for by a key that it does not have. (A coordinator would have to meet a collision of the hash.) */
	store_u32(lengths, 4);
	r = (struct cluster_request){.kind = CLUSTER_GET, .get = {.shard = shard, .n = 1, .ids = ids, .keys = {1, lengths, (const uint8_t *)"shoe", 4}}};
	a = bench_ask(&b, &r);
	assert_int_equal(a.reply.get.found[0], 1);
	answer_release(&a);
	bench_remove(&b);
}

static void a_page_holds_what_was_asked_for_and_says_where_the_next_begins(void **state)
{
	struct bench b;
	float row[DIM];

	bench_open(&b, 1);
	struct uuid shard = bench_make(&b, 0, 1, METRIC_EUCLIDEAN, DIM);
	uint64_t id = item_id_of_key("shoe", 4); /* above the others */
	put_one_with_key(&b, shard, id, "shoe");
	bench_fill(&b, shard, 0, 1, 0, 20, DIM);
	struct cluster_request r = {.kind = CLUSTER_SCAN, .scan = {.shard = shard, .from = 3, .limit = 17, .with_vector = true}};
	struct answer a = bench_ask(&b, &r);
	const struct items *items = &a.reply.scan.items;
	assert_int_equal(a.reply.error.status, STATUS_OK);
	assert_int_equal(items->n, 17);
	assert_true(a.reply.scan.more && a.reply.scan.next == id && !items->payloads.count && !items->keys.count);
	for (uint32_t i = 0; i < 17; i++) {
		assert_int_equal(load_u64(items->ids + 8 * (size_t)i), 3 + i);
		bench_row(3 + i, DIM, row);
		assert_memory_equal(items->vectors + i * sizeof(row), row, sizeof(row));
	}
	answer_release(&a);
	r.scan = (struct cluster_scan){.shard = shard, .from = id, .limit = 17, .with_payload = true};
	a = bench_ask(&b, &r);
	assert_true(items->n == 1 && items->dim == 0 && !a.reply.scan.more);
	struct blob_cursor payloads = {0}, keys = {0};
	assert_int_equal(blobs_next(&items->payloads, &payloads).size, sizeof(label));
	assert_memory_equal(blobs_next(&items->keys, &keys).bytes, "shoe", 4);
	answer_release(&a);
	r.scan = (struct cluster_scan){.shard = {{1}}, .limit = 1};
	a = bench_ask(&b, &r);
	assert_int_equal(a.reply.error.status, STATUS_NOT_FOUND);
	answer_release(&a);
	r = (struct cluster_request){.kind = CLUSTER_SCAN, .remaining_us = 1, .scan = {.shard = shard, .limit = 1}};
	a = bench_ask(&b, &r);
	assert_int_equal(a.reply.error.status, STATUS_TIMEOUT);
	answer_release(&a);
	bench_remove(&b);
}

/* More unbuilt rows than are put in order at once: the page goes through the queue more than once, and is answered. */
static void a_page_of_many_unbuilt_items_comes_in_order(void **state)
{
	enum { ITEMS = SCAN_SORT_ROWS_MAX + 20000, EACH = 20000 };
	struct bench b;

	bench_open(&b, 1);
	struct uuid shard = bench_make(&b, 0, 1, METRIC_HAMMING, 8);
	for (uint32_t done = 0; done < ITEMS; done += EACH) {
		static uint8_t ids[8 * EACH], rows[EACH];
		for (uint32_t i = 0; i < EACH; i++) store_u64(ids + 8 * (size_t)i, ITEMS + EACH - done - i);
		struct cluster_request w = {.kind = CLUSTER_WRITE,
			.write = {.shard = shard, .epoch = 1, .kind = WRITE_UPSERT, .items = {.n = EACH, .dtype = DTYPE_BITS, .dim = 8, .ids = ids, .vectors = rows}}};
		struct answer a = bench_ask(&b, &w);
		assert_int_equal(a.reply.error.status, STATUS_OK);
		answer_release(&a);
	}
	struct cluster_request r = {.kind = CLUSTER_SCAN, .scan = {.shard = shard, .from = 40000, .limit = 1000}};
	struct answer a = bench_ask(&b, &r);
	assert_int_equal(a.reply.error.status, STATUS_OK);
	assert_int_equal(a.reply.scan.items.n, 1000);
	for (uint32_t i = 0; i < 1000; i++) assert_int_equal(load_u64(a.reply.scan.items.ids + 8 * (size_t)i), 40000 + i);
	assert_true(a.reply.scan.more && a.reply.scan.next == 41000);
	answer_release(&a);
	bench_remove(&b);
}

/* 13 rows of 20,000 floats and what belongs to them fit into 1 MiB, and one more would not. */
static void a_page_ends_where_its_bytes_do(void **state)
{
	enum { WIDE = 20000, ITEMS = 300 };
	struct bench b;
	uint64_t from = 0;
	uint32_t n = 0, pages = 0;

	bench_open(&b, 1);
	struct uuid shard = bench_make(&b, 0, 1, METRIC_EUCLIDEAN, WIDE);
	for (uint32_t i = 0; i < ITEMS; i += 50) bench_fill(&b, shard, 0, 1, i, 50, WIDE);
	for (bool more = true; more; pages++) {
		struct cluster_request r = {.kind = CLUSTER_SCAN, .scan = {.shard = shard, .from = from, .limit = BATCH_ITEMS_MAX, .with_vector = true}};
		struct answer a = bench_ask(&b, &r);
		size_t each = WIDE * sizeof(float) + 16, bytes = a.reply.scan.items.n * each;
		assert_int_equal(a.reply.error.status, STATUS_OK);
		more = a.reply.scan.more;
		assert_true(bytes <= SCAN_BYTES_MAX && (!more || bytes + each > SCAN_BYTES_MAX));
		n += a.reply.scan.items.n;
		from = a.reply.scan.next;
		answer_release(&a);
	}
	assert_int_equal(n, ITEMS);
	assert_int_equal(pages, (ITEMS + 12) / 13);
	bench_remove(&b);
}

static void hits_carry_their_payloads_when_asked(void **state)
{
	struct bench b;
	float *queries = some_queries(1);

	bench_open(&b, 2);
	struct uuid shards[2] = {bench_make(&b, 0, 2, METRIC_EUCLIDEAN, DIM), bench_make(&b, 1, 2, METRIC_EUCLIDEAN, DIM)};
	for (uint32_t i = 0; i < 2; i++) bench_fill(&b, shards[i], i, 2, 0, 20, DIM);
	uint64_t id = item_id_of_key("shoe", 4);
	put_one_with_key(&b, shards[shard_of_id(id, 2)], id, "shoe");
	struct cluster_request r = search_of(shards, 2, 1, 30, queries);
	r.search.spec.with_payload = true;
	struct answer a = bench_ask(&b, &r);
	assert_int_equal(a.reply.search.total, 21);
	assert_int_equal(a.reply.search.payloads.count, 21);
	struct blob_cursor cursor = {0};
	for (uint64_t i = 0; i < 21; i++) {
		struct blob payload = blobs_next(&a.reply.search.payloads, &cursor);
		assert_int_equal(payload.size, load_u64(a.reply.search.ids + 8 * i) == id ? sizeof(label) : 0);
	}
	answer_release(&a);
	free(queries);
	bench_remove(&b);
}

static void write_to_an_unknown_shard_is_rejected(void **state)
{
	struct bench b;
	float row[DIM] = {0};
	uint8_t id[8] = {1};

	bench_open(&b, 1);
	struct cluster_request r = {.kind = CLUSTER_WRITE,
		.write = {.shard = {{9}}, .epoch = 1, .items = {.n = 1, .dtype = DTYPE_F32, .dim = DIM, .ids = id, .vectors = (uint8_t *)row}}};
	struct answer a = bench_ask(&b, &r);
	assert_int_equal(a.reply.error.status, STATUS_NOT_FOUND);
	answer_release(&a);
	bench_remove(&b);
}

/* ---- shards ---- */

static enum status open_status(struct bench *b, struct uuid shard, uint64_t index, uint32_t dim, bool create)
{
	struct cluster_request r = {
		.kind = CLUSTER_OPEN,
		.open = {.shard = shard, .number = 0, .epoch = 1, .create = create,
			.index = {.id = index, .name = "bench", .metric = METRIC_EUCLIDEAN, .dim = dim, .shards = 1, .replicas = 1, .trees = 4, .seed = 1}},
	};
	struct answer a = bench_ask(b, &r);
	enum status status = a.reply.error.status;

	answer_release(&a);
	return status;
}

static enum status drop_status(struct bench *b, struct uuid shard)
{
	struct cluster_request r = {.kind = CLUSTER_DROP, .drop = {.shard = shard, .index_id = 7}};
	struct answer a = bench_ask(b, &r);
	enum status status = a.reply.error.status;

	answer_release(&a);
	return status;
}

static void shard_is_made_once_and_never_made_anew_in_silence(void **state)
{
	struct bench b;
	struct uuid shard = uuid_new();

	bench_open(&b, 1);
	assert_int_equal(open_status(&b, shard, 7, DIM, false), STATUS_NOT_FOUND);
	assert_int_equal(open_status(&b, shard, 7, DIM, true), STATUS_OK);
	assert_int_equal(open_status(&b, shard, 7, DIM, true), STATUS_OK);
	assert_int_equal(open_status(&b, shard, 7, DIM, false), STATUS_OK);
	assert_int_equal(open_status(&b, shard, 8, DIM, true), STATUS_CONFLICT);
	assert_int_equal(open_status(&b, shard, 7, DIM + 1, true), STATUS_CONFLICT);
	bench_remove(&b);
}

static void dropped_shard_is_gone_with_its_files_and_may_be_dropped_again(void **state)
{
	struct bench b;
	struct stat folder;
	char path[128], text[UUID_TEXT_SIZE];

	bench_open(&b, 2);
	struct uuid shard = bench_make(&b, 0, 1, METRIC_EUCLIDEAN, DIM);
	bench_fill(&b, shard, 0, 1, 0, 500, DIM);
	uuid_text(shard, text);
	snprintf(path, sizeof(path), "%s/shards/%s", b.folder, text);
	assert_int_equal(stat(path, &folder), 0);
	/* Searches in flight do not keep it, and get an answer. */
	float *queries = some_queries(200);
	struct cluster_request r = search_of(&shard, 1, 200, 5, queries);
	uint64_t ids[20];
	for (int i = 0; i < 20; i++) {
		r.remaining_us = REMAINING_US;
		ids[i] = bench_send(&b, &r);
	}
	assert_int_equal(drop_status(&b, shard), STATUS_OK);
	assert_int_equal(stat(path, &folder), -1);
	for (int i = 0; i < 20; i++) {
		struct answer a = bench_wait(&b, ids[i]);
		assert_int_equal(a.reply.error.status, STATUS_OK);
		answer_release(&a);
	}
	assert_int_equal(drop_status(&b, shard), STATUS_OK);
	assert_int_equal(open_status(&b, shard, 7, DIM, false), STATUS_NOT_FOUND);
	struct shard_report *reports;
	uint32_t count;
	assert_int_equal(shard_table_reports(b.parts.table, &reports, &count), STATUS_OK);
	assert_int_equal(count, 0);
	free(queries);
	bench_remove(&b);
}

static void damaged_shard_is_reported_stopped_and_the_others_are_served(void **state)
{
	struct bench b;
	char path[160], text[UUID_TEXT_SIZE];
	struct shard_report *reports;
	uint32_t count, stopped = 0;
	float *queries = some_queries(1);

	bench_open(&b, 1);
	struct uuid shards[2] = {bench_make(&b, 0, 2, METRIC_EUCLIDEAN, DIM), bench_make(&b, 1, 2, METRIC_EUCLIDEAN, DIM)};
	uint32_t held = bench_fill(&b, shards[0], 0, 2, 0, 100, DIM);
	bench_close(&b);
	uuid_text(shards[1], text);
	snprintf(path, sizeof(path), "%s/shards/%s/manifest", b.folder, text);
	FILE *f = fopen(path, "r+");
	assert_non_null(f);
	assert_int_equal(fseek(f, 40, SEEK_SET), 0);
	int byte = fgetc(f);
	assert_int_equal(fseek(f, 40, SEEK_SET), 0);
	fputc(byte ^ 1, f);
	fclose(f);
	bench_start(&b, 1);

	assert_int_equal(shard_table_reports(b.parts.table, &reports, &count), STATUS_OK);
	assert_int_equal(count, 2);
	for (uint32_t i = 0; i < 2; i++) {
		bool bad = uuid_equal(reports[i].shard, shards[1]);
		assert_int_equal(reports[i].state, bad ? SHARD_STOPPED : SHARD_SERVING);
		if (bad) assert_int_equal(reports[i].status, STATUS_CORRUPT);
		stopped += bad;
	}
	assert_int_equal(stopped, 1);
	struct cluster_request r = search_of(shards, 2, 1, 200, queries);
	struct answer a = bench_ask(&b, &r);
	assert_int_equal(a.reply.search.total, held);
	assert_int_equal(a.reply.search.shards[1].status, STATUS_CORRUPT);
	answer_release(&a);
	/* It is not made anew over what is left of it. */
	assert_int_equal(open_status(&b, shards[1], 7, DIM, true), STATUS_CORRUPT);
	free(queries);
	bench_remove(&b);
}

static void build_answers_with_what_it_built_and_changes_no_exact_answer(void **state)
{
	struct bench b;
	float *queries = some_queries(30);

	bench_open(&b, 2);
	struct uuid shard = bench_make(&b, 0, 1, METRIC_EUCLIDEAN, DIM);
	bench_fill(&b, shard, 0, 1, 0, 1500, DIM);
	struct cluster_request r = {.kind = CLUSTER_BUILD, .build = {.shard = shard, .epoch = 1, .trees = 3, .seed = 1}};
	struct answer a = bench_ask(&b, &r);
	assert_int_equal(a.reply.error.status, STATUS_OK);
	assert_int_equal(a.reply.build.items, 1500);
	assert_int_equal(a.reply.build.trees, 3);
	answer_release(&a);
	r = search_of(&shard, 1, 30, 10, queries);
	a = bench_ask(&b, &r);
	same_as_a_full_sort(&a.reply, queries, 10, 1500);
	answer_release(&a);
	/* A budget of all items searches exactly in the forest too. */
	r = search_of(&shard, 1, 30, 10, queries);
	r.search.spec.mode = SEARCH_FOREST;
	r.search.spec.search_k = 1500;
	a = bench_ask(&b, &r);
	same_as_a_full_sort(&a.reply, queries, 10, 1500);
	answer_release(&a);
	free(queries);
	bench_remove(&b);
}

static void stopping_worker_refuses_and_answers_what_it_has(void **state)
{
	struct bench b;
	float *queries = some_queries(300);
	uint64_t ids[10];

	bench_open(&b, 1);
	struct uuid shard = bench_make(&b, 0, 1, METRIC_EUCLIDEAN, DIM);
	bench_fill(&b, shard, 0, 1, 0, 2000, DIM);
	for (int i = 0; i < 10; i++) {
		struct cluster_request r = search_of(&shard, 1, 300, 5, queries);
		ids[i] = bench_send(&b, &r);
	}
	shard_table_stop(b.parts.table);
	for (int i = 0; i < 10; i++) {
		struct answer a = bench_wait(&b, ids[i]);
		assert_int_equal(a.reply.error.status, STATUS_OK);
		if (i == 9) assert_int_equal(a.reply.search.answers[299], ANSWER_NONE);
		answer_release(&a);
	}
	struct cluster_request r = search_of(&shard, 1, 1, 5, queries);
	struct answer a = bench_ask(&b, &r);
	assert_int_equal(a.reply.search.shards[0].status, STATUS_UNAVAILABLE);
	answer_release(&a);
	free(queries);
	bench_remove(&b);
}

static void garbage_is_dropped_and_counted(void **state)
{
	struct bench b;
	static const uint8_t bytes[] = {0xff, 0x00, 0x13};

	bench_open(&b, 1);
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		struct net_message m = {.count = 1, .frames = {{bytes, n}}};
		dispatch_message(&b.dispatch, 0, &m, clock_us());
	}
	struct net_message empty = {0};
	dispatch_message(&b.dispatch, 0, &empty, clock_us());
	assert_int_equal(b.dispatch.garbage, 5);
	assert_null(replies_take(b.parts.replies));
	bench_remove(&b);
}

/* ---- answers on their way to the loop ---- */

static bool rings(const struct replies *r)
{
	struct pollfd file = {.fd = replies_fd(r), .events = POLLIN};

	return poll(&file, 1, 0) == 1;
}

static void post_one(struct replies *r, uint64_t id)
{
	struct cluster_reply answer = {.id = id, .to = CLUSTER_DROP};
	struct reply *reply = reply_new(0);

	assert_non_null(reply);
	replies_post(r, &reply, &answer);
}

static size_t take_all(struct replies *r)
{
	size_t n = 0;

	for (struct reply *at = replies_take(r), *next; at; at = next, n++) {
		next = at->next;
		reply_free(&at);
	}
	return n;
}

static void an_answer_rings_for_a_loop_that_waits_and_is_never_slept_over(void **state)
{
	struct replies *r;

	assert_int_equal(replies_new(&r), STATUS_OK);
	post_one(r, 1); /* nobody said that he is awake */
	assert_true(rings(r));
	post_one(r, 2);
	assert_int_equal(take_all(r), 2);
	assert_false(rings(r));
	replies_awake(r);
	post_one(r, 3);
	assert_false(rings(r));
	assert_false(replies_asleep(r)); /* take it first */
	assert_int_equal(take_all(r), 1);
	replies_awake(r);
	assert_true(replies_asleep(r));
	post_one(r, 4);
	assert_true(rings(r));
	replies_awake(r);
	assert_int_equal(take_all(r), 1);
	assert_false(rings(r));
	replies_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exact_answer_is_a_full_sort_however_shards_and_threads_cut_it),
		cmocka_unit_test(shard_that_cannot_be_searched_is_told_of_and_the_others_answer),
		cmocka_unit_test(request_past_its_deadline_is_answered_and_not_computed),
		cmocka_unit_test(search_cut_by_its_deadline_says_so_for_every_query_and_shard),
		cmocka_unit_test(margin_is_a_tenth_and_at_most_50_ms),
		cmocka_unit_test(item_is_got_as_it_was_put_and_only_under_its_own_key),
		cmocka_unit_test(a_page_holds_what_was_asked_for_and_says_where_the_next_begins),
		cmocka_unit_test(a_page_of_many_unbuilt_items_comes_in_order),
		cmocka_unit_test(a_page_ends_where_its_bytes_do),
		cmocka_unit_test(hits_carry_their_payloads_when_asked),
		cmocka_unit_test(write_to_an_unknown_shard_is_rejected),
		cmocka_unit_test(shard_is_made_once_and_never_made_anew_in_silence),
		cmocka_unit_test(dropped_shard_is_gone_with_its_files_and_may_be_dropped_again),
		cmocka_unit_test(damaged_shard_is_reported_stopped_and_the_others_are_served),
		cmocka_unit_test(build_answers_with_what_it_built_and_changes_no_exact_answer),
		cmocka_unit_test(stopping_worker_refuses_and_answers_what_it_has),
		cmocka_unit_test(garbage_is_dropped_and_counted),
		cmocka_unit_test(an_answer_rings_for_a_loop_that_waits_and_is_never_slept_over),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
