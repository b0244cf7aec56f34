/* config.h - settings from a YAML file: one mapping of names to scalars. The only file that sees libcyaml is config.c.
 *
 *     # grove-coordinator.yaml
 *     data: /var/lib/grove/coordinator
 *     listen: tcp://127.0.0.1:7600
 *
 * Every name must be one that the program knows: a misspelt setting is an error that names it and how far reading had come,
 * not a default in silence. Values are handed on as text; what they mean is checked where a flag of the same name would be. */
#ifndef COMMON_CONFIG_H
#define COMMON_CONFIG_H

#include <stddef.h>

#include "common/status.h"

enum { CONFIG_VALUE_MAX = 4096, CONFIG_SETTINGS_MAX = 32, CONFIG_FILE_MAX = 65536 };

/* A setting that the program knows; *value becomes malloc'ed text if the file has it, and stays as it is otherwise. */
struct config_setting { const char *name; char **value; };

/* NOT_FOUND: no such file. USAGE: the file is wrong, the sentence says where. Nothing is set on failure. */
MUST_CHECK enum status config_load(const char *path, const struct config_setting *settings, size_t count, struct report *report);

#endif
