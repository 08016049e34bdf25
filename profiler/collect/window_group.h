/* SPDX-License-Identifier: Apache-2.0 */
/* One profile of a window, or one for each process in it, or for each group of processes. */
#pragma once

#include <sys/types.h>

struct pprof_profile;

enum prowl_group { PROWL_TOGETHER, PROWL_BY_PROCESS, PROWL_BY_GROUP };

/*
 * Takes over a profile; pid 0 is what belongs to no process. By group it is the group's number. A
 * value other than 0 ends the calls.
 */
typedef int (*prowl_window_fn)(void *ctx, pid_t pid, struct pprof_profile *profile);
