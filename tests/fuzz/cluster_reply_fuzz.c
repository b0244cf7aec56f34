/* cluster_reply_fuzz.c - replies of workers, as the coordinator reads them. The plant is behind the decoder: only a message
 * that is valid in every other respect reaches it. */
#include "tests/fuzz/wire_fuzz.h"

static void accepted(const struct message *m)
{
#ifdef GROVE_PLANT_CLUSTER_REPLY
	fuzz_plant(m->cluster_reply.to == CLUSTER_BUILD && m->cluster_reply.build.trees % 16 == 10);
#endif
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	wire_fuzz(&wires[WIRE_CLUSTER_REPLY], bytes, size, accepted);
	return 0;
}
