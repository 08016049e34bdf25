/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All goroutines of a Go program, with their stacks, states and labels, while it runs or from a
 * core file.
 *
 *	prowl_goroutines_open  opens a process or a core file
 *	prowl_goroutines_take  reads the present goroutines: a dump
 *
 * Each goroutine is consistent in itself; they are not all of one instant, since nothing is
 * stopped. A goroutine that could not be read as a whole is counted and has no stack, never a wrong
 * one. Running ones get their stack by sampling the process for a moment; in a core file from the
 * saved registers.
 *
 * Only reads. Belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "label.h"
#include "who.h"

struct pprof_profile;
struct prowl_goroutines;

enum { PROWL_NO_STACK = UINT32_MAX };

struct prowl_goroutine {
	uint64_t goid;
	uint64_t parent;  /* goid of its creator; 0: not known (before go1.21), or none */
	uint64_t wait_ns; /* waiting for at least so long; 0: not known */
	uint32_t stack;   /* in the dump; PROWL_NO_STACK */
	uint32_t created; /* location of the go statement; PROWL_NO_STACK: not known */
	uint32_t labels;  /* label set, for prowl_goroutines_labels; 0: none */
	uint8_t status;   /* enum uw_gostatus */
	uint8_t reason;
	uint8_t runs; /* how often it stopped running, modulo 256; always 0 before go1.17 */
	bool locked, system, scan;
	bool cut;     /* the stack has its inner frames only */
	bool sampled; /* was running: the stack was sampled some ms later */
};

struct prowl_goroutine_stack {
	uint32_t first, n; /* in locations, leaf first */
	uint64_t hash;     /* of the addresses: the same in all dumps of one program */
};

struct prowl_goroutines_counts {
	uint64_t goroutines;      /* in the dump */
	uint64_t filtered;        /* not selected by state or match */
	uint64_t system;          /* the runtime's own, left out by default */
	uint64_t dead;            /* ended; kept by the runtime for reuse */
	uint64_t running;         /* were running */
	uint64_t running_sampled; /* of which have a stack */
	uint64_t unstable, bad;   /* without a stack: changed on every read; damaged */
	uint64_t cut;
	uint64_t retries;
	uint64_t labels_unknown; /* with labels that could not be read */
	uint64_t labels_cut;     /* with labels that were cut (labels.h) */
};

struct prowl_dump {
	struct prowl_goroutine *g; /* ascending by goid; only with the option list */
	size_t n;
	struct prowl_goroutine_stack *stacks; /* distinct ones */
	size_t nstacks;
	uint32_t *locations; /* of the profile */
	/*
	 * goroutine/count, as Go's own: a sample for each stack with its labels. stacks and created
	 * refer to its locations.
	 */
	struct pprof_profile *profile;
	struct prowl_goroutines_counts counts;
	int64_t when;         /* ns since 1970 */
	uint64_t duration_ns; /* spent on reading */
};

struct prowl_goroutines_options {
	bool list;         /* also list each goroutine */
	bool system;       /* include the runtime's own */
	const char *state; /* only these: states and wait reasons, separated by commas; NULL: all */
	const char *match; /* only with a function in the stack that matches (POSIX extended) */
	uint64_t running_ns; /* sample running ones for at most so long; 0: no sampling */
};

/* Codes as of prowl_runtime_open. */
enum prowl_code prowl_goroutines_open(const struct prowl_who *who, struct prowl_goroutines **ret,
				      struct prowl_err *err);
/*
 * Switches to another runtime of the process; 0 is the one that was opened. Goroutines have the
 * label "runtime" in profiles if there are several.
 */
enum prowl_code prowl_goroutines_choose(struct prowl_goroutines *h, size_t which,
					struct prowl_err *err);
void prowl_goroutines_free(struct prowl_goroutines *h);
const struct prowl_target *prowl_goroutines_target(const struct prowl_goroutines *h);
/* The file that the runtime is in. */
const char *prowl_goroutines_file(const struct prowl_goroutines *h);

/* The dump is freed by prowl_dump_fini. PROWL_USAGE: match is no regular expression. */
enum prowl_code prowl_goroutines_take(struct prowl_goroutines *h,
				      const struct prowl_goroutines_options *o,
				      struct prowl_dump *ret, struct prowl_err *err);
void prowl_dump_fini(struct prowl_dump *d);

/* "chan receive", "running": as Go prints it. Static, or of the layout. */
const char *prowl_goroutine_state(const struct prowl_goroutines *h,
				  const struct prowl_goroutine *g);
/* The labels of a set, sorted by key; returns their number. */
size_t prowl_goroutines_labels(const struct prowl_goroutines *h, uint32_t set,
			       struct prowl_label *ret, size_t max);
/*
 * The offset of an address of the profile in its physical function, plus one as a return address
 * has; 0 if the function of that name is inlined there, or none is known.
 */
uint64_t prowl_goroutines_offset(const struct prowl_goroutines *h, uint64_t address,
				 const char *function);
