/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identifies a number below /proc, and gives the number by which the memory of a process is
 * reached.
 *
 * The main thread of a process may end before the others (pthread_exit). It stays as a zombie that
 * holds the process' number but has no memory any more: the files of /proc/PID are empty or can't
 * be followed, process_vm_readv(2) says that there is no such process. Every other thread still has
 * both, under its own number. This is the one place that chooses.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

enum uw_task_kind {
	UW_TASK_NONE,    /* there is none of that number */
	UW_TASK_PROCESS, /* it runs */
	UW_TASK_THREAD,  /* a thread of another process, whose main thread it is not */
	UW_TASK_ZOMBIE,  /* all of its threads have ended; it waits for its parent */
	UW_TASK_KERNEL,  /* a thread of the kernel */
};

struct uw_task {
	int error; /* of UW_TASK_NONE: negative errno if it may exist; 0: it does not */
	enum uw_task_kind kind;
	pid_t process; /* its process */
	/* Whose /proc files, and with whose number, its memory is read: the process' own number, or
	 * that of a thread that lives while the main thread doesn't. */
	pid_t living;
	pid_t parent;
};

void uw_task_of(pid_t pid, struct uw_task *ret);
/* `living` alone: pid itself where there is nothing better. Three system calls, if it is pid. */
pid_t uw_task_living(pid_t pid);
/* "/proc/LIVING/NAME" of the process. */
void uw_task_path(pid_t pid, const char *name, char *buf, size_t len);
