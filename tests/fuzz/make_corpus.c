/* make_corpus.c - writes the seeds of the wire's fuzz targets: tests/fuzz/make_corpus FOLDER. A few valid messages of every
 * op and kind for each; libprotobuf-c is not instrumented, so the fuzzer cannot find its way to them by itself. The same
 * files every time. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "common/check.h"
#include "proto/bundle.h"
#include "tests/support/wires.h"

enum { EACH = 3, MSGPACKS = 40, BUNDLES = 12, SEED = 23 };

static int write_file(const char *folder, const char *target, int number, const struct buf *bytes)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, target);
	if (mkdir(path, 0777) && errno != EEXIST) return perror(path), 1;
	snprintf(path, sizeof(path), "%s/%s/%03d", folder, target, number);
	f = fopen(path, "wb");
	if (!f) return perror(path), 1;
	bool good = fwrite(bytes->bytes, 1, bytes->size, f) == bytes->size;
	if (fclose(f) || !good) return perror(path), 1;
	return 0;
}

static int write_wire(const char *folder, const struct wire *w, struct maker *m)
{
	int number = 0, failed = 0;

	for (int kind = w->first; kind <= w->last; kind++) {
		for (int i = 0; i < EACH; i++) {
			struct message made = {0};
			struct encoded e = {0};
			struct buf bytes;
			buf_init(&bytes, 0);
			w->make(m, kind, &made);
			require(w->encode(&made, &e) == STATUS_OK);
			frames_pack(&e, &bytes);
			failed |= write_file(folder, w->name, number++, &bytes);
			buf_release(&bytes);
			encoded_release(&e);
		}
	}
	return failed;
}

/* Of 1 to BUNDLES messages of all wires between coordinator and workers. */
static int write_bundles(const char *folder, struct maker *m)
{
	int failed = 0;

	for (int n = 1; n <= BUNDLES; n++) {
		struct bundle b = {0};
		struct encoded whole = {.count = 2};
		struct buf bytes;
		for (int i = 0; i < n; i++) {
			const struct wire *w = &wires[i % 2 ? WIRE_CLUSTER_REQUEST : WIRE_CLUSTER_REPLY];
			struct message made = {0};
			struct encoded e = {0};
			w->make(m, w->first + i % (w->last - w->first + 1), &made);
			require(w->encode(&made, &e) == STATUS_OK && bundle_add(&b, e.frames, e.count) == STATUS_OK);
			encoded_release(&e);
		}
		bundle_frames(&b, whole.frames);
		buf_init(&bytes, 0);
		frames_pack(&whole, &bytes);
		failed |= write_file(folder, "bundle", n, &bytes);
		buf_release(&bytes);
		bundle_release(&b);
	}
	return failed;
}

int main(int argc, char **argv)
{
	struct maker m;
	int failed = 0;

	if (argc != 2) return fprintf(stderr, "usage: make_corpus FOLDER\n"), 2;
	maker_init(&m, SEED);
	for (int i = 0; i < WIRE_COUNT; i++) {
		failed |= write_wire(argv[1], &wires[i], &m);
		maker_reset(&m);
	}
	for (int i = 0; i < MSGPACKS; i++) {
		struct buf bytes;
		buf_init(&bytes, 0);
		random_msgpack(&m, i % 2, 6, &bytes);
		failed |= write_file(argv[1], "msgpack_scan", i, &bytes);
		buf_release(&bytes);
	}
	maker_reset(&m);
	failed |= write_bundles(argv[1], &m);
	maker_reset(&m);
	return failed;
}
