/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Figures of a Go runtime at this moment: goroutines by state, threads, processors, heap, garbage
 * collector, rates of its profiles. Read from memory while the program runs on, so that fast-
 * changing figures are some microseconds apart; each was true when it was read.
 *
 * Objects are plain data; any thread may call, each with its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "who.h"

enum prowl_figure {
	/* As runtime.NumGoroutine counts; each is in one of the following states. */
	PROWL_FIGURE_GOROUTINES,
	PROWL_FIGURE_RUNNING,
	PROWL_FIGURE_RUNNABLE,
	PROWL_FIGURE_WAITING,
	PROWL_FIGURE_SYSCALL, /* or in C code */
	PROWL_FIGURE_OTHER,   /* preempted, growing a stack, leaked */
	PROWL_FIGURE_SYSTEM,  /* goroutines of the runtime itself, in any state */
	PROWL_FIGURE_DEAD,    /* ended; kept by the runtime for reuse */
	PROWL_FIGURE_UNREAD,  /* goroutines that could not be read */

	PROWL_FIGURE_THREADS,
	PROWL_FIGURE_THREADS_IDLE,
	PROWL_FIGURE_THREADS_SPINNING, /* looking for work */
	PROWL_FIGURE_THREADS_IN_C,
	PROWL_FIGURE_THREADS_LIMIT,
	PROWL_FIGURE_GOMAXPROCS,
	PROWL_FIGURE_PROCS_IDLE,
	PROWL_FIGURE_QUEUE,       /* runnable goroutines in the queue of all processors */
	PROWL_FIGURE_QUEUE_PROCS, /* in the queues of single processors, summed */

	PROWL_FIGURE_HEAP_LIVE,   /* bytes: live after the last GC, and allocated since */
	PROWL_FIGURE_HEAP_MARKED, /* found live by the last GC */
	PROWL_FIGURE_HEAP_GOAL,   /* of the next GC, before a memory limit lowers it */
	PROWL_FIGURE_HEAP_IN_USE,
	PROWL_FIGURE_HEAP_FREE,
	PROWL_FIGURE_HEAP_RELEASED,
	PROWL_FIGURE_MAPPED,      /* mapped by the runtime and not released */
	PROWL_FIGURE_TOTAL_ALLOC, /* since the start; lags by what each processor has cached */
	PROWL_FIGURE_TOTAL_FREE,

	PROWL_FIGURE_GC_PERCENT,   /* GOGC; -1: off */
	PROWL_FIGURE_MEMORY_LIMIT, /* GOMEMLIMIT; INT64_MAX: none */
	PROWL_FIGURE_GC_COUNT,
	PROWL_FIGURE_GC_FORCED,
	PROWL_FIGURE_GC_LAST,        /* when the last one ended: ns since 1970; 0: there was none */
	PROWL_FIGURE_GC_PAUSE_TOTAL, /* ns */

	PROWL_FIGURE_MEM_RATE,   /* bytes; 0: the heap profile is off */
	PROWL_FIGURE_BLOCK_RATE, /* ticks of the CPU; 0: off */
	PROWL_FIGURE_MUTEX_RATE, /* one in so many; 0: off */
	PROWL_FIGURE_COUNT,
};

enum prowl_heap_profile {
	PROWL_HEAP_UNKNOWN,
	PROWL_HEAP_ON,
	PROWL_HEAP_OFF,        /* the program set its rate to 0 */
	PROWL_HEAP_LINKED_OUT, /* the program never reads it: the linker switched it off */
};

enum {
	PROWL_PAUSES = 5,
	PROWL_WAIT_REASONS = 64,
	PROWL_VARIABLES = 32,
};

struct prowl_figures {
	bool known[PROWL_FIGURE_COUNT]; /* false: not in this version, or not found */
	int64_t value[PROWL_FIGURE_COUNT];
	double gc_cpu_fraction; /* of all CPU time since the start; negative: not known */
	size_t npauses;
	int64_t pauses[PROWL_PAUSES]; /* of the last GCs, newest first, ns */
	enum prowl_heap_profile heap_profile;
	struct {
		const char *reason;    /* as Go says it, "chan receive"; NULL: none */
		uint64_t n;            /* goroutines waiting for it, without the runtime's own */
	} waiting[PROWL_WAIT_REASONS]; /* by the runtime's number */
	size_t nvariables;
	struct {
		const char *name; /* "runtime.allgs" */
		const char *how;  /* how it was found: "symbol", "code", "value", "missing" */
		uint64_t addr;
	} variables[PROWL_VARIABLES];
};

/* "goroutines", "heap_live_bytes": a name for machines, with the unit. */
const char *prowl_figure_name(enum prowl_figure which);

struct prowl_runtime;
/* Cannot fail: figures that can't be read are not known. */
void prowl_figures_read(struct prowl_runtime *rt, struct prowl_figures *ret);

/* Opens a target for it; codes as of prowl_runtime_open. */
enum prowl_code prowl_figures_of(const struct prowl_who *who, struct prowl_figures *ret,
				 struct prowl_err *err);
