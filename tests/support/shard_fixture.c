/* shard_fixture.c - see the header. Everything asserts: a fixture that cannot do its work fails the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/shard_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cursor.h"
#include "tests/support/io_sim.h"

#define SHARD_DIR "shards/one"

static struct shard_identity identity_of(const struct shard_fixture *f)
{
	struct shard_identity id = {.epoch = 7, .index_id = 3, .number = 0, .shards = 1, .metric = f->metric, .dim = f->dim, .trees = 3, .replicas = 1,
		.seed = 11, .name = "model"};

	memset(id.shard.bytes, 0x5a, 16);
	memset(id.cluster.bytes, 0xc1, 16);
	return id;
}

enum status fixture_open_on(struct shard_fixture *f, struct io *io, enum metric m, uint32_t dim)
{
	struct report report = {0};
	struct shard_identity id;
	enum status status;

	f->io = io;
	f->metric = m;
	f->dim = dim;
	id = identity_of(f);
	status = io->ops->make_dir(io, "shards");
	if (status == STATUS_OK) status = io->ops->sync_dir(io, "");
	if (status == STATUS_OK) status = shard_create(io, SHARD_DIR, &id, &report);
	if (status == STATUS_OK) status = shard_open(io, SHARD_DIR, &f->shard, &report);
	return status;
}

static void fixture_init(struct shard_fixture *f)
{
	*f = (struct shard_fixture){0};
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->ended, NULL);
}

void fixture_open_posix(struct shard_fixture *f, enum metric m, uint32_t dim)
{
	struct report report = {0};
	struct io *io = NULL;

	fixture_init(f);
	snprintf(f->folder, sizeof(f->folder), "/tmp/grove-shard-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	assert_int_equal(io_posix_open(f->folder, &io, &report), STATUS_OK);
	assert_int_equal(fixture_open_on(f, io, m, dim), STATUS_OK);
}

void fixture_open_sim(struct shard_fixture *f, enum metric m, uint32_t dim)
{
	fixture_init(f);
	f->sim = io_sim_new(1);
	assert_int_equal(fixture_open_on(f, io_sim_io(f->sim), m, dim), STATUS_OK);
}

void fixture_close(struct shard_fixture *f)
{
	shard_close(&f->shard, true);
	io_sim_free(&f->sim);
	if (f->folder[0]) {
		assert_int_equal(shard_destroy(f->io, SHARD_DIR), STATUS_OK);
		assert_int_equal(f->io->ops->remove_dir(f->io, "shards"), STATUS_OK);
		io_posix_close(&f->io);
		assert_int_equal(rmdir(f->folder), 0);
	}
	free(f->items);
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->ended);
}

void fixture_reopen(struct shard_fixture *f, bool clean)
{
	struct report report = {0};
	struct shard_report said;

	shard_close(&f->shard, clean);
	assert_int_equal(shard_open(f->io, SHARD_DIR, &f->shard, &report), STATUS_OK);
	shard_report(f->shard, &said);
	assert_int_equal(said.state, SHARD_SERVING);
}

static void build_ended(void *arg, const struct report *report, uint64_t items)
{
	struct shard_fixture *f = arg;

	pthread_mutex_lock(&f->lock);
	f->building = false;
	f->build_status = report->status;
	pthread_cond_signal(&f->ended);
	pthread_mutex_unlock(&f->lock);
}

void fixture_build_start(struct shard_fixture *f, uint32_t trees)
{
	f->building = true;
	assert_int_equal(shard_build(f->shard, trees, 11, runner_inline(), build_ended, f), STATUS_OK);
}

enum status fixture_build_wait(struct shard_fixture *f)
{
	pthread_mutex_lock(&f->lock);
	while (f->building) pthread_cond_wait(&f->ended, &f->lock);
	pthread_mutex_unlock(&f->lock);
	return f->build_status;
}

enum status fixture_build_try(struct shard_fixture *f, uint32_t trees)
{
	f->building = true;
	enum status status = shard_build(f->shard, trees, 11, runner_inline(), build_ended, f);

	if (status == STATUS_OK) return fixture_build_wait(f);
	f->building = false;
	return status;
}

void fixture_build(struct shard_fixture *f, uint32_t trees) { assert_int_equal(fixture_build_try(f, trees), STATUS_OK); }

/* ---- files ---- */

