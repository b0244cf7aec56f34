/* client_reply_fuzz.c - replies to clients, as the client library reads them. The plant is behind the decoder: only a message
 * that is valid in every other respect reaches it. */
#include "tests/fuzz/wire_fuzz.h"

static void accepted(const struct message *m)
{
#ifdef GROVE_PLANT_CLIENT_REPLY
	fuzz_plant(m->client_reply.op == CLIENT_DELETE && m->client_reply.write.n > 0 && m->client_reply.id % 8 == 6);
#endif
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	wire_fuzz(&wires[WIRE_CLIENT_REPLY], bytes, size, accepted);
	return 0;
}
