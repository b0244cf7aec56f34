/* batches.c - many requests under way at once: items are sent in batches, and queries asked, without waiting for each answer.
 *
 *     cc batches.c $(pkg-config --cflags --libs grove) -o batches && ./batches
 *
 * One thread and one handle are enough to keep a cluster busy: grove_*_submit() only sends, grove_poll() says which ticket is answered
 * first. A batch whose answer is GROVE_BUSY was not applied, one that is GROVE_UNKNOWN may have been: both are sent again, which changes
 * nothing that is there already. */
#include <grove.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define INDEX "example-batches"

enum { BATCHES = 40, BATCH_ITEMS = 500, DIM = 16, WINDOW = 8, TRIES_MAX = 20, QUERIES = 200 };

struct slot {
	grove_ticket ticket; /* 0: free */
	uint32_t batch, tries;
};

static void pause_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};
	nanosleep(&t, NULL);
}

/* Item i, the same whenever it is sent. */
static void vector_make(uint64_t id, float *out)
{
	uint64_t state = id * 2654435761u + 1;
	for (int d = 0; d < DIM; d++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		out[d] = (float)(state >> 40) / (float)(1 << 24);
	}
}

static int batch_send(grove_client *client, struct slot *slot)
{
	static uint64_t ids[BATCH_ITEMS];
	static float vectors[BATCH_ITEMS * DIM];
	for (uint32_t i = 0; i < BATCH_ITEMS; i++) {
		ids[i] = (uint64_t)slot->batch * BATCH_ITEMS + i;
		vector_make(ids[i], vectors + (size_t)i * DIM);
	}
	grove_items items = {.count = BATCH_ITEMS, .dim = DIM, .dtype = GROVE_F32, .ids = ids, .vectors = vectors};
	slot->tries++;
	return grove_upsert_submit(client, INDEX, &items, &slot->ticket); /* what is passed in is copied: the arrays are free again */
}

/* Wait for the batch that is answered first. Its slot becomes free, or its batch is under way again. */
static int batch_finish(grove_client *client, struct slot *slots)
{
	grove_ticket ticket = 0;
	struct slot *slot = slots;
	int code = grove_poll(client, 60000, &ticket);
	if (code != GROVE_OK) return code;
	while (slot->ticket != ticket) slot++;
	code = grove_wait(client, ticket, NULL); /* with a reply, its outcomes would say how each item fared */
	slot->ticket = 0;
	if ((code == GROVE_BUSY || code == GROVE_UNKNOWN) && slot->tries < TRIES_MAX) {
		pause_ms(50);
		code = batch_send(client, slot);
	}
	return code;
}

static int items_send(grove_client *client)
{
	struct slot slots[WINDOW] = {{0}};
	uint32_t sent = 0;
	int code = GROVE_OK;
	while (code == GROVE_OK && (sent < BATCHES || grove_in_flight(client))) {
		struct slot *slot = slots;
		while (slot < slots + WINDOW && slot->ticket) slot++;
		if (sent < BATCHES && slot < slots + WINDOW) {
			*slot = (struct slot){.batch = sent++};
			code = batch_send(client, slot);
		} else {
			code = batch_finish(client, slots);
		}
	}
	return code;
}

/* Each query is an item, so that its first hit is known. */
static int queries_ask(grove_client *client, uint32_t *ret_right)
{
	grove_ticket tickets[QUERIES]; /* at most GROVE_IN_FLIGHT_MAX of them are open */
	uint32_t asked = 0;
	for (uint32_t answered = 0; answered < QUERIES; answered++) {
		grove_reply *reply = NULL;
		for (; asked < QUERIES && asked - answered < WINDOW; asked++) {
			float query[DIM];
			vector_make((uint64_t)asked * 97, query);
			grove_search_args args = {.queries = 1, .dim = DIM, .dtype = GROVE_F32, .vectors = query, .k = 3, .recall = 0.99f};
			int code = grove_search_submit(client, INDEX, &args, &tickets[asked]);
			if (code != GROVE_OK) return code;
		}
		int code = grove_wait(client, tickets[answered], &reply); /* in order; the others go on meanwhile */
		if (code == GROVE_OK) *ret_right += reply->hits.total > 0 && reply->hits.ids[0] == (uint64_t)answered * 97;
		grove_reply_free(&reply);
		if (code != GROVE_OK) return code;
	}
	return GROVE_OK;
}

int main(void)
{
	char why[GROVE_TEXT_MAX];
	grove_client *client = NULL;
	grove_create_args create = {.name = INDEX, .metric = GROVE_EUCLIDEAN, .dim = DIM};
	uint32_t right = 0;
	if (grove_open(NULL, 30000, &client, why, sizeof(why)) != GROVE_OK) {
		fprintf(stderr, "batches: %s\n", why);
		return EXIT_FAILURE;
	}
	int code = grove_create(client, &create, NULL);
	if (code == GROVE_OK || code == GROVE_EXISTS) code = items_send(client);
	if (code == GROVE_OK) code = grove_build(client, INDEX, 0, NULL);
	if (code == GROVE_OK) code = queries_ask(client, &right);
	if (code == GROVE_OK) code = grove_drop(client, INDEX, NULL);
	if (code == GROVE_OK)
		printf("%d items sent, %d queries asked, %" PRIu32 " found themselves first\n", BATCHES * BATCH_ITEMS, QUERIES, right);
	else
		fprintf(stderr, "batches: %s\n", grove_message(client));
	grove_close(&client);
	return code == GROVE_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