void fixture_path(struct shard_fixture *f, const char *begins, char ret[128])
{
	char **names = NULL;
	size_t count = 0, i = 0;

	assert_int_equal(f->io->ops->list(f->io, SHARD_DIR, &names, &count), STATUS_OK);
	while (i < count && strncmp(names[i], begins, strlen(begins)) != 0) i++;
	assert_true(i < count);
	snprintf(ret, 128, "%s/%s", SHARD_DIR, names[i]);
	io_names_free(&names, count);
}

uint64_t fixture_bytes(struct shard_fixture *f, const char *begins)
{
	char **names = NULL, path[128];
	size_t count = 0;
	uint64_t bytes = 0;

	assert_int_equal(f->io->ops->list(f->io, SHARD_DIR, &names, &count), STATUS_OK);
	for (size_t i = 0; i < count; i++) {
		struct io_file *file = NULL;
		uint64_t size;
		if (strncmp(names[i], begins, strlen(begins)) != 0) continue;
		snprintf(path, sizeof(path), "%s/%s", SHARD_DIR, names[i]);
		assert_int_equal(f->io->ops->open(f->io, path, IO_READ, &file), STATUS_OK);
		assert_int_equal(f->io->ops->size(f->io, file, &size), STATUS_OK);
		f->io->ops->close(f->io, &file);
		bytes += size;
	}
	io_names_free(&names, count);
	return bytes;
}

/* ---- writes ---- */

void fixture_vector(const struct shard_fixture *f, uint64_t id, uint64_t version, void *out)
{
	struct prng p;

	prng_seed3(&p, 99, id, version);
	if (f->metric == METRIC_HAMMING) {
		uint8_t *row = out;
		for (size_t i = 0; i < dtype_row_bytes(DTYPE_BITS, f->dim); i++) row[i] = (uint8_t)prng_u64(&p);
		if (f->dim % 8) row[f->dim / 8] &= (uint8_t)((1u << f->dim % 8) - 1);
		return;
	}
	/* Few values, so that there are ties and duplicates. */
	for (uint32_t i = 0; i < f->dim; i++) ((float *)out)[i] = (float)prng_below(&p, 5) - 2;
}

struct waiting { pthread_mutex_t lock; pthread_cond_t ended; bool done; };

static void write_done(struct shard_write *w)
{
	struct waiting *waiting = w->arg;

	pthread_mutex_lock(&waiting->lock);
	waiting->done = true;
	pthread_cond_signal(&waiting->ended);
	pthread_mutex_unlock(&waiting->lock);
}

static enum status submit(struct shard_fixture *f, struct shard_write *w)
{
	struct waiting waiting = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};

	w->done = write_done;
	w->arg = &waiting;
	shard_submit(f->shard, w);
	pthread_mutex_lock(&waiting.lock);
	while (!waiting.done) pthread_cond_wait(&waiting.ended, &waiting.lock);
	pthread_mutex_unlock(&waiting.lock);
	return w->report.status;
}

enum status fixture_write(struct shard_fixture *f, enum write_kind kind, uint32_t n, const uint64_t *ids, const uint64_t *versions, uint8_t *results)
{
	size_t row = dtype_row_bytes(metric_dtype(f->metric), f->dim);
	uint8_t *vectors = calloc(n + 1, row + 8), *lengths = calloc(n + 1, 4), *payloads = calloc(n + 1, 8);
	struct shard_write w = {.kind = kind, .epoch = 7, .results = results};

