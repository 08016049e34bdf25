/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process is, in the words in which every command says it: whether there is one of that
 * number that runs, and whether it is a Go program, or why not. Private to this folder.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "err.h"
#include "space.h"
#include "task.h"

/*
 * PROWL_NOTHING: there is no such process, or it is a zombie; PROWL_USAGE: the number is that of a
 * thread, with the process whose it is; PROWL_UNSUPPORTED: a thread of the kernel. *ret (may be
 * NULL) is filled in any case.
 */
enum prowl_code prowl_whatis(pid_t pid, struct uw_task *ret, struct prowl_err *err);

/* "FILE" of the program, or the name of the process where that is not known. */
const char *prowl_whatis_program(const struct uw_space *space, const char *comm);
/*
 * The program's file is Go, but the code that the process executes is not that of the file (it was
 * changed after it had been moved to anonymous memory): nothing of the file tells what it is.
 */
bool prowl_whatis_changed(struct uw_space *space);
/*
 * After uw_space_go found nothing in the space of a process: the reason. PROWL_UNSUPPORTED: not Go,
 * too old, damaged; PROWL_PERMISSION: its program can't be read; PROWL_NOTHING: it is gone.
 */
enum prowl_code prowl_whatis_not_go(struct uw_space *space, const char *comm,
				    struct prowl_err *err);

/* Of the file of a binary, with the error of its tables (uw_binary.go_error). */
enum prowl_code prowl_whatis_refuse(const struct uw_elf *elf, const char *who, int error,
				    const struct uw_diag *diag, struct prowl_err *err);
