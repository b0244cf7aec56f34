/* load_main.c - the closed loop: see load.h. Single-threaded. */
#include "bench/load/load.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/peers/set.h"

enum { EFFORT_BYTES = 64, LINE_BYTES = 256 };

void peer_die(const char *sentence)
{
	fprintf(stderr, "load_%s: %s\n", load_driver.name, sentence);
	exit(EXIT_FAILURE);
}

char *peer_path(const char *folder, const char *name)
{
	char *path = NULL;

	if (asprintf(&path, "%s/%s", folder, name) < 0) peer_die("not enough memory");
	return path;
}

double peer_number(const char *params, const char *name, double otherwise)
{
	size_t length = strlen(name);

	return !strncmp(params, name, length) && params[length] == '=' ? strtod(params + length + 1, NULL) : otherwise;
}

static double seconds_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct pending { uint64_t number; uint32_t first, count; double begun; };

struct run {
	void *driver;
	uint32_t outstanding, batch, queries, next, asked;
	size_t k;
	struct pending pending[LOAD_OUTSTANDING_MAX];
	uint32_t pending_count;
	int64_t *rows, *answers; /* of one request, and of all queries */
	float *latencies;
	size_t answered, room, answered_queries, busy, partial;
};

static void send_one(struct run *r)
{
	uint32_t first = r->next, left = r->queries - first, count = left < r->batch ? left : r->batch;
	double begun = seconds_of(CLOCK_MONOTONIC);

	r->pending[r->pending_count++] = (struct pending){load_driver.submit(r->driver, first, count), first, count, begun};
	r->next = (first + count) % r->queries;
	r->asked += r->asked < r->queries ? count : 0;
}

static void note_latency(struct run *r, double seconds)
{
	if (r->answered == r->room) {
		r->room = r->room ? 2 * r->room : 1 << 16;
		r->latencies = realloc(r->latencies, r->room * sizeof(*r->latencies));
		if (!r->latencies) peer_die("not enough memory");
	}
	r->latencies[r->answered++] = (float)seconds;
}

static void take_one(struct run *r)
{
	enum load_outcome outcome;
	uint64_t number = load_driver.next(r->driver, r->rows, &outcome);
	uint32_t i = 0;

	while (i < r->pending_count && r->pending[i].number != number) i++;
	if (i == r->pending_count) peer_die("an answer to no request came");
	struct pending done = r->pending[i];
	r->pending[i] = r->pending[--r->pending_count];
	if (outcome == LOAD_BUSY) r->busy++;
	if (outcome == LOAD_PARTIAL) r->partial++;
	if (outcome != LOAD_ANSWERED) return;
	note_latency(r, seconds_of(CLOCK_MONOTONIC) - done.begun);
	r->answered_queries += done.count;
	memcpy(r->answers + done.first * r->k, r->rows, done.count * r->k * sizeof(*r->rows));
}

static int by_value(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

static double percentile(const struct run *r, double share)
{
	return r->answered ? 1e6 * (double)r->latencies[(size_t)(share * (double)(r->answered - 1))] : NAN;
}

static void answers_write(const struct run *r, const char *path)
{
	FILE *file = fopen(path, "wb");
	size_t count = r->queries * r->k;

	if (!file || fwrite(r->answers, sizeof(*r->answers), count, file) != count || fclose(file)) peer_die("the answers cannot be written");
}

/* One line of stdin. */
static void measure(struct run *r, double seconds, const char *path)
{
	for (size_t i = 0; i < r->queries * r->k; i++) r->answers[i] = -1;
	r->next = r->asked = 0;
	r->answered = r->answered_queries = r->busy = r->partial = 0;
	double begun = seconds_of(CLOCK_MONOTONIC), cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID), now = begun;
	while (now < begun + seconds || r->asked < r->queries) {
		while (r->pending_count < r->outstanding) send_one(r);
		take_one(r);
		now = seconds_of(CLOCK_MONOTONIC);
	}
	while (r->pending_count) take_one(r);
	now = seconds_of(CLOCK_MONOTONIC);
	cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	qsort(r->latencies, r->answered, sizeof(*r->latencies), by_value);
	answers_write(r, path);
	printf("{\"queries\": %zu, \"seconds\": %.6f, \"qps\": %.3f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"cpu_s\": %.6f, \"busy\": %zu, \"partial\": %zu}\n",
		r->answered_queries, now - begun, (double)r->answered_queries / (now - begun), percentile(r, .5), percentile(r, .99), cpu, r->busy, r->partial);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char line[LINE_BYTES], effort[EFFORT_BYTES];
	struct run r = {0};
	double seconds;

	if (argc < 6) peer_die("usage: SET K QUERIES ANSWERS and what to ask (bench/load/load.h)");
	struct peer_set set = set_map(argv[1], "queries");
	r.k = strtoul(argv[2], NULL, 10);
	r.queries = (uint32_t)strtoul(argv[3], NULL, 10);
	if (r.k == 0 || r.queries == 0 || r.queries > set.n) peer_die("K is at least 1, QUERIES at least 1 and at most as many as the set has");
	r.rows = malloc(LOAD_BATCH_MAX * r.k * sizeof(*r.rows));
	r.answers = malloc(r.queries * r.k * sizeof(*r.answers));
	if (!r.rows || !r.answers) peer_die("not enough memory");
	r.driver = load_driver.open(argv + 5, argc - 5, &set, r.k);
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "%u %u %lf %63s", &r.outstanding, &r.batch, &seconds, effort) != 4 || r.outstanding < 1 || r.outstanding > LOAD_OUTSTANDING_MAX
			|| r.batch < 1 || r.batch > LOAD_BATCH_MAX)
			peer_die("a line is OUTSTANDING (1 to 64) BATCH (1 to 1024) SECONDS EFFORT");
		load_driver.effort(r.driver, effort);
		measure(&r, seconds, argv[4]);
	}
	return EXIT_SUCCESS;
}
