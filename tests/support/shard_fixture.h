/* shard_fixture.h - a shard on a disk of choice, and a plain model of what it must hold: an array, scanned from end to end. */
#ifndef TESTS_SUPPORT_SHARD_FIXTURE_H
#define TESTS_SUPPORT_SHARD_FIXTURE_H

#include <pthread.h>
#include <stdbool.h>

#include "common/io.h"
#include "common/prng.h"
#include "worker/shard.h"

/* What the model knows of one id. The vector follows from (id, version). */
struct model_item { uint64_t id, version; bool live; };

struct io_sim;

struct shard_fixture {
	struct io *io;
	char folder[64];    /* of a POSIX io of its own */
	struct io_sim *sim; /* or a simulated one */
	struct shard *shard;
	enum metric metric;
	uint32_t dim;
	struct model_item *items;
	size_t count, room;
	uint64_t version;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool building;
	enum status build_status;
};

void fixture_open_posix(struct shard_fixture *f, enum metric m, uint32_t dim);             /* a new folder under /tmp */
void fixture_open_sim(struct shard_fixture *f, enum metric m, uint32_t dim);               /* a new disk in memory, f->sim */
enum status fixture_open_on(struct shard_fixture *f, struct io *io, enum metric m, uint32_t dim); /* makes the shard on this io; keeps the model */
void fixture_close(struct shard_fixture *f);
void fixture_reopen(struct shard_fixture *f, bool clean);
void fixture_build(struct shard_fixture *f, uint32_t trees); /* must succeed */
void fixture_build_start(struct shard_fixture *f, uint32_t trees);
enum status fixture_build_wait(struct shard_fixture *f);
enum status fixture_build_try(struct shard_fixture *f, uint32_t trees); /* may fail, also to start */
/* The first file in the shard's folder whose name begins so, as a path of its io; and all such files' bytes. */
void fixture_path(struct shard_fixture *f, const char *begins, char ret[128]);
uint64_t fixture_bytes(struct shard_fixture *f, const char *begins);

/* One write, waited for. results has room for n. */
enum status fixture_write(struct shard_fixture *f, enum write_kind kind, uint32_t n, const uint64_t *ids, const uint64_t *versions, uint8_t *results);
/* The stored row of (id, version): dtype_row_bytes() bytes. */
void fixture_vector(const struct shard_fixture *f, uint64_t id, uint64_t version, void *out);

void model_put(struct shard_fixture *f, struct prng *p, uint64_t id);
void model_put_random(struct shard_fixture *f, struct prng *p, uint32_t n, uint64_t ids);
void model_delete(struct shard_fixture *f, uint64_t id);
void model_delete_random(struct shard_fixture *f, struct prng *p, uint32_t n, uint64_t ids);
/* One change of a kind that chance picks, among ids below `ids`: in `puts` of 100 cases a write of up to 20 items, up to `deletes` one of up to 10
 * deletes, up to `builds` a build, else a reopening. */
struct model_mix { uint32_t puts, deletes, builds; };
void model_change_random(struct shard_fixture *f, struct prng *p, const struct model_mix *mix, uint64_t ids);
struct model_item *model_find(struct shard_fixture *f, uint64_t id);
void model_set(struct shard_fixture *f, uint64_t id, uint64_t version, bool live);
/* Every item by get; exact searches to the bit; a search of every id for itself by the forest at full effort; counts. */
void model_check(struct shard_fixture *f, struct prng *p);

/* Special writes; their item_result or status. */
int fixture_put_key(struct shard_fixture *f, uint64_t id, const char *key);
int fixture_put_two_keys(struct shard_fixture *f, uint64_t id, const char *first, const char *second); /* how many were taken */
bool fixture_has_key(struct shard_fixture *f, uint64_t id, const char *key);
enum status fixture_put_epoch(struct shard_fixture *f, uint64_t id, uint64_t epoch);
enum status fixture_put_dim(struct shard_fixture *f, uint64_t id, uint32_t dim);
void fixture_put_plain(struct shard_fixture *f, uint64_t id, uint64_t version);
/* The hits of forest searches at a small effort, as bytes. */
void fixture_search_bytes(struct shard_fixture *f, uint8_t **ret, size_t *ret_size);

#endif
