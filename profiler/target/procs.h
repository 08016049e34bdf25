/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes under observation, and what each of their program images maps.
 *
 * An image is an address space in which every address has one meaning: exec, and a file mapped over
 * another one, make a new image. Samples keep the number of their image, so that they are named by
 * the mappings of their own time. An image lives as long as its process has it or the present
 * window has samples of it. Processes stay until they are forgotten. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "event.h"
#include "idmap.h"
#include "space.h"

struct prowl_image {
	uint32_t id;       /* index in prowl_procs.images; used again after prowl_procs_reuse */
	unsigned int refs; /* by its process, and by the window */
	struct prowl_proc *proc;
	struct uw_space space;
	uint64_t base;  /* of its packed stacks (stackkey.h): start of Go text; 0 until known */
	int load_error; /* negative errno when the mappings could not be read */
	bool in_window; /* the present window has samples of it */
	bool sampled;   /* it or an earlier one has: no address may change its meaning any more */
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
	bool removed;      /* no target any more; its samples until now count */
	bool had_children; /* when it was first seen, or that is not known */
	uint64_t start;    /* of the process, in clock ticks since boot */
	uint64_t since;    /* CLOCK_MONOTONIC: from when on its samples count */
	uint64_t samples;  /* in the profile */
	uint64_t sampled;  /* ns that they represent, unscaled; those until `clocked`: */
	uint64_t sampled_at_clock;
	double square;                     /* the sum of the squares of each one's ns */
	uint64_t clocked;                  /* when cpu_last was read; CLOCK_MONOTONIC */
	const struct uw_golayout *moments; /* what the BPF program knows of it (moments.h) */
	/* CPU time charged by the kernel, ns: at attach and when last read. */
	uint64_t cpu_first, cpu_last;
	uint64_t utime_first, stime_first, utime_last, stime_last; /* clock ticks */
	/* The last reading from before `seen` of the table: its records were all seen since. */
	struct prowl_reading {
		uint64_t clocked, cpu, utime, stime, sampled;
	} settled;
	/* CPU time of its children, and theirs, that it has waited for. */
	struct prowl_reaped {
		uint64_t user, system; /* ns */
	} reaped_first, reaped_last;
	/* What these counts were when the window began. */
	struct prowl_proc_counts {
		uint64_t samples, sampled, charge, kernel, utime, stime;
		double square;
	} at_window_start;
	uint32_t place;              /* in the window that is described, see session_window.c */
	pid_t group;                 /* of processes with one profile; 0: none */
	unsigned int every, skipped; /* one sample in so many counts; since the last one */
};

struct prowl_times {           /* of a process, by the kernel */
	char state;            /* as in /proc/PID/stat */
	uint64_t utime, stime; /* clock ticks */
	uint64_t cutime, cstime;
	uint64_t threads;
	uint64_t start;  /* clock ticks since boot */
	bool has_cpu;    /* cpu_ns is known */
	uint64_t cpu_ns; /* charged by the scheduler, exited threads included */
};

struct prowl_procs { /* zero-initialised is empty */
	struct prowl_proc **procs;
	size_t n, cap;
	struct prowl_idmap by_pid;   /* those that have their number: index in procs */
	struct prowl_image **images; /* by id; NULL: ended */
	size_t nimages, images_cap;
	uint32_t *retired, *unused; /* ids of images that ended; of those, free to be used */
	size_t nretired, retired_cap, nunused, unused_cap;
	struct uw_binaries files;
	struct prowl_proc *last; /* of the last look-up */
	bool children;           /* follow forks */
	uint64_t seen;           /* records until then have been given to prowl_procs_event */
	/* For tests; NULL: the kernel's. */
	bool (*times)(pid_t pid, struct prowl_times *ret);
	uint64_t (*now)(void);
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
/*
 * Adds a process that is known by records, which may have ended. It has the mappings of `parent`,
 * or (NULL) those that follow. all: all of its CPU time counts, else what it uses from now on.
 */
int prowl_procs_adopt(struct prowl_procs *t, pid_t pid, const struct prowl_proc *parent, bool all,
		      struct prowl_proc **ret);
struct prowl_proc *prowl_procs_find(struct prowl_procs *t, pid_t pid);
/*
 * As prowl_procs_remove, of a process that executes another program at that time: what it uses from
 * then on is not counted, though its CPU time may have been read since. Returns the CPU time until
 * then, as far as it is known, since the process began.
 */
uint64_t prowl_procs_executes(struct prowl_procs *t, struct prowl_proc *p, uint64_t time);
/* From here on it is no target. It stays in the table until it is forgotten. */
void prowl_procs_remove(struct prowl_procs *t, struct prowl_proc *p);

/* The present window has a sample of the image. */
static inline void prowl_image_sampled(struct prowl_image *im)
{
	im->refs += !im->in_window;
	im->in_window = im->sampled = true;
}
/* The window is over: images that no process has end. */
void prowl_procs_release(struct prowl_procs *t);
/* Forgets the processes for which `over` is true, with their images. */
void prowl_procs_forget(struct prowl_procs *t, bool (*over)(void *ctx, const struct prowl_proc *p),
			void *ctx);
/* Whether images have ended since the last prowl_procs_reuse. */
static inline bool prowl_procs_ended(const struct prowl_procs *t)
{
	return t->nretired > 0;
}
/* Nothing names the images that have ended any more. */
void prowl_procs_reuse(struct prowl_procs *t);

/* Takes a record that is no sample. *forked: a new process to follow was seen. */
void prowl_procs_event(struct prowl_procs *t, const struct prowl_event *ev,
		       struct prowl_proc **forked);

/* Reads the kernel's CPU time of every process that still runs; `first` begins the window. */
void prowl_procs_clock(struct prowl_procs *t, bool first);
bool prowl_procs_all_exited(const struct prowl_procs *t);
