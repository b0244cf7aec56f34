/* msgpack_scan_fuzz.c - the scan of foreign msgpack, and payloads as JSON. Whatever the scan accepts has to be printable. */
#include <string.h>

#include "common/check.h"
#include "proto/client_codec.h"
#include "tests/fuzz/plant.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	uint8_t *exact = malloc(size ? size : 1);
	struct buf out;

	require(exact);
	if (size) memcpy(exact, bytes, size);
	buf_init(&out, 0);
	bool value = msgpack_scan(exact, size, false), map = msgpack_scan(exact, size, true);
	require(value || !map);
	require((payload_to_json(exact, size, &out) == STATUS_OK) == value);
#ifdef GROVE_PLANT_MSGPACK_SCAN
	fuzz_plant(map && exact[0] == 0x83 && out.size == 77);
#endif
	buf_release(&out);
	free(exact);
	return 0;
}
