/* wire_fuzz.h - what the targets of the wire share, included by each once. Input: frames as u32 length and bytes. A decoder must not crash, and
 * what it accepts must survive being encoded and decoded again. */
#ifndef FUZZ_WIRE_FUZZ_H
#define FUZZ_WIRE_FUZZ_H

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cursor.h"
#include "tests/fuzz/plant.h"
#include "tests/support/wires.h"

/* The frames of an input, each in a block of its own, so that reading past its end is seen. */
struct blocks { struct net_frame frames[FRAMES_MAX]; uint8_t *bytes[FRAMES_MAX]; size_t count; };

static inline void blocks_of(const uint8_t *bytes, size_t size, struct blocks *ret)
{
	ret->count = frames_unpack(bytes, size, ret->frames);
	for (size_t i = 0; i < ret->count; i++) {
		struct net_frame *f = &ret->frames[i];
		ret->bytes[i] = malloc(f->size ? f->size : 1);
		require(ret->bytes[i]);
		if (f->size) memcpy(ret->bytes[i], f->bytes, f->size);
		f->bytes = ret->bytes[i];
	}
}

static inline void blocks_free(struct blocks *b)
{
	for (size_t i = 0; i < b->count; i++) free(b->bytes[i]);
}

static inline void wire_fuzz(const struct wire *w, const uint8_t *bytes, size_t size, void (*accepted)(const struct message *))
{
	struct blocks b;
	struct message m = {0}, again = {0};
	struct encoded e = {0};

	blocks_of(bytes, size, &b);
	if (w->decode(b.frames, b.count, &m) == STATUS_OK) {
		accepted(&m);
		require(w->encode(&m, &e) == STATUS_OK);
		require(w->decode(e.frames, e.count, &again) == STATUS_OK && w->equal(&m, &again));
		w->release(&again);
		encoded_release(&e);
		w->release(&m);
	} else {
		require(m.report.text[0] && m.report.status != STATUS_OK);
		buf_release(&m.scratch);
	}
	blocks_free(&b);
}

size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t max_size, unsigned int seed);

/* libFuzzer's own mutations break the lengths of frames more often than not. So half of ours change one byte of one frame, mostly
 * the header, a quarter let libFuzzer change one frame and put its length right, and the rest are libFuzzer's. */
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t max_size, unsigned int seed)
{
	struct net_frame frames[FRAMES_MAX];
	size_t count = frames_unpack(bytes, size, frames);
	struct prng p;

	prng_seed(&p, seed);
	uint32_t kind = prng_below(&p, 4);
	if (count == 0 || kind == 3) return LLVMFuzzerMutate(bytes, size, max_size);
	size_t i = prng_below(&p, 4) ? 0 : prng_below(&p, (uint32_t)count);
	uint8_t *frame = bytes + (frames[i].bytes - bytes);
	size_t old = frames[i].size, after = size - (size_t)(frame - bytes) - old;
	if (kind < 2 && old) {
		uint8_t *at = frame + prng_below(&p, (uint32_t)old);
		*at = prng_below(&p, 2) ? (uint8_t)prng_u64(&p) : (uint8_t)(*at + (prng_below(&p, 2) ? 1 : -1));
		return size;
	}
	size_t room = max_size - (size - old) < 4096 ? max_size - (size - old) : 4096;
	uint8_t *copy = malloc(room > old ? room : old + 1);
	require(copy);
	if (old) memcpy(copy, frame, old);
	size_t changed = old <= room ? LLVMFuzzerMutate(copy, old, room) : old;
	memmove(frame + changed, frame + old, after);
	if (changed) memcpy(frame, copy, changed);
	free(copy);
	store_u32(frame - 4, (uint32_t)changed);
	return size - old + changed;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#endif
