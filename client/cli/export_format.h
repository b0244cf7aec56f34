/* export_format.h - what a format of `grove export` is: a row of functions, found by its name. verb_export.c gives it items in the order of ids. */
#ifndef CLIENT_CLI_EXPORT_FORMAT_H
#define CLIENT_CLI_EXPORT_FORMAT_H

#include "client/cli/export_file.h"
#include "client/cli/item_stream.h"

struct export_format {
	const char *name;   /* of --format, and the ending of files */
	bool seeks;         /* needs an ordinary file: what stands at its beginning is only known at the end */
	bool ids, payloads; /* holds ids; payloads */
	bool keys;          /* holds keys */
	bool trees;         /* of the index, or --trees */
	/* The file is open and empty, and stays the caller's. *ret is the format's own. */
	enum status (*begin)(const grove_index *index, struct export_file *file, void **ret, struct report *report);
	/* Errors of the file's stream are looked at by the caller. */
	enum status (*item)(void *own, const struct stream_item *item, struct report *report);
	enum status (*finish)(void *own, struct report *report); /* after the last item; the caller commits the file */
	void (*end)(void *own);                                  /* frees it; NULL is fine */
};

extern const struct export_format export_npy, export_jsonl, export_ann;

/* A file of ids beside one that has none: npy if its name ends so, else text with one id a line. The order is that of the items. */
struct export_ids;
MUST_CHECK enum status export_ids_open(const char *path, struct export_ids **ret, struct report *report);
MUST_CHECK enum status export_ids_put(struct export_ids *i, uint64_t id, struct report *report);
MUST_CHECK enum status export_ids_commit(struct export_ids **take, struct report *report); /* closes it */
void export_ids_discard(struct export_ids **i);

#endif
