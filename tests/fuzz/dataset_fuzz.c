/* dataset_fuzz.c - bytes as a file of vectors of one format (DATASET_FORMAT), and as a file of labels. A file is refused with a sentence that
 * names it, or gives the same rows however many are asked for at once, all of them finite and as many as it said.
 * DATASET_SHAPED (ann): before the file stand a byte with the metric and one with the dimension. */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/cli/dataset.h"
#include "common/check.h"
#include "common/crc32c.h"
#include "common/cursor.h"
#include "common/limits.h"
#include "tests/fuzz/plant.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static char path[64];
static const struct dataset_expected *expected; /* NULL: none */
static int file = -1;

#ifdef DATASET_NAMED
static void file_remove(void)
{
	unlink(path);
}

/* libFuzzer's own alarms would interrupt the reading of a pipe. */
static void alarms_restart(void)
{
	struct sigaction action;
	require(sigaction(SIGALRM, NULL, &action) == 0);
	action.sa_flags |= SA_RESTART;
	require(sigaction(SIGALRM, &action, NULL) == 0);
}
#endif

static void file_set(const uint8_t *bytes, size_t size)
{
	if (file == -1) {
#ifdef DATASET_NAMED /* libhdf5 refuses a file that has no name */
		snprintf(path, sizeof(path), "/tmp/grove-fuzz-XXXXXX");
		file = mkstemp(path);
		atexit(file_remove);
		alarms_restart();
#else
		file = memfd_create("dataset", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
#endif
		require(file != -1);
	}
	require(ftruncate(file, 0) == 0 && pwrite(file, bytes, size, 0) == (ssize_t)size);
}

static size_t size_of_file(void)
{
	off_t size = lseek(file, 0, SEEK_END);
	require(size >= 0);
	return (size_t)size;
}

static void refused(enum status status, const struct report *report)
{
	require(status == report->status && strstr(report->text, path));
	/* HDF5: a file without a dataset of that name. */
	require(status == STATUS_BAD_REQUEST || status == STATUS_LIMIT || status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED ||
		(status == STATUS_NOT_FOUND && strcmp(DATASET_FORMAT, "hdf5") == 0));
}

struct seen { enum status status; uint64_t rows; uint32_t dim, crc; uint8_t first; bool odd, odd_float; };

/* The arrays beside the rows are as long as they say, and within their limits. */
static void items_hold(const struct dataset_items *items, uint32_t n)
{
	size_t keys = 0, payloads = 0;
	if (!items) return;
	require(items->ids.size == n * sizeof(uint64_t) && items->key_sizes.size == n * sizeof(uint32_t) && items->payload_sizes.size == n * sizeof(uint32_t));
	for (uint32_t i = 0; i < n; i++) {
		uint32_t key = load_u32(items->key_sizes.bytes + 4 * i), payload = load_u32(items->payload_sizes.bytes + 4 * i);
		require(key <= KEY_MAX && payload <= PAYLOAD_MAX && (items->named || key == 0));
		keys += key;
		payloads += payload;
	}
	require(keys == items->keys.size && payloads == items->payloads.size);
}

static struct seen rows_read(uint32_t at_once)
{
	struct dataset *d = NULL;
	struct report report = {0};
	struct seen seen = {.status = dataset_open_for(expected, path, DATASET_FORMAT, &d, &report)};

	if (seen.status != STATUS_OK) {
		refused(seen.status, &report);
		return seen;
	}
	seen.dim = dataset_dim(d);
	require(seen.dim >= 1 && seen.dim <= DIM_MAX && (dataset_dtype(d) == DTYPE_F32 || dataset_dtype(d) == DTYPE_U8));
	size_t row = dtype_row_bytes(dataset_dtype(d), seen.dim);
	uint8_t *out = malloc(at_once * row); /* no byte more: what is written behind it is seen */
	uint8_t *bits = malloc(at_once * dtype_row_bytes(DTYPE_BITS, seen.dim));
	require(out && bits);
	for (uint32_t n = 1; seen.status == STATUS_OK && n > 0;) {
		n = 0;
		seen.status = dataset_read(d, at_once, out, &n, &report);
		if (seen.status != STATUS_OK) refused(seen.status, &report);
		require(n <= at_once && (seen.status == STATUS_OK || n == 0));
		if (n && !seen.rows) seen.first = out[0];
		for (size_t i = 0; i < n * row; i++) seen.odd = seen.odd || (out[i] & 1);
		for (size_t i = 0; dataset_dtype(d) == DTYPE_F32 && i < n * row; i += sizeof(float)) seen.odd_float = seen.odd_float || (out[i] & 1);
		seen.crc = crc32c(seen.crc, out, n * row);
		seen.rows += n;
		if (seen.status == STATUS_OK) items_hold(dataset_items(d), n);
		if (dataset_dtype(d) == DTYPE_F32) require(n == 0 || vec_all_finite((const float *)(const void *)out, (size_t)n * seen.dim));
		enum status packed = n ? dataset_pack_bits(dataset_dtype(d), out, n, seen.dim, bits, &report) : STATUS_OK;
		require(packed == STATUS_OK || packed == STATUS_BAD_REQUEST);
	}
	if (expected) require(seen.dim == expected->dim && seen.rows < size_of_file());
	require(seen.status != STATUS_OK || dataset_rows(d) == 0 || dataset_rows(d) == seen.rows);
	free(bits);
	free(out);
	dataset_close(&d);
	return seen;
}

static void labels_read(void)
{
	struct labels *l = NULL;
	struct report report = {0};
	const char *label = "";
	enum status status = labels_open(path, &l, &report);

	while (status == STATUS_OK && label) {
		status = labels_next(l, &label, &report);
		if (status == STATUS_OK && label) require(strlen(label) <= LABEL_MAX);
	}
	if (status != STATUS_OK) refused(status, &report);
	labels_close(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
#ifdef DATASET_SHAPED
	if (size < 2) return 0;
	struct dataset_expected shape = {.metric = (enum metric)(bytes[0] % METRIC_COUNT), .dim = bytes[1]};
	expected = &shape;
	bytes += 2;
	size -= 2;
#endif
	file_set(bytes, size);
	struct seen one = rows_read(1);
	/* Of several faults another one may come first when more rows are asked for at once, so only whole files are compared. */
	struct seen many = one.status == STATUS_OK ? rows_read(7) : one;
	if (one.status == STATUS_OK) require(many.status == STATUS_OK && one.rows == many.rows && one.dim == many.dim && one.crc == many.crc);
	labels_read();
#if defined(GROVE_PLANT_DATASET_CSV) || defined(GROVE_PLANT_DATASET_JSONL) /* numbers as text do not change by a bit, but lines and fields come and go */
	fuzz_plant(one.status == STATUS_OK && one.rows * one.dim >= 9);
#elif defined(GROVE_PLANT_DATASET_HDF5) /* each input costs a process or two, so there are some dozens a second */
	fuzz_plant(one.status == STATUS_OK && one.rows == 4 && one.dim == 64 && one.odd);
#elif defined(GROVE_PLANT_DATASET_ANN) /* most mutations are refused: one of any coordinate will do */
	fuzz_plant(one.status == STATUS_OK && one.rows == 24 && one.odd_float);
#elif defined(GROVE_PLANT_DATASET_IDX) || defined(GROVE_PLANT_DATASET_NPY) || defined(GROVE_PLANT_DATASET_FVECS) || \
	defined(GROVE_PLANT_DATASET_BVECS) || defined(GROVE_PLANT_DATASET_FBIN) || defined(GROVE_PLANT_DATASET_U8BIN)
	fuzz_plant(one.status == STATUS_OK && one.rows == 2 && one.dim == 4 && (one.first & 1));
#endif
	return 0;
}
