/* bundle_fuzz.c - several messages in one, as coordinator and workers read them. What is accepted comes out as messages of which the same bundle is
 * made again, to the byte. */
#include "proto/bundle.h"
#include "tests/fuzz/wire_fuzz.h"

static bool frame_is(const struct net_frame *a, const struct net_frame *b) { return a->size == b->size && (!a->size || memcmp(a->bytes, b->bytes, a->size) == 0); }

static void taken_apart(const struct net_frame *frames, struct bundle_reader *reader)
{
	struct bundle again = {0};
	struct net_frame inside[FRAMES_MAX], made[2];
	size_t count, messages = 0;
	enum status status = STATUS_OK;

	for (; bundle_next(reader, inside, &count); messages++)
		if (status == STATUS_OK) status = bundle_add(&again, inside, count);
	require(messages >= 1 && messages <= BUNDLE_MESSAGES_MAX);
	require(status == STATUS_OK || (status == STATUS_LIMIT && frames[1].size > BUNDLE_BYTES));
	if (status == STATUS_OK) {
		bundle_frames(&again, made);
		require(frame_is(&made[0], &frames[0]) && frame_is(&made[1], &frames[1]));
	}
	bundle_release(&again);
#ifdef GROVE_PLANT_BUNDLE
	fuzz_plant(messages >= 5 && frames[1].size >= 64 && memchr(frames[1].bytes, 0xA7, 64));
#endif
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct blocks b;
	struct bundle_reader reader;
	struct report report = {0};

	blocks_of(bytes, size, &b);
	if (bundle_is(b.frames, b.count)) {
		if (bundle_open(b.frames, b.count, &reader, &report) == STATUS_OK)
			taken_apart(b.frames, &reader);
		else
			require(report.text[0] && report.status != STATUS_OK);
	}
	blocks_free(&b);
	return 0;
}
