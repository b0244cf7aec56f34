/* scan.c - read all items of an index, a page at a time: here the mean of all vectors, which no search could give.
 *
 *     cc scan.c $(pkg-config --cflags --libs grove) -o scan && ./scan
 *
 * A page is one request and holds nothing afterwards, in the cluster or here: a scan may be as slow as it likes, and go on after a restart of
 * either from the cursor that the last page gave. Of items that are there all the while each comes exactly once. */
#include <grove.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define INDEX "example-scan"
#define ITEMS 5000
#define DIM 2
#define PAGE 1000

static float vectors[ITEMS * DIM];
static uint64_t ids[ITEMS];

static int fail(const char *doing, const grove_client *client)
{
	fprintf(stderr, "scan: %s: %s\n", doing, grove_message(client));
	return 1;
}

static int index_fill(grove_client *client)
{
	grove_create_args create;
	grove_items items;
	uint32_t i;
	memset(&create, 0, sizeof(create));
	create.name = INDEX;
	create.metric = GROVE_EUCLIDEAN;
	create.dim = DIM;
	create.shards = 3;
	if (grove_create(client, &create, NULL) != GROVE_OK) return fail("cannot make the index", client);
	for (i = 0; i < ITEMS; i++) {
		ids[i] = i;
		vectors[i * DIM] = (float)i;
		vectors[i * DIM + 1] = 1;
	}
	memset(&items, 0, sizeof(items));
	items.count = ITEMS;
	items.dim = DIM;
	items.dtype = GROVE_F32;
	items.ids = ids;
	items.vectors = vectors;
	if (grove_upsert(client, INDEX, &items, NULL) != GROVE_OK) return fail("cannot put the items", client);
	return 0;
}

static int mean_print(grove_client *client)
{
	grove_scan_args scan; /* `from` all zero: the beginning */
	double sums[DIM] = {0, 0};
	uint64_t count = 0, pages = 0;
	uint32_t end = 0;
	memset(&scan, 0, sizeof(scan));
	scan.limit = PAGE;
	scan.with_vector = 1;
	while (!end) {
		grove_reply *page = NULL;
		if (grove_scan(client, INDEX, &scan, &page) != GROVE_OK) { /* GROVE_UNAVAILABLE: a worker is away; the same page may be asked for later */
			grove_reply_free(&page);
			return fail("cannot read a page", client);
		}
		const float *rows = (const float *)page->rows.vectors; /* count x dim; ids of them in page->rows.ids */
		for (uint32_t i = 0; i < page->rows.count; i++) {
			for (uint32_t e = 0; e < DIM; e++) sums[e] += (double)rows[i * DIM + e];
		}
		count += page->rows.count;
		pages++;
		end = page->end;
		scan.from = page->next;
		grove_reply_free(&page);
	}
	printf("%" PRIu64 " items in %" PRIu64 " pages, their mean is %g %g\n", count, pages, sums[0] / (double)count, sums[1] / (double)count);
	return 0;
}

int main(void)
{
	char why[GROVE_TEXT_MAX];
	grove_client *client = NULL;
	if (grove_open(NULL, 30000, &client, why, sizeof(why)) != GROVE_OK) {
		fprintf(stderr, "scan: %s\n", why);
		return 1;
	}
	int failed = index_fill(client);
	if (!failed) failed = mean_print(client);
	if (!failed && grove_drop(client, INDEX, NULL) != GROVE_OK) failed = fail("cannot drop the index", client);
	grove_close(&client);
	return failed;
}