	assert_true(vectors && lengths && payloads);
	w.items = (struct items){.n = n, .dtype = metric_dtype(f->metric), .dim = f->dim, .ids = (const uint8_t *)ids, .vectors = vectors};
	for (uint32_t i = 0; kind == WRITE_UPSERT && i < n; i++) {
		fixture_vector(f, ids[i], versions[i], vectors + i * row);
		store_u64(payloads + 8 * i, versions[i]);
		store_u32(lengths + 4 * i, 8);
	}
	if (kind == WRITE_UPSERT) w.items.payloads = (struct blobs){n, lengths, payloads, 8 * (size_t)n};
	enum status status = submit(f, &w);
	free(vectors);
	free(lengths);
	free(payloads);
	return status;
}

static int put_key(struct shard_fixture *f, uint64_t id, uint32_t n, const char *keys, const uint32_t *sizes)
{
	size_t row = dtype_row_bytes(metric_dtype(f->metric), f->dim);
	uint8_t results[2], vectors[2 * 512];
	uint64_t ids[2] = {id, id};
	struct shard_write w = {.kind = WRITE_UPSERT, .epoch = 7, .results = results};
	int taken = 0;

	fixture_vector(f, id, 1, vectors);
	fixture_vector(f, id, 2, vectors + row);
	w.items = (struct items){.n = n, .dtype = metric_dtype(f->metric), .dim = f->dim, .ids = (const uint8_t *)ids, .vectors = vectors,
		.keys = {n, (const uint8_t *)sizes, (const uint8_t *)keys, strlen(keys)}};
	enum status status = submit(f, &w);
	for (uint32_t i = 0; i < n; i++) taken += results[i] == ITEM_OK;
	assert_true(status == (taken == (int)n ? STATUS_OK : STATUS_CONFLICT));
	return taken;
}

int fixture_put_key(struct shard_fixture *f, uint64_t id, const char *key)
{
	uint32_t size = (uint32_t)strlen(key);

	return put_key(f, id, 1, key, &size) ? ITEM_OK : ITEM_REJECTED;
}

int fixture_put_two_keys(struct shard_fixture *f, uint64_t id, const char *first, const char *second)
{
	uint32_t sizes[2] = {(uint32_t)strlen(first), (uint32_t)strlen(second)};
	char both[128];

	snprintf(both, sizeof(both), "%s%s", first, second);
	return put_key(f, id, 2, both, sizes);
}

bool fixture_has_key(struct shard_fixture *f, uint64_t id, const char *key)
{
	struct snapshot *snap = NULL;
	struct report report = {0};
	struct item_view item;

	assert_int_equal(snapshot_pin(f->shard, &snap, &report), STATUS_OK);
	bool has = snapshot_get(snap, id, &item) && item.key.size == strlen(key) && !memcmp(item.key.bytes, key, item.key.size);
	snapshot_release(&snap);
	return has;
}

static enum status put_odd(struct shard_fixture *f, uint64_t id, uint64_t epoch, uint32_t dim)
{
	uint8_t result, vector[2048] = {0};
	struct shard_write w = {.kind = WRITE_UPSERT, .epoch = epoch, .results = &result,
		.items = {.n = 1, .dtype = metric_dtype(f->metric), .dim = dim, .ids = (const uint8_t *)&id, .vectors = vector}};
	enum status status = submit(f, &w);

	assert_int_equal(result, ITEM_REJECTED);
	return status;
}

enum status fixture_put_epoch(struct shard_fixture *f, uint64_t id, uint64_t epoch) { return put_odd(f, id, epoch, f->dim); }
enum status fixture_put_dim(struct shard_fixture *f, uint64_t id, uint32_t dim) { return put_odd(f, id, 7, dim); }

void fixture_put_plain(struct shard_fixture *f, uint64_t id, uint64_t version)
{
	uint8_t result;

	assert_int_equal(fixture_write(f, WRITE_UPSERT, 1, &id, &version, &result), STATUS_OK);
	assert_int_equal(result, ITEM_OK);
}

