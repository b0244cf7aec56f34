/* item_stream.c - a heap of shards by the id that each would give next. While a page is being used up, the shard's next one is on its way. */
#include "client/cli/item_stream.h"

#include <stdlib.h>
#include <time.h>

#include "client/cli/output.h"
#include "common/clock.h"
#include "common/limits.h"
#include "common/vec.h"

enum {
	STREAM_BYTES = 64 * 1024 * 1024, /* of all pages together, about */
	STREAM_PAYLOAD_BYTES = 512,      /* what a payload is taken to have */
	STREAM_AHEAD_MAX = 8,            /* pages on their way */
	PAUSE_FIRST_US = 20000,
	PAUSE_MAX_US = 1000000,
};

struct source {
	uint32_t shard;
	grove_cursor next;
	bool last;          /* there is no next page */
	grove_ticket ahead; /* 0: not asked for yet */
	grove_reply *page;
	uint32_t at;        /* in the page */
};

struct item_stream {
	grove_client *client;
	grove_index index;
	grove_scan_args args;
	uint64_t patience_us;
	size_t row_bytes;
	struct source *heap; /* lowest id on top */
	uint32_t count;
	bool used; /* the item on top was given */
};

static uint64_t source_id(const struct source *s) { return s->page->rows.ids[s->at]; }

static int page_submit(struct item_stream *s, struct source *source)
{
	grove_scan_args args = s->args;
	args.from = source->next;
	return grove_scan_submit(s->client, s->index.name, &args, &source->ahead);
}

/* Ask for the page after this one, if there is room. Where that fails it is asked for when it is needed. */
static void page_ahead(struct item_stream *s, struct source *source)
{
	if (source->ahead || source->last || grove_in_flight(s->client) >= STREAM_AHEAD_MAX) return;
	if (page_submit(s, source) != GROVE_OK) source->ahead = 0;
}

static bool may_repeat(int code) { return code == GROVE_BUSY || code == GROVE_UNAVAILABLE || code == GROVE_TIMEOUT; }

static int page_fetch(struct item_stream *s, struct source *source, grove_reply **ret)
{
	uint64_t give_up_us = clock_us() + s->patience_us, pause_us = PAUSE_FIRST_US;
	for (;;) {
		int code = source->ahead ? GROVE_OK : page_submit(s, source);
		if (code == GROVE_OK) code = grove_wait(s->client, source->ahead, ret);
		source->ahead = 0;
		if (code == GROVE_OK || !may_repeat(code) || clock_us() + pause_us > give_up_us) return code;
		if (pause_us == PAUSE_FIRST_US && code != GROVE_BUSY)
			output_message("%s: asking again for %u s", grove_message(s->client), (unsigned)(s->patience_us / 1000000));
		grove_reply_free(ret);
		nanosleep(&(struct timespec){.tv_sec = (time_t)(pause_us / 1000000), .tv_nsec = (long)(pause_us % 1000000) * 1000}, NULL);
		pause_us = pause_us * 2 > PAUSE_MAX_US ? PAUSE_MAX_US : pause_us * 2;
	}
}

/* The shard's next page that has items; none left: source->page is NULL. */
static int source_turn(struct item_stream *s, struct source *source)
{
	grove_reply_free(&source->page);
	source->at = 0;
	while (!source->page && !source->last) {
		grove_reply *page = NULL;
		int code = page_fetch(s, source, &page);
		if (code != GROVE_OK) {
			grove_reply_free(&page);
			return code;
		}
		/* The scan of the whole index would go on with the next shard; that is another source's. */
		source->last = page->end || page->next.shard != source->shard;
		source->next = page->next;
		if (page->rows.count) source->page = page;
		else grove_reply_free(&page);
	}
	page_ahead(s, source);
	return GROVE_OK;
}

