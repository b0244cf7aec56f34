/* meta_sqlite.c - the embedded metadata store: one SQLite database, the only file that sees sqlite3.h.
 *
 *   record(key TEXT PRIMARY KEY, version INTEGER, value BLOB)     what meta.h describes
 *   revision(only = 1, value INTEGER)                              counts commits; a commit's value is its records' version
 *
 * journal_mode=WAL with synchronous=FULL syncs the log before every commit returns. locking_mode=EXCLUSIVE keeps other
 * processes out even if someone copies the lock file. user_version is the schema's number; application_id marks the file as ours.
 * The statements are prepared once. */
#include "coordinator/meta.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEMA_VERSION = 1, APPLICATION_ID = 0x47525645 /* "GRVE" */ };

enum statement { GET, LIST, PUT, REMOVE, REVISION_GET, REVISION_PUT, BEGIN, COMMIT, ROLLBACK, STATEMENT_COUNT };
static const char *const statement_text[STATEMENT_COUNT] = {
	[GET] = "SELECT version, value FROM record WHERE key = ?1",
	[LIST] = "SELECT key, version, value FROM record WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key",
	[PUT] = "INSERT INTO record(key, version, value) VALUES(?1, ?2, ?3) ON CONFLICT(key) DO UPDATE SET version = ?2, value = ?3",
	[REMOVE] = "DELETE FROM record WHERE key = ?1",
	[REVISION_GET] = "SELECT value FROM revision WHERE only = 1",
	[REVISION_PUT] = "UPDATE revision SET value = ?1 WHERE only = 1",
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
};

struct sqlite_store { struct meta_store base; sqlite3 *db; sqlite3_stmt *statements[STATEMENT_COUNT]; };

static enum status status_of(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE: return STATUS_OK;
	case SQLITE_NOMEM: return STATUS_NO_MEMORY;
	case SQLITE_FULL: return STATUS_DISK_FULL;
	case SQLITE_BUSY:
	case SQLITE_LOCKED: return STATUS_LOCKED;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB: return STATUS_CORRUPT;
	default: return STATUS_IO;
	}
}

static enum status fault(const struct sqlite_store *s, int code, const char *doing, struct report *report)
{
	enum status status = status_of(code);
	return report_set(report, status, "the metadata store failed %s: %s%s", doing, s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(code),
		status == STATUS_DISK_FULL ? "; free some space where the coordinator's data folder is and try again" : "");
}

/* Run a statement that gives no row. */
static int statement_run(struct sqlite_store *s, enum statement which)
{
	int code = sqlite3_step(s->statements[which]);
	sqlite3_reset(s->statements[which]);
	sqlite3_clear_bindings(s->statements[which]);
	return code == SQLITE_ROW ? SQLITE_DONE : code;
}

/* Present version and value of a key; *ret_version 0 when there is none. */
static int version_of(struct sqlite_store *s, const char *key, uint64_t *ret_version)
{
	sqlite3_stmt *get = s->statements[GET];
	sqlite3_bind_text(get, 1, key, -1, SQLITE_TRANSIENT);
	int code = sqlite3_step(get);
	*ret_version = code == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(get, 0) : 0;
	sqlite3_reset(get);
	sqlite3_clear_bindings(get);
	return code;
}

static enum status record_fill(struct meta_record *r, const char *key, uint64_t version, const void *value, size_t size)
{
	memset(r, 0, sizeof(*r));
	r->value = malloc(size ? size : 1);
	if (!r->value) return STATUS_NO_MEMORY;
	if (size) memcpy(r->value, value, size);
	snprintf(r->key, sizeof(r->key), "%s", key);
	r->version = version;
	r->size = size;
	return STATUS_OK;
}

