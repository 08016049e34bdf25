/* SPDX-License-Identifier: Apache-2.0 */
/* The target of a command: processes by number or name. */
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

/* Adds a process once; false after an error message where there are too many. */
bool target_add_pid(struct target_pids *t, pid_t pid);
/*
 * The names of several processes for a file name: adds one to those before it ("first-second"),
 * each once, while there is room. Begin with "".
 */
void target_names(char *names, size_t len, const char *comm);
/* Adds all processes of that name (comm or file name). An exit code, after an error message. */
enum prowl_code target_add_name(struct target_pids *t, const char *name);
