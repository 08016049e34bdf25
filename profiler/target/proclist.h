/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of this machine that are Go programs, and what may be read of each. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "program.h"

struct prowl_process {
	pid_t pid;
	pid_t living; /* one of its live threads: pid, unless its main thread has ended */
	bool zombie;  /* it has ended and waits for its parent */
	bool changed; /* it executes other code than that of its file */
	uid_t uid;
	char user[33]; /* name of the owner, or the number */
	char comm[64];
	char exe[4096];       /* as the process sees it, without the mark of a deleted file */
	bool deleted;         /* the program's file has no name any more */
	bool other_namespace; /* another pid or mount namespace than ours: a container */
	uint64_t rss;         /* bytes */
	unsigned int threads;
	int exe_error;    /* the program can't be read: negative errno; `program` is empty */
	int maps_error;   /* negative errno of reading /proc/PID/maps, 0: readable */
	int memory_error; /* of process_vm_readv: heap and goroutines need it */
	int perf_error;   /* of opening a perf event for its user code */
	/* The Go part if it is not exe: a library, or "[anon]" for memory only; else "". */
	char go_file[4096];
	const struct prowl_program *program; /* borrowed, valid during the callback */
};

enum prowl_list_flags {
	PROWL_LIST_ALL = 1,   /* also programs that are not Go */
	PROWL_LIST_QUICK = 2, /* only pid, comm, exe and program; nothing is probed */
};

struct prowl_list_result {
	size_t listed, hidden; /* hidden: not listed, since the program could not be read */
};

/*
 * Calls cb for each process, except kernel threads and ourselves, ascending by pid; without
 * PROWL_LIST_ALL for Go programs only. A non-zero result of cb ends the list.
 */
enum prowl_code prowl_list(unsigned int flags, int (*cb)(void *ctx, const struct prowl_process *p),
			   void *ctx, struct prowl_list_result *ret, struct prowl_err *err);

/* The path of the program of a process (/proc/PID/exe), also if its main thread has ended. */
ssize_t prowl_read_exe(pid_t pid, char *buf, size_t len);

/* Why p can't be profiled, in a few words; "" when it can. */
void prowl_process_obstacle(const struct prowl_process *p, char *buf, size_t len);
