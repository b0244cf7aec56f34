/* search.c - the shortest way: make an index, put items into it, build it, ask for neighbours. C and C++.
 *
 *     cc search.c $(pkg-config --cflags --libs grove) -o search && ./search
 *
 * A coordinator is asked for at GROVE_ENDPOINT, else tcp://127.0.0.1:7600; `grove up` starts one. */
#include <grove.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define INDEX "example-search"
#define ITEMS 1000
#define DIM 3

static float vectors[ITEMS * DIM];
static uint64_t ids[ITEMS];

static int fail(const char *doing, const grove_client *client)
{
	fprintf(stderr, "search: %s: %s\n", doing, grove_message(client));
	return 1;
}

/* Items on a spiral: item i is nearest to i - 1 and i + 1. */
static void items_make(grove_items *items)
{
	for (uint32_t i = 0; i < ITEMS; i++) {
		ids[i] = i;
		vectors[i * DIM] = (float)(i % 10);
		vectors[i * DIM + 1] = (float)(i / 10 % 10);
		vectors[i * DIM + 2] = (float)i;
	}
	memset(items, 0, sizeof(*items)); /* zero is the default of every field */
	items->count = ITEMS;
	items->dim = DIM;
	items->dtype = GROVE_F32;
	items->ids = ids;
	items->vectors = vectors;
}

static int index_fill(grove_client *client)
{
	grove_create_args create;
	grove_items items;
	memset(&create, 0, sizeof(create));
	create.name = INDEX;
	create.metric = GROVE_EUCLIDEAN;
	create.dim = DIM;
	int code = grove_create(client, &create, NULL);
	if (code != GROVE_OK && code != GROVE_EXISTS) return fail("cannot make the index", client);
	items_make(&items);
	if (grove_upsert(client, INDEX, &items, NULL) != GROVE_OK) return fail("cannot put the items", client);
	if (grove_build(client, INDEX, 0, NULL) != GROVE_OK) return fail("cannot build the index", client);
	return 0;
}

static int neighbours_print(grove_client *client)
{
	grove_search_args search;
	grove_reply *reply = NULL;
	memset(&search, 0, sizeof(search));
	search.queries = 1;
	search.dim = DIM;
	search.dtype = GROVE_F32;
	search.vectors = vectors + 500 * DIM;
	search.k = 5;
	int code = grove_search(client, INDEX, &search, &reply);
	if (code != GROVE_OK) {
		grove_reply_free(&reply);
		return fail("cannot search", client);
	}
	for (uint64_t i = 0; i < reply->hits.total; i++) printf("%" PRIu64 " %g\n", reply->hits.ids[i], (double)reply->hits.distances[i]);
	grove_reply_free(&reply);
	return 0;
}

int main(void)
{
	char why[GROVE_TEXT_MAX];
	grove_client *client = NULL;
	if (grove_open(NULL, 30000, &client, why, sizeof(why)) != GROVE_OK) {
		fprintf(stderr, "search: %s\n", why);
		return 1;
	}
	int failed = index_fill(client);
	if (!failed) failed = neighbours_print(client);
	if (!failed && grove_drop(client, INDEX, NULL) != GROVE_OK) failed = fail("cannot drop the index", client);
	grove_close(&client);
	return failed;
}
