/* errors.c - what can go wrong, and what a program does about it.
 *
 *     cc errors.c $(pkg-config --cflags --libs grove) -o errors && ./errors
 *
 * Every function returns a code; grove_message() has the sentence for people. A program decides by the code:
 *
 *     its own mistake        GROVE_BAD_REQUEST, GROVE_LIMIT, GROVE_USAGE, GROVE_NOT_FOUND, GROVE_EXISTS    repeating does not help
 *     nothing was done       GROVE_BUSY, GROVE_UNAVAILABLE                                                 try again later
 *     nobody knows           GROVE_UNKNOWN (of a write), GROVE_TIMEOUT (of a read)                         repeat it: that is safe
 *     part of the answer     GROVE_INCOMPLETE                                                              use it, or not
 *     some items only        upsert and delete: the reply's outcomes, one for each item */
#include <grove.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define INDEX "example-errors"

enum { DIM = 2 };

static void show(const char *what, int code, const char *message)
{
	printf("%s: %s\n", what, grove_code_name(code));
	if (code != GROVE_OK) printf("    %s\n", message);
}

/* How long to go on with something that may end differently the next time. */
static int worth_repeating(int code)
{
	return code == GROVE_BUSY || code == GROVE_UNAVAILABLE || code == GROVE_UNKNOWN || code == GROVE_TIMEOUT;
}

/* A write that is repeated until it is known to be done, or cannot be. */
static int put(grove_client *client, uint64_t id, const float *vector)
{
	grove_items items = {.count = 1, .dim = DIM, .dtype = GROVE_F32, .ids = &id, .vectors = vector};
	int code = GROVE_OK;
	for (int i = 0; i < 5; i++) {
		code = grove_upsert(client, INDEX, &items, NULL);
		if (!worth_repeating(code)) break;
	}
	return code;
}

/* An answer to which not all shards contributed still has hits, and says what it rests on. */
static int search(grove_client *client, const float *query)
{
	grove_reply *reply = NULL;
	grove_search_args args = {.queries = 1, .dim = DIM, .dtype = GROVE_F32, .vectors = query, .k = 1};
	int code = grove_search(client, INDEX, &args, &reply);
	if (reply && (code == GROVE_OK || code == GROVE_INCOMPLETE)) {
		const grove_coverage *coverage = &reply->hits.coverage[0];
		printf("    %" PRIu32 " of %" PRIu32 " shards answered, %" PRIu64 " hits\n", coverage->answered, coverage->shards, reply->hits.total);
		for (uint32_t i = 0; i < reply->hits.missing_count; i++)
			printf("    shard %" PRIu32 ": %s\n", reply->hits.missing[i].shard, grove_code_name(reply->hits.missing[i].code));
	}
	grove_reply_free(&reply); /* NULL is fine */
	return code;
}

static int mistakes_make(grove_client *client)
{
	static const float vector[DIM] = {1, 2};
	uint64_t id = 7, absent = 8;
	grove_reply *reply = NULL;
	grove_create_args create = {.name = INDEX, .metric = GROVE_EUCLIDEAN, .dim = DIM};
	int code = grove_create(client, &create, NULL);
	show("making an index", code, grove_message(client));
	code = grove_create(client, &create, NULL);
	show("making it again", code, grove_message(client));
	if (code != GROVE_EXISTS) return EXIT_FAILURE;

	code = put(client, id, vector);
	show("putting an item", code, grove_message(client));
	grove_items wide = {.count = 1, .dim = DIM + 1, .dtype = GROVE_F32, .ids = &id, .vectors = (const float[DIM + 1]){0}};
	code = grove_upsert(client, INDEX, &wide, NULL);
	show("putting one of another dimension", code, grove_message(client));
	if (code != GROVE_BAD_REQUEST) return EXIT_FAILURE;

	code = grove_get(client, INDEX, &absent, 1, &reply); /* an id that is not there is no error */
	show("getting an item that is not there", code, grove_message(client));
	if (code == GROVE_OK) printf("    found: %u\n", reply->rows.found[0]);
	grove_reply_free(&reply);

	code = search(client, vector);
	show("searching", code, grove_message(client));
	code = grove_drop(client, INDEX, NULL);
	show("dropping the index", code, grove_message(client));
	code = search(client, vector);
	show("searching it then", code, grove_message(client));
	return code == GROVE_NOT_FOUND ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(void)
{
	char why[GROVE_TEXT_MAX];
	grove_client *client = NULL;
	int code = grove_open("tcp://127.0.0.1:1", 200, &client, why, sizeof(why)); /* nobody is there; without a handle the sentence is in why */
	show("connecting to the wrong port", code, why);
	if (code != GROVE_UNAVAILABLE) return EXIT_FAILURE;
	code = grove_open(NULL, 10000, &client, why, sizeof(why));
	show("connecting", code, why);
	if (code != GROVE_OK) return EXIT_FAILURE;
	int exit_code = mistakes_make(client);
	grove_close(&client);
	return exit_code;
}
