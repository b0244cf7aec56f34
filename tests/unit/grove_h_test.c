/* grove_h_test.c - the public header stands alone in C99, and the shared library answers what needs no server. */
#include "grove.h"

#include <stdio.h>
#include <string.h>

static int failures;

static void expect(int condition, const char *claim)
{
	if (condition) return;
	fprintf(stderr, "not so: %s\n", claim);
	failures++;
}

int main(void)
{
	grove_client *client = NULL;
	char why[GROVE_TEXT_MAX] = "";
	uint32_t metric = 99;
	expect(strcmp(grove_version(), "0.1.0") == 0, "the version is 0.1.0");
	expect(strcmp(grove_code_name(GROVE_NOT_FOUND), "not_found") == 0, "codes have names");
	expect(grove_metric_by_name("hamming", &metric) == GROVE_OK && metric == GROVE_HAMMING, "hamming is a metric");
	expect(grove_metric_by_name("cosmic", &metric) == GROVE_NOT_FOUND && metric == GROVE_HAMMING,
		"cosmic is none, and nothing is written");
	expect(grove_open("nonsense", 100, &client, why, sizeof(why)) != GROVE_OK, "a nonsense endpoint is refused");
	expect(client == NULL && why[0], "and a sentence says why");
	grove_close(&client);
	grove_close(NULL);
	grove_reply_free(NULL);
	return failures != 0;
}
