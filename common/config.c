/* config.c - see config.h. libcyaml fills a struct by a schema; here both are made from the list of settings: an array of
 * text pointers, one for each. Its own words about an error, which carry line and column, are passed on. */
#include "common/config.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/check.h"

struct complaint { char text[300]; size_t size; };

/* What cyaml says of an error, its several lines joined by "; ". */
static void complaint_note(cyaml_log_t level, void *ctx, const char *fmt, va_list args)
{
	struct complaint *c = ctx;
	if (level < CYAML_LOG_ERROR || c->size >= sizeof(c->text) - 1) return;
	if (c->size) c->size += (size_t)snprintf(c->text + c->size, sizeof(c->text) - c->size, "; ");
	if (c->size >= sizeof(c->text)) c->size = sizeof(c->text) - 1;
	int n = vsnprintf(c->text + c->size, sizeof(c->text) - c->size, fmt, args);
	if (n > 0) c->size += (size_t)n;
	if (c->size >= sizeof(c->text)) c->size = sizeof(c->text) - 1;
	while (c->size && (c->text[c->size - 1] == '\n' || c->text[c->size - 1] == ' ')) c->text[--c->size] = 0;
}

static enum status file_check(const char *path, struct report *report)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return report_set(report, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO, "the configuration file %s cannot be read: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode)) return report_set(report, STATUS_USAGE, "the configuration %s is not a file", path);
	if (st.st_size > CONFIG_FILE_MAX)
		return report_set(report, STATUS_LIMIT, "the configuration file %s passes %d bytes (CONFIG_FILE_MAX)", path, CONFIG_FILE_MAX);
	return STATUS_OK;
}

static enum status values_keep(char **values, const struct config_setting *settings, size_t count)
{
	char *copies[CONFIG_SETTINGS_MAX] = {NULL};
	for (size_t i = 0; i < count; i++) {
		if (!values || !values[i]) continue;
		copies[i] = strdup(values[i]);
		if (copies[i]) continue;
		while (i--) free(copies[i]);
		return STATUS_NO_MEMORY;
	}
	for (size_t i = 0; i < count; i++) {
		if (!copies[i]) continue;
		free(*settings[i].value);
		*settings[i].value = copies[i];
	}
	return STATUS_OK;
}

enum status config_load(const char *path, const struct config_setting *settings, size_t count, struct report *report)
{
	cyaml_schema_field_t fields[CONFIG_SETTINGS_MAX + 1] = {{.key = NULL}};
	struct complaint complaint = {.size = 0};
	char **values = NULL;
	require(count <= CONFIG_SETTINGS_MAX);
	for (size_t i = 0; i < count; i++) {
		fields[i].key = settings[i].name;
		fields[i].data_offset = (uint32_t)(i * sizeof(char *));
		fields[i].value.type = CYAML_STRING;
		fields[i].value.flags = CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL;
		fields[i].value.data_size = sizeof(char);
		fields[i].value.string.max = CONFIG_VALUE_MAX;
	}
	const cyaml_schema_value_t top = {.type = CYAML_MAPPING, .flags = CYAML_FLAG_POINTER, .data_size = (uint32_t)(count * sizeof(char *)),
		.mapping = {.fields = fields}};
	const cyaml_config_t config = {.log_fn = complaint_note, .log_ctx = &complaint, .mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR};
	enum status status = file_check(path, report);
	if (status != STATUS_OK) return status;
	cyaml_err_t error = cyaml_load_file(path, &config, &top, (cyaml_data_t **)&values, NULL);
	if (error == CYAML_ERR_OOM) return report_set(report, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
	if (error != CYAML_OK)
		return report_set(report, STATUS_USAGE, "the configuration file %s is wrong: %s (%s)", path, complaint.text, cyaml_strerror(error));
	status = values_keep(values, settings, count);
	cyaml_free(&config, &top, values, 0);
	return status == STATUS_OK ? STATUS_OK : report_set(report, status, "%s", status_text(status));
}
