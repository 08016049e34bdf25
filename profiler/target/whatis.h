/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a pid is a running process, and whether it is a Go program, or why not: with the same
 * words in every command. Private to profiler.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "err.h"
#include "space.h"
#include "task.h"

/*
 * PROWL_NOTHING: there is no such process, or it is a zombie; PROWL_USAGE: it is a thread, of a
 * process that the hint names; PROWL_UNSUPPORTED: a kernel thread. *ret (may be NULL) is filled in
 * any case.
 */
enum prowl_code prowl_whatis(pid_t pid, struct uw_task *ret, struct prowl_err *err);

/* The path of the program, or the name of the process if the path is not known. */
const char *prowl_whatis_program(const struct uw_space *space, const char *comm);
/*
 * Whether the program's file is Go, but the process executes other code than that of the file
 * (changed after it had been moved to anonymous memory), which the file can't describe.
 */
bool prowl_whatis_changed(struct uw_space *space);
/*
 * Why uw_space_go found no Go in the space of a process. PROWL_UNSUPPORTED: not Go, too old,
 * damaged; PROWL_PERMISSION: its program can't be read; PROWL_NOTHING: it is gone.
 */
enum prowl_code prowl_whatis_not_go(struct uw_space *space, const char *comm,
				    struct prowl_err *err);

/* The same for a file, with the error of its tables (uw_binary.go_error). */
enum prowl_code prowl_whatis_refuse(const struct uw_elf *elf, const char *who, int error,
				    const struct uw_diag *diag, struct prowl_err *err);
