/* client_request_fuzz.c - requests of clients, as the coordinator reads them. The plant is behind the decoder: only a message
 * that is valid in every other respect reaches it. */
#include "tests/fuzz/wire_fuzz.h"

static void accepted(const struct message *m)
{
#ifdef GROVE_PLANT_CLIENT_REQUEST
	fuzz_plant(m->client_request.op != CLIENT_HELLO && m->client_request.timeout_ms % 32 == 0);
#endif
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	wire_fuzz(&wires[WIRE_CLIENT_REQUEST], bytes, size, accepted);
	return 0;
}
