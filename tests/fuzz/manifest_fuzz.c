/* manifest_fuzz.c - bytes as a manifest. The first byte: bit 0, its size and checksum are made good; bit 1, its count of segments too, and its
 * length a whole number of them. What is accepted can be stored and comes back the same. */
#include <stdlib.h>

#include "tests/fuzz/seal.h"
#include "tests/fuzz/store_fuzz.h"
#include "worker/store/manifest.h"

enum { FIXED = 200, COUNT_AT = 192, SEGMENT = 32, CRC = 4 };

/* Returns the file's new length. */
static size_t counts_fit(uint8_t *file, size_t n)
{
	if (n < FIXED + CRC) return n;
	size_t count = (n - FIXED - CRC) / SEGMENT;
	store_u32(file + COUNT_AT, (uint32_t)count);
	return FIXED + count * SEGMENT + CRC;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
	struct manifest m;
	struct report report = {0};

	if (n < 1) return 0;
	uint8_t *file = malloc(n), *bytes[2] = {NULL, NULL};
	size_t size[2], file_size = n - 1;
	require(file);
	memcpy(file, input + 1, n - 1);
	if (input[0] & 2) file_size = counts_fit(file, file_size);
	if (input[0] & 1) seal_manifest(file, file_size);
	struct io_sim *sim = disk_with("s/manifest", file, file_size);
	struct io *io = io_sim_io(sim);
	enum status status = manifest_load(io, "s", &m, &report);
	require(status == STATUS_OK || ((status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED) && report.text[0]));
	for (int i = 0; i < 2 && status == STATUS_OK; i++) {
		require(m.segment_count <= MANIFEST_SEGMENTS_MAX && strlen(m.identity.name) <= NAME_MAX_BYTES);
		require(manifest_store(io, "s", &m, NULL) == STATUS_OK);
		require(io_slurp(io, "s/manifest", 1 << 20, &bytes[i], &size[i]) == STATUS_OK);
		require(manifest_load(io, "s", &m, NULL) == STATUS_OK);
	}
	if (status == STATUS_OK) require(size[0] == size[1] && memcmp(bytes[0], bytes[1], size[0]) == 0);
	free(bytes[0]);
	free(bytes[1]);
	free(file);
	io_sim_free(&sim);
	return 0;
}
