/* peer_main.c - the program around an engine: see peer.h. Single-threaded. */
#include "bench/peers/peer.h"
#include "bench/peers/set.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { LINE_MAX_BYTES = 512, PATH_BYTES = 4096 };
static const double pass_seconds = 0.2; /* a measurement takes at least so long, in whole passes */
static const double warm_seconds = 0.05; /* before it, since the other engines had the caches meanwhile */

/* ---- for the engines ---- */

void peer_die(const char *sentence)
{
	fprintf(stderr, "peer_%s: %s\n", peer.name, sentence);
	exit(EXIT_FAILURE);
}

double peer_number(const char *params, const char *name, double otherwise)
{
	size_t length = strlen(name);

	for (const char *p = params; (p = strstr(p, name)); p += length)
		if ((p == params || p[-1] == ' ') && p[length] == '=') return strtod(p + length + 1, NULL);
	return otherwise;
}

char *peer_path(const char *folder, const char *name)
{
	char *path = NULL;

	if (asprintf(&path, "%s/%s", folder, name) < 0) peer_die("not enough memory");
	return path;
}

void peer_normalised(const float *row, uint32_t dim, float *out)
{
	double sum = 0;

	for (uint32_t i = 0; i < dim; i++) sum += (double)row[i] * row[i];
	for (uint32_t i = 0; i < dim; i++) out[i] = sum > 0 ? (float)(row[i] / sqrt(sum)) : 0;
}

/* ---- what is measured ---- */

static double cpu_seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The index's files that are mapped. */
static uint64_t mapped_bytes(const char *folder)
{
	char line[PATH_BYTES];
	uint64_t sum = 0;
	FILE *maps = fopen("/proc/self/maps", "r");

	if (!maps) peer_die("/proc/self/maps cannot be read");
	while (fgets(line, sizeof(line), maps)) {
		uint64_t from, to;
		if (strstr(line, folder) && sscanf(line, "%" SCNx64 "-%" SCNx64, &from, &to) == 2) sum += to - from;
	}
	fclose(maps);
	return sum;
}

static uint64_t heap_bytes(void)
{
	struct mallinfo2 m = mallinfo2();
	return m.uordblks + m.hblkhd;
}

/* Files below a folder, added up. */
static uint64_t disk_bytes(const char *folder)
{
	uint64_t sum = 0;
	DIR *dir = opendir(folder);

	if (!dir) return 0;
	for (struct dirent *e; (e = readdir(dir));) {
		struct stat status;
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
		char *path = peer_path(folder, e->d_name);
		if (!lstat(path, &status)) sum += S_ISDIR(status.st_mode) ? disk_bytes(path) : (uint64_t)status.st_size;
		free(path);
	}
	closedir(dir);
	return sum;
}

static void print_grid(void)
{
	printf("{\"engine\": \"%s\", \"version\": \"%s\", \"compiler\": \"%s\", \"flags\": \"%s\", \"builds\": [", peer.name, peer.version, __VERSION__, PEER_FLAGS);
	for (const struct peer_build *b = peer.builds; b->params; b++) {
		const char *comma = "";
		printf("%s{\"params\": \"%s\", \"metrics\": [", b == peer.builds ? "" : ", ", b->params);
		for (int m = 0; m < METRIC_COUNT; m++)
			if (b->metrics & PEER_METRIC(m)) {
				printf("%s\"%s\"", comma, metric_name((enum metric)m));
				comma = ", ";
			}
		printf("], \"searches\": [");
		for (const char *const *s = b->searches; *s; s++) printf("%s\"%s\"", s == b->searches ? "" : ", ", *s);
		printf("]}");
	}
	printf("]}\n");
}

static void check_params(const struct peer_set *base, const char *params)
{
	for (const struct peer_build *b = peer.builds; b->params; b++)
		if (!strcmp(b->params, params)) {
			if (!(b->metrics & PEER_METRIC(base->metric))) peer_die("this build is not for the metric of this set");
			return;
		}
	peer_die("no such build in the grid: call the program without arguments to see it");
}

/* Opens the index in the folder, built before if it is not there: the mark "built" is written last. */
static void *index_of(const struct peer_set *base, const char *params, const char *folder, double *ret_seconds)
{
	char *mark = peer_path(folder, "built");

	*ret_seconds = -1;
	if (mkdir(folder, 0777) && errno != EEXIST) peer_die("the folder for the index cannot be made");
	FILE *file = fopen(mark, "r");
	if (!file) {
		double start = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
		peer.build(base, params, folder);
		*ret_seconds = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - start;
		malloc_trim(0);
		file = fopen(mark, "w");
	}
	if (!file || fclose(file)) peer_die("the folder for the index cannot be written");
	free(mark);
	return peer.open(base, params, folder);
}

/* ---- searching ---- */

static void one(void *index, const struct peer_set *queries, size_t q, size_t k, int64_t *found)
{
	int64_t *rows = found + q * k;
	size_t got = peer.search(index, peer_row(queries, (uint32_t)q), k, rows);

	while (got < k) rows[got++] = -1;
}

static void answer(void *index, const struct peer_set *queries, size_t count, size_t k, const char *search, int64_t *found, const char *answers)
{
	size_t passes = 0;
	double start, spent;

	peer.effort(index, search, k);
	start = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
	for (size_t q = 0; q < count && cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - start < warm_seconds; q++) one(index, queries, q, k, found);
	start = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
	do {
		for (size_t q = 0; q < count; q++) one(index, queries, q, k, found);
		passes++;
		spent = cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - start;
	} while (spent < pass_seconds);
	FILE *file = fopen(answers, "w");
	if (!file || fwrite(found, sizeof(*found) * k, count, file) != count || fclose(file)) peer_die("the answers cannot be written");
	printf("{\"search\": \"%s\", \"queries\": %zu, \"passes\": %zu, \"cpu_s\": %.9f}\n", search, count, passes, spent / (double)passes);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char line[LINE_MAX_BYTES];

	if (argc == 1) {
		print_grid();
		return EXIT_SUCCESS;
	}
	if (argc != 6) peer_die("arguments: SET K BUILD FOLDER ANSWERS, or none to see the grid");
	struct peer_set base = set_map(argv[1], "base"), queries = set_map(argv[1], "queries");
	size_t k = strtoul(argv[2], NULL, 10);
	int64_t *found = calloc(queries.n, k * sizeof(*found));
	double seconds;

	if (!k || !found) peer_die("k is a number, and the answers must fit into memory");
	check_params(&base, argv[3]);
	uint64_t before = heap_bytes();
	void *index = index_of(&base, argv[3], argv[4], &seconds);
	uint64_t memory = heap_bytes() - before + mapped_bytes(argv[4]);
	uint64_t disk = peer.may_stay_on_disk ? peer.may_stay_on_disk(index) : 0;
	printf("{\"engine\": \"%s\", \"build\": \"%s\", \"n\": %" PRIu32 ", \"build_cpu_s\": ", peer.name, argv[3], base.n);
	printf(seconds < 0 ? "null" : "%.3f", seconds);
	printf(", \"memory_bytes\": %" PRIu64 ", \"may_stay_on_disk_bytes\": %" PRIu64 ", \"disk_bytes\": %" PRIu64 "}\n", memory, disk, disk_bytes(argv[4]));
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		char *search;
		size_t count = strtoul(line, &search, 10);
		search += strspn(search, " ");
		search[strcspn(search, "\n")] = 0;
		if (!count || count > queries.n) peer_die("a line is QUERIES SEARCH, and the set has not so many queries");
		answer(index, &queries, count, k, search, found, argv[5]);
	}
	return EXIT_SUCCESS;
}