static enum status store_get(struct meta_store *base, const char *key, struct meta_record *ret, struct report *report)
{
	struct sqlite_store *s = (struct sqlite_store *)base;
	sqlite3_stmt *get = s->statements[GET];
	enum status status;
	sqlite3_bind_text(get, 1, key, -1, SQLITE_TRANSIENT);
	int code = sqlite3_step(get);
	if (code == SQLITE_ROW)
		status = record_fill(ret, key, (uint64_t)sqlite3_column_int64(get, 0), sqlite3_column_blob(get, 1), (size_t)sqlite3_column_bytes(get, 1));
	else if (code == SQLITE_DONE)
		status = report_set(report, STATUS_NOT_FOUND, "the metadata store has no record '%s'", key);
	else
		status = fault(s, code, "to read a record", report);
	sqlite3_reset(get);
	sqlite3_clear_bindings(get);
	return status;
}

static enum status store_list(struct meta_store *base, const char *prefix, struct meta_record **ret, size_t *ret_count, struct report *report)
{
	struct sqlite_store *s = (struct sqlite_store *)base;
	sqlite3_stmt *list = s->statements[LIST];
	struct meta_record *records = NULL;
	size_t count = 0;
	enum status status = STATUS_OK;
	int code;
	sqlite3_bind_text(list, 1, prefix, -1, SQLITE_TRANSIENT);
	while ((code = sqlite3_step(list)) == SQLITE_ROW) {
		const char *key = (const char *)sqlite3_column_text(list, 0);
		struct meta_record *grown = realloc(records, (count + 1) * sizeof(*records));
		status = grown && key ? STATUS_OK : STATUS_NO_MEMORY;
		if (grown) records = grown;
		if (status == STATUS_OK)
			status = record_fill(&records[count], key, (uint64_t)sqlite3_column_int64(list, 1), sqlite3_column_blob(list, 2),
				(size_t)sqlite3_column_bytes(list, 2));
		if (status != STATUS_OK) goto out;
		count++;
	}
	if (code != SQLITE_DONE) {
		status = fault(s, code, "to list its records", report);
		goto out;
	}
	*ret = records;
	*ret_count = count;
	records = NULL;
	count = 0;
out:
	sqlite3_reset(list);
	sqlite3_clear_bindings(list);
	meta_records_free(&records, count);
	return status;
}

/* Inside a transaction: compare all, then set all. Returns a SQLite code; a failed comparison sets the commit's report. */
static int changes_apply(struct sqlite_store *s, struct meta_commit *commit)
{
	uint64_t version, revision;
	int code;
	for (size_t i = 0; i < commit->count; i++) {
		code = version_of(s, commit->changes[i].key, &version);
		if (code != SQLITE_ROW && code != SQLITE_DONE) return code;
		if (version == commit->changes[i].expected) continue;
		report_set(&commit->report, STATUS_CONFLICT, "the metadata record '%s' was changed meanwhile", commit->changes[i].key);
		return SQLITE_OK;
	}
	code = sqlite3_step(s->statements[REVISION_GET]);
	revision = code == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(s->statements[REVISION_GET], 0) + 1 : 0;
	sqlite3_reset(s->statements[REVISION_GET]);
	if (code != SQLITE_ROW) return code == SQLITE_DONE ? SQLITE_CORRUPT : code;
	sqlite3_bind_int64(s->statements[REVISION_PUT], 1, (sqlite3_int64)revision);
	code = statement_run(s, REVISION_PUT);
	for (size_t i = 0; i < commit->count && code == SQLITE_DONE; i++) {
		const struct meta_change *c = &commit->changes[i];
		enum statement which = c->remove ? REMOVE : PUT;
		sqlite3_bind_text(s->statements[which], 1, c->key, -1, SQLITE_TRANSIENT);
		if (!c->remove) {
			sqlite3_bind_int64(s->statements[which], 2, (sqlite3_int64)revision);
			sqlite3_bind_blob(s->statements[which], 3, c->value, (int)c->size, SQLITE_TRANSIENT);
		}
		code = statement_run(s, which);
	}
	commit->version = revision;
	return code;
}

