/* build_watch.c - a build, watched by describing the index while it goes on. */
#include "client/cli/build_watch.h"

#include "client/cli/progress.h"
#include "common/clock.h"

enum {
	BUILD_LOOK_MS = 250,	/* how often a build's progress is asked for */
	BUILD_SETTLE_MS = 2000, /* how long the coordinator's picture of a finished build may lag behind */
};

/* Wait for a build's answer and show how far it is. */
static int build_watch(struct session *s, const char *name, grove_ticket build, grove_reply **ret)
{
	struct progress bar;
	grove_ticket look = 0, done;
	uint64_t next_look = clock_us() + BUILD_LOOK_MS * 1000;
	progress_begin(&bar, "building", 1000);
	for (;;) {
		int code = grove_poll(s->client, BUILD_LOOK_MS, &done);
		if (code != GROVE_OK && code != GROVE_TIMEOUT) break;
		if (code == GROVE_OK && done == build) break;
		if (code == GROVE_OK && done == look) {
			grove_reply *reply;
			if (grove_wait(s->client, look, &reply) == GROVE_OK && reply->index_count)
				progress_update(&bar, reply->indexes[0].progress_permille, NULL);
			grove_reply_free(&reply);
			look = 0;
		}
		if (bar.shown && !look && clock_us() >= next_look) {
			if (grove_describe_submit(s->client, name, &look) != GROVE_OK) look = 0;
			next_look = clock_us() + BUILD_LOOK_MS * 1000;
		} else if (bar.shown && !look) {
			clock_sleep_us(BUILD_LOOK_MS * 100);
		}
	}
	progress_end(&bar);
	if (look) grove_forget(s->client, look);
	return grove_wait(s->client, build, ret);
}

/* A finished build as the workers' next beats show it; what the build itself answered if that takes too long. */
static void build_settle(struct session *s, const char *name, grove_reply **reply)
{
	uint64_t until = clock_us() + BUILD_SETTLE_MS * 1000;
	while ((*reply)->index_count && (*reply)->indexes[0].shards_building && clock_us() < until) {
		grove_reply *fresh = NULL;
		clock_sleep_us(BUILD_LOOK_MS * 500);
		if (grove_describe(s->client, name, &fresh) == GROVE_OK) {
			grove_reply_free(reply);
			*reply = fresh;
		} else {
			grove_reply_free(&fresh);
		}
	}
}

int build_run(struct session *s, const char *name, uint32_t trees, grove_reply **ret)
{
	grove_ticket ticket;
	grove_reply *reply = NULL;
	int code = grove_build_submit(s->client, name, trees, &ticket);
	if (code == GROVE_OK) code = build_watch(s, name, ticket, &reply);
	if (code != GROVE_OK) {
		grove_reply_free(&reply);
		return code;
	}
	build_settle(s, name, &reply);
	*ret = reply;
	return GROVE_OK;
}
