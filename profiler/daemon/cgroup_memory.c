/* SPDX-License-Identifier: Apache-2.0 */
#include "cgroup_memory.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "procfs.h"

/* Where a version keeps its files. */
static const struct version {
	const char *folder, *current, *limit;
} versions[] = {
	{"", "memory.current", "memory.max"},
	{"/unified", "memory.current", "memory.max"},
	{"/memory", "memory.usage_in_bytes", "memory.limit_in_bytes"},
};

/* False: no such file. "max", and what v1 has for it, is 0. */
static bool read_bytes(const char *folder, const char *name, uint64_t *ret)
{
	char path[4096], text[32], *end;

	if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path ||
	    prowl_read_text(path, text, sizeof text) <= 0)
		return false;
	if (!strncmp(text, "max", 3)) {
		*ret = 0;
		return true;
	}
	if (!isdigit((unsigned char)text[0]))
		return false;
	*ret = strtoull(text, &end, 10);
	/* v1: the largest number of whole pages. */
	if (*ret >= (uint64_t)1 << 60)
		*ret = 0;
	return *end == '\n' || !*end;
}

/* From the group up to the root. */
static bool look(const char *root, const struct version *v, const char *path,
		 struct cgroup_memory *ret)
{
	char folder[4096];
	size_t top = (size_t)snprintf(folder, sizeof folder, "%s%s", root, v->folder);
	bool found = false;

	if (top >= sizeof folder ||
	    (size_t)snprintf(folder + top, sizeof folder - top, "%s", path) >= sizeof folder - top)
		return false;
	for (;;) {
		uint64_t current, limit;
		char *slash;

		if (read_bytes(folder, v->current, &current)) {
			if (!read_bytes(folder, v->limit, &limit))
				limit = 0;
			if (!found || (limit && (!ret->limit || limit < ret->limit)))
				*ret = (struct cgroup_memory){current, limit};
			found = true;
		}
		slash = strrchr(folder + top, '/');
		if (!slash)
			return found;
		*slash = '\0';
	}
}

bool cgroup_memory(const char *root, const char *path, struct cgroup_memory *ret)
{
	*ret = (struct cgroup_memory){0};
	/* A path from outside of our namespace names nothing here. */
	if (*path != '/' || strstr(path, "/../"))
		return false;
	for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
		if (look(root, &versions[i], path, ret))
			return true;
	}
	return false;
}
