/* message.c - the small records of message.h, and the two hashes that decide where an item lives. */
#include "proto/message.h"

#include <string.h>
#include <xxhash.h>

#include "common/cursor.h"

struct blob blobs_next(const struct blobs *b, struct blob_cursor *c)
{
	if (c->i >= b->count) return (struct blob){0};
	uint32_t size = load_u32(b->lengths + (size_t)c->i * 4);
	if (size > b->bytes_size - c->offset) return (struct blob){0};
	struct blob blob = {size ? b->bytes + c->offset : NULL, size};
	c->offset += size;
	c->i++;
	return blob;
}

bool blobs_parse(const uint8_t *frame, size_t size, uint32_t n, uint32_t max, struct blobs *ret)
{
	size_t lengths, total = 0;

	if (size == 0) {
		*ret = (struct blobs){0};
		return true;
	}
	if (!size_mul(n, 4, &lengths) || lengths > size || n == 0) return false;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t one = load_u32(frame + (size_t)i * 4);
		if (one > max || !size_add(total, one, &total)) return false;
	}
	if (total != size - lengths) return false;
	*ret = (struct blobs){.count = n, .lengths = frame, .bytes = frame + lengths, .bytes_size = total};
	return true;
}

const char *search_effort_fault(const struct search_spec *s)
{
	if (s->recall == 0) return NULL;
	if (!(s->recall > 0 && s->recall < 1)) return "recall has to be more than 0 and less than 1: mode exact finds everything";
	if (s->search_k) return "an effort is recall or search_k: name one of them";
	if (s->mode == SEARCH_EXACT) return "recall is the effort of mode graph: mode exact finds everything";
	if (s->mode == SEARCH_FOREST) return "recall is the effort of mode graph: mode forest takes search_k";
	return NULL;
}

const char *shard_state_name(enum shard_state s)
{
	switch (s) {
	case SHARD_OPENING: return "opening";
	case SHARD_SERVING: return "serving";
	case SHARD_BUILDING: return "building";
	case SHARD_STOPPED: return "stopped";
	case SHARD_MISSING: return "missing";
	}
	return "unknown";
}

const char *worker_state_name(enum worker_state s)
{
	switch (s) {
	case WORKER_ALIVE: return "alive";
	case WORKER_SUSPECT: return "suspect";
	case WORKER_DEAD: return "dead";
	}
	return "unknown";
}

void coverage_load(const uint8_t *record, struct coverage *ret)
{
	*ret = (struct coverage){
		.shards = load_u32(record), .answered = load_u32(record + 4), .failed = load_u32(record + 8), .late = load_u32(record + 12),
		.items_total = load_u64(record + 16), .items_searched = load_u64(record + 24), .candidates = load_u64(record + 32),
	};
}

void coverage_store(const struct coverage *c, uint8_t *record)
{
	store_u32(record, c->shards);
	store_u32(record + 4, c->answered);
	store_u32(record + 8, c->failed);
	store_u32(record + 12, c->late);
	store_u64(record + 16, c->items_total);
	store_u64(record + 24, c->items_searched);
	store_u64(record + 32, c->candidates);
}

void missing_load(const uint8_t *record, struct missing *ret)
{
	*ret = (struct missing){load_u32(record), (enum status)(int32_t)load_u32(record + 4), load_u64(record + 8)};
}

void missing_store(const struct missing *m, uint8_t *record)
{
	store_u32(record, m->shard);
	store_u32(record + 4, (uint32_t)(int32_t)m->status);
	store_u64(record + 8, m->items);
	store_u64(record + 16, 0);
}

void cursor_load(const uint8_t *record, struct scan_cursor *ret)
{
	*ret = (struct scan_cursor){load_u64(record), load_u32(record + 8), load_u64(record + 16)};
}

void cursor_store(const struct scan_cursor *c, uint8_t *record)
{
	store_u64(record, c->index);
	store_u32(record + 8, c->shard);
	store_u32(record + 12, 0);
	store_u64(record + 16, c->id);
}

void token_load(const uint8_t *record, struct token *ret)
{
	*ret = (struct token){load_u32(record), load_u64(record + 8), load_u64(record + 16)};
}

void token_store(const struct token *t, uint8_t *record)
{
	store_u32(record, t->shard);
	store_u32(record + 4, 0);
	store_u64(record + 8, t->epoch);
	store_u64(record + 16, t->sequence);
}

bool index_name_valid(const char *name, size_t size)
{
	if (size < 1 || size > NAME_MAX_BYTES) return false;
	for (size_t i = 0; i < size; i++) {
		char c = name[i];
		bool first = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
		if (!first && (i == 0 || (c != '_' && c != '-'))) return false;
	}
	return true;
}

uint64_t item_id_of_key(const void *key, size_t size) { return XXH3_64bits(key, size); }

uint32_t shard_of_id(uint64_t id, uint32_t shards)
{
	uint8_t bytes[8];

	store_u64(bytes, id);
	return (uint32_t)(XXH3_64bits(bytes, sizeof(bytes)) % shards);
}