/* ---- the model ---- */

struct model_item *model_find(struct shard_fixture *f, uint64_t id)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->items[i].id == id) return &f->items[i];
	return NULL;
}

void model_set(struct shard_fixture *f, uint64_t id, uint64_t version, bool live)
{
	struct model_item *item = model_find(f, id);

	if (!item) {
		if (f->count == f->room) {
			f->room = f->room ? 2 * f->room : 64;
			f->items = realloc(f->items, f->room * sizeof(*f->items));
			assert_non_null(f->items);
		}
		item = &f->items[f->count++];
	}
	*item = (struct model_item){id, version, live};
}

static void write_model(struct shard_fixture *f, enum write_kind kind, uint32_t n, const uint64_t *ids)
{
	uint64_t versions[128] = {0};
	uint8_t results[128];

	assert_true(n <= 128);
	for (uint32_t i = 0; i < n; i++) versions[i] = ++f->version;
	assert_int_equal(fixture_write(f, kind, n, ids, versions, results), STATUS_OK);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(results[i], ITEM_OK);
		model_set(f, ids[i], versions[i], kind == WRITE_UPSERT);
	}
}

void model_put(struct shard_fixture *f, struct prng *p, uint64_t id) { write_model(f, WRITE_UPSERT, 1, &id); }
void model_delete(struct shard_fixture *f, uint64_t id) { write_model(f, WRITE_DELETE, 1, &id); }

static void random_ids(struct prng *p, uint32_t n, uint64_t ids, uint64_t *out)
{
	for (uint32_t i = 0; i < n; i++) out[i] = prng_below(p, (uint32_t)ids); /* the same one twice in a write, too */
}

void model_put_random(struct shard_fixture *f, struct prng *p, uint32_t n, uint64_t ids)
{
	uint64_t chosen[128] = {0};

	random_ids(p, n, ids, chosen);
	write_model(f, WRITE_UPSERT, n, chosen);
}

void model_delete_random(struct shard_fixture *f, struct prng *p, uint32_t n, uint64_t ids)
{
	uint64_t chosen[128] = {0};

	random_ids(p, n, ids, chosen);
	write_model(f, WRITE_DELETE, n, chosen);
}

void model_change_random(struct shard_fixture *f, struct prng *p, const struct model_mix *mix, uint64_t ids)
{
	uint32_t what = prng_below(p, 100);

	if (what < mix->puts)
		model_put_random(f, p, 1 + prng_below(p, 20), ids);
	else if (what < mix->deletes)
		model_delete_random(f, p, 1 + prng_below(p, 10), ids);
	else if (what < mix->builds)
		fixture_build(f, 1 + prng_below(p, 4));
	else
		fixture_reopen(f, what % 2 == 0);
}

static size_t model_live(const struct shard_fixture *f)
{
	size_t live = 0;

	for (size_t i = 0; i < f->count; i++) live += f->items[i].live;
	return live;
}

static int by_hit(const void *a, const void *b) { return hit_cmp(a, b); }

/* The truth: all distances, sorted. */
static size_t model_search(const struct shard_fixture *f, const void *query, struct hit *out)
{
	static _Alignas(64) uint8_t row[1024];
	float q = vec_norm2(f->metric, query, f->dim);
	size_t n = 0;

	for (size_t i = 0; i < f->count; i++) {
		if (!f->items[i].live) continue;
		fixture_vector(f, f->items[i].id, f->items[i].version, row);
		out[n++] = (struct hit){f->items[i].id, vec_raw(f->metric, row, vec_norm2(f->metric, row, f->dim), query, q, f->dim)};
	}
	qsort(out, n, sizeof(*out), by_hit);
	return n;
}

