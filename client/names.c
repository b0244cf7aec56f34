/* names.c - codes, metrics and states as text, for users of the library. */
#include "client/grove.h"
#include "common/status.h"
#include "common/vec.h"
#include "proto/message.h"

const char *grove_code_name(int code)
{
	return status_name((enum status)code);
}
const char *grove_code_text(int code)
{
	return status_text((enum status)code);
}
const char *grove_metric_name(uint32_t metric)
{
	return metric < METRIC_COUNT ? metric_name((enum metric)metric) : "unknown";
}

int grove_metric_by_name(const char *name, uint32_t *ret)
{
	enum metric metric;
	if (!metric_by_name(name, &metric)) return GROVE_NOT_FOUND;
	*ret = metric;
	return GROVE_OK;
}

const char *grove_shard_state_name(uint32_t state)
{
	return state <= SHARD_MISSING ? shard_state_name((enum shard_state)state) : "unknown";
}
const char *grove_worker_state_name(uint32_t state)
{
	return state <= WORKER_DEAD ? worker_state_name((enum worker_state)state) : "unknown";
}
const char *grove_version(void)
{
	return GROVE_VERSION;
}
