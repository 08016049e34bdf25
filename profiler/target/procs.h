/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes under observation, and what each of their program images maps.
 *
 * An image is an address space in which every address has one meaning: exec, and a file mapped over
 * another one, make a new image. Samples keep the number of their image, so that they are named by
 * the mappings of their own time. Images and files live until the table is finished. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "event.h"
#include "space.h"

struct prowl_image {
	uint32_t id; /* index in prowl_procs.images */
	struct prowl_proc *proc;
	struct uw_space space;
	uint64_t base;  /* of its packed stacks (stackkey.h): start of Go text; 0 until known */
	int load_error; /* negative errno when the mappings could not be read */
	bool sampled;   /* samples name it: no address may change its meaning any more */
};

struct prowl_proc {
	pid_t pid;
	char comm[64];
	struct prowl_image *image; /* the present one */
	bool root;                 /* asked for by the user, not found as a child */
	bool exited;
	bool gone;         /* exited, and no zombie (any more) */
	bool complete;     /* exited, and cpu_last is all that it used */
	bool replaced;     /* its number is another process' now */
	bool had_children; /* when it was met, or that can't be told */
	uint64_t start;    /* of the process, in clock ticks since boot */
	uint64_t samples;  /* in the profile */
	uint64_t sampled;  /* ns that they stand for, unscaled; of until `clocked`: */
	uint64_t sampled_at_clock;
	double square;                     /* the sum of the squares of each one's ns */
	uint64_t clocked;                  /* when cpu_last was read; CLOCK_MONOTONIC */
	const struct uw_golayout *moments; /* what the BPF program knows of it (moments.h) */
	/* CPU time charged by the kernel, ns: at attach and when last read. */
	uint64_t cpu_first, cpu_last;
	uint64_t utime_first, stime_first, utime_last, stime_last; /* clock ticks */
	/* CPU time of its children, and theirs, that it has waited for. */
	struct prowl_reaped {
		uint64_t user, system; /* ns */
	} reaped_first, reaped_last;
	/* What these counts were when the window began. */
	struct prowl_proc_counts {
		uint64_t samples, sampled, charge, kernel, utime, stime;
		double square;
	} at_window_start;
	uint32_t place; /* in the window that is described, see session_window.c */
};

struct prowl_procs {
	struct prowl_proc **procs;
	size_t n, cap;
	struct prowl_image **images;
	size_t nimages, images_cap;
	struct uw_binaries files;
	struct prowl_proc *last; /* of the last look-up */
	bool children;           /* follow forks */
};

/*
 * Is a program that could not be read one for which we have no descriptor or no address space? Then
 * says so and returns true.
 */
bool prowl_short_of(struct uw_space *space, pid_t pid, struct prowl_err *err);

void prowl_procs_fini(struct prowl_procs *t);
/* Adds a process and reads its mappings. -ESRCH: there is none. Other failures: image->load_error.
 */
int prowl_procs_add(struct prowl_procs *t, pid_t pid, bool root, struct prowl_proc **ret);
struct prowl_proc *prowl_procs_find(struct prowl_procs *t, pid_t pid);

/* Takes a record that is no sample. *forked: a new process to follow was seen. */
void prowl_procs_event(struct prowl_procs *t, const struct prowl_event *ev,
		       struct prowl_proc **forked);

/* Reads the kernel's CPU time of every process that still runs; `first` begins the window. */
void prowl_procs_clock(struct prowl_procs *t, bool first);
bool prowl_procs_all_exited(const struct prowl_procs *t);
