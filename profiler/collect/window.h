/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A window: everything that a profile is made from, whoever counted it.
 *
 * The window is read only, but for the stack hash, which is emptied, and the caches of names and
 * files, which fill. What was found while the profile was made is returned in prowl_made. One
 * thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "event.h"
#include "kernel_names.h"
#include "labels.h"
#include "stackhash.h"
#include "symbol_cache.h"
#include "threads.h"
#include "timeline.h"
#include "residency.h"
#include "window_group.h"

struct pprof_profile;

/* How the samples of a process, or of several, add up to what the kernel charged. */
struct prowl_share {
	uint64_t charged;   /* in the event's unit, without kernel time where that is not sampled */
	double scale;       /* of its samples' weight */
	uint64_t unsampled; /* what no sample represents */
	uint64_t kernel;    /* ns in the kernel, where that is not sampled */
};

struct prowl_window_process {
	pid_t pid;
	pid_t group;            /* the profile that it is in, by group */
	const char *comm;       /* "": not known */
	struct uw_space *space; /* its program is the first mapping of the profile; may be NULL */
	double scale;
	uint64_t unsampled;
	uint64_t kernel;  /* ns in the kernel, where that is not sampled */
	uint64_t sampled; /* weight of its samples, not scaled */
};

struct prowl_window_image {     /* what keys of the hash name by its index */
	struct uw_space *space; /* NULL: no key names it */
	uint64_t base;          /* of its packed stacks (stackkey.h) */
	uint32_t process;
};

/* Names and files, kept from one window to the next. Zero-initialised is empty. */
struct prowl_names {
	struct prowl_kernel_names kernel;
	struct prowl_symbol_cache native;
	struct prowl_residency *residency;
	struct uw_binaries *files;
	uint64_t lookups; /* in the tables of the files, so far */
};

struct prowl_window {
	const struct prowl_event_kind *kind;
	uint64_t period;     /* in the kind's unit */
	int64_t wall_start;  /* Unix time, ns */
	uint64_t mono_start; /* the same moment by the clock of the timeline */
	uint64_t duration_ns;
	const struct prowl_stackhash
		*hash; /* flipped: the window that the last flip ended is read */
	const struct prowl_window_image *images;
	size_t nimages;
	const struct prowl_window_process *processes;
	size_t nprocesses;
	bool label_processes; /* with pid and name; only where they are in one profile */
	bool last;            /* no other window follows: names need not be kept for it */
	bool native;          /* walks went through native code */
	bool kernel;          /* kernel time is sampled */
	int hurry_fd; /* readable: the naming of native code ends, if this is the last window; -1 */
	struct prowl_names *names;
	const struct prowl_labels *labels;     /* NULL: none */
	const struct prowl_threads *threads;   /* NULL: none */
	const struct prowl_timeline *timeline; /* sorted; NULL: none */
	/* Of no process that is known. */
	uint64_t lost; /* samples of the processes that were dropped before they could be counted */
	uint64_t unsampled;        /* of processes that have ended */
	uint64_t kernel_ns;        /* all that was not sampled in the kernel */
	uint64_t samples, sampled; /* that were counted, and their weight */
};

struct prowl_made {
	uint64_t unknown_frames; /* samples with at least one frame without a name */
	uint64_t timed;          /* samples with their time */
	uint64_t dropped;        /* samples that found no room in the hash */
	uint64_t unsampled;      /* what no sample represents, in the event's unit */
	bool kernel_sampled;     /* some sample has kernel frames */
	bool kernel_names;       /* and these have names */
};

/*
 * The profiles of a window, in one pass over its stacks: one of all processes, or one for each (or
 * each group) that has something in it. In the latter case a profile of "process 0" has what
 * belongs to none of them. They have no comments. Samples with the same stack and labels may be
 * apart.
 *
 * cb owns the profile that it is given (pprof_profile_free), also where it returns an error, which
 * ends the calls. Returns 0, negative errno or what cb returned.
 */
int prowl_window_profiles(const struct prowl_window *w, enum prowl_group group, prowl_window_fn cb,
			  void *ctx, struct prowl_made *ret);
