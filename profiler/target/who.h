/* SPDX-License-Identifier: Apache-2.0 */
/* How a target is named, and what is known of it once it was opened. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "err.h"

/* A process, or the core file of one. */
struct prowl_who {
	pid_t pid;        /* unless core is given */
	const char *core; /* NULL: a live process */
	const char *exe;  /* of a core file: the program that wrote it; NULL: the one it names */
};

struct prowl_target {
	pid_t pid; /* of a core file: the one that the process had */
	char comm[64];
	char go_version[64]; /* "" when it is not Go */
	bool go_guessed;     /* newer than every known version: see PROWL_GO_GUESSED */
	bool stripped, pie, cgo;
	bool exited;             /* a process that has ended */
	bool core, core_cut;     /* a core file; one that was cut short */
	int load_error;          /* mappings could not be read: negative errno */
	int go_error;            /* Go, but its tables can't be used: negative errno */
	size_t nruntimes, which; /* Go runtimes in the process, and the one that is read */
};

/* The warning for go_guessed, in every command and profile; its argument is go_version. */
#define PROWL_GO_GUESSED                                                                        \
	"%s is newer than every Go version that prowl knows: the newest known layout is used, " \
	"its checks passed"

/*
 * The sentence for a target of which `what` ("goroutines", "heap profile", "memory") can't be read:
 * the same for the same cause, whoever reads. error is a negative errno:
 *
 *	-ENOENT   the variable of the runtime that leads to it was not found
 *	-ESRCH    the process is gone
 *	-ESTALE   it has ended or executes another program
 *	-EBADMSG  what is there has not the form that is known of this version
 *	-EACCES, -EPERM  not allowed, with what grants it
 */
enum prowl_code prowl_fail_target(struct prowl_err *err, const struct prowl_target *t,
				  const char *what, int error);

/*
 * The Go runtime of a target, for what reads it (runtime.h). PROWL_NOTHING: no such process;
 * PROWL_PERMISSION: its memory may not be read, with what grants it; PROWL_UNSUPPORTED: not Go, or
 * a version whose tables are not known. A core file (from the kernel or gcore) may fail as
 * prowl_corefile_open does.
 */
struct prowl_runtime;
enum prowl_code prowl_runtime_open(const struct prowl_who *who, struct prowl_runtime **ret,
				   struct prowl_err *err);
void prowl_runtime_free(struct prowl_runtime *rt);
