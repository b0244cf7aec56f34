/* node.c - see node.h. */
#include "worker/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crc32c.h"

enum { NODE_FILE_MAX = 256 };
static const char node_path[] = "node";

static int node_print(const struct node *node, char out[NODE_FILE_MAX])
{
	char worker[UUID_TEXT_SIZE], cluster[UUID_TEXT_SIZE];

	uuid_text(node->worker, worker);
	uuid_text(node->cluster, cluster);
	int n = snprintf(out, NODE_FILE_MAX, "grove-node 1\nworker %s\ncluster %s\n", worker, cluster);
	return n + snprintf(out + n, NODE_FILE_MAX - (size_t)n, "crc32c %08x\n", crc32c(0, out, (size_t)n));
}

/* A file is valid iff it is, byte for byte, what we would write for the two uuids in it. */
static bool node_parse(const char *text, size_t size, struct node *ret)
{
	char worker[UUID_TEXT_SIZE], cluster[UUID_TEXT_SIZE], copy[NODE_FILE_MAX] = {0}, again[NODE_FILE_MAX];
	struct node node;

	if (size >= sizeof(copy)) return false;
	memcpy(copy, text, size);
	if (sscanf(copy, "grove-node 1\nworker %36s\ncluster %36s\n", worker, cluster) != 2) return false;
	if (!uuid_parse(worker, &node.worker) || !uuid_parse(cluster, &node.cluster)) return false;
	if (node_print(&node, again) != (int)size || memcmp(copy, again, size) != 0) return false;
	*ret = node;
	return true;
}

enum status node_load(struct io *io, struct node *ret, struct report *report)
{
	uint8_t *bytes = NULL;
	size_t size = 0;
	struct node node = {0};
	enum status status = io_slurp(io, node_path, NODE_FILE_MAX, &bytes, &size);

	if (status == STATUS_NOT_FOUND) {
		node.worker = uuid_new();
		status = node_store(io, &node, report);
	} else if (status == STATUS_LIMIT || (status == STATUS_OK && !node_parse((char *)bytes, size, &node))) {
		status = report_set(report, STATUS_CORRUPT, "the file 'node' in the data folder is damaged: restore it from a copy; it says which worker this is");
	} else if (status != STATUS_OK) {
		report_set(report, status, "cannot read the file 'node' in the data folder: %s", io_last_error());
	}
	free(bytes);
	if (status == STATUS_OK) *ret = node;
	return status;
}

enum status node_store(struct io *io, const struct node *node, struct report *report)
{
	char text[NODE_FILE_MAX];
	int n = node_print(node, text);
	enum status status = io_replace(io, node_path, text, (size_t)n);

	return status == STATUS_OK ? status : report_set(report, status, "cannot write the file 'node' in the data folder: %s", io_last_error());
}
