/* cluster_request_fuzz.c - requests to workers and beats. The plant is behind the decoder: only a message
 * that is valid in every other respect reaches it. */
#include "tests/fuzz/wire_fuzz.h"

static void accepted(const struct message *m)
{
#ifdef GROVE_PLANT_CLUSTER_REQUEST
	fuzz_plant(m->cluster_request.kind == CLUSTER_OPEN && m->cluster_request.open.number % 8 == 2);
#endif
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	wire_fuzz(&wires[WIRE_CLUSTER_REQUEST], bytes, size, accepted);
	return 0;
}
