/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a process can be read and sampled, found out by trying. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Can addresses of pid be read, its memory, can it be sampled? Negative errno each, or 0. */
int prowl_probe_maps(pid_t pid);
int prowl_probe_memory(pid_t pid);
/* Opens a disabled CPU-clock event: of one process (cpu -1), or pid -1 of one CPU. */
int prowl_probe_perf(pid_t pid, int cpu, bool kernel);