static void store_commit(struct meta_store *base, struct meta_commit *commit)
{
	struct sqlite_store *s = (struct sqlite_store *)base;
	commit->report = (struct report){.status = STATUS_OK};
	commit->version = 0;
	int code = statement_run(s, BEGIN);
	if (code == SQLITE_DONE) code = changes_apply(s, commit);
	if (code == SQLITE_DONE && commit->report.status == STATUS_OK) code = statement_run(s, COMMIT);
	if (code == SQLITE_DONE) return;
	if (commit->report.status == STATUS_OK) fault(s, code, "to commit", &commit->report);
	commit->version = 0;
	if (!sqlite3_get_autocommit(s->db)) statement_run(s, ROLLBACK);
}

static void store_close(struct meta_store **base)
{
	struct sqlite_store *s = (struct sqlite_store *)*base;
	if (!s) return;
	for (int i = 0; i < STATEMENT_COUNT; i++) sqlite3_finalize(s->statements[i]);
	sqlite3_close(s->db);
	free(s);
	*base = NULL;
}

static const struct meta_store_ops sqlite_ops = {store_get, store_list, store_commit, store_close};

static int pragma_int(sqlite3 *db, const char *text, int *ret)
{
	sqlite3_stmt *stmt = NULL;
	int code = sqlite3_prepare_v2(db, text, -1, &stmt, NULL);
	if (code == SQLITE_OK) code = sqlite3_step(stmt);
	if (code == SQLITE_ROW) *ret = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	return code == SQLITE_ROW ? SQLITE_OK : code;
}

static enum status schema_prepare(struct sqlite_store *s, const char *path, struct report *report)
{
	static const char make[] = "BEGIN IMMEDIATE;"
				   "CREATE TABLE record(key TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;"
				   "CREATE TABLE revision(only INTEGER PRIMARY KEY CHECK(only = 1), value INTEGER NOT NULL);"
				   "INSERT INTO revision VALUES(1, 0);"
				   "PRAGMA application_id = 1196578373;"
				   "PRAGMA user_version = 1;"
				   "COMMIT;";
	_Static_assert(APPLICATION_ID == 1196578373 && SCHEMA_VERSION == 1, "the text above says the same");
	int version = 0, application = 0, code;
	code = sqlite3_exec(s->db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;", NULL, NULL, NULL);
	if (code == SQLITE_OK) code = pragma_int(s->db, "PRAGMA user_version", &version);
	if (code == SQLITE_OK) code = pragma_int(s->db, "PRAGMA application_id", &application);
	if (code != SQLITE_OK) return fault(s, code, "to open", report);
	if (version > SCHEMA_VERSION)
		return report_set(report, STATUS_UNSUPPORTED, "%s has schema %d, this version of Grove knows up to %d: use a newer Grove", path, version,
			SCHEMA_VERSION);
	if (version == 0) {
		code = sqlite3_exec(s->db, make, NULL, NULL, NULL);
		return code == SQLITE_OK ? STATUS_OK : fault(s, code, "to make its tables", report);
	}
	if (application != APPLICATION_ID) return report_set(report, STATUS_CORRUPT, "%s is a database of another program", path);
	return STATUS_OK;
}

enum status meta_sqlite_open(const char *path, struct meta_store **ret, struct report *report)
{
	struct sqlite_store *s = calloc(1, sizeof(*s));
	struct meta_store *base;
	enum status status = STATUS_NO_MEMORY;
	if (!s) return STATUS_NO_MEMORY;
	s->base.ops = &sqlite_ops;
	int code = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, NULL);
	if (code != SQLITE_OK) {
		status = report_set(report, status_of(code), "%s: %s", path, s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(code));
		goto out;
	}
	sqlite3_extended_result_codes(s->db, 1);
	status = schema_prepare(s, path, report);
	if (status != STATUS_OK) goto out;
	for (int i = 0; i < STATEMENT_COUNT; i++) {
		code = sqlite3_prepare_v3(s->db, statement_text[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[i], NULL);
		if (code == SQLITE_OK) continue;
		status = fault(s, code, "to prepare its statements", report);
		goto out;
	}
	*ret = &s->base;
	s = NULL;
out:
	base = s ? &s->base : NULL;
	store_close(&base);
	return status;
}
