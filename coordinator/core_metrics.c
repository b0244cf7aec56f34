/* core_metrics.c - see core_metrics.h. */
#include "coordinator/core_metrics.h"

#include "common/check.h"
#include "proto/client_codec.h"

#define STATUS_FITS(name, number, wire, text) _Static_assert(-(number) < STATUS_ROWS, "a row for each status");
STATUS_MAP(STATUS_FITS)
#undef STATUS_FITS

static const enum status statuses[] = {
#define STATUS_LIST(name, number, wire, text) STATUS_##name,
	STATUS_MAP(STATUS_LIST)
#undef STATUS_LIST
};

void core_metrics_init(struct core_metrics *c) { *c = (struct core_metrics){.request_bytes.unit = HISTOGRAM_BYTES}; }

void core_metrics_answered(struct core_metrics *c, uint32_t row, enum status status)
{
	require(row < REQUEST_ROWS && status <= 0 && -status < STATUS_ROWS);
	counter_add(&c->answers[row][-status], 1);
	if (status == STATUS_BUSY) counter_add(&c->busy, 1);
}

uint64_t core_metrics_answers(const struct core_metrics *c, uint32_t row)
{
	uint64_t all = 0;
	for (int i = 0; i < STATUS_ROWS; i++) all += counter_value(&c->answers[row][i]);
	return all;
}

/* Each operation with each status. Most never happen: only successes are there from the start. */
static enum status register_answers(const struct core_metrics *c, struct metrics *m, struct report *report)
{
	enum status status = STATUS_OK;
	for (uint32_t row = 0; row < REQUEST_ROWS; row++) {
		const char *op = row == REQUEST_INVALID ? "invalid" : client_op_name((enum client_op)row);
		for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]) && status == STATUS_OK; i++) {
			struct metrics_series s = {.name = "grove_coordinator_requests_total", .counter = &c->answers[row][-statuses[i]],
				.help = "Answers to clients, by operation and status. Operation 'invalid': what could not be read as a request.",
				.labels = {{"op", op}, {"status", status_name(statuses[i])}}, .sparse = row == REQUEST_INVALID || statuses[i] != STATUS_OK};
			status = metrics_add(m, &s, report);
		}
	}
	return status;
}

enum status core_metrics_register(const struct core_metrics *c, struct metrics *m, struct report *report)
{
	const struct metrics_series all[] = {
		{.name = "grove_coordinator_busy_refusals_total", .counter = &c->busy, .help = "Requests that were answered 'busy': some queue was full."},
		{.name = "grove_coordinator_request_bytes", .histogram = &c->request_bytes, .help = "Sizes of clients' messages."},
		{.name = "grove_coordinator_requests_under_way", .gauge = &c->under_way, .help = "Requests of clients that wait for workers or the metadata store."},
		{.name = "grove_coordinator_queries_total", .counter = &c->queries, .help = "Query vectors in the searches that were answered, incomplete answers included."},
		{.name = "grove_coordinator_search_seconds", .histogram = &c->search_seconds,
			.help = "From the arrival of a search to that of its last worker's answer, or to its deadline; a search may hold many queries."},
		{.name = "grove_coordinator_incomplete_answers_total", .counter = &c->incomplete,
			.help = "Searches that were answered with some shard missing, whether the client allowed it or not."},
		{.name = "grove_coordinator_late_replies_total", .counter = &c->late_replies, .help = "Replies of workers that nobody waited for any more."},
		{.name = "grove_coordinator_bad_worker_messages_total", .counter = &c->bad_worker_messages, .help = "Messages on the workers' socket that were not understood."},
	};
	enum status status = register_answers(c, m, report);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && status == STATUS_OK; i++) status = metrics_add(m, &all[i], report);
	for (int state = 0; state < MEMBER_STATES && status == STATUS_OK; state++) {
		struct metrics_series s = {.name = "grove_coordinator_workers", .gauge = &c->members[state], .help = "Workers by state.",
			.labels = {{"state", worker_state_name((enum worker_state)state)}}};
		status = metrics_add(m, &s, report);
	}
	return status;
}
