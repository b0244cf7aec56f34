/* verb_export.c - `grove export`: all items of an index into a file, in the order of their ids.
 *
 * Writers and builds may go on: an item that is there from beginning to end is in the file once (proto/CLIENT.md, scan). The file is there
 * whole or not at all. A page is asked for again until --timeout has passed, and one asking waits at most REQUEST_TIMEOUT_MS, so that what a restarted
 * coordinator forgot is soon asked again. A format is a row of export_format.h; here stands what they share. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/export_format.h"
#include "client/cli/output.h"
#include "client/cli/progress.h"
#include "client/cli/session.h"
#include "client/cli/verbs.h"
#include "common/clock.h"
#include "common/limits.h"

static const struct export_format *const formats[] = {&export_npy, &export_ann, &export_jsonl};
enum { FORMATS = sizeof(formats) / sizeof(formats[0]), LOOK_ITEMS = 256 /* between two looks at the bar and the files */,
	EXPORT_TIMEOUT_MS = 30000, REQUEST_TIMEOUT_MS = 5000 };

struct export {
	struct session session;
	grove_index info;
	const struct export_format *format;
	struct export_file *file;
	struct export_ids *ids; /* NULL: not asked for */
	void *own;              /* the format's */
	struct item_stream *stream;
	struct progress bar;
	uint64_t items, started_us;
	bool counted, keys; /* the ids are 0, 1, 2, ...; some item has a key */
};

static const struct export_format *format_by_name(const char *name)
{
	for (size_t i = 0; i < FORMATS; i++)
		if (strcmp(formats[i]->name, name) == 0) return formats[i];
	return NULL;
}

/* "npy, ann or jsonl" */
static const char *format_names(char *out, size_t size)
{
	size_t used = 0;
	for (size_t i = 0; i < FORMATS && used < size; i++) {
		int n = snprintf(out + used, size - used, "%s%s", i == 0 ? "" : i + 1 == FORMATS ? " or " : ", ", formats[i]->name);
		used += n > 0 ? (size_t)n : 0;
	}
	return out;
}

static int format_choose(const struct arguments *a, const struct export_format **ret)
{
	const char *path = a->positional[1], *name = arguments_text(a, "format"), *end = strrchr(path, '.');
	char names[100];
	format_names(names, sizeof(names));
	const struct export_format *format = name ? format_by_name(name) : strcmp(path, "-") == 0 ? &export_jsonl : end ? format_by_name(end + 1) : NULL;
	if (!format && name) return usage_error(a->command, "there is no format '%s': %s", name, names);
	if (!format) return usage_error(a->command, "the format of %s cannot be told from its name: say --format %s", path, names);
	if (format->ids && arguments_has(a, "ids")) return usage_error(a->command, "--ids is for formats without ids; %s has them", format->name);
	if (!format->trees && arguments_has(a, "trees")) return usage_error(a->command, "--trees is for ann; %s has none", format->name);
	if (strcmp(path, "-") == 0 && arguments_has(a, "json")) return usage_error(a->command, "--json and the items cannot both go to stdout: name a file");
	*ret = format;
	return EXIT_OK;
}

static int fail(const struct report *report)
{
	output_message("%s", report_text(report));
	return report->status == STATUS_USAGE ? EXIT_USAGE : EXIT_FAILED;
}

static enum status take_item(struct export *e, const struct stream_item *item, struct report *report)
{
	enum status status = e->format->item(e->own, item, report);
	if (status == STATUS_OK && e->ids) status = export_ids_put(e->ids, item->id, report);
	e->counted = e->counted && item->id == e->items;
	e->keys = e->keys || item->key_size;
	e->items++;
	if (status != STATUS_OK || e->items % LOOK_ITEMS) return status;
	progress_update(&e->bar, e->items, "items");
	return export_file_check(e->file, report);
}

static int take_items(struct export *e)
{
	struct report report = {.status = STATUS_OK};
	struct stream_item item;
	bool end = false;
	int code = item_stream_open(e->session.client, &e->info, e->format->payloads, e->session.timeout_ms, &e->stream);
	while (code == GROVE_OK && report.status == STATUS_OK) {
		code = item_stream_next(e->stream, &item, &end);
		if (end) break;
		if (code == GROVE_OK) report.status = take_item(e, &item, &report);
	}
	progress_end(&e->bar);
	if (code != GROVE_OK) return session_fail(&e->session, code);
	if (report.status == STATUS_OK) report.status = e->format->finish(e->own, &report);
	/* The ids first: who finds the vectors finds them too. */
	if (report.status == STATUS_OK && e->ids) report.status = export_ids_commit(&e->ids, &report);
	if (report.status == STATUS_OK) report.status = export_file_commit(&e->file, &report);
	return report.status == STATUS_OK ? EXIT_OK : fail(&report);
}

static void summary(const struct export *e, bool ids)
{
	char items[32], rate_text[32];
	double seconds = (double)(clock_us() - e->started_us) / 1e6, rate = seconds > 0 ? (double)e->items / seconds : 0;
	if (!e->format->ids && !ids && !e->counted)
		output_message("%s has no ids, and these are not 0 to %" PRIu64 ": --ids FILE writes them beside it", e->format->name, e->items - 1);
	if (!e->format->keys && e->keys) output_message("%s has no keys: jsonl has", e->format->name);
	if (e->session.json)
		fprintf(stdout, "{\"items\":%" PRIu64 ",\"seconds\":%.3f,\"items_per_second\":%.0f}\n", e->items, seconds, rate);
	else
		output_message("%s items in %.1f s (%s items/s)", count_text(e->items, items, sizeof(items)), seconds,
			count_text((uint64_t)rate, rate_text, sizeof(rate_text)));
}

static int requests_short(struct session *s)
{
	int code = grove_set_timeout(s->client, s->timeout_ms < REQUEST_TIMEOUT_MS ? s->timeout_ms : REQUEST_TIMEOUT_MS);
	return code == GROVE_OK ? EXIT_OK : session_fail(s, code);
}

int verb_export(const struct arguments *a)
{
	struct export e = {.counted = true, .started_us = clock_us()};
	struct report report = {.status = STATUS_OK};
	const char *ids = arguments_text(a, "ids");
	uint32_t trees = 0;
	int exit_code = format_choose(a, &e.format);
	if (exit_code != EXIT_OK) return exit_code;
	if (!arguments_u32(a, "trees", 1, TREES_MAX, &trees)) return EXIT_USAGE;
	exit_code = session_open(&e.session, a, EXPORT_TIMEOUT_MS);
	if (exit_code == EXIT_OK) exit_code = session_index(&e.session, a->positional[0], &e.info);
	if (exit_code == EXIT_OK) exit_code = requests_short(&e.session);
	if (exit_code != EXIT_OK) goto out;
	if (trees) e.info.trees = trees;
	enum status status = export_file_open(a->positional[1], e.format->seeks, &e.file, &report);
	if (status == STATUS_OK && ids) status = export_ids_open(ids, &e.ids, &report);
	if (status == STATUS_OK) status = e.format->begin(&e.info, e.file, &e.own, &report);
	if (status != STATUS_OK) {
		exit_code = fail(&report);
		goto out;
	}
	progress_begin(&e.bar, "exporting", e.info.items);
	exit_code = take_items(&e);
	if (exit_code == EXIT_OK) summary(&e, ids != NULL);
out:
	item_stream_close(&e.stream);
	if (e.format) e.format->end(e.own);
	export_ids_discard(&e.ids);
	export_file_discard(&e.file);
	session_close(&e.session);
	return exit_code;
}
