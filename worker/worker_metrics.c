/* worker_metrics.c - see worker_metrics.h. */
#include "worker/worker_metrics.h"

enum status worker_metrics_register(const struct worker_metrics *w, struct metrics *m, struct report *report)
{
	static const char writes[] = "Items whose write was acknowledged: they are on the disk.";
	static const char builds[] = "Builds of a shard that ended, by result; 'failed' includes those that were cancelled.";
	const struct metrics_series all[] = {
		{.name = "grove_worker_queries_total", .counter = &w->queries, .help = "Query vectors that were searched for; each is one, however many shards it was for."},
		{.name = "grove_worker_candidates_total", .counter = &w->candidates, .help = "Items that were scored for those queries."},
		{.name = "grove_worker_search_seconds", .histogram = &w->search_seconds,
			.help = "From the arrival of a search to its answer, waiting in the queue included; a search may hold many queries."},
		{.name = "grove_worker_writes_total", .counter = &w->upserts, .help = writes, .labels = {{"kind", "upsert"}}},
		{.name = "grove_worker_writes_total", .counter = &w->deletes, .help = writes, .labels = {{"kind", "delete"}}},
		{.name = "grove_worker_wal_sync_seconds", .histogram = &w->sync_seconds, .help = "Syncs of the shards' logs: each makes a group of writes durable."},
		{.name = "grove_worker_builds_total", .counter = &w->builds, .help = builds, .labels = {{"result", "ok"}}},
		{.name = "grove_worker_builds_total", .counter = &w->failed_builds, .help = builds, .labels = {{"result", "failed"}}},
		{.name = "grove_worker_build_seconds", .histogram = &w->build_seconds, .help = "Builds of a shard that succeeded."},
		{.name = "grove_worker_dropped_replies_total", .counter = &w->dropped_replies,
			.help = "Answers that could not be made or sent: a coordinator is gone or takes nothing, or there was no memory."},
		{.name = "grove_worker_shards", .gauge = &w->shards, .help = "Shards that this worker holds, in any state."},
		{.name = "grove_worker_items", .gauge = &w->items, .help = "Live items in them."},
		{.name = "grove_worker_memtable_rows", .gauge = &w->memtable_rows,
			.help = "Rows that no build has taken up yet, replaced ones included: every search looks at all of them."},
	};
	enum status status = STATUS_OK;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && status == STATUS_OK; i++) status = metrics_add(m, &all[i], report);
	return status;
}
