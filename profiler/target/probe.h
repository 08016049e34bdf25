/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a process can be read and sampled, found out by trying. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/*
 * Whether its mappings and its memory can be read, and whether it can be sampled: 0, or negative
 * errno.
 */
int prowl_probe_maps(pid_t pid);
int prowl_probe_memory(pid_t pid);
/* Opens a disabled CPU-clock event: of a process (cpu -1), or of a CPU (pid -1). */
int prowl_probe_perf(pid_t pid, int cpu, bool kernel);