static void check_get(struct shard_fixture *f, struct snapshot *snap)
{
	uint8_t row[1024];
	struct item_view item;

	for (size_t i = 0; i < f->count; i++) {
		const struct model_item *m = &f->items[i];
		bool found = snapshot_get(snap, m->id, &item);
		if (found != m->live) fprintf(stderr, "id %llu, version %llu: %s\n", (unsigned long long)m->id, (unsigned long long)m->version, found ? "came back" : "lost");
		assert_int_equal(found, m->live);
		if (!found) continue;
		fixture_vector(f, m->id, m->version, row);
		assert_memory_equal(item.vector, row, dtype_row_bytes(metric_dtype(f->metric), f->dim));
		assert_int_equal(item.payload.size, 8);
		assert_int_equal(load_u64(item.payload.bytes), m->version);
	}
}

void model_check(struct shard_fixture *f, struct prng *p)
{
	static _Alignas(64) uint8_t query[1024];
	struct snapshot *snap = NULL;
	struct search_scratch *scratch = NULL;
	struct report report = {0};
	size_t live = model_live(f);
	struct hit *truth = calloc(live + 1, sizeof(*truth)), *found = calloc(live + 8, sizeof(*found));

	assert_true(truth && found);
	assert_int_equal(snapshot_pin(f->shard, &snap, &report), STATUS_OK);
	assert_int_equal(search_scratch_new(&scratch), STATUS_OK);
	assert_int_equal(snapshot_items(snap), live);
	check_get(f, snap);
	for (int i = 0; i < 6; i++) {
		struct search_spec spec = {.k = i < 3 ? 10 : (uint32_t)live + 7, .mode = i % 2 ? SEARCH_EXACT : SEARCH_FOREST, .search_k = (uint32_t)live + 1};
		struct topk top;
		struct search_work work = {0};
		memset(query, 0, sizeof(query));
		fixture_vector(f, prng_u64(p), 0, query);
		struct query q = {query, vec_norm2(f->metric, query, f->dim)};
		size_t n = model_search(f, query, truth);
		topk_init(&top, found, spec.k);
		assert_int_equal(snapshot_search(snap, &spec, &q, 1, NULL, scratch, &top, &work), STATUS_OK);
		topk_sort(&top);
		assert_int_equal(top.count, n < spec.k ? n : spec.k);
		for (size_t h = 0; h < top.count; h++) assert_int_equal(hit_cmp(&found[h], &truth[h]), 0);
		assert_int_equal(work.candidates, live);
	}
	search_scratch_free(&scratch);
	snapshot_release(&snap);
	free(truth);
	free(found);
}

void fixture_search_bytes(struct shard_fixture *f, uint8_t **ret, size_t *ret_size)
{
	enum { QUERIES = 40, K = 10 };
	static _Alignas(64) uint8_t query[1024];
	struct hit *hits = calloc(QUERIES * K, sizeof(*hits));
	struct snapshot *snap = NULL;
	struct search_scratch *scratch = NULL;
	struct report report = {0};

	assert_non_null(hits);
	assert_int_equal(snapshot_pin(f->shard, &snap, &report), STATUS_OK);
	assert_int_equal(search_scratch_new(&scratch), STATUS_OK);
	for (uint32_t i = 0; i < QUERIES; i++) {
		struct search_spec spec = {.k = K, .mode = SEARCH_FOREST, .search_k = 70};
		struct topk top;
		struct search_work work = {0};
		memset(query, 0, sizeof(query));
		fixture_vector(f, 1000000 + i, 0, query);
		struct query q = {query, vec_norm2(f->metric, query, f->dim)};
		topk_init(&top, hits + i * K, K);
		assert_int_equal(snapshot_search(snap, &spec, &q, 1, NULL, scratch, &top, &work), STATUS_OK);
		topk_sort(&top);
	}
	search_scratch_free(&scratch);
	snapshot_release(&snap);
	*ret = (uint8_t *)hits;
	*ret_size = QUERIES * K * sizeof(*hits);
}