static void heap_sink(struct item_stream *s, uint32_t i)
{
	for (uint32_t child; (child = 2 * i + 1) < s->count; i = child) {
		if (child + 1 < s->count && source_id(&s->heap[child + 1]) < source_id(&s->heap[child])) child++;
		if (source_id(&s->heap[i]) <= source_id(&s->heap[child])) return;
		struct source moved = s->heap[i];
		s->heap[i] = s->heap[child];
		s->heap[child] = moved;
	}
}

int item_stream_open(grove_client *client, const grove_index *index, bool with_payload, uint32_t patience_ms, struct item_stream **ret)
{
	struct item_stream *s = calloc(1, sizeof(*s));
	struct source *sources = calloc(index->shards ? index->shards : 1, sizeof(*sources));
	int code = s && sources ? GROVE_OK : GROVE_NO_MEMORY;
	if (code != GROVE_OK) {
		free(s);
		free(sources);
		return code;
	}
	*s = (struct item_stream){.client = client, .index = *index, .patience_us = (uint64_t)patience_ms * 1000, .heap = sources};
	s->row_bytes = dtype_row_bytes(index->metric == GROVE_HAMMING ? DTYPE_BITS : DTYPE_F32, index->dim);
	size_t each = s->row_bytes + 24 + (with_payload ? STREAM_PAYLOAD_BYTES : 0), limit = STREAM_BYTES / 2 / index->shards / each;
	s->args = (grove_scan_args){.limit = limit < 1 ? 1 : limit > BATCH_ITEMS_MAX ? BATCH_ITEMS_MAX : (uint32_t)limit, .with_vector = 1, .with_payload = with_payload};
	for (uint32_t i = 0; i < index->shards; i++) {
		sources[i] = (struct source){.shard = i, .next = {.index = index->id, .shard = i}};
		page_ahead(s, &sources[i]);
	}
	for (uint32_t i = 0; i < index->shards && code == GROVE_OK; i++) {
		struct source source = sources[i];
		code = source_turn(s, &source);
		sources[i].ahead = 0;
		if (source.page) sources[s->count++] = source;
	}
	for (uint32_t i = s->count / 2; i-- > 0;) heap_sink(s, i);
	if (code == GROVE_OK) *ret = s;
	else item_stream_close(&s);
	return code;
}

void item_stream_close(struct item_stream **stream)
{
	struct item_stream *s = *stream;
	*stream = NULL;
	if (!s) return;
	/* Pages that were on their way are forgotten with the client. */
	for (uint32_t i = 0; i < s->count; i++) grove_reply_free(&s->heap[i].page);
	free(s->heap);
	free(s);
}

/* Past the item on top. */
static int stream_step(struct item_stream *s)
{
	struct source *top = &s->heap[0];
	if (++top->at == top->page->rows.count) {
		int code = source_turn(s, top);
		if (code != GROVE_OK) return code;
		if (!top->page) *top = s->heap[--s->count];
	}
	heap_sink(s, 0);
	return GROVE_OK;
}

static const uint8_t *string_at(const grove_strings *strings, uint32_t i, size_t *ret_size)
{
	if (!strings->offsets) return NULL;
	*ret_size = (size_t)(strings->offsets[i + 1] - strings->offsets[i]);
	return *ret_size ? strings->bytes + strings->offsets[i] : NULL;
}

int item_stream_next(struct item_stream *s, struct stream_item *ret, bool *ret_end)
{
	int code = s->used ? stream_step(s) : GROVE_OK;
	if (code != GROVE_OK) return code;
	*ret_end = s->count == 0;
	s->used = s->count > 0;
	if (!s->used) return GROVE_OK;
	const struct source *top = &s->heap[0];
	const grove_rows *rows = &top->page->rows;
	struct stream_item item = {.id = rows->ids[top->at], .vector = (const uint8_t *)rows->vectors + top->at * s->row_bytes};
	item.key = string_at(&rows->keys, top->at, &item.key_size);
	item.payload = string_at(&rows->payloads, top->at, &item.payload_size);
	*ret = item;
	return GROVE_OK;
}
