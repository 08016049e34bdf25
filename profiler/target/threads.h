/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of threads, each of its time: by records of when one begins, is renamed or ends. A
 * sample keeps the number of its thread under its name at that time.
 *
 * There are as many numbers as threads that live, and those that were sampled. One thread of ours.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "idmap.h"
#include "event.h"

struct prowl_thread {
	pid_t pid, tid;
	bool sampled;  /* its number is in use: it keeps this name */
	bool unused;   /* its number is free */
	char name[16]; /* "" when it was gone before anybody asked; the kernel's limit */
};

struct prowl_threads { /* zero-initialised is empty */
	struct prowl_thread *thread;
	size_t n, cap;
	struct prowl_idmap by_tid; /* those that live: index */
	uint32_t *unused;          /* indices of those that ended unsampled */
	size_t nunused, unused_cap;
};

void prowl_threads_fini(struct prowl_threads *t);
/* The threads that a process has now, with their names. */
void prowl_threads_add(struct prowl_threads *t, pid_t pid);
/* Takes a record of one of the processes. */
void prowl_threads_event(struct prowl_threads *t, const struct prowl_event *ev);
/* The number of a thread that was sampled: never 0 but where memory is short. */
uint32_t prowl_threads_sampled(struct prowl_threads *t, pid_t pid, pid_t tid);
/* Those of a process that is no target any more: as if they had ended. */
void prowl_threads_remove(struct prowl_threads *t, pid_t pid);
/* No number of before is used any more: those of threads that ended may be given again. */
void prowl_threads_release(struct prowl_threads *t);
/* NULL for what is no number. */
const struct prowl_thread *prowl_threads_get(const struct prowl_threads *t, uint32_t number);
