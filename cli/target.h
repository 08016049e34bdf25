/* SPDX-License-Identifier: Apache-2.0 */
/* Which processes a command is about: by number, by name, or a core file. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "err.h"

enum { TARGET_MAX_PIDS = 256 };

struct target_pids {
	pid_t pid[TARGET_MAX_PIDS];
	size_t n;
};

/* Adds one that isn't there yet; false after saying that there are too many. */
bool target_add_pid(struct target_pids *t, pid_t pid);
/* Several processes in the name of a file: adds a process' name to those before it
 * ("first-second"), each once, while there is room; "" is the beginning. */
void target_names(char *names, size_t len, const char *comm);
/* Adds all processes of that name (comm or file name). An exit code, after saying what failed. */
enum prowl_code target_add_name(struct target_pids *t, const char *name);
