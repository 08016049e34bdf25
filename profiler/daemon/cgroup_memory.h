/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of a cgroup and the limit that it meets first, v2 and v1. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct cgroup_memory { /* bytes; 0: not known, no limit */
	uint64_t current, limit;
};

/*
 * root: "/sys/fs/cgroup"; path: of the group, as /proc/PID/cgroup has it. The limit is the lowest
 * of the group and those above it, `current` that of the group which has this limit. False: nothing
 * is known.
 */
bool cgroup_memory(const char *root, const char *path, struct cgroup_memory *ret);
